"""`find_label_issues`: labels and probabilities of any kind, checked, then scored."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sknoisy._arguments import check_reals, is_one_of
from sknoisy._confident_joint import blocks
from sknoisy._labels import label_array
from sknoisy._rows import plain_rows
from sknoisy.detection._confident._pruning import FILTERS, PRUNING, LabelIssues
from sknoisy.detection._confident._quality import QUALITIES, label_quality

__all__ = ["check_pred_probs", "find_label_issues"]

# How far a row's probabilities may add up to something other than 1.
_SUM_TOLERANCE = 0.01


def find_label_issues(
    labels: ArrayLike,
    pred_probs: ArrayLike,
    *,
    return_indices_ranked_by: str | None = None,
    filter_by: str = "prune_by_noise_rate",
    frac_noise: float = 1.0,
    min_examples_per_class: int = 1,
    confident_joint: ArrayLike | None = None,
) -> NDArray[Any]:
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
        Which labels are flagged. All but the last two never flag a label that is
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
        True where the label is flagged. Or, if ranked, ndarray of shape
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


def check_pred_probs(pred_probs: ArrayLike) -> NDArray[Any]:
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


def _refuse(block: NDArray[Any], sums: NDArray[Any], start: int) -> None:
    """Say what is wrong with the first bad row."""
    is_finite: NDArray[Any] = np.isfinite(block).all(axis=1)
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


def _check_labels(labels: ArrayLike, proba: NDArray[Any]) -> NDArray[Any]:
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
    if frac_noise != 1 and filter_by not in PRUNING:
        raise ValueError(
            f"frac_noise has no effect with filter_by={filter_by!r}; it is for "
            f"{', '.join(PRUNING)}."
        )


def _check_joint(
    confident_joint: ArrayLike | None, n_classes: int, filter_by: str
) -> NDArray[Any] | None:
    if confident_joint is None:
        return None
    if filter_by not in PRUNING:
        raise ValueError(
            f"confident_joint has no effect with filter_by={filter_by!r}; it is for "
            f"{', '.join(PRUNING)}."
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
