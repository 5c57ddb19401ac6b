"""CSV that a spreadsheet shows and does not run."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["named_index", "without_formulas"]

# What makes a spreadsheet take a cell for a formula, at its start.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# "-1" and "+1.5e3" are numbers to it, and labels are often written so.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def without_formulas(frame: Any) -> Any:
    """Return a frame whose texts no spreadsheet takes for formulas.

    Parameters
    ----------
    frame : pandas DataFrame
        Its index is not looked at.

    Returns
    -------
    frame : pandas DataFrame
        A copy. Texts that begin like a formula have a ``'`` in front, names of columns
        too. Numbers, and texts that are numbers, are as they were.
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


def _quoted(value: Any) -> Any:
    is_formula = isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{value}" if is_formula and not _NUMBER.fullmatch(value) else value
