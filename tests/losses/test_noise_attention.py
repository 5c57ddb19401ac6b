"""Noise attention against reference numbers, closed forms, limits and hand work."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, log_softmax, logit, softmax
from torch.nn import functional as F

from sknoisy.losses import NoiseAttentionLoss, noise_attention_loss


@pytest.fixture
def batch():
    """Logits (8, 5) and attention logits (8,) that ask for gradients, and labels."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(2 * rng.normal(size=(8, 5)), requires_grad=True)
    attention = torch.tensor(2 * rng.normal(size=8), requires_grad=True)
    return logits, attention, torch.tensor(rng.integers(0, 5, 8))


def gradients(loss, *inputs):
    return [grad.numpy() for grad in torch.autograd.grad(loss, inputs)]


def outputs(logits, attention):
    """Return probabilities and attentions τ as numpy arrays."""
    p = softmax(logits.detach().numpy(), axis=1)
    return p, expit(attention.detach().numpy())


def soft_targets(shape, seed=1):
    return np.random.default_rng(seed).dirichlet(np.ones(shape[1]), shape[0])


def literal(p, tau, q, lam):
    """Equation 1, term by term, where every q is above 0."""
    return -(q * np.log(tau[:, None] * (p - q) + q)).sum(1) - lam * np.log(tau)


FINITE = st.floats(-15, 15, allow_nan=False)


class TestReference:
    @pytest.mark.parametrize("case", ["case0", "case1", "case2"])
    @pytest.mark.parametrize(
        ("dtype", "tolerance"),
        [
            (torch.float64, {"rtol": 1e-7, "atol": 1e-12}),
            (torch.float32, {"rtol": 1e-4, "atol": 1e-5}),
        ],
        ids=["float64", "float32"],
    )
    def test_value_and_gradients(self, reference, case, dtype, tolerance):
        data = reference("noise_attention_loss.npz")

        def tensor(name):
            return torch.tensor(data[f"{case}_{name}"], dtype=dtype)

        logits = tensor("logits").requires_grad_()
        attention = tensor("attention_logit").requires_grad_()
        lam = float(data[f"{case}_lam"])
        targets = [tensor("target")]
        if set(np.unique(data[f"{case}_target"])) == {0, 1}:
            targets.append(tensor("target").argmax(1))
        for target in targets:
            loss = noise_attention_loss(logits, attention, target, lam)
            expected = data[f"{case}_loss_per_sample"]
            np.testing.assert_allclose(loss.detach(), expected, **tolerance)
            of_logits, of_attention = gradients(loss.mean(), logits, attention)
            expected = data[f"{case}_grad_logits"]
            np.testing.assert_allclose(of_logits, expected, **tolerance)
            expected = data[f"{case}_grad_attention"]
            np.testing.assert_allclose(of_attention, expected, **tolerance)


