"""find_label_issues: against loops over rows, the reference file and cleanlab."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sknoisy.detection
from sknoisy import find_label_issues
from sknoisy.detection._confident import _joint, _label_issues
from sknoisy.detection._confident._joint import (
    calibrated_counts,
    class_thresholds,
    confident_guesses,
    transition_from_joint,
)
from sknoisy.detection._confident._label_issues import (
    FILTERS,
    QUALITIES,
    LabelIssues,
    check_pred_probs,
    label_quality,
)

PRUNING = ("prune_by_noise_rate", "prune_by_class", "both")


@st.composite
def predictions(draw, ties=True, missing=True):
    """Labels, and probabilities: some of each kind of row, some tied."""
    n_classes = draw(st.integers(2, 7))
    n_samples = draw(st.integers(n_classes, 120))
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    truth = rng.integers(0, n_classes, n_samples)
    if not missing:
        truth[:n_classes] = np.arange(n_classes)
    kind = draw(st.sampled_from(["soft", "sharp", "votes"] if ties else ["soft"]))
    if kind == "votes":
        lean = 0.7 * np.eye(n_classes)[truth] + 0.3 / n_classes
        return truth, rng.multinomial(8, lean) / 8
    proba = rng.dirichlet(np.full(n_classes, 1 if kind == "soft" else 0.1), n_samples)
    proba[np.arange(n_samples), truth] += draw(st.sampled_from([0, 0.5, 3]))
    proba /= proba.sum(1, keepdims=True)
    is_wrong = rng.random(n_samples) < draw(st.sampled_from([0, 0.2, 0.6]))
    if not missing:
        is_wrong[:n_classes] = False
    labels = np.where(is_wrong, rng.integers(0, n_classes, n_samples), truth)
    return labels, proba.astype(draw(st.sampled_from([np.float32, np.float64])))


def noisy(n_samples, n_classes, seed=0, dtype=np.float32):
    """Labels of which a fifth are wrong, and probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, n_classes, n_samples)
    proba = rng.standard_exponential((n_samples, n_classes), dtype=np.float32)
    proba[np.arange(n_samples), truth] += 0.6 * n_classes * rng.random(n_samples)
    proba /= proba.sum(1, keepdims=True)
    other = (truth + rng.integers(1, n_classes, n_samples)) % n_classes
    labels = np.where(rng.random(n_samples) < 0.2, other, truth)
    return labels, proba.astype(dtype)


def counts_by_loops(labels, proba):
    """Thresholds, counts and who is counted off the diagonal, row by row."""
    n_classes = proba.shape[1]
    thresholds = np.full(n_classes, 2.0)
    for k in set(labels.tolist()):
        thresholds[k] = max(proba[labels == k, k].mean(), 2e-6)
    counts = np.zeros((n_classes, n_classes), dtype=int)
    is_other = np.zeros(len(labels), dtype=bool)
    for i, (label, row) in enumerate(zip(labels, proba, strict=True)):
        confident = [k for k in range(n_classes) if row[k] >= thresholds[k] - 1e-6]
        if confident:
            guess = confident[0] if len(confident) == 1 else int(row.argmax())
            counts[label, guess] += 1
            is_other[i] = guess != label
    for k in range(n_classes):
        counts[k, k] = max(counts[k, k], 1)
    return thresholds, counts, is_other


def is_best_by_loops(labels, proba):
    raised = proba.copy()
    raised[np.arange(len(labels)), labels] += 1e-6
    return raised.argmax(1) == labels


def first(order, number):
    mask = np.zeros(len(order), dtype=bool)
    mask[order[: max(number, 0)]] = True
    return mask


