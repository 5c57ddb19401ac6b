"""Recognise what each column of a frame holds."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from sknoisy._rows import is_frame
from sknoisy._tables._cells import (
    as_numbers,
    as_strings,
    has_categories,
    is_missing,
    read_column,
)

__all__ = ["Columns", "recognised_columns", "table_columns"]

_MAX_CATEGORIES = 40
# As many as gradient boosting tells apart.
_MAX_DECLARED = 255
_ID_NAME = re.compile(r"(.*[^a-z0-9])?(id|uuid|guid|index)", re.IGNORECASE)


@dataclass(frozen=True)
class Columns:
    """What the columns of a table hold.

    Attributes
    ----------
    kinds : dict
        "number", "date", "category" or "text" by name of the column, in the order of
        the table.
    dropped : dict of str
        Why each of these columns is not used.
    """

    kinds: dict[Any, str]
    dropped: dict[Any, str]

    def of_kind(self, *kinds: str) -> list[Any]:
        """Return the names of the columns of some kinds, in the order of the table."""
        return [name for name, kind in self.kinds.items() if kind in kinds]


def table_columns(X: Any, *, text: Collection[Any] = ()) -> Columns:
    """Recognise the kind of each column of a table, of which some must be of use.

    Parameters
    ----------
    X : pandas or polars DataFrame, or ndarray of shape (n_samples, n_columns)
    text : collection of str
        Columns that are texts in any case.

    Returns
    -------
    columns : Columns

    Raises
    ------
    ValueError
        As `recognised_columns`, or if no column is left.
    """
    columns = recognised_columns(X, text=text)
    if not columns.kinds:
        reasons = [f"{name!r} {reason}" for name, reason in columns.dropped.items()]
        raise ValueError(
            "; ".join(["no column of X is left to use", *reasons[:3]]) + "."
        )
    return columns


def recognised_columns(X: Any, *, text: Collection[Any] = ()) -> Columns:
    """Recognise the kind of each column of a table.

    Numbers and dates are told by their types; categories too, if at most 255 values
    occur. Strings are categories if there are at most 40 different ones and twice as
    many rows, and texts else. Columns with a single value are dropped, and columns that
    number or name the rows: whole numbers that go up by 1, different whole numbers
    under a name such as "user_id", and different strings without blanks.

    Parameters
    ----------
    X : pandas or polars DataFrame, or ndarray of shape (n_samples, n_columns)
    text : collection of str
        Columns that are texts in any case.

    Returns
    -------
    columns : Columns

    Raises
    ------
    ValueError
        If a cell holds several values or a complex number.
    """
    kinds, dropped = {}, {}
    names = list(X.columns) if is_frame(X) else range(X.shape[1])
    for name in names:
        cells = read_column(X, name)
        kind, reason = _recognise(
            name, cells, is_text=name in text, is_category=has_categories(X, name)
        )
        if reason is None:
            kinds[name] = kind
        else:
            dropped[name] = reason
    return Columns(kinds, dropped)


def _recognise(name, cells, *, is_text, is_category):
    """Return the kind of a column, and why it is dropped or None."""
    if not is_text and not is_category:
        kind, numbers = as_numbers(cells)
        if kind is not None:
            return kind, _why_no_number(name, kind, numbers)
    strings = as_strings(cells)
    present = strings[~is_missing(strings)]
    if is_text:
        return "text", _why_no_text(present)
    values = set(present)
    n_values = len(values) + (len(present) < len(strings))
    if n_values <= 1:
        return "category", "has a single value"
    if len(values) == len(strings) and not any(map(_may_be_text, values)):
        return "category", "names the rows"
    if is_category and len(values) <= _MAX_DECLARED:
        return "category", None
    if len(values) <= _MAX_CATEGORIES and 2 * len(values) <= len(present):
        return "category", None
    return "text", _why_no_text(present)


def _why_no_number(name, kind, numbers):
    if len(np.unique(numbers)) <= 1:  # NaN are equal here
        return "has a single value"
    if kind != "number":
        return None
    if len(numbers) > 2 and (np.diff(numbers) == 1).all():
        return "numbers the rows"
    if not _ID_NAME.fullmatch(str(name)) or np.isnan(numbers).any():
        return None
    is_whole = (numbers == np.rint(numbers)).all()
    is_distinct = len(np.unique(numbers)) == len(numbers)
    return "names the rows" if is_whole and is_distinct else None


def _why_no_text(present):
    return None if any(text.strip() for text in present) else "is blank"


def _may_be_text(value):
    """Return whether a string is no name: some scripts have no blanks."""
    return not value.isascii() or any(character.isspace() for character in value)
