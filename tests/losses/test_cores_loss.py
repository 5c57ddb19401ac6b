"""The sample sieve against hand work, bounds and identities."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, softmax
from torch.nn import functional as F

from sknoisy.losses import CORESLoss, sieve_scores
from sknoisy.losses._cores import consistency_divergences, sieve_tolerance

LOGITS = arrays(np.float32, (5, 4), elements=st.floats(-60, 60, width=32))


@pytest.fixture
def batch():
    """Logits of shape (8, 4) in float64 that ask for gradients, labels and rows."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(2 * rng.normal(size=(8, 4)), requires_grad=True)
    rows = torch.tensor(rng.choice(20, 8, replace=False))
    return logits, torch.tensor(rng.integers(0, 4, 8)), rows


def scores_by_hand(z, y):
    p = softmax(z, axis=1)
    own = -log_softmax(z, axis=1)[np.arange(len(y)), y]
    return own + np.log(p + 1e-8).mean(1)


def losses_by_hand(z, y, beta, prior):
    own = -log_softmax(z, axis=1)[np.arange(len(y)), y]
    return own + beta * np.log(softmax(z, axis=1) + 1e-8) @ prior


class TestScores:
    def test_by_hand(self, batch):
        logits, y, _ = batch
        expected = scores_by_hand(logits.detach().numpy(), y.numpy())
        np.testing.assert_allclose(sieve_scores(logits, y).detach(), expected, 1e-10)
        single = sieve_scores(logits.float(), y).detach()
        np.testing.assert_allclose(single, expected, rtol=1e-5, atol=1e-6)
        assert (expected > 0).any() and (expected < 0).any()

    @given(LOGITS)
    @examples(100)
    def test_the_most_probable_label_always_passes(self, z):
        logits = torch.tensor(z)
        scores = sieve_scores(logits, logits.argmax(1))
        # The least of the losses is at most their mean.
        assert (scores <= sieve_tolerance(4)).all()

    @given(LOGITS, st.integers(0, 3))
    @examples(100)
    def test_two_labels_are_ordered_as_their_probabilities(self, z, label):
        logits = torch.tensor(z)
        y = torch.full((5,), label)
        gap = sieve_scores(logits, y) - sieve_scores(logits, logits.argmax(1))
        assert (gap >= -1e-4).all() and gap.isfinite().all()

    @pytest.mark.parametrize("n_classes", [2, 3, 10, 50, 51, 1000, 100_000])
    @pytest.mark.parametrize("height", [0.0, 7.3, -41.7])
    def test_nothing_is_sieved_out_of_uniform_predictions(self, n_classes, height):
        logits = torch.full((3, n_classes), height)
        y = torch.tensor([0, 1, n_classes - 1])
        scores = sieve_scores(logits, y)
        # What is left is the 1e-8 in the mean loss: log(1 + 1e-8 C).
        expected = np.full(3, np.log1p(1e-8 * n_classes))
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-9)
        assert (scores > 0).all()
        assert (scores <= sieve_tolerance(n_classes)).all()
        criterion = CORESLoss(3, n_classes)
        criterion(logits, y, torch.arange(3))
        assert criterion.kept.all()

    def test_the_tolerance_is_a_millionth_up_to_fifty_classes(self):
        assert sieve_tolerance(2) == sieve_tolerance(50) == 1e-6
        assert sieve_tolerance(500) == pytest.approx(1e-5)

    def test_of_two_classes_the_less_probable_is_sieved_out(self):
        logits = torch.tensor([[0.1, 0.0], [0.1, 0.0], [-3.0, 2.0]])
        scores = sieve_scores(logits, torch.tensor([0, 1, 1]))
        # Half of the log odds of the other label.
        np.testing.assert_allclose(scores, [-0.05, 0.05, -2.5], atol=1e-5)


