"""Bootstrapping losses against numpy by hand, closed gradients and limit cases."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, softmax
from sklearn.model_selection import GridSearchCV
from torch.nn import functional as F

from sknoisy import NetClassifier
from sknoisy.losses import (
    BootstrapLoss,
    bootstrap_targets,
    prior_penalty,
    soft_cross_entropy,
)


@pytest.fixture
def batch():
    """Logits of shape (9, 4) in float64 that ask for gradients, and labels."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(3 * rng.normal(size=(9, 4)), requires_grad=True)
    return logits, torch.tensor(rng.integers(0, 4, 9))


def gradient(loss, logits):
    (grad,) = torch.autograd.grad(loss, logits, retain_graph=True)
    return grad.numpy()


def one_hot(codes, n_classes=4):
    return np.eye(n_classes)[np.asarray(codes)]


def kl_from_uniform(proba):
    """KL(uniform || mean of the rows), from probabilities in float64."""
    mean = proba.mean(axis=0)
    prior = np.full(len(mean), 1 / len(mean))
    return np.sum(prior * np.log(prior / mean))


LOGITS = arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(2, 5)),
    elements=st.floats(-30, 30, allow_nan=False),
)


class TestSoftCrossEntropy:
    def test_it_is_cross_entropy_for_one_hot_targets(self, batch):
        logits, y = batch
        given = soft_cross_entropy(logits, F.one_hot(y, 4).double())
        expected = F.cross_entropy(logits, y, reduction="none")
        torch.testing.assert_close(given, expected, rtol=1e-12, atol=0)

    def test_it_is_linear_in_the_targets_and_needs_no_distribution(self, batch):
        logits, _ = batch
        targets = np.random.default_rng(1).normal(size=(9, 4))
        given = soft_cross_entropy(logits, torch.tensor(targets)).detach()
        log_p = log_softmax(logits.detach().numpy(), axis=1)
        np.testing.assert_allclose(given, -(targets * log_p).sum(1), rtol=1e-10)

    def test_its_least_value_is_the_entropy(self):
        logits = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
        p = softmax(logits.numpy(), axis=1)
        given = soft_cross_entropy(logits, torch.tensor(p)).item()
        assert given == pytest.approx(-(p * np.log(p)).sum(), rel=1e-12)


