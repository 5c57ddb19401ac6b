"""Early-learning regularisation against hand work, closed gradients and bounds."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax
from torch.nn import functional as F

from sknoisy.losses import ELRLoss, early_learning_penalty


@pytest.fixture
def batch():
    """Logits of shape (6, 4) in float64 that ask for gradients, and labels."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(6, 4)), requires_grad=True)
    return logits, torch.tensor(rng.integers(0, 4, 6))


def averages(seed=1):
    """Targets of shape (6, 4) whose rows sum to less than 1."""
    return 0.8 * np.random.default_rng(seed).dirichlet(np.ones(4), 6)


class TestPenalty:
    def test_by_hand_and_its_gradient(self, batch):
        logits, _ = batch
        t = averages()
        penalty = early_learning_penalty(logits, torch.tensor(t))
        p = softmax(logits.detach().numpy(), axis=1)
        agreement = (t * p).sum(1, keepdims=True)
        np.testing.assert_allclose(
            penalty.detach(), np.log(1 - agreement[:, 0]), rtol=1e-12
        )
        (given,) = torch.autograd.grad(penalty.sum(), logits)
        expected = p * (agreement - t) / (1 - agreement)
        np.testing.assert_allclose(given, expected, rtol=1e-9, atol=1e-14)

    def test_agreement_lowers_it(self):
        logits = torch.tensor([[3.0, 0.0, 0.0]] * 3)
        targets = torch.tensor([[0.9, 0.05, 0.05], [0.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
        given = early_learning_penalty(logits, targets)
        assert given[0] < given[2] < given[1] == 0

    @given(
        arrays(np.float32, (4, 3), elements=st.floats(-100, 100, width=32)),
        st.integers(0, 2),
    )
    @examples(100)
    def test_it_is_bounded_however_sure_both_are(self, z, label):
        logits = torch.tensor(z, requires_grad=True)
        targets = F.one_hot(torch.full((4,), label), 3).float()
        penalty = early_learning_penalty(logits, targets)
        # 1 − ⟨t, p⟩ is at least 1e-4.
        assert (penalty >= np.log(1e-4) - 1e-2).all() and (penalty <= 0).all()
        assert torch.autograd.grad(penalty.sum(), logits)[0].isfinite().all()


class TestAverages:
    def test_three_batches_by_hand(self, batch):
        logits, y = batch
        criterion = ELRLoss(9, 4, lam=2.0, beta=0.6).double()
        assert not criterion.targets.any()
        rows = np.array([4, 0, 8, 2, 7, 5])
        expected = np.zeros((9, 4))
        for shift in range(3):
            z = logits + shift * torch.arange(4.0)
            loss = criterion(z, y, torch.tensor(rows))
            p = softmax(z.detach().numpy(), axis=1)
            expected[rows] = 0.6 * expected[rows] + 0.4 * p
            np.testing.assert_allclose(criterion.targets, expected, rtol=1e-10)
            # The loss is that of the averages after their update.
            agreement = (expected[rows] * p).sum(1)
            by_hand = -np.log(p[np.arange(6), y]) + 2 * np.log(1 - agreement)
            assert loss.item() == pytest.approx(by_hand.mean(), rel=1e-10)
        sums = criterion.targets[rows].sum(1)
        np.testing.assert_allclose(sums, 1 - 0.6**3, rtol=1e-10)

    def test_they_carry_no_gradient(self, batch):
        logits, y = batch
        criterion = ELRLoss(6, 4, beta=0.0, lam=1.0, reduction="none").double()
        loss = criterion(logits, y, torch.arange(6))
        assert not criterion.targets.requires_grad
        (given,) = torch.autograd.grad(loss.sum(), logits)
        p = softmax(logits.detach().numpy(), axis=1)
        t, agreement = p, (p * p).sum(1, keepdims=True)
        expected = p - np.eye(4)[y] + p * (agreement - t) / (1 - agreement)
        np.testing.assert_allclose(given, expected, rtol=1e-9, atol=1e-14)

    def test_sure_predictions_are_clamped_and_scaled_back(self):
        criterion = ELRLoss(1, 3, beta=0.0)
        criterion.update(torch.tensor([[50.0, -50.0, -50.0]]), torch.tensor([0]))
        raw = np.array([1 - 1e-4, 1e-4, 1e-4])
        np.testing.assert_allclose(criterion.targets[0], raw / raw.sum(), rtol=1e-5)

    def test_update_returns_what_it_stores(self, batch):
        logits, _ = batch
        criterion = ELRLoss(6, 4).double()
        index = torch.tensor([5, 1, 0, 2, 4, 3])
        given = criterion.update(logits, index)
        assert given.equal(criterion.targets[index])

    def test_half_precision_logits_are_averaged_in_the_dtype_of_the_targets(self):
        criterion = ELRLoss(2, 3)
        logits = torch.zeros(2, 3, dtype=torch.bfloat16)
        criterion(logits, torch.tensor([0, 1]), torch.arange(2))
        assert criterion.targets.dtype == torch.float32

    def test_they_are_a_buffer(self):
        criterion, other = ELRLoss(3, 2), ELRLoss(3, 2)
        criterion.update(torch.zeros(1, 2), torch.tensor([1]))
        other.load_state_dict(criterion.state_dict())
        assert other.targets.equal(criterion.targets) and other.targets.any()


class TestCriterion:
    def test_without_regulariser_it_is_cross_entropy(self, batch):
        logits, y = batch
        given = ELRLoss(6, 4, lam=0.0).double()(logits, y, torch.arange(6))
        torch.testing.assert_close(given, F.cross_entropy(logits, y))

    def test_reductions(self, batch):
        logits, y = batch
        index = torch.arange(6)
        rows = ELRLoss(6, 4, reduction="none").double()(logits, y, index)
        assert rows.shape == (6,)
        mean = ELRLoss(6, 4).double()(logits, y, index)
        torch.testing.assert_close(mean, rows.mean())

    def test_the_published_values_are_the_default(self):
        assert (ELRLoss(2, 2).lam, ELRLoss(2, 2).beta) == (3.0, 0.7)
