"""DynamicsDisplay: what is drawn, not how it looks."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import (
    AUMDetector,
    DynaCorDetector,
    DynamicsDisplay,
    LossMixtureDetector,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

TREES = HistGradientBoostingClassifier(max_iter=3)


def test_lines_are_the_medians_of_the_two_groups():
    rng = np.random.default_rng(0)
    trajectories, mask = rng.normal(size=(20, 6)), np.arange(20) < 5
    display = DynamicsDisplay(trajectories, mask).plot()
    flagged, rest = display.lines_
    np.testing.assert_allclose(flagged.get_ydata(), np.median(trajectories[:5], 0))
    np.testing.assert_allclose(rest.get_ydata(), np.median(trajectories[5:], 0))
    np.testing.assert_array_equal(rest.get_xdata(), np.arange(1, 7))
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["flagged (5 rows)", "not flagged (15 rows)"]


def test_bands_are_the_quartiles():
    trajectories = np.arange(1.0, 6.0)[:, None] * np.ones(3)
    display = DynamicsDisplay(trajectories, np.ones(5, dtype=bool)).plot()
    (band,) = display.ax_.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (2.0, 4.0)


def test_a_group_without_rows_is_left_out():
    display = DynamicsDisplay(np.zeros((4, 3)), np.zeros(4, dtype=bool)).plot()
    assert len(display.lines_) == 1


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    ("detector", "name"),
    [
        (DynaCorDetector(max_epochs=3, signal="probability"), "probability"),
        (AUMDetector(max_epochs=3), "logit_diff"),
    ],
)
def test_from_estimator_takes_detectors_and_pipelines(blobs, detector, name):
    import matplotlib.pyplot as plt

    X, y, _ = blobs
    pipe = make_pipeline(StandardScaler(), detector).fit(X, y)
    _, ax = plt.subplots()
    display = DynamicsDisplay.from_estimator(pipe, ax=ax)
    assert display.ax_ is ax and display.figure_ is ax.figure
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Epoch", name)
    assert display.trajectories is pipe[-1].trajectories_


@pytest.mark.parametrize(
    ("detector", "signal"),
    [
        (AUMDetector(TREES), "logit_diff"),
        (LossMixtureDetector(TREES, stages="mean", cv=None), "loss"),
    ],
    ids=["margins", "losses"],
)
@pytest.mark.filterwarnings("ignore:the mixture finds no second component")
def test_stages_of_boosting_are_named(blobs, detector, signal):
    X, y, _ = blobs
    display = DynamicsDisplay.from_estimator(detector.fit(X, y))
    assert display.ax_.get_xlabel() == "Stage"
    assert display.ax_.get_ylabel() == signal
    assert len(display.lines_[-1].get_ydata()) == 3


def test_not_fitted():
    with pytest.raises(NotFittedError, match="not fitted"):
        DynamicsDisplay.from_estimator(DynaCorDetector())


def test_missing_matplotlib_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"sknoisy\[plot\]"):
        DynamicsDisplay(np.zeros((2, 2)), np.ones(2, dtype=bool)).plot()
