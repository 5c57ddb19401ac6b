"""Contracts of scikit-learn and of ours, on every public estimator.

`public_estimators` finds them, and says with which parameters they are tried.
"""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from fitted_state import assert_same_arrays, learnt_arrays
from public_estimators import (
    DETECTORS,
    ESTIMATORS,
    INJECTORS,
    NETS,
    ON_IMAGES,
    ROBUST,
    SCORERS,
    instances,
    label,
)
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

import sknoisy
from sknoisy import (
    AUMDetector,
    AutoNoiseDetector,
    BetaMixture,
    CleanedClassifier,
    DynaCorDetector,
    FINEDetector,
    LossMixtureDetector,
    NetClassifier,
)
from sknoisy.base import NoiseDetectorMixin, NoiseInjectorMixin, NoiseScoresMixin
from sknoisy.nets import PreActResNet

# In these modes scikit-learn's checks fail for its own estimators of the kind, too.
UNCHECKED_MODES = {
    BetaMixture: {"enable_metadata_routing": False},
    CleanedClassifier: {"array_api_dispatch": False},
}


@pytest.mark.parametrize(
    ("estimator", "expected"), ESTIMATORS, ids=[label(e) for e, _ in ESTIMATORS]
)
@pytest.mark.fast_cases(3)
@pytest.mark.usefixtures("default_output")
def test_scikit_learn_contract(estimator, expected, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    modes = UNCHECKED_MODES.get(type(estimator), {})
    with warnings.catch_warnings(), sklearn.config_context(**modes):
        # scikit-learn's data for its own checks overflow float32 on purpose.
        warnings.filterwarnings("ignore", message=".*encountered in cast")
        warnings.filterwarnings("ignore", message=".*losses are too few")
        warnings.filterwarnings("ignore", message="the losses cannot be split")
        warnings.filterwarnings("ignore", message="the mixture finds no second")
        warnings.filterwarnings("ignore", message="candidates that failed are")
        warnings.filterwarnings("ignore", message="the refurbished labels have coll")
        results = check_estimator(
            clone(estimator), expected_failed_checks=expected, on_skip=None
        )
    by_status = {}
    for result in results:
        by_status.setdefault(result["status"], []).append(result["check_name"])
    assert by_status.get("xfail", []) == list(expected)
    assert set(by_status) <= {"passed", "xfail"}, by_status


FITTED = {}


@pytest.fixture
def fitted(detector, blobs):
    """Return the detector fitted on the blobs: once for all tests, which only read."""
    if id(detector) not in FITTED:
        X, y, _ = blobs
        FITTED[id(detector)] = clone(detector)
        assert FITTED[id(detector)].fit(X, y) is FITTED[id(detector)]
    return FITTED[id(detector)]


@pytest.mark.parametrize("detector", SCORERS, ids=label)
class TestNoiseScoresContract:
    @pytest.mark.fast_cases(3)
    def test_fitted_attributes(self, detector, fitted, blobs):
        _, y, _ = blobs
        n_samples = len(y)
        scores = fitted.noise_scores_
        assert scores.shape == (n_samples,) and scores.dtype == np.float64
        assert ((scores >= 0) & (scores <= 1)).all()
        assert fitted.noise_mask_.dtype == bool
        assert isinstance(fitted.noise_rate_, float)
        assert fitted.suggested_labels_.shape == (n_samples,)
        assert set(fitted.suggested_labels_) <= set(fitted.classes_)
        np.testing.assert_array_equal(fitted.suggested_labels_ != y, fitted.noise_mask_)
        np.testing.assert_array_equal(fitted.predict_noisy(), fitted.noise_mask_)
        ranking = fitted.ranking()
        assert sorted(ranking) == list(range(n_samples))
        assert (np.diff(scores[ranking]) <= 0).all()
        if fitted._mask_is_threshold:
            np.testing.assert_array_equal(fitted.noise_mask_, scores > 0.5)

    def test_it_finds_the_wrong_labels_of_three_blobs(self, fitted, blobs):
        from sklearn.metrics import roc_auc_score

        _, _, is_noisy = blobs
        # A broken orientation gives below 0.1, random scores 0.5.
        assert roc_auc_score(is_noisy, fitted.noise_scores_) > 0.9
        flagged = fitted.noise_mask_
        assert (flagged & is_noisy).sum() / is_noisy.sum() > 0.7
        assert (flagged & ~is_noisy).sum() / (~is_noisy).sum() < 0.2

    @pytest.mark.fast_cases(3)
    def test_the_same_seed_gives_the_same_bits(self, detector, fitted, blobs):
        X, y, _ = blobs
        with torch.random.fork_rng():
            torch.manual_seed(3)
            again = clone(detector).fit(X, y)
        assert_same_arrays(fitted, again)
        other = clone(detector).set_params(random_state=1).fit(X, y)
        # The start of its mixtures is drawn, and forgotten where they are clear.
        if not isinstance(detector, FINEDetector):
            assert (fitted.noise_scores_ != other.noise_scores_).any()

    @pytest.mark.fast_cases(3)
    def test_a_second_fit_forgets_the_first(self, detector, fitted, blobs):
        X, y, _ = blobs
        twice = clone(detector).fit(X[::-1], y[::-1]).fit(X, y)
        assert_same_arrays(fitted, twice)

    @pytest.mark.fast_cases(3)
    def test_renaming_the_classes_changes_no_flag(self, detector, fitted, blobs):
        X, y, _ = blobs
        names = np.array(["ant", "bee", "cat"])
        named = clone(detector).fit(X, names[y])
        arrays = learnt_arrays(named).items()
        in_labels = [name for name, array in arrays if array.dtype.kind == "U"]
        assert_same_arrays(fitted, named, but=in_labels)
        np.testing.assert_array_equal(
            names[fitted.suggested_labels_], named.suggested_labels_
        )
        assert named.classes_.tolist() == names.tolist()

    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
    def test_frames(self, detector, fitted, blobs, frame):
        X, y, _ = blobs
        columns = ["a", "b", "c", "d"]
        named = frame(dict(zip(columns, X.T, strict=True)))
        of_frame = clone(detector).fit(named, y)
        assert of_frame.feature_names_in_.tolist() == columns
        np.testing.assert_array_equal(of_frame.noise_scores_, fitted.noise_scores_)

    @pytest.mark.fast_cases(3)
    def test_last_step_of_a_pipeline(self, detector, blobs):
        X, y, _ = blobs
        names = np.array(["ant", "bee", "cat"])[y]
        table = pd.DataFrame(X.astype(np.float64), columns=list("abcd"))
        pipe = make_pipeline(StandardScaler(), clone(detector)).fit(table, names)
        assert pipe[-1].predict_noisy().shape == (len(y),)

    @pytest.mark.fast_cases(3)
    def test_nothing_global_changes(self, detector, blobs):
        X, y, _ = blobs
        X_before, y_before = X.copy(), y.copy()
        state = (
            np.append(*np.random.get_state()[1:3]),
            torch.random.get_rng_state(),
            torch.get_num_threads(),
            torch.get_default_dtype(),
            list(warnings.filters),
        )
        clone(detector).fit(X, y)
        global_draws = np.append(*np.random.get_state()[1:3])
        np.testing.assert_array_equal(global_draws, state[0])
        assert torch.equal(torch.random.get_rng_state(), state[1])
        assert (torch.get_num_threads(), torch.get_default_dtype()) == state[2:4]
        assert warnings.filters == state[4]
        np.testing.assert_array_equal(X, X_before)
        np.testing.assert_array_equal(y, y_before)

    def test_pickle(self, detector, fitted):
        again = pickle.loads(pickle.dumps(fitted))
        assert_same_arrays(fitted, again)
        np.testing.assert_array_equal(again.predict_noisy(), fitted.predict_noisy())
        assert again.get_params().keys() == fitted.get_params().keys()

    def test_not_fitted(self, detector):
        for method in ("predict_noisy", "ranking"):
            with pytest.raises(NotFittedError, match="not fitted"):
                getattr(clone(detector), method)()


# None of them is ever fitted: all variants, those that hold a classifier included.
@pytest.mark.parametrize(
    "detector",
    instances("contract", "detector", "robust classifier", "competition"),
    ids=label,
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (np.where(X == X[0, 0], np.nan, X), y), "NaN"),
        (lambda X, y: (np.where(X == X[0, 0], np.inf, X), y), "infinity"),
        (lambda X, y: (X, np.zeros(len(y))), r"only one class, 0\.0; {name} "),
        (lambda X, y: (X[:-1], y), "inconsistent numbers of samples"),
        (lambda X, y: (X, y + 0.5), "Unknown label type"),
        (lambda X, y: (X, np.where(np.arange(180), y, np.nan)), "missing label"),
        (lambda X, y: (X, None), "{name} requires y to be passed"),
        (lambda X, y: (X[:, 0], y), "2D array"),
    ],
)
def test_bad_input_is_refused(detector, blobs, change, message):
    X, y, _ = blobs
    X, y = change(X, y)
    takes_nan = get_tags(detector).input_tags.allow_nan
    if takes_nan and message in ("NaN", "infinity"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            scores = clone(detector).fit(X, y).noise_scores_
        assert np.isfinite(scores).all()
        return
    with pytest.raises(ValueError, match=message.format(name=label(detector))):
        clone(detector).fit(X, y)


@pytest.mark.parametrize("detector", NETS, ids=label)
class TestNetScoresContract:
    @pytest.mark.parametrize(
        ("shape", "message"),
        [((180, 8, 8, 3), r"X.transpose\(0, 3, 1, 2\)"), ((180, 8, 8), "module=")],
    )
    def test_odd_shapes_are_refused_with_advice(self, detector, blobs, shape, message):
        with pytest.raises(ValueError, match=message):
            clone(detector).fit(np.zeros(shape), blobs[1])

    def test_sparse_input_is_refused_with_advice(self, detector, blobs):
        from scipy.sparse import csr_array

        X, y, _ = blobs
        with pytest.raises(TypeError, match="TruncatedSVD"):
            clone(detector).fit(csr_array(X), y)

    def test_typos_are_named_at_fit(self, detector, blobs):
        X, y, _ = blobs
        is_nested = getattr(detector, "estimator", None) is not None
        nested = "estimator__module__hiden" if is_nested else "module__hiden"
        broken = clone(detector).set_params(**{nested: 3})
        with pytest.raises(ValueError, match=r"module__hiden.*hidden"):
            broken.fit(X, y)
        for typo in ("modul__hidden", "colour"):
            message = rf"(takes no|unexpected argument\(s\)) {typo}\b"
            with pytest.raises(ValueError, match=message):
                type(detector)(**{typo: 3}).fit(X, y)


@pytest.mark.parametrize("classifier", ROBUST, ids=label)
@pytest.mark.parametrize(
    "params", [{"criterion": torch.nn.MSELoss}, {"criterion__weight": None}]
)
def test_robust_classifiers_refuse_another_criterion(classifier, blobs, params):
    X, y, _ = blobs
    (name,) = params
    with pytest.raises(ValueError, match=f"{name} would have no effect"):
        clone(classifier).set_params(**params).fit(X, y)


class Conv(nn.Module):
    """A network that has no `embed` and no `head`."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.conv = nn.Conv2d(input_shape[0], 4, 3, stride=2)
        self.last = nn.Linear(4, n_classes)

    def forward(self, X):
        return self.last(self.conv(X).relu().mean((2, 3)))


SMALL_NETS = {
    "residual": {"module": PreActResNet, "module__blocks": (1, 1), "module__width": 4},
    "conv": {"module": Conv},
}


@pytest.mark.fast_cases(3)
@pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
@pytest.mark.parametrize("make", ON_IMAGES)
@pytest.mark.parametrize("net", SMALL_NETS.values(), ids=SMALL_NETS.keys())
@pytest.mark.parametrize("side", [8, 16])
def test_images_of_bytes_and_of_floats(make, net, side):
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 1, 2], 20))
    X = rng.integers(0, 100, (60, 3, side, side)) + 50 * y[:, None, None, None]
    X, names = X.astype(np.uint8), np.array(["ant", "bee", "cat"])
    before = X.copy()
    params = {**net, "max_epochs": 2, "batch_size": 20, "random_state": 0}
    fitted = make(**params).fit(X, names[y])
    scaled = X.astype(np.float32) / 255
    of_floats = make(**params).fit(scaled, names[y])
    again = pickle.loads(pickle.dumps(fitted))
    assert fitted.classes_.tolist() == names.tolist()
    np.testing.assert_array_equal(X, before)
    if isinstance(fitted, NoiseScoresMixin):
        assert np.isfinite(fitted.noise_scores_).all()
        np.testing.assert_array_equal(fitted.noise_scores_, of_floats.noise_scores_)
        assert fitted.predict_noisy().shape == (60,)
        assert set(fitted.suggested_labels_) <= set(names)
        np.testing.assert_array_equal(again.predict_noisy(), fitted.predict_noisy())
    if isinstance(fitted, NetClassifier):
        assert set(fitted.predict(X)) <= set(names)
        proba = fitted.predict_proba(X)
        np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)
        np.testing.assert_array_equal(of_floats.predict_proba(scaled), proba)
        np.testing.assert_array_equal(again.predict_proba(X), proba)
        assert fitted.transform(X).shape[0] == 60


# They plant wrong labels in some rows of each class, and leave others as they are.
NEED_MORE_THAN_FOUR = (AUMDetector, AutoNoiseDetector, DynaCorDetector)


@pytest.mark.parametrize("detector", DETECTORS, ids=label)
class TestDetectorContract:
    def test_step_of_an_imbalanced_learn_pipeline(self, detector, blobs):
        from imblearn.pipeline import make_pipeline as make_imblearn_pipeline

        X, y, _ = blobs
        pipe = make_imblearn_pipeline(clone(detector), LogisticRegression()).fit(X, y)
        mask = pipe[0].noise_mask_
        np.testing.assert_array_equal(pipe[0].sample_indices_, np.flatnonzero(~mask))
        plain = LogisticRegression().fit(X[~mask], y[~mask])
        np.testing.assert_allclose(pipe[-1].coef_, plain.coef_, rtol=1e-6)

    def test_a_later_fit_leaves_no_stale_sample(self, detector, blobs):
        X, y, _ = blobs
        fitted = clone(detector)
        assert not hasattr(fitted, "sample_indices_")
        fitted.fit_resample(X, y)
        fitted.fit(X[:90], y[:90])
        kept = np.flatnonzero(~fitted.noise_mask_)
        np.testing.assert_array_equal(fitted.sample_indices_, kept)

    def test_four_rows_are_judged_or_too_few(self, detector, blobs):
        X, y = blobs[0][:4], np.array([0, 1, 0, 1])
        if isinstance(detector, LossMixtureDetector):
            with pytest.warns(UserWarning, match="4 losses are too few"):
                scores = clone(detector).fit(X, y).noise_scores_
            assert ((scores >= 0) & (scores <= 1)).all()
            return
        is_relabelled = getattr(detector, "corruption", "") == "relabel"
        if is_relabelled or not isinstance(detector, NEED_MORE_THAN_FOUR):
            scores = clone(detector).fit(X, y).noise_scores_
            assert ((scores >= 0) & (scores <= 1)).all()
            return
        with pytest.raises(ValueError, match="n_samples = 4"):
            clone(detector).fit(X, y)


@pytest.mark.parametrize("injector", INJECTORS, ids=label)
class TestInjectorContract:
    @pytest.mark.fast_cases(3)
    def test_fitted_attributes(self, injector, blobs):
        X, y, _ = blobs
        fitted = clone(injector)
        X_same, y_noisy = fitted.fit_resample(X, y)
        assert X_same is X
        changed = y_noisy != y
        np.testing.assert_array_equal(fitted.noise_mask_, changed)
        assert fitted.noise_rate_ == pytest.approx(changed.mean())
        assert 0.1 < fitted.noise_rate_ < 0.5
        T = fitted.transition_matrix_
        assert T.shape == (3, 3)
        np.testing.assert_allclose(T.sum(1), 1, rtol=1e-12)
        assert fitted.classes_.tolist() == [0, 1, 2]

    @pytest.mark.fast_cases(3)
    def test_corrupt_agrees_and_sets_nothing(self, injector, blobs):
        X, y, _ = blobs
        fitted = clone(injector)
        _, y_noisy = fitted.fit_resample(X, y)
        before = pickle.dumps(vars(fitted))
        np.testing.assert_array_equal(fitted.corrupt(X, y), y_noisy)
        # Other rows get a draw of their own.
        assert (fitted.corrupt(X[::2], y[::2]) != y_noisy[::2]).any()
        assert pickle.dumps(vars(fitted)) == before

    @pytest.mark.fast_cases(3)
    def test_fit_forgets_an_earlier_fit_resample(self, injector, blobs):
        X, y, _ = blobs
        fitted = clone(injector)
        fitted.fit_resample(pd.DataFrame(X, columns=list("abcd")), y)
        once = clone(injector).fit(X, y)
        assert vars(fitted.fit(X, y)).keys() == vars(once).keys()

    @pytest.mark.fast_cases(3)
    def test_labels_keep_their_values(self, injector, blobs):
        X, y, _ = blobs
        names = np.array(["ant", "bee", "cat"])[y]
        names = pd.Series(names, index=np.arange(180)[::-1], name="kind")
        fitted = clone(injector)
        _, noisy = fitted.fit_resample(X, names)
        assert isinstance(noisy, pd.Series) and noisy.name == "kind"
        assert noisy.index.equals(names.index)
        pd.testing.assert_series_equal(fitted.corrupt(X, names), noisy)
        assert set(noisy) == {"ant", "bee", "cat"}
        _, codes = clone(injector).fit_resample(X, y)
        np.testing.assert_array_equal(np.unique(noisy, return_inverse=True)[1], codes)

    def test_scikit_learn_pipelines_refuse_it(self, injector, blobs):
        X, y, _ = blobs
        with pytest.raises(TypeError, match="should be transformers"):
            make_pipeline(clone(injector), LogisticRegression()).fit(X, y)

    @pytest.mark.fast_cases(3)
    def test_the_same_seed_gives_the_same_labels(self, injector, blobs):
        X, y, _ = blobs
        first, again = (clone(injector).fit_resample(X, y)[1] for _ in range(2))
        np.testing.assert_array_equal(first, again)
        fitted = clone(injector).fit(X, y)
        np.testing.assert_array_equal(fitted.corrupt(X, y), first)
        pickled = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(pickled.corrupt(X, y), first)
        other = clone(injector).set_params(random_state=1).fit_resample(X, y)[1]
        assert (first != other).any()

    @pytest.mark.fast_cases(3)
    def test_without_a_seed_fits_differ_and_a_generator_is_drawn_from(
        self, injector, blobs
    ):
        X, y, _ = blobs
        fitted = clone(injector).set_params(random_state=None).fit(X, y)
        first = fitted.corrupt(X, y)
        np.testing.assert_array_equal(fitted.corrupt(X, y), first)
        assert (fitted.fit(X, y).corrupt(X, y) != first).any()
        drawn = [
            clone(injector)
            .set_params(random_state=np.random.RandomState(0))
            .fit_resample(X, y)[1]
            for _ in range(2)
        ]
        np.testing.assert_array_equal(*drawn)

    @pytest.mark.fast_cases(3)
    def test_no_global_generator_moves(self, injector, blobs):
        X, y, _ = blobs
        before = np.append(*np.random.get_state()[1:3])
        clone(injector).fit_resample(X, y)
        clone(injector).set_params(random_state=None).fit_resample(X, y)
        np.testing.assert_array_equal(np.append(*np.random.get_state()[1:3]), before)


JUDGES = [e for e, _ in ESTIMATORS if isinstance(e, NoiseScoresMixin)]


@pytest.mark.fast_cases(3)
@pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
@pytest.mark.parametrize("estimator", [NetClassifier(), *JUDGES], ids=label)
def test_a_fit_is_silent_by_default(estimator, blobs, capfd):
    X, y, _ = blobs
    clone(estimator).fit(X, y)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("estimator", SCORERS, ids=label)
def test_verbose_is_a_parameter_and_off(estimator):
    assert type(estimator)().get_params()["verbose"] == 0


def test_public_names_resolve_and_unknown_ones_do_not():
    for name in sknoisy.__all__:
        assert getattr(sknoisy, name).__name__ == name
    assert set(sknoisy.__all__) <= set(dir(sknoisy))
    assert len(dir(sknoisy)) == len(set(dir(sknoisy)))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        sknoisy.nothing  # noqa: B018


def test_detectors_are_no_injectors_and_tags_require_y():
    for estimator, _ in ESTIMATORS:
        if isinstance(estimator, NoiseDetectorMixin | NoiseInjectorMixin):
            assert estimator.__sklearn_tags__().target_tags.required
