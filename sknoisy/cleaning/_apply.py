"""Tables with changed labels, by decisions of people or by the scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknoisy._codes import encode_labels
from sknoisy._frame_on_disk import FrameOnDisk
from sknoisy._rows import is_frame
from sknoisy._selected_rows import rows_of
from sknoisy.cleaning._decisions import KINDS, class_named
from sknoisy.cleaning._report_tables import ReportTables, load_pandas

__all__ = [
    "LABEL_BEFORE",
    "Changes",
    "changed_table",
    "changes_by_decisions",
    "changes_by_score",
    "check_labels_of",
    "labelled_table",
    "names_of_labels",
]

LABEL_BEFORE = "sknoisy_label_before"


@dataclass(frozen=True)
class Changes:
    """What to change in a table.

    Attributes
    ----------
    new_labels : dict of int to label
        By the position of the row.
    excluded : ndarray of shape (n_excluded,), dtype int64
        Positions of rows to drop.
    counts : dict of str to int
        Number of decisions of each kind.
    """

    new_labels: dict[int, Any]
    excluded: NDArray[np.int64]
    counts: dict[str, int]


def changes_by_decisions(
    decisions: Any, names: dict[str, Any], *, allow_new: bool = False
) -> Changes:
    """Return the changes that decisions ask for.

    Parameters
    ----------
    decisions : pandas DataFrame
        As `read_decisions` returns them.
    names : dict of str to label
        The labels of the table by their names.
    allow_new : bool, default=False
        Whether a new label may be one that the table does not have.

    Returns
    -------
    changes : Changes

    Raises
    ------
    ValueError
        If a new label is unknown, or is new although labels are not strings.
    """
    kinds, rows = decisions["decision"].to_numpy(), decisions["row"].to_numpy()
    new_labels = {}
    for place in np.flatnonzero(kinds == "relabel"):
        name = decisions["new_label"].iloc[place]
        label = class_named(name, names)
        if label is None:
            label = _new_label(name, int(rows[place]), names, allow_new)
        new_labels[int(rows[place])] = label
    counts = {kind: int((kinds == kind).sum()) for kind in KINDS}
    return Changes(new_labels, rows[kinds == "exclude"].astype(np.int64), counts)


def changes_by_score(
    report: ReportTables, action: str, above: float | None, names: dict[str, Any]
) -> Changes:
    """Return the changes that the detector suggests.

    Parameters
    ----------
    report : ReportTables
    action : {"drop", "relabel"}
    above : float or None
        Only flagged rows with a larger score; None: all flagged rows.
    names : dict of str to label

    Returns
    -------
    changes : Changes
    """
    frame = report.frame
    where = frame["is_label_issue"].to_numpy()
    if above is not None:
        where = where & (frame[report.score_name].to_numpy() > above)
    rows = np.flatnonzero(where)
    if action == "drop":
        return Changes({}, rows, {"exclude": len(rows)})
    suggested = frame["suggested_label"].to_numpy()
    given = frame["given_label"].to_numpy()
    rows = rows[suggested[rows] != given[rows]]
    new_labels = {int(row): names[str(suggested[row])] for row in rows}
    return Changes(new_labels, np.empty(0, dtype=np.int64), {"relabel": len(rows)})


def changed_table(
    table: Any, label: str, changes: Changes, *, label_before: bool = False
) -> Any:
    """Return a copy of a table with changed labels and without excluded rows.

    Parameters
    ----------
    table : pandas or polars DataFrame
    label : str
        Its column of labels.
    changes : Changes
    label_before : bool, default=False
        True adds a last column "sknoisy_label_before" with the labels as they were.

    Returns
    -------
    table : pandas or polars DataFrame
        With the same columns in the same order, and the same kind of labels.

    Raises
    ------
    ValueError
        If the table already has a column "sknoisy_label_before".
    """
    if label_before and LABEL_BEFORE in table.columns:
        raise ValueError(
            f"the table already has a column {LABEL_BEFORE!r}; rename or drop it."
        )
    before = table[label]
    fixed = _with_column(table, label, _replaced(before, changes.new_labels))
    if label_before:
        fixed = _with_column(fixed, LABEL_BEFORE, before)
    is_kept = np.ones(len(table), dtype=bool)
    is_kept[changes.excluded] = False
    return rows_of(fixed, np.flatnonzero(is_kept))


def labelled_table(report: Any) -> tuple[Any, str]:
    """Return the table of a report and the name of its column of labels.

    Parameters
    ----------
    report : LabelReport

    Returns
    -------
    table : pandas or polars DataFrame
        The table that was audited; else the frame X with a last column of labels;
        else, if X is no frame, that column alone.
    label : str
        The name of y, else "label".

    Raises
    ------
    ValueError
        If the frame X already has a column of this name, or the table is on disk.
    """
    if isinstance(report.table, FrameOnDisk):
        raise ValueError(
            "the table was too large for max_memory and stayed on disk; pass a table "
            "that was read, and the name of its column of labels."
        )
    if report.table is not None:
        return report.table, report.label
    label = getattr(report.y, "name", None) or "label"
    if not is_frame(report.X):
        labels = _label_array(report)
        frame = load_pandas().DataFrame({label: labels}, index=report.frame.index)
        return frame, label
    if label in report.X.columns:
        raise ValueError(
            f"X has a column {label!r}, so the labels need another name; pass the "
            "whole table and the name of its column of labels."
        )
    if hasattr(report.X, "iloc"):
        return report.X.assign(**{str(label): _label_array(report)}), label
    labels = report.frame["given_label"].tolist()
    series = report.X[report.X.columns[0]].__class__(label, labels)
    return report.X.with_columns(series), label


def names_of_labels(column: Any, given: NDArray[Any]) -> dict[str, Any]:
    """Return the labels of a column by their names.

    Parameters
    ----------
    column : pandas or polars Series
    given : ndarray of shape (n_samples,)
        The same labels, as they are named.

    Returns
    -------
    names : dict of str to label
    """
    values = column.tolist() if hasattr(column, "tolist") else column.to_list()
    return {str(name): value for name, value in zip(given, values, strict=True)}


def check_labels_of(table: Any, label: str, given: NDArray[Any]) -> None:
    """Refuse a table that has other labels than those that were scored.

    Raises
    ------
    ValueError
    """
    if label not in table.columns:
        raise ValueError(f"the table has no column {label!r}.")
    if len(table) != len(given):
        raise ValueError(
            f"the table has {len(table):,} rows, but {len(given):,} labels were scored."
        )
    classes, codes = encode_labels(table[label])
    is_other = np.array([str(name) for name in classes], dtype=object)[codes] != (
        np.array([str(name) for name in given], dtype=object)
    )
    if is_other.any():
        row = int(np.argmax(is_other))
        raise ValueError(
            f"row {row} of the table has the label {str(classes[codes[row]])!r}, but "
            f"{str(given[row])!r} was scored; pass the table that was audited."
        )


def _new_label(name: str, row: int, names: dict[str, Any], allow_new: bool) -> str:
    known = ", ".join(repr(other) for other in list(names)[:10])
    if not allow_new:
        raise ValueError(
            f"the new label of row {row} is {name!r}, which the table does not have; "
            f"it has {known}{', ...' if len(names) > 10 else ''}. If it is a new "
            "class, allow new labels."
        )
    if not all(isinstance(label, str) for label in names.values()):
        raise ValueError(
            f"the new label of row {row} is {name!r}, but a new class needs labels "
            f"that are strings; the table has {known}."
        )
    return name


def _label_array(report: Any) -> Any:
    """Return the labels in the kind of y, to be set by position."""
    if hasattr(report.y, "array"):
        return report.y.array
    return report.frame["given_label"].array


def _with_column(table: Any, name: str, column: Any) -> Any:
    if hasattr(table, "iloc"):
        copy = table.copy()
        # By position: an index may repeat.
        copy[name] = column.array
        return copy
    return table.with_columns(column.alias(name))


def _replaced(column: Any, new_labels: dict[int, Any]) -> Any:
    if not new_labels:
        return column
    rows, labels = list(new_labels), list(new_labels.values())
    if not hasattr(column, "iloc"):
        values = column.to_list()
        for row, label in new_labels.items():
            values[row] = label
        return column.__class__(column.name, values, dtype=column.dtype)
    if hasattr(column, "cat"):
        new = [
            name for name in dict.fromkeys(labels) if name not in column.cat.categories
        ]
        column = column.cat.add_categories(new)
    column = column.copy()
    # With its type: pandas refuses a list of integers for a column of int8.
    column.iloc[rows] = load_pandas().array(labels, dtype=column.dtype)
    return column
