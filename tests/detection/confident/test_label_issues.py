"""find_label_issues: against the reference file and cleanlab, and what it takes."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from labelled_predictions import noisy, predictions

import sknoisy.detection
from sknoisy import _confident_joint as _joint
from sknoisy import find_label_issues
from sknoisy._confident_joint import transition_from_joint
from sknoisy.detection._confident._label_issues import check_pred_probs
from sknoisy.detection._confident._pruning import FILTERS, PRUNING, LabelIssues
from sknoisy.detection._confident._quality import QUALITIES, label_quality


def test_the_reference_is_reproduced_to_the_last_digit(reference):
    data = reference("confident_learning.npz")
    labels, proba = data["labels"], data["pred_probs"]
    # The larger file is cleanlab's, the smaller one adds up in another order, and
    # processors differ in the last digit of a logarithm.
    rtol = 1e-15 if len(labels) == 1797 else 1e-13
    issues = LabelIssues(labels, proba)
    np.testing.assert_allclose(issues.thresholds, data["thresholds"], rtol=rtol)
    np.testing.assert_array_equal(issues.counts, data["confident_joint"])
    np.testing.assert_array_equal(issues.joint, data["confident_joint_calibrated"])
    matrix = transition_from_joint(issues.joint)
    np.testing.assert_allclose(matrix, data["noise_matrix_columns"].T, rtol=1e-7)
    np.testing.assert_allclose(issues.joint.sum(0) / len(labels), data["py"], rtol=1e-7)
    masks = [name for name in data if name.startswith("issues_")]
    assert len(masks) == 5
    for name in masks:
        rule = name.removeprefix("issues_")
        mask = find_label_issues(labels, proba, filter_by=rule)
        np.testing.assert_array_equal(mask, data[name])
    for method in QUALITIES:
        quality = label_quality(labels, proba, method)
        expected = data[f"quality_{method}"]
        np.testing.assert_allclose(quality, expected, rtol=rtol)


@pytest.fixture(scope="module")
def peer():
    return pytest.importorskip("cleanlab.filter").find_label_issues


class TestAgainstCleanlab:
    @pytest.mark.filterwarnings("ignore:May not flag all label issues in class")
    @examples(60)
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


def test_ranked_from_the_worst():
    labels, proba = noisy(2000, 5)
    mask = find_label_issues(labels, proba)
    for method in QUALITIES:
        rows = find_label_issues(labels, proba, return_indices_ranked_by=method)
        assert rows.dtype == np.int64
        np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(mask))
        assert (np.diff(label_quality(labels, proba, method)[rows]) >= 0).all()


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


@pytest.mark.slow
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
