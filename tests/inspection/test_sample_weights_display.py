"""The histogram of row weights against numbers."""

import builtins

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import NALClassifier, SampleWeightsDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")


def heights(bars):
    return np.array([bar.get_height() for bar in bars])


def test_bars_count_the_rows_of_each_group():
    rng = np.random.default_rng(0)
    weights, is_noisy = rng.random(500), rng.random(500) < 0.3
    display = SampleWeightsDisplay(weights, noise_mask=is_noisy).plot()
    for bars, rows in zip(display.bars_, (~is_noisy, is_noisy), strict=True):
        counts, _ = np.histogram(weights[rows], bins=40, range=(0, 1))
        np.testing.assert_array_equal(heights(bars), counts)
    assert [b.get_label() for b in display.bars_] == [
        f"right ({(~is_noisy).sum()} rows)",
        f"wrong ({is_noisy.sum()} rows)",
    ]


def test_without_a_mask_there_is_one_group():
    display = SampleWeightsDisplay([0.1, 0.9, 0.9]).plot()
    assert len(display.bars_) == 1 and heights(display.bars_[0]).sum() == 3


def test_it_takes_the_last_step_of_a_pipeline_and_a_given_axes(blobs):
    import matplotlib.pyplot as plt

    X, y, is_noisy = blobs
    pipe = make_pipeline(StandardScaler(), NALClassifier(max_epochs=3, random_state=0))
    pipe.fit(X, y)
    _, ax = plt.subplots()
    display = SampleWeightsDisplay.from_estimator(pipe, noise_mask=is_noisy, ax=ax)
    assert display.ax_ is ax and display.figure_ is ax.figure
    np.testing.assert_array_equal(display.sample_weights, pipe[-1].sample_weights_)


def test_errors(monkeypatch):
    with pytest.raises(NotFittedError, match="not fitted"):
        SampleWeightsDisplay.from_estimator(NALClassifier())
    with pytest.raises(ValueError, match="one entry for each of the 3 weights"):
        SampleWeightsDisplay([0.1, 0.2, 0.3], noise_mask=[True]).plot()
    find = builtins.__import__

    def hide(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return find(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", hide)
    with pytest.raises(ImportError, match=r"pip install 'sknoisy\[plot\]'"):
        SampleWeightsDisplay([0.1]).plot()
