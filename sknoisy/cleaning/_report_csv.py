"""CSV without texts that a spreadsheet would run as formulas."""

from __future__ import annotations

import csv
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknoisy._rows import is_frame
from sknoisy._selected_rows import rows_of
from sknoisy.cleaning._report_tables import load_pandas

__all__ = [
    "csv_text",
    "is_formula",
    "named_index",
    "original_columns",
    "without_formulas",
]

# First characters that make a spreadsheet read a cell as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# "-1" and "+1.5e3" are read as numbers, and are common labels.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def without_formulas(frame: Any) -> Any:
    """Return a frame whose texts are prefixed where a spreadsheet would run them.

    Parameters
    ----------
    frame : pandas DataFrame
        Its index is not changed.

    Returns
    -------
    frame : pandas DataFrame
        A copy. Texts and column names that begin like a formula are prefixed with
        ``'``. Numbers, and texts that are numbers, are unchanged.
    """
    columns = {}
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if column.dtype.kind not in "biufcmM":
            # As objects: a category would have to be known beforehand.
            column = column.astype(object).map(_quoted)
        columns[place] = column
    safe = frame.__class__(columns)
    return safe.set_axis([_quoted(name) for name in frame.columns], axis=1)


def named_index(frame: Any) -> Any:
    """Return a frame whose index has names: "row" where there was none.

    Parameters
    ----------
    frame : pandas DataFrame

    Returns
    -------
    frame : pandas DataFrame
        A copy that shares its columns.
    """
    names = [
        f"row_{level}" if name is None and level else "row" if name is None else name
        for level, name in enumerate(frame.index.names)
    ]
    return frame.set_axis(frame.index.set_names(names), axis=0)


def is_formula(value: Any) -> bool:
    """Return whether a spreadsheet would run a value as a formula.

    Parameters
    ----------
    value : object

    Returns
    -------
    flag : bool
        False for texts that are numbers.
    """
    begins = isinstance(value, str) and value.startswith(_FORMULA)
    return begins and not _NUMBER.fullmatch(value)


def csv_text(frame: Any) -> str:
    """Return a frame as CSV, without its index.

    Parameters
    ----------
    frame : pandas DataFrame

    Returns
    -------
    text : str
    """
    text = frame.to_csv(index=False)
    if "\r" in text:
        # Without quotes it would end the line for most readers.
        text = frame.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
    return text


def original_columns(
    X: Any, reasons: NDArray[Any], order: NDArray[np.int64], taken: set[str]
) -> list[Any]:
    """Return the column of reasons and those of a frame, in an order of the rows.

    Parameters
    ----------
    X : pandas or polars DataFrame of shape (n_samples, n_columns)
    reasons : ndarray of shape (n_samples,)
    order : ndarray of shape (n_samples,), dtype int64
    taken : set of str
        Names that columns of X must not have.

    Returns
    -------
    frames : list of pandas DataFrame

    Raises
    ------
    TypeError
        If X is no frame.
    """
    if not is_frame(X):
        raise TypeError(f"X must be a DataFrame; got {type(X).__name__}.")
    pd = load_pandas()
    part = rows_of(X, order)
    if hasattr(part, "iloc"):
        columns = part.reset_index(drop=True)
    else:
        columns = pd.DataFrame({name: part[name].to_list() for name in part.columns})
    taken = taken | {"reason"}
    names = [
        f"{name}_in_table" if str(name) in taken else name for name in columns.columns
    ]
    return [pd.DataFrame({"reason": reasons[order]}), columns.set_axis(names, axis=1)]


def _quoted(value: Any) -> Any:
    return f"'{value}" if is_formula(value) else value
