"""Rows with equal scores are told apart by what the scores were computed from."""

import numpy as np
import pytest

from sknoisy.detection._order import keep_order


@pytest.mark.parametrize("value", [0.0, 1e-300, 0.3, 0.5, np.nextafter(0.5, 1), 1.0])
def test_equal_scores_follow_the_suspicion(value):
    suspicion = np.random.default_rng(0).permutation(1000) / 7
    scores = keep_order(np.full(1000, value), suspicion)
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(suspicion))
    assert len(np.unique(scores)) == 1000
    assert scores.min() >= 0 and scores.max() <= 1
    assert ((scores > 0.5) == (value > 0.5)).all()
    np.testing.assert_allclose(scores, value, rtol=1e-12, atol=1e-300)


def test_order_by_score_and_then_by_suspicion():
    rng = np.random.default_rng(0)
    scores = rng.choice([0, 0.2, 0.5, np.nextafter(0.5, 1), 0.7, 1], 500)
    suspicion = rng.integers(0, 9, 500)
    kept = keep_order(scores, suspicion)
    rank = np.unique(np.stack([scores, suspicion]), axis=1, return_inverse=True)[1]
    np.testing.assert_array_equal(np.unique(kept, return_inverse=True)[1], rank)
    np.testing.assert_array_equal(kept > 0.5, scores > 0.5)


def test_different_scores_stay_as_they_are():
    scores = np.random.default_rng(0).permutation(np.linspace(0, 1, 101))
    np.testing.assert_array_equal(keep_order(scores, -scores), scores)


def test_rows_equal_in_both_keep_equal_scores():
    scores, suspicion = np.array([1.0, 1.0, 0.2, 0.2]), np.array([3, 3, np.inf, np.inf])
    np.testing.assert_array_equal(keep_order(scores, suspicion), scores)


def test_subnormal_scores_are_not_needed():
    scores = keep_order(np.zeros(4), np.arange(4))
    assert scores[0] == 0 and scores[1] >= np.finfo(float).tiny
