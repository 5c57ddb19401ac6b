"""Stages of boosting and of partial_fit: margins and losses against refits."""

import numpy as np
import pytest
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from imblearn.under_sampling import RandomUnderSampler
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
)
from sklearn.linear_model import LogisticRegression, Perceptron, SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import NetClassifier
from sknoisy.detection._dynamics._stages import (
    learns_in_passes,
    learns_in_stages,
    record_stages,
)

STUMPS = GradientBoostingClassifier(n_estimators=4, max_depth=1, random_state=0)
TREES = HistGradientBoostingClassifier(
    max_iter=4, max_leaf_nodes=4, min_samples_leaf=5, early_stopping=False
)
ADA = AdaBoostClassifier(n_estimators=4, random_state=0)
SGD = SGDClassifier(loss="log_loss", random_state=0)
NET = MLPClassifier((8,), random_state=0)


def read(estimator, X, codes, signal="margin", splits=None, n_classes=3, **params):
    how = {"n_classes": n_classes, "signal": signal, "n_passes": 3, **params}
    return record_stages(clone(estimator), X, codes, splits, **how)


def margins(values, codes):
    """Margins by hand, from decision values of two or more classes."""
    if values.ndim == 1:
        values = np.stack([np.zeros(len(values)), values], axis=1)
    return np.array(
        [
            row[code] - np.delete(row, code).max()
            for row, code in zip(values, codes, strict=True)
        ]
    )


def losses(proba, codes):
    return -np.log(proba[np.arange(len(codes)), codes])


class TestBoosting:
    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize(
        ("estimator", "size"),
        [(STUMPS, "n_estimators"), (TREES, "max_iter"), (ADA, "n_estimators")],
        ids=["gradient", "histogram", "ada"],
    )
    def test_a_stage_is_a_model_of_as_many_trees(
        self, blobs, estimator, size, n_classes
    ):
        X, y, _ = blobs
        y = np.minimum(y, n_classes - 1)
        by_margin, values = read(estimator, X, y, n_classes=n_classes)
        by_loss, proba = read(estimator, X, y, "loss", n_classes=n_classes)
        assert by_margin.shape == by_loss.shape == (180, 4)
        assert by_margin.dtype == by_loss.dtype == np.float32
        refits = [clone(estimator).set_params(**{size: k}) for k in range(1, 5)]
        for stage, refit in enumerate(refits):
            refit.fit(X, y)
            expected = margins(refit.decision_function(X), y)
            np.testing.assert_allclose(by_margin[:, stage], expected, rtol=1e-5)
            expected = losses(refit.predict_proba(X), y)
            np.testing.assert_allclose(by_loss[:, stage], expected, rtol=1e-5)
        mean = np.mean([refit.predict_proba(X) for refit in refits], axis=0)
        np.testing.assert_allclose(proba, mean, rtol=1e-6)
        assert values.shape == (180, n_classes)

    def test_folds_are_predicted_by_fits_on_the_others(self, blobs):
        X, y, _ = blobs
        splits = [
            (np.arange(60, 180), np.arange(60)),
            (np.arange(60), np.arange(60, 180)),
        ]
        stages, _ = read(STUMPS, X, y, splits=splits)
        for train, test in splits:
            fitted = clone(STUMPS).fit(X[train], y[train])
            for stage, values in enumerate(fitted.staged_decision_function(X[test])):
                expected = margins(values, y[test])
                np.testing.assert_allclose(stages[test, stage], expected, rtol=1e-5)

    def test_rows_predicted_twice_have_the_mean(self, blobs):
        X, y, _ = blobs
        rows = np.arange(180)
        splits = [
            (rows[60:], rows[:60]),
            (rows[:60], rows[60:]),
            (rows[90:], rows[:60]),
        ]
        both, _ = read(STUMPS, X, y, splits=splits)
        first, _ = read(STUMPS, X, y, splits=splits[:2])
        last, _ = read(STUMPS, X, y, splits=[splits[2], splits[1]])
        np.testing.assert_allclose(both[:60], (first + last)[:60] / 2, rtol=1e-5)
        np.testing.assert_array_equal(both[60:], first[60:])

    def test_a_fold_that_stopped_early_is_filled_by_its_mean(self, blobs):
        X, y, _ = blobs
        stopping = clone(STUMPS).set_params(n_estimators=60, n_iter_no_change=1)
        rows = np.arange(180)
        splits = [(rows[90:], rows[:90]), (rows[:90], rows[90:])]
        lengths = [
            len(clone(stopping).fit(X[train], y[train]).estimators_)
            for train, _ in splits
        ]
        assert lengths[0] != lengths[1]
        stages, _ = read(stopping, X, y, splits=splits)
        assert stages.shape == (180, max(lengths))
        short = splits[int(np.argmin(lengths))][1]
        known, filled = np.split(stages[short], [min(lengths)], axis=1)
        mean = np.repeat(known.mean(1, keepdims=True), filled.shape[1], axis=1)
        np.testing.assert_allclose(filled, mean, rtol=1e-5)

    def test_a_class_that_was_not_learnt_is_as_low_as_the_lowest(self, blobs):
        X, y, _ = blobs
        train, test = np.flatnonzero(y < 2), np.flatnonzero(y == 2)
        splits = [(train, test), (test, train)]
        splits[1] = (np.arange(180), train)
        stages, _ = read(STUMPS, X, y, splits=splits)
        values = list(
            clone(STUMPS).fit(X[train], y[train]).staged_decision_function(X[test])
        )
        # Against two classes whose decision values are 0 and d.
        expected = -np.abs(np.ravel(values[0]))
        np.testing.assert_allclose(stages[test, 0], expected, rtol=1e-5)
        by_loss, proba = read(STUMPS, X, y, "loss", splits=splits)
        assert by_loss[test] == pytest.approx(-np.log(1e-7))
        np.testing.assert_allclose(proba[test, 2], 0)


