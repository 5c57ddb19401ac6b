from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest
from fast_part import examples
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy.noise import MarginNoiseInjector, empirical_transition_matrix

TYPES = ["I", "II", "III"]
every_type = pytest.mark.parametrize("noise_type", TYPES)


class FeaturesAreProbabilities(ClassifierMixin, BaseEstimator):
    """The probabilities are the features, so a test can choose them."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.shape_ = X.shape
        return self

    def predict_proba(self, X):
        return X.reshape(len(X), -1)


def given_probabilities(**params):
    return MarginNoiseInjector(
        estimator=FeaturesAreProbabilities(), random_state=0, **params
    )


def table(n_samples=300, n_classes=4, seed=0, agreement=0.8):
    """Return random probabilities and labels that mostly are the likeliest class."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(n_classes), size=n_samples).astype(np.float32)
    y = rng.integers(n_classes, size=n_samples)
    y = np.where(rng.random(n_samples) < agreement, P.argmax(axis=1), y)
    y[:n_classes] = np.arange(n_classes)
    return P, y


def label_probabilities(P, noise_type, factor):
    """Return the distribution of each row's label, from the formulas, row by row."""
    distribution = np.zeros(P.shape)
    for i, row in enumerate(P.tolist()):
        second, first = sorted(range(len(row)), key=lambda c: row[c])[-2:]
        # Exact: of a small share 1 - tau would keep few digits, which a small factor
        # shows.
        d = Fraction(row[first]) - Fraction(row[second])
        tau = {"I": (1 - d**2) / 2, "II": 1 - d**3, "III": 1 - (d**3 + d**2 + d) / 3}
        keep = min(max(float(1 - tau[noise_type]) / factor, 0), 1)
        distribution[i, first] = keep
        distribution[i, second] = 1 - keep
    return distribution


def expected_rate(P, y, noise_type, factor):
    kept = label_probabilities(P, noise_type, factor)[np.arange(len(y)), y]
    return 1 - kept.mean()


# The distribution of the labels


@every_type
@pytest.mark.parametrize("factor", [0.3, 0.8, 1.0, 1.43, 3.4])
def test_probabilities_of_the_choice_are_those_of_the_formulas(noise_type, factor):
    P, y = table()
    injector = given_probabilities(noise_type=noise_type, factor=factor).fit(P, y)
    first, second, shares = injector._choices(P)
    distribution = label_probabilities(P, noise_type, factor)
    kept = np.minimum(shares / injector.factor_, 1)
    rows = np.arange(len(P))
    assert_allclose(kept, distribution[rows, first], rtol=1e-7, atol=1e-12)
    assert_allclose(1 - kept, distribution[rows, second], rtol=1e-7, atol=1e-12)


