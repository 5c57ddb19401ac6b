"""Soft labels, and rows with weights that stand for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["soft_labels", "weighted_copies"]

# A smaller share of a label is left out.
_LEAST_SHARE = 0.01


def soft_labels(
    codes: NDArray[np.int64],
    scores: NDArray[np.float64],
    suggested: NDArray[np.int64],
    proba: NDArray[np.floating] | None,
    n_classes: int,
) -> NDArray[np.float64]:
    """Return for each row the probability that each label is the true one.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.
    scores : ndarray of shape (n_samples,), dtype float64
        p, the probability that the given label is wrong.
    suggested : ndarray of shape (n_samples,), dtype int64
        Stands for all other labels if there is no ``proba``.
    proba : ndarray of shape (n_samples, n_classes) or None
        What is known of the labels of each row.
    n_classes : int

    Returns
    -------
    targets : ndarray of shape (n_samples, n_classes), dtype float64
        1 - p for the given label; p for the others, in proportion to ``proba``.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.cleaning._soft_labels import soft_labels
    >>> codes, scores = np.array([0, 2]), np.array([0.5, 0.0])
    >>> proba = np.array([[0.2, 0.6, 0.2], [0.1, 0.1, 0.8]])
    >>> soft_labels(codes, scores, codes, proba, 3).round(3).tolist()
    [[0.5, 0.375, 0.125], [0.0, 0.0, 1.0]]
    """
    rows = np.arange(len(codes))
    if proba is None:
        others = np.zeros((len(codes), n_classes))
        others[rows, suggested] = 1
    else:
        others = np.array(proba, dtype=np.float64)
        others[rows, codes] = 0
        total = others.sum(1, keepdims=True)
        # Where the given label has all probability, it keeps all weight.
        others = np.divide(others, total, out=np.zeros_like(others), where=total > 0)
        others[rows, codes] = total[:, 0] <= 0
    targets = scores[:, None] * others
    targets[rows, codes] += 1 - scores
    return targets


def weighted_copies(
    targets: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return rows, labels and weights that a model learns like soft labels.

    A loss that adds up over the rows is the same, since Σ t log P is the sum of
    cross-entropies with the weights t.

    Parameters
    ----------
    targets : ndarray of shape (n_samples, n_classes), dtype float64

    Returns
    -------
    rows, labels : ndarrays of shape (n_copies,), dtype int64
        A row is there once for each label with a share of 0.01 or more, in order.
    weights : ndarray of shape (n_copies,), dtype float64
        Those of a row add up to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.cleaning._soft_labels import weighted_copies
    >>> rows, labels, weights = weighted_copies(np.array([[0.7, 0.3], [0.0, 1.0]]))
    >>> rows.tolist(), labels.tolist(), weights.tolist()
    ([0, 0, 1], [0, 1, 1], [0.7, 0.3, 1.0])
    """
    # Of a hundred equal shares, none would be left.
    least = np.minimum(_LEAST_SHARE, targets.max(1, keepdims=True))
    kept = np.where(targets >= least, targets, 0)
    kept /= kept.sum(1, keepdims=True)
    rows, labels = np.nonzero(kept)
    return rows, labels, kept[rows, labels]