class TestPasses:
    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("estimator", [SGD, Perceptron(random_state=0)], ids=str)
    def test_margins_after_each_pass(self, blobs, estimator, n_classes):
        X, y, _ = blobs
        y = np.minimum(y, n_classes - 1)
        stages, _ = read(estimator, X, y, n_classes=n_classes)
        by_hand, rng = clone(estimator), np.random.default_rng(0)
        for stage in range(3):
            order = rng.permutation(180)
            by_hand.partial_fit(X[order], y[order], classes=np.arange(n_classes))
            expected = margins(by_hand.decision_function(X), y)
            np.testing.assert_allclose(stages[:, stage], expected, rtol=1e-5)
        assert stages.shape == (180, 3)

    def test_without_decision_values_margins_are_of_logarithms(self, blobs):
        X, y, _ = blobs
        stages, _ = read(NET, X, y)
        by_loss, proba = read(NET, X, y, "loss")
        by_hand, rng, seen = clone(NET), np.random.default_rng(0), []
        for stage in range(3):
            order = rng.permutation(180)
            by_hand.partial_fit(X[order], y[order], classes=np.arange(3))
            seen.append(by_hand.predict_proba(X))
            expected = margins(np.log(seen[-1]), y)
            np.testing.assert_allclose(stages[:, stage], expected, rtol=1e-4, atol=1e-6)
            expected = losses(seen[-1], y)
            np.testing.assert_allclose(by_loss[:, stage], expected, rtol=1e-4)
        np.testing.assert_allclose(proba, np.mean(seen, axis=0), rtol=1e-5)

    def test_numbers_beyond_all_bounds_are_refused(self, blobs):
        class Lost(ClassifierMixin, BaseEstimator):
            def fit(self, X, y):
                return self

            def partial_fit(self, X, y, classes):
                self.classes_ = classes
                return self

            def decision_function(self, X):
                return np.full((len(X), len(self.classes_)), np.inf)

        X, y, _ = blobs
        with (
            np.errstate(invalid="ignore"),
            pytest.raises(ValueError, match="Lost predicts values that are infinite"),
        ):
            read(Lost(), X, y)


