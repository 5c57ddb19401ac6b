"""Loss correction: limits, unbiasedness, and what no matrix can do."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from torch.nn import functional as F

from sknoisy.losses import (
    BackwardCorrectionLoss,
    ForwardCorrectionLoss,
    ReweightingLoss,
)
from sknoisy.noise import pair_flip_matrix, symmetric_matrix

ALL = [ForwardCorrectionLoss, BackwardCorrectionLoss, ReweightingLoss]


@pytest.fixture
def batch():
    """Logits of shape (9, 4) in float64 that ask for gradients, and labels."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(2 * rng.normal(size=(9, 4)), requires_grad=True)
    return logits, torch.tensor(rng.integers(0, 4, 9))


def random_matrix(seed, n_classes=4):
    """A transition matrix with a heavy diagonal, so that it has an inverse."""
    rng = np.random.default_rng(seed)
    return 0.5 * np.eye(n_classes) + 0.5 * rng.dirichlet(np.ones(n_classes), n_classes)


def gradient(loss, logits):
    (grad,) = torch.autograd.grad(loss, logits)
    return grad.numpy()


@pytest.mark.parametrize("loss", ALL)
class TestAll:
    def test_the_identity_is_cross_entropy(self, batch, loss):
        logits, y = batch
        given = loss(np.eye(4))(logits, y)
        expected = F.cross_entropy(logits, y)
        torch.testing.assert_close(given, expected, rtol=1e-10, atol=0)
        np.testing.assert_allclose(
            gradient(given, logits), gradient(expected, logits), rtol=1e-9, atol=1e-14
        )

    def test_reductions(self, batch, loss):
        logits, y = batch
        rows = loss(random_matrix(0), reduction="none")(logits, y)
        assert rows.shape == (9,)
        torch.testing.assert_close(loss(random_matrix(0))(logits, y), rows.mean())

    def test_logits_of_50_in_float32(self, loss):
        logits = torch.tensor([[50.0, -50.0]] * 2, requires_grad=True)
        criterion = loss([[0.8, 0.2], [0.2, 0.8]], reduction="none")
        rows = criterion(logits, torch.tensor([0, 1]))
        if loss is ForwardCorrectionLoss:
            np.testing.assert_allclose(rows.detach(), -np.log([0.8, 0.2]), rtol=1e-5)
        elif loss is ReweightingLoss:
            # The weights are 1 / 0.8 and 0.
            np.testing.assert_allclose(rows.detach(), 0, atol=1e-6)
        else:
            # (T⁻¹)[ỹ, 1] times the floor log 1e-7
            expected = np.array([-1 / 3, 4 / 3]) * -np.log(1e-7)
            np.testing.assert_allclose(rows.detach(), expected, rtol=1e-5)
        assert np.isfinite(gradient(rows.sum(), logits)).all()

    def test_the_matrix_moves_and_is_saved_with_the_criterion(self, loss):
        criterion = loss(random_matrix(0))
        other = loss(np.eye(4))
        other.load_state_dict(criterion.state_dict())
        logits, y = torch.linspace(-2, 2, 12).reshape(3, 4), torch.arange(3)
        assert other(logits, y).item() == criterion(logits, y).item()

    def test_the_users_matrix_is_not_changed(self, loss):
        T = random_matrix(3)
        before = T.copy()
        loss(T)
        np.testing.assert_array_equal(T, before)

    @pytest.mark.parametrize(
        ("T", "message"),
        [
            (np.full((2, 3), 1 / 3), r"must be square, .*got shape \(2, 3\)"),
            ([[1.0]], "at least two classes"),
            ([[1.1, -0.1], [0, 1]], "must hold probabilities; got entries from -0.1"),
            ([[np.nan, 1], [0, 1]], "must hold probabilities"),
            ([[0.9, 0.2], [0, 1]], "must sum to 1; row 0 sums to 1.1"),
            ([[0.9, 0.3], [0.1, 0.7]], "transpose"),
        ],
    )
    def test_bad_matrices_are_refused(self, loss, T, message):
        with pytest.raises(ValueError, match=message):
            loss(T)


