"""Votes of neighbours by a double loop, limits, and the gradients of consistency."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sknoisy.losses import FeatureConsistencyLoss, neighbor_label_counts, vote_shares
from sknoisy.losses import _ssr as module

N_CLASSES = 4


def draw(seed, n_rows=12, n_features=3):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    return torch.from_numpy(features), torch.from_numpy(
        rng.integers(N_CLASSES, size=n_rows)
    )


def slow_counts(features, labels, k, include_self, bank):
    """One row at a time, with a full sort."""
    features, labels = features.numpy().astype(float), labels.numpy()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    counts = np.zeros((len(labels), N_CLASSES))
    for i in range(len(labels)):
        others = [j for j in bank if j != i]
        others.sort(key=lambda j: -unit[i] @ unit[j])
        near = [i, *others][:k] if include_self else others[:k]
        for j in near:
            counts[i, labels[j]] += 1
    return counts


class TestCounts:
    @given(
        st.integers(0, 10_000),
        st.integers(2, 15),
        st.integers(1, 20),
        st.booleans(),
        st.booleans(),
    )
    @examples(60)
    def test_it_is_the_double_loop(self, seed, n_rows, k, include_self, has_bank):
        features, labels = draw(seed, n_rows)
        bank = np.random.default_rng(seed).permutation(n_rows)[: 1 + n_rows // 2]
        expected = slow_counts(
            features, labels, k, include_self, bank if has_bank else range(n_rows)
        )
        if has_bank and len(bank) < n_rows:
            # A row of the bank has one other less; all rows take as many.
            expected = slow_counts(
                features,
                labels,
                min(k, len(bank) - 1 + include_self),
                include_self,
                bank,
            )
        found = neighbor_label_counts(
            features,
            labels,
            N_CLASSES,
            k,
            include_self=include_self,
            bank=torch.from_numpy(bank) if has_bank else None,
        )
        assert_array_equal(found, expected)

    @pytest.mark.parametrize("size", [1, 24, 25, 1000])
    def test_blocks_of_rows_change_nothing(self, size, monkeypatch):
        features, labels = draw(0)
        expected = neighbor_label_counts(features, labels, N_CLASSES, 5)
        monkeypatch.setattr(module, "_BLOCK_SIZE", size)
        found = neighbor_label_counts(features, labels, N_CLASSES, 5)
        assert_array_equal(found, expected)

    def test_other_devices_select_the_same(self, monkeypatch):
        features, labels = draw(1, n_rows=40)
        expected = neighbor_label_counts(features, labels, N_CLASSES, 7)
        monkeypatch.setattr(
            module,
            "_nearest",
            lambda cosines, n: cosines.topk(n, sorted=False).indices,
        )
        assert_array_equal(
            neighbor_label_counts(features, labels, N_CLASSES, 7), expected
        )

    def test_only_directions_count(self):
        features, labels = draw(2)
        expected = neighbor_label_counts(features, labels, N_CLASSES, 4)
        longer = features * torch.arange(1, 13)[:, None]
        found = neighbor_label_counts(longer, labels, N_CLASSES, 4)
        assert_array_equal(found, expected)

    def test_a_row_of_zeros_votes_for_itself(self):
        features, labels = torch.zeros(3, 2), torch.tensor([0, 1, 2])
        found = neighbor_label_counts(features, labels, 3, 1)
        assert_array_equal(found, np.eye(3))

    def test_the_order_of_the_rows_does_not_matter(self):
        features, labels = draw(3, n_rows=30)
        order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
        expected = neighbor_label_counts(features, labels, N_CLASSES, 6)[order]
        found = neighbor_label_counts(features[order], labels[order], N_CLASSES, 6)
        assert_array_equal(found, expected)

    @pytest.mark.parametrize("name", ["n_classes", "n_neighbors"])
    def test_numbers_below_one_are_refused(self, name):
        features, labels = draw(0)
        given = {"n_classes": N_CLASSES, "n_neighbors": 3, name: 0}
        with pytest.raises(ValueError, match=name):
            neighbor_label_counts(features, labels, **given)


class TestShares:
    def test_balance_divides_by_the_shares_of_the_labels(self):
        counts = np.array([[6.0, 2.0, 0.0], [1.0, 1.0, 0.0]])
        labels = np.array([0, 0, 0, 1])
        found = vote_shares(counts, labels)
        # 6 / 0.75 = 2 / 0.25, and 1 / 0.75 : 1 / 0.25 = 1 : 3.
        assert_allclose(found, [[0.5, 0.5, 0], [0.25, 0.75, 0]], rtol=1e-8)
        assert found.dtype == np.float64
        plain = vote_shares(counts, labels, balance=False)
        assert_allclose(plain, [[0.75, 0.25, 0], [0.5, 0.5, 0]], rtol=1e-12)

    def test_all_rows_as_neighbours_balance_to_equal_shares(self):
        features, labels = draw(4, n_rows=50)
        counts = neighbor_label_counts(features, labels, N_CLASSES, 50).numpy()
        found = vote_shares(counts, labels.numpy())
        assert_allclose(found, 1 / N_CLASSES, rtol=1e-7)


class TestConsistency:
    def test_it_is_minus_the_cosine(self):
        torch.manual_seed(0)
        loss = FeatureConsistencyLoss(5, n_projected=4, n_hidden=6).eval()
        strong, weak = torch.randn(2, 7, 5)
        with torch.no_grad():
            a = loss.predictor(loss.projector(strong)).double().numpy()
            b = loss.projector(weak).double().numpy()
            found = loss(strong, weak)
        cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert_allclose(found, -cosines, rtol=1e-5, atol=1e-6)

    def test_no_gradient_reaches_the_weak_view(self):
        torch.manual_seed(0)
        loss = FeatureConsistencyLoss(5)
        strong, weak = torch.randn(2, 7, 5, requires_grad=True).unbind()
        strong, weak = (t.detach().requires_grad_() for t in (strong, weak))
        loss(strong, weak).mean().backward()
        assert weak.grad is None and strong.grad.abs().sum() > 0
        assert all(p.grad is not None for p in loss.parameters())

    @pytest.mark.parametrize("name", ["n_features", "n_projected", "n_hidden"])
    def test_widths_below_one_are_refused(self, name):
        with pytest.raises(ValueError, match=name):
            FeatureConsistencyLoss(**{"n_features": 3, name: 0})
