"""How good each label is, by the probabilities of its row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from sknoisy._confident_joint import blocks

__all__ = ["QUALITIES", "label_quality"]

QUALITIES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def label_quality(
    codes: NDArray[Any],
    proba: NDArray[Any],
    method: str,
    rows: NDArray[Any] | None = None,
) -> NDArray[Any]:
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


def _block_quality(
    block: NDArray[Any], given: NDArray[Any], method: str
) -> NDArray[Any]:
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
