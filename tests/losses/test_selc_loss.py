"""The loss of SELC: closed forms of its targets and gradient, in numpy."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.nn import functional as F

from sknoisy.losses import SELCLoss

ROWS = torch.tensor([7, 2, 4, 0, 9])


@pytest.fixture
def batch():
    """Logits of five rows and four classes that ask for gradients, and labels."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(5, 4)), requires_grad=True)
    return logits, torch.tensor([3, 0, 0, 1, 2])


def test_after_n_moves_the_label_counts_alpha_to_the_n():
    rng = np.random.default_rng(1)
    logits, y = rng.normal(size=(6, 5, 4)), np.array([3, 0, 0, 1, 2])
    criterion = SELCLoss(10, 4, alpha=0.8)
    for each in logits:
        criterion(torch.tensor(each), torch.tensor(y), ROWS)
    p = softmax(logits, axis=2)
    shares = 0.2 * 0.8 ** np.arange(5, -1, -1)
    expected = 0.8**6 * np.eye(4)[y] + np.einsum("n,nbk->bk", shares, p)
    np.testing.assert_allclose(criterion.targets[ROWS], expected, rtol=1e-5)
    np.testing.assert_allclose(criterion.targets[ROWS].sum(1), 1, rtol=1e-6)
    others = np.setdiff1d(np.arange(10), ROWS)
    assert (criterion.targets[others] == 0).all()


@pytest.mark.parametrize("is_started", [False, True])
def test_loss_and_gradient(batch, is_started):
    logits, y = batch
    criterion = SELCLoss(10, 4, alpha=0.6, reduction="none")
    if is_started:
        labels = torch.ones(10, dtype=torch.int64)
        labels[ROWS] = y
        criterion.start(labels)
    loss = criterion(logits, y, ROWS)
    z = logits.detach().numpy()
    p = softmax(z, axis=1)
    # The targets are moved before the loss is computed with them.
    t = 0.6 * np.eye(4)[y] + 0.4 * p
    expected = -(t * log_softmax(z, axis=1)).sum(1)
    np.testing.assert_allclose(loss.detach(), expected, rtol=1e-6)
    (given,) = torch.autograd.grad(loss.sum(), logits)
    # The targets have no gradient of their own.
    np.testing.assert_allclose(given, p - t, atol=1e-6)


def test_without_correction_it_is_cross_entropy_and_targets_stay(batch):
    logits, y = batch
    criterion = SELCLoss(10, 4)
    loss = criterion(logits, y, ROWS, correct=False)
    assert loss.item() == F.cross_entropy(logits, y).item()
    assert (criterion.targets == 0).all()


def test_impossible_predictions_do_not_make_it_infinite():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = SELCLoss(1, 2)(logits, torch.tensor([1]), torch.tensor([0]))
    assert loss.item() == pytest.approx(0.9 * 400)
