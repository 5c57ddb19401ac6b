"""SOP's loss and the steps of its noise against autograd and growth by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sknoisy.losses import SOPLoss


@pytest.fixture
def batch():
    """Logits, labels, u and v of six rows of eight, in float64."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(2 * rng.normal(size=(6, 4)))
    u, v = (
        torch.tensor(rng.uniform(0.05, 0.9, 8)),
        torch.tensor(rng.uniform(0.05, 0.9, (8, 4))),
    )
    return logits, torch.tensor(rng.integers(0, 4, 6)), u, v


def criterion_at(u, v, **params):
    criterion = SOPLoss(8, 4, initial=1e-6, reduction="none", **params).double()
    criterion.u[:], criterion.v[:] = u, v
    return criterion


def literal(logits, y, u, v):
    """The published losses: of the network, of u, and of v."""
    e = F.one_hot(y, 4).double()
    U = (u**2).clamp(0, 1)[:, None] * e
    V = (v**2).clamp(0, 1) * (1 - e)
    shifted = (logits.softmax(1) + U - V.detach()).clamp_min(1e-4)
    p = F.normalize(shifted, p=1, eps=1e-12).clamp_min(1e-4)
    guess = F.one_hot(logits.argmax(1), 4).double()
    return -(e * p.log()).sum(1) + (guess + U - V - e).square().sum(1)


class TestSteps:
    @pytest.mark.parametrize("scale", [1.0, 30.0], ids=["unsure", "sure"])
    def test_value_and_all_gradients_are_those_of_autograd(self, batch, scale):
        logits, y, u, v = batch
        z, a, b = (t.clone().requires_grad_() for t in (scale * logits, u, v))
        expected = literal(z, y, a[:6], b[:6])
        expected.sum().backward()
        criterion = criterion_at(u, v, u_lr=0.01, v_lr=0.02)
        own = (scale * logits).requires_grad_()
        loss = criterion(own, y, torch.arange(6))
        loss.sum().backward()
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(own.grad, z.grad)
        torch.testing.assert_close(
            criterion.u, (u - 0.01 * a.grad).clamp(1e-6, 1), rtol=1e-9, atol=1e-12
        )
        torch.testing.assert_close(
            criterion.v, (v - 0.02 * b.grad).clamp(1e-6, 1), rtol=1e-9, atol=1e-12
        )
        assert criterion.seen.tolist() == [True] * 6 + [False] * 2

    def test_growth_under_a_constant_contradiction(self):
        # The published values, over a batch of 128: v² = 1/2 after 68 epochs.
        criterion = SOPLoss(1, 3, u_lr=0, v_lr=10 / 128, initial=1e-8).double()
        logits, y = torch.tensor([[0.0, 5.0, 0.0]]), torch.tensor([0])
        n_epochs = 0
        while criterion.v[0, 1] ** 2 < 0.5 and n_epochs < 99:
            criterion(logits, y, torch.tensor([0]))
            n_epochs += 1
        assert n_epochs == 68
        # Elsewhere v does not grow.
        assert criterion.v[0, 2].item() == pytest.approx(1e-8)

    def test_without_noise_it_is_cross_entropy_and_a_constant(self, batch):
        logits, y, _, _ = batch
        criterion = SOPLoss(8, 4, initial=1e-9, reduction="none")
        made = criterion(logits, y, torch.arange(6))
        constant = 2.0 * (logits.argmax(1) != y)
        expected = F.cross_entropy(logits, y, reduction="none") + constant
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)
