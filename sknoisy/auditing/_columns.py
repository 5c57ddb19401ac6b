"""Read the columns of a table: numbers, dates, categories and texts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknoisy._option_names import option
from sknoisy._tables._columns import recognised_columns
from sknoisy._tables._encoder import TableEncoder
from sknoisy._user_errors import UserError
from sknoisy.auditing._notation import (
    Notation,
    advice,
    ambiguous_dates,
    as_dates,
    as_numbers,
    date_format,
    dates_of,
)
from sknoisy.auditing._reading import import_pandas

# What the summary calls the kinds of columns.
_WORDS = {
    "number": "numeric",
    "date": "date",
    "category": "categorical",
    "text": "text",
}


@dataclass(frozen=True)
class ReadTable:
    """The columns of a table that are of use, read in the notation of the table.

    Attributes
    ----------
    frame : pandas DataFrame
        Numbers, dates and strings; missing cells are NaN, NaT or None.
    text : list of str
        Columns that are texts in any case.
    kinds : dict of str to list of str
        Names of the columns that are "numeric", "date", "categorical" and "text".
    dropped : dict of str to str
        Why each of the other columns is not used.
    notes : list of str
        Further remarks on the columns for the user.
    """

    frame: Any
    text: list[str]
    kinds: dict[str, list[str]]
    dropped: dict[str, str]
    notes: list[str]

    def reader(self, frame: Any, notation: Notation) -> ColumnReader:
        """Return what reads further rows as these.

        Parameters
        ----------
        frame : pandas DataFrame
            The rows of ``self.frame`` as they were given.
        notation : Notation

        Returns
        -------
        reader : ColumnReader
        """
        kinds = {name: kind for kind, names in self.kinds.items() for name in names}
        kind_of = {name: kinds[name] for name in self.frame.columns}
        formats = {
            name: date_format(_as_strings(frame[name], notation).dropna(), notation)
            for name in self.kinds["date"]
            if not _is_read(frame[name])
        }
        return ColumnReader(kind_of, formats, notation)

    def to_numbers(self, random_state: Any) -> NDArray[np.float32]:
        """Return the columns as numbers on one scale.

        Parameters
        ----------
        random_state : int, RandomState instance or None

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), dtype float32
        """
        return self.encoder(random_state).fit_transform(self.frame)

    def encoder(self, random_state: Any) -> TableEncoder:
        """Return what makes numbers of the columns, not fitted yet.

        Parameters
        ----------
        random_state : int, RandomState instance or None

        Returns
        -------
        encoder : TableEncoder
        """
        return TableEncoder(text=self.text, random_state=random_state)

    def to_frame(self, random_state: Any) -> Any:
        """Return the columns for AutoNoiseDetector, which encodes them itself.

        Parameters
        ----------
        random_state : int, RandomState instance or None

        Returns
        -------
        frame : pandas DataFrame
            With the features of those columns that would not be recognised as texts.
        """
        kinds = recognised_columns(self.frame).kinds
        forced = [name for name in self.text if kinds.get(name) != "text"]
        if not forced:
            return self.frame
        encoder = TableEncoder(text=forced, random_state=random_state)
        encoder.set_output(transform="pandas")
        features = encoder.fit_transform(self.frame[forced]).add_prefix("text of ")
        return import_pandas().concat(
            [self.frame.drop(columns=forced), features], axis=1
        )


@dataclass(frozen=True)
class ColumnReader:
    """Reads columns as those of a sample were read.

    Attributes
    ----------
    kinds : dict of str to str
        "numeric", "date", "categorical" or "text", by the name of the column.
    formats : dict of str to str or None
        Of dates that are written as texts.
    notation : Notation
    """

    kinds: dict[str, str]
    formats: dict[str, str | None]
    notation: Notation

    def read(self, frame: Any) -> Any:
        """Return the columns of use; a cell of another kind is missing.

        Parameters
        ----------
        frame : pandas DataFrame

        Returns
        -------
        read : pandas DataFrame
            Numbered from 0.
        """
        cells = {name: self._read(frame[name]).array for name in self.kinds}
        return import_pandas().DataFrame(cells)

    def _read(self, column: Any) -> Any:
        kind = self.kinds[column.name]
        if kind in ("numeric", "date") and _is_read(column):
            return column
        strings = _as_strings(column, self.notation)
        if kind == "numeric":
            return as_numbers(strings.dropna(), self.notation).reindex(strings.index)
        format_ = self.formats.get(column.name)
        if kind == "date" and format_ is not None:
            dates = dates_of(strings.dropna(), format_).dt.tz_localize(None)
            return dates.reindex(strings.index)
        return strings


def read_columns(
    frame: Any, *, text: Collection[str] = (), notation: Notation | None = None
) -> ReadTable:
    """Read strings as numbers or dates where all are, and say what each column holds.

    Parameters
    ----------
    frame : pandas DataFrame
        Without the labels.
    text : collection of str
        Columns to treat as texts in any case.
    notation : Notation or None
        How numbers and dates are written; None uses the notation of Python.

    Returns
    -------
    table : ReadTable

    Raises
    ------
    UserError
        If no column is left, or a cell holds more than one value.
    """
    pd = import_pandas()
    notation = notation or Notation()
    cells = {
        name: _read(frame[name], notation, is_text=name in text)
        for name in frame.columns
    }
    # By position: the index of the table says nothing about its rows.
    read = pd.DataFrame({name: column.array for name, column in cells.items()})
    columns = recognised_columns(read, text=text)
    found = columns.kinds | columns.dropped
    notes = [
        _note(frame[name], cells[name], found[name], notation)
        for name in frame.columns
        if name not in text
    ]
    kept = [note for note in notes if note]
    if not columns.kinds:
        reasons = [f"{name!r} {why}" for name, why in columns.dropped.items()][:3]
        lines = ["no column is left to score the labels by", *reasons, *kept]
        raise UserError("; ".join(lines))
    kinds = {word: columns.of_kind(kind) for kind, word in _WORDS.items()}
    used = [name for name in text if name in columns.kinds]
    return ReadTable(read[list(columns.kinds)], used, kinds, columns.dropped, kept)


def _read(column: Any, notation: Notation, *, is_text: bool) -> Any:
    """Return a column as numbers, dates or strings."""
    if is_text:
        return _as_strings(column, notation)
    if _is_read(column):
        return column
    strings = _as_strings(column, notation)
    present = strings.dropna()
    # The first cells rule out numbers for most columns of texts, without parsing all.
    if not as_numbers(present.iloc[:100], notation).isna().any():
        numbers = as_numbers(present, notation)
        if not numbers.isna().any():
            return numbers.reindex(strings.index)
    dates = as_dates(present, notation)
    if dates is None:
        return strings
    return dates.dt.tz_localize(None).reindex(strings.index)


def _is_read(column: Any) -> bool:
    """Return whether a column holds numbers, dates or time spans, not texts."""
    types = import_pandas().api.types
    is_date = types.is_datetime64_any_dtype(column)
    return bool(
        is_date or types.is_numeric_dtype(column) or types.is_timedelta64_dtype(column)
    )


def _note(column: Any, read: Any, found: str, notation: Notation) -> str | None:
    """Return a remark for the user on a column of strings, or None."""
    types = import_pandas().api.types
    taken_as = {"names the rows": "names of rows", **_WORDS}.get(found)
    is_date = types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(read)
    if taken_as is None or is_date or types.is_numeric_dtype(read):
        return None
    present = _as_strings(column, notation).dropna()
    if found == "date":
        return ambiguous_dates(column.name, present, notation)
    return advice(column.name, present, taken_as, notation)


def _as_strings(column: Any, notation: Notation) -> Any:
    """Return the cells as strings, None where missing, numbered from 0."""
    pd = import_pandas()
    missing = column.isna().to_numpy()
    cells = np.full(len(column), None, dtype=object)
    for row in np.flatnonzero(~missing):
        cell = column.iat[row]
        if isinstance(cell, list | tuple | dict | set | np.ndarray):
            raise UserError(
                f"column {column.name!r} holds several values a cell "
                f"({type(cell).__name__}); split them into columns, or drop it by "
                f"{option('drop', [str(column.name)])}"
            )
        text = str(cell)
        cells[row] = None if text in notation.missing else text
    return pd.Series(cells, name=column.name, dtype=object)
