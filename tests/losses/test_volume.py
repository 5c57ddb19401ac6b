"""The learnt transition matrix: closed forms of matrix, volume and loss, in numpy."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax
from torch.nn import functional as F

from sknoisy.losses import ForwardCorrectionLoss, VolMinLoss


def in_numpy(w):
    """I + σ(w) off the diagonal, each row divided by its sum."""
    T = expit(w)
    np.fill_diagonal(T, 1.0)
    return T / T.sum(1, keepdims=True)


def with_weight(weight, **params):
    """Return a loss in float64 whose parameter has these values."""
    criterion = VolMinLoss(len(weight), **params).double()
    with torch.no_grad():
        criterion.weight.copy_(torch.from_numpy(weight))
    return criterion


@pytest.fixture
def batch():
    """Logits of six rows and four classes that ask for gradients, and labels."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(2 * rng.normal(size=(6, 4)), requires_grad=True)
    return logits, torch.tensor(rng.integers(0, 4, 6))


class TestMatrix:
    # The published starts: w = -2 for ten classes, -4.5 for a hundred.
    @pytest.mark.parametrize(
        ("n_classes", "w"), [(2, -2.0), (3, -2.0), (10, -2.0), (100, -4.5)]
    )
    def test_its_start_is_the_published_one(self, n_classes, w):
        T = VolMinLoss(n_classes).transition_matrix().detach().numpy()
        np.testing.assert_allclose(
            T, in_numpy(np.full((n_classes, n_classes), w)), rtol=0.03
        )

    @pytest.mark.parametrize("speed", [1.0, 3.0])
    def test_it_is_a_scaled_sigmoid(self, speed):
        weight = np.random.default_rng(1).normal(size=(4, 4))
        T = with_weight(weight, speed=speed).transition_matrix().detach().numpy()
        np.testing.assert_allclose(T, in_numpy(speed * weight - 2), rtol=1e-9)
        np.testing.assert_allclose(T.sum(1), 1, rtol=1e-12)
        assert (T.argmax(1) == np.arange(4)).all()

    def test_no_weight_makes_another_class_more_probable(self):
        T = with_weight(np.full((4, 4), 1e3)).transition_matrix().detach().numpy()
        np.testing.assert_allclose(T, 0.25)


class TestLoss:
    def test_it_is_forward_correction_and_the_volume(self, batch):
        logits, y = batch
        weight = np.random.default_rng(1).normal(size=(4, 4))
        criterion = with_weight(weight, lam=0.3, reduction="none")
        loss = criterion(logits, y)
        T = in_numpy(weight - 2)
        p = softmax(logits.detach().numpy(), axis=1)
        fit = -np.log((p @ T)[np.arange(6), y])
        expected = fit + 0.3 * np.log(abs(np.linalg.det(T)))
        np.testing.assert_allclose(loss.detach(), expected, rtol=1e-9)
        forward = ForwardCorrectionLoss(T, reduction="none")
        np.testing.assert_allclose(fit, forward(logits, y).detach(), rtol=1e-5)

    def test_without_confusion_it_is_cross_entropy(self, batch):
        logits, y = batch
        loss = with_weight(np.full((4, 4), -1e3))(logits, y)
        expected = F.cross_entropy(logits, y)
        torch.testing.assert_close(loss, expected)
        assert loss.isfinite()

    @pytest.mark.parametrize("n_classes", [2, 4, 10])
    def test_the_volume_has_a_closed_form(self, n_classes):
        C = n_classes
        criterion = with_weight(np.zeros((C, C)), lam=1.0)
        z, y = torch.zeros(1, C, dtype=torch.float64), torch.tensor([0])
        volume = criterion(z, y).item() - np.log(C)
        s = expit(-2)
        expected = (C - 1) * np.log((1 - s) / (1 + (C - 1) * s))
        assert volume == pytest.approx(expected, rel=1e-9)

    def test_the_gradient_of_the_volume_is_the_inverse_transposed(self):
        weight = np.random.default_rng(2).normal(size=(3, 3))
        criterion = with_weight(weight, lam=1.0)
        z, y = torch.full((1, 3), 0.0, dtype=torch.float64), torch.tensor([1])
        z[0, 1] = 5.0
        (whole,) = torch.autograd.grad(criterion(z, y), criterion.weight)
        criterion.lam = 0.0
        (fit,) = torch.autograd.grad(criterion(z, y), criterion.weight)
        T = criterion.transition_matrix()
        inverse = torch.linalg.inv(T).T.detach()
        (expected,) = torch.autograd.grad((inverse * T).sum(), criterion.weight)
        np.testing.assert_allclose(whole - fit, expected, rtol=1e-9, atol=1e-12)

    def test_sure_predictions_do_not_make_it_infinite(self):
        logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
        loss = with_weight(np.full((2, 2), -1e3))(logits.double(), torch.tensor([1]))
        loss.backward()
        assert loss.isfinite() and logits.grad.isfinite().all()
        given = log_softmax([1e4, -1e4])[1]
        assert loss.item() == pytest.approx(min(-given, 1002), rel=1e-3)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lam": -1}, "lam must be at least 0; got -1"),
        ({"lam": float("nan")}, "lam must be at least 0; got nan"),
        ({"speed": 0}, "speed must be above 0; got 0"),
        ({"reduction": "max"}, "reduction must be 'mean' or 'none'; got 'max'"),
    ],
)
def test_bad_parameters_are_named(params, message):
    with pytest.raises(ValueError, match=message):
        VolMinLoss(3, **params)
