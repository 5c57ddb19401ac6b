"""Parts of a race of settings, and what it is judged by."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from sknoisy._planting._settings_race import deal_parts, places, winner


class TestParts:
    @given(
        st.lists(st.integers(0, 4), min_size=2, max_size=60),
        st.floats(0.01, 0.99),
        st.integers(0, 5),
    )
    def test_each_row_is_in_one_part_and_each_class_in_both(self, labels, share, seed):
        _, codes = np.unique(labels, return_inverse=True)
        learnt, held_out = deal_parts(codes, share, np.random.default_rng(seed))
        both = np.concatenate([learnt, held_out])
        np.testing.assert_array_equal(np.sort(both), np.arange(len(codes)))
        counts = np.bincount(codes)
        assert set(codes[learnt]) == set(codes)
        assert set(codes[held_out]) == set(np.flatnonzero(counts > 1))
        for k, count in enumerate(counts):
            # Half a row is rounded.
            n_learnt = np.count_nonzero(codes[learnt] == k)
            assert abs(n_learnt - share * count) <= 0.5 or n_learnt in (1, count - 1)

    def test_the_parts_are_drawn_at_random(self):
        codes = np.repeat([0, 1], 40)
        drawn = [deal_parts(codes, 0.5, np.random.default_rng(s))[0] for s in (0, 0, 1)]
        np.testing.assert_array_equal(drawn[0], drawn[1])
        assert set(drawn[0]) != set(drawn[2])


def by_pairs(proba, codes, weights):
    """Count all pairs of a given label and one that a row was not given."""
    won = total = 0.0
    n_rows, n_classes = proba.shape
    for i in range(n_rows):
        for j in range(n_rows):
            for k in set(range(n_classes)) - {codes[j]}:
                a, b = proba[i, codes[i]], proba[j, k]
                won += weights[i] * weights[j] * ((a > b) + 0.5 * (a == b))
                total += weights[i] * weights[j]
    return won / total


class TestPlaces:
    @pytest.mark.parametrize("n_classes", [2, 4])
    def test_their_mean_is_the_share_of_pairs_in_order(self, n_classes):
        rng = np.random.default_rng(n_classes)
        proba = rng.dirichlet(np.ones(n_classes), 12).round(1)
        codes = rng.integers(n_classes, size=12)
        weights = rng.random(12)
        found = places(proba, codes).mean()
        assert found == pytest.approx(by_pairs(proba, codes, np.ones(12)))
        labels = (np.arange(n_classes) == codes[:, None]).ravel()
        assert found == pytest.approx(roc_auc_score(labels, proba.ravel()))
        found = np.average(places(proba, codes, weights), weights=weights)
        assert found == pytest.approx(by_pairs(proba, codes, weights))

    def test_a_guess_is_in_the_middle(self):
        proba = np.full((6, 3), 1 / 3)
        np.testing.assert_array_equal(places(proba, np.arange(6) % 3), 0.5)

    def test_confidence_does_not_count(self):
        rng = np.random.default_rng(0)
        proba = rng.dirichlet(np.ones(2), 40)
        codes = rng.integers(2, size=40)
        bold = proba**4 / (proba**4).sum(1, keepdims=True)
        np.testing.assert_allclose(places(bold, codes), places(proba, codes))


class TestWinner:
    def test_it_leads_by_two_standard_errors(self):
        rng = np.random.default_rng(0)
        first = rng.random(100)
        noise = rng.normal(size=100)
        noise = (noise - noise.mean()) / noise.std()
        # The standard error of the mean of 100 rows is a tenth.
        for lead, expected in [(0.19, 0), (0.21, 2)]:
            values = np.stack([first, first + noise, first + noise + lead])
            assert winner(values) == expected
            # Rows of weight 0 do not count, and a row's weight is no more rows.
            more = np.concatenate([values, 9 * values], axis=1)
            assert winner(more, np.repeat([3.0, 0.0], 100)) == expected

    def test_of_those_that_finish(self):
        lost = np.full(4, np.nan)
        assert winner(np.stack([lost, np.zeros(4), lost, np.ones(4)])) == 3
        assert winner(np.stack([np.zeros(4), lost])) == 0

    def test_the_first_of_equal_ones(self):
        assert winner(np.ones((3, 5))) == 0
