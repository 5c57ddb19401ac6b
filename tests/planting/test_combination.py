"""Ranks by scipy, weights by scikit-learn and by scipy's other solvers, limits."""

import numpy as np
import pytest
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm, rankdata
from sklearn.linear_model import LogisticRegression

from sknoisy._planting._combination import combination_weights, normal_scores


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(2, 30))
@examples(60)
def test_among_all_rows_they_are_quantiles_of_mid_ranks(seed, n_samples, n_values):
    scores = np.random.default_rng(seed).integers(0, n_values, n_samples) / n_values
    found = normal_scores(scores, np.ones(n_samples, dtype=bool))
    assert_allclose(found, norm.ppf(rankdata(scores) / (n_samples + 1)), atol=1e-12)


def test_only_the_order_matters():
    scores = np.random.default_rng(0).random(50)
    reference = np.arange(50) % 3 > 0
    assert_array_equal(
        normal_scores(scores, reference), normal_scores(np.exp(5 * scores), reference)
    )


def test_rows_outside_the_reference_move_no_one():
    rng = np.random.default_rng(0)
    scores, reference = rng.random(50), np.arange(50) < 30
    before = normal_scores(scores, reference)
    scores[30:] = rng.random(20) * 100
    assert_array_equal(normal_scores(scores, reference)[:30], before[:30])


def test_rows_outside_get_a_place_between_their_neighbours():
    scores = np.array([1.0, 2.0, 3.0, 2.5, 9.0, -9.0])
    found = normal_scores(scores, np.arange(6) < 3)
    assert found[1] < found[3] < found[2] < found[4]
    assert found[5] < found[0] and np.isfinite(found).all()


def draw(seed=0, n_rows=4000):
    """Return features of which the first two tell something, and what they tell."""
    rng = np.random.default_rng(seed)
    planted = np.arange(n_rows) < n_rows // 10
    good, fair = planted * [[1.5], [1.0]] + rng.normal(size=(2, n_rows))
    return np.stack([good, fair, rng.normal(size=n_rows)], axis=1), planted


def test_where_none_is_negative_they_are_a_logistic_regressions():
    features, planted = draw()
    features = features[:, :2]
    # Its penalty is per sum of the losses, ours per mean.
    penalized = LogisticRegression(C=1 / (1e-3 * len(planted)), tol=1e-10)
    expected = penalized.fit(features, planted).coef_[0]
    assert (expected > 0).all()
    assert_allclose(
        combination_weights(features, planted), expected / expected.sum(), atol=2e-4
    )


def test_a_detector_that_is_wrong_way_round_gets_nothing():
    features, planted = draw()
    turned = np.column_stack([features[:, :2], -features[:, 0]])
    weights = combination_weights(turned, planted)
    assert weights[2] == 0
    alone = combination_weights(features[:, :2], planted)
    assert_allclose(weights[:2], alone, atol=1e-4)


def test_two_that_say_the_same_share_their_weight():
    features, planted = draw()
    alone = combination_weights(features[:, :2], planted)
    both = combination_weights(features[:, [0, 0, 1]], planted)
    assert both[0] == pytest.approx(both[1], abs=1e-4)
    assert both[0] + both[1] == pytest.approx(alone[0], abs=0.01)


@given(st.integers(0, 10_000), st.integers(1, 6))
@examples(30)
def test_they_are_shares(seed, n_detectors):
    rng = np.random.default_rng(seed)
    planted = rng.permutation(200) < 20
    weights = combination_weights(rng.normal(size=(200, n_detectors)), planted)
    assert (weights >= 0).all() and weights.sum() == pytest.approx(1)


def test_if_no_detector_tells_anything_all_count_alike():
    features, planted = draw()
    assert_allclose(combination_weights(-features[:, :2], planted), [0.5, 0.5])


def test_the_better_detector_counts_more():
    features, planted = draw()
    weights = combination_weights(features, planted)
    # Log odds of two normal distributions grow with their distance: 1.5 to 1.0.
    assert weights[0] / weights[1] == pytest.approx(1.5, rel=0.2)
    assert weights[2] < 0.05
