"""Confident joint: how often each class stands where another is meant."""

import numpy as np

__all__ = ["confident_joint"]


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
    >>> from sknoisy.detection._confident_joint import confident_joint
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
