"""Confident joint: against a loop over rows, limit cases and cleanlab."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sknoisy._confident_joint import (
    calibrated_counts,
    class_thresholds,
    confident_guesses,
    confident_joint,
    transition_from_joint,
    true_class_proba,
)


@st.composite
def predictions(draw):
    """Labels of which each class has a row, and probabilities with frequent ties."""
    n_classes = draw(st.integers(2, 5))
    n_samples = draw(st.integers(n_classes, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    codes = np.concatenate(
        [np.arange(n_classes), rng.integers(0, n_classes, n_samples - n_classes)]
    )
    if draw(st.booleans()):
        # Sixteenths add up exactly, so that a mean of equal numbers is that number.
        parts = rng.multinomial(16, np.full(n_classes, 1 / n_classes), n_samples)
        return rng.permutation(codes), parts / 16
    return rng.permutation(codes), rng.dirichlet(np.ones(n_classes), n_samples)


def by_loops(codes, proba):
    """Section 3.1 of the paper, row by row."""
    n_samples, n_classes = proba.shape
    thresholds = [proba[codes == k, k].mean() for k in range(n_classes)]
    counts = np.zeros((n_classes, n_classes))
    for code, row in zip(codes, proba, strict=True):
        confident = [k for k in range(n_classes) if row[k] >= thresholds[k] - 1e-9]
        if confident:
            counts[code, max(confident, key=lambda k: row[k])] += 1
    joint = np.zeros_like(counts)
    for k in range(n_classes):
        share = (codes == k).sum() / n_samples
        if counts[k].any():
            joint[k] = share * counts[k] / counts[k].sum()
        else:
            joint[k, k] = share
    return joint


@given(predictions())
def test_it_is_what_a_loop_over_the_rows_counts(drawn):
    codes, proba = drawn
    joint = confident_joint(codes, proba)
    np.testing.assert_allclose(joint, by_loops(codes, proba), rtol=1e-12)


@given(predictions())
def test_it_is_a_distribution_with_the_frequencies_of_the_given_labels(drawn):
    codes, proba = drawn
    joint = confident_joint(codes, proba)
    assert (joint >= 0).all() and joint.sum() == pytest.approx(1, rel=1e-12)
    frequencies = np.bincount(codes) / len(codes)
    np.testing.assert_allclose(joint.sum(1), frequencies, rtol=1e-12)


@given(predictions())
def test_perfect_predictions_give_the_diagonal(drawn):
    codes, _ = drawn
    n_classes = codes.max() + 1
    joint = confident_joint(codes, np.eye(n_classes)[codes])
    np.testing.assert_allclose(joint, np.diag(np.bincount(codes) / len(codes)))


@given(predictions(), st.integers(0, 1000))
def test_the_order_of_rows_and_of_classes_is_of_no_account(drawn, seed):
    codes, proba = drawn
    rng = np.random.default_rng(seed)
    proba = proba + rng.uniform(0, 1e-3, proba.shape)  # of equals the first counts
    rows = rng.permutation(len(codes))
    joint = confident_joint(codes, proba)
    np.testing.assert_allclose(confident_joint(codes[rows], proba[rows]), joint)
    names = rng.permutation(proba.shape[1])
    renamed = confident_joint(names[codes], proba[:, np.argsort(names)])
    np.testing.assert_allclose(renamed[np.ix_(names, names)], joint)


def test_wrong_labels_that_are_seen_through_give_the_true_joint():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 2000)
    is_wrong = rng.random(2000) < 0.3
    codes = np.where(is_wrong, (truth + rng.integers(1, 4, 2000)) % 4, truth)
    proba = 0.02 + 0.92 * np.eye(4)[truth]
    expected = np.zeros((4, 4))
    np.add.at(expected, (codes, truth), 1 / 2000)
    np.testing.assert_allclose(confident_joint(codes, proba), expected, atol=1e-12)


def test_of_several_confident_classes_the_most_probable_counts():
    # The thresholds are the probabilities themselves, so that each row is confident of
    # both classes, and 0.6 is the larger one.
    codes = np.array([0, 0, 1, 1])
    joint = confident_joint(codes, np.tile([0.4, 0.6], (4, 1)))
    np.testing.assert_allclose(joint, [[0, 0.5], [0, 0.5]])


@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_cleanlab(seed):
    count = pytest.importorskip("cleanlab.count")
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, 500)
    is_wrong = rng.random(500) < 0.2
    codes = np.where(is_wrong, (truth + rng.integers(1, 4, 500)) % 4, truth)
    proba = rng.dirichlet(np.ones(4), 500) + 3 * np.eye(4)[truth]
    proba /= proba.sum(1, keepdims=True)
    # Among several confident classes cleanlab takes the most probable of all classes,
    # confident or not; the paper, and we, the most probable confident one. And it
    # counts at least one row on the diagonal. Neither matters here.
    thresholds = np.array([proba[codes == k, k].mean() for k in range(4)])
    is_confident = proba >= thresholds
    several = is_confident.sum(1) > 1
    assert is_confident[several, proba[several].argmax(1)].all()
    joint = confident_joint(codes, proba)
    raw = count.compute_confident_joint(codes, proba, calibrate=False)
    assert (raw.diagonal() > 1).all()
    scaled = raw / raw.sum(1, keepdims=True) * np.bincount(codes)[:, None] / 500
    np.testing.assert_allclose(joint, scaled, rtol=1e-12)
    # Calibrated counts come as whole numbers.
    whole = count.compute_confident_joint(codes, proba, calibrate=True)
    np.testing.assert_allclose(500 * joint, whole, atol=1)


class TestCounts:
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

    def test_thresholds_have_a_floor(self):
        proba = np.array([[1.0, 0.0], [1.0, 0.0]])
        np.testing.assert_allclose(class_thresholds(np.array([0, 1]), proba)[1], 2e-6)


class TestTrueClasses:
    T = np.array([[0.7, 0.3, 0.0], [0.1, 0.8, 0.1], [0.0, 0.4, 0.6]])

    def test_many_steps_solve_the_equation(self):
        true = np.random.default_rng(0).dirichlet(np.ones(3), 20)
        found = true_class_proba(true @ self.T, self.T, 20_000)
        np.testing.assert_allclose(found, true, atol=1e-3)

    def test_each_step_raises_the_likelihood(self):
        proba = np.random.default_rng(0).dirichlet(np.ones(3), 20)
        values = [
            (proba * np.log(true_class_proba(proba, self.T, n) @ self.T)).sum(1)
            for n in range(4)
        ]
        assert (np.diff(values, axis=0) >= -1e-12).all()

    def test_without_noise_nothing_changes(self):
        proba = np.random.default_rng(0).dirichlet(np.ones(3), 20)
        np.testing.assert_allclose(true_class_proba(proba, np.eye(3), 2), proba)
