"""Checks of the column of labels, made before anything runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from sknoisy._option_names import option
from sknoisy._user_errors import UserError
from sknoisy.auditing._source import Source

# Groups of similar labels that are shown.
_N_GROUPS = 5

_NUMBERS = {"b": np.bool_, "i": np.int64, "u": np.uint64, "f": np.float64}


def check_labels(path: Source | str, labels: Any) -> Any:
    """Return labels that can be scored or corrupted, with their index.

    Parameters
    ----------
    path : Source or str
        The table, or the folder of images.
    labels : pandas Series

    Returns
    -------
    labels : pandas Series
        Numbers and booleans unchanged, everything else as strings.

    Raises
    ------
    UserError
        If a label is missing, there is only one class, or there are more than half as
        many classes as rows.
    """
    name = labels.name
    missing = labels.isna().to_numpy()
    if hasattr(labels, "cat"):
        labels = labels.astype(
            labels.cat.categories.dtype if not missing.any() else object
        )
    kind = labels.dtype.kind
    if kind not in _NUMBERS:
        labels = labels.astype(object).map(str)
        missing = missing | (labels.str.strip() == "").to_numpy()
    if missing.any():
        raise UserError(
            f"{path}: column {name!r} has {missing.sum()} missing label(s), the first "
            f"in row {np.argmax(missing)} (counted from 0); fill or delete these rows"
        )
    n_classes = labels.nunique()
    if n_classes == 1:
        raise UserError(
            f"{path}: column {name!r} has a single label, {labels.iloc[0]!r}; "
            "at least two are needed"
        )
    if 2 * n_classes > len(labels):
        raise UserError(
            f"{path}: column {name!r} has {n_classes} different values in "
            f"{len(labels)} rows; labels must occur at least twice on average"
        )
    if kind == "f" and (labels % 1 != 0).any():
        return labels.map(str)
    # numpy would treat the types of pandas and Arrow as objects.
    return labels.astype(_NUMBERS[kind]) if kind in _NUMBERS else labels


def label_is_needed() -> UserError:
    """Return the error for an audit without a column of labels."""
    return UserError(f"{option('label')} is needed: the column of the given labels")


def similar_labels(labels: Any) -> str | None:
    """Return a line on labels that differ only in spaces or case.

    Parameters
    ----------
    labels : pandas Series
        As `check_labels` returns them.

    Returns
    -------
    line : str or None
        None if there are none.
    """
    names: dict[str, list[str]] = {}
    for name in labels.unique():
        if isinstance(name, str):
            names.setdefault("".join(name.split()).casefold(), []).append(name)
    groups = [" and ".join(map(repr, same)) for same in names.values() if len(same) > 1]
    if not groups:
        return None
    more = ", ..." if len(groups) > _N_GROUPS else ""
    return (
        f"labels that differ only in spaces or case count as different: "
        f"{', '.join(groups[:_N_GROUPS])}{more}"
    )
