"""The share of labels against which a classifier decides."""

import numpy as np
import pytest
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from sknoisy import NALClassifier, SymmetricNoiseInjector
from sknoisy.mixture._two_groups import share_against, two_group_threshold


def softmax_of_margins(margins):
    """Return probabilities of two classes, label 0, with these margins."""
    p_own = 1 / (1 + np.exp(margins))
    return np.stack([p_own, 1 - p_own], 1), np.zeros(len(margins), int)


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=30))
@examples(50)
def test_no_other_cut_leaves_less_variance(values):
    values = np.array(values, float)
    if np.ptp(values) == 0:
        return

    def within(threshold):
        groups = values[values <= threshold], values[values > threshold]
        return sum(len(g) * g.var() for g in groups if len(g))

    found = within(two_group_threshold(values))
    least = min(within(value) for value in values)
    assert found == pytest.approx(least, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("shift", [-1.0, 0.0, 1.5])
def test_groups_are_found_wherever_they_part(rate, shift):
    rng = np.random.default_rng(0)
    is_wrong = rng.random(3000) < rate
    margins = np.where(is_wrong, 3.0, -3.0) + shift + rng.normal(0, 0.7, 3000)
    share = share_against(*softmax_of_margins(margins))
    assert share == pytest.approx(is_wrong.mean(), abs=0.01)


def test_a_classifier_that_agrees_with_the_labels_has_no_group_against_them():
    rng = np.random.default_rng(0)
    for margins in (rng.normal(-4, 1, 500), np.full(50, -3.0), np.full(1, -3.0)):
        assert share_against(*softmax_of_margins(margins)) is None


def test_doubts_of_right_labels_are_not_a_group_of_wrong_ones():
    # A fifth are less certain, and the mean of these is below 0.
    margins = np.r_[np.full(800, -7.0), np.full(190, -1.5), np.full(10, 8.0)]
    assert share_against(*softmax_of_margins(margins)) is None
    # Here it is above 0, but the groups part far below it.
    margins = np.r_[np.full(500, -8.0), np.full(50, -1.0), np.full(40, 8.0)]
    assert share_against(*softmax_of_margins(margins)) is None


def test_the_most_probable_other_class_and_probabilities_of_zero():
    proba = np.array([[0.0, 0.6, 0.4], [1.0, 0.0, 0.0], [0.5, 0.3, 0.2]])
    assert share_against(proba, np.array([0, 0, 0])) == pytest.approx(1 / 3)


def test_the_rate_of_a_robust_classifier():
    X, y = load_digits(return_X_y=True)
    injector = SymmetricNoiseInjector(0.3, random_state=0)
    X, noisy = injector.fit_resample(X[:800] / X.std(), y[:800])
    clf = NALClassifier(
        max_epochs=12, batch_size=32, module__hidden=64, random_state=0
    ).fit(X, noisy)
    truth = (y[:800] != noisy).mean()
    # The mean score is off by more.
    assert clf.noise_rate_ == pytest.approx(truth, abs=0.06)
    assert abs(clf.noise_scores_.mean() - truth) > 0.08