class TestForward:
    @given(st.integers(0, 1000))
    @examples(30)
    def test_it_is_cross_entropy_of_noisy_predictions(self, seed):
        rng = np.random.default_rng(seed)
        T, z, y = random_matrix(seed), rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
        given = ForwardCorrectionLoss(T, "none")(torch.tensor(z), torch.tensor(y))
        noisy = softmax(z, axis=1) @ T
        # The matrix is kept in float32.
        np.testing.assert_allclose(given, -np.log(noisy[np.arange(6), y]), rtol=1e-5)

    def test_zeros_in_the_matrix(self, batch):
        logits, y = batch
        T = pair_flip_matrix(4, 0.3)
        rows = ForwardCorrectionLoss(T, "none")(logits, y)
        noisy = softmax(logits.detach().numpy(), axis=1) @ T
        np.testing.assert_allclose(
            rows.detach(), -np.log(noisy[np.arange(9), y]), rtol=1e-6
        )
        assert np.isfinite(gradient(rows.sum(), logits)).all()

    def test_the_true_posterior_minimises_it(self):
        # One point, its noisy posterior as soft labels: gradient 0 at the true one.
        T, p = random_matrix(5), np.array([0.6, 0.2, 0.15, 0.05])
        logits = torch.tensor(np.log([p] * 4), requires_grad=True)
        rows = ForwardCorrectionLoss(T, "none")(logits, torch.arange(4))
        grad = gradient((rows * torch.tensor(p @ T)).sum(), logits)
        np.testing.assert_allclose(grad.sum(0), 0, atol=1e-6)


class TestBackward:
    @given(st.integers(0, 1000))
    @examples(30)
    def test_its_mean_over_the_given_labels_is_the_clean_loss(self, seed):
        T = random_matrix(seed)
        z = np.random.default_rng(seed).normal(size=4)
        rows = BackwardCorrectionLoss(T, "none")(
            torch.tensor(np.tile(z, (4, 1))), torch.arange(4)
        )
        # Row y: Σ_ỹ T[y, ỹ] ℓ(ỹ) = −log p_y.
        np.testing.assert_allclose(T @ rows.numpy(), -log_softmax(z), rtol=1e-4)

    def test_by_hand(self, batch):
        logits, y = batch
        T = random_matrix(7)
        rows = BackwardCorrectionLoss(T, "none")(logits, y).detach()
        log_p = log_softmax(logits.detach().numpy(), axis=1)
        expected = -(np.linalg.inv(T)[y] * log_p).sum(1)
        np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)

    def test_it_may_be_negative_but_is_bounded(self):
        T = symmetric_matrix(2, 0.4)
        rows = BackwardCorrectionLoss(T, "none")(
            torch.tensor([[1000.0, -1000.0]]), torch.tensor([0])
        )
        # (T⁻¹)[0, 1] = −2
        assert rows.item() == pytest.approx(-2 * -np.log(1e-7), rel=1e-5)

    def test_condition_number(self):
        T = symmetric_matrix(4, 0.3)
        # Eigenvalues 1 and 0.7 - 0.1.
        given = BackwardCorrectionLoss(T).condition_number
        assert given == pytest.approx(1 / 0.6, rel=1e-9)

    @pytest.mark.parametrize(
        ("T", "number"),
        [
            (symmetric_matrix(2, 0.5), r"inf|[0-9.]+e\+1[0-9]"),
            (symmetric_matrix(2, 0.5 - 2.5e-8), r"2e\+07"),
        ],
    )
    def test_a_singular_matrix_is_refused_with_its_condition_number(self, T, number):
        message = f"must have an inverse; its condition number is ({number}).*forward"
        with pytest.raises(ValueError, match=message):
            BackwardCorrectionLoss(T)


