"""Histograms and quantiles: against numpy on all values, for any floats."""

import numpy as np
import pytest
from fast_part import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

import sknoisy.mixture._binning as module
from sknoisy.mixture._binning import (
    GrowingSample,
    LogHistogram,
    bin_linear,
    chunks,
    merge_inner,
    quantiles,
    trim,
)

LEVELS = (0.0, 0.05, 0.3, 0.5, 0.95, 1.0)


def floats(dtype, largest=1e30):
    width = np.dtype(dtype).itemsize * 8
    largest = float(np.dtype(dtype).type(largest))
    # -0.0 as well: an odd loss, but a finite one that is not negative.
    values = st.floats(0, largest, width=width) | st.sampled_from([0.0, -0.0, 1.0])
    return arrays(dtype, st.integers(1, 60), elements=values)


any_floats = st.one_of(floats(np.float32), floats(np.float64))


def hard_values(n_values, seed=0):
    """Losses late in training: many tiny ones, some exact zeros, a few large."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(0.2, 1.0, n_values)
    values[: n_values // 50] = 0
    return rng.permutation(values)


@given(st.integers(0, 1000), st.integers(1, 70))
def test_chunks_cover_every_place_once(n_values, size):
    places = np.arange(n_values)
    parts = [places[part] for part in chunks(n_values, size)]
    assert all(0 < len(part) <= size for part in parts)
    assert_array_equal(np.concatenate([[], *parts]), places)


@examples(100)
@given(any_floats)
@example(np.array([5e-324, 1e38]))
@example(np.array([0.0, -0.0, 2.0**-33, 1e-12, 1e-45], dtype=np.float32))
@example(np.repeat([0.0, 1.0], 30))
def test_quantiles_are_those_of_numpy_and_count_both_sides(values):
    found = quantiles(values, LEVELS)
    values = values.astype(np.float64)
    expected = np.quantile(values, LEVELS)
    # The smallest numbers of all, 5e-324, are rounded another way.
    assert_allclose([q.value for q in found], expected, rtol=1e-12, atol=1e-300)
    for quantile in found:
        assert quantile.n_below == (values < quantile.value).sum()
        assert quantile.n_above == (values > quantile.value).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quantiles_of_many_values_are_those_of_numpy(dtype):
    # More than one chunk, and more than one value in most bins.
    values = hard_values(200_001).astype(dtype)
    levels = tuple(np.linspace(0, 1, 41))
    expected = np.quantile(values.astype(np.float64), levels)
    found = [q.value for q in quantiles(values, levels)]
    assert_allclose(found, expected, rtol=1e-12)


@settings(deadline=None)
@given(any_floats, st.integers(0, 12))
def test_log_bins_hold_their_values_and_are_narrow(values, bits):
    histogram = LogHistogram(bits)
    histogram.add(values)
    assert histogram.counts.sum() == len(values)
    middles, counts = histogram.middles()
    assert counts.sum() == len(values) and (counts > 0).all()
    assert (np.diff(middles) > 0).all()
    codes = histogram.codes(np.maximum(values, module._SMALLEST)).astype(np.int64)
    lower, upper = histogram.edges(codes - histogram.first)
    single = np.maximum(values, module._SMALLEST).astype(np.float32)
    assert ((lower <= single) & (single < upper)).all()
    assert (upper - lower <= 2.0**-bits * lower * (1 + 1e-12)).all()


@settings(deadline=None)
@given(st.lists(any_floats, min_size=2, max_size=5), st.randoms())
def test_histograms_of_pieces_are_the_histogram_of_the_whole(pieces, random):
    whole, parts = LogHistogram(10), LogHistogram(10)
    whole.add(np.concatenate([piece.astype(np.float64) for piece in pieces]))
    random.shuffle(pieces)
    for piece in pieces:
        parts.add(piece)
    assert parts.first == whole.first
    assert_array_equal(parts.counts, whole.counts)


@examples(100)
@given(any_floats, st.integers(3, 12))
def test_quantiles_of_a_histogram_are_right_to_within_a_bin(values, bits):
    histogram = LogHistogram(bits)
    histogram.add(values)
    at_least = np.maximum(values.astype(np.float64), module._SMALLEST)
    for level, found in zip(LEVELS, histogram.quantiles(LEVELS), strict=True):
        rank = level * (len(values) - 1)
        # A value rounded to float32 may be half a float32 step off as well.
        slack = 2.0**-bits + 1e-7
        low = np.quantile(at_least, int(rank) / max(len(values) - 1, 1), method="lower")
        high = np.quantile(at_least, level, method="higher")
        assert low * (1 - slack) <= found.value <= high * (1 + slack)
        assert 0 <= found.n_below <= rank + 1
        assert 0 <= found.n_above <= len(values) - rank


@pytest.mark.slow
def test_quantiles_of_a_histogram_of_many_values():
    values = hard_values(300_000)
    histogram = LogHistogram()
    histogram.add(values)
    found = histogram.quantiles((0.05, 0.5, 0.95))
    expected = np.quantile(values, (0.05, 0.5, 0.95))
    assert_allclose([q.value for q in found], expected, rtol=2.0**-17)
    for level, quantile in zip((0.05, 0.5, 0.95), found, strict=True):
        assert quantile.n_below == pytest.approx(level * 300_000, abs=20)
        # Two values in a bin without neighbours count as equal ones.
        assert quantile.n_below + quantile.n_above == pytest.approx(300_000, abs=3)


@pytest.mark.slow
def test_equal_values_are_no_quantile_in_between():
    # A fifth are zeros: both sides of the quantile that falls among them exclude them.
    histogram = LogHistogram()
    histogram.add(np.r_[np.zeros(200), np.linspace(1, 2, 800)])
    (low,) = histogram.quantiles((0.05,))
    assert low.value == pytest.approx(module._SMALLEST, rel=1e-5)
    assert (low.n_below, low.n_above) == (0, 800)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=20).map(np.array),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_trim_takes_what_it_is_told_from_both_ends(counts, first, second):
    total = counts.sum()
    n_below, n_above = total * min(first, 1 - second), total * min(second, 1 - first)
    kept = trim(counts.astype(np.float64), n_below, n_above)
    assert kept.sum() == pytest.approx(total - n_below - n_above, abs=1e-9)
    assert (kept >= -1e-12).all() and (kept <= counts + 1e-12).all()
    # What lies inside is whole: only the outermost kept bins may have lost something.
    inside = np.flatnonzero(kept > 1e-9)[1:-1]
    assert_allclose(kept[inside], counts[inside], rtol=1e-9)


def test_trim_by_hand():
    counts = np.array([3.0, 0, 4, 5])
    assert trim(counts, 0, 0).tolist() == [3, 0, 4, 5]
    assert trim(counts, 1, 2).tolist() == [2, 0, 4, 3]
    assert trim(counts, 4, 6).tolist() == [0, 0, 2, 0]


@examples(100)
@given(any_floats, st.data())
def test_linear_bins_agree_with_a_count_of_every_value(values, data):
    low, high = data.draw(
        st.tuples(st.floats(0, 5), st.floats(0, 5))
        .map(sorted)
        .filter(lambda bounds: bounds[1] - bounds[0] > 1e-3)
    )
    low, high = float(np.float32(low)), float(np.float32(high))
    times = data.draw(st.none() | st.just(np.arange(len(values), dtype=np.float64)))
    weights = np.ones(len(values)) if times is None else times
    n_low, table, n_high = bin_linear(values, low, high, 16, times)
    assert n_low == weights[values <= low].sum()
    assert n_high == weights[values >= high].sum()
    assert n_low + table.sum() + n_high == weights.sum()
    assert (table >= 0).all()
    # Rounding may put a value into the next bin: so compare cumulative counts.
    edges = np.linspace(low, high, 17)[1:-1]
    step = 1e-5 * (high + 1)
    inside = (values > low) & (values < high)
    for edge, count in zip(edges, table.cumsum(), strict=False):
        assert weights[inside & (values < edge - step)].sum() <= count
        assert count <= weights[inside & (values < edge + step)].sum()


def test_linear_bins_of_many_values_are_those_of_numpy():
    values = hard_values(200_000)
    n_low, table, n_high = bin_linear(values, 0.01, 1.5, 128)
    inside = values[(values > 0.01) & (values < 1.5)]
    assert_array_equal(table, np.histogram(inside, 128, (0.01, 1.5))[0])
    assert n_low == (values <= 0.01).sum() and n_high == (values >= 1.5).sum()


def test_merged_bins_keep_all_counts_and_narrow_ends():
    table = np.random.default_rng(0).integers(0, 9, 64).astype(np.float64)
    points, counts = merge_inner(3.0, table, 5.0)
    assert counts.sum() == 3 + table.sum() + 5
    assert (points[0], counts[0], points[-1], counts[-1]) == (0, 3, 1, 5)
    # Four narrow bins at each end, and seven that are as wide as eight.
    assert_array_equal(
        counts[[*range(1, 5), *range(-5, -1)]], [*table[:4], *table[-4:]]
    )
    assert_array_equal(counts[5:-5], [table[i : i + 8].sum() for i in range(4, 60, 8)])
    narrow = (np.arange(4) + 0.5) / 64
    expected = np.r_[0, narrow, np.arange(8, 64, 8) / 64, 1 - narrow[::-1], 1]
    assert_allclose(points, expected, rtol=1e-12)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(any_floats, min_size=1, max_size=4))
def test_a_growing_sample_keeps_few_values_as_they_are(pieces):
    sample = GrowingSample()
    for piece in pieces:
        sample.add(piece)
    values, counts, found = sample.summary(LEVELS)
    assert counts is None
    assert_array_equal(values, np.concatenate(pieces))
    assert found == quantiles(values, LEVELS)


@pytest.mark.slow
def test_a_growing_sample_counts_many_values(monkeypatch):
    monkeypatch.setattr(GrowingSample, "max_kept", 1000)
    values = hard_values(5000)
    sample, histogram = GrowingSample(), LogHistogram()
    for part in chunks(5000, 400):
        sample.add(values[part])
        is_counted = part.stop > 1000
        assert bool(sample.pieces) is not is_counted
        assert (sample.histogram is not None) is is_counted
    histogram.add(values)
    middles, counts, found = sample.summary((0.05, 0.95))
    assert_array_equal(middles, histogram.middles()[0])
    assert_array_equal(counts, histogram.middles()[1])
    assert found == histogram.quantiles((0.05, 0.95))
    assert len(middles) < 5000 == counts.sum()


def test_nothing_given_is_changed():
    values = hard_values(5000)
    before = values.copy()
    quantiles(values, LEVELS)
    bin_linear(values, 0.1, 1.0, 8)
    LogHistogram().add(values)
    counts = np.arange(5.0)
    trim(counts, 1, 1)
    assert_array_equal(values, before)
    assert_array_equal(counts, np.arange(5))


def test_the_middle_of_a_bin_is_half_way_between_its_edges():
    histogram = LogHistogram(bits=2)  # bins of an octave: 1, 1.25, 1.5, 1.75
    histogram.add(np.array([1.1, 1.3, 1.3, 3.9]))
    middles, counts = histogram.middles()
    assert_array_equal(middles, [1.125, 1.375, 3.75])
    assert_array_equal(counts, [1, 2, 1])
