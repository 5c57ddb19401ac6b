"""Break ties of scores caused by rounding or clipping."""

import numpy as np

__all__ = ["keep_order"]

# No subnormal numbers: some processors flush them to zero.
_LEAST = np.finfo(np.float64).tiny


def keep_order(scores, suspicion):
    """Break ties of scores by the values from which the scores were computed.

    Of rows with equal scores, those with a larger suspicion get the next larger
    floating-point numbers. A score changes in its last digits, stays in [0, 1] and on
    its side of 0.5, where labels are flagged.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,), dtype float64
        In [0, 1].
    suspicion : ndarray of shape (n_samples,)
        Any numbers, larger = more suspicious. Rows that are equal in both keep equal
        scores.

    Returns
    -------
    ordered : ndarray of shape (n_samples,), dtype float64

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.detection._order import keep_order
    >>> scores = keep_order(np.array([1.0, 1.0, 0.2, 1.0]), np.array([7, 9, 8, 7]))
    >>> np.argsort(-scores, kind="stable").tolist(), float(scores.max())
    ([1, 0, 3, 2], 1.0)
    """
    order = np.lexsort((suspicion, scores))
    ordered, by = scores[order], suspicion[order]
    is_new = (ordered[1:] > ordered[:-1]) | (by[1:] > by[:-1])
    group = np.concatenate([[0], np.cumsum(is_new)])
    values = ordered[np.concatenate([[True], is_new])]
    n_below = np.count_nonzero(values <= 0.5)
    values[:n_below] = _rising(values[:n_below], 0.5)
    values[n_below:] = _rising(values[n_below:], 1.0)
    kept = np.empty_like(scores)
    kept[order] = values[group]
    return kept


def _rising(values, most):
    """Make sorted values strictly increasing by at least one ulp, up to a bound."""
    if not len(values):
        return values
    values[1:] = np.maximum(values[1:], _LEAST)
    # Floats of one sign are ordered as the integers that share their bits.
    steps = np.arange(len(values))
    bits = np.maximum.accumulate(values.view(np.int64) - steps)
    bits = np.minimum(bits, np.float64(most).view(np.int64) - (len(values) - 1))
    return (bits + steps).view(np.float64)