class TestCriterion:
    @pytest.mark.parametrize("beta", [0.0, 0.7, 2.0])
    def test_by_hand(self, batch, beta):
        logits, y, rows = batch
        prior = np.array([0.4, 0.3, 0.2, 0.1])
        criterion = CORESLoss(20, 4, beta=beta, prior=torch.tensor(prior)).double()
        criterion.prior.copy_(torch.tensor(prior))
        given = criterion(logits, y, rows)
        z = logits.detach().numpy()
        kept = scores_by_hand(z, y.numpy()) <= 1e-6
        assert 0 < kept.sum() < 8
        losses = losses_by_hand(z, y.numpy(), beta, prior)
        assert given.item() == pytest.approx(losses[kept].mean(), rel=1e-10)
        criterion.reduction = "none"
        by_row = criterion(logits, y, rows).detach()
        np.testing.assert_allclose(by_row, np.where(kept, losses, 0), rtol=1e-10)

    def test_without_sieve_and_reward_it_is_cross_entropy(self, batch):
        logits, y, rows = batch
        criterion = CORESLoss(20, 4, beta=0.0, sieving=False)
        torch.testing.assert_close(
            criterion(logits, y, rows), F.cross_entropy(logits, y)
        )
        assert criterion.kept.all()

    def test_the_gradient_is_that_of_the_paper(self, batch):
        logits, y, rows = batch
        criterion = CORESLoss(20, 4, beta=0.6, sieving=False, reduction="none")
        (given,) = torch.autograd.grad(criterion(logits, y, rows).sum(), logits)
        p = softmax(logits.detach().numpy(), axis=1)
        # (1 − β) p − 1[ỹ] + β π, but for the 1e-8.
        expected = 0.4 * p - np.eye(4)[y] + 0.6 / 4
        np.testing.assert_allclose(given, expected, atol=1e-5)

    def test_rows_that_are_sieved_out_teach_nothing(self, batch):
        logits, y, rows = batch
        criterion = CORESLoss(20, 4)
        (given,) = torch.autograd.grad(criterion(logits, y, rows), logits)
        kept = criterion.kept[rows]
        assert not given[~kept].any() and given[kept].any(1).all()

    def test_where_nothing_passes_loss_and_gradient_are_zero(self):
        logits = torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]], requires_grad=True)
        criterion = CORESLoss(2, 3)
        loss = criterion(logits, torch.tensor([1, 2]), torch.arange(2))
        assert loss.item() == 0 and not criterion.kept.any()
        (given,) = torch.autograd.grad(loss, logits)
        assert not given.any()

    @given(LOGITS, st.integers(0, 3))
    @examples(100)
    def test_it_is_bounded_below_however_sure(self, z, label):
        logits = torch.tensor(z, requires_grad=True)
        criterion = CORESLoss(5, 4, beta=2.0, sieving=False)
        loss = criterion(logits, torch.full((5,), label), torch.arange(5))
        assert loss >= 2 * np.log(1e-8) - 1e-3
        assert torch.autograd.grad(loss, logits)[0].isfinite().all()

    def test_half_precision_is_as_good_as_single(self, batch):
        logits, y, rows = batch
        half = logits.detach().bfloat16()
        given = CORESLoss(20, 4)(half, y, rows)
        assert given.dtype == torch.float32
        torch.testing.assert_close(given, CORESLoss(20, 4)(half.float(), y, rows))


class TestState:
    def test_verdicts_and_scores_are_kept_by_row(self, batch):
        logits, y, rows = batch
        criterion = CORESLoss(20, 4).double()
        criterion(logits, y, rows)
        more = logits.detach().flip(1)
        criterion(more, y, rows)
        first = scores_by_hand(logits.detach().numpy(), y.numpy())
        last = scores_by_hand(more.numpy(), y.numpy())
        assert ((first <= 0) != (last <= 0)).any()
        expected = np.ones(20, dtype=bool)
        expected[rows] = last <= 1e-6
        np.testing.assert_array_equal(criterion.kept, expected)
        mean = np.zeros(20)
        mean[rows] = (first + last) / 2
        np.testing.assert_allclose(criterion.mean_scores, mean, rtol=1e-9)
        assert criterion.n_seen[rows].tolist() == [2] * 8
        assert criterion.n_seen.sum() == 16

    def test_the_order_of_the_rows_does_not_matter(self, batch):
        logits, y, rows = batch
        one, other = CORESLoss(20, 4).double(), CORESLoss(20, 4).double()
        turned = torch.tensor([3, 1, 7, 0, 5, 2, 6, 4])
        a = one(logits, y, rows)
        b = other(logits[turned], y[turned], rows[turned])
        torch.testing.assert_close(a, b)
        assert one.kept.equal(other.kept)
        torch.testing.assert_close(one.mean_scores, other.mean_scores)

    def test_scores_are_kept_before_the_sieve_begins(self, batch):
        logits, y, rows = batch
        criterion = CORESLoss(20, 4, sieving=False)
        criterion(logits, y, rows)
        assert criterion.kept.all() and criterion.mean_scores[rows].all()

    def test_the_prior_counts_the_rows_that_passed(self):
        criterion = CORESLoss(6, 3)
        criterion.kept[:] = torch.tensor([True, True, False, True, False, True])
        criterion.update_prior(torch.tensor([0, 0, 0, 1, 2, 1]))
        # N times the frequency, minus those sieved out: 3 − 1, 2 − 0, 1 − 1.
        np.testing.assert_allclose(criterion.prior, [0.5, 0.5, 0.0])
        criterion.kept[:] = False
        criterion.update_prior(torch.tensor([0, 0, 0, 1, 2, 1]))
        np.testing.assert_allclose(criterion.prior, [0.5, 0.5, 0.0])

    def test_the_prior_begins_as_told_or_equal(self):
        np.testing.assert_allclose(CORESLoss(6, 4).prior, [0.25] * 4)
        counts = torch.tensor([3, 1])
        np.testing.assert_allclose(CORESLoss(4, 2, prior=counts).prior, [0.75, 0.25])

    def test_all_of_it_is_saved(self, batch):
        logits, y, rows = batch
        criterion, other = CORESLoss(20, 4), CORESLoss(20, 4)
        criterion(logits, y, rows)
        criterion.update_prior(torch.arange(20) % 4)
        other.load_state_dict(criterion.state_dict())
        assert other.kept.equal(criterion.kept) and not other.kept.all()
        assert other.prior.equal(criterion.prior)
        assert other.mean_scores.equal(criterion.mean_scores)
        assert not any(buffer.requires_grad for buffer in criterion.buffers())


