"""The rows on which candidates compete: their checks, and a subset of them."""

import numpy as np
from scipy.sparse import issparse

from sknoisy._planting._corruption import rank_in_class
from sknoisy._row_source import is_row_source
from sknoisy._rows import is_frame, plain_rows, refuse_odd_rows
from sknoisy._rows_elsewhere import opened
from sknoisy._validation import (
    check_any_rows_and_labels,
    check_numbers,
    check_rows,
    check_rows_and_labels,
    validate_data,
)

__all__ = ["check_data", "check_more", "competing_rows", "holds_numbers"]

# A subset keeps at least so many rows of each class, if there are as many.
_MIN_PER_CLASS = 4


def check_data(estimator, X, y, is_own, min_per_class=1):
    """Check what the default candidates take; others check for themselves.

    Parameters
    ----------
    estimator : estimator
        It gets ``n_features_in_`` and ``feature_names_in_`` if X has them.
    X : array-like, sparse matrix or frame
    y : array-like of shape (n_samples,)
    is_own : bool
        Whether the candidates are the user's.
    min_per_class : int, default=1

    Returns
    -------
    X : ndarray, csr matrix or frame
    classes : ndarray of shape (n_classes,)
    codes : ndarray of shape (n_samples,), dtype int64

    Raises
    ------
    ValueError
        If X or y is not as described.
    """
    for name in ("n_features_in_", "feature_names_in_"):
        vars(estimator).pop(name, None)
    X = opened(X)
    refuse_odd_rows(X)
    few = {"min_per_class": min_per_class}
    if not is_own and is_row_source(X):
        return check_rows_and_labels(
            estimator, X, y, on_disk=_suits_networks_only(X), **few
        )
    if not is_own and is_frame(X) and not holds_numbers(X):
        # Each candidate encodes it.
        X, classes, codes = check_any_rows_and_labels(estimator, X, y, **few)
        return plain_rows(X), classes, codes
    if not is_own and not issparse(X):
        return check_rows_and_labels(estimator, X, y, **few)
    X, classes, codes = check_any_rows_and_labels(estimator, X, y, **few)
    if not is_own:
        X = check_numbers(estimator, X, accept_sparse="csr", dtype=np.float64)
    if issparse(X):
        X = X.tocsr()
    return X if hasattr(X, "__getitem__") else np.asarray(X), classes, codes


def check_more(estimator, X, is_own):
    """Check further rows, as `check_data` has checked those given to ``fit``.

    Parameters
    ----------
    estimator : estimator
    X : array-like, sparse matrix or frame
    is_own : bool
        Whether the candidates are the user's.

    Returns
    -------
    X : ndarray, csr matrix or frame

    Raises
    ------
    ValueError
        If X is not of the kind, or has other columns, than what ``fit`` was given.
    """
    X = opened(X)
    refuse_odd_rows(X)
    if not is_own and is_row_source(X):
        return check_rows(estimator, X, on_disk=_suits_networks_only(X))
    if not is_own and issparse(X):
        return check_numbers(
            estimator, X, reset=False, accept_sparse="csr", dtype=np.float64
        )
    if not is_own and not (is_frame(X) and not holds_numbers(X)):
        return check_rows(estimator, X)
    if is_own:
        # The candidates compare it with what they were fitted on.
        X = X.tocsr() if issparse(X) else plain_rows(X)
        return X if hasattr(X, "__getitem__") else np.asarray(X)
    validate_data(estimator, X, reset=False, skip_check_array=True)
    return plain_rows(X)


def competing_rows(codes, max_rows, rng):
    """Return at most so many rows, with the classes in proportion.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
    max_rows : int or None
    rng : numpy.random.Generator
        Not used if there are no more rows.

    Returns
    -------
    rows : ndarray, dtype int64
        Row numbers, ascending.
    """
    n_samples = len(codes)
    if max_rows is None or n_samples <= max_rows:
        return np.arange(n_samples)
    counts = np.bincount(codes)
    taken = np.maximum(counts * max_rows // n_samples, _MIN_PER_CLASS)
    order = rng.permutation(n_samples)
    return np.sort(order[rank_in_class(codes[order]) < taken[codes[order]]])


def _suits_networks_only(X):
    """Return whether all default candidates are networks, which read batches."""
    return len(X.shape) > 2


def holds_numbers(X):
    """Return whether a frame is a table of numbers without gaps."""
    cells = np.asarray(X)
    return cells.dtype.kind in "biuf" and bool(np.isfinite(cells).all())
