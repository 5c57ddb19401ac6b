"""Planted labels: on corrupted copies of rows, or in place of given labels."""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "copy_noise_rate",
    "corrupted_copies",
    "corrupted_labels",
    "planted_labels",
    "proportional_rows",
    "rank_in_class",
]

# Planting leaves at least so many rows of a class: with fewer it cannot be scored.
_MIN_LEFT = 2


def corrupted_copies(
    codes: NDArray[np.int64],
    n_classes: int,
    corruption_rate: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw ⌊γN⌋ rows without replacement, and another label for each.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.
    n_classes : int
    corruption_rate : float in [0, 1]
        γ, the share of rows that get a copy.
    rng : numpy.random.Generator

    Returns
    -------
    source : ndarray of shape (n_copies,), dtype int64
        The row that each copy is taken from, ascending.
    copy_codes : ndarray of shape (n_copies,), dtype int64
        Uniform over the labels other than the given one.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._corruption import corrupted_copies
    >>> codes = np.array([0, 1, 2, 0, 1, 2])
    >>> source, other = corrupted_copies(codes, 3, 0.5, np.random.default_rng(0))
    >>> len(source), bool((other != codes[source]).all())
    (3, True)
    """
    n_copies = _count(corruption_rate, len(codes))
    source = np.sort(rng.choice(len(codes), n_copies, replace=False))
    return source, _other_labels(codes[source], n_classes, rng)


def corrupted_labels(
    codes: NDArray[np.int64],
    n_classes: int,
    corruption_rate: float,
    n_rounds: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Give ⌊γN⌋ rows another label in each of several rounds, in turn.

    The rows are dealt out in a random order, so that the rounds corrupt different rows
    until all have had their turn, and no row is corrupted in every round while
    γ ≤ 1 - 1 / n_rounds.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.
    n_classes : int
    corruption_rate : float in (0, 0.5]
        γ, the share of rows in each round; at least one row.
    n_rounds : int >= 2
    rng : numpy.random.Generator

    Returns
    -------
    round_codes : ndarray of shape (n_rounds, n_samples), dtype int64
        The labels that each round trains on.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._corruption import corrupted_labels
    >>> codes = np.array([0, 1, 2, 0, 1, 2])
    >>> rounds = corrupted_labels(codes, 3, 1 / 3, 3, np.random.default_rng(0))
    >>> (rounds != codes).sum(0).tolist()  # each row once
    [1, 1, 1, 1, 1, 1]
    """
    n_samples = len(codes)
    n_rows = max(1, _count(corruption_rate, n_samples))
    order = rng.permutation(n_samples)
    round_codes = np.tile(codes, (n_rounds, 1))
    for number in range(n_rounds):
        rows = order[np.arange(number * n_rows, (number + 1) * n_rows) % n_samples]
        round_codes[number, rows] = _other_labels(codes[rows], n_classes, rng)
    return round_codes


def planted_labels(
    codes: NDArray[np.int64],
    flips: NDArray[np.float64],
    corruption_rate: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Give ⌊γN⌋ rows another label, as far as the small classes allow it.

    A class keeps half of its rows and at least two.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.
    flips : ndarray of shape (n_classes, n_classes), dtype float64
        How often a row of the class of a row of this table gets the label of a column,
        on any scale. The diagonal does not count; all else is positive.
    corruption_rate : float in (0, 0.5]
        γ, the share of rows; at least one row.
    rng : numpy.random.Generator

    Returns
    -------
    planted : ndarray of shape (n_samples,), dtype int64
        The labels, some of them replaced. None is if all classes have two rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._corruption import planted_labels
    >>> codes = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    >>> planted = planted_labels(codes, np.ones((2, 2)), 0.5, np.random.default_rng(0))
    >>> int((planted[:6] != 0).sum()), planted[6:].tolist()
    (3, [1, 1])
    """
    order = rng.permutation(len(codes))
    counts = np.bincount(codes, minlength=len(flips))
    spare = np.maximum(np.minimum(counts // 2, counts - _MIN_LEFT), 0)
    free = order[rank_in_class(codes[order]) < spare[codes[order]]]
    rows = free[: max(1, _count(corruption_rate, len(codes)))]
    odds = flips * (1 - np.eye(len(flips)))
    bounds = np.cumsum(odds, axis=1) / odds.sum(1, keepdims=True)
    draws = rng.random((len(rows), 1))
    planted = codes.copy()
    # By rounding, the sums may end below the largest draw.
    last = np.where(codes[rows] == len(flips) - 1, len(flips) - 2, len(flips) - 1)
    planted[rows] = np.minimum((draws >= bounds[codes[rows]]).sum(1), last)
    return planted


def rank_in_class(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many rows of the same class stand before each row.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64

    Returns
    -------
    rank : ndarray of shape (n_samples,), dtype int64

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._corruption import rank_in_class
    >>> rank_in_class(np.array([3, 1, 3, 3, 1])).tolist()
    [0, 0, 1, 2, 1]
    """
    by_class = np.argsort(codes, kind="stable")
    grouped = codes[by_class]
    starts = np.searchsorted(grouped, grouped, "left")
    rank = np.empty(len(codes), dtype=np.int64)
    rank[by_class] = np.arange(len(codes)) - starts
    return rank


def proportional_rows(
    codes: NDArray[np.int64], n_rows: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw rows with the classes in proportion, but at least two of each.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
    n_rows : int
        About so many; at most one less for each class, and one or two more for each
        that is rare.
    rng : numpy.random.Generator

    Returns
    -------
    rows : ndarray of shape (about n_rows,), dtype int64
        Row numbers, ascending.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._corruption import proportional_rows
    >>> codes = np.repeat([0, 1, 2], [60, 30, 3])
    >>> rows = proportional_rows(codes, 31, np.random.default_rng(0))
    >>> np.bincount(codes[rows]).tolist()
    [20, 10, 2]
    """
    taken = np.maximum(np.bincount(codes) * n_rows // len(codes), _MIN_LEFT)
    order = rng.permutation(len(codes))
    return np.sort(order[rank_in_class(codes[order]) < taken[codes[order]]])


def copy_noise_rate(noise_rate: float, n_classes: int) -> float:
    """Return η_γ = 1 − η / (C − 1), the share of copies whose label is wrong.

    A copy is right by chance if its row was labelled wrongly and the new label is the
    true one (Equation 3 of the supplement of [1]_). It is above η whenever
    η < 1 − 1/C.

    References
    ----------
    .. [1] S. Kim et al., "Learning Discriminative Dynamics with Label Corruption for
       Noisy Label Detection", CVPR 2024.
    """
    return 1 - noise_rate / (n_classes - 1)


def _count(share: float, n_samples: int) -> int:
    # The small term keeps rounding from lowering a product that is an integer.
    return int(share * n_samples + 1e-9)


def _other_labels(
    codes: NDArray[np.int64], n_classes: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw a label for each row, uniform over the others."""
    return (codes + rng.integers(1, n_classes, len(codes))) % n_classes