class TestTargets:
    def test_by_hand(self):
        beliefs = torch.tensor([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])
        given = bootstrap_targets(torch.tensor([2, 1]), beliefs, 0.4)
        expected = [[0.2, 0.12, 0.68], [0.0, 1.0, 0.0]]
        np.testing.assert_allclose(given, expected, rtol=1e-6)

    @given(LOGITS, st.data())
    @examples(50)
    def test_rows_are_distributions_between_label_and_belief(self, logits, data):
        n_rows, n_classes = logits.shape
        weight = data.draw(arrays(np.float64, n_rows, elements=st.floats(0, 1)))
        codes = data.draw(
            arrays(np.int64, n_rows, elements=st.integers(0, n_classes - 1))
        )
        beliefs = softmax(logits, axis=1)
        given = bootstrap_targets(
            torch.tensor(codes), torch.tensor(beliefs), torch.tensor(weight)
        ).numpy()
        label = one_hot(codes, n_classes)
        expected = (1 - weight)[:, None] * label + weight[:, None] * beliefs
        np.testing.assert_allclose(given, expected, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(given.sum(axis=1), 1, rtol=1e-12)

    def test_the_weight_takes_the_dtype_of_the_beliefs(self):
        beliefs = torch.full((2, 2), 0.5)
        weight = torch.tensor([0.0, 1.0], dtype=torch.float64)
        given = bootstrap_targets(torch.tensor([0, 0]), beliefs, weight)
        assert given.dtype == torch.float32
        assert given.tolist() == [[1.0, 0.0], [0.5, 0.5]]

    def test_beliefs_are_not_changed(self):
        beliefs = torch.full((2, 2), 0.5)
        bootstrap_targets(torch.tensor([0, 1]), beliefs, 0.3)
        assert beliefs.tolist() == [[0.5, 0.5], [0.5, 0.5]]


class TestPenalty:
    def test_by_hand(self, batch):
        logits, _ = batch
        expected = kl_from_uniform(softmax(logits.detach().numpy(), axis=1))
        assert expected > 0.01
        assert prior_penalty(logits).item() == pytest.approx(expected, rel=1e-10)

    @pytest.mark.parametrize("prior", [[0.2, 0.3, 0.5], [0.0, 0.4, 0.6]])
    def test_from_a_prior_that_is_not_uniform(self, prior):
        logits = np.random.default_rng(0).normal(size=(7, 3))
        mean = softmax(logits, axis=1).mean(0)
        expected = sum(p * np.log(p / m) for p, m in zip(prior, mean, strict=True) if p)
        prior = torch.tensor(prior, dtype=torch.float64)
        given = prior_penalty(torch.tensor(logits), prior=prior)
        assert given.item() == pytest.approx(expected, rel=1e-10)
        weight = torch.full((7,), 2.0, dtype=torch.float64)
        weighted = prior_penalty(torch.tensor(logits), weight, prior)
        assert weighted.item() == pytest.approx(expected, rel=1e-10)

    @given(LOGITS)
    @examples(100)
    def test_it_is_a_divergence(self, logits):
        given = prior_penalty(torch.tensor(logits)).item()
        proba = softmax(logits, axis=1)
        assert given >= -1e-12
        assert given == pytest.approx(kl_from_uniform(proba), rel=1e-7, abs=1e-12)

    @given(
        arrays(np.float64, st.integers(2, 5), elements=st.floats(-20, 20)),
        st.integers(1, 3),
    )
    @examples(50)
    def test_it_is_zero_where_the_mean_is_uniform(self, row, n_times):
        # Each class takes each place once, so the mean is uniform, the rows are not.
        shifts = np.array([np.roll(row, k) for k in range(len(row))] * n_times)
        assert abs(prior_penalty(torch.tensor(shifts)).item()) < 1e-12

    def test_a_collapse_costs_more_than_any_spread(self):
        logits = torch.zeros(8, 4, dtype=torch.float64)
        logits[:, 2] = 5.0
        spread = torch.eye(4, dtype=torch.float64).repeat(2, 1) * 5
        assert prior_penalty(logits) > 2
        assert abs(prior_penalty(spread)) < 1e-12

    def test_extreme_logits_in_float32(self):
        logits = torch.tensor([[50.0, -50.0, -50.0]] * 4, requires_grad=True)
        given = prior_penalty(logits)
        # p̄ is (1, e⁻¹⁰⁰, e⁻¹⁰⁰), which float32 cannot hold.
        expected = -(2 * -100) / 3 - np.log(3)
        assert given.item() == pytest.approx(expected, rel=1e-6)
        (grad,) = torch.autograd.grad(given, logits)
        np.testing.assert_allclose(grad, [[0.25 * 2 / 3, -1 / 12, -1 / 12]] * 4, 1e-5)

    def test_integer_weights_equal_repeated_rows(self, batch):
        logits, _ = batch
        counts = np.array([1, 2, 0, 3, 1, 1, 0, 5, 2])
        given = prior_penalty(logits, torch.tensor(counts, dtype=torch.float64))
        repeated = prior_penalty(logits[torch.tensor(counts).nonzero().squeeze(1)])
        rows = torch.tensor(np.repeat(np.arange(9), counts))
        expected = prior_penalty(logits[rows])
        assert given.item() == pytest.approx(expected.item(), rel=1e-10)
        assert abs(given.item() - repeated.item()) > 1e-3
        grad = gradient(given, logits)
        np.testing.assert_allclose(grad, gradient(expected, logits), atol=1e-12)

    def test_weights_of_any_scale_and_none_are_equal(self, batch):
        logits, _ = batch
        expected = prior_penalty(logits).item()
        for scale in (1e-3, 1.0, 50.0):
            weight = torch.full((9,), scale, dtype=torch.float64)
            given = prior_penalty(logits, weight).item()
            assert given == pytest.approx(expected, rel=1e-10)

    def test_rows_of_weight_zero_alone_teach_nothing(self, batch):
        logits, _ = batch
        given = prior_penalty(logits, torch.zeros(9, dtype=torch.float64))
        assert given.item() == 0
        assert not gradient(given, logits).any()


class TestBootstrapLoss:
    @pytest.mark.parametrize("weight", [0.0, 0.2, 0.7, 1.0])
    def test_hard_by_hand(self, batch, weight):
        logits, y = batch
        z = logits.detach().numpy()
        h, belief = softmax(z, axis=1), one_hot(z.argmax(1))
        targets = (1 - weight) * one_hot(y) + weight * belief
        loss = BootstrapLoss("hard", weight, reduction="none")(logits, y)
        expected = -(targets * log_softmax(z, axis=1)).sum(1)
        np.testing.assert_allclose(loss.detach(), expected, rtol=1e-10)
        # A prediction carries no gradient: h − (1 − w) e_y − w v.
        grad = gradient(loss.sum(), logits)
        np.testing.assert_allclose(grad, h - targets, rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("weight", [0.05, 0.5, 1.0])
    def test_soft_is_cross_entropy_and_entropy(self, batch, weight):
        logits, y = batch
        h = logits.softmax(1)
        entropy = -(h * h.log()).sum(1)
        label = F.cross_entropy(logits, y, reduction="none")
        expected = (1 - weight) * label + weight * entropy
        loss = BootstrapLoss("soft", weight, reduction="none")(logits, y)
        torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
        grad = gradient(loss.sum(), logits)
        given = gradient(expected.sum(), logits)
        np.testing.assert_allclose(grad, given, rtol=1e-9, atol=1e-12)

    def test_soft_is_not_cross_entropy_times_a_number(self, batch):
        # It would be, were the belief detached in the same forward pass.
        logits, y = batch
        weight = 0.3
        detached = bootstrap_targets(y, logits.softmax(1).detach(), weight)
        loss = soft_cross_entropy(logits, detached).sum()
        h = softmax(logits.detach().numpy(), axis=1)
        scaled = (1 - weight) * (h - one_hot(y))
        np.testing.assert_allclose(gradient(loss, logits), scaled, rtol=1e-9)
        ours = BootstrapLoss("soft", weight, "sum")(logits, y)
        assert np.abs(gradient(ours, logits) - scaled).max() > 0.05

    @pytest.mark.parametrize("targets", ["hard", "soft"])
    def test_weight_zero_is_cross_entropy(self, batch, targets):
        logits, y = batch
        given = BootstrapLoss(targets, 0.0)(logits, y)
        torch.testing.assert_close(given, F.cross_entropy(logits, y))

    @pytest.mark.parametrize("targets", ["hard", "soft"])
    def test_weight_one_ignores_the_label(self, batch, targets):
        logits, y = batch
        loss = BootstrapLoss(targets, 1.0)
        a, b = loss(logits, y), loss(logits, (y + 1) % 4)
        assert a.item() == b.item()
        np.testing.assert_array_equal(gradient(a, logits), gradient(b, logits))

    @pytest.mark.parametrize(("targets", "weight"), [("hard", 0.2), ("soft", 0.05)])
    def test_published_weights_are_the_default(self, batch, targets, weight):
        logits, y = batch
        assert BootstrapLoss(targets).weight == weight
        given = BootstrapLoss(targets)(logits, y)
        torch.testing.assert_close(given, BootstrapLoss(targets, weight)(logits, y))

    def test_reductions(self, batch):
        logits, y = batch
        rows = BootstrapLoss(reduction="none")(logits, y)
        assert rows.shape == (9,)
        mean = BootstrapLoss()(logits, y)
        total = BootstrapLoss(reduction="sum")(logits, y)
        torch.testing.assert_close(mean, rows.mean())
        torch.testing.assert_close(total, rows.sum())

    @pytest.mark.parametrize("targets", ["hard", "soft"])
    def test_extreme_logits_in_float32(self, targets):
        logits = torch.tensor([[50.0, -50.0]] * 2, requires_grad=True)
        loss = BootstrapLoss(targets, 0.5, "none")(logits, torch.tensor([0, 1]))
        np.testing.assert_allclose(loss.detach(), [0, 50], atol=1e-6)
        assert np.isfinite(gradient(loss.sum(), logits)).all()


class TestInANet:
    PARAMS = {
        "criterion": BootstrapLoss,
        "module__hidden": 8,
        "module__dropout": 0.0,
        "max_epochs": 4,
        "random_state": 0,
    }

    def test_weight_zero_trains_as_cross_entropy_does(self, blobs):
        X, y, _ = blobs
        net = NetClassifier(**self.PARAMS, criterion__weight=0.0).fit(X, y)
        plain = NetClassifier(**{k: self.PARAMS[k] for k in list(self.PARAMS)[1:]})
        given, expected = net.predict_proba(X), plain.fit(X, y).predict_proba(X)
        np.testing.assert_allclose(given, expected, rtol=1e-4)
        other = NetClassifier(**self.PARAMS, criterion__weight=0.5).fit(X, y)
        assert np.abs(other.predict_proba(X) - expected).max() > 1e-2

    def test_sample_weights_equal_repeated_rows(self, blobs):
        X, y, _ = blobs
        counts = np.random.default_rng(0).integers(0, 4, len(y))
        net = NetClassifier(**self.PARAMS, batch_size=-1)
        weighted = net.fit(X, y, sample_weight=counts).predict_proba(X)
        repeated = NetClassifier(**self.PARAMS, batch_size=-1)
        repeated.fit(X.repeat(counts, axis=0), y.repeat(counts))
        expected = repeated.predict_proba(X)
        np.testing.assert_allclose(weighted, expected, rtol=1e-4, atol=1e-6)

    def test_grid_search_over_the_weight(self, blobs):
        X, y, _ = blobs
        grid = {"criterion__weight": [0.1, 0.8], "criterion__targets": ["soft"]}
        search = GridSearchCV(NetClassifier(**self.PARAMS), grid, cv=2).fit(X, y)
        assert search.best_estimator_.criterion_.weight in (0.1, 0.8)
        assert search.best_estimator_.criterion_.targets == "soft"

    def test_a_bad_weight_is_named_at_fit(self, blobs):
        X, y, _ = blobs
        with pytest.raises(ValueError, match=r"weight must be in \[0, 1\]; got 2"):
            NetClassifier(**self.PARAMS, criterion__weight=2).fit(X, y)
