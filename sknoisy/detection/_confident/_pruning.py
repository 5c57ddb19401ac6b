"""Which labels the confident joint prunes, and what other rules flag.

Nothing here makes a second array of the size of the probabilities; they are read in
blocks of rows, and class by class in blocks of columns.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknoisy._confident_joint import (
    TOLERANCE,
    blocks,
    calibrated_counts,
    class_thresholds,
    confident_guesses,
)
from sknoisy.detection._confident._quality import label_quality

__all__ = ["FILTERS", "PRUNING", "LabelIssues"]

PRUNING = ("prune_by_noise_rate", "prune_by_class", "both")
FILTERS = (
    *PRUNING,
    "confident_learning",
    "predicted_neq_given",
    "low_normalized_margin",
    "low_self_confidence",
)

# Bytes of the columns that are held at a time, of the rows of one class.
_COLUMN_BYTES = 2**21
# One row in so many shows where the largest values begin.
_SAMPLE_STEP = 16


class LabelIssues:
    """The confident joint of labels and probabilities, and what it says of the rows.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int
        The given labels, in [0, n_classes).
    proba : ndarray of shape (n_samples, n_classes)
        As `check_pred_probs` returns them.
    joint : ndarray of shape (n_classes, n_classes), default=None
        Counts to prune by; None takes the estimated ones.

    Attributes
    ----------
    thresholds : ndarray of shape (n_classes,)
        Probabilities from which on a row confidently belongs to a class.
    counts : ndarray of shape (n_classes, n_classes), dtype int64
        Given against confident labels; the diagonal is at least 1.
    joint : ndarray of shape (n_classes, n_classes), dtype int64
        The counts, scaled to the number of rows.
    """

    def __init__(
        self,
        codes: NDArray[Any],
        proba: NDArray[Any],
        joint: NDArray[Any] | None = None,
    ) -> None:
        n_classes = proba.shape[1]
        # A byte a row, where that is enough: the codes are searched class by class.
        self._codes = codes.astype(np.min_scalar_type(n_classes - 1))
        self._proba = proba
        self.thresholds = class_thresholds(self._codes, proba)
        self._count()
        class_counts = np.bincount(codes, minlength=n_classes)
        own = calibrated_counts(self.counts, class_counts)
        self.joint = own if joint is None else joint

    def _count(self) -> None:
        """Set the table of confident labels, and two facts of each row."""
        n_samples, n_classes = self._proba.shape
        cells = np.zeros(n_classes**2, dtype=np.int64)
        # The label is the most probable one; another one is confidently predicted.
        self._is_best = np.empty(n_samples, dtype=bool)
        self._is_other = np.empty(n_samples, dtype=bool)
        for part in blocks(n_samples, n_classes):
            block, given = self._proba[part], self._codes[part].astype(np.intp)
            best = block.argmax(1)
            guesses = confident_guesses(block, best, self.thresholds)
            is_sure = guesses >= 0
            self._is_other[part] = is_sure & (guesses != given)
            self._is_best[part] = _is_best(block, given, best)
            found = (given * n_classes + guesses)[is_sure]
            cells += np.bincount(found, minlength=n_classes**2)
        self.counts = cells.reshape(n_classes, n_classes)
        np.fill_diagonal(self.counts, np.maximum(self.counts.diagonal(), 1))

    def flag(
        self, filter_by: str, frac_noise: float = 1.0, min_examples: int = 1
    ) -> NDArray[Any]:
        """Return which labels are flagged, as `find_label_issues` describes.

        Parameters
        ----------
        filter_by : str
        frac_noise : float, default=1.0
        min_examples : int, default=1

        Returns
        -------
        mask : ndarray of shape (n_samples,), dtype bool
        """
        if filter_by == "predicted_neq_given":
            return ~self._is_best
        if filter_by in PRUNING:
            to_prune = _counts_to_prune(self.joint, frac_noise, min_examples)
            return self._prune(filter_by, to_prune, min_examples) & ~self._is_best
        mask = self._is_other & ~self._is_best
        if filter_by == "confident_learning":
            return mask
        quality = label_quality(self._codes, self._proba, filter_by[len("low_") :])
        np.negative(quality, out=quality)
        return _largest(quality, int(mask.sum()))

    def _prune(
        self, filter_by: str, to_prune: NDArray[Any], min_examples: int
    ) -> NDArray[Any]:
        mask = np.zeros(len(self._codes), dtype=bool)
        for k, numbers in enumerate(to_prune):
            rows = np.flatnonzero(self._codes == k)
            if len(rows) <= max(min_examples, 1):
                continue
            flagged = np.ones(len(rows), dtype=bool)
            given = self._proba[rows, k]
            if filter_by != "prune_by_noise_rate":
                flagged &= _largest(-given, len(rows) - numbers[k])
            if filter_by != "prune_by_class":
                columns = self._columns(rows, k, numbers)
                flagged &= _prune_pairs(columns, given, numbers)
            mask[rows] = flagged
        return mask

    def _columns(
        self, rows: NDArray[Any], given: int, numbers: NDArray[Any]
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the other classes that rows are to be pruned for, and their columns."""
        width = max(1, _COLUMN_BYTES // (len(rows) * self._proba.itemsize))
        wanted = np.flatnonzero(numbers > 0)
        wanted = wanted[wanted != given]
        for start in range(0, self._proba.shape[1], width):
            inside = wanted[(wanted >= start) & (wanted < start + width)]
            if len(inside):
                first, last = inside[0], inside[-1]
                block = self._proba[rows, first : last + 1]
                yield from ((j, block[:, j - first]) for j in inside)


def _is_best(
    block: NDArray[Any], given: NDArray[Any], best: NDArray[Any]
) -> NDArray[Any]:
    """Whether the label is the most probable class, or all but is."""
    rows = np.arange(len(block))
    raised, largest = block[rows, given] + TOLERANCE, block[rows, best]
    # As argmax, which takes the first of equals.
    return (raised > largest) | ((raised == largest) & (given <= best))


def _counts_to_prune(
    joint: NDArray[Any], frac_noise: float, min_examples: int
) -> NDArray[Any]:
    """Return the numbers of rows to prune, by given (rows) and true class (columns).

    The diagonal is what stays. It is raised to ``min_examples`` where it is less, at
    the cost of the others in its row.
    """
    diagonal = joint.diagonal()
    stays = np.maximum(diagonal, min_examples)
    n_others = np.maximum(np.count_nonzero(joint, axis=1) - 1.0, 1.0)
    pruned = np.maximum(joint - ((stays - diagonal) / n_others)[:, None], 0)
    np.fill_diagonal(pruned, 0)
    fewer = pruned * frac_noise
    np.fill_diagonal(fewer, stays + (pruned - fewer).sum(1))
    return fewer.astype(np.int64)


def _prune_pairs(
    columns: Iterator[tuple[int, NDArray[Any]]],
    given: NDArray[Any],
    numbers: NDArray[Any],
) -> NDArray[Any]:
    """Flag, for each other class, the rows that are nearest to it."""
    flagged = np.zeros(len(given), dtype=bool)
    for j, column in columns:
        flagged |= _largest(column - given, numbers[j])
    return flagged


def _largest(values: NDArray[Any], number: int) -> NDArray[Any]:
    """Return a mask of the largest values; of equals the first."""
    if number <= 0 or number >= len(values):
        return np.full(len(values), number > 0)
    least = _kth_largest(values, number)
    mask = values >= least
    excess = np.count_nonzero(mask) - number
    if excess:
        mask[np.flatnonzero(values == least)[-excess:]] = False
    return mask


def _kth_largest(values: NDArray[Any], number: int) -> float:
    """Return the value that so many reach."""
    # A sample tells where the largest twice as many begin; they are fewer to search.
    sample = values[::_SAMPLE_STEP].copy()
    position = len(sample) - 1 - 2 * number // _SAMPLE_STEP
    if position > 0:
        sample.partition(position)
        upper = values[values >= sample[position]]
        values = upper if len(upper) >= number else values
    return np.partition(values, len(values) - number)[len(values) - number]
