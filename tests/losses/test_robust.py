"""Robust losses against reference numbers, limits and definitions in numpy."""

import math

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from torch.nn import functional as F

from sknoisy.losses import GCELoss, SCELoss, TruncatedGCELoss


@pytest.fixture
def batch():
    """Logits of shape (9, 4) in float64 that ask for gradients, and labels."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(3 * rng.normal(size=(9, 4)), requires_grad=True)
    return logits, torch.tensor(rng.integers(0, 4, 9))


def gradient(loss, logits):
    (grad,) = torch.autograd.grad(loss, logits)
    return grad.numpy()


def proba_of(logits):
    return softmax(logits.detach().numpy(), axis=1)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda **p: GCELoss(q=0.7, **p), "gce_q0.7"),
        (lambda **p: SCELoss(a=0.1, b=1.0, A=-4.0, **p), "sce_a0.1_b1_A-4"),
    ],
    ids=["GCE", "SCE"],
)
class TestReference:
    @pytest.mark.parametrize(
        ("dtype", "tolerance"),
        [
            (torch.float64, {"rtol": 1e-7, "atol": 1e-12}),
            (torch.float32, {"rtol": 1e-4, "atol": 1e-5}),
        ],
        ids=["float64", "float32"],
    )
    def test_value_and_gradient(self, reference, make, name, dtype, tolerance):
        data = reference("robust_losses.npz")
        logits = torch.tensor(data["logits"], dtype=dtype, requires_grad=True)
        y = torch.tensor(data["labels"])
        rows = make(reduction="none")(logits, y)
        np.testing.assert_allclose(rows.detach(), data[name], **tolerance)
        given = gradient(make()(logits, y), logits)
        np.testing.assert_allclose(given, data[f"{name}_grad"], **tolerance)

    def test_the_published_values_are_the_default(self, batch, make, name):
        logits, y = batch
        default = {"gce_q0.7": GCELoss(), "sce_a0.1_b1_A-4": SCELoss()}[name]
        assert make()(logits, y).item() == default(logits, y).item()


class TestGCE:
    def test_small_q_is_cross_entropy(self, batch):
        logits, y = batch
        expected = F.cross_entropy(logits, y, reduction="none")
        given = GCELoss(1e-9, reduction="none")(logits, y)
        torch.testing.assert_close(given, expected, rtol=1e-7, atol=0)

    def test_q_one_is_the_mean_absolute_error(self, batch):
        logits, y = batch
        expected = 1 - proba_of(logits)[np.arange(9), y]
        given = GCELoss(1.0, reduction="none")(logits, y).detach()
        np.testing.assert_allclose(given, expected, rtol=1e-12)

    @given(st.floats(0.01, 1), st.integers(0, 100))
    @examples(50)
    def test_gradient_is_that_of_cross_entropy_times_a_power_of_p(self, q, seed):
        rng = np.random.default_rng(seed)
        logits = torch.tensor(3 * rng.normal(size=(5, 3)), requires_grad=True)
        y = torch.tensor(rng.integers(0, 3, 5))
        given = gradient(GCELoss(q, reduction="none")(logits, y).sum(), logits)
        p = proba_of(logits)
        p_y = p[np.arange(5), y]
        expected = p_y[:, None] ** q * (p - np.eye(3)[y])
        np.testing.assert_allclose(given, expected, rtol=1e-7, atol=1e-12)

    def test_extreme_logits_in_float32(self):
        logits = torch.tensor([[50.0, -50.0]] * 2, requires_grad=True)
        loss = GCELoss(0.5, reduction="none")(logits, torch.tensor([0, 1]))
        np.testing.assert_allclose(loss.detach(), [0, 2], atol=1e-6)
        assert np.isfinite(gradient(loss.sum(), logits)).all()

    @pytest.mark.parametrize("q", [0, -0.1, 1.01, float("nan")])
    def test_bad_q_is_named(self, q):
        for make in (GCELoss, lambda q: TruncatedGCELoss(4, q=q)):
            with pytest.raises(ValueError, match=rf"q must be in \(0, 1\]; got {q}"):
                make(q=q)


class TestTruncatedGCE:
    Q, K = 0.6, 0.4

    def make(self, n_samples=9, **params):
        return TruncatedGCELoss(n_samples, q=self.Q, k=self.K, **params)

    def test_at_first_it_is_gce_less_a_constant(self, batch):
        logits, y = batch
        criterion = self.make(reduction="none")
        assert criterion.kept.all() and criterion.kept.dtype == torch.bool
        given = criterion(logits, y, torch.arange(9)).detach()
        plain = GCELoss(self.Q, reduction="none")(logits, y).detach()
        np.testing.assert_allclose(
            given, plain - (1 - self.K**self.Q) / self.Q, rtol=1e-12, atol=1e-14
        )

    def test_a_probability_of_exactly_k_costs_nothing(self):
        logits = torch.tensor([[np.log(0.4), np.log(0.6)]])
        given = self.make(1)(logits, torch.tensor([0]), torch.tensor([0]))
        assert abs(given.item()) < 1e-12

    def test_rows_with_an_improbable_label_are_pruned(self, batch):
        logits, y = batch
        index = torch.tensor([10, 3, 7, 0, 11, 5, 2, 8, 4])
        criterion = self.make(12)
        criterion.prune(logits, y, index)
        p_y = proba_of(logits)[np.arange(9), y]
        expected = np.ones(12, dtype=bool)
        expected[index] = p_y > self.K
        assert 0 < expected[index].sum() < 9
        np.testing.assert_array_equal(criterion.kept, expected)

    def test_a_row_whose_probability_is_exactly_k_is_pruned(self):
        logits = torch.tensor([[0.0, 0.0], [9.0, 0.0]])
        k = logits.log_softmax(1)[0, 0].exp().item()
        criterion = TruncatedGCELoss(2, k=k)
        criterion.prune(logits, torch.tensor([0, 0]), torch.arange(2))
        assert criterion.kept.tolist() == [False, True]

    def test_a_later_choice_replaces_the_first(self, batch):
        logits, y = batch
        criterion, index = self.make(), torch.arange(9)
        criterion.prune(logits, y, index)
        criterion.prune(10 * F.one_hot(y, 4).double(), y, index)
        assert criterion.kept.all()

    def test_the_mean_is_over_the_whole_batch(self, batch):
        logits, y = batch
        index = torch.arange(9)
        criterion, plain = self.make(), self.make(reduction="none")
        rows = plain(logits, y, index).detach().numpy()
        criterion.prune(logits, y, index)
        kept = criterion.kept.numpy()
        loss = criterion(logits, y, index)
        assert loss.item() == pytest.approx(rows[kept].sum() / 9, rel=1e-12)
        grad = gradient(loss, logits)
        assert not grad[~kept].any() and grad[kept].any(axis=1).all()
        criterion.reduction = "none"
        given = criterion(logits, y, index).detach()
        np.testing.assert_allclose(given, rows * kept, rtol=1e-12)

    def test_all_rows_are_never_pruned(self, batch):
        logits, _ = batch
        worst = logits.argmin(1)
        criterion = self.make()
        criterion.prune(logits, worst, torch.arange(9))
        assert criterion.kept.all()
        # Also when some had been before: the last sensible choice stays.
        criterion.kept[2] = False
        criterion.prune(logits, worst, torch.arange(9))
        assert criterion.kept.tolist() == [i != 2 for i in range(9)]

    def test_the_choice_is_a_buffer(self):
        criterion, other = self.make(4), self.make(4)
        criterion.kept[1] = False
        other.load_state_dict(criterion.state_dict())
        assert other.kept.tolist() == [True, False, True, True]

    @pytest.mark.parametrize("k", [0, 1, -0.5, 2, float("nan")])
    def test_bad_k_is_named(self, k):
        with pytest.raises(ValueError, match=rf"k must be in \(0, 1\); got {k}"):
            TruncatedGCELoss(4, k=k)


class TestSCE:
    @pytest.mark.parametrize("floor", [-4.0, float(np.log(1e-4))], ids=["-4", "1e-4"])
    @pytest.mark.parametrize(("a", "b"), [(0.1, 1.0), (6.0, 0.1), (0.0, 2.0), (1, 0)])
    def test_it_is_the_definition_with_a_clipped_label(self, batch, a, b, floor):
        logits, y = batch
        given = SCELoss(a, b, floor, reduction="none")(logits, y).detach()
        z = logits.detach().numpy()
        log_p, label = log_softmax(z, axis=1), np.eye(4)[y]
        forward = -(label * log_p).sum(1)
        reverse = -(np.exp(log_p) * np.log(label.clip(np.exp(floor), 1))).sum(1)
        np.testing.assert_allclose(given, a * forward + b * reverse, rtol=1e-10)

    def test_gradient_of_the_reverse_term(self, batch):
        logits, y = batch
        loss = SCELoss(0.0, 1.0, -4.0, reduction="none")(logits, y).sum()
        p = proba_of(logits)
        p_y = p[np.arange(9), y][:, None]
        expected = 4 * p_y * (p - np.eye(4)[y])
        given = gradient(loss, logits)
        np.testing.assert_allclose(given, expected, rtol=1e-9, atol=1e-14)

    def test_extreme_logits_in_float32(self):
        logits = torch.tensor([[50.0, -50.0]] * 2, requires_grad=True)
        loss = SCELoss(reduction="none")(logits, torch.tensor([0, 1]))
        np.testing.assert_allclose(loss.detach(), [0, 0.1 * 100 + 4], rtol=1e-6)
        assert np.isfinite(gradient(loss.sum(), logits)).all()


@pytest.mark.parametrize("loss", [GCELoss, SCELoss])
def test_the_default_is_the_mean_of_the_rows(batch, loss):
    logits, y = batch
    rows = loss(reduction="none")(logits, y)
    assert rows.shape == (9,)
    torch.testing.assert_close(loss()(logits, y), rows.mean())


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_gce_with_the_smallest_q_is_cross_entropy(scale):
    logits = scale * torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.0, 3.0]])
    y = torch.tensor([1, 2])
    expected = torch.nn.functional.cross_entropy(logits, y)
    torch.testing.assert_close(GCELoss(q=1e-300)(logits, y), expected)
    truncated = TruncatedGCELoss(2, q=1e-300, k=0.5)(logits, y, torch.arange(2))
    torch.testing.assert_close(truncated, expected - math.log(2))
