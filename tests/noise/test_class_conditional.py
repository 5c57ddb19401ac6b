from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.pipeline import make_pipeline
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate

from sknoisy.noise import (
    SymmetricNoiseInjector,
    TransitionNoiseInjector,
    empirical_transition_matrix,
    pair_flip_matrix,
    symmetric_matrix,
)

SELECTIONS = ["bernoulli", "exact", "exact_per_class"]
PAIR_FLIP = partial(pair_flip_matrix, noise_rate=0.4)
INJECTORS = [
    SymmetricNoiseInjector(0.4, random_state=0),
    SymmetricNoiseInjector(
        0.4, convention="include", selection="exact", random_state=0
    ),
    SymmetricNoiseInjector(0.4, selection="exact_per_class", random_state=0),
    TransitionNoiseInjector(PAIR_FLIP, random_state=0),
]
NAMES = ["even", "exact", "exact_per_class", "pairs"]
every_injector = pytest.mark.parametrize("injector", INJECTORS, ids=NAMES)


def labels(n_classes=4, n_samples=20_000, seed=0):
    return np.random.default_rng(seed).integers(n_classes, size=n_samples)


def corrupted(injector, y):
    return clone(injector).fit_resample(np.zeros((len(y), 1)), y)[1]


def assert_follows(T, y, y_noisy):
    found = empirical_transition_matrix(y, y_noisy, len(T))
    standard_error = np.sqrt(T * (1 - T) / np.bincount(y)[:, None])
    assert (np.abs(found - T) <= 5 * standard_error + 1e-12).all()


@pytest.mark.parametrize("convention", ["exclude", "include"])
@pytest.mark.parametrize("selection", SELECTIONS)
def test_symmetric_noise_follows_its_matrix(convention, selection):
    y = labels()
    injector = SymmetricNoiseInjector(
        0.3, convention=convention, selection=selection, random_state=1
    )
    y_noisy = injector.fit_resample(np.zeros((len(y), 1)), y)[1]
    assert_follows(injector.transition_matrix_, y, y_noisy)
    assert_array_equal(
        injector.transition_matrix_, symmetric_matrix(4, 0.3, convention)
    )


@pytest.mark.parametrize("selection", SELECTIONS)
def test_exclude_at_rate_1_keeps_no_label(selection):
    y = labels()
    injector = SymmetricNoiseInjector(1.0, selection=selection, random_state=0)
    assert (corrupted(injector, y) != y).all()


@pytest.mark.parametrize("selection", SELECTIONS)
def test_include_at_rate_1_agrees_with_one_label_in_n_classes(selection):
    y = labels()
    injector = SymmetricNoiseInjector(
        1.0, convention="include", selection=selection, random_state=0
    )
    agreement = (corrupted(injector, y) == y).mean()
    assert abs(agreement - 1 / 4) < 5 * np.sqrt(1 / 4 * 3 / 4 / len(y))


@given(
    y=st.lists(st.integers(0, 5), min_size=2, max_size=60).filter(
        lambda y: len(set(y)) > 1
    ),
    rate=st.floats(0, 1),
    selection=st.sampled_from(SELECTIONS),
    seed=st.integers(0, 1000),
)
@settings(deadline=None)
def test_exclude_flips_exactly_the_selected_rows(y, rate, selection, seed):
    y = np.array(y)
    injector = SymmetricNoiseInjector(rate, selection=selection, random_state=seed)
    y_noisy = injector.fit_resample(np.zeros((len(y), 1)), y)[1]
    assert set(y_noisy) <= set(y)
    assert_array_equal(injector.noise_mask_, y_noisy != y)
    assert injector.noise_rate_ == np.mean(y_noisy != y)
    if selection == "exact":
        assert injector.noise_mask_.sum() == np.floor(np.round(rate * len(y), 9))
    if selection == "exact_per_class":
        for c in np.unique(y):
            flipped = injector.noise_mask_[y == c]
            assert flipped.sum() == np.ceil(np.round(rate * len(flipped), 9))


@pytest.mark.parametrize("convention", ["exclude", "include"])
@pytest.mark.parametrize("selection", SELECTIONS)
def test_rate_0_leaves_y_unchanged(convention, selection):
    y = labels(n_samples=50)
    injector = SymmetricNoiseInjector(0, convention=convention, selection=selection)
    assert_array_equal(corrupted(injector, y), y)


