"""Confident learning on arrays: which labels are wrong, and how good each one is.

Nothing here makes a second array of the size of the probabilities; they are read in
blocks of rows, and class by class in blocks of columns.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from sknoisy._arguments import check_reals, is_one_of
from sknoisy._labels import label_array
from sknoisy._rows import plain_rows
from sknoisy.detection._confident._joint import (
    TOLERANCE,
    blocks,
    calibrated_counts,
    class_thresholds,
    confident_guesses,
)

__all__ = [
    "FILTERS",
    "QUALITIES",
    "LabelIssues",
    "check_pred_probs",
    "find_label_issues",
    "label_quality",
]

_PRUNING = ("prune_by_noise_rate", "prune_by_class", "both")
FILTERS = (
    *_PRUNING,
    "confident_learning",
    "predicted_neq_given",
    "low_normalized_margin",
    "low_self_confidence",
)
QUALITIES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")

# How far a row's probabilities may add up to something other than 1.
_SUM_TOLERANCE = 0.01
# Bytes of the columns that are held at a time, of the rows of one class.
_COLUMN_BYTES = 2**21
# One row in so many shows where the largest values begin.
_SAMPLE_STEP = 16


def find_label_issues(
    labels: ArrayLike,
    pred_probs: ArrayLike,
    *,
    return_indices_ranked_by: str | None = None,
    filter_by: str = "prune_by_noise_rate",
    frac_noise: float = 1.0,
    min_examples_per_class: int = 1,
    confident_joint: ArrayLike | None = None,
) -> NDArray:
    """Find wrong labels by confident learning, from class probabilities.

    The arguments and the answer mean what they mean to cleanlab's function of that
    name; the method is that of [1]_. No torch is loaded.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        The given labels, whole numbers from 0 to ``n_classes - 1``. A class may have no
        rows. `ConfidentLearningDetector` takes labels of any kind.
    pred_probs : array-like of shape (n_samples, n_classes)
        Probabilities of the classes, predicted by a classifier that was not fitted on
        the row, as those of ``cross_val_predict(..., method="predict_proba")``. It is
        faster where rows are contiguous in memory; float32 suffices.
    return_indices_ranked_by : {"self_confidence", "normalized_margin", \
            "confidence_weighted_entropy"} or None, default=None
        None returns a mask. A quality score returns the numbers of the flagged rows,
        the worst label first.
    filter_by : str, default="prune_by_noise_rate"
        Which labels are judged wrong. All but the last two never flag a label that is
        the most probable one, within 1e-6.

        "prune_by_noise_rate"
            For each pair of a given and another class, as many rows as the confident
            joint says, those with the largest difference of the two probabilities.
        "prune_by_class"
            Of each class as many rows as the joint says, those with the least
            probability of the given label.
        "both"
            What both of these flag.
        "confident_learning"
            Rows that confidently belong to another class.
        "predicted_neq_given"
            Rows whose most probable class is another one.
        "low_normalized_margin", "low_self_confidence"
            As many rows as "confident_learning", those with the least quality.
    frac_noise : float in [0, 1], default=1.0
        Share of what the joint says that is flagged; for the three rules that count by
        the joint.
    min_examples_per_class : int >= 0, default=1
        Least number of rows of a class to be left, for these three rules; none of a
        smaller class are flagged.
    confident_joint : array-like of shape (n_classes, n_classes), default=None
        Counts to flag by, rows are given labels, columns true ones; for these three
        rules. None estimates it.

    Returns
    -------
    label_issues : ndarray of shape (n_samples,), dtype bool
        True where the label is judged wrong. Or, if ranked, ndarray of shape
        (n_issues,), dtype int64.

    Raises
    ------
    ValueError
        If an argument is not as described, or has no effect with this ``filter_by``.

    See Also
    --------
    ConfidentLearningDetector : Gets the probabilities from any classifier, too.

    Notes
    -----
    Where rows have equal probabilities and not all can be flagged, the first ones are;
    cleanlab leaves this to its sort. Two more differences: rows of ``pred_probs`` must
    add up to 1, within 0.01, and what has no effect is an error, not a warning.

    References
    ----------
    .. [1] C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating
       Uncertainty in Dataset Labels", JAIR 70, 2021. arXiv:1911.00068

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy import find_label_issues
    >>> labels = [0, 0, 0, 1, 1, 1]
    >>> p = np.array([0.9, 0.8, 0.1, 0.2, 0.1, 0.7])  # of class 0
    >>> find_label_issues(labels, np.column_stack([p, 1 - p]))
    array([False, False,  True, False, False,  True])
    >>> find_label_issues(
    ...     labels,
    ...     np.column_stack([p, 1 - p]),
    ...     return_indices_ranked_by="self_confidence",
    ... )
    array([2, 5])
    """
    proba = check_pred_probs(pred_probs)
    codes = _check_labels(labels, proba)
    _check_options(return_indices_ranked_by, filter_by, frac_noise)
    if not isinstance(min_examples_per_class, int | np.integer) or (
        min_examples_per_class < 0
    ):
        raise ValueError(
            "min_examples_per_class must be a whole number, 0 or more; got "
            f"{min_examples_per_class!r}."
        )
    joint = _check_joint(confident_joint, proba.shape[1], filter_by)
    issues = LabelIssues(codes, proba, joint)
    mask = issues.flag(filter_by, frac_noise, min_examples_per_class)
    if return_indices_ranked_by is None:
        return mask
    rows = np.flatnonzero(mask)
    quality = label_quality(codes, proba, return_indices_ranked_by, rows)
    return rows[np.argsort(quality, kind="stable")]


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
        self, codes: NDArray, proba: NDArray, joint: NDArray | None = None
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
    ) -> NDArray:
        """Return which labels are judged wrong, as `find_label_issues` describes.

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
        if filter_by in _PRUNING:
            to_prune = _counts_to_prune(self.joint, frac_noise, min_examples)
            return self._prune(filter_by, to_prune, min_examples) & ~self._is_best
        mask = self._is_other & ~self._is_best
        if filter_by == "confident_learning":
            return mask
        quality = label_quality(self._codes, self._proba, filter_by[len("low_") :])
        np.negative(quality, out=quality)
        return _largest(quality, int(mask.sum()))

    def _prune(self, filter_by: str, to_prune: NDArray, min_examples: int) -> NDArray:
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
        self, rows: NDArray, given: int, numbers: NDArray
    ) -> Iterator[tuple[int, NDArray]]:
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


