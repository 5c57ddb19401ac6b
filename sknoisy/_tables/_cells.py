"""Read a column of a frame as numbers or as strings, whatever its type."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from numbers import Real

import numpy as np

from sknoisy._rows import is_frame

__all__ = ["as_numbers", "as_strings", "has_categories", "is_missing", "read_column"]

_SEVERAL = (list, tuple, dict, set, frozenset, np.ndarray)
_NUMBERS = (Real, Decimal, np.bool_)
_DATES = (date, timedelta)
_NOTHING = ("NoneType", "NAType", "NaTType")
_A_DAY = timedelta(days=1)


def read_column(X, name):
    """Return the cells of a column.

    Parameters
    ----------
    X : pandas or polars DataFrame, or ndarray of shape (n_samples, n_columns)
    name : hashable
        Name of the column in a frame, else its number.

    Returns
    -------
    cells : ndarray of shape (n_samples,)
        Numbers, truth values, dates or time spans; else objects.

    Raises
    ------
    ValueError
        If a cell holds several values or a complex number.
    """
    column = X[name] if is_frame(X) else X[:, name]
    if str(column.dtype) == "category":
        # Whole numbers would become floats where one is missing.
        column = column.astype(object)
    cells = column.to_numpy() if hasattr(column, "to_numpy") else column
    if cells.ndim > 1:
        raise _several(name, column.dtype)
    if cells.dtype.kind == "c":
        raise ValueError(f"column {name!r} holds complex numbers; pass two columns.")
    if cells.dtype.kind in "UST":
        cells = cells.astype(object)
    if cells.dtype == object:
        odd = next((t for t in set(map(type, cells)) if issubclass(t, _SEVERAL)), None)
        if odd is not None:
            raise _several(name, odd.__name__)
    return cells


def has_categories(X, name):
    """Return whether the type of a column of a frame is one of categories."""
    if not is_frame(X):
        return False
    kind = str(X[name].dtype)
    return kind == "category" or kind.startswith(("Categorical", "Enum"))


def is_missing(cells):
    """Return where objects are None, NaN, NA or NaT.

    Parameters
    ----------
    cells : ndarray of shape (n_samples,)

    Returns
    -------
    missing : ndarray of shape (n_samples,), dtype bool
    """
    kinds = set(map(type, cells))
    # NA and NaT are told by their names, so that pandas need not be imported.
    nothing = {kind for kind in kinds if kind.__name__ in _NOTHING}
    floats = {kind for kind in kinds if issubclass(kind, float | np.floating)}
    if not nothing | floats:
        return np.zeros(len(cells), dtype=bool)
    missing = [
        type(cell) in nothing or (type(cell) in floats and cell != cell)
        for cell in cells
    ]
    return np.array(missing, dtype=bool)


def as_numbers(cells):
    """Return cells as numbers, dates and time spans in days.

    Parameters
    ----------
    cells : ndarray of shape (n_samples,)

    Returns
    -------
    kind : {"number", "date"} or None
        None if some cell is neither; "number" if all are missing.
    numbers : ndarray of shape (n_samples,), dtype float64, or None
        NaN where missing or infinite. Days since 1970, in UTC.
    """
    if cells.dtype.kind == "M":
        # In whole seconds, since finer units overflow for distant years.
        seconds = cells.astype("datetime64[s]")
        days = seconds.astype(np.int64) / 86_400
        return "date", np.where(np.isnat(seconds), np.nan, days)
    if cells.dtype.kind == "m":
        return "date", cells / np.timedelta64(1, "D")
    if cells.dtype != object:
        return "number", _finite(cells)
    missing = is_missing(cells)
    kinds = set(map(type, cells[~missing]))
    numbers = np.full(len(cells), np.nan)
    if all(issubclass(kind, _NUMBERS) for kind in kinds):
        numbers[~missing] = [float(cell) for cell in cells[~missing]]
        return "number", _finite(numbers)
    if all(issubclass(kind, _DATES) for kind in kinds):
        numbers[~missing] = [_days(cell) for cell in cells[~missing]]
        return "date", numbers
    return None, None


def as_strings(cells):
    """Return cells as strings, NaN where missing.

    Parameters
    ----------
    cells : ndarray of shape (n_samples,)

    Returns
    -------
    strings : ndarray of shape (n_samples,), dtype object
    """
    if set(map(type, cells)) == {str}:
        return cells
    strings = np.array([str(cell) for cell in cells], dtype=object)
    strings[is_missing(cells)] = np.nan
    return strings


def _several(name, kind):
    return ValueError(
        f"column {name!r} holds several values a cell ({kind}); split them into "
        "columns, or drop it."
    )


def _finite(numbers):
    numbers = np.asarray(numbers, dtype=np.float64)
    return np.where(np.isinf(numbers), np.nan, numbers)


def _days(cell):
    if isinstance(cell, timedelta):
        return cell / _A_DAY
    if not isinstance(cell, datetime):
        cell = datetime(cell.year, cell.month, cell.day)
    start = datetime(1970, 1, 1, tzinfo=None if cell.tzinfo is None else UTC)
    return (cell - start) / _A_DAY