def test_exact_counts_are_not_spoilt_by_rounding():
    # in floating point 0.29 * 100 < 29 and 0.07 * 100 > 7
    y = np.arange(100) % 2
    flips = corrupted(SymmetricNoiseInjector(0.29, selection="exact"), y) != y
    assert flips.sum() == 29
    y = np.arange(200) % 2
    flips = corrupted(SymmetricNoiseInjector(0.07, selection="exact_per_class"), y) != y
    assert flips.sum() == 14


def test_exact_per_class_rounds_up_in_every_class():
    y = np.repeat([0, 1, 2], [1, 10, 101])
    injector = SymmetricNoiseInjector(0.2, selection="exact_per_class", random_state=0)
    flips = corrupted(injector, y) != y
    assert_array_equal(np.bincount(y, weights=flips), [1, 2, 21])


def test_exact_per_class_works_on_rows_of_some_classes():
    injector = SymmetricNoiseInjector(0.5, selection="exact_per_class", random_state=0)
    injector.fit(None, [0, 1, 2])
    assert (injector.corrupt(None, np.ones(10, dtype=int)) != 1).sum() == 5


def test_transition_noise_follows_its_matrix():
    T = np.random.default_rng(0).dirichlet(np.ones(4), size=4)
    y = labels()
    injector = TransitionNoiseInjector(T, random_state=0)
    y_noisy = injector.fit_resample(np.zeros((len(y), 1)), y)[1]
    assert_follows(T, y, y_noisy)
    assert_array_equal(injector.transition_matrix_, T)


def test_rows_of_the_matrix_are_classes_in_sorted_order():
    y = np.array(["c", "a", "b"] * 5)
    moved = corrupted(TransitionNoiseInjector(pair_flip_matrix(3, 1)), y)
    assert_array_equal(moved, ["a", "b", "c"] * 5)


def test_callable_matrix_is_asked_for_the_number_of_classes():
    injector = TransitionNoiseInjector(PAIR_FLIP, random_state=0)
    for n in (2, 5):
        injector.fit(None, np.arange(n))
        assert_array_equal(injector.transition_matrix_, pair_flip_matrix(n, 0.4))


def test_transition_injector_refuses_wrong_matrices():
    y = [0, 1, 2]
    with pytest.raises(ValueError, match=r"is for 2 classes, but y has 3: \[0, 1, 2\]"):
        TransitionNoiseInjector(np.eye(2)).fit(None, y)
    with pytest.raises(ValueError, match=r"transposed.*pass transition_matrix\.T"):
        TransitionNoiseInjector([[0.9, 0.3], [0.1, 0.7]]).fit(None, [0, 1])
    with pytest.raises(ValueError, match="'transition_matrix' parameter"):
        TransitionNoiseInjector(0.3).fit(None, y)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("noise_rate", 1.2), ("convention", "both"), ("selection", "some")],
)
def test_symmetric_injector_refuses_bad_parameters(parameter, value):
    injector = SymmetricNoiseInjector().set_params(**{parameter: value})
    with pytest.raises(ValueError, match=f"'{parameter}' parameter.*Got {value!r}"):
        injector.fit(None, [0, 1])


# What all injectors promise


@every_injector
def test_other_rows_get_a_draw_of_their_own(injector):
    y = labels(n_samples=4_000, n_classes=2)
    other = y.copy()
    other[0] = 1 - y[0]
    injector = clone(injector).fit(None, y)
    first, second = (injector.corrupt(None, v) != v for v in (y, other))
    # Shared numbers would flip the same rows; independent ones agree by chance. The
    # margin is 5 standard errors.
    p, q = first.mean(), second.mean()
    together, chance = (first & second).mean(), p * q
    assert abs(together - chance) < 5 * np.sqrt(chance * (1 - chance) / len(y))


@every_injector
def test_no_rows_give_no_labels(injector):
    y = labels(n_samples=50)
    assert clone(injector).fit(None, y).corrupt(None, y[:0]).shape == (0,)


