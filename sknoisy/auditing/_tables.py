"""The rows of a table, as an audit needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sknoisy._option_names import option
from sknoisy._rows import is_frame, refuse_no_rows
from sknoisy._user_errors import UserError
from sknoisy.auditing._columns import ReadTable, read_columns
from sknoisy.auditing._labels import check_labels, similar_labels
from sknoisy.auditing._notation import Notation
from sknoisy.auditing._reading import (
    check_columns,
    check_names,
    read_table,
    table_of_strings,
)
from sknoisy.auditing._source import Source

__all__ = [
    "Choices",
    "TableRows",
    "clean_name",
    "rows_of_file",
    "rows_of_frame",
    "used_columns",
]


@dataclass(frozen=True)
class Choices:
    """Which columns of a table to use, and how to read them.

    Attributes
    ----------
    label : str
        The column of labels.
    text, drop : tuple of str
        Columns that are texts in any case, and those to ignore.
    notation : Notation
        How numbers and dates are written.
    """

    label: str
    text: tuple[str, ...]
    drop: tuple[str, ...]
    notation: Notation


@dataclass(frozen=True)
class TableRows:
    """The rows of a table, read.

    Attributes
    ----------
    labels : pandas Series
        The given labels.
    features : ReadTable
        The columns of use.
    left_out : dict of str to str
        Why each of the other columns is not used.
    shown : pandas or polars DataFrame
        All columns but the labels.
    for_people : pandas DataFrame
        The same, with numbers as numbers, and without the answer.
    table : pandas or polars DataFrame or None
        The whole table.
    notes : list of str
    """

    labels: Any
    features: ReadTable
    left_out: dict[str, str]
    shown: Any
    for_people: Any
    table: Any
    notes: list[str]


def rows_of_file(source: Source, choices: Choices, *, keep_table: bool) -> TableRows:
    """Read the rows of a file.

    Parameters
    ----------
    source : Source
    choices : Choices
    keep_table : bool
        Whether to keep the whole table, of CSV as it is written.

    Returns
    -------
    rows : TableRows
    """
    frame = read_table(source, choices.label, as_strings=choices.notation.is_local)
    shown = frame.drop(columns=[choices.label])
    table = None
    if keep_table:
        # Read again as strings: 1.50 must not become 1.5.
        table = frame if source.is_parquet else table_of_strings(source)
    return _rows(str(source), frame, shown, table, choices)


def rows_of_frame(name: str, data: Any, choices: Choices) -> TableRows:
    """Read the rows of a frame, which stays as it is.

    Parameters
    ----------
    name : str
        What messages call it.
    data : pandas or polars DataFrame
    choices : Choices

    Returns
    -------
    rows : TableRows

    Raises
    ------
    TypeError
        If it is no frame.
    UserError
        If it has no such column of labels, no rows, or two columns of one name.
    """
    refuse_no_rows(data, "data")
    if not is_frame(data):
        raise TypeError(
            f"data is a {type(data).__name__}; pass a frame or a path. For texts, pass "
            'pandas.DataFrame({"text": texts, "label": labels}) and label="label".'
        )
    frame = data if hasattr(data, "iloc") else data.to_pandas()
    frame = check_names(name, frame, choices.label)
    own = next(column for column in data.columns if str(column) == choices.label)
    shown = data[[column for column in data.columns if column != own]]
    return _rows(name, frame, shown, data, choices)


def clean_name(label: str) -> str:
    """Return the name of the column where ``sknoisy inject`` keeps the true labels."""
    return f"{label}_clean"


def _rows(name: str, frame: Any, shown: Any, table: Any, choices: Choices) -> TableRows:
    labels = check_labels(name, frame[choices.label])
    used, left_out = used_columns(frame, choices)
    features = read_columns(used, text=choices.text, notation=choices.notation)
    similar = similar_labels(labels)
    return TableRows(
        labels,
        features,
        left_out | features.dropped,
        shown,
        _for_people(frame, features, choices.label),
        table,
        [*([similar] if similar else []), *features.notes],
    )


def used_columns(frame: Any, choices: Choices) -> tuple[Any, dict[str, str]]:
    """Return the columns to use, and why others are left out.

    Parameters
    ----------
    frame : pandas DataFrame
    choices : Choices

    Returns
    -------
    used : pandas DataFrame
    left_out : dict of str to str
    """
    known = [name for name in frame.columns if name != choices.label]
    check_columns(choices.drop, known, "drop")
    check_columns(choices.text, known, "text")
    both = sorted(set(choices.drop) & set(choices.text))
    if both:
        raise UserError(f"{option('text')} and {option('drop')} both name {both[0]!r}")
    left_out = dict.fromkeys(choices.drop, option("drop"))
    clean = clean_name(choices.label)
    if clean in known and clean not in choices.text:
        # It would reveal the true labels to the detector.
        left_out.setdefault(clean, "the true labels kept by sknoisy inject")
    return frame[[name for name in known if name not in left_out]], left_out


def _for_people(frame: Any, features: ReadTable, label: str) -> Any:
    shown = frame.drop(columns=[label, clean_name(label)], errors="ignore")
    read = features.frame
    return shown.assign(**{name: read[name].array for name in read.columns})