class Counting(TransformerMixin, BaseEstimator):
    """Standardise, and count the fits."""

    fits = 0

    def fit(self, X, y=None):
        type(self).fits += 1
        self.mean_ = X.mean(axis=0)
        return self

    def transform(self, X):
        return X - self.mean_


class TestPipelines:
    @pytest.mark.parametrize("estimator", [STUMPS, SGD], ids=["boosting", "passes"])
    def test_steps_are_fitted_once_for_each_fold(self, blobs, estimator):
        X, y, _ = blobs
        rows = np.arange(180)
        splits = [(rows[90:], rows[:90]), (rows[:90], rows[90:])]
        Counting.fits = 0
        stages, _ = read(make_pipeline(Counting(), estimator), X, y, splits=splits)
        assert Counting.fits == 2
        for train, test in splits:
            moved = X - X[train].mean(axis=0)
            alone, _ = read(estimator, moved, y, splits=[(train, test), (test, train)])
            np.testing.assert_allclose(stages[test], alone[test], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("estimator", [STUMPS, SGD], ids=["boosting", "passes"])
    def test_a_pipeline_of_one_step_is_the_step(self, blobs, estimator):
        X, y, _ = blobs
        stages, _ = read(make_pipeline(estimator), X, y)
        np.testing.assert_array_equal(stages, read(estimator, X, y)[0])

    @pytest.mark.parametrize("estimator", [STUMPS, SGD], ids=["boosting", "passes"])
    def test_rows_dropped_before_the_last_step_are_read(self, blobs, estimator):
        X, y, _ = blobs
        X, y = X[:150], np.where(np.arange(150) < 30, 0, y[:150])
        sampler = RandomUnderSampler(random_state=0)
        pipe = make_resampling_pipeline(sampler, estimator)
        stages, _ = read(pipe, X, y)
        assert stages.shape[0] == 150
        sampler.fit_resample(X, y)
        kept = sampler.sample_indices_
        alone, _ = read(estimator, X, y, splits=[(kept, np.arange(150))])
        np.testing.assert_allclose(stages, alone, rtol=1e-5)

    @pytest.mark.parametrize("estimator", [STUMPS, SGD], ids=["boosting", "passes"])
    def test_weights_are_routed_to_the_last_step(self, blobs, estimator):
        X, y, _ = blobs
        weights = np.random.default_rng(0).uniform(0.1, 2, len(y))
        params = {"sample_weight": weights}
        with config_context(enable_metadata_routing=True):
            asking = clone(estimator).set_fit_request(sample_weight=True)
            pipe = make_pipeline(Counting(), asking)
            piped, _ = read(pipe, X, y, fit_params=params)
            moved = X - X.mean(axis=0)
            alone, _ = read(asking, moved, y, fit_params=params)
        np.testing.assert_allclose(piped, alone, rtol=1e-4, atol=1e-5)
        assert (piped != read(pipe, X, y)[0]).any()


@pytest.mark.parametrize(
    ("estimator", "in_stages", "in_passes"),
    [
        (STUMPS, True, False),
        (TREES, True, False),
        (SGD, True, True),
        (make_pipeline(StandardScaler(), SGD), True, True),
        (make_pipeline(StandardScaler(), ADA), True, False),
        (LogisticRegression(), False, False),
        (make_pipeline(StandardScaler(), LogisticRegression()), False, False),
        (GradientBoostingRegressor(), False, False),
        (MiniBatchKMeans(), False, False),
        (make_pipeline(StandardScaler(), NetClassifier()), False, True),
        (SGDClassifier, False, True),
        ("SGD", False, False),
    ],
)
def test_what_learns_in_stages(estimator, in_stages, in_passes):
    assert learns_in_stages(estimator) == in_stages
    assert learns_in_passes(estimator) == in_passes
