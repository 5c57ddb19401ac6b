"""Datasets of Hugging Face: columns for people, their answers, changed labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sknoisy._labels import is_of
from sknoisy.cleaning._apply import LABEL_BEFORE, Changes
from sknoisy.cleaning._tools._votes import Vote, carried_by

__all__ = [
    "REVIEWED",
    "changed_dataset",
    "dataset_votes",
    "dataset_with_columns",
    "is_dataset",
    "values_by_name",
]

# The column for answers, which is empty where nobody looked.
REVIEWED = "reviewed_label"


def is_dataset(value: Any) -> bool:
    """Return whether a value is a dataset of Hugging Face.

    Raises
    ------
    TypeError
        If it is a dict of datasets, or one without a length.
    """
    if not is_of(value, "datasets"):
        return False
    if isinstance(value, dict) or not hasattr(value, "select"):
        raise TypeError(
            f"got a {type(value).__name__}; pass one datasets.Dataset, such as one of "
            "its splits."
        )
    return True


def values_by_name(dataset: Any, label: str, given: Sequence[Any]) -> dict[str, Any]:
    """Return the labels of a dataset by the names that a report has for them.

    Parameters
    ----------
    dataset : datasets.Dataset
    label : str
        Its column of labels.
    given : sequence of length n_samples
        The labels of the report: the values of the column, or names of a ClassLabel.

    Returns
    -------
    values : dict of str to value

    Raises
    ------
    ValueError
        If these are not the labels of the dataset.
    """
    if label not in dataset.column_names:
        raise ValueError(f"the dataset has no column {label!r}.")
    values = _column(dataset, label)
    if len(values) != len(given):
        raise ValueError(
            f"the dataset has {len(values):,} rows, but {len(given):,} labels were "
            "scored."
        )
    return {
        name: value
        for value, name in _names(dataset.features[label], values, given).items()
    }


def dataset_with_columns(
    dataset: Any, label: str, given: Sequence[Any], columns: dict[str, Any]
) -> Any:
    """Return a dataset with more columns, of labels and of other values.

    Parameters
    ----------
    dataset : datasets.Dataset
    label : str
        Its column of labels.
    given : sequence of length n_samples
        The labels of the report.
    columns : dict of str to list
        Those whose name ends in "_label" have names of labels, or None, and become
        columns of the same kind as the labels.

    Returns
    -------
    dataset : datasets.Dataset

    Raises
    ------
    ValueError
        If it has such a column already, or other labels.
    """
    by_name = values_by_name(dataset, label, given)
    taken = [name for name in columns if name in dataset.column_names]
    if taken:
        raise ValueError(f"the dataset already has a column {taken[0]!r}; remove it.")
    for name, values in columns.items():
        if name.endswith("_label"):
            values = [None if v is None else by_name[str(v)] for v in values]
            dataset = _with_column(dataset, name, values, dataset.features[label])
        else:
            dataset = dataset.add_column(name, values)
    return dataset


def dataset_votes(dataset: Any, column: str | None, report: Any) -> Iterator[Vote]:
    """Yield the answers of a column.

    Parameters
    ----------
    dataset : datasets.Dataset
        With the columns of `LabelReport.to_dataset`, and any rows in any order.
    column : str or None
        None takes "reviewed_label", which is empty where nobody looked. In any other
        column, a label that was not changed is no answer.
    report : LabelReport
        Has the names of the labels.

    Yields
    ------
    vote : Vote

    Raises
    ------
    ValueError
        If columns are missing, or are about rows that the report does not have.
    """
    if report is None:
        raise ValueError("decisions in a datasets.Dataset need the report.")
    column = column or REVIEWED
    for name in ("row", "row_sha256", "given_label", column):
        if name not in dataset.column_names:
            raise ValueError(
                f"the dataset has no column {name!r}; LabelReport.to_dataset adds the "
                "columns that decisions need."
            )
    rows = np.array(_column(dataset, "row"), dtype=np.int64)
    all_given = report.frame["given_label"].to_numpy()
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(all_given):
        raise ValueError(
            f"the dataset has rows up to {rows.max()}, but the report has "
            f"{len(all_given):,} rows, counted from 0."
        )
    before = _column(dataset, "given_label")
    names = _names(dataset.features[column], before, all_given[rows])
    kept = [n for n in ("sample", "sample_probability") if n in dataset.column_names]
    extra = {name: _column(dataset, name) for name in ("row_sha256", *kept)}
    for place, answer in enumerate(_column(dataset, column)):
        # Both mean that there is no label.
        if answer is None or (answer == -1 and answer not in names):
            continue
        if column != REVIEWED and answer == before[place]:
            continue
        row = {name: values[place] for name, values in extra.items()}
        row |= {"row": int(rows[place]), "given_label": str(all_given[rows[place]])}
        carried = carried_by(row, place + 1, "its columns")
        yield Vote(carried, _name(answer, names, dataset.features[column]))


def changed_dataset(
    dataset: Any, label: str, changes: Changes, *, label_before: bool = False
) -> Any:
    """Return a dataset with changed labels and without excluded rows.

    Parameters
    ----------
    dataset : datasets.Dataset
    label : str
    changes : Changes
    label_before : bool, default=False

    Returns
    -------
    dataset : datasets.Dataset
        With the same columns in the same order, and the same kind of labels.

    Raises
    ------
    ValueError
        If there already is a column "sknoisy_label_before".
    """
    names, feature = dataset.column_names, dataset.features[label]
    if label_before and LABEL_BEFORE in names:
        raise ValueError(
            f"the dataset already has a column {LABEL_BEFORE!r}; rename or remove it."
        )
    before = _column(dataset, label)
    values = list(before)
    for row, value in changes.new_labels.items():
        values[row] = value
    changed = _with_column(dataset.remove_columns(label), label, values, feature)
    changed = changed.select_columns(names)
    if label_before:
        changed = _with_column(changed, LABEL_BEFORE, before, feature)
    excluded = {*changes.excluded.tolist()}
    return changed.select([row for row in range(len(values)) if row not in excluded])


def _column(dataset: Any, name: str) -> list[Any]:
    # Without the format, which may make tensors of it.
    return list(dataset.with_format(None)[name])


def _with_column(dataset: Any, name: str, values: list[Any], feature: Any) -> Any:
    # With its feature: a cast would show a progress bar.
    return dataset.add_column(name, values, feature=feature)


def _names(feature: Any, values: list[Any], given: Sequence[Any]) -> dict[Any, str]:
    """Return the names that a report has for the values of a column.

    A report may have been made from codes or from names. Only its labels tell which:
    a class may have the code of another one as its name.
    """
    scored = [str(name) for name in given]
    if not hasattr(feature, "names"):
        _refuse_others(values, [str(value) for value in values], scored)
        return dict(zip(values, scored, strict=True))
    codes = {code: str(code) for code in range(len(feature.names))}
    names = dict(enumerate(feature.names))
    fits = [
        way for way in (names, codes) if [way.get(value) for value in values] == scored
    ]
    if not fits:
        _refuse_others(values, [str(names.get(value)) for value in values], scored)
    if len(fits) == 2 and names != codes:
        # Which of the two it is matters for labels of no row.
        return dict(zip(values, scored, strict=True))
    return fits[0]


def _name(value: Any, names: dict[Any, str], feature: Any) -> str:
    if value in names or not hasattr(feature, "names"):
        return names.get(value, str(value))
    raise ValueError(
        f"the label {value!r} is {feature.names[value]!r} by its name, and "
        f"{str(value)!r} by its code; the rows do not tell which the report has."
    )


def _refuse_others(values: list[Any], names: list[str], scored: list[str]) -> None:
    for row, (value, name) in enumerate(zip(values, names, strict=True)):
        if name != scored[row]:
            shown = repr(value) if str(value) == name else f"{value!r} ({name!r})"
            raise ValueError(
                f"row {row} of the dataset has the label {shown}, but "
                f"{scored[row]!r} was scored; pass the dataset that was audited."
            )
