"""Every estimator works whatever scikit-learn's global configuration says."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from test_common import ESTIMATORS, label

from sknoisy import (
    BetaMixture,
    BMMLossSplitter,
    DynamicsClassifier,
    LossMixtureDetector,
)
from sknoisy.base import NoiseInjectorMixin, NoiseScoresMixin

# One of each class: the first of the table, which is quick to fit.
ONE_EACH = list({type(e): e for e, _ in reversed(ESTIMATORS)}.values())


@pytest.mark.parametrize("estimator", ONE_EACH, ids=label)
def test_frames_as_output_and_routed_metadata(estimator, blobs):
    X, y, _ = blobs
    X, y = X[:60], y[:60]
    if isinstance(estimator, DynamicsClassifier):
        y = (y > 0).astype(int)
    if isinstance(estimator, BMMLossSplitter | BetaMixture):
        X = np.linspace(0.1, 1, 60)[:, None] ** 3
    fitted = clone(estimator)
    if "max_epochs" in fitted.get_params(deep=False):
        fitted.set_params(max_epochs=2)
    with (
        warnings.catch_warnings(),
        sklearn.config_context(transform_output="pandas", enable_metadata_routing=True),
    ):
        # Few rows and epochs: there is little to be found.
        warnings.simplefilter("ignore", UserWarning)
        if isinstance(fitted, NoiseInjectorMixin):
            fitted.fit_resample(X, y)
            assert fitted.noise_mask_.shape == (60,)
        else:
            fitted.fit(X, y)
        if isinstance(fitted, NoiseScoresMixin):
            assert fitted.noise_scores_.shape == (60,)
            assert isinstance(fitted.noise_scores_, np.ndarray)
        if hasattr(fitted, "predict"):
            assert isinstance(fitted.predict(X), np.ndarray)
        if hasattr(fitted, "transform"):
            assert isinstance(fitted.transform(X), pd.DataFrame)


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