def label_quality(
    codes: NDArray, proba: NDArray, method: str, rows: NDArray | None = None
) -> NDArray:
    """Return how good each label is, by the probabilities of its row.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int
        The given labels, in [0, n_classes).
    proba : ndarray of shape (n_samples, n_classes)
    method : {"self_confidence", "normalized_margin", "confidence_weighted_entropy"}
        The probability p of the label; its distance to the largest other one, moved to
        [0, 1]; or log(1 + e) / e of the entropy e over p, as a share of the largest
        entropy. The last is 0 for a row without any doubt, as cleanlab has it.
    rows : ndarray of shape (n_rows,), dtype int64, default=None
        Row numbers; None takes all.

    Returns
    -------
    quality : ndarray of shape (n_rows,), dtype float
        Larger = better.
    """
    n_rows = len(codes) if rows is None else len(rows)
    dtype = proba.dtype
    if method == "confidence_weighted_entropy":
        dtype = np.result_type(dtype, np.float64)
    quality = np.empty(n_rows, dtype=dtype)
    for part in blocks(n_rows, proba.shape[1]):
        taken = part if rows is None else rows[part]
        given = codes[taken].astype(np.intp)
        quality[part] = _block_quality(proba[taken], given, method)
    return quality


def check_pred_probs(pred_probs: ArrayLike) -> NDArray:
    """Return class probabilities as an array of floats, as they are where they can be.

    Raises
    ------
    ValueError
        If they are no table of two columns or more, or if a row has a negative, NaN or
        infinite value or does not add up to 1.
    TypeError
        If they are no table at all, or a tensor that is sparse or requires grad.
    """
    proba = np.asarray(plain_rows(pred_probs, "pred_probs"))
    if proba.dtype.kind in "cmMSV":
        raise ValueError(f"pred_probs must be real numbers; got dtype {proba.dtype}.")
    if proba.ndim != 2 or proba.shape[1] < 2 or not len(proba):
        raise ValueError(
            "pred_probs must have a row for each label and a column for each of two "
            f"classes or more; got shape {proba.shape}."
        )
    if proba.dtype.kind != "f":
        proba = proba.astype(np.float64)
    ones = np.ones(proba.shape[1], dtype=proba.dtype)
    for part in blocks(*proba.shape):
        block = proba[part]
        sums = block @ ones
        # So written that NaN is refused, too.
        if not (abs(sums - 1).max() <= _SUM_TOLERANCE and block.min() >= 0):
            _refuse(block, sums, part.start)
    return proba


def _refuse(block: NDArray, sums: NDArray, start: int) -> None:
    """Say what is wrong with the first bad row."""
    is_finite: NDArray = np.isfinite(block).all(axis=1)
    is_negative = block.min(axis=1) < 0
    is_off = np.abs(sums - 1) > _SUM_TOLERANCE
    i = int((~is_finite | is_negative | is_off).argmax())
    if not is_finite[i]:
        raise ValueError(f"pred_probs has NaN or infinite values in row {start + i}.")
    if is_negative[i]:
        raise ValueError(
            f"pred_probs must not be negative; row {start + i} has "
            f"{block[i].min():.3g}. Pass probabilities, not logits."
        )
    raise ValueError(
        f"rows of pred_probs must sum to 1; row {start + i} sums to {sums[i]:.3g}. "
        "Divide each row by its sum if these are scores of exclusive classes."
    )


