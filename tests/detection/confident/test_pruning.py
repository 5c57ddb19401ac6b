"""Flags of the joint and of other rules: against sorting, and loops over rows."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_predictions import (
    counts_by_loops,
    first,
    is_best_by_loops,
    noisy,
    predictions,
    pruned_by_loops,
)

from sknoisy import _confident_joint as _joint
from sknoisy import find_label_issues
from sknoisy.detection._confident import _pruning
from sknoisy.detection._confident._pruning import FILTERS, PRUNING, LabelIssues
from sknoisy.detection._confident._quality import QUALITIES, label_quality


class TestTheJoint:
    @given(predictions())
    def test_counts_are_those_of_a_loop(self, drawn):
        labels, proba = drawn
        proba = proba.astype(np.float64)
        issues = LabelIssues(labels, proba)
        thresholds, counts, is_other = counts_by_loops(labels, proba)
        np.testing.assert_allclose(issues.thresholds, thresholds, rtol=1e-12)
        np.testing.assert_array_equal(issues.counts, counts)
        flagged = find_label_issues(labels, proba, filter_by="confident_learning")
        expected = is_other & ~is_best_by_loops(labels, proba)
        np.testing.assert_array_equal(flagged, expected)

    @given(predictions())
    def test_calibrated_rows_add_up_to_the_given_labels(self, drawn):
        labels, proba = drawn
        issues = LabelIssues(labels, proba)
        n_classes = proba.shape[1]
        class_counts = np.bincount(labels, minlength=n_classes)
        np.testing.assert_array_equal(issues.joint.sum(1), class_counts)
        assert issues.joint.dtype == np.int64 and (issues.joint >= 0).all()
        scaled = issues.counts / issues.counts.sum(1, keepdims=True)
        exact = scaled * class_counts[:, None]
        # One more than rounding, to keep the total.
        np.testing.assert_allclose(issues.joint, exact, atol=1 + 1e-9)

    def test_a_class_without_rows_is_never_confident(self):
        labels, proba = np.array([0, 0, 1, 1]), np.tile([0.1, 0.1, 0.8], (4, 1))
        issues = LabelIssues(labels, proba)
        np.testing.assert_allclose(issues.thresholds, [0.1, 0.1, 2])
        # Each row is confident of 0 and of 1, and 2 is the most probable of all.
        assert issues.counts.tolist() == [[1, 0, 2], [0, 1, 2], [0, 0, 1]]
        assert issues.joint.sum() == 4


class TestFilters:
    @pytest.mark.parametrize("filter_by", PRUNING)
    @given(drawn=predictions())
    def test_pruning_is_what_sorting_gives(self, filter_by, drawn):
        labels, proba = drawn
        joint = LabelIssues(labels, proba).joint.copy()
        # A diagonal of zero is raised to one; then the test below applies.
        if (joint.diagonal() == 0).any():
            return
        flagged = find_label_issues(labels, proba, filter_by=filter_by)
        expected = pruned_by_loops(labels, proba, filter_by, joint)
        np.testing.assert_array_equal(flagged, expected)

    @given(predictions())
    def test_both_is_the_intersection(self, drawn):
        rate, by_class, both = (find_label_issues(*drawn, filter_by=f) for f in PRUNING)
        np.testing.assert_array_equal(both, rate & by_class)

    @given(predictions())
    def test_predicted_neq_given_holds_whatever_else_is_flagged(self, drawn):
        labels, proba = drawn
        widest = find_label_issues(labels, proba, filter_by="predicted_neq_given")
        np.testing.assert_array_equal(widest, ~is_best_by_loops(labels, proba))
        for rule in (*PRUNING, "confident_learning"):
            flagged = find_label_issues(labels, proba, filter_by=rule)
            assert not (flagged & ~widest).any()

    @pytest.mark.parametrize("method", ["normalized_margin", "self_confidence"])
    @given(drawn=predictions())
    def test_low_quality_as_often_as_confidently_wrong(self, method, drawn):
        labels, proba = drawn
        number = find_label_issues(labels, proba, filter_by="confident_learning").sum()
        flagged = find_label_issues(labels, proba, filter_by=f"low_{method}")
        quality = label_quality(labels, proba, method)
        expected = first(np.argsort(quality, kind="stable"), number)
        np.testing.assert_array_equal(flagged, expected)

    @given(predictions(missing=False), st.integers(0, 1000))
    def test_renamed_classes_and_shuffled_rows_change_no_flag(self, drawn, seed):
        labels, proba = drawn
        rng = np.random.default_rng(seed)
        # Ties are broken, and each class has rows enough to round alike.
        proba = proba + rng.uniform(0, 1e-3, proba.shape)
        proba /= proba.sum(1, keepdims=True)
        names = rng.permutation(proba.shape[1])
        rows = rng.permutation(len(labels))
        joint = LabelIssues(labels, proba).joint
        renamed_joint = np.empty_like(joint)
        renamed_joint[np.ix_(names, names)] = joint
        for rule in PRUNING:
            plain = find_label_issues(
                labels, proba, filter_by=rule, confident_joint=joint
            )
            renamed = find_label_issues(
                names[labels][rows],
                proba[:, np.argsort(names)][rows],
                filter_by=rule,
                confident_joint=renamed_joint,
            )
            np.testing.assert_array_equal(plain[rows], renamed)

    def test_of_equal_rows_the_first_are_flagged(self):
        labels = np.repeat([0, 1], 10)
        proba = np.repeat([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]], [5, 5, 10], axis=0)
        joint = [[7, 3], [0, 10]]
        for rule in PRUNING:
            flagged = find_label_issues(
                labels, proba, filter_by=rule, confident_joint=joint
            )
            assert np.flatnonzero(flagged).tolist() == [5, 6, 7]

    def test_frac_noise_is_a_share_of_the_counts(self):
        labels, proba = noisy(3000, 4)
        joint = np.diag(np.bincount(labels) - 40)
        joint[0, 1] = joint[1, 2] = joint[2, 0] = joint[3, 0] = 40
        for share in (0, 0.25, 0.5, 1):
            for rule in ("prune_by_noise_rate", "prune_by_class"):
                flagged = find_label_issues(
                    labels,
                    proba,
                    filter_by=rule,
                    frac_noise=share,
                    confident_joint=joint,
                )
                assert flagged.sum() == 4 * 40 * share

    def test_a_class_keeps_some_rows(self):
        # All ten rows of class 0 look like class 1.
        labels = np.repeat([0, 1], [10, 90])
        proba = np.tile([0.05, 0.95], (100, 1))
        proba[:10, 0] = np.linspace(0.01, 0.19, 10)
        proba[:10, 1] = 1 - proba[:10, 0]
        for least, expected in ((0, 10), (1, 9), (4, 6), (9, 1), (10, 0), (50, 0)):
            joint = [[0, 10], [0, 90]]
            flagged = find_label_issues(
                labels, proba, min_examples_per_class=least, confident_joint=joint
            )
            # Those that look least like it go first.
            assert np.flatnonzero(flagged).tolist() == list(range(expected))

    @pytest.mark.parametrize(("least", "expected"), [(2, 8), (5, 5), (9, 3), (10, 0)])
    def test_what_a_class_keeps_is_taken_from_its_pairs_alike(self, least, expected):
        # Rows of class 0: 2 stay, 7 lean to class 1 and 1 to class 2. To keep five,
        # 1.5 are taken from each pair: 5.5 and none remain, and halves are dropped. A
        # class of no more than the least number is left alone.
        labels = np.repeat([0, 1, 2], [10, 40, 40])
        proba = np.empty((90, 3))
        proba[:2] = [0.8, 0.1, 0.1]
        proba[2:9] = [0.1, 0.8, 0.1]
        proba[9] = [0.1, 0.1, 0.8]
        proba[10:50] = [0.1, 0.8, 0.1]
        proba[50:] = [0.1, 0.1, 0.8]
        joint = [[2, 7, 1], [0, 40, 0], [0, 0, 40]]
        flagged = find_label_issues(
            labels, proba, min_examples_per_class=least, confident_joint=joint
        )
        assert flagged.sum() == expected and not flagged[10:].any()

    def test_a_label_raised_to_the_largest_is_best_if_it_comes_first(self):
        rest = (0.5 - 1e-6) / 3
        proba = np.array(
            [
                [0.25, 0.25 + 1e-6, rest, rest, rest],
                [0.25 + 1e-6, 0.25, rest, rest, rest],
                [0.25 + 2e-6, 0.25, rest, rest, rest],
                [0.25 + 5e-7, 0.25, rest, rest, rest],
            ]
        )
        flagged = find_label_issues(
            [0, 1, 1, 1], proba, filter_by="predicted_neq_given"
        )
        assert flagged.tolist() == [False, True, True, False]

    def test_planted_labels_are_found(self):
        rng = np.random.default_rng(0)
        truth = rng.integers(0, 4, 2000)
        is_wrong = rng.random(2000) < 0.3
        labels = np.where(is_wrong, (truth + rng.integers(1, 4, 2000)) % 4, truth)
        proba = 0.02 + 0.92 * np.eye(4)[truth]
        for rule in FILTERS:
            flagged = find_label_issues(labels, proba, filter_by=rule)
            np.testing.assert_array_equal(flagged, is_wrong)


class TestBlocks:
    @pytest.mark.slow
    def test_more_classes_than_a_byte_holds(self):
        labels, proba = noisy(3000, 300)
        expected = is_best_by_loops(labels, proba)
        flagged = find_label_issues(labels, proba, filter_by="predicted_neq_given")
        np.testing.assert_array_equal(flagged, ~expected)
        _, counts, _ = counts_by_loops(labels, proba)
        np.testing.assert_array_equal(LabelIssues(labels, proba).counts, counts)

    def test_small_blocks_give_the_same_answer(self, monkeypatch):
        labels, proba = noisy(900, 6)
        expected = [find_label_issues(labels, proba, filter_by=f) for f in FILTERS]
        quality = [label_quality(labels, proba, method) for method in QUALITIES]
        monkeypatch.setattr(_joint, "_BLOCK_SIZE", 40)
        monkeypatch.setattr(_pruning, "_COLUMN_BYTES", 2 * 4 * 150)
        for rule, mask in zip(FILTERS, expected, strict=True):
            again = find_label_issues(labels, proba, filter_by=rule)
            np.testing.assert_array_equal(again, mask)
        for method, values in zip(QUALITIES, quality, strict=True):
            again = label_quality(labels, proba, method)
            np.testing.assert_array_equal(again, values)

    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize("rule", FILTERS)
    def test_no_second_table_is_made(self, rule):
        labels, proba = noisy(60_000, 100)
        labels[:50_000] = 0  # Not even of a class that has most of the rows.
        tracemalloc.start()
        find_label_issues(labels, proba, filter_by=rule)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < proba.nbytes / 3