def pruned_by_loops(labels, proba, filter_by, joint):
    """Sort the rows of each class, and of each pair of classes."""
    by_class = np.zeros(len(labels), dtype=bool)
    by_rate = np.zeros(len(labels), dtype=bool)
    for a in range(proba.shape[1]):
        rows = np.flatnonzero(labels == a)
        if len(rows) < 2:
            continue
        order = np.argsort(proba[rows, a], kind="stable")
        by_class[rows] = first(order, len(rows) - joint[a, a])
        for b in range(proba.shape[1]):
            if b != a:
                margin = proba[rows, a] - proba[rows, b]
                order = np.argsort(margin, kind="stable")
                by_rate[rows[order[: joint[a, b]]]] = True
    mask = {
        "prune_by_class": by_class,
        "prune_by_noise_rate": by_rate,
        "both": by_class & by_rate,
    }[filter_by]
    return mask & ~is_best_by_loops(labels, proba)


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

    def test_rounding_gives_the_rest_to_the_largest_remainder(self):
        # 10 rows shared by 4:4:1 are 4.44, 4.44 and 1.11, which round to nine; of 100
        # rows shared by 5:2:9, 31.25, 12.5 and 56.25, 12.5 is rounded to an even 12.
        counts = np.array([[4, 4, 1], [5, 2, 9], [0, 0, 1]])
        joint = calibrated_counts(counts, np.array([10, 100, 7]))
        assert sorted(joint[0]) == [1, 4, 5] and joint[0, 2] == 1
        assert joint[1].tolist() == [31, 13, 56]
        assert joint[2].tolist() == [0, 0, 7]
        # 2.6, 2.6, 2.6 and 5.2 of 13 rows round up to fourteen.
        counts = np.array([[2, 1, 1, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        joint = calibrated_counts(counts, np.array([13, 1, 1, 1]))
        assert sorted(joint[0, 1:]) == [2, 3, 3] and joint[0, 0] == 5

    def test_the_transition_matrix_by_bayes(self):
        joint = np.array([[6, 2, 0], [4, 6, 0], [0, 0, 0]])
        expected = [[0.6, 0.4, 0], [0.25, 0.75, 0], [0, 0, 1]]
        np.testing.assert_allclose(transition_from_joint(joint), expected)

    def test_of_several_confident_classes_the_most_probable_of_all_counts(self):
        thresholds = np.array([0.1, 0.2, 0.9])
        block = np.array(
            [
                [0.2, 0.25, 0.55],  # 0 and 1, and counted for 2, which is not
                [0.2, 0.15, 0.65],  # 0 alone
                [0.05, 0.15, 0.8],  # none
                [0.05, 0.05, 0.9],  # 2
                [0.6, 0.4, 0.0],
                [0.1 - 2e-6, 0.1, 0.8],  # just too little
                [0.1 - 5e-7, 0.1, 0.8],  # all but the threshold
            ]
        )
        guesses = confident_guesses(block, block.argmax(1), thresholds)
        assert guesses.tolist() == [2, 0, -1, 2, 0, -1, 0]

    def test_a_class_without_rows_is_never_confident(self):
        labels, proba = np.array([0, 0, 1, 1]), np.tile([0.1, 0.1, 0.8], (4, 1))
        issues = LabelIssues(labels, proba)
        np.testing.assert_allclose(issues.thresholds, [0.1, 0.1, 2])
        # Each row is confident of 0 and of 1, and 2 is the most probable of all.
        assert issues.counts.tolist() == [[1, 0, 2], [0, 1, 2], [0, 0, 1]]
        assert issues.joint.sum() == 4

    def test_thresholds_have_a_floor(self):
        proba = np.array([[1.0, 0.0], [1.0, 0.0]])
        np.testing.assert_allclose(class_thresholds(np.array([0, 1]), proba)[1], 2e-6)


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

    def test_ranked_from_the_worst(self):
        labels, proba = noisy(2000, 5)
        mask = find_label_issues(labels, proba)
        for method in QUALITIES:
            rows = find_label_issues(labels, proba, return_indices_ranked_by=method)
            assert rows.dtype == np.int64
            np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(mask))
            assert (np.diff(label_quality(labels, proba, method)[rows]) >= 0).all()

    def test_planted_labels_are_found(self):
        rng = np.random.default_rng(0)
        truth = rng.integers(0, 4, 2000)
        is_wrong = rng.random(2000) < 0.3
        labels = np.where(is_wrong, (truth + rng.integers(1, 4, 2000)) % 4, truth)
        proba = 0.02 + 0.92 * np.eye(4)[truth]
        for rule in FILTERS:
            flagged = find_label_issues(labels, proba, filter_by=rule)
            np.testing.assert_array_equal(flagged, is_wrong)


class TestQuality:
    @given(predictions())
    def test_by_hand(self, drawn):
        labels, proba = drawn
        proba = proba.astype(np.float64)
        n_classes = proba.shape[1]
        for i, (label, row) in enumerate(zip(labels, proba, strict=True)):
            rest = max(p for k, p in enumerate(row) if k != label)
            entropy = -sum(p * np.log(p) for p in row if p > 0) / np.log(n_classes)
            doubt = entropy / max(row[label], 1e-6)
            expected = {
                "self_confidence": row[label],
                "normalized_margin": (row[label] - rest + 1) / 2,
                "confidence_weighted_entropy": np.log1p(doubt) / max(doubt, 1e-6),
            }
            for method, value in expected.items():
                quality = label_quality(labels, proba, method)[i]
                assert quality == pytest.approx(value, rel=1e-9, abs=1e-9)

    @pytest.mark.parametrize("method", QUALITIES)
    def test_chosen_rows_are_those_of_all(self, method):
        labels, proba = noisy(500, 3)
        rows = np.array([7, 3, 499, 3])
        all_rows = label_quality(labels, proba, method)
        some = label_quality(labels, proba, method, rows)
        np.testing.assert_array_equal(some, all_rows[rows])
        assert ((all_rows >= 0) & (all_rows <= 1)).all()


def test_the_reference_is_reproduced_to_the_bit(reference):
    data = reference("confident_learning.npz")
    labels, proba = data["labels"], data["pred_probs"]
    issues = LabelIssues(labels, proba)
    np.testing.assert_array_equal(issues.thresholds, data["thresholds"])
    np.testing.assert_array_equal(issues.counts, data["confident_joint"])
    np.testing.assert_array_equal(issues.joint, data["confident_joint_calibrated"])
    matrix = transition_from_joint(issues.joint)
    np.testing.assert_allclose(matrix, data["noise_matrix_columns"].T, rtol=1e-7)
    np.testing.assert_allclose(issues.joint.sum(0) / 1797, data["py"], rtol=1e-7)
    masks = [name for name in data if name.startswith("issues_")]
    assert len(masks) == 5
    for name in masks:
        rule = name.removeprefix("issues_")
        mask = find_label_issues(labels, proba, filter_by=rule)
        np.testing.assert_array_equal(mask, data[name])
    for method in QUALITIES:
        quality = label_quality(labels, proba, method)
        np.testing.assert_array_equal(quality, data[f"quality_{method}"])


@pytest.fixture(scope="module")
def peer():
    return pytest.importorskip("cleanlab.filter").find_label_issues


class TestAgainstCleanlab:
    @pytest.mark.filterwarnings("ignore:May not flag all label issues in class")
    @settings(max_examples=60, deadline=None)
    @given(drawn=predictions(ties=False), share=st.sampled_from([1.0, 0.5, 0.3]))
    def test_random_cases(self, peer, drawn, share):
        labels, proba = drawn
        if len(set(labels.tolist())) < 2:  # It refuses them.
            return
        for rule in FILTERS:
            options = {"filter_by": rule}
            if rule in PRUNING:
                options |= {"frac_noise": share, "min_examples_per_class": 3}
            ours = find_label_issues(labels, proba, **options)
            theirs = peer(labels, proba, n_jobs=1, **options)
            np.testing.assert_array_equal(ours, theirs)

    @pytest.mark.parametrize(
        ("n_samples", "n_classes", "dtype"),
        [(5000, 2, np.float32), (4000, 60, np.float64), (20_000, 10, np.float16)],
    )
    def test_larger_cases(self, peer, n_samples, n_classes, dtype):
        labels, proba = noisy(n_samples, n_classes, dtype=dtype)
        for rule in FILTERS:
            ours = find_label_issues(labels, proba, filter_by=rule)
            theirs = peer(labels, proba, filter_by=rule, n_jobs=1)
            # There are so few numbers of 16 bits that many rows are tied.
            allowed = 0.01 if dtype == np.float16 else 0
            assert (ours != theirs).mean() <= allowed

    @pytest.mark.parametrize("method", QUALITIES)
    def test_quality_and_ranking(self, peer, method):
        rank = pytest.importorskip("cleanlab.rank")
        labels, proba = noisy(3000, 7)
        quality = label_quality(labels, proba, method)
        theirs = rank.get_label_quality_scores(labels, proba, method=method)
        np.testing.assert_array_equal(quality, theirs)
        options = {"return_indices_ranked_by": method}
        ours = find_label_issues(labels, proba, **options)
        np.testing.assert_array_equal(
            quality[ours], quality[peer(labels, proba, n_jobs=1, **options)]
        )

    def test_a_joint_of_ones_own(self, peer):
        labels, proba = noisy(3000, 4)
        joint = np.array([[5, 9, 3, 0], [1, 700, 2, 60], [80, 0, 0, 5], [1, 2, 3, 4]])
        for rule in PRUNING:
            options = {"filter_by": rule, "confident_joint": joint}
            ours = find_label_issues(labels, proba, **options)
            theirs = peer(labels, proba, n_jobs=1, **options)
            np.testing.assert_array_equal(ours, theirs)


class TestInput:
    def test_kinds_and_orders_give_the_same_answer(self):
        labels, proba = noisy(900, 4, dtype=np.float64)
        before = labels.copy(), proba.copy()
        expected = find_label_issues(labels, proba)
        for other in (
            find_label_issues(labels.tolist(), proba.tolist()),
            find_label_issues(pd.Series(labels, name="y"), pd.DataFrame(proba)),
            find_label_issues(labels.astype(np.uint8), np.asfortranarray(proba)),
            find_label_issues(labels, np.repeat(proba, 2, axis=1)[:, ::2]),
        ):
            np.testing.assert_array_equal(other, expected)
        np.testing.assert_array_equal(labels, before[0])
        np.testing.assert_array_equal(proba, before[1])

    def test_whole_numbers_are_probabilities_too(self):
        votes = np.eye(3, dtype=np.int64)[[0, 1, 2, 0, 0, 1]]
        flagged = find_label_issues([0, 1, 2, 0, 1, 1], votes)
        assert np.flatnonzero(flagged).tolist() == [4]

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
        monkeypatch.setattr(_label_issues, "_COLUMN_BYTES", 2 * 4 * 150)
        for rule, mask in zip(FILTERS, expected, strict=True):
            again = find_label_issues(labels, proba, filter_by=rule)
            np.testing.assert_array_equal(again, mask)
        for method, values in zip(QUALITIES, quality, strict=True):
            again = label_quality(labels, proba, method)
            np.testing.assert_array_equal(again, values)

    @pytest.mark.parametrize("rule", FILTERS)
    def test_no_second_table_is_made(self, rule):
        labels, proba = noisy(60_000, 100)
        labels[:50_000] = 0  # Not even of a class that has most of the rows.
        tracemalloc.start()
        find_label_issues(labels, proba, filter_by=rule)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < proba.nbytes / 3

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda p: p[0], r"column for each of two classes or more; got shape \(3,"),
            (lambda p: p[:, :1], r"got shape \(20, 1\)"),
            (lambda p: p[:0], r"got shape \(0, 3\)"),
            (lambda p: p[:-1], r"shape \(19,\); got shape \(20,\)"),
            (lambda p: np.where(p == p[3, 1], np.nan, p), "NaN or infinite .* row 3"),
            (lambda p: np.where(p == p[3, 1], np.inf, p), "NaN or infinite .* row 3"),
            (lambda p: p + np.array([-1, 1, 0]), r"negative; row 0 has -0\.\d+"),
            (lambda p: np.log(p), "negative; row 0 .* not logits"),
            (lambda p: p * np.where(np.arange(20) == 5, 0.5, 1)[:, None], "row 5 sums"),
            (lambda p: p * 1.02, r"must sum to 1; row 0 sums to 1\.02"),
        ],
    )
    def test_bad_probabilities_are_refused(self, change, message):
        rng = np.random.default_rng(0)
        labels, proba = rng.integers(0, 3, 20), rng.dirichlet([2, 2, 2], 20)
        with pytest.raises(ValueError, match=message):
            find_label_issues(labels, change(proba))

    def test_the_first_bad_row_is_named_in_any_block(self, monkeypatch):
        monkeypatch.setattr(_joint, "_BLOCK_SIZE", 6)
        proba = np.full((20, 3), 1 / 3)
        proba[[9, 13]] = 2
        with pytest.raises(ValueError, match="row 9 sums to 6"):
            check_pred_probs(proba)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32])
    def test_roundings_are_not_refused(self, dtype):
        proba = noisy(1000, 500, dtype=dtype)[1]
        assert check_pred_probs(proba) is proba

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (["a", "b", "a"], "must be integers.*ConfidentLearningDetector"),
            ([0.0, 1.0, 2.0], "must be integers, got dtype float64"),
            ([0, 1, 3], r"in 0, \.\.\., 2, as pred_probs has 3 columns; got 3"),
            ([0, -1, 1], "got -1"),
            ([[0, 1, 2]], r"labels .* 1d array, .* \(1, 3\)"),
        ],
    )
    def test_bad_labels_are_refused(self, labels, message):
        with pytest.raises(ValueError, match=message):
            find_label_issues(labels, np.full((3, 3), 1 / 3))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"filter_by": "prune"}, "filter_by must be one of prune_by_noise_rate, "),
            ({"return_indices_ranked_by": "margin"}, "must be None or one of self_con"),
            ({"frac_noise": 1.5}, r"frac_noise must be in \[0, 1\]; got 1.5"),
            ({"frac_noise": np.nan}, r"frac_noise must be in \[0, 1\]; got nan"),
            (
                {"frac_noise": 0.5, "filter_by": "confident_learning"},
                "frac_noise has no effect with filter_by='confident_learning'",
            ),
            ({"min_examples_per_class": -1}, "must be a whole number.*got -1"),
            ({"min_examples_per_class": 0.5}, "must be a whole number.*got 0.5"),
            (
                {"confident_joint": np.eye(3), "filter_by": "low_self_confidence"},
                "confident_joint has no effect",
            ),
            ({"confident_joint": np.eye(2)}, r"\(3, 3\); got shape \(2, 2\)"),
            ({"confident_joint": -np.eye(3)}, "least value -1"),
        ],
    )
    def test_bad_options_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            find_label_issues([0, 1, 2], np.full((3, 3), 1 / 3), **options)


def test_it_needs_no_torch():
    code = (
        "import sys; from sknoisy import find_label_issues; "
        "from sknoisy.detection import ConfidentLearningDetector; "
        "find_label_issues([0, 1], [[1.0, 0.0], [0.0, 1.0]]); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_of_the_room():
    assert sknoisy.detection.find_label_issues is find_label_issues
    for name in sknoisy.detection.__all__:
        assert getattr(sknoisy.detection, name).__name__ == name
    assert set(sknoisy.detection.__all__) <= set(dir(sknoisy.detection))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        sknoisy.detection.nothing  # noqa: B018
