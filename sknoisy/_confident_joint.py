"""Confident joint: how often each class stands where another is meant."""

import numpy as np

__all__ = [
    "TOLERANCE",
    "blocks",
    "calibrated_counts",
    "class_thresholds",
    "confident_guesses",
    "confident_joint",
    "transition_from_joint",
    "true_class_proba",
]

# Probabilities that differ by less count as equal.
TOLERANCE = 1e-6
# A threshold that no probability reaches.
_NEVER = 2
# Numbers that are worked on at a time.
_BLOCK_SIZE = 2**18


def confident_joint(codes, proba):
    """Count the given against the confidently predicted labels.

    A class is predicted with confidence if its probability reaches its mean among the
    rows that carry it; of several such classes the most probable one counts. Rows of
    the table are scaled to the counts of the given labels [1]_.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels; each class has at least one row.
    proba : ndarray of shape (n_samples, n_classes)

    Returns
    -------
    joint : ndarray of shape (n_classes, n_classes), dtype float64
        Rows are given labels, columns true ones; the entries add up to 1.

    References
    ----------
    .. [1] C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating
       Uncertainty in Dataset Labels", JAIR 70, 2021, Section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._confident_joint import confident_joint
    >>> codes = np.array([0, 0, 0, 1, 1])
    >>> proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7]])
    >>> joint = confident_joint(codes, proba)  # one of three is confidently a 1
    >>> joint.round(2).tolist()
    [[0.4, 0.2], [0.0, 0.4]]
    """
    n_samples, n_classes = proba.shape
    counts = np.bincount(codes, minlength=n_classes)
    own = proba[np.arange(n_samples), codes]
    thresholds = np.bincount(codes, own, minlength=n_classes) / counts
    # The mean of equal numbers may come out above them by a rounding.
    confident = np.where(proba >= thresholds - 1e-9, proba, -1.0)
    is_confident = confident.max(1) >= 0
    cells = codes * n_classes + confident.argmax(1)
    shape = (n_classes, n_classes)
    joint = np.bincount(cells[is_confident], minlength=n_classes**2).reshape(shape)
    # No row of the table is empty: of the rows of a class one reaches their mean.
    return joint * (counts / joint.sum(1))[:, None] / n_samples


def class_thresholds(codes, proba):
    """Return the mean probability of each class among the rows that carry it.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int
    proba : ndarray of shape (n_samples, n_classes)

    Returns
    -------
    thresholds : ndarray of shape (n_classes,)
        At least 2e-6; 2, which nothing reaches, for a class without rows.
    """
    n_classes = proba.shape[1]
    means = [_NEVER] * n_classes
    for k in range(n_classes):
        rows = np.flatnonzero(codes == k)
        if len(rows):
            means[k] = proba[rows, k].mean()
    return np.maximum(np.asarray(means), 2 * TOLERANCE)


def blocks(n_samples, n_columns):
    """Yield slices of rows that make blocks of about a megabyte."""
    step = max(1, _BLOCK_SIZE // n_columns)
    for start in range(0, n_samples, step):
        yield slice(start, min(start + step, n_samples))


def confident_guesses(block, best, thresholds):
    """Return the class that each row confidently belongs to, -1 where there is none.

    Parameters
    ----------
    block : ndarray of shape (n_rows, n_classes)
        Probabilities.
    best : ndarray of shape (n_rows,)
        The most probable class of each row.
    thresholds : ndarray of shape (n_classes,)

    Returns
    -------
    guesses : ndarray of shape (n_rows,), dtype int64
        The class whose probability reaches its threshold. Where several do, the most
        probable class of all, whether or not it is among them.
    """
    limits = thresholds - TOLERANCE
    largest = block[np.arange(len(block)), best]
    guesses = np.where(largest >= limits[best], best, -1)
    # Only where the most probable class fails can another one alone succeed, and not
    # where it is below all limits: few rows need a look at every column.
    open_rows = np.flatnonzero((guesses < 0) & (largest >= limits.min()))
    is_confident = block[open_rows] >= limits
    n_confident = np.count_nonzero(is_confident, axis=1)
    several = np.where(n_confident > 1, best[open_rows], -1)
    guesses[open_rows] = np.where(n_confident == 1, is_confident.argmax(1), several)
    return guesses


def calibrated_counts(counts, class_counts):
    """Scale the rows of a table of counts to the numbers of rows of each class.

    Parameters
    ----------
    counts : ndarray of shape (n_classes, n_classes), dtype int64
        Rows are given labels, columns confident ones. No row is all zeros.
    class_counts : ndarray of shape (n_classes,), dtype int64
        Rows that carry each label.

    Returns
    -------
    joint : ndarray of shape (n_classes, n_classes), dtype int64
        Its rows add up to ``class_counts``.
    """
    scaled = counts / counts.sum(1)[:, None] * class_counts[:, None]
    # In exact arithmetic this changes nothing. With it, and summed by columns, halves
    # are rounded as cleanlab rounds them.
    scaled = scaled / scaled.ravel(order="F").sum() * class_counts.sum()
    return _round_rows(scaled)


def _round_rows(table):
    """Round to whole numbers and keep the total of each row."""
    rounded = table.round()
    for row, whole in zip(table, rounded, strict=True):
        gap = int(row.sum().round() - whole.sum())
        if gap:
            # Of equal remainders it takes those that cleanlab takes: no stable sort.
            order = np.argsort(row - whole)[:: -1 if gap > 0 else 1]
            whole[order[: abs(gap)]] += np.sign(gap)
    return rounded.astype(np.int64)


def transition_from_joint(joint):
    """Return how often each class is given each label.

    Parameters
    ----------
    joint : ndarray of shape (n_classes, n_classes)
        Rows are given labels, columns true ones.

    Returns
    -------
    transition_matrix : ndarray of shape (n_classes, n_classes), dtype float64
        Rows are true classes and add up to 1. That of a class which no row seems to
        belong to is the identity's.
    """
    totals = joint.sum(0)[:, None]
    identity = np.eye(len(joint))
    return np.where(totals > 0, joint.T / np.maximum(totals, 1e-300), identity)


def true_class_proba(proba, transition_matrix, n_steps):
    """Move probabilities of the given label towards those of the true class.

    A classifier of noisy labels predicts p(given) = Σ_true p(true) T[true, given]. This
    is solved for p(true), in steps of the expectation-maximisation that begins with
    the predictions [1]_. A few steps undo part of the noise, and less of the errors of
    prediction than an inverse matrix would blow up.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
    transition_matrix : ndarray of shape (n_classes, n_classes)
        Rows are true classes.
    n_steps : int

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes), dtype float64

    References
    ----------
    .. [1] W. H. Richardson, "Bayesian-Based Iterative Method of Image Restoration",
       Journal of the Optical Society of America 62, 1972.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._confident_joint import true_class_proba
    >>> T = np.array([[0.6, 0.4], [0.0, 1.0]])
    >>> true_class_proba(np.array([[0.45, 0.55]]), T, 2).round(2).tolist()
    [[0.65, 0.35]]
    """
    found = np.asarray(proba, dtype=np.float64)
    for _ in range(n_steps):
        expected = np.maximum(found @ transition_matrix, 1e-300)
        found = found * ((proba / expected) @ transition_matrix.T)
        total = found.sum(1, keepdims=True)
        found = np.where(total > 0, found / np.maximum(total, 1e-300), proba)
    return found
