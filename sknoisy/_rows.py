"""Errors for X that is not a table of numbers, with advice for the user."""

from collections import Counter
from collections.abc import Mapping, Set
from contextlib import contextmanager
from numbers import Number

import numpy as np
from scipy.sparse import issparse

from sknoisy._labels import is_of, refuse_odd_tensor, tensor_to_array

__all__ = [
    "explained",
    "is_frame",
    "plain_rows",
    "refuse_no_rows",
    "refuse_odd_rows",
]

_TEXTS = (
    "put make_pipeline(TfidfVectorizer(), TruncatedSVD(100)) before it, or pass texts "
    "to a detector whose estimator accepts them, such as a pipeline that begins with a "
    "TfidfVectorizer and ends in a classifier"
)
_CATEGORIES = (
    "encode them in a step before it, for example by OneHotEncoder("
    "sparse_output=False) in a ColumnTransformer, or by skrub's TableVectorizer. "
    "AutoNoiseDetector takes frames as they are, and sknoisy.audit encodes them for "
    "any detector"
)
# The detector that encodes frames.
_TAKES_FRAMES = "AutoNoiseDetector"


_SQUARE_OVERFLOWS = 1e150
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


def is_frame(X):
    """Return whether X is a DataFrame, of pandas, polars or a library like them.

    Parameters
    ----------
    X : object

    Returns
    -------
    flag : bool
    """
    has_names = hasattr(X, "columns") and hasattr(X, "dtypes")
    return has_names and len(getattr(X, "shape", ())) == 2


def refuse_no_rows(X, what="X"):
    """Refuse objects without rows, or without an order of rows.

    Parameters
    ----------
    X : object
        Data given by the user; None is accepted.
    what : str, default="X"
        Name of X in messages.

    Raises
    ------
    TypeError
        If X is a dict, a set, a single value, a generator or a lazy frame.
    ValueError
        If two columns have the same name.
    """
    if issparse(X):
        # One of the sparse formats is a dict.
        return
    kind = type(X).__name__
    if isinstance(X, str | bytes | Number):
        raise TypeError(
            f"{what} is {X!r:.60}, one value; pass an array or a frame with one row of "
            "features for each label."
        )
    if isinstance(X, Mapping):
        raise TypeError(
            f"{what} is a {kind}, which has no rows; pass pandas.DataFrame({what})."
        )
    if isinstance(X, Set):
        raise TypeError(
            f"{what} is a {kind}, which has no order; pass a list or an array."
        )
    if hasattr(X, "collect") and not hasattr(X, "__len__"):
        raise TypeError(f"{what} is a {kind}; pass {what}.collect().")
    has_rows = hasattr(X, "__len__") or hasattr(X, "shape") or hasattr(X, "__array__")
    _refuse_double_names(X, what)
    if X is not None and not has_rows:
        raise TypeError(
            f"{what} is a {kind}, which has no length; pass list({what}) or an array."
        )


def _refuse_double_names(X, what):
    names = list(getattr(X, "columns", ()))
    if len(set(names)) < len(names):
        name, count = Counter(names).most_common(1)[0]
        raise ValueError(
            f"{what} has {count} columns named {name!r}; give each column a "
            f"different name, or pass {what}.to_numpy()."
        )


def refuse_odd_rows(X, what="X"):
    """Refuse objects without rows, masked entries and unsuitable tensors.

    Parameters
    ----------
    X : array-like
    what : str, default="X"

    Raises
    ------
    TypeError, ValueError
    """
    refuse_no_rows(X, what)
    if np.ma.is_masked(X):
        raise ValueError(
            f"{what} has {np.ma.count_masked(X)} masked entries; fill them with "
            f"numbers, {what}.filled(...), or drop their rows."
        )
    if is_of(X, "torch"):
        refuse_odd_tensor(X, what)
    elif isinstance(X, list | tuple) and len(X) and is_of(X[0], "torch"):
        if any(row.requires_grad for row in X):
            raise TypeError(
                f"{what} is a list of tensors that require grad; pass "
                f"torch.stack({what}).detach()."
            )


def plain_rows(X, what="X"):
    """Return X, with tensors as arrays, after the checks of `refuse_odd_rows`.

    Parameters
    ----------
    X : array-like
    what : str, default="X"

    Returns
    -------
    X : array-like
    """
    refuse_odd_rows(X, what)
    if is_of(X, "torch"):
        return tensor_to_array(X, what)
    # The count of features needs a shape.
    only_array = hasattr(X, "__array__") and not hasattr(X, "shape")
    return np.asarray(X) if only_array else X


@contextmanager
def explained(X, name):
    """Replace errors of reading X as numbers by errors with advice.

    Parameters
    ----------
    X : array-like
        As given by the user.
    name : str
        Name of the estimator, for messages.

    Raises
    ------
    TypeError, ValueError
        The error inside the block, or a better one that names the wrong entry.
    """
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        better = None if issparse(X) else _explanation(X, name, str(error))
        if better is None:
            raise
        raise better from error