def test_a_net_takes_it_as_its_criterion(blobs):
    from sknoisy import NetClassifier

    X, y, is_noisy = blobs
    net = NetClassifier(
        criterion=CORESLoss,
        criterion__beta=0.5,
        criterion__sieving=False,
        max_epochs=5,
        batch_size=30,
        random_state=0,
    )
    net.fit(X, y)
    scores = net.criterion_.mean_scores
    assert scores[is_noisy].mean() > 0 > scores[~is_noisy].mean()
    assert (net.criterion_.n_seen == 5).all()


@pytest.mark.parametrize("prior", [[0.5, 0.5], [1.0, 1.0, -1.0], [0.0, 0.0, 0.0]])
def test_each_fault_of_a_prior_is_named(prior):
    message = (
        r"prior must be 3 shares of classes, at least 0 and not all of them 0; got"
    )
    with pytest.raises(ValueError, match=message):
        CORESLoss(4, 3, prior=torch.tensor(prior))


def test_a_frozen_sieve_stores_nothing():
    rng = np.random.default_rng(0)
    logits, y = torch.tensor(3 * rng.normal(size=(20, 4))), torch.arange(20) % 4
    rows = torch.arange(20)
    criterion = CORESLoss(20, 4, beta=0.0)
    criterion(logits, y, rows)
    before = {name: b.clone() for name, b in criterion.named_buffers()}
    assert 0 < before["kept"].sum() < 20
    criterion.frozen = True
    # Other logits, by which other rows would pass.
    loss = criterion(-logits, y, rows)
    for name, buffer in criterion.named_buffers():
        assert torch.equal(buffer, before[name])
    own = torch.nn.functional.cross_entropy(-logits, y, reduction="none")
    torch.testing.assert_close(
        loss, own[before["kept"]].mean().float(), check_dtype=False
    )


class TestConsistency:
    def views(self):
        rng = np.random.default_rng(1)
        return [torch.tensor(rng.normal(size=(7, 3)), requires_grad=True) for _ in "ab"]

    def test_divergences_in_numpy(self):
        weak, strong = self.views()
        p, q = (softmax(z.detach().numpy(), axis=1) for z in (weak, strong))
        expected = (p * np.log(p / q)).sum(1)
        given = consistency_divergences(weak, strong).detach()
        np.testing.assert_allclose(given, expected, rtol=1e-9)
        assert (given > 0).all()

    def test_same_views_do_not_diverge(self):
        weak, _ = self.views()
        given = consistency_divergences(weak, weak.detach() + 3.0)
        np.testing.assert_allclose(given.detach(), 0, atol=1e-12)

    def test_only_the_strong_view_is_taught(self):
        weak, strong = self.views()
        consistency_divergences(weak, strong).sum().backward()
        assert weak.grad is None
        p, q = (softmax(z.detach().numpy(), axis=1) for z in (weak, strong))
        np.testing.assert_allclose(strong.grad, q - p, rtol=1e-9, atol=1e-12)