class TestValue:
    def test_labels_by_hand(self, batch):
        logits, attention, y = batch
        loss = noise_attention_loss(logits, attention, y, 0.5).detach()
        p_y = softmax(logits.detach().numpy(), axis=1)[np.arange(8), y]
        tau = expit(attention.detach().numpy())
        expected = -np.log(1 - tau * (1 - p_y)) - 0.5 * np.log(tau)
        np.testing.assert_allclose(loss, expected, rtol=1e-12)

    def test_soft_targets_by_hand(self, batch):
        logits, attention, _ = batch
        q = soft_targets((8, 5))
        loss = noise_attention_loss(logits, attention, torch.tensor(q), 3.0).detach()
        p, tau = outputs(logits, attention)
        np.testing.assert_allclose(loss, literal(p, tau, q, 3.0), rtol=1e-12)

    def test_a_one_hot_target_is_the_label(self, batch):
        logits, attention, y = batch
        by_label = noise_attention_loss(logits, attention, y, 0.7)
        one_hot = F.one_hot(y, 5).double()
        by_target = noise_attention_loss(logits, attention, one_hot, 0.7)
        torch.testing.assert_close(by_label, by_target, rtol=1e-12, atol=1e-14)
        for a, b in zip(
            gradients(by_label.sum(), logits, attention),
            gradients(by_target.sum(), logits, attention),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)

    def test_classes_of_target_zero_add_nothing(self, batch):
        logits, attention, _ = batch
        q = soft_targets((8, 5))
        q[:, 1] = q[:, 4] = 0
        q /= q.sum(1, keepdims=True)
        loss = noise_attention_loss(logits, attention, torch.tensor(q), 0.5)
        p, tau = outputs(logits, attention)
        some = [0, 2, 3]
        expected = literal(p[:, some], tau, q[:, some], 0.5)
        np.testing.assert_allclose(loss.detach(), expected, rtol=1e-12)
        for grad in gradients(loss.sum(), logits, attention):
            assert np.isfinite(grad).all()

    @given(
        arrays(np.float64, (3, 4), elements=FINITE),
        arrays(np.float64, 3, elements=FINITE),
        arrays(np.int64, 3, elements=st.integers(0, 3)),
    )
    @examples(50)
    def test_full_attention_is_cross_entropy(self, z, boost, y):
        logits, y = torch.tensor(z), torch.tensor(y)
        # log σ(800) is 0 in float64.
        attention = torch.full((3,), 800.0, dtype=torch.float64)
        given = noise_attention_loss(logits, attention, y, 5.0)
        expected = F.cross_entropy(logits, y, reduction="none")
        torch.testing.assert_close(given, expected, rtol=1e-10, atol=1e-12)
        soft = torch.tensor(softmax(boost[:, None] * np.arange(4), axis=1))
        given = noise_attention_loss(logits, attention, soft, 5.0)
        expected = -(soft * logits.log_softmax(1)).sum(1)
        torch.testing.assert_close(given, expected, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize("attention", [-10.0, -20.0, -40.0])
    def test_no_attention_teaches_nothing(self, batch, attention):
        logits, _, y = batch
        off = torch.full((8,), attention, dtype=torch.float64, requires_grad=True)
        tau = expit(attention)
        soft = torch.tensor(soft_targets((8, 5)))
        entropy = -(soft * soft.log()).sum(1)
        for target, floor in ((y, 0.0), (soft, entropy)):
            # Without the boost term, which has no lower bound.
            loss = noise_attention_loss(logits, off, target, 0.0)
            assert (loss - floor).abs().max() < 1e3 * tau
            of_logits, _ = gradients(loss.sum(), logits, off)
            assert np.abs(of_logits).max() < 1e3 * tau

    def test_label_floor_is_added_mass(self, batch):
        logits, _, y = batch
        full = torch.full((8,), 800.0, dtype=torch.float64)
        given = noise_attention_loss(logits, full, y, 0.5, label_floor=1e-4).detach()
        log_p = log_softmax(logits.detach().numpy(), axis=1)
        others = log_p.sum(1) - log_p[np.arange(8), y]
        expected = -log_p[np.arange(8), y] - 1e-4 * others
        np.testing.assert_allclose(given, expected, rtol=1e-10)

    def test_label_floor_raises_soft_targets_alike(self, batch):
        logits, attention, y = batch
        one_hot = F.one_hot(y, 5).double()
        raised = one_hot.clamp(0.01, 1)
        expected = noise_attention_loss(logits, attention, raised, 0.5)
        for target in (y, one_hot):
            given = noise_attention_loss(logits, attention, target, 0.5, 0.01)
            torch.testing.assert_close(given, expected, rtol=1e-12, atol=1e-14)
        assert one_hot.min() == 0

    def test_extreme_logits_in_float32(self):
        logits = torch.tensor([[50.0, -50.0]] * 4, requires_grad=True)
        attention = torch.tensor([50.0, 50.0, -50.0, -50.0], requires_grad=True)
        y = torch.tensor([0, 1, 0, 1])
        soft = F.one_hot(y, 2).float()
        for target in (y, soft):
            loss = noise_attention_loss(logits, attention, target, 0.5)
            # −log(1 − τ (1 − p)) − λ log τ: the wrong label under full attention
            # costs −log(e⁻⁵⁰ + e⁻¹⁰⁰), a lack of attention 50 λ.
            np.testing.assert_allclose(loss.detach(), [0, 50, 25, 25], atol=1e-5)
            for grad in gradients(loss.sum(), logits, attention):
                assert np.isfinite(grad).all()


class TestGradients:
    def test_theorem_1(self, batch):
        logits, attention, y = batch
        loss = noise_attention_loss(logits, attention, y, 0.5).sum()
        of_logits, _ = gradients(loss, logits, attention)
        p, tau = outputs(logits, attention)
        p_y = p[np.arange(8), y]
        phi = p_y / (p_y - 1 + 1 / tau)
        assert ((phi > 0) & (phi < 1)).all()
        expected = phi[:, None] * (p - np.eye(5)[y])
        np.testing.assert_allclose(of_logits, expected, rtol=1e-9, atol=1e-14)

    @given(
        arrays(np.float64, (3, 4), elements=st.floats(-8, 8)),
        arrays(np.float64, 3, elements=st.floats(-8, 8)),
        st.integers(0, 1000),
    )
    @examples(50)
    def test_equation_6_for_soft_targets(self, z, boost, seed):
        logits = torch.tensor(z, requires_grad=True)
        attention, q = torch.tensor(boost), soft_targets((3, 4), seed)
        loss = noise_attention_loss(logits, attention, torch.tensor(q), 0.5).sum()
        (given,) = gradients(loss, logits)
        p, tau = softmax(z, axis=1), expit(boost)[:, None]
        a = tau * q / (tau * (p - q) + q)
        expected = -a * p + p * (a * p).sum(1, keepdims=True)
        np.testing.assert_allclose(given, expected, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(given.sum(1), 0, atol=1e-12)

    @pytest.mark.parametrize("lam", [0.0, 0.5, 10.0])
    def test_derivative_in_the_attention(self, batch, lam):
        logits, attention, y = batch
        loss = noise_attention_loss(logits, attention, y, lam).sum()
        _, given = gradients(loss, logits, attention)
        p_y = softmax(logits.detach().numpy(), axis=1)[np.arange(8), y]
        tau = expit(attention.detach().numpy())
        in_tau = (1 - p_y) / (1 - tau * (1 - p_y)) - lam / tau
        # dτ/dc = τ (1 − τ)
        np.testing.assert_allclose(given, in_tau * tau * (1 - tau), rtol=1e-9)

    @pytest.mark.parametrize("lam", [0.05, 0.5, 2.0])
    @pytest.mark.parametrize("p_y", [0.1, 0.3, 0.6, 0.9])
    def test_best_attention_and_what_it_does_to_the_gradient(self, lam, p_y):
        logits = torch.tensor([[np.log(p_y), np.log(1 - p_y)]], requires_grad=True)
        grid = np.linspace(1e-4, 1 - 1e-4, 20_000)
        losses = noise_attention_loss(
            logits.detach().expand(len(grid), 2),
            torch.tensor(logit(grid)),
            torch.zeros(len(grid), dtype=torch.int64),
            lam,
        )
        best = min(1, lam / ((1 + lam) * (1 - p_y)))
        assert grid[losses.argmin()] == pytest.approx(best, abs=2e-4)
        attention = torch.tensor([logit(best)] if best < 1 else [800.0]).double()
        loss = noise_attention_loss(logits, attention, torch.tensor([0]), lam).sum()
        (given,) = gradients(loss, logits)
        factor = min(1, lam * p_y / (1 - p_y))
        assert given[0, 0] == pytest.approx(-factor * (1 - p_y), rel=1e-9)


class TestTargets:
    ALPHA = 0.8

    def make(self, **params):
        params = {"n_samples": 12, "n_classes": 5, "alpha": self.ALPHA, **params}
        return NoiseAttentionLoss(**params).double()

    def test_by_hand_over_two_updates(self, batch):
        logits, attention, y = batch
        criterion, index = self.make(), torch.tensor([3, 0, 11, 5, 8, 1, 2, 9])
        proba = softmax(logits.detach().numpy(), axis=1)
        expected = np.zeros((12, 5))
        expected[index] = self.ALPHA * np.eye(5)[y] + (1 - self.ALPHA) * proba
        criterion.update(logits, attention, y, index)
        np.testing.assert_allclose(criterion.targets, expected, rtol=1e-12)
        shifted = logits + torch.arange(5.0)
        proba = softmax(shifted.detach().numpy(), axis=1)
        expected[index] = self.ALPHA * expected[index] + (1 - self.ALPHA) * proba
        criterion.update(shifted, attention, y, index)
        np.testing.assert_allclose(criterion.targets, expected, rtol=1e-12)
        sums = criterion.targets[index].sum(1)
        np.testing.assert_allclose(sums, 1, rtol=1e-12)
        assert not criterion.targets.requires_grad

    def test_the_loss_sees_the_updated_targets(self, batch):
        logits, attention, y = batch
        index, criterion = torch.arange(8), self.make(reduction="none")
        loss = criterion(logits, attention, y, index, estimate=True, update=True)
        proba = softmax(logits.detach().numpy(), axis=1)
        q = torch.tensor(self.ALPHA * np.eye(5)[y] + (1 - self.ALPHA) * proba)
        expected = noise_attention_loss(logits, attention, q, 0.5)
        torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
        # A target is no function of the logits.
        for a, b in zip(
            gradients(loss.sum(), logits, attention),
            gradients(expected.sum(), logits, attention),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)

    def test_without_update_they_stay(self, batch):
        logits, attention, y = batch
        index, criterion = torch.arange(8), self.make()
        criterion.update(logits, attention, y, index)
        before = criterion.targets.clone()
        loss = criterion(2 * logits, attention, y, index, estimate=True)
        assert criterion.targets.equal(before)
        expected = noise_attention_loss(2 * logits, attention, before[index], 0.5)
        torch.testing.assert_close(loss, expected.mean())

    def test_without_estimation_labels_are_used_and_nothing_moves(self, batch):
        logits, attention, y = batch
        index, criterion = torch.arange(8), self.make()
        criterion.targets[:8] = torch.tensor(soft_targets((8, 5)))
        before = criterion.targets.clone()
        loss = criterion(logits, attention, y, index, update=True)
        assert criterion.targets.equal(before)
        expected = noise_attention_loss(logits, attention, y, 0.5).mean()
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)

    def test_rows_never_estimated_have_their_label(self, batch):
        logits, attention, y = batch
        criterion = self.make()
        criterion.update(logits[:4], attention[:4], y[:4], torch.arange(4))
        given = criterion.targets_of(torch.arange(8), y)
        assert given[:4].equal(criterion.targets[:4])
        assert given[4:].equal(F.one_hot(y[4:], 5).double())
        loss = criterion(logits[4:], attention[4:], y[4:], torch.arange(4, 8), True)
        expected = noise_attention_loss(logits[4:], attention[4:], y[4:], 0.5).mean()
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)

    @given(st.permutations(range(8)))
    @examples(30)
    def test_the_order_of_rows_does_not_matter(self, order):
        rng = np.random.default_rng(3)
        logits, attention = torch.tensor(rng.normal(size=(8, 5))), torch.zeros(8)
        y, index = torch.tensor(rng.integers(0, 5, 8)), torch.tensor(rng.permutation(8))
        a, b, order = self.make(), self.make(), torch.tensor(order)
        loss_a = a(logits, attention, y, index, True, True)
        rows = logits[order], attention[order], y[order], index[order]
        loss_b = b(*rows, True, True)
        assert a.targets.equal(b.targets)
        torch.testing.assert_close(loss_a, loss_b, rtol=1e-12, atol=0)

    def test_a_started_table_gives_the_same_losses(self, batch):
        logits, attention, y = batch
        index = torch.tensor([7, 3, 0, 6, 1, 5, 2, 4])
        labels = torch.empty(8, dtype=torch.int64)
        labels[index] = y
        started, lazy = (self.make(n_samples=8) for _ in range(2))
        started.start(labels)
        assert started.targets.equal(F.one_hot(labels, 5).double())
        rows = logits, attention, y, index
        for update in (False, True, True):
            a, b = (c(*rows, True, update) for c in (started, lazy))
            assert a.item() == b.item()
        assert started.targets.equal(lazy.targets)

    def test_only_rows_above_the_threshold_move(self, batch):
        logits, _, y = batch
        attention = torch.tensor(logit([0.2, 0.39, 0.41, 0.9] * 2))
        criterion, index = self.make(attention_threshold=0.4), torch.arange(8)
        criterion.update(logits, attention, y, index)
        free = self.make()
        free.update(logits, attention, y, index)
        moved = np.array([False, False, True, True] * 2)
        labels = F.one_hot(y, 5).double()
        assert criterion.targets[:8][moved].equal(free.targets[:8][moved])
        assert criterion.targets[:8][~moved].equal(labels[~moved])

    def test_alpha_zero_takes_the_prediction(self, batch):
        logits, attention, y = batch
        criterion = self.make(alpha=0.0)
        criterion.update(logits, attention, y, torch.arange(8))
        expected = softmax(logits.detach().numpy(), axis=1)
        np.testing.assert_allclose(criterion.targets[:8], expected, rtol=1e-12)

    def test_half_precision_logits_are_mixed_in_the_dtype_of_the_targets(self, batch):
        logits, attention, y = batch
        criterion = NoiseAttentionLoss(8, 5)
        index = torch.arange(8)
        loss = criterion(logits.bfloat16(), attention.bfloat16(), y, index, True, True)
        assert criterion.targets.dtype == torch.float32 and loss.isfinite()
        np.testing.assert_allclose(criterion.targets.sum(1), 1, atol=2e-3)


