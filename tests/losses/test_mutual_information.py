"""f-divergence and DMI losses: pairs, conjugates, invariances, gradients."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.nn import functional as F

from sknoisy.losses import DMILoss, FDivergenceLoss

# By the table of the paper: g, and the conjugate f* of g, in numpy.
CLOSED = {
    "total_variation": (lambda q: np.tanh(q) / 2, lambda q: np.tanh(q) / 2),
    "jensen_shannon": (
        lambda q: np.log(2 / (1 + np.exp(-q))),
        lambda q: -np.log(2 - 2 / (1 + np.exp(-q))),  # -log(2 - e^g)
    ),
    "pearson": (lambda q: q, lambda q: q + q**2 / 4),
    "kl": (lambda q: q, lambda q: np.exp(q - 1)),
    "jeffrey": (lambda q: q, lambda q: q + q**2 / 4 + q**3 / 16),
}
DIVERGENCES = list(CLOSED)


def draw(n_rows=20, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    logits = torch.tensor(2 * rng.normal(size=(n_rows, n_classes)), requires_grad=True)
    return logits, torch.tensor(rng.integers(0, n_classes, n_rows))


class TestFDivergence:
    @pytest.mark.parametrize("divergence", DIVERGENCES)
    def test_it_is_the_mean_over_all_pairs(self, divergence):
        logits, y = draw()
        g, conjugate = CLOSED[divergence]
        p = softmax(logits.detach().numpy(), axis=1)
        joint = g(p[np.arange(20), y]).mean()
        product = np.mean([conjugate(p[a, label]) for a in range(20) for label in y])
        rows = FDivergenceLoss(divergence, reduction="none")(logits, y)
        assert rows.shape == (20,)
        assert rows.mean().item() == pytest.approx(product - joint, rel=1e-10)
        mean = FDivergenceLoss(divergence)(logits, y)
        assert mean.item() == pytest.approx(rows.mean().item())

    @pytest.mark.parametrize("divergence", DIVERGENCES)
    def test_labels_without_information_cannot_be_gained_from(self, divergence):
        logits = torch.tensor([[1.0, -2.0, 0.5]]).repeat(6, 1)
        y = torch.tensor([0, 0, 0, 1, 2, 1])
        same = FDivergenceLoss(divergence)(logits, y)
        # f*(g(q)) is at least g(q) in the table, but for KL, where e^(q-1) >= q.
        assert same >= -1e-7
        if divergence == "total_variation":
            assert same.item() == pytest.approx(0, abs=1e-7)

    def test_total_variation_under_symmetric_noise_is_scaled(self):
        # Each row once with each label, as often as the noise gives it.
        logits, y = draw(n_rows=12, n_classes=3)
        y = torch.arange(12) % 3
        clean = FDivergenceLoss()(logits, y)
        shares = 0.2 + 0.4 * np.eye(3)
        prior = torch.full((3,), 1 / 3)
        rows = [
            FDivergenceLoss(prior=prior, reduction="none")(
                logits, torch.full_like(y, label)
            )
            * torch.tensor(shares[y, label])
            for label in range(3)
        ]
        torch.testing.assert_close(sum(rows).mean(), 0.4 * clean)

    def test_gradient_against_differences(self):
        logits, y = draw(n_rows=5)
        for divergence in DIVERGENCES:
            loss = FDivergenceLoss(divergence)
            assert torch.autograd.gradcheck(lambda z, f=loss: f(z, y), logits)

    def test_others_are_refused(self):
        with pytest.raises(ValueError, match=r"divergence must be one of .*; got 'tv'"):
            FDivergenceLoss("tv")
        with pytest.raises(ValueError, match="prior has 2 shares, but there are 4"):
            FDivergenceLoss(prior=[0.5, 0.5])(*draw())


class TestDMI:
    def joint(self, logits, y):
        p = softmax(logits.detach().numpy(), axis=1)
        return np.eye(p.shape[1])[y].T @ p

    def test_it_is_the_determinant(self):
        logits, y = draw()
        expected = -np.log(abs(np.linalg.det(self.joint(logits, y))))
        assert DMILoss(1e-12)(logits, y).item() == pytest.approx(expected, rel=1e-8)
        exact = torch.eye(3, dtype=torch.float64) * 200
        assert abs(DMILoss(1e-12)(exact, torch.arange(3)).item()) < 1e-10
        U = self.joint(logits, y)
        ridged = -np.log(np.linalg.det(U.T @ U + 0.3 * np.eye(4))) / 2
        assert DMILoss(0.3)(logits, y).item() == pytest.approx(ridged, rel=1e-10)

    def test_noise_that_depends_on_the_class_adds_a_constant(self):
        rng = np.random.default_rng(1)
        T = np.array([[6, 2, 0], [0, 5, 3], [1, 0, 7]])  # of each 8 rows
        y = np.repeat([0, 1, 2], 8)
        y_noisy = np.concatenate([np.repeat([0, 1, 2], row) for row in T])
        for _ in range(3):
            # The rows of a class are predicted alike, so that counts are exact.
            logits = torch.tensor(rng.normal(size=(3, 3)))[y]
            gap = DMILoss(1e-12)(logits, torch.tensor(y_noisy))
            gap = gap - DMILoss(1e-12)(logits, torch.tensor(y))
            expected = -np.log(abs(np.linalg.det(T / 8)))
            assert gap.item() == pytest.approx(expected, rel=1e-6)

    def test_the_order_of_outputs_does_not_count(self):
        logits, y = draw()
        found = DMILoss()(logits[:, [2, 0, 3, 1]], y)
        assert found.item() == pytest.approx(DMILoss()(logits, y).item())

    def test_gradient_in_the_probabilities_is_that_of_the_inverse(self):
        logits, y = draw()
        p = logits.detach().softmax(1)
        inverse = np.linalg.inv(self.joint(logits, y))
        # By the chain rule through the softmax.
        of_p = torch.tensor(-inverse[:, y].T)
        assert (p * of_p).sum().item() == pytest.approx(-4)
        expected = p * (of_p - (p * of_p).sum(1, keepdim=True))
        (found,) = torch.autograd.grad(DMILoss(1e-12)(logits, y), logits)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_a_missing_class_has_a_loss_and_a_gradient(self, dtype):
        logits = draw(n_rows=9)[0].detach().to(dtype).requires_grad_()
        y = torch.tensor([0, 1, 1, 0, 2, 2, 0, 1, 2])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = DMILoss()(logits, y)
        loss.backward()
        assert loss.dtype == torch.float32 and torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all() and logits.grad.abs().max() < 5

    def test_the_warmup_is_cross_entropy(self):
        logits, y = draw()
        loss = DMILoss()
        loss.warming_up = True
        assert torch.equal(loss(logits, y), F.cross_entropy(logits, y))

    @pytest.mark.parametrize("ridge", [0, -1.0, float("nan")])
    def test_a_ridge_must_be_positive(self, ridge):
        with pytest.raises(ValueError, match=f"ridge must be above 0; got {ridge}"):
            DMILoss(ridge)