class TestReweighting:
    @given(st.integers(0, 1000))
    @examples(30)
    def test_its_mean_over_given_labels_is_that_over_true_ones(self, seed):
        # Σ_ỹ (Tᵀp)_ỹ β(ỹ) ℓ(ỹ) = Σ_y p_y ℓ(y), at the p that is predicted.
        T = random_matrix(seed)
        z = np.random.default_rng(seed).normal(size=4)
        p = softmax(z)
        rows = ReweightingLoss(T, "none")(
            torch.tensor(np.tile(z, (4, 1))), torch.arange(4)
        )
        assert (p @ T) @ rows.numpy() == pytest.approx(-p @ np.log(p), rel=1e-5)

    @given(st.integers(0, 1000))
    @examples(30)
    def test_weights_in_numpy(self, seed):
        rng = np.random.default_rng(seed)
        T, z, y = random_matrix(seed), rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
        criterion = ReweightingLoss(T, "none")
        p = softmax(z, axis=1)
        expected = (p / (p @ T))[np.arange(6), y]
        given = criterion.weights(torch.tensor(z), torch.tensor(y))
        np.testing.assert_allclose(given, expected, rtol=1e-5)
        rows = criterion(torch.tensor(z), torch.tensor(y))
        own = -np.log(p)[np.arange(6), y]
        np.testing.assert_allclose(rows, expected * own, rtol=1e-5)

    def test_two_classes_by_hand(self):
        # p = (3/4, 1/4): weights 0.75 / 0.725 and 0.25 / 0.275.
        logits = torch.tensor([[3.0, 1.0]] * 2).log()
        rows = ReweightingLoss([[0.9, 0.1], [0.2, 0.8]], "none")(
            logits, torch.tensor([0, 1])
        )
        expected = [30 / 29 * np.log(4 / 3), 10 / 11 * np.log(4)]
        np.testing.assert_allclose(rows, expected, rtol=1e-6)

    def test_a_weight_is_at_most_ten(self):
        # A class that is given its own label in one of 50 cases, predicted surely.
        criterion = ReweightingLoss([[0.02, 0.98], [0.0, 1.0]], "none")
        logits = torch.tensor([[20.0, 0.0], [-2.0, 2.0]])
        weights = criterion.weights(logits, torch.tensor([0, 0]))
        np.testing.assert_allclose(weights, [10, 10], rtol=1e-6)
        # As if that were one of five cases: at most 5, whatever is predicted.
        milder = ReweightingLoss([[0.2, 0.8], [0.0, 1.0]])
        weights = milder.weights(logits, torch.tensor([0, 0]))
        np.testing.assert_allclose(weights, [5, 5], rtol=1e-6)

    def test_weights_have_no_gradient(self, batch):
        logits, y = batch
        criterion = ReweightingLoss(random_matrix(3))
        weights = criterion.weights(logits, y)
        assert not weights.requires_grad
        fixed = (weights * F.cross_entropy(logits, y, reduction="none")).mean()
        np.testing.assert_allclose(
            gradient(criterion(logits, y), logits), gradient(fixed, logits), rtol=1e-9
        )

    def test_zeros_in_the_matrix(self, batch):
        logits, y = batch
        T = pair_flip_matrix(4, 0.3)
        p = softmax(logits.detach().numpy(), axis=1)
        weights = ReweightingLoss(T).weights(logits, y)
        np.testing.assert_allclose(weights, (p / (p @ T))[np.arange(9), y], rtol=1e-5)


class TestRevision:
    def test_without_a_change_it_is_the_loss_without_revision(self, batch):
        logits, y = batch
        plain = ReweightingLoss(random_matrix(1), reduction="none")(logits, y)
        rows = ReweightingLoss(random_matrix(1), revise=True, reduction="none")
        torch.testing.assert_close(rows(logits, y), plain, rtol=1e-5, atol=1e-7)

    def test_the_loss_and_its_gradients_in_numpy(self, batch):
        logits, y = batch
        T, change = random_matrix(2), 0.1 * np.random.default_rng(2).normal(size=(4, 4))

        def loss_of(z, change):
            revised = np.maximum(T + 3.0 * change, 1e-6)
            revised /= revised.sum(1, keepdims=True)
            p = softmax(z, axis=1)
            own = p[np.arange(9), y]
            return (own / (p @ revised)[np.arange(9), y] * -np.log(own)).mean()

        criterion = ReweightingLoss(T, revise=True, speed=3.0).double()
        criterion.T.copy_(torch.from_numpy(T))
        criterion.change.data = torch.from_numpy(change)
        z = logits.detach().numpy()
        assert (T + 3.0 * change < 1e-6).any()
        loss = criterion(logits, y)
        assert loss.item() == pytest.approx(loss_of(z, change), rel=1e-10)
        loss.backward()
        for found, at, of in (
            (logits.grad, z, lambda new: loss_of(new, change)),
            (criterion.change.grad, change, lambda new: loss_of(z, new)),
        ):
            for place in np.ndindex(at.shape):
                step = np.zeros(at.shape)
                step[place] = 1e-6
                slope = (of(at + step) - of(at - step)) / 2e-6
                assert found[place].item() == pytest.approx(slope, rel=1e-5, abs=1e-8)

    def test_before_it_begins_nothing_of_it_is_learnt(self, batch):
        logits, y = batch
        criterion = ReweightingLoss(random_matrix(1), revise=True)
        criterion.revising = False
        plain = ReweightingLoss(random_matrix(1))
        np.testing.assert_allclose(
            gradient(criterion(logits, y), logits),
            gradient(plain(logits, y), logits),
            rtol=1e-5,
        )
        criterion(logits, y).backward()
        assert criterion.change.grad is None

    def test_entries_of_zero_can_grow(self, batch):
        logits, y = batch
        criterion = ReweightingLoss(np.eye(4), revise=True)
        criterion(logits, y).backward()
        assert (criterion.change.grad[~torch.eye(4, dtype=bool)] != 0).any()

    @pytest.mark.parametrize(
        ("params", "error", "message"),
        [
            ({"revise": 1}, TypeError, "revise must be True or False; got 1"),
            ({"speed": 0}, ValueError, "speed must be above 0; got 0"),
        ],
    )
    def test_bad_parameters_are_refused(self, params, error, message):
        with pytest.raises(error, match=message):
            ReweightingLoss(np.eye(2), **params)
