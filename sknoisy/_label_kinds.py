"""Return labels in the same container and dtype as the user's labels."""

import sys

import numpy as np

from sknoisy._labels import is_of, label_array, label_list
from sknoisy._selected_rows import rows_of

__all__ = ["labels_like"]


def labels_like(y, classes, codes, new_codes):
    """Return new labels for the rows of y, in the container and dtype of y.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        As given by the user.
    classes : ndarray of shape (n_classes,)
        The sorted labels.
    codes : ndarray of shape (n_samples,), dtype int64
        The labels in y.
    new_codes : ndarray of shape (n_samples,), dtype int64

    Returns
    -------
    labels : same type as y
        With its dtype, categories, name and index.

    Raises
    ------
    ValueError
        If a new label is not in y, and the dtype of y cannot hold it.
    """
    source = np.full(len(classes), -1)
    # The first row of each class: labels that occur in y are copied from y.
    source[codes[::-1]] = np.arange(len(codes))[::-1]
    rows = source[new_codes]
    if (rows < 0).any():
        labels = rows_of(_classes_like(y, classes), new_codes)
    else:
        labels = rows_of(y, rows)
    if hasattr(y, "iloc"):
        labels.index = y.index
    return labels


def _classes_like(y, classes):
    """Return the classes in the container and dtype of y, if it can hold them all."""
    values = label_list(classes)
    try:
        with np.errstate(over="ignore"):
            held = _make_like(y, values, classes)
        kept = label_array(held, warn=False)
        same = len(kept) == len(classes) and all(kept == classes)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise _cannot_hold(y, values) from error
    except Exception as error:
        # polars raises its own types of errors.
        if type(error).__module__.partition(".")[0] != "polars":
            raise
        raise _cannot_hold(y, values) from error
    if not same:
        raise _cannot_hold(y, values)
    return held


def _make_like(y, values, classes):
    if isinstance(y, list | tuple):
        return type(y)(values)
    for package, make in _MAKERS.items():
        if is_of(y, package):
            return make(y, values, classes)
    if isinstance(y, np.ndarray) and y.dtype.kind != "U":
        return np.array(values, dtype=y.dtype).reshape(-1, *y.shape[1:])
    return classes.reshape(-1, *np.shape(y)[1:])


def _make_polars(y, values, classes):
    if hasattr(y, "columns"):
        return _make_polars(y.to_series(0), values, classes).to_frame()
    if classes.dtype.kind in "mM":
        return type(y)(y.name, classes).cast(y.dtype)
    return type(y)(y.name, values, dtype=y.dtype)


def _make_pandas(y, values, classes):
    if getattr(y, "ndim", 1) == 2:
        return _make_pandas(y.iloc[:, 0], values, classes).to_frame()
    if hasattr(y.dtype, "categories") and not set(values) <= set(y.dtype.categories):
        raise ValueError("some classes are not categories")
    if hasattr(y, "iloc"):
        return type(y)(values, dtype=y.dtype, name=y.name)
    pandas = sys.modules["pandas"]
    made = pandas.array(values, dtype=y.dtype)
    return type(y)(made, name=y.name) if isinstance(y, pandas.Index) else made


def _make_pyarrow(y, values, classes):
    pyarrow = sys.modules["pyarrow"]
    made = pyarrow.array(values, type=y.type)
    return pyarrow.chunked_array([made]) if hasattr(y, "chunks") else made


def _make_tensor(y, values, classes):
    return sys.modules["torch"].tensor(values, dtype=y.dtype, device=y.device)


_MAKERS = {
    "polars": _make_polars,
    "pandas": _make_pandas,
    "pyarrow": _make_pyarrow,
    "torch": _make_tensor,
}


def _cannot_hold(y, values):
    return ValueError(
        f"a drawn label is not in y, and y cannot hold all labels given to fit, "
        f"{values}: its dtype is {getattr(y, 'dtype', type(y).__name__)}. Pass y in "
        "the dtype that was given to fit."
    )
