"""Label Studio: tasks with predictions, and exports as JSON, JSON-MIN and CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import quoteattr

from sknoisy.cleaning._report_page import FORBIDDEN
from sknoisy.cleaning._tools._tasks import AGENT, Tasks
from sknoisy.cleaning._tools._votes import Vote, carried_by, only_choice

__all__ = ["is_of_label_studio", "label_studio_files", "label_studio_votes"]

# What the editor replaces by data of the task, also in choices.
_VARIABLE = re.compile(r"\$[\w\[\].{}]")
# Of the control with the choices.
_CONTROL = "label"
_TAGS = {"text": "Text", "columns": "Table", "image": "Image"}


def label_studio_files(tasks: Tasks) -> dict[str, str]:
    """Return the tasks to import, and the labelling config of the project.

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
        If Label Studio cannot show the name of a class.
    """
    found: list[dict[str, Any]] = [
        {
            "data": {tasks.kind: content, **row},
            "predictions": [
                {
                    "model_version": AGENT,
                    "score": row["score"],
                    "result": [
                        {
                            "from_name": _CONTROL,
                            "to_name": tasks.kind,
                            "type": "choices",
                            "value": {"choices": [row["suggested_label"]]},
                        }
                    ],
                }
            ],
        }
        for row, content in zip(tasks.rows, tasks.contents, strict=True)
    ]
    return {".json": json.dumps(found, indent=1) + "\n", ".xml": _config(tasks)}


def label_studio_votes(
    records: list[dict[str, Any]], column: str | None
) -> Iterator[Vote]:
    """Yield the answers of an export.

    Parameters
    ----------
    records : list of dict
        Tasks, or the flat records of JSON-MIN and CSV: one for each annotation.
    column : str or None
        The control with the choices.

    Yields
    ------
    vote : Vote
    """
    flat = [r for r in records if r.get("annotation_id") not in (None, "")]
    name = column or _CONTROL
    if flat and not any(name in record for record in flat):
        # A control of another name would look as if all had skipped.
        raise ValueError(
            f"no annotation has the key {name!r}; pass the name of the control with "
            "the labels as column."
        )
    for number, record in enumerate(records, start=1):
        if isinstance(record.get("data"), dict):
            yield from _votes_of_task(record, number, column)
        else:
            yield from _votes_of_flat(record, number, name)


def is_of_label_studio(records: list[dict[str, Any]]) -> bool:
    """Return whether records are tasks or annotations of Label Studio."""
    flat = {"annotation_id", "annotator"}
    return any(
        isinstance(record.get("data"), dict) or flat <= record.keys()
        for record in records
    )


def _config(tasks: Tasks) -> str:
    for name in tasks.classes:
        if FORBIDDEN.search(name):
            raise ValueError(
                f"the label {name!r} has a character that XML forbids; Label Studio "
                "cannot show it."
            )
        if _VARIABLE.search(name):
            raise ValueError(
                f"the label {name!r} has a '$', after which Label Studio expects the "
                "name of a variable; use another tool, or rename the label."
            )
    choices = "\n".join(f"    <Choice value={quoteattr(c)}/>" for c in tasks.classes)
    return (
        "<View>\n"
        f'  <{_TAGS[tasks.kind]} name="{tasks.kind}" value="${tasks.kind}"/>\n'
        f'  <Choices name="{_CONTROL}" toName="{tasks.kind}" choice="single" '
        'required="true">\n'
        f"{choices}\n  </Choices>\n</View>\n"
    )


def _votes_of_task(
    task: dict[str, Any], number: int, column: str | None
) -> Iterator[Vote]:
    # Predictions may have been reduced to their ids, and drafts are no answers.
    annotations = task.get("annotations") or []
    if not annotations:
        return
    row = carried_by(task["data"], number, "data")
    for annotation in annotations:
        if not isinstance(annotation, dict):
            raise ValueError(
                f"record {number} has ids instead of annotations; export it as JSON "
                "with all annotations."
            )
        by = annotation.get("completed_by")
        by = by.get("id", by.get("email")) if isinstance(by, dict) else by
        answer = (
            None
            if annotation.get("was_cancelled")
            else only_choice(_choices(annotation, row, column), row)
        )
        # A ground truth that was skipped says nothing of the label.
        is_truth = bool(annotation.get("ground_truth")) and answer is not None
        yield Vote(row, answer, str(by), _order(annotation, "id"), is_truth)


def _choices(
    annotation: dict[str, Any], row: dict[str, Any], column: str | None
) -> list[str]:
    found: dict[str, list[str]] = {}
    for result in annotation.get("result") or []:
        if result.get("type") == "choices":
            chosen = result["value"]["choices"]
            chosen = [chosen] if isinstance(chosen, str) else chosen
            found.setdefault(result["from_name"], []).extend(chosen)
    if column is None and len(found) > 1 and _CONTROL not in found:
        raise ValueError(
            f"row {row['row']} has choices of {' and '.join(map(repr, found))}; say "
            "which are the labels by column."
        )
    name = next(iter(found), _CONTROL) if len(found) == 1 else _CONTROL
    return found.get(column or name, [])


def _votes_of_flat(record: dict[str, Any], number: int, column: str) -> Iterator[Vote]:
    if record.get("annotation_id") in (None, ""):
        return
    row = carried_by(record, number, "its keys")
    label = record.get(column)
    if isinstance(label, str) and label.startswith('{"choices"'):
        label = json.loads(label)
    if isinstance(label, dict):
        answer = only_choice(label.get("choices", []), row)
    else:
        answer = None if label in (None, "") else str(label)
    by = str(record.get("annotator"))
    yield Vote(row, answer, by, _order(record, "annotation_id"))


def _order(annotation: dict[str, Any], id_: str) -> tuple[Any, ...]:
    """Return what says which of two annotations is newer."""
    times: Iterable[Any] = (annotation.get("updated_at"), annotation.get("created_at"))
    text = next((time for time in times if time), None)
    if text is None:
        moment = datetime.min.replace(tzinfo=UTC)
    else:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment, float(annotation.get(id_) or 0)
