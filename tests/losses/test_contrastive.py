"""The contrastive loss: a double loop over views, limits, gradients, the head."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sknoisy.losses import ContrastiveLoss, nt_xent, sup_con


def draw(seed, n_rows=7, n_features=3):
    rng = np.random.default_rng(seed)
    views = rng.normal(size=(2, n_rows, n_features)).astype(np.float32)
    return torch.from_numpy(views)


def slow_nt_xent(first, second, temperature):
    """One view at a time, in float64."""
    views = np.concatenate([first, second]).astype(np.float64)
    n_rows = len(first)
    losses = np.zeros(2 * n_rows)
    for i, view in enumerate(views):
        scores = {}
        for j, other in enumerate(views):
            if i != j:
                cosine = view @ other / np.linalg.norm(view) / np.linalg.norm(other)
                scores[j] = np.exp(cosine / temperature)
        losses[i] = -np.log(scores[(i + n_rows) % (2 * n_rows)] / sum(scores.values()))
    return (losses[:n_rows] + losses[n_rows:]) / 2


@given(
    st.integers(0, 10_000),
    st.integers(1, 9),
    st.integers(2, 5),
    st.floats(0.05, 5),
)
@examples(40)
def test_it_is_the_double_loop(seed, n_rows, n_features, temperature):
    first, second = draw(seed, n_rows, n_features)
    found = nt_xent(first, second, temperature)
    assert found.shape == (n_rows,) and (found >= 0).all()
    expected = slow_nt_xent(first.numpy(), second.numpy(), temperature)
    # Cosines are rounded at 1e-7, and divided by the temperature.
    assert_allclose(found, expected, rtol=1e-4, atol=2e-5)


def test_a_single_row_has_nothing_to_be_mistaken_for():
    first, second = draw(0, n_rows=1)
    assert nt_xent(first, second).tolist() == [0.0]
    # Not even where its views point in opposite directions.
    assert nt_xent(first, -first).tolist() == [0.0]


def test_only_directions_count_and_views_may_be_swapped():
    first, second = draw(1)
    expected = nt_xent(first, second)
    length = torch.linspace(0.1, 9, 7)[:, None]
    assert_allclose(nt_xent(length * first, second), expected, rtol=1e-4)
    assert_allclose(nt_xent(second, first), expected, rtol=1e-4)
    order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    found = nt_xent(first[order], second[order])
    assert_allclose(found, expected[order], rtol=1e-4)


def test_rows_that_are_told_apart_cost_nothing_and_the_same_rows_all():
    apart = torch.eye(5)
    assert_allclose(nt_xent(apart, apart, 0.05), 0, atol=1e-7)
    alike = torch.ones(5, 3)
    # Nine views to choose from, all alike.
    assert_allclose(nt_xent(alike, alike, 0.05), np.log(9), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.01, 0.5])
def test_gradients_are_finite(temperature):
    views = draw(2)
    # A row of zeros has no direction, and two equal views lie at the maximum.
    views[0, 0] = 0
    views[1, 1] = views[0, 1]
    views.requires_grad_()
    nt_xent(*views, temperature).sum().backward()
    assert torch.isfinite(views.grad).all() and (views.grad != 0).any()


def test_gradient_against_differences():
    views = draw(3, n_rows=3).double().requires_grad_()

    def loss(views):
        return nt_xent(views[0], views[1], 0.5).sum()

    loss(views).backward()
    rng = np.random.default_rng(0)
    for _ in range(5):
        step = 1e-2 * torch.from_numpy(rng.normal(size=views.shape))
        found = (loss(views + step) - loss(views - step)).item() / 2
        expected = (views.grad * step).sum().item()
        assert found == pytest.approx(expected, rel=0.01, abs=5e-5)


def test_mixed_precision_does_not_round_cosines():
    first, second = draw(4, n_rows=20, n_features=64)
    expected = nt_xent(first, second, 0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = nt_xent(first, second, 0.05)
    assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def slow_sup_con(first, second, mask, temperature):
    """One view at a time, in float64."""
    views = np.concatenate([first, second]).astype(np.float64)
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    n_rows = len(first)
    losses = []
    for i, view in enumerate(views):
        others = [j for j in range(2 * n_rows) if j != i]
        scores = {j: np.exp(view @ views[j] / temperature) for j in others}
        weights = {j: mask[i % n_rows, j % n_rows] for j in others}
        logs = [weights[j] * np.log(scores[j] / sum(scores.values())) for j in others]
        losses.append(-sum(logs) / (sum(weights.values()) or 1))
    return (np.array(losses[:n_rows]) + losses[n_rows:]) / 2


class TestSupervised:
    @pytest.mark.parametrize("soft", [False, True])
    def test_it_is_the_double_loop(self, soft):
        first, second = draw(8)
        y = torch.tensor([0, 1, 0, 2, 2, 0, 1])
        mask = (y[:, None] == y).numpy().astype(float)
        given = {"y": y}
        if soft:
            mask = np.random.default_rng(1).random((7, 7))
            mask[3] = 0
            given = {"mask": torch.tensor(mask)}
        found = sup_con(first, second, **given, temperature=0.3)
        expected = slow_sup_con(first.numpy(), second.numpy(), mask, 0.3)
        assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        assert not soft or found[3] == 0

    def test_rows_of_their_own_are_nt_xent(self):
        first, second = draw(9)
        expected = nt_xent(first, second, 0.1)
        assert_allclose(sup_con(first, second), expected, rtol=1e-5)
        found = sup_con(first, second, torch.arange(7))
        assert_allclose(found, expected, rtol=1e-5)

    def test_the_same_rows_of_one_class_cost_the_least_there_is(self):
        alike = torch.ones(5, 3)
        y = torch.zeros(5, dtype=torch.int64)
        assert_allclose(sup_con(alike, alike, y), np.log(9), rtol=1e-5)
        assert sup_con(*draw(10, n_rows=5), y).mean() > np.log(9)

    def test_gradients_are_finite_in_mixed_precision_too(self):
        views = draw(11).requires_grad_()
        y = torch.tensor([0, 0, 1, 1, 2, 2, 3])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = sup_con(*views, y, temperature=0.05)
        loss.sum().backward()
        assert loss.dtype == torch.float32
        assert torch.isfinite(views.grad).all() and (views.grad != 0).any()

    def test_labels_and_masks_that_cannot_be(self):
        first, second = draw(12)
        mask = torch.ones(7, 7)
        with pytest.raises(ValueError, match="labels or a mask, not both"):
            sup_con(first, second, torch.arange(7), mask)
        with pytest.raises(ValueError, match=r"shape \(7, 7\); got \(7, 1\)"):
            sup_con(first, second, mask=mask[:, :1])


class TestHead:
    def test_a_mask_is_that_of_sup_con(self):
        first, second = draw(13, n_rows=6, n_features=4)
        loss, mask = ContrastiveLoss(4, 3, temperature=0.2).eval(), torch.rand(6, 6)
        projected = loss.head(first), loss.head(second)
        expected = sup_con(*projected, mask=mask, temperature=0.2)
        assert_allclose(loss(first, second, mask).detach(), expected.detach(), 1e-5)

    def test_views_are_projected_and_normalised_together(self):
        first, second = draw(5, n_rows=6, n_features=4)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            loss = ContrastiveLoss(n_features=4, n_projected=3, temperature=0.2)
        norm = loss.head[1]
        with torch.no_grad():
            norm.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
            norm.bias.copy_(torch.tensor([0.1, -0.2, 0.3]))
            found = loss(first, second)
        state = {k: v.detach().numpy() for k, v in loss.head.state_dict().items()}
        both = np.concatenate([first, second]) @ state["0.weight"].T + state["0.bias"]
        # Over the twelve views, not over each six.
        both = (both - both.mean(0)) / np.sqrt(both.var(0) + 1e-5)
        both = both * state["1.weight"] + state["1.bias"]
        expected = slow_nt_xent(both[:6], both[6:], 0.2)
        assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        assert norm.num_batches_tracked == 1

    def test_both_views_teach_the_head_and_what_is_below(self):
        loss = ContrastiveLoss(n_features=3)
        assert loss.head[0].out_features == 128 and loss.temperature == 0.05
        views = draw(6).requires_grad_()
        loss(views[0], views[1]).sum().backward()
        assert (views.grad.abs().sum((1, 2)) > 0).all()
        assert all(torch.isfinite(p.grad).all() for p in loss.parameters())
        assert loss.head[0].weight.grad.any()

    def test_a_single_row_passes(self):
        # Batch normalisation sees its two views.
        first, second = draw(7, n_rows=1)
        assert ContrastiveLoss(n_features=3)(first, second).tolist() == [0.0]

    @pytest.mark.parametrize("temperature", [0, -0.1])
    def test_a_temperature_must_be_positive(self, temperature):
        with pytest.raises(ValueError, match=f"above 0; got {temperature}"):
            ContrastiveLoss(n_features=3, temperature=temperature)