class TestCriterion:
    def test_reduction_and_lam_and_floor_reach_the_loss(self, batch):
        logits, attention, y = batch
        criterion = NoiseAttentionLoss(8, 5, lam=2.0, label_floor=1e-3)
        given = criterion(logits, attention, y, torch.arange(8))
        expected = noise_attention_loss(logits, attention, y, 2.0, 1e-3)
        torch.testing.assert_close(given, expected.mean(), rtol=1e-12, atol=0)
        criterion.reduction = "none"
        given = criterion(logits, attention, y, torch.arange(8))
        torch.testing.assert_close(given, expected, rtol=1e-12, atol=0)

    @pytest.mark.parametrize("estimate", [False, True])
    def test_reverse_cross_entropy_by_hand(self, batch, estimate):
        logits, attention, y = batch
        index = torch.arange(8)
        plain = NoiseAttentionLoss(8, 5, reduction="none").double()
        both = NoiseAttentionLoss(8, 5, rce_weight=0.3, reduction="none").double()
        q = np.eye(5)[y]
        if estimate:
            q = soft_targets((8, 5))
            q[:, 2] = 0
            q /= q.sum(1, keepdims=True)
            plain.targets[:] = both.targets[:] = torch.tensor(q)
        args = logits, attention, y, index, estimate
        p = softmax(logits.detach().numpy(), axis=1)
        tau = expit(attention.detach().numpy())[:, None]
        mixture = tau * p + (1 - tau) * q
        reverse = -(mixture * np.log(np.maximum(q, 1e-4))).sum(1)
        given = (both(*args) - plain(*args)).detach()
        np.testing.assert_allclose(given, 0.3 * reverse, rtol=1e-9, atol=1e-12)

    def test_targets_are_a_buffer(self):
        criterion = NoiseAttentionLoss(4, 3)
        criterion.targets[2] = torch.tensor([0.2, 0.3, 0.5])
        other = NoiseAttentionLoss(4, 3)
        other.load_state_dict(criterion.state_dict())
        assert other.targets.equal(criterion.targets)
        assert list(criterion.parameters()) == []
        assert criterion.targets.shape == (4, 3)

    @pytest.mark.parametrize("name", ["alpha", "label_floor", "attention_threshold"])
    def test_zero_is_allowed(self, name):
        assert getattr(NoiseAttentionLoss(4, 3, **{name: 0}), name) == 0


@pytest.mark.parametrize("name", ["alpha", "attention_threshold"])
def test_one_is_outside_the_range(name):
    with pytest.raises(ValueError, match=rf"{name} must be in \[0, 1\); got 1.0"):
        NoiseAttentionLoss(3, 2, **{name: 1.0})
