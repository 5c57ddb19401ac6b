"""HOC: the transition matrix that explains how often neighbours carry which labels."""

import numpy as np
from scipy.optimize import linear_sum_assignment, minimize
from scipy.special import softmax

__all__ = ["consensus_counts", "consensus_model", "estimate_by_consensus"]

# The start: labels that are mostly right. That of the authors' code, 4 and -1, is so
# near to the identity that pair flips and heavy noise end in other minima.
_START_DIAGONAL = 2.0
_MAX_ITERATIONS = 300
# Shares of triples are tiny: the optimiser's tolerances are for numbers near 1.
_SCALE = 1e4


def consensus_counts(codes, first, second, n_classes):
    """Return how often a row, its nearest and its second neighbour carry which labels.

    Parameters
    ----------
    codes, first, second : ndarrays of shape (n_samples,), dtype int64
        Labels of the row and of its two nearest neighbours.
    n_classes : int

    Returns
    -------
    counts : tuple of ndarrays of shape (K,), (K, K) and (K, K, K)
        Shares, each adding up to 1: of the labels, of pairs of the row and its nearest
        neighbour, of all three.
    """
    K = n_classes
    joint = np.bincount((codes * K + first) * K + second, minlength=K**3)
    triples = joint.reshape(K, K, K) / len(codes)
    return triples.sum((1, 2)), triples.sum(2), triples


def consensus_model(T, prior):
    """Return the shares that a transition matrix would lead to.

    Neighbours are of the same true class, and their labels are drawn one by one.

    Parameters
    ----------
    T : ndarray of shape (n_classes, n_classes)
        P(given label | true class); rows sum to 1.
    prior : ndarray of shape (n_classes,)
        Shares of the true classes.

    Returns
    -------
    shares : tuple of ndarrays
        As `consensus_counts`.
    """
    weighted = prior[:, None] * T
    pairs = weighted.T @ T
    triples = weighted.T @ _products(T)
    return weighted.sum(0), pairs, triples.reshape(-1, *T.shape)


def estimate_by_consensus(counts):
    """Fit transition matrix and class shares to observed shares of labels.

    Minimises the sum of the three squared Frobenius norms of observed minus expected
    shares; [1]_ takes the norms, which have no gradient where they fit.

    Parameters
    ----------
    counts : tuple of ndarrays
        As `consensus_counts` returns them.

    Returns
    -------
    T : ndarray of shape (n_classes, n_classes)
        Rows = true class; rows sum to 1.
    prior : ndarray of shape (n_classes,)
        Of the true classes.

    References
    ----------
    .. [1] Z. Zhu, Y. Song and Y. Liu, "Clusterability as an Alternative to Anchor
       Points When Learning with Noisy Labels", ICML 2021, arXiv:2102.05291.
    """
    K = len(counts[0])
    logits = _START_DIAGONAL * np.eye(K)
    start = np.concatenate([logits.ravel(), np.zeros(K)])
    found = minimize(
        _loss_and_gradient,
        start,
        args=(counts, K),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MAX_ITERATIONS, "maxfun": 2 * _MAX_ITERATIONS},
    )
    T, prior = _unpack(found.x, K)
    # True classes have no names: each takes the one that it is mostly given.
    true, given = linear_sum_assignment(-T)
    order = true[np.argsort(given)]
    return T[order], prior[order]


def _unpack(values, K):
    return softmax(values[: K * K].reshape(K, K), axis=1), softmax(values[K * K :])


def _products(T):
    """Return the products of all pairs in each row, of shape (K, K * K)."""
    # Few classes are usual, where einsum takes longer to plan than to compute.
    return (T[:, :, None] * T[:, None, :]).reshape(len(T), -1)


def _loss_and_gradient(values, counts, K):
    T, prior = _unpack(values, K)
    parts, loss = [], 0.0
    for expected, observed in zip(consensus_model(T, prior), counts, strict=True):
        difference = expected - observed
        loss += _SCALE * (difference**2).sum()
        parts.append(2 * _SCALE * difference)
    one, two, three = parts
    products = _products(T)
    # Along each of the three places that a label may have.
    three = three + three.transpose(1, 0, 2) + three.transpose(2, 0, 1)
    by_T = one[None, :] + T @ (two + two.T)
    by_T = by_T + products @ three.reshape(K, -1).T
    by_prior = T @ one + ((T @ two) * T).sum(1)
    by_prior = by_prior + (products @ parts[2].reshape(K, -1).T * T).sum(1)
    by_T = prior[:, None] * by_T
    # Through both softmaxes.
    by_T = T * (by_T - (by_T * T).sum(1, keepdims=True))
    by_prior = prior * (by_prior - by_prior @ prior)
    return loss, np.concatenate([by_T.ravel(), by_prior])
