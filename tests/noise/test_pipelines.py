"""Injectors in imbalanced-learn pipelines: training folds noisy, the others clean."""

import numpy as np
import pytest
from imblearn.pipeline import make_pipeline
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.preprocessing import StandardScaler

from sknoisy.noise import (
    AsymmetricNoiseInjector,
    InstanceNoiseInjector,
    MarginNoiseInjector,
    SymmetricNoiseInjector,
    TransitionNoiseInjector,
    estimate_transition_matrix,
    pair_flip_matrix,
)

POSTERIOR = LogisticRegression(C=0.1, max_iter=1000)
INJECTORS = [
    SymmetricNoiseInjector(0.4, random_state=0),
    TransitionNoiseInjector(pair_flip_matrix(10, 0.4), random_state=0),
    AsymmetricNoiseInjector(0.4, random_state=0),
    AsymmetricNoiseInjector(0.8, mapping="mnist", random_state=0),
    InstanceNoiseInjector(0.4, feature_scaling="unit", random_state=0),
    MarginNoiseInjector(0.4, estimator=POSTERIOR, random_state=0),
]
every_injector = pytest.mark.parametrize("injector", INJECTORS, ids=repr)


class Recorder(ClassifierMixin, BaseEstimator):
    """Learns nothing, but remembers what it was shown."""

    def fit(self, X, y):
        self.X_fit_, self.y_fit_ = X, y
        return self

    def score(self, X, y):
        self.X_score_, self.y_score_ = X, y
        return 0.0


def folds_of(pipeline, X, y):
    """Yield each fold's fitted steps, and its training and validation rows."""
    result = cross_validate(
        pipeline,
        X,
        y,
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
        return_estimator=True,
        return_indices=True,
        error_score="raise",
    )
    indices = result["indices"]
    return zip(result["estimator"], indices["train"], indices["test"], strict=True)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:900] / 16, y[:900]


@pytest.mark.usefixtures("no_routing")
@every_injector
def test_fit_sees_noisy_labels_and_score_sees_clean_ones(injector, digits):
    X, y = digits
    for fitted, train, test in folds_of(make_pipeline(injector, Recorder()), X, y):
        step, recorder = fitted
        assert_array_equal(recorder.X_fit_, X[train])
        assert_array_equal(recorder.y_fit_ != y[train], step.noise_mask_)
        # 600 rows: five binomial standard errors at a rate of 0.4
        assert abs(np.mean(recorder.y_fit_ != y[train]) - 0.4) < 0.1
        assert_array_equal(recorder.X_score_, X[test])
        assert_array_equal(recorder.y_score_, y[test])


@pytest.mark.usefixtures("no_routing")
@every_injector
def test_names_of_classes_pass_through(injector, digits):
    X, y = digits
    names = np.array([f"digit {c}" for c in range(10)])
    for fitted, train, test in folds_of(
        make_pipeline(injector, Recorder()), X, names[y]
    ):
        assert set(fitted[1].y_fit_) <= set(names)
        assert (fitted[1].y_fit_ != names[y[train]]).any()
        assert_array_equal(fitted[1].y_score_, names[y[test]])


@pytest.mark.fast_cases(2)
@every_injector
def test_prediction_and_score_of_a_fitted_pipeline_inject_nothing(injector, digits):
    X, y = digits
    pipeline = make_pipeline(
        StandardScaler(), clone(injector), LogisticRegression(max_iter=1000)
    ).fit(X[:600], y[:600])
    step = pipeline[1]
    noisy = step.corrupt(pipeline[0].transform(X[:600]), y[:600])
    by_hand = LogisticRegression(max_iter=1000)
    by_hand.fit(pipeline[0].transform(X[:600]), noisy)
    X_new = pipeline[0].transform(X[600:])
    assert_array_equal(pipeline.predict(X[600:]), by_hand.predict(X_new))
    assert pipeline.score(X[600:], y[600:]) == by_hand.score(X_new, y[600:])


@pytest.mark.slow
def test_noise_rate_can_be_searched_like_any_parameter(digits):
    X, y = digits
    pipeline = make_pipeline(
        AsymmetricNoiseInjector(random_state=0), LogisticRegression(max_iter=1000)
    )
    search = GridSearchCV(
        pipeline, {"asymmetricnoiseinjector__noise_rate": [0.0, 0.3, 0.6]}, cv=3
    ).fit(X[:450], y[:450])
    clean, some, most = search.cv_results_["mean_test_score"]
    assert clean > some > most
    plain = cross_val_score(LogisticRegression(max_iter=1000), X[:450], y[:450], cv=3)
    assert_allclose(clean, plain.mean(), rtol=1e-12)


@pytest.mark.usefixtures("no_routing")
def test_hybrid_noise_is_margin_noise_and_then_symmetric_noise(digits):
    X, y = digits
    margin = MarginNoiseInjector(0.35, estimator=POSTERIOR, random_state=0)
    symmetric = SymmetricNoiseInjector(0.3, random_state=1)
    for fitted, train, test in folds_of(
        make_pipeline(margin, symmetric, Recorder()), X, y
    ):
        first, second, recorder = fitted
        after_first = clone(margin).fit_resample(X[train], y[train])[1]
        after_second = clone(symmetric).fit_resample(X[train], after_first)[1]
        assert_array_equal(recorder.y_fit_, after_second)
        assert_array_equal(first.noise_mask_, after_first != y[train])
        assert_array_equal(second.noise_mask_, after_second != after_first)
        # A wrong label stays wrong unless the second step happens to hit the truth.
        T = second.transition_matrix_
        rate = first.noise_rate_ * (1 - T[0, 1]) + (1 - first.noise_rate_) * 0.3
        realised = np.mean(recorder.y_fit_ != y[train])
        assert abs(realised - rate) < 5 * np.sqrt(0.25 / len(train))
        matrix = estimate_transition_matrix(y[train], recorder.y_fit_)
        assert ((matrix > 0).sum(axis=1) > 5).all()
        assert_array_equal(recorder.y_score_, y[test])