def _explanation(X, name, message):
    """Return a better error, or None."""
    if "ScalarType" in message:
        return TypeError(f"X is a tensor of {X.dtype}; pass X.float().")
    if "Complex data" in message:
        kind = getattr(X, "dtype", "complex")
        return ValueError(
            f"Complex data not supported: X has {kind} numbers; pass np.abs(X), or "
            "np.concatenate([X.real, X.imag], axis=1)."
        )
    if "convert string" in message or "bytes/strings" in message:
        return _strings(X, name)
    if "sequence" in message:
        return _lists(X)
    if "not 'dict'" in message and isinstance(X, list) and isinstance(X[0], dict):
        return TypeError("X is a list of dicts; pass pandas.DataFrame(X).")
    if "Cannot cast" in message and getattr(X, "dtype", None) is not None:
        return TypeError(
            f"X is a structured array with the fields {X.dtype.names}; pass "
            "numpy.lib.recfunctions.structured_to_unstructured(X)."
        )
    if "too large for dtype('float32')" in message or "int too large" in message:
        return _large(X, name)
    if "contains NaN" in message or "contains infinity" in message:
        return _overflowing(X, name)
    return None


def _strings(X, name):
    """Return an error that names the first string that is not a number."""
    found = next((cell for cell in _cells(X) if not _is_number(cell[-1])), None)
    if found is None:
        return None
    row, column, value = found
    value = str(value) if isinstance(value, str) else value
    if column is None:
        return _texts(X, name, value)
    return ValueError(
        f"X has strings in column {column!r}, such as {value!r:.60} in row {row}, "
        f"where {name} needs numbers; {_CATEGORIES}."
    )


def _texts(X, name, example):
    """Return an error that says how texts are passed."""
    frame = 'pandas.DataFrame({"text": X})'
    if hasattr(X, "to_frame"):
        frame = "X.to_frame()"
    texts = f"X is a {type(X).__name__} of texts, such as {example!r:.60}"
    if name == _TAKES_FRAMES:
        return ValueError(f"{texts}; pass a frame, {frame}.")
    return ValueError(
        f"{texts}, where {name} needs numbers; pass a frame, {frame}, to "
        f"{_TAKES_FRAMES}, or a frame with a column of labels to sknoisy.audit, which "
        f"encodes it for any detector. Or {_TEXTS}."
    )


def _lists(X):
    """Return an error that names the first column of lists or row of another length."""
    if hasattr(X, "columns"):
        for row, column, value in _cells(X):
            if _is_list(value):
                return ValueError(
                    f"X has lists in column {column!r}, such as {value!r:.60} in row "
                    f"{row}; make columns of them with np.stack(X[{column!r}])."
                )
        return None
    lengths = [len(row) if _is_list(row) else None for row in X]
    other = next((i for i, n in enumerate(lengths) if n != lengths[0]), None)
    if other is None:
        return None
    return ValueError(
        f"rows of X differ in length: row 0 has {lengths[0]} entries, row {other} has "
        f"{lengths[other]}. Every row needs the same features; pad or cut them, or "
        "compute a fixed number of features."
    )


def _large(X, name):
    """Return an error that names the first finite number too large for float32."""
    for row, column, value in _cells(X):
        try:
            fits = abs(float(value)) <= _LARGEST_FLOAT32
        except OverflowError:
            fits = False
        except (TypeError, ValueError):
            return None
        if not fits and value not in (np.inf, -np.inf):
            return ValueError(
                f"Input X contains infinity or a value too large for dtype('float32'): "
                f"{value!r:.40} in row {row}, column {column!r}. {name} computes in "
                "float32; scale that column, for example by its logarithm or a "
                "RobustScaler."
            )
    return None


def _overflowing(X, name):
    """Return an error for finite numbers whose squares overflow."""
    numbers = np.asarray(X)
    if numbers.dtype.kind not in "iuf" or not np.isfinite(numbers).all():
        return None
    largest = float(np.abs(numbers).max())
    if largest < _SQUARE_OVERFLOWS:
        return None
    return ValueError(
        f"X has values as large as {largest:.3g}, whose squares overflow; {name} "
        "cannot compute with them. Scale them first, for example by their logarithm."
    )


def _cells(X):
    """Yield row, column and value; the column is None if X has one dimension."""
    if hasattr(X, "columns"):
        for column in X.columns:
            values = np.asarray(X[column], dtype=object)
            yield from ((row, column, value) for row, value in enumerate(values))
        return
    for row, values in enumerate(X):
        if _is_list(values):
            cells = np.asarray(values, dtype=object).ravel()
            yield from ((row, column, value) for column, value in enumerate(cells))
        else:
            yield row, None, values


def _is_list(value):
    return hasattr(value, "__len__") and not isinstance(value, str | bytes)


def _is_number(value):
    if not isinstance(value, str | bytes):
        return True
    try:
        float(value)
    except ValueError:
        return False
    return True
