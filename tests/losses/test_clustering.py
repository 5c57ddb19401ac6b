"""DynaCor's clustering losses against an independent implementation and by hand."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st

from sknoisy.losses import (
    ClusterAlignmentLoss,
    alignment_loss,
    cluster_loss,
    cosine_distances,
    soft_assignment,
    squared_distances,
    target_distribution,
)

CASES = [
    ("sign", 1e-4, 1e-5),
    ("l2_time", 1e-4, 1e-5),
    ("four_groups", 1e-7, 1e-12),
]


def clean_first(array):
    """The reference has the noisy cluster first, the library the clean one."""
    return np.ascontiguousarray(array[..., ::-1])


def case(data, name):
    z = torch.from_numpy(data[f"{name}_encoding"])
    centers = torch.from_numpy(data[f"{name}_centers"][::-1].copy())
    flags = data["four_groups_is_copy" if name == "four_groups" else "is_copy"]
    return z, centers, torch.from_numpy(flags)


@pytest.mark.parametrize(("name", "rtol", "atol"), CASES)
def test_assignments_equal_the_reference(reference, name, rtol, atol):
    data = reference("dynacor_clustering.npz")
    z, centers, _ = case(data, name)
    for key, distances in (
        ("q_cosine", cosine_distances),
        ("q_euclidean", squared_distances),
    ):
        q = soft_assignment(distances(z, centers))
        expected = clean_first(data[f"{name}_{key}"])
        np.testing.assert_allclose(q, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("name", "rtol", "atol"), CASES)
def test_target_and_losses_equal_the_reference(reference, name, rtol, atol):
    data = reference("dynacor_clustering.npz")
    z, centers, is_copy = case(data, name)
    q = soft_assignment(cosine_distances(z, centers))
    expected = clean_first(data[f"{name}_target"])
    np.testing.assert_allclose(target_distribution(q), expected, rtol=rtol, atol=atol)
    expected = data[f"{name}_cluster_loss"]
    np.testing.assert_allclose(cluster_loss(q), expected, rtol=rtol, atol=atol)
    align = alignment_loss(z, q[:, 1] > 0.5, is_copy)
    expected = data[f"{name}_align_loss"]
    np.testing.assert_allclose(align, expected, rtol=rtol, atol=atol)
    loss, q_again = ClusterAlignmentLoss(weight=0.5)(z, centers, is_copy)
    total = data[f"{name}_cluster_loss"] + 0.5 * expected
    np.testing.assert_allclose(loss, total, rtol=rtol, atol=atol)
    np.testing.assert_array_equal(q_again, q)


def test_assignment_has_its_closed_form_and_range():
    torch.manual_seed(0)
    z, centers = torch.randn(50, 8).double(), torch.randn(2, 8).double()
    d = cosine_distances(z, centers)
    q = soft_assignment(d)
    closed = (1 + d[:, 0]) / (2 + d[:, 0] + d[:, 1])
    np.testing.assert_allclose(q[:, 1], closed, rtol=1e-7)
    np.testing.assert_allclose(q.sum(1), 1, rtol=1e-12)
    assert q.min() >= 0.25 and q.max() <= 0.75


def test_distances_equal_scipy():
    from scipy.spatial.distance import cdist

    rng = np.random.default_rng(0)
    z, centers = rng.normal(size=(20, 5)), rng.normal(size=(2, 5))
    for function, metric in (
        (cosine_distances, "cosine"),
        (squared_distances, "sqeuclidean"),
    ):
        ours = function(torch.from_numpy(z), torch.from_numpy(centers))
        np.testing.assert_allclose(ours, cdist(z, centers, metric), rtol=1e-7)


def test_target_carries_no_gradient():
    q = torch.full((3, 2), 0.5, requires_grad=True)
    assert not target_distribution(q).requires_grad


def test_cluster_loss_is_zero_only_where_target_and_assignment_agree():
    even = torch.full((4, 2), 0.5)
    np.testing.assert_allclose(cluster_loss(even), 0, atol=1e-7)
    uneven = torch.tensor([[0.7, 0.3], [0.3, 0.7], [0.6, 0.4]])
    assert cluster_loss(uneven) > 1e-3


def test_gradient_of_the_cluster_loss_equals_finite_differences():
    torch.manual_seed(0)
    z = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    centers = torch.randn(2, 3, dtype=torch.float64)
    target = target_distribution(soft_assignment(cosine_distances(z, centers)))

    def loss_at_fixed_target(z):
        q = soft_assignment(cosine_distances(z, centers))
        return (target * (target / q).log()).sum() / len(z)

    cluster_loss(soft_assignment(cosine_distances(z, centers))).backward()
    (expected,) = torch.autograd.grad(loss_at_fixed_target(z), z)
    np.testing.assert_allclose(z.grad, expected, rtol=1e-7, atol=1e-12)
    assert torch.autograd.gradcheck(loss_at_fixed_target, (z,))


def groups(**sizes):
    """Encodings of one direction per group: angle 0 for originals, else given."""
    z, noisy, copy = [], [], []
    for name, (size, angle) in sizes.items():
        direction = torch.tensor([np.cos(angle), np.sin(angle)], dtype=torch.float64)
        z += [direction * (i + 1) for i in range(size)]
        noisy += [name.startswith("noisy")] * size
        copy += [name.endswith("copy")] * size
    return torch.stack(z), torch.tensor(noisy), torch.tensor(copy)


def test_alignment_averages_the_two_clusters_when_all_groups_exist():
    loss = alignment_loss(
        *groups(
            noisy_orig=(2, 0), noisy_copy=(3, 1), clean_orig=(4, 0), clean_copy=(1, 2)
        )
    )
    expected = (1 - np.cos(1) + 1 - np.cos(2)) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-7)


def test_alignment_takes_the_noisy_pair_alone_when_a_clean_group_is_empty():
    loss = alignment_loss(
        *groups(noisy_orig=(2, 0), noisy_copy=(3, 1), clean_orig=(4, 0))
    )
    np.testing.assert_allclose(loss, 1 - np.cos(1), rtol=1e-7)


def test_alignment_is_zero_without_a_noisy_pair():
    loss = alignment_loss(
        *groups(noisy_copy=(3, 1), clean_orig=(4, 0), clean_copy=(2, 2))
    )
    assert loss == 0


def test_alignment_is_zero_when_the_means_are_parallel():
    loss = alignment_loss(*groups(noisy_orig=(2, 1), noisy_copy=(5, 1)))
    np.testing.assert_allclose(loss, 0, atol=1e-12)


@examples(30)
@given(st.integers(0, 10_000))
def test_alignment_lies_between_0_and_2(seed):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(12, 3, generator=generator)
    noisy, copy = torch.rand(2, 12, generator=generator) > 0.5
    assert -1e-6 <= alignment_loss(z, noisy, copy) <= 2 + 1e-6


@examples(30)
@given(st.integers(0, 10_000))
def test_losses_do_not_depend_on_the_order_of_the_batch(seed):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(12, 3, generator=generator).double()
    centers = torch.randn(2, 3, generator=generator).double()
    copy = torch.rand(12, generator=generator) > 0.5
    order = torch.randperm(12, generator=generator)
    loss, q = ClusterAlignmentLoss()(z, centers, copy)
    shuffled, q_shuffled = ClusterAlignmentLoss()(z[order], centers, copy[order])
    np.testing.assert_allclose(loss, shuffled, rtol=1e-9)
    np.testing.assert_allclose(q[order], q_shuffled, rtol=1e-12)
