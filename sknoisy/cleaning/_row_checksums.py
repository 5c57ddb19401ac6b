"""Checksums of rows, to recognise a row that was reviewed."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknoisy._rows import is_frame, plain_rows
from sknoisy._selected_rows import loaded_rows_of

__all__ = ["audit_id", "row_checksums"]

_ID_LENGTH = 16
# Whole numbers up to here are the same as floats and as integers.
_LARGEST_EXACT = 2.0**53


def row_checksums(X: Any, labels: Any, index: NDArray[np.int64]) -> list[str]:
    """Return the SHA-256 of some rows.

    It depends on the values of a row and on their order, but not on the names of the
    columns, on the type of the container, and on whether a whole number is stored as an
    integer or as a float.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...) or None
        A frame, a matrix, texts or images. None counts as rows without content.
    labels : sequence of length n_samples or None
        Given labels, which count as the last value of each row. None if X has them.
    index : ndarray of shape (n_rows,), dtype int64
        Positions of the rows.

    Returns
    -------
    checksums : list of str
        64 hexadecimal digits for each of them.
    """
    cells = [[] for _ in index] if X is None else _cells(X, index)
    if labels is not None:
        cells = [[*row, _plain(labels[i])] for row, i in zip(cells, index, strict=True)]
    return [_digest(row) for row in cells]


def audit_id(
    given: NDArray[Any], scores: NDArray[np.float64], flags: NDArray[np.bool_]
) -> str:
    """Return what tells the findings of one audit from those of another.

    Parameters
    ----------
    given : ndarray of shape (n_samples,)
        The labels.
    scores : ndarray of shape (n_samples,), dtype float64
        Rounded to six digits.
    flags : ndarray of shape (n_samples,), dtype bool

    Returns
    -------
    id : str
        16 hexadecimal digits.
    """
    labels = [str(label) for label in given]
    rounded = np.round(scores, 6).tolist()
    return _digest([labels, rounded, flags.tolist()])[:_ID_LENGTH]


def _digest(values: list[Any]) -> str:
    text = json.dumps(values, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _cells(X: Any, index: NDArray[np.int64]) -> list[list[Any]]:
    """Return the values of each row, as JSON has them."""
    part = loaded_rows_of(X, index)
    if hasattr(part, "toarray") and not is_frame(part):
        part = part.toarray()
    part = plain_rows(part)
    if is_frame(part):
        # Column by column: a row of mixed columns would make floats of its integers.
        columns = [_column(part, place) for place in range(part.shape[1])]
        return [list(row) for row in zip(*columns, strict=True)]
    if getattr(part, "ndim", 1) == 2:
        return [[_plain(value) for value in row] for row in part.tolist()]
    return [[_plain(row)] for row in part]


def _column(frame: Any, place: int) -> list[Any]:
    if hasattr(frame, "iloc"):
        column = frame.iloc[:, place]
        missing = column.isna().tolist()
        values = column.tolist()
        return [
            None if gap else _plain(value)
            for value, gap in zip(values, missing, strict=True)
        ]
    return [_plain(value) for value in frame[frame.columns[place]].to_list()]


def _plain(value: Any) -> Any:
    """Return a value as null, a bool, a number, a string, or its bytes as a digest."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _number(value)
    if hasattr(value, "__array__"):
        array = np.ascontiguousarray(value)
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        return [array.dtype.str, list(array.shape), digest]
    return str(value)


def _number(value: float) -> Any:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return str(value)
    if value.is_integer() and abs(value) <= _LARGEST_EXACT:
        return int(value)
    return value
