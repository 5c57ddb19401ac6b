"""The rows to look at, as every tool gets them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sknoisy._rows import is_frame, plain_rows
from sknoisy._selected_rows import loaded_rows_of
from sknoisy.cleaning._report_images import data_uri, displayable
from sknoisy.cleaning._report_tables import ReportTables
from sknoisy.cleaning._review_content import are_images, channels_first

__all__ = ["AGENT", "Tasks", "as_text", "tasks_of"]

# Whose suggestions they are.
AGENT = "sknoisy"


@dataclass(frozen=True)
class Tasks:
    """Rows to look at.

    Attributes
    ----------
    rows : list of dict
        What decisions need of each row, by the names of their columns; also
        suggested_label, and score, which is the score of the report. No value is None.
    kind : {"text", "columns", "image"}
        What the contents are.
    contents : list of str or dict
        Texts, data URIs of images, or values by the names of the columns.
    classes : list of str
        The names of the classes.
    """

    rows: list[dict[str, Any]]
    kind: str
    contents: list[Any]
    classes: list[str]


def tasks_of(report: Any, sample: Any, X: Any) -> Tasks:
    """Return the rows of a sample with their contents.

    Parameters
    ----------
    report : LabelReport
    sample : pandas DataFrame
        As `LabelReport.sample_for_review` returns it.
    X : array-like of shape (n_samples, ...) or None
        What to show of each row.

    Returns
    -------
    tasks : Tasks
    """
    index = sample["row"].to_numpy()
    kind, contents = _contents(X, index)
    classes = [str(name) for name in report.classes]
    return Tasks(_carried(report, sample, index), kind, contents, classes)


def as_text(content: Any) -> str:
    """Return contents as one text: a line for each column of a table."""
    if not isinstance(content, dict):
        return content
    return "\n".join(
        f"{name}: {'' if value is None else value}" for name, value in content.items()
    )


def _carried(
    report: ReportTables, sample: Any, index: NDArray[np.int64]
) -> list[dict[str, Any]]:
    audit = report.audit_id  # type: ignore[attr-defined]
    sums = report.row_checksums(index)  # type: ignore[attr-defined]
    rows = []
    for sha, row in zip(sums, sample.itertuples(index=False), strict=True):
        carried = {
            "row": int(row.row),
            "row_sha256": sha,
            "given_label": str(row.given_label),
            "suggested_label": str(row.suggested_label),
            "score": round(float(getattr(row, report.score_name)), 6),
            "sample": row.sample,
            "audit_id": audit,
        }
        if not math.isnan(row.sample_probability):
            carried["sample_probability"] = float(row.sample_probability)
        rows.append(carried)
    return rows


def _contents(X: Any, index: NDArray[np.int64]) -> tuple[str, list[Any]]:
    if X is None:
        return "text", [f"row {row}" for row in index]
    part = loaded_rows_of(X, index)
    part = part.toarray() if issparse(part) else plain_rows(part)
    if is_frame(part):
        names = [str(name) for name in part.columns]
        columns = [_values(part, place) for place in range(len(names))]
        if len(names) == 1 and all(isinstance(value, str) for value in columns[0]):
            return "text", columns[0]
        return "columns", [_named(names, row) for row in zip(*columns, strict=True)]
    if getattr(part, "ndim", 1) == 2:
        names = [f"feature {place}" for place in range(part.shape[1])]
        return "columns", [_named(names, row) for row in part.tolist()]
    if are_images(part):
        images = [displayable(channels_first(np.asarray(image))) for image in part]
        return "image", [data_uri(image) for image in images]
    return "text", [str(text) for text in part]


def _values(frame: Any, place: int) -> list[Any]:
    if hasattr(frame, "iloc"):
        column = frame.iloc[:, place].astype(object)
        return column.where(column.notna(), None).tolist()
    return frame[frame.columns[place]].to_list()


def _named(names: list[str], row: Any) -> dict[str, Any]:
    return {name: _plain(value) for name, value in zip(names, row, strict=True)}


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if isinstance(value, str | bool | int | float | None) else str(value)
