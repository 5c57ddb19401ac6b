"""Select rows of data in any container."""

import numpy as np

from sknoisy._frame_on_disk import FrameOnDisk
from sknoisy._labels import is_of
from sknoisy._row_source import RowSource
from sknoisy._rows_elsewhere import opened
from sknoisy._validation import check_method_params, safe_indexing, safe_split

__all__ = ["loaded_rows_of", "params_of_rows", "rows_for", "rows_of"]


def rows_of(data, rows):
    """Return rows of any container, in the same type of container.

    Parameters
    ----------
    data : array-like of shape (n_samples, ...)
    rows : ndarray of shape (n_rows,), dtype int64

    Returns
    -------
    part : same type as data
        An ndarray or a list if that type does not support indexing by rows; a
        `RowSource` if the rows are not in memory.
    """
    if isinstance(data, FrameOnDisk):
        return data.take(rows)
    data = opened(data)
    if isinstance(data, tuple):
        return tuple(data[row] for row in rows)
    if is_of(data, "torch"):
        return data[rows]
    if is_of(data, "pandas") and not hasattr(data, "iloc"):
        return data.take(rows)
    if not hasattr(data, "__getitem__"):
        data = np.asarray(data)
    return safe_indexing(data, rows)


def loaded_rows_of(data, rows):
    """Return rows of any container, read if they are not in memory.

    Parameters
    ----------
    data : array-like of shape (n_samples, ...) or RowSource
    rows : ndarray of shape (n_rows,), dtype int64

    Returns
    -------
    part : same type as data, or ndarray
    """
    part = rows_of(data, rows)
    return part.load() if isinstance(part, RowSource) else part


def params_of_rows(params, X, index):
    """Return parameters of ``fit`` for some of the rows of X.

    Parameters
    ----------
    params : dict
        Parameters with one entry per row of X are indexed, all others are kept.
    X : array-like of shape (n_samples, ...)
    index : ndarray of shape (n_rows,), dtype int64

    Returns
    -------
    params : dict
    """
    return check_method_params(X, params, index)


def rows_for(estimator, X, index, fitted=None):
    """Return some rows of X for an estimator, which may need pairwise distances.

    Parameters
    ----------
    estimator : estimator
    X : array-like
        Pairwise distances or kernels are indexed along both axes.
    index : ndarray of shape (n_rows,), dtype int64
    fitted : ndarray of shape (n_fitted,), dtype int64, default=None
        The rows that the estimator was fitted on; None if it will be fitted on these.

    Returns
    -------
    rows : same type as X
    """
    return safe_split(estimator, X, None, index, fitted)[0]
