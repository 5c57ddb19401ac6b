"""Augmentations of batches: mixup."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sknoisy.nets import mixup


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return torch.tensor(rng.normal(size=(5, 3, 2, 4)).astype(np.float32))


PARTNER = torch.tensor([2, 0, 2, 4, 1])


@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 2, 3), (5, 3, 2, 4)])
def test_rows_of_any_shape_by_hand(shape):
    rng = np.random.default_rng(1)
    X, share = rng.normal(size=shape), rng.random(5)
    given = mixup(torch.tensor(X), PARTNER, torch.tensor(share))
    for row, partner in enumerate(PARTNER.tolist()):
        expected = share[row] * X[row] + (1 - share[row]) * X[partner]
        np.testing.assert_allclose(given[row], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("share", [0.3, torch.tensor(0.3), torch.full((5,), 0.3)])
def test_one_share_for_all_rows(images, share):
    expected = 0.3 * images + 0.7 * images[PARTNER]
    torch.testing.assert_close(mixup(images, PARTNER, share), expected)


def test_a_share_of_one_is_the_row_and_of_zero_its_partner(images):
    assert mixup(images, PARTNER, 1.0).equal(images)
    assert mixup(images, PARTNER, 0.0).equal(images[PARTNER])
    ends = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0])
    mixed = mixup(images, PARTNER, ends)
    assert mixed[0].equal(images[0]) and mixed[1].equal(images[0])


def test_a_row_that_is_its_own_partner_stays(images):
    torch.testing.assert_close(mixup(images, torch.arange(5), 0.37), images)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_swapped_pairs_add_up_and_nothing_leaves_the_range(seed, share):
    rng = np.random.default_rng(seed)
    X = torch.tensor(rng.normal(size=(4, 3)))
    swap = torch.tensor([1, 0, 3, 2])
    mixed = mixup(X, swap, share)
    # With the partners' roles swapped, what one row gives the other takes.
    torch.testing.assert_close(mixed + mixed[swap], X + X[swap])
    assert (mixed <= torch.maximum(X, X[swap]) + 1e-12).all()
    assert (mixed >= torch.minimum(X, X[swap]) - 1e-12).all()


def test_shares_take_the_dtype_of_the_rows_and_nothing_is_changed(images):
    before = images.clone()
    share = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64)
    assert mixup(images, PARTNER, share).dtype == torch.float32
    assert mixup(images, PARTNER, share.mean()).dtype == torch.float32
    assert images.equal(before) and share.shape == (5,)


def test_targets_are_mixed_with_their_gradient():
    targets = torch.eye(2, dtype=torch.float64).requires_grad_()
    mixed = mixup(targets, torch.tensor([1, 0]), 0.75)
    assert mixed.tolist() == [[0.75, 0.25], [0.25, 0.75]]
    mixed[0, 0].backward()
    assert targets.grad.tolist() == [[0.75, 0.0], [0.25, 0.0]]
