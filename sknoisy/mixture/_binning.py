"""Histograms that stand in for millions of values, and quantiles from them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "GrowingSample",
    "LogHistogram",
    "Quantile",
    "bin_linear",
    "chunks",
    "merge_inner",
    "quantiles",
    "trim",
]

Floats = NDArray[np.floating]
Counts = NDArray[np.float64]

# Values at a time: what is computed from them stays in the processor's cache.
_CHUNK_SIZE = 2**16
# Smaller values share a bin: so zero does not lie 120 octaves below the others.
_SMALLEST = 2.0**-33
# Bins of an octave, as a power of two, that find the neighbourhood of a quantile.
_COARSE = 10


class Quantile(NamedTuple):
    """A quantile, and how many values lie on either side of it."""

    value: float
    n_below: float
    n_above: float


def chunks(n_values: int, size: int = _CHUNK_SIZE) -> list[slice]:
    """Return slices that cover n values, each of them small enough for the cache."""
    return [slice(start, start + size) for start in range(0, n_values, size)]


class LogHistogram:
    """Counts of non-negative values on a log-spaced grid that needs no range.

    The leading bits of a float32 number are its bin: the exponent and ``bits`` binary
    digits. So bins are 2**-bits wide relative to their values, the same for all data,
    and histograms of chunks add up to the histogram of the whole.

    Parameters
    ----------
    bits : int in [0, 23]
        Each octave, from a power of two to the next, has ``2**bits`` bins.
    """

    def __init__(self, bits: int = 17) -> None:
        self.bits = bits
        self.first = 0  # code of the first bin
        self.counts = np.zeros(0, dtype=np.int64)

    def codes(self, values: Floats) -> NDArray[np.uint32]:
        """Return the number of the bin of each value."""
        pattern = values.astype(np.float32, copy=False).view(np.uint32)
        return pattern >> np.uint32(23 - self.bits)

    def add(self, values: Floats) -> None:
        """Count values, which must be finite and not negative."""
        ends = np.maximum([values.min(), values.max()], _SMALLEST)
        first, last = self.codes(ends).tolist()
        self._cover(first, last + 1)
        for part in chunks(len(values), 2**20):
            chunk = values[part]
            if ends[0] == _SMALLEST:
                chunk = np.maximum(chunk, _SMALLEST)
            codes = self.codes(chunk).astype(np.intp)
            codes -= self.first
            found = np.bincount(codes)
            self.counts[: len(found)] += found

    def middles(self) -> tuple[Floats, Counts]:
        """Return the middles and the counts of the bins that hold values."""
        places = np.flatnonzero(self.counts)
        lower, upper = self.edges(places)
        return (lower + upper) / 2, self.counts[places].astype(np.float64)

    def quantiles(self, levels: tuple[float, ...]) -> list[Quantile]:
        """Return quantiles, right to within a bin.

        The values of a bin count as evenly spread over it, unless it holds far more
        than its neighbours: then they are equal values, such as losses of zero, and
        all of them are the quantile.
        """
        ends = np.concatenate([[0], self.counts.cumsum()])
        n_values = int(ends[-1])
        beside = np.pad(self.counts, 1)
        found = []
        for level in levels:
            rank = level * (n_values - 1)
            neighbours = [np.floor(rank), np.ceil(rank)]
            left, right = np.searchsorted(ends, neighbours, side="right") - 1
            lower, upper = self.edges(np.array([left, right]))
            is_crowded = self.counts[left] > 4 * (beside[left] + beside[left + 2])
            if left == right and not is_crowded:
                n_below = rank + 0.5
                share = (n_below - ends[left]) / self.counts[left]
                value = lower[0] + share * (upper[0] - lower[0])
                found.append(Quantile(float(value), n_below, n_values - n_below))
                continue
            middles = (lower + upper) / 2
            value = float(middles[0] + (rank % 1) * (middles[1] - middles[0]))
            # Between two bins, one of them is below and the other one above.
            apart = int(left < right)
            n_above = n_values - ends[right + 1 - apart]
            found.append(Quantile(value, ends[left + apart], n_above))
        return found

    def edges(self, places: NDArray[np.integer]) -> tuple[Floats, Floats]:
        """Return lower and upper edges of bins, by their places in the counts."""
        shift = np.uint32(23 - self.bits)
        first, second = (
            ((places + self.first + step).astype(np.uint32) << shift).view(np.float32)
            for step in (0, 1)
        )
        return first.astype(np.float64), second.astype(np.float64)

    def _cover(self, start: int, stop: int) -> None:
        """Make room for bins start to stop."""
        if not len(self.counts):
            self.first = start
        grow_left = max(self.first - start, 0)
        grow_right = max(stop - self.first - len(self.counts), 0)
        if grow_left or grow_right:
            self.counts = np.pad(self.counts, (grow_left, grow_right))
            self.first -= grow_left


class GrowingSample:
    """Values given in pieces: stored while they are few, then only counted."""

    # Among a million values, those of a bin stand in for each other.
    max_kept = 2**20

    def __init__(self) -> None:
        self.pieces: list[Floats] = []
        self.histogram: LogHistogram | None = None

    def add(self, values: Floats) -> None:
        """Add values, which must be finite and not negative."""
        if self.histogram is None:
            self.pieces.append(values)
            if sum(map(len, self.pieces)) <= self.max_kept:
                return
            self.histogram = LogHistogram()
            values, self.pieces = np.concatenate(self.pieces), []
        self.histogram.add(values)

    def summary(
        self, levels: tuple[float, ...]
    ) -> tuple[Floats, Counts | None, list[Quantile]]:
        """Return values, how often each occurs (None for once), and quantiles."""
        if self.histogram is None:
            values = np.concatenate(self.pieces)
            return values, None, quantiles(values, levels)
        return *self.histogram.middles(), self.histogram.quantiles(levels)


def quantiles(values: Floats, levels: tuple[float, ...]) -> list[Quantile]:
    """Return exact quantiles with linear interpolation, as `numpy.quantile` does.

    A coarse histogram says near which values they lie, and only those are sorted,
    which takes a quarter of numpy's time on a million values.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        Finite and not negative.
    levels : tuple of float in [0, 1]

    Returns
    -------
    quantiles : list of Quantile
    """
    histogram = LogHistogram(_COARSE)
    histogram.add(values)
    ends = np.concatenate([[0], histogram.counts.cumsum()])
    ranks = np.asarray(levels) * (len(values) - 1)
    places = np.searchsorted(ends, [np.floor(ranks), np.ceil(ranks)], "right") - 1
    found = []
    for rank, first, near in zip(
        ranks, places[0], _values_in_bins(values, histogram, places), strict=True
    ):
        below = int(rank) - ends[first]
        low, high = near[below], near[min(below + 1, len(near) - 1)]
        value = float(low + (rank % 1) * (high - low))
        left, right = (np.searchsorted(near, value, side) for side in ("left", "right"))
        n_above = len(values) - ends[first] - right
        found.append(Quantile(value, ends[first] + left, n_above))
    return found


def _values_in_bins(
    values: Floats, histogram: LogHistogram, places: NDArray[np.integer]
) -> list[Floats]:
    """Return the sorted values from bin places[0, i] to places[1, i], for each i."""
    lower, upper = histogram.edges(places[0])[0], histogram.edges(places[1])[1]
    lower[places[0] == 0] = 0  # includes values too small for a bin
    found: list[list[Floats]] = [[] for _ in lower]
    for part in chunks(len(values)):
        chunk = values[part].astype(np.float32, copy=False)
        for parts, low, high in zip(found, lower, upper, strict=True):
            is_near = chunk >= np.float32(low)
            is_near &= chunk < np.float32(high)
            parts.append(values[part][is_near])
    return [np.sort(np.concatenate(parts)).astype(np.float64) for parts in found]


def trim(counts: Counts, n_below: float, n_above: float) -> Counts:
    """Remove some of the lowest and of the highest counts of a histogram."""
    cumulative = counts.cumsum()
    kept = np.clip(cumulative, n_below, cumulative[-1] - n_above)
    return np.diff(kept, prepend=n_below)


def bin_linear(
    values: Floats,
    low: float,
    high: float,
    n_bins: int,
    counts: Counts | None = None,
) -> tuple[float, Counts, float]:
    """Count values in equal bins between two bounds, and those on or beyond them.

    Clipped values pile up on a bound. A bin's middle would misplace them, where a
    logarithm is steep: hence their separate counts.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
    low, high : float
    n_bins : int
    counts : ndarray of shape (n_values,), default=None
        How often each value occurs; None for once.

    Returns
    -------
    n_low : float
        Number of values <= low.
    table : ndarray of shape (n_bins,), dtype float64
        Numbers of those between, by bin.
    n_high : float
        Number of values >= high.
    """
    table = np.zeros(n_bins)
    n_low = n_high = 0.0
    scale = values.dtype.type(n_bins / (high - low))
    offset = values.dtype.type(low)
    for part in chunks(len(values)):
        chunk = values[part]
        weights = None if counts is None else counts[part]
        n_low += _count(chunk <= low, weights)
        n_high += _count(chunk >= high, weights)
        place = chunk - offset
        place *= scale
        np.clip(place, 0, n_bins - 1, out=place)
        table += np.bincount(place.astype(np.intp), weights, minlength=n_bins)
    # What lies on or beyond a bound was counted in the outermost bins as well.
    table[0] -= n_low
    table[-1] -= n_high
    return n_low, table, n_high


def merge_inner(n_low: float, table: Counts, n_high: float) -> tuple[Floats, Counts]:
    """Return points and counts for what `bin_linear` returns, of few inner bins.

    Only near both ends are logarithms so steep that a bin must be narrow: there the
    first and the last sixteenth of the bins stay as they are, the others are merged by
    eight.

    Parameters
    ----------
    n_low, table, n_high
        As from `bin_linear`; the number of bins is a multiple of 64.

    Returns
    -------
    points : ndarray of shape (n_points,), dtype float64
        The low bound as 0, middles of bins on the way to 1, the high bound.
    counts : ndarray of shape (n_points,), dtype float64
    """
    n_bins = len(table)
    start, stop = n_bins // 16, n_bins - n_bins // 16
    edges = np.linspace(0, 1, n_bins + 1)
    edges = np.concatenate([edges[:start], edges[start:stop:8], edges[stop:]])
    inner = table[start:stop].reshape(-1, 8).sum(axis=1)
    middles = (edges[1:] + edges[:-1]) / 2
    points = np.concatenate([[0.0], middles, [1.0]])
    counts = [[n_low], table[:start], inner, table[stop:], [n_high]]
    return points, np.concatenate(counts)


def _count(mask: NDArray[np.bool_], weights: Counts | None) -> float:
    return float(np.count_nonzero(mask) if weights is None else weights[mask].sum())
