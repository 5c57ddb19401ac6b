"""The number of flags: the best expected F1, and the evidence on the noise rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sknoisy._planting._decision import Evidence, best_f1_count, flagged

SHARES = st.floats(0, 1)
PROBABILITIES = st.lists(SHARES, min_size=1, max_size=30).map(np.array)


def expected_f1(proba, count):
    falling = np.sort(proba)[::-1]
    return 2 * falling[:count].sum() / (count + proba.sum())


class TestBestF1:
    @given(PROBABILITIES)
    def test_no_other_number_of_flags_is_better(self, proba):
        count = best_f1_count(proba)
        if not proba.sum() > 0:
            assert count == 0
            return
        best = max(expected_f1(proba, k) for k in range(1, len(proba) + 1))
        assert expected_f1(proba, count) == pytest.approx(best)

    def test_it_is_the_best_on_average(self):
        # F1 of drawn truths, with flags above each possible number.
        rng = np.random.default_rng(0)
        proba = rng.beta(0.3, 1.2, 500)
        order = np.argsort(-proba)
        f1 = np.zeros(500)
        for _ in range(200):
            found = np.cumsum((rng.random(500) < proba)[order])
            f1 += 2 * found / (np.arange(1, 501) + found[-1]) / 200
        assert f1[best_f1_count(proba) - 1] > f1.max() - 0.003

    def test_sure_ones_are_flagged_and_no_others(self):
        assert best_f1_count(np.repeat([1.0, 0.0], [7, 93])) == 7


class TestEvidence:
    @given(SHARES, SHARES, SHARES)
    def test_the_rate_is_a_share_and_not_below_the_planted_one(self, a, b, c):
        evidence = Evidence(a, b, c)
        least = min(a, c)
        assert least - 1e-12 <= evidence.noise_rate <= max(1.5 * least, b) + 1e-12
        assert 0 <= evidence.explained <= 1

    @given(SHARES, SHARES)
    def test_the_rate_rises_with_the_confident_joint(self, planted, contradicted):
        rates = [Evidence(planted, c, contradicted).noise_rate for c in (0, 0.3, 0.9)]
        assert rates == sorted(rates)

    def test_what_all_three_agree_on(self):
        evidence = Evidence(0.2, 0.2, 0.2)
        assert evidence.noise_rate == pytest.approx(0.2) and evidence.explained == 1

    def test_nothing_is_contradicted(self):
        evidence = Evidence(0.1, 0.1, 0.0)
        assert evidence.noise_rate == 0
        assert evidence.count_flags(np.ones(9), "f1") == 0


class TestNumberOfFlags:
    proba = np.repeat([0.9, 0.6, 0.02], [10, 10, 80])

    def test_precision_and_rate(self):
        evidence = Evidence(0.16, 0.16, 0.16)
        assert evidence.count_flags(self.proba, "precision") == 20
        assert evidence.count_flags(self.proba, "rate") == 16

    def test_recall(self):
        assert Evidence(0.1, 0.1, 0.35).count_flags(self.proba, "recall") == 35

    def test_f1_where_planted_labels_explain_everything(self):
        evidence = Evidence(0.2, 0.2, 0.2)
        assert evidence.count_flags(self.proba, "f1") == best_f1_count(self.proba)

    def test_f1_moves_towards_contradictions_that_are_not_explained(self):
        least = best_f1_count(self.proba)
        counts = [
            Evidence(planted, 0.3, 0.4).count_flags(self.proba, "f1")
            for planted in (0.4, 0)
        ]
        assert counts[0] == least < counts[1] < 40

    def test_f1_flags_a_quarter_of_the_contradictions_in_any_case(self):
        one = np.append(1.0, np.zeros(999))
        assert Evidence(0, 0, 0.3).count_flags(one, "f1") == 75

    def test_f1_flags_no_more_than_the_contradictions(self):
        alike = np.full(1000, 1e-4)
        assert best_f1_count(alike) == 1000
        assert Evidence(0, 0.3, 0.3).count_flags(alike, "f1") == 300

    def test_f1_flags_few_where_hardly_any_label_is_wrong(self):
        # All are equally improbable: a quarter of the contradictions, and 1.5 times
        # the labels that are estimated to be wrong.
        alike = np.full(1000, 1e-4)
        assert Evidence(0, 0.02, 0.3).count_flags(alike, "f1") == 75 + 30


@given(PROBABILITIES, st.integers(0, 40))
def test_flagged_are_the_largest(order, n_flagged):
    mask = flagged(order, n_flagged)
    assert mask.sum() == min(n_flagged, len(order))
    if 0 < mask.sum() < len(order):
        assert order[mask].min() >= order[~mask].max()
