"""BMMLossSplitter: losses that come in pieces."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sample_losses import (
    HARD,
    hard_losses,
    p_noisy_of,
    two_kinds,
)
from sklearn.mixture import GaussianMixture

from sknoisy import BetaMixture, BMMLossSplitter
from sknoisy.mixture._binning import GrowingSample

# Losses in pieces


@pytest.mark.parametrize("n_samples", [900, 150_000])
def test_pieces_give_the_same_bits_as_the_whole(n_samples):
    losses = hard_losses("log-normal", n_samples).astype(np.float32)
    whole, pieces = BMMLossSplitter().fit(losses), BMMLossSplitter()
    for piece in np.array_split(losses, 7):
        assert pieces.partial_fit(piece) is pieces
    assert (whole.lo_, whole.hi_) == (pieces.lo_, pieces.hi_)
    assert_array_equal(pieces.mixture_.alphas_, whole.mixture_.alphas_)
    assert_array_equal(pieces.predict_proba(losses), whole.predict_proba(losses))


def assert_close_off_the_step(whole, pieces, losses):
    """Compare posteriors where both splitters have a loss on one side of their lo_.

    A scaled loss up to 0 becomes clip, 1e-3, and those just above stay below that: the
    posterior jumps at lo_, which pieces know to within 2**-17 of its value.
    """
    assert pieces.lo_ == pytest.approx(whole.lo_, rel=2.0**-16)
    assert pieces.hi_ == pytest.approx(whole.hi_, rel=2.0**-16)
    is_off_step = (losses <= whole.lo_) == (losses <= pieces.lo_)
    assert is_off_step.mean() > 0.999
    a, b = (s.predict_proba(losses[is_off_step])[:, 1] for s in (whole, pieces))
    assert np.abs(a - b).max() < 1e-4


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("kind", HARD)
def test_counted_pieces_are_close_to_the_whole(monkeypatch, kind):
    monkeypatch.setattr(GrowingSample, "max_kept", 2**16)
    losses = hard_losses(kind, 300_000).astype(np.float32)
    whole, pieces = BMMLossSplitter().fit(losses), BMMLossSplitter()
    for piece in np.array_split(losses, 5):
        pieces.partial_fit(piece)
    assert not pieces._sample.pieces
    assert_close_off_the_step(whole, pieces, losses)


@pytest.mark.slow
@pytest.mark.parametrize("kind", HARD)
def test_pieces_around_the_limit_of_what_is_kept(kind):
    losses = hard_losses(kind, 2**20 + 500_000).astype(np.float32)
    kept, pieces = losses[: 2**20], BMMLossSplitter()
    for piece in np.array_split(kept, 4):
        pieces.partial_fit(piece)
    whole = BMMLossSplitter().fit(kept)
    assert_array_equal(pieces.predict_proba(kept), whole.predict_proba(kept))
    pieces.partial_fit(losses[2**20 :])
    assert_close_off_the_step(BMMLossSplitter().fit(losses), pieces, losses)


def test_pieces_with_several_columns_and_after_a_pickle():
    epochs = np.c_[two_kinds(), two_kinds(seed=1)]
    pieces = BMMLossSplitter().partial_fit(epochs[:500])
    pieces = pickle.loads(pickle.dumps(pieces)).partial_fit(epochs[500:])
    whole = BMMLossSplitter().fit(epochs)
    assert_array_equal(pieces.predict_proba(epochs), whole.predict_proba(epochs))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
        pieces.partial_fit(epochs[:, 0])


def test_fit_forgets_pieces_and_pieces_forget_fit():
    losses, others = two_kinds(), two_kinds(seed=1) ** 2
    splitter = BMMLossSplitter().partial_fit(others).fit(losses)
    expected = p_noisy_of(losses)
    assert_array_equal(splitter.predict_proba(losses)[:, 1], expected)
    splitter.fit(others).partial_fit(losses)
    assert_array_equal(splitter.predict_proba(losses)[:, 1], expected)
    # A refused piece leaves no trace.
    with pytest.raises(ValueError, match="Negative"):
        splitter.partial_fit(-losses)
    splitter.partial_fit(others)
    both = p_noisy_of(np.r_[losses, others])
    assert_array_equal(splitter.predict_proba(np.r_[losses, others])[:, 1], both)


def test_only_mixtures_with_weights_take_pieces():
    assert not hasattr(BMMLossSplitter("gaussian"), "partial_fit")
    assert not hasattr(BMMLossSplitter(GaussianMixture(2)), "partial_fit")
    assert hasattr(BMMLossSplitter(BetaMixture(max_iter=3)), "partial_fit")
    with pytest.raises(AttributeError, match="no attribute 'partial_fit'"):
        BMMLossSplitter("gaussian").partial_fit(two_kinds())
