"""A race of settings of one classifier, judged by held-out given labels alone.

Each setting is fitted once, on one part of the rows, and predicts the others. What it
is judged by needs no true label: how well the labels that these rows were given are
told from all others, which are planted in their place. Few rows learn, since a race
should cost little, and most networks that learnt from few noisy labels have nearly the
same accuracy on noisy labels; the order of their probabilities tells more.
"""

import numpy as np
from numpy.typing import NDArray

from sknoisy._planting._corruption import rank_in_class

__all__ = ["deal_parts", "places", "winner"]

# Standard errors by which a candidate must lead the first, which is the default.
_CLEAR = 2.0


def deal_parts(
    codes: NDArray[np.int64], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Deal out rows into one part to learn and one to judge by.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
    share : float in (0, 1)
        Of the first part, in each class.
    rng : numpy.random.Generator

    Returns
    -------
    learnt, held_out : ndarrays, dtype int64
        Row numbers, the first ascending, the second in random order. A class of two or
        more rows is in both; a single row is learnt.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._settings_race import deal_parts
    >>> codes = np.array([0, 0, 0, 0, 1, 1, 2])
    >>> learnt, held_out = deal_parts(codes, 0.25, np.random.default_rng(0))
    >>> codes[learnt].tolist(), sorted(codes[held_out].tolist())
    ([0, 1, 2], [0, 0, 0, 1])
    """
    counts = np.bincount(codes)
    n_learnt = np.clip(np.round(counts * share), 1, np.maximum(counts - 1, 1))
    order = rng.permutation(len(codes))
    is_learnt = rank_in_class(codes[order]) < n_learnt[codes[order]]
    return np.sort(order[is_learnt]), order[~is_learnt]


def places(
    proba: NDArray[np.float32],
    codes: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return where the probability of each given label stands among those of others.

    Parameters
    ----------
    proba : ndarray of shape (n_rows, n_classes)
        Predicted for rows that were not learnt; there are two or more classes.
    codes : ndarray of shape (n_rows,), dtype int64
        Their given labels.
    weights : ndarray of shape (n_rows,), default=None
        How much each row counts among the others.

    Returns
    -------
    places : ndarray of shape (n_rows,), dtype float64
        Share of smaller ones, equal ones by half, among the probabilities of all
        labels that a row, this or another, was not given. The mean is the AUROC of
        given labels against all others; 0.5 for guesses.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._settings_race import places
    >>> proba = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    >>> places(proba, np.array([0, 1, 0])).round(2).tolist()
    [1.0, 0.67, 0.33]
    """
    n_rows, n_classes = proba.shape
    index = np.arange(n_rows)
    is_other = np.ones((n_rows, n_classes), dtype=bool)
    is_other[index, codes] = False
    others, given = proba[is_other], proba[index, codes]
    each = np.ones(n_rows) if weights is None else weights
    each = np.repeat(each, n_classes - 1)
    order = np.argsort(others)
    total = np.concatenate([[0.0], np.cumsum(each[order])])
    ends = [np.searchsorted(others[order], given, side) for side in ("left", "right")]
    return (total[ends[0]] + total[ends[1]]) / (2 * total[-1])


def winner(
    values: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> int:
    """Return the number of the best candidate, or 0 if it hardly leads the first.

    Parameters
    ----------
    values : ndarray of shape (n_candidates, n_rows)
        Of each row; the best candidate has the largest mean. One of NaN did not finish.
    weights : ndarray of shape (n_rows,), default=None

    Returns
    -------
    best : int
        One that leads the first by two standard errors or less does not count.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._settings_race import winner
    >>> first, better = np.zeros(20), np.arange(20) / 20
    >>> winner(np.stack([first, better])), winner(np.stack([first, better - 0.4]))
    (1, 0)
    """
    means = np.average(values, axis=1, weights=weights)
    best = int(np.nanargmax(means))
    lead = values[best] - values[0]
    share = np.ones(len(lead)) if weights is None else weights
    share = share / share.sum()
    error = np.sqrt((share**2 * (lead - means[best] + means[0]) ** 2).sum())
    # False if the first did not finish.
    return 0 if means[best] - means[0] <= _CLEAR * error else best
