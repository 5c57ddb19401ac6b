"""Every estimator works whatever scikit-learn's global configuration says."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from public_estimators import ONE_EACH, label
from sklearn.base import clone

from sknoisy import (
    AutoNoiseDetector,
    BetaMixture,
    BMMLossSplitter,
    DynamicsClassifier,
    LossMixtureDetector,
    NoisyLabelFilter,
)
from sknoisy.base import NoiseInjectorMixin, NoiseScoresMixin

OUTPUTS = ("predict", "predict_proba", "score_samples")


def outputs(estimator, X, y):
    """Fit, and return all that is an array by name."""
    if isinstance(estimator, NoiseInjectorMixin):
        _, noisy = estimator.fit_resample(X, y)
        return {"noisy": noisy, "noise_mask_": estimator.noise_mask_}
    estimator.fit(X, y)
    found = {n: getattr(estimator, n)(X) for n in OUTPUTS if hasattr(estimator, n)}
    if isinstance(estimator, NoiseScoresMixin):
        for name in ("noise_scores_", "noise_mask_", "suggested_labels_"):
            found[name] = getattr(estimator, name)
    return found


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("estimator", ONE_EACH, ids=label)
def test_the_configuration_changes_no_bit(estimator, blobs, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    X, y, _ = blobs
    X, y = X[:60], y[:60]
    if isinstance(estimator, DynamicsClassifier):
        y = (y > 0).astype(int)
    if isinstance(estimator, BMMLossSplitter | BetaMixture):
        X = np.linspace(0.1, 1, 60)[:, None] ** 3
    quick = {"max_epochs": 2, "random_state": 0}
    estimator = clone(estimator)
    params = estimator.get_params(deep=False)
    estimator.set_params(**{n: v for n, v in quick.items() if n in params})
    plain, framed = clone(estimator), clone(estimator)
    usual = {"transform_output": "default", "enable_metadata_routing": False}
    every = {"transform_output": "pandas", "enable_metadata_routing": True}
    with warnings.catch_warnings():
        # Few rows and epochs: there is little to be found.
        warnings.simplefilter("ignore", UserWarning)
        with sklearn.config_context(**usual, array_api_dispatch=False):
            expected = outputs(plain, X, y)
        with sklearn.config_context(**every, array_api_dispatch=True):
            found = outputs(framed, X, y)
            if hasattr(framed, "transform"):
                assert isinstance(framed.transform(X), pd.DataFrame)
    assert set(found) == set(expected)
    for name, values in found.items():
        assert isinstance(values, np.ndarray), name
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


class Rows:
    """Rows that are an array when they are asked for it, as those of a file."""

    def __init__(self, X):
        self.X = X

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.X, dtype)


# Those that look at X themselves, or hand it on as it is.
ASKING = (AutoNoiseDetector, BetaMixture, NoiseInjectorMixin, NoisyLabelFilter)


@pytest.mark.parametrize(
    "estimator", [e for e in ONE_EACH if isinstance(e, ASKING)], ids=label
)
def test_rows_of_any_kind_where_arrays_are_dispatched(estimator, blobs, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    X, y, _ = blobs
    X, y = (X[:60] - X.min()) / np.ptp(X), y[:60]
    estimator = clone(estimator)
    if "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = outputs(clone(estimator), X, y)
        with sklearn.config_context(array_api_dispatch=True):
            found = outputs(estimator, Rows(X), y)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize(("output", "frame"), [("pandas", pd), ("polars", pl)])
def test_losses_and_posteriors_do_not_follow_the_output(output, frame):
    losses = np.linspace(0.1, 1, 60) ** 3
    expected = BMMLossSplitter().fit(losses)
    X, y = np.random.default_rng(0).normal(size=(60, 3)), np.repeat([0, 1], 30)
    params = {"max_epochs": 2, "module__hidden": 4, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        plain = LossMixtureDetector(**params).fit(X, y)
        with sklearn.config_context(transform_output=output):
            found = BMMLossSplitter().fit(losses)
            np.testing.assert_array_equal(
                found.predict(losses), expected.predict(losses)
            )
            assert isinstance(found.transform(losses), frame.DataFrame)
            framed = LossMixtureDetector(**params).fit(X, y)
    np.testing.assert_array_equal(framed.noise_scores_, plain.noise_scores_)
