"""Checks of arrays given to displays."""

import numpy as np

__all__ = ["as_mask", "as_numbers"]

_KINDS = {1: "an array of numbers", 2: "an array of numbers with two axes"}


def as_numbers(name, values, n_axes):
    """Return values as a float64 array.

    Parameters
    ----------
    name : str
        Name for the error message.
    values : array-like
    n_axes : int

    Returns
    -------
    values : ndarray, dtype float64

    Raises
    ------
    TypeError
        If they are not numbers.
    ValueError
        If they have another number of axes, or are empty.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be {_KINDS[n_axes]}; got {type(values).__name__}."
        ) from None
    if array.ndim != n_axes or not array.size:
        raise ValueError(f"{name} must be {_KINDS[n_axes]}; got shape {array.shape}.")
    return array


def as_mask(name, mask, n_rows, rows="rows"):
    """Return a mask as a bool array.

    Parameters
    ----------
    name : str
        Name for the error message.
    mask : array-like
    n_rows : int
    rows : str, default="rows"
        Name of what it has entries for.

    Returns
    -------
    mask : ndarray of shape (n_rows,), dtype bool

    Raises
    ------
    ValueError
        If it has another shape.
    """
    array = np.asarray(mask)
    if array.shape != (n_rows,) or array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must have one entry for each of the {n_rows} {rows}, True or "
            f"False; got shape {array.shape}, dtype {array.dtype}."
        )
    return array.astype(bool)