@every_type
@pytest.mark.parametrize("factor", [0.5, 1.43])
def test_labels_of_equal_rows_have_the_frequencies_of_the_formulas(noise_type, factor):
    rows = np.array([[0.5, 0.3, 0.2], [0.1, 0.0, 0.9], [0.2, 0.42, 0.38]])
    n = 20_000
    P, y = np.repeat(rows, n, axis=0), np.repeat([0, 2, 1], n)
    injector = given_probabilities(noise_type=noise_type, factor=factor)
    y_noisy = injector.fit_resample(P, y)[1]
    p = label_probabilities(rows, noise_type, factor)
    found = np.array(
        [np.bincount(part, minlength=3) / n for part in y_noisy.reshape(3, n)]
    )
    # 5 binomial standard errors, and rounding to float32
    assert (np.abs(found - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-6).all()


def test_rows_at_a_boundary_always_move_by_type_II_and_sure_rows_never():
    P = np.array([[0.5, 0.5, 0.0]] * 200 + [[0.0, 1.0, 0.0]] * 200)
    y = np.repeat([0, 1], 200)
    P, y = np.vstack([P, [[0, 0, 1.0]]]), np.append(y, 2)
    moved = given_probabilities(noise_type="II", factor=1.0).fit_resample(P, y)[1]
    # Equal probabilities: the first class counts as the likeliest.
    assert (moved[:200] == 1).all()
    assert_array_equal(moved[200:], y[200:])


def test_the_likeliest_class_counts_and_not_the_label_of_y():
    P = np.tile([[0.9, 0.06, 0.04]], (300, 1))
    y = np.arange(300) % 3
    injector = given_probabilities(factor=0.5)  # keeps every row
    moved = injector.fit_resample(P, y)[1]
    assert_array_equal(moved, 0)
    assert injector.noise_rate_ == 2 / 3


def test_a_row_gets_one_of_its_two_likeliest_classes():
    P, y = table()
    first_two = np.argsort(P, axis=1)[:, -2:]
    moved = given_probabilities(factor=2.0).fit_resample(P, y)[1]
    assert (moved[:, None] == first_two).any(axis=1).all()


# The factor


@pytest.mark.slow
@given(
    seed=st.integers(0, 10_000),
    n_classes=st.integers(2, 5),
    agreement=st.floats(0, 1),
    noise_type=st.sampled_from(TYPES),
    factor=st.floats(0.05, 20),
)
@example(seed=120, n_classes=4, agreement=0.0, noise_type="II", factor=1.0)
@examples(60)
def test_factor_is_the_smallest_that_reaches_the_rate(
    seed, n_classes, agreement, noise_type, factor
):
    P, y = table(40, n_classes, seed, agreement)
    rate = expected_rate(P, y, noise_type, factor)
    injector = given_probabilities(noise_rate=rate, noise_type=noise_type).fit(P, y)
    assert_allclose(
        expected_rate(P, y, noise_type, injector.factor_), rate, atol=1e-7, rtol=0
    )
    # The rate may rise and fall with the factor, so a given one need not be found.
    smaller = np.linspace(0, min(injector.factor_, 20), 50)[1:-1]
    off = [expected_rate(P, y, noise_type, f) - rate for f in smaller]
    assert np.min(off, initial=0) > -1e-7 or np.max(off, initial=0) < 1e-7


def test_a_rate_that_rises_and_falls_is_reached_at_its_first_factor():
    # The labels of four rows turn wrong from the factor 0.505 on, those of five that
    # were wrong turn right from 0.905 on.
    P = np.array([[0.55, 0.45]] * 4 + [[0.95, 0.05]] * 5 + [[0.05, 0.95]])
    y = np.array([0] * 4 + [1] * 6)
    rates = [expected_rate(P, y, "I", f) for f in (0.505, 0.905, 1.6, 1e9)]
    assert_allclose(rates, [0.5, 0.5 + 0.16 / 0.905, 0.6, 0.5], rtol=1e-7)
    injector = given_probabilities(noise_rate=0.6).fit(P, y)
    # 0.5 + 0.4 * (1 - 0.505 / f) = 0.6
    assert injector.factor_ == pytest.approx(0.505 / 0.75, rel=1e-6)


@pytest.fixture(scope="module")
def default_on_digits():
    """Return the estimator that the injector fits by default."""
    X, y = load_digits(return_X_y=True)
    return FrozenEstimator(MarginNoiseInjector(random_state=0).fit(X, y).estimator_)


@pytest.mark.fast_cases(1)
@every_type
@pytest.mark.parametrize("noise_rate", [0.2, 0.35, 0.7])
def test_realised_rate_is_the_set_one_on_digits(
    noise_type, noise_rate, default_on_digits
):
    X, y = load_digits(return_X_y=True)
    injector = MarginNoiseInjector(
        noise_rate, noise_type=noise_type, estimator=default_on_digits, random_state=0
    )
    y_noisy = injector.fit_resample(X, y)[1]
    # The labels are independent draws: 4 binomial standard errors at most.
    margin = 4 * np.sqrt(noise_rate * (1 - noise_rate) / len(y))
    assert abs(np.mean(y_noisy != y) - noise_rate) < margin
    assert injector.noise_rate_ == np.mean(y_noisy != y)
    assert_array_equal(injector.noise_mask_, y_noisy != y)
    assert_array_equal(
        injector.transition_matrix_, empirical_transition_matrix(y, y_noisy, 10)
    )


@pytest.mark.slow
def test_digits_that_change_look_like_the_digit_they_become():
    X, y = load_digits(return_X_y=True)
    injector = MarginNoiseInjector(0.2, noise_type="II", random_state=0)
    y_noisy = injector.fit_resample(X, y)[1]
    wrong = injector.noise_mask_
    judge = LogisticRegression(C=0.01, max_iter=1000).fit(X / 16, y)
    P = judge.predict_proba(X / 16)
    given_share = P[wrong, y_noisy[wrong]] / (1 - P[wrong, y[wrong]])
    # Symmetric noise gives 1 / 9, this 0.218 to 0.228 with ten seeds.
    assert given_share.mean() > 0.18
    top = np.sort(P, axis=1)
    margin = top[:, -1] - top[:, -2]
    # Symmetric noise gives no difference, this 0.115 to 0.135 with ten seeds.
    assert margin[wrong].mean() < margin[~wrong].mean() - 0.07


def test_rate_1_gives_every_row_its_second_class_by_an_infinite_factor():
    P, y = table(agreement=1)
    y = P.argmax(axis=1)
    injector = given_probabilities(noise_rate=1).fit(P, y)
    assert injector.factor_ == np.inf
    assert_array_equal(injector.corrupt(P, y), np.argsort(P, axis=1)[:, -2])


@every_type
def test_rate_0_changes_nothing(noise_type):
    P, _ = table()
    y = P.argmax(axis=1)
    injector = given_probabilities(noise_rate=0, noise_type=noise_type)
    assert_array_equal(injector.fit_resample(P, y)[1], y)


def test_rows_without_any_margin_are_all_moved_by_type_II():
    P = np.tile([[0.5, 0.5]], (10, 1))
    y = np.array([0, 1] * 5)
    injector = given_probabilities(noise_rate=0.5, noise_type="II").fit(P, y)
    assert_array_equal(injector.corrupt(P, y), 1)


def test_a_margin_whose_cube_is_next_to_nothing_does_no_harm():
    P = np.array([[1e-105, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    X, y = P.astype(np.float64), np.array([0, 1, 0, 1])

    class Tiny(FeaturesAreProbabilities):
        def predict_proba(self, X):
            return P

    injector = MarginNoiseInjector(0.5, noise_type="II", estimator=Tiny()).fit(X, y)
    # One row surely wrong, three of share 1: 1/4 + 3/4 * (1 - 1 / f) = 1/2
    assert injector.factor_ == pytest.approx(1.5)
    # A factor that kept the first row would be 1e-315, and its inverse infinite.
    with pytest.raises(ValueError, match=r"lies between 0\.25 and 1\."):
        injector.set_params(noise_rate=0.1).fit(X, y)


def test_given_factor_is_used_and_noise_rate_is_not():
    P, y = table()
    labels = [
        given_probabilities(noise_rate=rate, factor=1.43).fit_resample(P, y)[1]
        for rate in (0.01, 0.99)
    ]
    assert_array_equal(*labels)
    assert given_probabilities(factor=2).fit(P, y).factor_ == 2.0


def test_more_labels_change_as_the_factor_grows():
    P, _ = table()
    y = P.argmax(axis=1)
    masks = []
    for factor in (0.7, 1.0, 1.43, 3.4):
        injector = given_probabilities(factor=factor)
        injector.fit_resample(P, y)
        masks.append(injector.noise_mask_)
    for smaller, larger in pairwise(masks):
        # The same random numbers: the rows that changed stay changed.
        assert (larger | ~smaller).all() and larger.sum() > smaller.sum()


@pytest.mark.parametrize(
    ("noise_rate", "y", "message"),
    [
        (0.35, [0, 1] * 5, r"noise_rate=0\.35 .* lies between 0\.5 and 0\.5\. Choose"),
        (0.1, [0] * 7 + [1] * 3, r"noise_rate=0\.1 .* lies between 0\.3 and 0\.7\."),
        (0.8, [0] * 7 + [1] * 3, r"noise_rate=0\.8 .* lies between 0\.3 and 0\.7\."),
    ],
)
def test_rates_out_of_reach_are_refused_with_the_range(noise_rate, y, message):
    P = np.tile([[0.9, 0.1]], (10, 1))
    with pytest.raises(ValueError, match=message):
        given_probabilities(noise_rate=noise_rate).fit(P, y)


# The estimator


def test_estimator_is_cloned_and_fitted_on_the_clean_labels():
    P, y = table()
    names = np.array(["ant", "bee", "cat", "dog"])[y]
    estimator = LogisticRegression()
    injector = MarginNoiseInjector(factor=1.4, estimator=estimator).fit(P, names)
    assert not hasattr(estimator, "classes_")
    plain = LogisticRegression().fit(P, names)
    assert_allclose(injector.estimator_.coef_, plain.coef_, rtol=1e-5)
    assert injector.estimator_.classes_.tolist() == ["ant", "bee", "cat", "dog"]


def test_frozen_estimator_is_used_as_it_is():
    X, y = load_digits(return_X_y=True)
    X = X / 16
    fitted = LogisticRegression(max_iter=1000).fit(X[:900], y[:900])
    coef = fitted.coef_.copy()
    injector = MarginNoiseInjector(estimator=FrozenEstimator(fitted), random_state=0)
    injector.fit_resample(X[900:], y[900:])
    assert injector.estimator_.estimator is fitted
    assert_array_equal(fitted.coef_, coef)
    P = fitted.predict_proba(X[900:].astype(np.float32))
    rate = expected_rate(P, y[900:], "I", injector.factor_)
    assert rate == pytest.approx(0.35, abs=1e-5)


def test_frozen_estimator_keeps_its_random_state():
    P, y = table()
    forest = RandomForestClassifier(n_estimators=3).fit(P, y)
    given_probabilities(factor=1.4).set_params(estimator=FrozenEstimator(forest)).fit(
        P, y
    )
    assert forest.random_state is None


@pytest.mark.slow
def test_unset_seeds_of_the_estimator_come_from_random_state():
    P, y = table(agreement=0.3)
    forest = RandomForestClassifier(n_estimators=5)
    injector = MarginNoiseInjector(
        factor=1.4, estimator=make_pipeline(StandardScaler(), forest), random_state=0
    )
    first, again = (clone(injector).fit(P, y).estimator_ for _ in range(2))
    assert_array_equal(first.predict_proba(P), again.predict_proba(P))
    other = clone(injector).set_params(random_state=1).fit(P, y).estimator_
    assert (first.predict_proba(P) != other.predict_proba(P)).any()
    assert forest.random_state is None
    fixed = clone(injector).set_params(estimator=RandomForestClassifier(random_state=7))
    assert fixed.fit(P, y).estimator_.random_state == 7


@pytest.mark.slow
def test_default_estimator_ranks_all_classes_of_every_row():
    X, y = load_digits(return_X_y=True)
    injector = MarginNoiseInjector(factor=1.4, random_state=0).fit(X, y)
    P = np.sort(injector.estimator_.predict_proba(X), axis=1)
    assert (P[:, -2] > P[:, -3]).all() and (P[:, -3] > 0).all()
    assert (injector.estimator_.predict(X) == y).mean() > 0.99


def test_default_estimator_reaches_its_rate_even_on_labels_without_a_pattern():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 4)), rng.integers(2, size=100)
    injector = MarginNoiseInjector(random_state=0)
    injector.fit_resample(X, y)
    assert abs(injector.noise_rate_ - 0.35) < 4 * np.sqrt(0.35 * 0.65 / 100)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_images_reach_the_estimator_as_they_are_and_the_default_one_flat(dtype):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 4
    images = (rng.random((60, 1, 2, 2)) + np.eye(4)[y].reshape(60, 1, 2, 2)) * 100
    images = images.astype(dtype)
    injector = given_probabilities(factor=1.4).fit(images, y)
    assert injector.estimator_.shape_ == (60, 1, 2, 2)
    default = MarginNoiseInjector(factor=1.4, random_state=0)
    flat = images.reshape(60, 4).astype(np.float32)
    expected = default.fit_resample(flat, y)[1]
    if dtype == np.float32:
        assert_array_equal(default.fit_resample(images, y)[1], expected)
    else:
        assert default.fit_resample(images, y)[1].shape == y.shape


def test_corrupt_uses_the_fitted_estimator_and_factor_on_new_rows():
    P, y = table(600)
    injector = given_probabilities(noise_rate=0.4).fit(P[:300], y[:300])
    factor = injector.factor_
    new = injector.corrupt(P[300:], y[300:])
    assert injector.factor_ == factor
    assert injector.estimator_.shape_ == (300, 4)
    p = label_probabilities(P[300:], "I", factor)
    assert (p[np.arange(300), new] > 0).all()
    expected = expected_rate(P[300:], y[300:], "I", factor)
    spread = np.sqrt((p.max(axis=1) * (1 - p.max(axis=1))).sum()) / 300
    assert abs(np.mean(new != y[300:]) - expected) < 5 * spread


@pytest.mark.slow
def test_new_rows_of_the_default_estimator_are_noisier():
    X, y = load_digits(return_X_y=True)
    injector = MarginNoiseInjector(0.35, random_state=0).fit(X[::2], y[::2])
    # 0.408 to 0.450 with ten random halves
    assert np.mean(injector.corrupt(X[1::2], y[1::2]) != y[1::2]) > 0.37


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (
            FrozenEstimator(LogisticRegression().fit([[0.0] * 4, [1.0] * 4], [0, 5])),
            r"fitted on the classes \[0, 5\], but y has \[0, 1, 2, 3\]",
        ),
        (
            FrozenEstimator(LogisticRegression().fit(np.eye(4), ["0", "1", "2", "3"])),
            r"fitted on the classes \['0', '1', '2', '3'\], but y has \[0, 1, 2, 3\]",
        ),
    ],
)
def test_estimators_of_other_classes_are_refused(estimator, message):
    with pytest.raises(ValueError, match=message):
        MarginNoiseInjector(estimator=estimator).fit(*table())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda P: P[:, :3], r"of shape \(300, 4\); got shape \(300, 3\)"),
        (lambda P: P * np.nan, r"got shape \(300, 4\), of which 0 are finite"),
        (lambda P: P[:, 0], r"got shape \(300,\)"),
    ],
)
def test_estimators_without_proper_probabilities_are_refused(damage, message):
    class Damaged(FeaturesAreProbabilities):
        def predict_proba(self, X):
            return damage(X)

    with pytest.raises(ValueError, match=message):
        MarginNoiseInjector(estimator=Damaged()).fit(*table())


