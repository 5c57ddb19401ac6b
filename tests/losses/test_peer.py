"""Peer loss and generalised label smoothing: pairs, gradients, one linear family."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.nn import functional as F

from sknoisy.losses import (
    BackwardCorrectionLoss,
    GLSLoss,
    PeerLoss,
    confidence_penalty,
)

EXACT = 1e-14


@pytest.fixture
def batch():
    """Logits of shape (9, 4) in float64 that ask for gradients, and labels."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(9, 4)), requires_grad=True)
    return logits, torch.tensor([0, 1, 1, 3, 2, 1, 0, 3, 1])


def per_row(z, offset):
    return -np.log(softmax(z, axis=1) + offset)


def test_peer_loss_is_the_mean_over_all_pairs_of_rows_and_labels(batch):
    logits, y = batch
    losses = per_row(logits.detach().numpy(), 1e-5)
    own = losses[np.arange(9), y].mean()
    pairs = [losses[a, y[b]] for a in range(9) for b in range(9)]
    found = PeerLoss(alpha=0.7)(logits, y).item()
    assert found == pytest.approx(own - 0.7 * np.mean(pairs), rel=1e-10)
    rows = PeerLoss(alpha=0.7, reduction="none")(logits, y)
    assert rows.shape == (9,) and rows.mean().item() == pytest.approx(found)


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0, 3.0])
def test_gradients_are_those_of_the_closed_forms(batch, alpha):
    logits, y = batch
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    p, labels = logits.detach().softmax(1), F.one_hot(y, 4)
    loss = PeerLoss(alpha, prior, EXACT, "none")(logits, y).sum()
    (found,) = torch.autograd.grad(loss, logits)
    expected = (1 - alpha) * p - labels + alpha * prior
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
    rate = 1 - 2 * alpha
    loss = GLSLoss(rate, EXACT, "none")(logits, y).sum()
    (found,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(found, p - (1 - rate) * labels - rate / 4)


def test_the_same_prediction_for_all_rows_gains_nothing():
    logits = torch.tensor([1.0, -2.0, 0.5]).repeat(6, 1)
    y = torch.tensor([0, 0, 0, 1, 2, 1])
    assert PeerLoss()(logits, y).item() == pytest.approx(0, abs=1e-6)
    half = PeerLoss(alpha=0.5)(logits, y)
    assert half.item() == pytest.approx(0.5 * F.cross_entropy(logits, y).item(), 1e-3)


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_cores_and_peer_loss_have_the_same_reward(batch, alpha):
    logits, y = batch
    prior = torch.tensor([0.4, 0.3, 0.2, 0.1])
    cores = F.cross_entropy(logits, y, reduction="none")
    cores = cores + alpha * confidence_penalty(logits, prior.double())
    peer = PeerLoss(alpha, prior, 1e-8, "none")(logits, y)
    torch.testing.assert_close(peer, cores, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rate", [-0.5, -3.0, 0.4])
def test_label_smoothing_is_peer_loss_times_a_factor(batch, rate):
    logits, y = batch
    found = GLSLoss(rate, 1e-8, "none")(logits, y)
    losses = torch.tensor(per_row(logits.detach().numpy(), 1e-8))
    alpha = -rate / (1 - rate)
    own = losses.gather(1, y[:, None]).squeeze(1)
    torch.testing.assert_close(found, (1 - rate) * (own - alpha * losses.mean(1)))
    if rate > 0:
        torch_s = F.cross_entropy(logits, y, label_smoothing=rate)
        torch.testing.assert_close(found.mean(), torch_s, rtol=1e-6, atol=1e-7)
    else:
        peer = PeerLoss(alpha, [1, 1, 1, 1], 1e-8, "none")(logits, y)
        torch.testing.assert_close(found, (1 - rate) * peer, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("noise_rate", "n_classes"), [(0.4, 5), (0.3, 3)])
def test_negative_rates_correct_symmetric_noise(noise_rate, n_classes):
    rng = np.random.default_rng(1)
    logits = torch.tensor(rng.normal(size=(7, n_classes)))
    y = torch.tensor(rng.integers(0, n_classes, 7))
    redrawn = n_classes * noise_rate / (n_classes - 1)
    T = np.full((n_classes, n_classes), noise_rate / (n_classes - 1))
    np.fill_diagonal(T, 1 - noise_rate)
    expected = BackwardCorrectionLoss(T, reduction="none")(logits, y)
    found = GLSLoss(-redrawn / (1 - redrawn), EXACT, "none")(logits, y)
    torch.testing.assert_close(found, expected.double(), rtol=1e-5, atol=1e-5)


def test_limits_of_the_rate(batch):
    logits, y = batch
    own = -log_softmax(logits.detach().numpy(), axis=1)
    assert GLSLoss(0.0, EXACT)(logits, y).item() == pytest.approx(
        F.cross_entropy(logits, y).item()
    )
    # At 1 the labels do not count.
    found = GLSLoss(1.0, EXACT, "none")(logits, y)
    np.testing.assert_allclose(found.detach(), own.mean(1))


@pytest.mark.parametrize("loss", [PeerLoss(prior=[1, 1, 1]), GLSLoss(rate=-2.0)])
def test_the_offset_bounds_them_and_the_warmup_is_cross_entropy(loss):
    logits = torch.tensor([[1e4, 0.0, 0.0]], requires_grad=True)
    y = torch.tensor([0])
    value = loss(logits, y)
    assert value.item() > 3 * np.log(loss.offset)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(logits.bfloat16(), y).item() == pytest.approx(value.item())
    loss.warming_up = True
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 2, 2, 1])
    assert torch.equal(loss(logits, y), F.cross_entropy(logits, y))
    loss.warming_up = False


def test_the_ramp_is_a_factor_of_alpha(batch):
    loss = PeerLoss(alpha=2.0)
    loss.ramp = 0.25
    assert loss(*batch).item() == PeerLoss(alpha=0.5)(*batch).item()


@pytest.mark.parametrize(
    ("loss", "params", "message"),
    [
        (PeerLoss, {"alpha": -0.1}, "alpha must be at least 0; got -0.1"),
        (PeerLoss, {"alpha": float("nan")}, "alpha must be at least 0; got nan"),
        (PeerLoss, {"offset": 0.0}, "offset must be above 0 and below 1; got 0.0"),
        (PeerLoss, {"prior": [0.0, 0.0]}, r"not all of them 0; got \[0.0, 0.0\]"),
        (PeerLoss, {"prior": [1.0, -1.0]}, "prior must be a share for each class"),
        (PeerLoss, {"reduction": "sum"}, "reduction must be 'mean' or 'none'"),
        (GLSLoss, {"rate": 1.5}, "rate must be a number of at most 1; got 1.5"),
        (GLSLoss, {"rate": -float("inf")}, "rate must be a number of at most 1"),
        (GLSLoss, {"offset": 2.0}, "offset must be above 0 and below 1; got 2.0"),
    ],
)
def test_bad_parameters_are_named(loss, params, message):
    with pytest.raises(ValueError, match=message):
        loss(**params)


def test_a_prior_of_other_classes_is_refused(batch):
    with pytest.raises(ValueError, match="prior has 3 shares, but there are 4 classes"):
        PeerLoss(prior=[1, 1, 1])(*batch)
