"""DISC: division of rows, thresholds and losses, in numpy."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from sknoisy.losses import DISCLoss, divide_by_confidence


def divided_in_numpy(p, given, tau, margin, limit):
    """One row after the other, as the method is written down."""
    parts, labels = [], []
    for row, y, t in zip(p, given, tau, strict=True):
        n_above = int(row[0, y] > t[0]) + int(row[1, y] > t[1])
        mean = row.mean(0)
        is_sure = mean.max() > min(t.mean() + margin, limit)
        parts.append({2: 1, 1: 2}.get(n_above, 3 if is_sure else 0))
        labels.append(mean.argmax() if parts[-1] == 3 else y)
    return np.array(parts), np.array(labels)


@pytest.fixture(scope="module")
def rows():
    """Predictions, given labels and thresholds of 400 rows and 4 classes."""
    rng = np.random.default_rng(0)
    p = softmax(3 * rng.normal(size=(400, 1, 4)) + rng.normal(size=(400, 2, 4)), 2)
    return p, rng.integers(0, 4, 400), rng.uniform(0.05, 0.9, (400, 2))


def divided(p, given, tau, **params):
    found = divide_by_confidence(*map(torch.from_numpy, (p, given, tau)), **params)
    return [t.numpy() for t in found]


@pytest.mark.parametrize("margin", [0.1, 0.5])
def test_rows_are_divided_as_written_down(rows, margin):
    parts, labels = divided(*rows, margin=margin, limit=0.9)
    expected = divided_in_numpy(*rows, margin, 0.9)
    np.testing.assert_array_equal(parts, expected[0])
    np.testing.assert_array_equal(labels, expected[1])
    assert set(parts) == {0, 1, 2, 3}


def test_of_equal_views_and_thresholds_no_row_is_hard(rows):
    p, given, tau = (np.repeat(a[:, :1], 2, 1) if a.ndim > 1 else a for a in rows)
    assert not (divided(p, given, tau)[0] == 2).any()


def test_with_a_large_margin_only_the_limit_purifies(rows):
    p, given, tau = rows
    parts, _ = divided(p, given, tau, margin=1.0, limit=0.95)
    confident = p.mean(1).max(1) > 0.95
    assert (parts == 3).any() and confident[parts == 3].all()
    own = p[np.arange(400), :, given] > tau
    np.testing.assert_array_equal(parts == 3, confident & ~own.any(1))


def test_thresholds_are_averages_of_the_largest_probabilities():
    rng = np.random.default_rng(1)
    criterion = DISCLoss(8, 4, momentum=0.8)
    rows, y = torch.tensor([5, 1, 2]), torch.tensor([0, 3, 1])
    tau = np.full((3, 2), 1 / 8)
    for epoch in range(5):
        logits = rng.normal(size=(2, 3, 4))
        criterion(torch.tensor(logits), y, rows)
        criterion.divide(sort=epoch > 1)
        tau = 0.8 * tau + 0.2 * softmax(logits, 2).max(2).T
        np.testing.assert_allclose(criterion.thresholds[rows], tau, rtol=1e-5)
    others = np.setdiff1d(np.arange(8), rows)
    # Rows that were never seen: no threshold moves, and they are in no part.
    assert (criterion.thresholds[others] == 1 / 8).all()
    assert (criterion.parts[others] == 0).all()


def test_thresholds_that_stay_keep_all_labels():
    criterion = DISCLoss(50, 4, momentum=1.0)
    logits = torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0))
    criterion(logits, torch.arange(50) % 4, torch.arange(50))
    criterion.divide()
    assert (criterion.thresholds == 1 / 50).all()
    own = criterion.proba[torch.arange(50), :, torch.arange(50) % 4]
    expected = (own > 1 / 50).sum(1)
    assert (criterion.parts[expected == 2] == 1).all() and (expected == 2).sum() > 30


def test_loss_and_gradient_of_each_part():
    rng = np.random.default_rng(2)
    z, y = 2 * rng.normal(size=(2, 4, 3)), np.array([0, 2, 1, 1])
    criterion = DISCLoss(4, 3, hard_weight=0.3, q=0.6, reduction="none")
    criterion.parts = torch.tensor([1, 2, 3, 0], dtype=torch.int8)
    logits = torch.tensor(z, requires_grad=True)
    losses = criterion(logits, torch.tensor(y), torch.arange(4))
    log_own = log_softmax(z, 2)[:, np.arange(4), y]
    expected = np.zeros(4)
    expected[0] = -log_own[:, 0].sum()
    expected[1] = 0.3 * ((1 - np.exp(0.6 * log_own[:, 1])) / 0.6).sum()
    np.testing.assert_allclose(losses.detach(), expected, rtol=1e-9)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    step = softmax(z, 2) - np.eye(3)[y]
    step[:, 1] *= 0.3 * np.exp(0.6 * log_own[:, 1])[:, None]
    step[:, 2:] = 0
    np.testing.assert_allclose(gradient, step, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"momentum": 1.1}, r"momentum must be in \[0, 1\]; got 1.1"),
        ({"hard_weight": -1}, "hard_weight must be at least 0; got -1"),
        ({"margin": -0.5}, "margin must be at least 0; got -0.5"),
        ({"limit": 0}, r"limit must be in \(0, 1\]; got 0"),
        ({"q": 0}, r"q must be in \(0, 1\]; got 0"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        DISCLoss(4, 3, **params)
