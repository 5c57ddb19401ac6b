"""Decisions about rows: what a person says of the labels of an audit."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknoisy._regular_files import open_regular
from sknoisy.cleaning._report_csv import is_formula
from sknoisy.cleaning._report_tables import load_pandas
from sknoisy.cleaning._row_checksums import row_checksums

__all__ = ["COLUMNS", "KINDS", "check_rows", "class_named", "read_decisions"]

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


def read_decisions(decisions: Any) -> Any:
    """Return decisions as a checked frame.

    Parameters
    ----------
    decisions : path, pandas DataFrame or list of dict
        A CSV, or a JSON file with a list of objects, or an object that has it as
        "decisions". The columns are ``COLUMNS``; from new_label on they may be missing.

    Returns
    -------
    frame : pandas DataFrame
        With the columns ``COLUMNS`` in the order of the rows: row is int64,
        sample_probability float64 (NaN where empty), all others are strings. Without
        those whose decision is empty, because it has not been made yet.

    Raises
    ------
    ValueError
        If it is not a table of decisions, or one of them is not valid. The message has
        its number, counted from 1.
    OSError
        If the file cannot be read.
    """
    pd = load_pandas()
    if isinstance(decisions, pd.DataFrame):
        frame = decisions.astype(object).where(decisions.notna(), "").map(_text)
    elif isinstance(decisions, list):
        frame = _of_records(decisions)
    else:
        frame = _of_file(Path(decisions))
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
    frame["sample_probability"] = pd.to_numeric(probability).astype(np.float64)
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
    if name not in names and name.startswith("'") and is_formula(name[1:]):
        name = name[1:]
    return names.get(name)


def _is_same(name: str, label: Any) -> bool:
    return class_named(name, {str(label): True}) is not None


def _count(is_other: NDArray[np.bool_]) -> str:
    return f"{is_other.sum():,} of {len(is_other):,} decided rows differ"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _of_records(records: list[Any]) -> Any:
    if not all(isinstance(record, dict) for record in records):
        raise ValueError("decisions must be a list of objects, one for each row.")
    cells = [
        {str(key): "" if value is None else _text(value) for key, value in row.items()}
        for row in records
    ]
    frame = load_pandas().DataFrame(cells, columns=None if cells else list(COLUMNS))
    return frame.astype(object).fillna("")


def _of_file(path: Path) -> Any:
    with open_regular(path) as file:
        content = file.read()
    try:
        # A spreadsheet writes a byte order mark.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not encoded in UTF-8.") from error
    if path.suffix.lower() == ".json":
        return _of_records(_json_list(path, text))
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    pd = load_pandas()
    try:
        return pd.read_csv(
            io.StringIO(text), sep=delimiter, dtype=str, keep_default_na=False
        ).astype(object)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is not valid CSV: {error}") from error


def _json_list(path: Path, text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if isinstance(found, dict):
        found = found.get("decisions")
    if not isinstance(found, list):
        raise ValueError(f"{path} has no list of decisions.")
    return found


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