def _check_labels(labels: ArrayLike, proba: NDArray) -> NDArray:
    codes = label_array(labels, "labels")
    if codes.shape != proba.shape[:1]:
        raise ValueError(
            "labels must have one entry for each row of pred_probs, shape "
            f"({len(proba)},); got shape {codes.shape}."
        )
    if codes.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be integers, got dtype {codes.dtype}. For labels of other "
            "kinds: ConfidentLearningDetector().fit(None, labels, pred_probs=...)."
        )
    highest = proba.shape[1] - 1
    if codes.min() < 0 or codes.max() > highest:
        outside = codes.min() if codes.min() < 0 else codes.max()
        raise ValueError(
            f"labels must be in 0, ..., {highest}, as pred_probs has {highest + 1} "
            f"columns; got {outside}."
        )
    return codes


def _check_options(ranked_by: str | None, filter_by: str, frac_noise: float) -> None:
    if ranked_by is not None and not is_one_of(ranked_by, QUALITIES):
        raise ValueError(
            f"return_indices_ranked_by must be None or one of {', '.join(QUALITIES)}; "
            f"got {ranked_by!r}."
        )
    if not is_one_of(filter_by, FILTERS):
        raise ValueError(
            f"filter_by must be one of {', '.join(FILTERS)}; got {filter_by!r}."
        )
    check_reals(frac_noise=frac_noise)
    if not 0 <= frac_noise <= 1:
        raise ValueError(f"frac_noise must be in [0, 1]; got {frac_noise!r}.")
    if frac_noise != 1 and filter_by not in _PRUNING:
        raise ValueError(
            f"frac_noise has no effect with filter_by={filter_by!r}; it is for "
            f"{', '.join(_PRUNING)}."
        )


def _check_joint(
    confident_joint: ArrayLike | None, n_classes: int, filter_by: str
) -> NDArray | None:
    if confident_joint is None:
        return None
    if filter_by not in _PRUNING:
        raise ValueError(
            f"confident_joint has no effect with filter_by={filter_by!r}; it is for "
            f"{', '.join(_PRUNING)}."
        )
    joint = np.asarray(confident_joint)
    if joint.dtype.kind not in "biuf":
        raise TypeError(f"confident_joint must be numbers; got {confident_joint!r}.")
    if joint.shape != (n_classes, n_classes) or not (joint >= 0).all():
        raise ValueError(
            f"confident_joint must be counts, 0 or more, of shape ({n_classes}, "
            f"{n_classes}); got shape {joint.shape}, least value {joint.min()}."
        )
    return joint


def _is_best(block: NDArray, given: NDArray, best: NDArray) -> NDArray:
    """Whether the label is the most probable class, or all but is."""
    rows = np.arange(len(block))
    raised, largest = block[rows, given] + TOLERANCE, block[rows, best]
    # As argmax, which takes the first of equals.
    return (raised > largest) | ((raised == largest) & (given <= best))


def _counts_to_prune(joint: NDArray, frac_noise: float, min_examples: int) -> NDArray:
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
    columns: Iterator[tuple[int, NDArray]], given: NDArray, numbers: NDArray
) -> NDArray:
    """Flag, for each other class, the rows that are nearest to it."""
    flagged = np.zeros(len(given), dtype=bool)
    for j, column in columns:
        flagged |= _largest(column - given, numbers[j])
    return flagged


def _largest(values: NDArray, number: int) -> NDArray:
    """Return a mask of the largest values; of equals the first."""
    if number <= 0 or number >= len(values):
        return np.full(len(values), number > 0)
    least = _kth_largest(values, number)
    mask = values >= least
    excess = np.count_nonzero(mask) - number
    if excess:
        mask[np.flatnonzero(values == least)[-excess:]] = False
    return mask


def _kth_largest(values: NDArray, number: int) -> float:
    """Return the value that so many reach."""
    # A sample tells where the largest twice as many begin; they are fewer to search.
    sample = values[::_SAMPLE_STEP].copy()
    position = len(sample) - 1 - 2 * number // _SAMPLE_STEP
    if position > 0:
        sample.partition(position)
        upper = values[values >= sample[position]]
        values = upper if len(upper) >= number else values
    return np.partition(values, len(values) - number)[len(values) - number]


def _block_quality(block: NDArray, given: NDArray, method: str) -> NDArray:
    rows = np.arange(len(block))
    own = block[rows, given]
    if method == "self_confidence":
        return own
    if method == "normalized_margin":
        others = block.copy()
        others[rows, given] = -np.inf
        return (own - others.max(1) + 1) / 2
    entropy = -xlogy(block, block).sum(1) / np.log(block.shape[1])
    doubt = entropy / np.maximum(own, 1e-6)
    return np.log(1 + doubt) / np.maximum(doubt, 1e-6)
