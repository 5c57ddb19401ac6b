"""The share of labels against which a classifier decides, by two groups of margins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sknoisy._types import FloatArray, IntArray

__all__ = ["share_against", "two_group_threshold"]

# Odds of e^8: beyond them a margin says how long a network was trained, not more.
_MOST = 8.0
# Groups that part at odds of e for the label, or more, are both for their labels.
_LEAST = -1.0


def two_group_threshold(values: FloatArray) -> float:
    """Return the threshold that leaves the least variance within two groups.

    Otsu's method [1]_, without a histogram: of all cuts of the sorted values, the one
    with the largest variance between the groups.

    Parameters
    ----------
    values : ndarray of shape (n,)
        At least two different values.

    Returns
    -------
    threshold : float
        Midway between two neighbouring values.

    References
    ----------
    .. [1] N. Otsu, "A threshold selection method from gray-level histograms", IEEE
       Transactions on Systems, Man, and Cybernetics, 1979.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.mixture._two_groups import two_group_threshold
    >>> two_group_threshold(np.array([0.0, 1.0, 8.0, 9.0]))
    4.5
    """
    ordered = np.sort(values.astype(np.float64))
    n, sums = len(ordered), ordered.cumsum()
    below = np.arange(1, n)
    gap = (sums[-1] - sums[:-1]) / (n - below) - sums[:-1] / below
    best = int((below * (n - below) * gap**2).argmax())
    return float(ordered[best] + ordered[best + 1]) / 2


def share_against(proba: FloatArray, codes: IntArray) -> float | None:
    """Return the share of given labels against which a classifier decides.

    The margin of a row is the logarithm of the probability of the most probable other
    class over that of the label. Margins fall into two groups, and the share is that of
    the upper one. If its mean is not above 0, or the groups part far below it, these
    are the less certain of right labels, or of wrong ones that were memorised.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Predicted for the rows on which the classifier was trained.
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.

    Returns
    -------
    share : float in (0, 1) or None
        None if no group is against its labels.
    """
    margins = _margins(proba, codes)
    if np.ptp(margins) == 0:
        return None
    threshold = two_group_threshold(margins)
    is_upper = margins > threshold
    if threshold < _LEAST or margins[is_upper].mean() <= 0:
        return None
    return float(is_upper.mean())


def _margins(proba, codes):
    """Return log(max_k p_k / p_y), k ≠ y, between −8 and 8."""
    log_p = np.log(np.maximum(proba, 1e-30))
    rows = np.arange(len(codes))
    own = log_p[rows, codes]
    log_p[rows, codes] = -np.inf
    return np.clip(log_p.max(1) - own, -_MOST, _MOST)
