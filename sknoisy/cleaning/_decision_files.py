"""Read decisions: those of the review page, and the exports of annotation tools."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sknoisy._regular_files import open_regular
from sknoisy.cleaning._decisions import COLUMNS, KINDS, checked_decisions
from sknoisy.cleaning._report_tables import ReportTables, load_pandas
from sknoisy.cleaning._tools._argilla import argilla_votes, is_of_argilla
from sknoisy.cleaning._tools._hugging_face import dataset_votes, is_dataset
from sknoisy.cleaning._tools._json_lines import (
    doccano_votes,
    is_of_doccano,
    is_of_prodigy,
    prodigy_votes,
)
from sknoisy.cleaning._tools._label_studio import (
    is_of_label_studio,
    label_studio_votes,
)
from sknoisy.cleaning._tools._plain_csv import csv_votes, has_our_ids, is_of_csv
from sknoisy.cleaning._tools._votes import Vote, decisions_of

__all__ = ["DECISION_FORMATS", "read_decisions"]

_Records = list[dict[str, Any]]
_VOTES: dict[str, Callable[[_Records, str | None], Iterable[Vote]]] = {
    "label-studio": label_studio_votes,
    "argilla": argilla_votes,
    "prodigy": prodigy_votes,
    "doccano": doccano_votes,
}
# In this order: our CSV may have columns that are keys of tools, and a CSV of Label
# Studio has an id and a label, too.
_IS_OF: tuple[tuple[str, Callable[[_Records], bool]], ...] = (
    ("sknoisy", lambda records: any("decision" in record for record in records)),
    ("csv", has_our_ids),
    ("label-studio", is_of_label_studio),
    ("argilla", is_of_argilla),
    ("prodigy", is_of_prodigy),
    ("doccano", is_of_doccano),
    ("csv", is_of_csv),
)
DECISION_FORMATS = ("sknoisy", *_VOTES, "csv")


def read_decisions(
    decisions: Any,
    *,
    tool: str | None = None,
    report: ReportTables | None = None,
    column: str | None = None,
    skipped: str = "unsure",
) -> Any:
    """Return decisions about labels, also from the files of annotation tools.

    A label that equals the given one becomes the decision keep, another one relabel.
    Rows that nobody looked at get no decision. Of several answers of one annotator the
    last one counts. If annotators differ, more than half of them decide, else the
    decision is unsure; an annotation that is marked as ground truth overrules others.

    Parameters
    ----------
    decisions : path, pandas DataFrame, list of dict or datasets.Dataset
        Decisions as the review page writes them, as CSV, or as JSON with a list of
        objects, or an object that has it as "decisions"; the columns from new_label on
        may be missing. Or the export of a tool, as JSON, JSONL or CSV. Annotators got
        the rows from `LabelReport.export`.
    tool : str, default=None
        "sknoisy", "label-studio" (JSON, JSON-MIN or CSV), "argilla", "prodigy",
        "doccano" or "csv". None recognises it by the names of its keys.
    report : LabelReport, default=None
        Needed for a datasets.Dataset with the columns of `LabelReport.to_dataset`, and
        for a CSV with ids of your own: the ids are then those of the index of its
        ``frame``. Such a CSV has no checksums, so that changed rows go unnoticed.
    column : str, default=None
        The control, question, key or column of the labels. None takes "label", or the
        only one there is; in a datasets.Dataset "reviewed_label".
    skipped : {"unsure", "exclude", "keep"}, default="unsure"
        The decision about rows that annotators skipped, discarded or ignored.

    Returns
    -------
    decisions : pandas DataFrame
        For `LabelReport.apply`, `LabelReport.noise_rate_interval` and ``sknoisy
        apply``. It has the columns row, row_sha256, given_label, decision, new_label,
        sample, sample_probability and audit_id, in the order of the rows: row is int64,
        sample_probability float64 (NaN where empty), all others are strings.

    Raises
    ------
    ValueError
        If it is not a table of decisions or an export, or one of them is not valid. The
        message has its row, or its number, counted from 1.
    OSError
        If the file cannot be read.

    Warns
    -----
    UserWarning
        If an export of Argilla does not say which answers are drafts.

    See Also
    --------
    LabelReport.export : Write the rows for annotators.

    Examples
    --------
    >>> from sknoisy.cleaning import read_decisions
    >>> row = {"row": 7, "row_sha256": "5f0c", "given_label": "ham"}
    >>> answer = {"accept": ["spam"], "answer": "accept"}
    >>> decisions = read_decisions([{**row, **answer}], tool="prodigy")
    >>> decisions[["row", "given_label", "decision", "new_label"]].values.tolist()
    [[7, 'ham', 'relabel', 'spam']]
    """
    if tool is not None and tool not in DECISION_FORMATS:
        raise ValueError(f"tool must be {_or(DECISION_FORMATS)}; got {tool!r}.")
    kinds = [kind for kind in KINDS if kind != "relabel"]
    if skipped not in kinds:
        raise ValueError(f"skipped must be {_or(kinds)}; got {skipped!r}.")
    if is_dataset(decisions):
        votes = dataset_votes(decisions, column, report)
        return checked_decisions(_of_records(decisions_of(votes, skipped)))
    found = _found(decisions)
    # A frame of decisions may have any columns; records of tools are not uniform.
    is_frame = not isinstance(found, list)
    records = found.to_dict("records") if is_frame else found
    tool = tool or next((n for n, is_of in _IS_OF if is_of(records)), "sknoisy")
    if tool != "sknoisy":
        try:
            found = decisions_of(_votes(records, tool, column, report), skipped)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f"this is no export of {tool}: {type(error).__name__}: {error}"
            ) from error
    return checked_decisions(_of_records(found) if isinstance(found, list) else found)


def _votes(
    records: _Records, tool: str, column: str | None, report: ReportTables | None
) -> Iterable[Vote]:
    if tool == "csv":
        return csv_votes(records, column, report)
    return _VOTES[tool](records, column)


def _or(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _found(decisions: Any) -> Any:
    """Return records, or a frame of strings."""
    if isinstance(decisions, load_pandas().DataFrame):
        return decisions.astype(object).where(decisions.notna(), "").map(_text)
    if isinstance(decisions, list):
        return _records(decisions)
    return _of_file(Path(decisions))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _records(records: list[Any]) -> _Records:
    if not all(isinstance(record, dict) for record in records):
        raise ValueError("decisions must be a list of objects, one for each row.")
    return records


def _of_records(records: _Records) -> Any:
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
        return _records(_json_list(path, text))
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        # Not splitlines: a string may have other line ends, such as U+2028.
        lines = [line for line in text.split("\n") if line.strip()]
        return _records([_json(path, line) for line in lines])
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    pd = load_pandas()
    try:
        return pd.read_csv(
            io.StringIO(text), sep=delimiter, dtype=str, keep_default_na=False
        ).astype(object)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is not valid CSV: {error}") from error


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


def _json_list(path: Path, text: str) -> list[Any]:
    found = _json(path, text)
    if isinstance(found, dict):
        found = found.get("decisions")
    if not isinstance(found, list):
        raise ValueError(f"{path} has no list of decisions.")
    return found
