"""PENCIL's loss and label step against autograd, closed forms and hand work."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax
from scipy.stats import entropy
from torch.nn import functional as F

from sknoisy.losses import PENCILLoss, label_gradient


@pytest.fixture
def batch():
    """Logits of predictions and of labels, (6, 4) in float64, and given labels."""
    rng = np.random.default_rng(0)
    logits, label_logits = torch.tensor(2 * rng.normal(size=(2, 6, 4)))
    return logits, label_logits, torch.tensor(rng.integers(0, 4, 6))


def criterion_at(label_logits, y, **params):
    """A criterion whose labels have these logits, for rows 0 to 5 of 8."""
    criterion = PENCILLoss(8, 4, **params).double()
    criterion.shifts[:6] = label_logits
    criterion.shifts[torch.arange(6), y] -= criterion.initial_logit
    return criterion


class TestGradientOfLabels:
    @pytest.mark.parametrize("compatibility", ["softmax", "logits"])
    @pytest.mark.parametrize("alpha", [0.0, 0.4, 3.0])
    def test_it_is_that_of_automatic_differentiation(self, batch, alpha, compatibility):
        logits, label_logits, y = batch
        p, s = logits.softmax(1), label_logits.clone().requires_grad_()
        kl = F.kl_div(s.log_softmax(1), p, reduction="none").sum(1)
        given = F.cross_entropy(
            s.softmax(1) if compatibility == "softmax" else s, y, reduction="none"
        )
        (kl + alpha * given).sum().backward()
        made = label_gradient(label_logits, p, y, alpha, compatibility)
        torch.testing.assert_close(made, s.grad, rtol=1e-9, atol=1e-12)

    def test_a_sure_network_moves_a_label_as_far_as_the_formula_lets_it(self):
        # Where the gradient is 0: t − p + α (t − e) = 0.
        y, p = torch.tensor([0]), torch.tensor([[0.0, 1.0, 0.0]])
        criterion = PENCILLoss(1, 3, alpha=0.6, label_lr=0.5, compatibility="logits")
        for _ in range(400):
            criterion(1e3 * p, y, torch.tensor([0]))
        expected = torch.tensor([[0.6 / 1.6, 1 / 1.6, 0.0]])
        made = criterion.targets(y, torch.tensor([0]))
        torch.testing.assert_close(made, expected, atol=3e-3, rtol=0)


class TestLoss:
    @pytest.mark.parametrize("beta", [0.0, 0.3])
    def test_value_and_gradient_in_numpy(self, batch, beta):
        logits, label_logits, y = batch
        criterion = criterion_at(label_logits, y, beta=beta, reduction="none")
        p, t = (softmax(each.numpy(), axis=1) for each in (logits, label_logits))
        z = logits.requires_grad_()
        loss = criterion(z, y, torch.arange(6))
        expected = rel_entr(p, t).sum(1) + beta * entropy(p, axis=1)
        np.testing.assert_allclose(loss.detach(), expected, rtol=1e-9)
        loss.sum().backward()
        slope = (1 - beta) * np.log(p) - np.log(t)
        expected = p * (slope - (p * slope).sum(1, keepdims=True))
        np.testing.assert_allclose(z.grad, expected, rtol=1e-8, atol=1e-12)

    def test_labels_start_as_given_ones(self):
        y, index = torch.tensor([3, 0]), torch.tensor([1, 5])
        made = PENCILLoss(6, 10).targets(y, index)
        assert made[0, 3].item() == pytest.approx(0.99959, abs=1e-5)
        criterion = PENCILLoss(
            6, 10, alpha=0, beta=0, initial_logit=50, reduction="none"
        )
        logits = torch.tensor(np.random.default_rng(0).normal(size=(2, 10)))
        # KL(p‖e) is finite only by the K of the softmax: K (1 − p_y) − H(p), nearly.
        p = softmax(logits.numpy(), axis=1)
        expected = 50 * (1 - p[[0, 1], y]) - entropy(p, axis=1)
        np.testing.assert_allclose(criterion(logits, y, index), expected, rtol=1e-6)


class TestUpdate:
    def test_a_step_by_hand_of_these_rows_only(self, batch):
        logits, label_logits, y = batch
        criterion = criterion_at(label_logits, y, alpha=0.3, label_lr=2.0)
        before = criterion.shifts.clone()
        rows = torch.tensor([4, 1])
        criterion(logits[rows], y[rows], rows)
        t, p = (
            softmax(each.numpy(), axis=1)[[4, 1]] for each in (label_logits, logits)
        )
        e = np.eye(4)[y.numpy()[[4, 1]]]
        slope = np.exp(log_softmax(t, axis=1)) - e
        pull = t * (slope - (t * slope).sum(1, keepdims=True))
        expected = before[rows].numpy() - 2.0 * (t - p + 0.3 * pull)
        np.testing.assert_allclose(criterion.shifts[rows], expected, rtol=1e-9)
        others = [0, 2, 3, 5, 6, 7]
        assert torch.equal(criterion.shifts[others], before[others])

    @pytest.mark.parametrize(
        ("label_lr", "update"), [(0.0, True), (3.0, False)], ids=["no step", "frozen"]
    )
    def test_labels_stay(self, batch, label_lr, update):
        logits, label_logits, y = batch
        criterion = criterion_at(label_logits, y, label_lr=label_lr)
        before = criterion.shifts.clone()
        criterion(logits, y, torch.arange(6), update=update)
        assert torch.equal(criterion.shifts, before)

    def test_a_step_does_not_depend_on_the_other_rows(self, batch):
        logits, label_logits, y = batch
        together, apart = (criterion_at(label_logits, y) for _ in range(2))
        together(logits, y, torch.arange(6))
        for row in torch.arange(6).split(1):
            apart(logits[row], y[row], row)
        torch.testing.assert_close(together.shifts, apart.shifts)