@pytest.mark.fast_cases(4)
@every_injector
@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame({"size": [1.0, np.nan] * 6, "colour": ["red", None] * 6}),
        pl.DataFrame({"size": [1.0, None] * 6, "colour": ["red", "blue"] * 6}),
        csr_array((12, 3)),
        np.zeros((12, 3, 4, 4), dtype=np.uint8),
        ["a text", "another"] * 6,
        [[1, 2], [3, 4]] * 6,
        np.full((12, 2), np.nan),
        None,
    ],
    ids=["pandas", "polars", "sparse", "images", "texts", "lists", "nan", "none"],
)
def test_any_rows_will_do_and_come_back_untouched(injector, X):
    y = np.arange(12) % 3
    injector = clone(injector)
    X_same, y_noisy = injector.fit_resample(X, y)
    assert X_same is X
    assert_array_equal(y_noisy, corrupted(injector, y))
    assert_array_equal(y_noisy, injector.corrupt(X, y))


@every_injector
def test_labels_come_back_in_the_kind_of_y(injector):
    y = np.array(["no", "yes", "perhaps"] * 10)
    expected = corrupted(injector, y)
    index = pd.Index(range(100, 130))
    for dtype in ("category", object, "str"):
        series = pd.Series(y, index=index, name="answer", dtype=dtype)
        noisy = corrupted(injector, series)
        assert noisy.dtype == series.dtype
        assert noisy.name == "answer"
        pd.testing.assert_index_equal(noisy.index, index)
        assert noisy.tolist() == expected.tolist()
        assert series.tolist() == y.tolist()
    noisy = corrupted(injector, pl.Series("answer", y))
    assert isinstance(noisy, pl.Series)
    assert (noisy.name, noisy.to_list()) == ("answer", expected.tolist())
    assert corrupted(injector, y.tolist()) == expected.tolist()
    assert corrupted(injector, tuple(y.tolist())) == tuple(expected.tolist())


@every_injector
@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.float32, bool, "U5"])
def test_labels_keep_their_dtype(injector, dtype):
    y = (np.arange(30) % 2).astype(dtype)
    assert corrupted(injector, y).dtype == y.dtype


@every_injector
def test_bad_labels_are_refused(injector):
    injector = clone(injector)
    X = np.zeros((3, 1))
    with pytest.raises(ValueError, match="requires y to be passed"):
        injector.fit(X, None)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[3, 2\]"):
        injector.fit(X, [0, 1])
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        injector.fit(X, [0.1, 0.2, 0.3])
    with pytest.raises(
        ValueError, match=r"y has 1 class\(es\), \[0\]; .* at least two"
    ):
        injector.fit(X, [0, 0, 0])
    with pytest.raises(ValueError, match=r"y has 0 class\(es\)"):
        injector.fit(X[:0], [])


@every_injector
def test_corrupt_refuses_what_fit_did_not_see(injector):
    injector = clone(injector)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        injector.corrupt(None, [0, 1])
    injector.fit(np.zeros((3, 2)), [0, 1, 2])
    with pytest.raises(ValueError, match=r"unknown labels: \[3\]; known labels are"):
        injector.corrupt(np.zeros((2, 2)), [0, 3])
    with pytest.raises(ValueError, match=r"X has 1 features, but .* is expecting 2"):
        injector.corrupt(np.zeros((2, 1)), [0, 1])
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[3, 2\]"):
        injector.corrupt(np.zeros((3, 2)), [0, 1])


@pytest.mark.usefixtures("no_routing")
@every_injector
def test_only_training_folds_get_noise_in_an_imblearn_pipeline(injector):
    class Recorder(LogisticRegression):
        def fit(self, X, y):
            self.y_fit_ = y
            return super().fit(X, y)

        def score(self, X, y):
            self.y_score_ = y
            return super().score(X, y)

    X, y = load_iris(return_X_y=True)
    result = cross_validate(
        make_pipeline(clone(injector), Recorder(max_iter=1000)),
        X,
        y,
        cv=3,
        return_estimator=True,
        return_indices=True,
    )
    for fitted, train, test in zip(
        result["estimator"],
        result["indices"]["train"],
        result["indices"]["test"],
        strict=True,
    ):
        step, model = fitted
        assert_array_equal(model.y_fit_ != y[train], step.noise_mask_)
        assert step.noise_rate_ > 0.2
        assert_array_equal(model.y_score_, y[test])


def test_it_says_that_it_does_not_look_at_X():
    tags = SymmetricNoiseInjector().__sklearn_tags__()
    assert tags.no_validation and tags.input_tags.sparse and tags.input_tags.string