# What all injectors promise


def test_other_rows_with_the_same_labels_get_a_draw_of_their_own():
    y = np.zeros(4000, dtype=int)
    y[0] = 1
    P = np.tile([[0.6, 0.4]], (4000, 1))
    injector = given_probabilities(factor=1.0).fit(P, y)
    first, second = (injector.corrupt(P + d, y) == 1 for d in (0, [0.001, -0.001]))
    chance = first.mean() * second.mean()
    together = (first & second).mean()
    assert abs(together - chance) < 5 * np.sqrt(chance * (1 - chance) / len(y))


@pytest.mark.slow
def test_frames_and_series():
    X, y = table()
    names = np.array(["ant", "bee", "cat", "dog"])[y]
    columns = list("abcd")
    injector = MarginNoiseInjector(0.4, random_state=0)
    expected = clone(injector).fit_resample(X, names)[1]
    series = pd.Series(names, index=np.arange(300)[::-1], name="animal")
    frame = pd.DataFrame(X, columns=columns)
    X_same, noisy = injector.fit_resample(frame, series)
    assert X_same is frame
    pd.testing.assert_series_equal(
        noisy,
        pd.Series(expected, index=series.index, name="animal", dtype=series.dtype),
    )
    assert injector.feature_names_in_.tolist() == columns
    noisy = injector.fit_resample(pl.DataFrame(X, schema=columns), pl.Series(names))[1]
    assert noisy.to_list() == expected.tolist()


