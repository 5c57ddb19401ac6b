"""P(wrong) from class probabilities, where the classes have different noise rates."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["guessed_transition", "wrong_given_class"]

# Rows that stand for a class: so many of all, at most half of the class, at least five.
_SHARE, _SHARE_OF_CLASS, _LEAST = 0.02, 0.5, 5
# How much is believed of differences between classes, and between flips of a class.
# Where classes overlap, no row is sure, and both are overestimated.
_BELIEF = 0.5
# Probability of a class that is never quite ruled out.
_FLOOR = 1e-3


def guessed_transition(
    proba: NDArray[np.floating], codes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Guess how often each class gets each label.

    The rows with the largest probability of a class have it almost certainly; their
    mean probabilities are the rates at which its rows get each label [1]_. Differences
    between the noise rates of the classes are then halved, and half of each class's
    wrong labels become even ones.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Probabilities of the given labels, of rows that were held out.
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.

    Returns
    -------
    transition : ndarray of shape (n_classes, n_classes), dtype float64
        A row for each true class, a column for each given label; rows add up to 1.

    References
    ----------
    .. [1] G. Patrini, A. Rozza, A. K. Menon, R. Nock and L. Qu, "Making Deep Neural
       Networks Robust to Label Noise: A Loss Correction Approach", CVPR 2017,
       Equation 12.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._posterior import guessed_transition
    >>> codes = np.repeat([0, 1], 50)
    >>> proba = np.repeat([[0.9, 0.1], [0.5, 0.5]], 50, axis=0)
    >>> guessed_transition(proba, codes).round(2).tolist()
    [[0.8, 0.2], [0.4, 0.6]]
    """
    n_samples, n_classes = proba.shape
    counts = np.bincount(codes, minlength=n_classes)
    n_anchors = np.minimum(_SHARE * n_samples, _SHARE_OF_CLASS * counts).astype(int)
    n_anchors = np.minimum(np.maximum(n_anchors, _LEAST), n_samples)
    surest = np.argsort(-proba, axis=0, kind="stable")
    flips = np.stack(
        [proba[surest[:n, k]].mean(0) for k, n in enumerate(n_anchors)]
    ).astype(np.float64)
    rates = 1 - np.diag(flips)
    mean_rate = counts @ rates / n_samples
    rates = _BELIEF * rates + (1 - _BELIEF) * mean_rate
    np.fill_diagonal(flips, 0)
    even = (1 - np.eye(n_classes)) / (n_classes - 1)
    total = flips.sum(1, keepdims=True)
    flips = np.divide(flips, total, out=even.copy(), where=total > 0)
    flips = rates[:, None] * (_BELIEF * flips + (1 - _BELIEF) * even)
    np.fill_diagonal(flips, 1 - rates)
    return flips


def wrong_given_class(
    proba: NDArray[np.floating],
    codes: NDArray[np.int64],
    transition: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the probability that the given label is not the true one.

    If a label depends on nothing but the true class, P(label | x) = Σ P(true | x) T,
    and P(true | x, label) is proportional to P(true | x) T.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        P(label | x).
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.
    transition : ndarray of shape (n_classes, n_classes)
        T: P(label | true), a row for each true class.

    Returns
    -------
    wrong : ndarray of shape (n_samples,), dtype float64

    Examples
    --------
    Ones are often labelled 0, and zeros never 1:

    >>> import numpy as np
    >>> from sknoisy._planting._posterior import wrong_given_class
    >>> transition = np.array([[1.0, 0.0], [0.4, 0.6]])
    >>> proba = np.array([[0.7, 0.3], [0.7, 0.3]])
    >>> wrong_given_class(proba, np.array([0, 1]), transition).round(2).tolist()
    [0.29, 0.0]
    """
    # The pseudo-inverse, since nothing keeps the matrix from being singular.
    true = np.maximum(proba @ np.linalg.pinv(transition), _FLOOR)
    true /= true.sum(1, keepdims=True)
    joint = true * transition[:, codes].T
    rows = np.arange(len(codes))
    total = joint.sum(1)
    joint[rows, codes] = 0
    return joint.sum(1) / np.maximum(total, np.finfo(np.float64).tiny)
