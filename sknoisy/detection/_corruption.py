"""Corrupted copies: rows whose label is known to be wrong more often than not."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["copy_noise_rate", "corrupted_copies"]


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
    >>> from sknoisy.detection._corruption import corrupted_copies
    >>> codes = np.array([0, 1, 2, 0, 1, 2])
    >>> source, other = corrupted_copies(codes, 3, 0.5, np.random.default_rng(0))
    >>> len(source), bool((other != codes[source]).all())
    (3, True)
    """
    # The small term keeps γN that is a whole number from falling below it.
    n_copies = int(corruption_rate * len(codes) + 1e-9)
    source = np.sort(rng.choice(len(codes), n_copies, replace=False))
    shift = rng.integers(1, n_classes, n_copies)
    return source, (codes[source] + shift) % n_classes


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