def test_x_and_the_probabilities_of_the_estimator_are_not_changed():
    P, y = table()
    P.flags.writeable = False
    given_probabilities(factor=1.4).fit_resample(P, y)
    MarginNoiseInjector(factor=1.4, random_state=0).fit_resample(P, y)
    stored = P.astype(np.float64)
    stored.flags.writeable = False

    class Stored(FeaturesAreProbabilities):
        def predict_proba(self, X):
            return stored

    MarginNoiseInjector(factor=1.4, estimator=Stored()).fit_resample(P, y)


def test_changing_estimator_after_fit_changes_nothing_until_the_next():
    images = np.random.default_rng(0).random((40, 1, 4, 4)).astype(np.float32)
    y = np.arange(40) % 2
    injector = MarginNoiseInjector(factor=1.4, random_state=0).fit(images, y)
    before = injector.corrupt(images, y)
    injector.set_params(estimator=FeaturesAreProbabilities(), factor=9.0)
    assert_array_equal(injector.corrupt(images, y), before)


def test_bad_rows_and_labels_are_refused():
    X, y = table(20)
    injector = MarginNoiseInjector(0.4)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        injector.corrupt(X, y)
    with pytest.raises(ValueError, match="requires y to be passed"):
        injector.fit(X, None)
    with pytest.raises(ValueError, match="only one class"):
        injector.fit(X, np.zeros(20, dtype=int))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        injector.fit(np.where(X > 0.9, np.nan, X * np.nan), y)
    injector.fit(X, y)
    with pytest.raises(ValueError, match=r"unknown labels: \[7\]; known labels are"):
        injector.corrupt(X[:2], [0, 7])
    with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 4"):
        injector.corrupt(X[:, :3], y)


@pytest.mark.parametrize(("n_classes", "parts"), [(100, 2), (101, 1)])
def test_many_classes_get_no_forest(n_classes, parts):
    injector = MarginNoiseInjector(random_state=0)
    injector.classes_, injector._seed = np.arange(n_classes), 0
    injector._fit_model(None)
    names = [name for name, _ in injector.estimator_.estimators]
    assert names == ["linear", "forest"][:parts]
