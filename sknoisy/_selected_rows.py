"""Some of the rows of what was given, in the kind that it has."""

import numpy as np

from sknoisy._labels import is_of
from sknoisy._validation import check_method_params, safe_indexing, safe_split

__all__ = ["params_of_rows", "rows_for", "rows_of"]


def rows_of(data, rows):
    """Return rows of any container, in a container of its kind.

    Parameters
    ----------
    data : array-like of shape (n_samples, ...)
    rows : ndarray of shape (n_rows,), dtype int64

    Returns
    -------
    part : same type as data
        An ndarray or a list if rows of that type cannot be picked.
    """
    if isinstance(data, tuple):
        return tuple(data[row] for row in rows)
    if is_of(data, "torch"):
        return data[rows]
    if is_of(data, "pandas") and not hasattr(data, "iloc"):
        return data.take(rows)
    if not hasattr(data, "__getitem__"):
        data = np.asarray(data)
    return safe_indexing(data, rows)


def params_of_rows(params, X, index):
    """Return parameters of ``fit`` for some of the rows of X.

    Parameters
    ----------
    params : dict
        Those that have one entry for each row of X are cut, all others stay.
    X : array-like of shape (n_samples, ...)
    index : ndarray of shape (n_rows,), dtype int64

    Returns
    -------
    params : dict
    """
    return check_method_params(X, params, index)


def rows_for(estimator, X, index, fitted=None):
    """Return some rows of X, in the form that an estimator takes.

    Parameters
    ----------
    estimator : estimator
    X : array-like
        The rows of one that takes distances between rows are cut along both axes.
    index : ndarray of shape (n_rows,), dtype int64
    fitted : ndarray of shape (n_fitted,), dtype int64, default=None
        The rows that it was fitted on; None if it is to be fitted on these.

    Returns
    -------
    rows : same type as X
    """
    return safe_split(estimator, X, None, index, fitted)[0]
