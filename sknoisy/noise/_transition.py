"""Transition matrices of class-conditional label noise.

``T[a, b]`` is the probability that a row of true class ``a`` is given the label ``b``:
rows are true classes and sum to 1. Labels are codes in ``[0, n_classes)`` throughout.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sknoisy._arguments import check_counts, check_reals, is_one_of

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


def symmetric_matrix(
    n_classes: int,
    noise_rate: float,
    convention: Literal["exclude", "include"] = "exclude",
) -> Floats:
    """Return the matrix of symmetric noise, which has the same rate for all classes.

    Parameters
    ----------
    n_classes : int
        At least 2.
    noise_rate : float in [0, 1]
        Share of rows that are given a random label.
    convention : {"exclude", "include"}, default="exclude"
        Whether that random label comes from the other classes, so that the share of
        wrong labels is ``noise_rate``, or from all of them, so that it is
        ``noise_rate * (n_classes - 1) / n_classes``.

    Returns
    -------
    T : ndarray of shape (n_classes, n_classes), dtype float64
        Rows are true classes, columns given ones; each row sums to 1.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    See Also
    --------
    SymmetricNoiseInjector : Draw labels with this matrix.
    pair_flip_matrix : Noise that goes to one class only.

    Examples
    --------
    >>> from sknoisy.noise import symmetric_matrix
    >>> symmetric_matrix(3, 0.3)
    array([[0.7 , 0.15, 0.15],
           [0.15, 0.7 , 0.15],
           [0.15, 0.15, 0.7 ]])
    """
    _check_size_and_rate(n_classes, noise_rate)
    if not is_one_of(convention, ("exclude", "include")):
        raise ValueError(
            f"convention must be 'exclude' or 'include'; got {convention!r}."
        )
    n_targets = n_classes if convention == "include" else n_classes - 1
    T = np.full((n_classes, n_classes), noise_rate / n_targets)
    kept = 1 - noise_rate
    np.fill_diagonal(T, kept + T[0, 0] if convention == "include" else kept)
    return T


def pair_flip_matrix(n_classes: int, noise_rate: float) -> Floats:
    """Return the matrix that moves labels to the next class, the last to the first.

    The paired noise of [1]_, also called asymmetric noise: ``T[a, a] = 1 - noise_rate``
    and ``T[a, (a + 1) % n_classes] = noise_rate``.

    Parameters
    ----------
    n_classes : int
        At least 2.
    noise_rate : float in [0, 1]
        Share of wrong labels in every class. From 0.5 on, the wrong label is more
        likely than the right one.

    Returns
    -------
    T : ndarray of shape (n_classes, n_classes), dtype float64
        Rows are true classes, columns given ones; each row sums to 1.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    See Also
    --------
    TransitionNoiseInjector : Draw labels with this matrix.
    symmetric_matrix : Noise that goes to all classes equally.

    References
    ----------
    .. [1] B. Han, Q. Yao, X. Yu, G. Niu, M. Xu, W. Hu, I. Tsang, M. Sugiyama,
       "Co-teaching: Robust training of deep neural networks with extremely noisy
       labels", NeurIPS 2018. arXiv:1804.06872

    Examples
    --------
    >>> from sknoisy.noise import pair_flip_matrix
    >>> pair_flip_matrix(3, 0.25)
    array([[0.75, 0.25, 0.  ],
           [0.  , 0.75, 0.25],
           [0.25, 0.  , 0.75]])
    """
    _check_size_and_rate(n_classes, noise_rate)
    stay = np.eye(n_classes)
    return (1 - noise_rate) * stay + noise_rate * np.roll(stay, 1, axis=1)


def check_transition_matrix(T: ArrayLike) -> Floats:
    """Return T as a float64 array, or raise an error that says what is wrong.

    Raises
    ------
    ValueError
        If T is not square, has fewer than two classes, an entry that is negative or
        not finite, or a row that does not sum to 1 within 1e-8.
    """
    given = T
    try:
        T = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"transition_matrix must be a square array of numbers; got {given!r:.100}."
        ) from None
    if T.ndim != 2 or T.shape[0] != T.shape[1] or len(T) < 2:
        raise ValueError(
            "transition_matrix must be square, (n_classes, n_classes), with at least "
            f"two classes; got shape {T.shape}."
        )
    if not np.isfinite(T).all() or (T < 0).any():
        raise ValueError(
            "transition_matrix must hold probabilities; got entries from "
            f"{T.min():.4g} to {T.max():.4g}."
        )
    row_sums = T.sum(axis=1)
    wrong = np.abs(row_sums - 1) >= 1e-8
    if wrong.any():
        message = (
            "the rows of transition_matrix (the true classes) must sum to 1; row "
            f"{wrong.argmax()} sums to {row_sums[wrong.argmax()]:.9g}."
        )
        if np.allclose(T.sum(axis=0), 1, rtol=0, atol=1e-8):
            message += (
                " Its columns do, so it looks transposed, as in cleanlab's "
                "noise_matrix: pass transition_matrix.T."
            )
        raise ValueError(message)
    return T


def sample_labels(codes: Codes, T: Floats, rng: np.random.Generator) -> Codes:
    """Draw one label for each row from the row of T of its class.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
        True labels.
    T : ndarray of shape (n_classes, n_classes)
    rng : numpy.random.Generator
        Gives one uniform number for each row.

    Returns
    -------
    noisy_codes : ndarray of shape (n_samples,), dtype int64
    """
    cumulative = _cumulative(T)
    uniforms = rng.random(len(codes))
    noisy = np.empty_like(codes)
    for rows, steps in zip(rows_by_class(codes, len(T)), cumulative, strict=True):
        noisy[rows] = np.searchsorted(steps, uniforms[rows], side="right")
    return noisy


def inverse_cdf(weights: Floats, uniforms: Floats) -> Codes:
    """Turn a uniform number for each row into a class drawn by that row's weights.

    Parameters
    ----------
    weights : ndarray of shape (n_rows, n_classes)
        Non-negative; need not sum to 1. A class of weight 0 is never drawn.
    uniforms : ndarray of shape (n_rows,)
        In [0, 1).

    Returns
    -------
    codes : ndarray of shape (n_rows,), dtype int64
    """
    return (_cumulative(weights) <= uniforms[:, None]).sum(axis=1)


def empirical_transition_matrix(
    true_codes: ArrayLike, noisy_codes: ArrayLike, n_classes: int
) -> Floats:
    """Return the share of each given label among the rows of each true class.

    Parameters
    ----------
    true_codes, noisy_codes : array-like of shape (n_samples,), integers
        Labels as codes in ``[0, n_classes)``.
    n_classes : int
        Number of classes.

    Returns
    -------
    T : ndarray of shape (n_classes, n_classes), dtype float64
        Rows = true class, columns = given class; rows sum to 1. A class without rows
        gets the row of the identity: nothing shows that its labels change.

    Raises
    ------
    ValueError
        If the two differ in length, or a code is outside ``[0, n_classes)``.

    Examples
    --------
    >>> from sknoisy.noise import empirical_transition_matrix
    >>> empirical_transition_matrix([0, 0, 0, 0, 1], [0, 0, 0, 1, 1], n_classes=3)
    array([[0.75, 0.25, 0.  ],
           [0.  , 1.  , 0.  ],
           [0.  , 0.  , 1.  ]])
    """
    check_counts(n_classes=n_classes)
    true = check_codes(true_codes, n_classes, "true_codes")
    noisy = check_codes(noisy_codes, n_classes, "noisy_codes")
    if len(true) != len(noisy):
        raise ValueError(
            "true_codes and noisy_codes must have the same length; got "
            f"{len(true)} and {len(noisy)}."
        )
    pairs = np.bincount(true * n_classes + noisy, minlength=n_classes**2)
    counts = pairs.reshape(n_classes, n_classes)
    totals = counts.sum(axis=1, keepdims=True)
    return np.where(totals > 0, counts / np.maximum(totals, 1), np.eye(n_classes))


def check_codes(codes: ArrayLike, n_classes: int, name: str) -> Codes:
    """Return codes as int64, or raise an error.

    Raises
    ------
    ValueError
        If a code is not an integer in ``[0, n_classes)``, or if there is not one for
        each row.
    """
    codes = np.asarray(codes)
    if codes.ndim != 1 or codes.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be a 1-d array of integers; got shape {codes.shape}, dtype "
            f"{codes.dtype}. np.unique(y, return_inverse=True) gives codes."
        )
    if len(codes) and not 0 <= codes.min() <= codes.max() < n_classes:
        raise ValueError(
            f"{name} must lie in [0, {n_classes}); got {codes.min()} to {codes.max()}."
        )
    return codes.astype(np.int64, copy=False)


def rows_by_class(codes: Codes, n_classes: int) -> list[NDArray[np.intp]]:
    """Return the row numbers of every class, each in ascending order."""
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=n_classes))
    return np.split(order, ends[:-1])


def _cumulative(weights: Floats) -> Floats:
    """Return each row's cumulative distribution, which ends in exactly 1.

    Then a uniform number below 1 always finds a class, and never one of weight 0, not
    even when rounding leaves the plain sum just short of 1.
    """
    cumulative = np.cumsum(weights, axis=1, dtype=np.float64)
    cumulative /= cumulative[:, -1:]
    return cumulative


def _check_size_and_rate(n_classes: int, noise_rate: float) -> None:
    check_counts(2, n_classes=n_classes)
    check_reals(noise_rate=noise_rate)
    if not 0 <= noise_rate <= 1:
        raise ValueError(f"noise_rate must be in [0, 1]; got {noise_rate}.")
