"""Argilla 2: records with suggestions, and records with responses."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

from sknoisy._warning import warn_user
from sknoisy.cleaning._tools._tasks import AGENT, Tasks, as_text
from sknoisy.cleaning._tools._votes import Vote, carried_by, only_choice

__all__ = ["argilla_files", "argilla_votes", "is_of_argilla"]

_QUESTION = "label"
_ENDING = ".responses"


def argilla_files(tasks: Tasks) -> dict[str, str]:
    """Return the records that ``dataset.records.from_json`` reads.

    Parameters
    ----------
    tasks : Tasks

    Returns
    -------
    texts : dict of str to str
        By the ending of the file.
    """
    field = "image" if tasks.kind == "image" else "text"
    found = [
        {
            # Its own, or Argilla would take a random one.
            "id": f"{row['row']}-{row['row_sha256']}",
            "fields": {field: as_text(content)},
            "metadata": row,
            "suggestions": {
                _QUESTION: {
                    "value": row["suggested_label"],
                    "score": row["score"],
                    "agent": AGENT,
                }
            },
            "responses": {},
            "vectors": {},
        }
        for row, content in zip(tasks.rows, tasks.contents, strict=True)
    ]
    return {".json": json.dumps(found, indent=1) + "\n"}


def argilla_votes(records: list[dict[str, Any]], column: str | None) -> Iterator[Vote]:
    """Yield the answers of records, nested or flat.

    Parameters
    ----------
    records : list of dict
    column : str or None
        The question.

    Yields
    ------
    vote : Vote

    Warns
    -----
    UserWarning
        If the status of an answer is not known, as in nested records.
    """
    n_unknown = 0
    for number, record in enumerate(records, start=1):
        answers = _answers(record, column)
        if not answers:
            continue
        is_nested = "fields" in record
        where = record.get("metadata") if is_nested else record
        row = carried_by(where, number, "metadata")
        for value, user, status in answers:
            n_unknown += status is None
            if status == "draft":
                continue
            if status not in (None, "submitted", "discarded"):
                raise ValueError(
                    f"row {row['row']} has an answer with the status {status!r}; it "
                    "must be submitted, discarded or draft. Write the records as JSON."
                )
            chosen = value if isinstance(value, list) else [value]
            answer = None if status == "discarded" else only_choice(chosen, row)
            yield Vote(row, answer, str(user))
    if n_unknown:
        warn_user(
            f"{n_unknown} answer(s) have no status: to_json of Argilla does not write "
            "it. Drafts and discarded answers are taken as submitted; write "
            "to_list(flatten=True) as JSON instead."
        )


def is_of_argilla(records: list[dict[str, Any]]) -> bool:
    """Return whether records are those of Argilla."""
    return any(
        {"fields", "metadata"} <= record.keys()
        or any(key.endswith((_ENDING, ".suggestion")) for key in record)
        for record in records
    )


def _answers(record: dict[str, Any], column: str | None) -> list[tuple[Any, Any, Any]]:
    """Return value, user and status of each answer."""
    if "fields" in record:
        responses = record.get("responses") or {}
        question = column or _question(list(responses))
        found = responses.get(question) or []
        return [(a["value"], a.get("user_id"), a.get("status")) for a in found]
    names = [key.removesuffix(_ENDING) for key in record if key.endswith(_ENDING)]
    key = (column or _question(names)) + _ENDING
    values, users, statuses = (
        _list(record.get(name)) for name in (key, f"{key}.users", f"{key}.status")
    )
    if not len(values) == len(users) == len(statuses):
        raise ValueError(
            f"{key!r} has {len(values)} answers, of {len(users)} users, with "
            f"{len(statuses)} statuses; write the records as JSON."
        )
    return list(zip(values, users, statuses, strict=True))


def _question(names: list[str]) -> str:
    if _QUESTION not in names and len(names) > 1:
        raise ValueError(
            f"there are answers to {' and '.join(map(repr, names))}; say which are the "
            "labels by column."
        )
    return names[0] if len(names) == 1 else _QUESTION


def _list(value: Any) -> list[Any]:
    """Return a list, which CSV has as the text of a Python list."""
    if isinstance(value, str) and value:
        try:
            value = ast.literal_eval(value)
        except (SyntaxError, ValueError) as error:
            raise ValueError(
                f"{value[:60]!r} is no list of answers; write the records as JSON."
            ) from error
    return value or []
