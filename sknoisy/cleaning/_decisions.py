"""Decisions about rows: what a person says of the labels of an audit."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknoisy.cleaning._report_csv import is_formula
from sknoisy.cleaning._report_tables import load_pandas
from sknoisy.cleaning._row_checksums import row_checksums

__all__ = [
    "COLUMNS",
    "KINDS",
    "check_rows",
    "checked_decisions",
    "class_named",
    "unquoted",
]

COLUMNS = (
    "row",
    "row_sha256",
    "given_label",
    "decision",
    "new_label",
    "sample",
    "sample_probability",
    "audit_id",
)
_REQUIRED = COLUMNS[:4]
KINDS = ("keep", "relabel", "exclude", "unsure")
_SAMPLE = re.compile(r"((rank|stratum) [1-9]\d*)?", re.ASCII)
# A spreadsheet may write a whole number with a fraction.
_WHOLE = re.compile(r"\d+(\.0*)?", re.ASCII)


def checked_decisions(frame: Any) -> Any:
    """Return a frame of strings as decisions, or say what is wrong with it.

    Parameters
    ----------
    frame : pandas DataFrame
        Its cells are strings. Of ``COLUMNS``, the first four are needed.

    Returns
    -------
    decisions : pandas DataFrame
        As `read_decisions` returns them.

    Raises
    ------
    ValueError
        If a column is missing or a decision is not valid.
    """
    missing = [name for name in _REQUIRED if name not in frame.columns]
    if missing:
        raise ValueError(
            f"decisions have no column {missing[0]!r}; they need {', '.join(_REQUIRED)}"
            ", and new_label for the decision relabel."
        )
    # Reindexing keeps the order of our columns and drops those of others.
    frame = frame.reindex(columns=list(COLUMNS), fill_value="").astype(object)
    frame["decision"] = frame["decision"].str.strip().str.lower()
    # Not made yet.
    frame = frame[frame["decision"] != ""].reset_index(drop=True)
    for number, row in enumerate(frame.itertuples(index=False), start=1):
        problem = _problem(row)
        if problem:
            raise ValueError(f"decision {number}: {problem}")
    frame["row"] = np.array([int(float(row)) for row in frame["row"]], dtype=np.int64)
    probability = frame["sample_probability"].str.replace(",", ".")
    frame["sample_probability"] = (
        load_pandas().to_numeric(probability).astype(np.float64)
    )
    return _sorted_once(frame)


def check_rows(
    decisions: Any, X: Any, labels: Any, given: NDArray[Any], what: str = "the table"
) -> None:
    """Refuse decisions about other rows than those of a table.

    Parameters
    ----------
    decisions : pandas DataFrame
        As `read_decisions` returns them.
    X, labels : array-like
        As `row_checksums` takes them.
    given : ndarray of shape (n_samples,)
        The given labels.
    what : str, default="the table"
        Name of the table in messages.

    Raises
    ------
    ValueError
        If there is no such row, or it has another label or content.
    """
    rows = decisions["row"].to_numpy()
    beyond = rows >= len(given)
    if beyond.any():
        raise ValueError(
            f"there is a decision about row {rows[beyond][0]}, but {what} has "
            f"{len(given):,} rows, counted from 0: rows were removed since the audit, "
            "or the decisions are about another table."
        )
    decided = decisions["given_label"].tolist()
    pairs = zip(rows, decided, strict=True)
    is_other = np.array([not _is_same(name, given[row]) for row, name in pairs], bool)
    if is_other.any():
        first = int(np.argmax(is_other))
        raise ValueError(
            f"row {rows[first]} of {what} has the label {str(given[rows[first]])!r}, "
            f"but the decision was about the given label {decided[first]!r} "
            f"({_count(is_other)}): {what} has changed since the audit."
        )
    expected = decisions["row_sha256"].str.strip().str.lower().to_numpy(dtype=object)
    is_other = np.array(row_checksums(X, labels, rows), dtype=object) != expected
    if is_other.any():
        raise ValueError(
            f"row {rows[np.argmax(is_other)]} of {what} is not the row that was "
            f"reviewed: it has the same label, but other cells ({_count(is_other)}): "
            f"{what} has changed since the audit."
        )


def class_named(name: str, names: dict[str, Any]) -> Any:
    """Return the label of a name, which a spreadsheet may have got with a ``'``.

    Parameters
    ----------
    name : str
    names : dict of str to label

    Returns
    -------
    label : any
        None if there is none.
    """
    return names.get(name if name in names else unquoted(name))


def unquoted(name: str) -> str:
    """Return a name without the ``'`` that keeps a spreadsheet from running it."""
    return name[1:] if name.startswith("'") and is_formula(name[1:]) else name


def _is_same(name: str, label: Any) -> bool:
    return class_named(name, {str(label): True}) is not None


def _count(is_other: NDArray[np.bool_]) -> str:
    return f"{is_other.sum():,} of {len(is_other):,} decided rows differ"


def _problem(row: Any) -> str | None:
    """Return what is wrong with a decision, or None."""
    if not _WHOLE.fullmatch(row.row):
        return f"row must be a number from 0; got {row.row!r}."
    if row.decision not in KINDS:
        return f"decision must be one of {', '.join(KINDS)}; got {row.decision!r}."
    if row.decision == "relabel" and not row.new_label:
        return "relabel needs a new_label; it is empty."
    if row.decision != "relabel" and row.new_label:
        return f"new_label is for relabel only; got {row.new_label!r}."
    if not _SAMPLE.fullmatch(row.sample):
        return f"sample must be empty, 'rank 1' or 'stratum 1'; got {row.sample!r}."
    return _probability_problem(row)


def _probability_problem(row: Any) -> str | None:
    text = row.sample_probability
    try:
        is_valid = text == "" or 0 < float(text.replace(",", ".")) <= 1
    except ValueError:
        is_valid = False
    if not is_valid:
        return f"sample_probability must be empty or in (0, 1]; got {text!r}."
    if row.sample.startswith("stratum") and text == "":
        return f"sample_probability is empty, but sample is {row.sample!r}."
    return None


def _sorted_once(frame: Any) -> Any:
    twice = frame["row"].duplicated()
    if twice.any():
        row = frame["row"][twice].iloc[0]
        raise ValueError(f"there are two decisions about row {row}; keep one of them.")
    return frame.sort_values("row", ignore_index=True)
