"""Augmentations of batches: mixup, jitter, features of other rows."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from sknoisy.nets import jitter, mixup, swap_features
from sknoisy.nets._augment import jitter_pair
from sknoisy.nets._views import weak_pair_of, weak_view_of


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
@examples(30)
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


@pytest.mark.usefixtures("seeded")
class TestJitter:
    @pytest.mark.parametrize("scale", [0.1, 2.0])
    def test_noise_is_normal_and_in_proportion_to_the_spread(self, scale):
        spread = torch.tensor([0.01, 1.0, 50.0])
        X = torch.tensor([[3.0, -1.0, 700.0]]).expand(20_000, 3)
        # In float64: of 20,000 draws the standard errors are 0.7 % of a deviation for
        # the mean and 0.5 % for the deviation; 4 of these are allowed.
        noise = jitter(X.double(), spread.double(), scale) - X
        np.testing.assert_allclose(noise.mean(0) / (scale * spread), 0, atol=0.028)
        np.testing.assert_allclose(noise.std(0), scale * spread, rtol=0.02)
        for column in (noise / (scale * spread)).T.numpy():
            assert kstest(column, "norm").pvalue > 0.01
        # Each entry has a draw of its own.
        related = np.corrcoef(noise.T) - np.eye(3)
        assert np.abs(related).max() < 0.03

    def test_a_constant_feature_stays(self):
        X = torch.randn(50, 3)
        view = jitter(X, torch.tensor([1.0, 0.0, 1.0]), 0.5)
        assert view[:, 1].equal(X[:, 1])
        assert (view[:, [0, 2]] != X[:, [0, 2]]).all()

    def test_without_strength_it_is_the_identity(self):
        X = torch.randn(50, 3)
        assert jitter(X, torch.ones(3), 0.0).equal(X)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_a_new_tensor_of_the_same_kind(self, dtype):
        X = torch.randn(1, 3, dtype=dtype)
        before = X.clone()
        view = jitter(X, torch.ones(3, dtype=dtype), 0.5)
        assert X.equal(before) and view.shape == X.shape and view.dtype == dtype
        assert not view.equal(jitter(X, torch.ones(3, dtype=dtype), 0.5))


@pytest.mark.usefixtures("seeded")
class TestPairs:
    def test_noise_is_that_of_one_view_and_opposite_in_the_other(self):
        X, spread = torch.randn(50, 3).double(), torch.tensor([1.0, 0.0, 5.0]).double()
        state = torch.random.get_rng_state()
        first, second = jitter_pair(X, spread, 0.3)
        torch.random.set_rng_state(state)
        assert first.equal(jitter(X, spread, 0.3))
        np.testing.assert_allclose((first + second) / 2, X, rtol=1e-12)
        assert not first.equal(second)

    @pytest.mark.parametrize("view", ["auto", torch.neg])
    def test_images_and_the_users_views_are_drawn_one_by_one(self, view):
        X = torch.rand(20, 3, 16, 16)
        state = torch.random.get_rng_state()
        pair = weak_pair_of(X, view)
        torch.random.set_rng_state(state)
        for made in pair:
            assert made.equal(weak_view_of(X, view))

    def test_the_strength_of_tables(self):
        X, spread = torch.zeros(5_000, 2), torch.tensor([1.0, 3.0])
        for view, scale in (("auto", 0.3), (0.1, 0.1)):
            for made in weak_pair_of(X, view, spread):
                np.testing.assert_allclose(made.std(0), scale * spread, rtol=0.05)


@pytest.mark.usefixtures("seeded")
class TestSwapFeatures:
    @pytest.mark.parametrize("rate", [0.05, 0.3, 0.6, 1.0])
    @pytest.mark.parametrize("n_rows", [2, 10, 5000])
    def test_the_share_of_entries_that_change(self, rate, n_rows):
        # One of n donors is the row itself. 100,000 draws of a share have a standard
        # error of 0.16 % at most; 4 of these are allowed.
        X = torch.arange(100_000.0).view(n_rows, -1)
        changed = (swap_features(X, rate) != X).double().mean()
        assert changed == pytest.approx(rate * (1 - 1 / n_rows), abs=0.0064)

    @given(st.integers(0, 10_000), st.integers(1, 8), st.floats(0, 1))
    @examples(40)
    def test_entries_come_from_their_own_column(self, seed, n_rows, rate):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            X = torch.randn(n_rows, 4)
            before = X.clone()
            view = swap_features(X, rate)
        assert X.equal(before)
        assert view.shape == X.shape and view.dtype == X.dtype
        for given_column, column in zip(view.T, X.T, strict=True):
            assert set(given_column.tolist()) <= set(column.tolist())

    @pytest.mark.parametrize("rate", [0.4, 1.0])
    def test_donors_are_drawn_evenly(self, rate):
        n_rows = 20
        X = torch.arange(float(n_rows))[:, None].repeat(1, 20_000)
        donors = swap_features(X, rate)
        for row in (0, 7, n_rows - 1):
            counts = np.bincount(donors[row].long(), minlength=n_rows)
            expected = np.full(n_rows, rate / n_rows)
            expected[row] += 1 - rate
            assert chisquare(counts, 20_000 * expected).pvalue > 0.001

    def test_entries_of_a_row_are_drawn_one_by_one(self):
        X = torch.arange(200.0)[:, None].expand(200, 30).contiguous()
        changed = (swap_features(X, 0.5) != X).double()
        # Were rows replaced as a whole, their shares would be 0 or 1.
        assert changed.mean(1).std() < 0.15

    def test_ends(self):
        X = torch.randn(50, 3)
        assert swap_features(X, 0).equal(X) and swap_features(X, 0.0).equal(X)
        assert (swap_features(X, 1) != X).double().mean() > 0.9
        # So rare that no draw of 150 meets it, and 50 / rate is beyond all integers.
        assert swap_features(X, 1e-25).equal(X)

    @pytest.mark.parametrize("rate", [0.0, 0.6, 1.0])
    def test_a_batch_of_one_row_has_no_other(self, rate):
        X = torch.randn(1, 5)
        assert swap_features(X, rate).equal(X)

    @pytest.mark.parametrize("rate", [1.0, 0.6, 0.1, 1e-3])
    @pytest.mark.parametrize("n_rows", [3, 100, 8191, 1_000_003])
    def test_the_largest_draws_have_a_donor_or_none(self, monkeypatch, rate, n_rows):
        # In float32, draw * (n / rate) may be rounded up to n, where there is no row.
        X = torch.arange(float(n_rows))[:, None]
        largest = np.nextafter(np.float32(rate), np.float32(0))
        monkeypatch.setattr(torch, "rand_like", lambda X: X * 0 + largest)
        view = swap_features(X, rate)
        assert ((view == X) | (view == n_rows - 1)).all()
