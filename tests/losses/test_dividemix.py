"""Targets and loss of DivideMix, in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, softmax

from sknoisy.losses import (
    guessed_targets,
    negative_entropy,
    refined_targets,
    semi_supervised_loss,
    sharpen,
)

LOGITS = arrays(np.float64, (4, 3), elements=st.floats(-8, 8))
TEMPERATURES = st.floats(0.1, 5)


def tensor(values):
    return torch.from_numpy(np.asarray(values))


def powers(p, temperature):
    raised = p ** (1 / temperature)
    return raised / raised.sum(1, keepdims=True)


@pytest.fixture
def batch():
    """Logits of 7 mixed rows, soft targets and row weights, one of them 0."""
    rng = np.random.default_rng(0)
    targets = rng.dirichlet(np.ones(3), 7)
    weight = rng.random(7)
    weight[2] = 0.0
    return 3 * rng.normal(size=(7, 3)), targets, weight


class TestSharpen:
    @given(LOGITS, TEMPERATURES)
    def test_powers_of_the_probabilities(self, logits, temperature):
        p = softmax(logits, axis=1)
        given_p = sharpen(tensor(p), temperature).numpy()
        np.testing.assert_allclose(given_p, powers(p, temperature), rtol=1e-7)
        np.testing.assert_allclose(given_p.sum(1), 1, rtol=1e-12)

    @given(LOGITS)
    def test_temperature_one_changes_nothing(self, logits):
        p = softmax(logits, axis=1)
        np.testing.assert_allclose(sharpen(tensor(p), 1.0).numpy(), p, rtol=1e-12)

    def test_a_low_temperature_leaves_the_largest(self):
        p = torch.tensor([[0.3, 0.3001, 0.3999], [0.0, 1.0, 0.0]])
        np.testing.assert_allclose(
            sharpen(p, 1e-3).numpy(), [[0, 0, 1], [0, 1, 0]], atol=1e-6
        )


class TestTargets:
    @given(LOGITS, LOGITS, TEMPERATURES)
    def test_guesses_are_sharpened_means_of_probabilities(self, a, b, temperature):
        mean = (softmax(a, axis=1) + softmax(b, axis=1)) / 2
        given_targets = guessed_targets([tensor(a), tensor(b)], temperature)
        expected = powers(mean, temperature)
        np.testing.assert_allclose(given_targets.numpy(), expected, rtol=1e-7)

    @given(LOGITS, LOGITS, arrays(np.float64, 4, elements=st.floats(0, 1)))
    def test_refined_targets(self, a, b, w):
        y = np.array([0, 2, 1, 2])
        mean = (softmax(a, axis=1) + softmax(b, axis=1)) / 2
        mixture = w[:, None] * np.eye(3)[y] + (1 - w)[:, None] * mean
        given_targets = refined_targets(
            tensor(y), [tensor(a), tensor(b)], tensor(w), 0.7
        )
        expected = powers(mixture, 0.7)
        np.testing.assert_allclose(given_targets.numpy(), expected, rtol=1e-7)

    @given(LOGITS)
    def test_a_certain_label_is_the_target(self, logits):
        y = torch.tensor([0, 2, 1, 2])
        targets = refined_targets(y, [tensor(logits)], 1.0)
        np.testing.assert_array_equal(targets.numpy(), np.eye(3)[y])

    @given(LOGITS)
    def test_a_wrong_label_has_no_say(self, logits):
        logits = [tensor(logits)]
        targets = refined_targets(torch.tensor([0, 2, 1, 2]), logits, 0.0)
        np.testing.assert_allclose(targets, guessed_targets(logits), rtol=1e-12)

    def test_they_carry_no_gradient_to_the_label(self):
        # Saturated predictions: 0 and 1 to the last bit.
        logits = torch.tensor([[1000.0, -1000.0]])
        targets = refined_targets(torch.tensor([1]), [logits], torch.tensor([0.5]))
        np.testing.assert_allclose(targets.numpy(), [[0.5, 0.5]], rtol=1e-6)


def by_hand(logits, targets, n, lam, weight):
    fit = -(targets * log_softmax(logits, axis=1)).sum(1)
    away = ((softmax(logits, axis=1) - targets) ** 2).mean(1)
    x = np.average(fit[:n], weights=weight[:n])
    return x + lam * np.average(away[n:], weights=weight[n:])


class TestLoss:
    @pytest.mark.parametrize("n", [1, 3, 6])
    @pytest.mark.parametrize("lam", [0.0, 0.5, 25.0])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_both_parts(self, batch, n, lam, weighted):
        logits, targets, weight = batch
        w = tensor(weight) if weighted else None
        loss = semi_supervised_loss(tensor(logits), tensor(targets), n, lam, w)
        expected = by_hand(logits, targets, n, lam, weight if weighted else np.ones(7))
        assert loss.item() == pytest.approx(expected, rel=1e-7)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_a_part_without_rows_is_nothing(self, batch, weighted):
        logits, targets, weight = batch
        w = tensor(weight) if weighted else None
        args = tensor(logits), tensor(targets)
        labelled = semi_supervised_loss(*args, 7, 25.0, w)
        unlabelled = semi_supervised_loss(*args, 0, 25.0, w)
        weight = weight if weighted else np.ones(7)
        fit = -(targets * log_softmax(logits, axis=1)).sum(1)
        away = ((softmax(logits, axis=1) - targets) ** 2).mean(1)
        assert labelled.item() == pytest.approx(np.average(fit, weights=weight))
        assert unlabelled.item() == pytest.approx(25 * np.average(away, weights=weight))

    def test_a_part_of_weight_zero_teaches_nothing(self, batch):
        logits, targets, _ = batch
        w = torch.tensor([0.0] * 3 + [1.0] * 4)
        logits = tensor(logits).requires_grad_()
        semi_supervised_loss(logits, tensor(targets), 3, 1.0, w).backward()
        assert (logits.grad[:3] == 0).all()
        assert (logits.grad[3:] != 0).any(1).all()

    def test_without_weight_guesses_teach_nothing(self, batch):
        logits, targets, _ = batch
        logits = tensor(logits).requires_grad_()
        semi_supervised_loss(logits, tensor(targets), 4, 0.0).backward()
        assert (logits.grad[4:] == 0).all()
        assert (logits.grad[:4] != 0).any(1).all()

    def test_integer_weights_are_repeated_rows(self, batch):
        logits, targets, _ = batch
        counts = np.array([1, 0, 3, 2, 1, 0, 4])
        rows = np.repeat(np.arange(7), counts)
        args = tensor(logits), tensor(targets)
        weighted = semi_supervised_loss(*args, 3, 2.0, tensor(counts.astype(float)))
        repeated = (part[rows] for part in args)
        expected = semi_supervised_loss(*repeated, 4, 2.0)
        assert weighted.item() == pytest.approx(expected.item(), rel=1e-12)


@given(LOGITS)
def test_negative_entropy(logits):
    p = softmax(logits, axis=1)
    given_penalty = negative_entropy(tensor(logits)).numpy()
    np.testing.assert_allclose(given_penalty, (p * np.log(p)).sum(1), atol=1e-12)
    assert (given_penalty >= -np.log(3) - 1e-12).all()
