"""Prodigy and doccano: a JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sknoisy.cleaning._tools._tasks import Tasks, as_text
from sknoisy.cleaning._tools._votes import Vote, carried_by, only_choice

__all__ = [
    "doccano_files",
    "doccano_votes",
    "is_of_doccano",
    "is_of_prodigy",
    "prodigy_files",
    "prodigy_votes",
]


def prodigy_files(tasks: Tasks) -> dict[str, str]:
    """Return tasks of the interface "choice", the suggestion chosen beforehand.

    Parameters
    ----------
    tasks : Tasks

    Returns
    -------
    texts : dict of str to str
        By the ending of the file.
    """
    options = [{"id": name, "text": name} for name in tasks.classes]
    key = "image" if tasks.kind == "image" else "text"
    return _lines(
        {
            key: as_text(content),
            "options": options,
            "accept": [row["suggested_label"]],
            "meta": {"given": row["given_label"], "score": row["score"]},
            **row,
        }
        for row, content in zip(tasks.rows, tasks.contents, strict=True)
    )


def prodigy_votes(records: list[dict[str, Any]], column: str | None) -> Iterator[Vote]:
    """Yield the answers of an export of Prodigy.

    Parameters
    ----------
    records : list of dict
    column : str or None
        Not used: the answer is in "accept".

    Yields
    ------
    vote : Vote

    Raises
    ------
    ValueError
        If a label was rejected in the interface "classification", which does not say
        what the label should be.
    """
    for number, task in enumerate(records, start=1):
        if not task.get("answer"):
            continue
        row = carried_by(task, number, "its keys")
        by = task.get("_annotator_id") or task.get("_session_id") or ""
        order = task.get("_timestamp") or 0, number
        yield Vote(row, _prodigy_answer(task, row), str(by), order)


def is_of_prodigy(records: list[dict[str, Any]]) -> bool:
    """Return whether records are tasks of Prodigy."""
    return any(
        {"answer", "options", "_task_hash"} & record.keys() for record in records
    )


def doccano_files(tasks: Tasks) -> dict[str, str]:
    """Return texts to import, without a label: doccano does not say who kept one.

    Parameters
    ----------
    tasks : Tasks

    Returns
    -------
    texts : dict of str to str
        By the ending of the file.

    Raises
    ------
    ValueError
        If the rows are images, which doccano reads from files.
    """
    if tasks.kind == "image":
        raise ValueError("doccano reads images from files of their own, not from JSON.")
    return _lines(
        {"text": as_text(content), "label": [], **row}
        for row, content in zip(tasks.rows, tasks.contents, strict=True)
    )


def doccano_votes(records: list[dict[str, Any]], column: str | None) -> Iterator[Vote]:
    """Yield the labels of an export of doccano as JSONL.

    Parameters
    ----------
    records : list of dict
    column : str or None
        The key of the labels.

    Yields
    ------
    vote : Vote

    Raises
    ------
    ValueError
        If there are ids of labels, or CSV, which joins labels by "#".
    """
    for number, record in enumerate(records, start=1):
        labels = record.get(column or "label")
        if not labels:
            continue
        row = carried_by(record, number, "its keys")
        if isinstance(labels, str):
            raise ValueError(
                f"row {row['row']} has the text {labels!r} instead of a list of "
                "labels: doccano's CSV joins labels by '#', which a label may also "
                "have. Export JSONL."
            )
        if not all(isinstance(label, str) for label in labels):
            raise ValueError(
                f"row {row['row']} has ids of labels, {labels!r}, not their names, as "
                "old versions of doccano export them; export with a newer one."
            )
        yield Vote(row, only_choice(labels, row), order=(number,))


def is_of_doccano(records: list[dict[str, Any]]) -> bool:
    """Return whether records are those of doccano's JSONL."""
    return any(isinstance(record.get("label"), list) for record in records)


def _prodigy_answer(task: dict[str, Any], row: dict[str, Any]) -> str | None:
    answer = task["answer"]
    if answer not in ("accept", "reject", "ignore"):
        raise ValueError(
            f"row {row['row']} has the answer {answer!r}; it must be accept, reject or "
            "ignore."
        )
    is_choice = "options" in task or "accept" in task
    if answer == "reject" and not is_choice:
        raise ValueError(
            f"for row {row['row']} the label {task.get('label')!r} was rejected, but "
            "nobody said which is right; use the interface 'choice', as "
            "LabelReport.export writes it."
        )
    if answer != "accept":
        # In "choice", a rejection is about the question, not about an option.
        return None
    return only_choice(task.get("accept", []) if is_choice else [task["label"]], row)


def _lines(records: Iterable[dict[str, Any]]) -> dict[str, str]:
    return {".jsonl": "".join(json.dumps(record) + "\n" for record in records)}
