"""A CSV with an id and a label in each line, for spreadsheets and other programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from sknoisy.cleaning._report_csv import csv_text, without_formulas
from sknoisy.cleaning._report_tables import load_pandas
from sknoisy.cleaning._tools._tasks import Tasks
from sknoisy.cleaning._tools._votes import Vote, carried_by

__all__ = ["csv_files", "csv_votes", "has_our_ids", "is_of_csv"]

# Columns of decisions that must not be those of the table.
_OWN = ("row", "row_sha256", "sample_probability", "decision", "new_label")
_ID = re.compile(r"(\d+)-([0-9a-f]{64})", re.ASCII)


def csv_files(tasks: Tasks) -> dict[str, str]:
    """Return a table whose column "label" is to be filled in.

    Parameters
    ----------
    tasks : Tasks

    Returns
    -------
    texts : dict of str to str
        By the ending of the file.
    """
    pd = load_pandas()
    rows = pd.DataFrame(tasks.rows)
    # In one cell, so that a line that is moved or copied stays about its row.
    ids = rows.pop("row").astype(str) + "-" + rows.pop("row_sha256")
    head = pd.DataFrame({"id": ids, "label": ""})
    contents = tasks.contents
    if tasks.kind != "columns":
        contents = [{tasks.kind: content} for content in contents]
    shown = pd.DataFrame(contents)
    taken = {*head.columns, *rows.columns, *_OWN}
    names = [f"{name}_in_table" if name in taken else name for name in shown.columns]
    parts = [head, rows, shown.set_axis(names, axis=1)]
    return {".csv": csv_text(without_formulas(pd.concat(parts, axis=1)))}


def csv_votes(
    records: list[dict[str, Any]], column: str | None, report: Any
) -> Iterator[Vote]:
    """Yield the labels of lines that have one.

    Parameters
    ----------
    records : list of dict
    column : str or None
        The column of the new labels, "label" if None.
    report : LabelReport or None
        Needed for ids that are not those of `csv_files`: then they are those of the
        index of the report.

    Yields
    ------
    vote : Vote

    Raises
    ------
    ValueError
        If an id is unknown, or it is not known to which row it belongs.
    """
    column = column or "label"
    for name in ("id", column):
        if records and name not in records[0]:
            names = ", ".join(map(repr, list(records[0])[:10]))
            raise ValueError(f"there is no column {name!r}; there are {names}.")
    labelled = [record for record in records if record[column] not in (None, "")]
    places = _places([str(record["id"]).strip() for record in labelled], report)
    for number, record in enumerate(labelled, start=1):
        id_ = str(record["id"]).strip()
        own = _ID.fullmatch(id_)
        row = {**record, "row": own[1], "row_sha256": own[2]} if own else places[id_]
        if own and report is not None and "given_label" not in record:
            row["given_label"] = _given(report, int(own[1]))
        # Lines have no time: two that differ are two opinions.
        carried = carried_by(row, number, "its columns")
        yield Vote(carried, str(record[column]), by=str(number))


def has_our_ids(records: list[dict[str, Any]]) -> bool:
    """Return whether records are those of `csv_files`, whatever else they have."""
    first = records[0] if records else {}
    return "label" in first and bool(_ID.fullmatch(str(first.get("id")).strip()))


def is_of_csv(records: list[dict[str, Any]]) -> bool:
    """Return whether records have an id and a label, and nothing of another tool."""
    return bool(records) and {"id", "label"} <= records[0].keys()


def _places(ids: list[str], report: Any) -> dict[str, dict[str, Any]]:
    """Return what decisions need of the rows with some ids of the index of a report."""
    ids = [id_ for id_ in dict.fromkeys(ids) if not _ID.fullmatch(id_)]
    if not ids:
        return {}
    if report is None:
        raise ValueError(
            f"the id {ids[0]!r} is not one that LabelReport.export wrote; pass the "
            "report whose index has these ids."
        )
    index = [str(name) for name in report.frame.index]
    places = {name: place for place, name in enumerate(index)}
    if len(places) != len(index):
        raise ValueError("the index of the report repeats, so its ids name no row.")
    for id_ in ids:
        if id_ not in places:
            raise ValueError(f"the id {id_!r} is not in the index of the report.")
    rows = np.array([places[id_] for id_ in ids], dtype=np.int64)
    return {
        id_: {"row": int(row), "row_sha256": sha, "given_label": _given(report, row)}
        for id_, row, sha in zip(ids, rows, report.row_checksums(rows), strict=True)
    }


def _given(report: Any, place: int) -> str:
    if place >= len(report.frame):
        raise ValueError(
            f"there is an id of row {place}, but the report has "
            f"{len(report.frame):,} rows, counted from 0."
        )
    return str(report.frame["given_label"].iloc[place])
