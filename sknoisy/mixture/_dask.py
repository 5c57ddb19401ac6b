"""Dask arrays, block by block; dask is imported only where one is given."""

import numpy as np

__all__ = ["blocks", "is_dask", "map_blocks"]


def is_dask(X):
    """Return whether X is a dask array."""
    return type(X).__module__.startswith("dask.array")


def blocks(X):
    """Yield the rows of a dask array, one block at a time, as numpy arrays.

    Empty blocks, as a selection of rows leaves them, are left out unless all are.
    """
    if X.ndim == 2:
        X = X.rechunk({1: -1})
    is_empty = True
    for delayed in X.to_delayed().ravel():
        block = delayed.compute()
        if len(block):
            is_empty = False
            yield block
    if is_empty:
        yield block


def map_blocks(function, X, n_columns):
    """Apply a function of rows to a dask array, lazily.

    Parameters
    ----------
    function : callable
        Takes rows of shape (n, n_features), returns shape (n, n_columns).
    X : dask array of shape (n_samples,) or (n_samples, n_features)
    n_columns : int

    Returns
    -------
    result : dask array of shape (n_samples, n_columns), dtype float64
    """

    def of_block(block):
        return function(block) if len(block) else np.empty((0, n_columns))

    X = X[:, None] if X.ndim == 1 else X.rechunk({1: -1})
    return X.map_blocks(
        of_block,
        dtype=np.float64,
        chunks=(X.chunks[0], (n_columns,)),
        meta=np.empty((0, n_columns)),
    )
