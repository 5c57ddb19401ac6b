"""The nearest rows of two classes beside a row, and what is usual in a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sknoisy._codes import encode_labels
from sknoisy._rows import is_frame, plain_rows
from sknoisy._selected_rows import loaded_rows_of

__all__ = ["Neighbours", "codes_of", "nearest_rows", "neighbours", "usual_rows"]

_N_NEAREST = 2

# Rows among which neighbours are looked for, and by which it is counted what is usual:
# of all classes, and the limits for one.
_N_USUAL, _MAX_USUAL, _MIN_USUAL = 6000, 1000, 50
# Pixels along a side of an image, when images are compared.
_SIDE = 16


@dataclass(frozen=True)
class Neighbours:
    """The rows beside each row, and what they are called.

    Attributes
    ----------
    names : list of tuple of str
        For each row the names of the given and of the suggested class; the second is
        "" if it is the same.
    codes : list of tuple of int
        The two classes.
    rows : list of tuple of list of int
        Positions of their nearest rows.
    usual : dict of int to ndarray of dtype int64
        Rows by which to say what is usual in a class.
    """

    names: list[tuple[str, str]]
    codes: list[tuple[int, int]]
    rows: list[tuple[list[int], list[int]]]
    usual: dict[int, NDArray[np.int64]]


def neighbours(report: Any, index: NDArray[np.int64], X: Any) -> Neighbours:
    """Return what is beside some rows of a report.

    Parameters
    ----------
    report : LabelReport
    index : ndarray of shape (n_rows,), dtype int64
    X : array-like of shape (n_samples, ...) or None
        What to find the nearest rows by; None finds none.

    Returns
    -------
    beside : Neighbours
    """
    codes = codes_of(report)
    pairs = codes[:, index]
    flags = report.frame["is_label_issue"].to_numpy()
    usual = usual_rows(codes[0], flags, pairs.ravel())
    both = [nearest_rows(X, index, pair, usual, _N_NEAREST) for pair in pairs]
    names = [str(name) for name in report.classes]
    return Neighbours(
        [(names[g], names[s] if g != s else "") for g, s in pairs.T],
        [(int(g), int(s)) for g, s in pairs.T],
        list(zip(*both, strict=True)),
        usual,
    )


def codes_of(report: Any) -> NDArray[np.int64]:
    """Return the given and the suggested labels as positions in the classes.

    Parameters
    ----------
    report : LabelReport

    Returns
    -------
    codes : ndarray of shape (2, n_samples), dtype int64
    """
    columns = ("given_label", "suggested_label")
    frame = report.frame
    return np.stack([encode_labels(frame[c], report.classes)[1] for c in columns])


def usual_rows(
    codes: NDArray[np.int64], is_flagged: NDArray[np.bool_], needed: NDArray[np.int64]
) -> dict[int, NDArray[np.int64]]:
    """Return rows of each class whose labels are not in doubt.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.
    is_flagged : ndarray of shape (n_samples,), dtype bool
    needed : ndarray of shape (n_needed,), dtype int64
        The classes asked for.

    Returns
    -------
    rows : dict of int to ndarray of dtype int64
        From 50 to 1,000 of each class, evenly spaced. If each row of a class is
        flagged, of all its rows.
    """
    found, wanted = {}, np.unique(needed).tolist()
    most = min(max(_N_USUAL // max(len(wanted), 1), _MIN_USUAL), _MAX_USUAL)
    for code in wanted:
        rows = np.flatnonzero(codes == code)
        kept = rows[~is_flagged[rows]]
        rows = kept if len(kept) else rows
        step = np.linspace(0, len(rows) - 1, min(len(rows), most))
        found[code] = rows[np.unique(step.astype(np.int64))]
    return found


def nearest_rows(
    X: Any,
    index: NDArray[np.int64],
    classes: NDArray[np.int64],
    usual: dict[int, NDArray[np.int64]],
    n_nearest: int,
) -> list[list[int]]:
    """Return the nearest rows of a class for some rows.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...) or None
        Numbers, a frame, texts or images; None has no neighbours.
    index : ndarray of shape (n_rows,), dtype int64
        The rows.
    classes : ndarray of shape (n_rows,), dtype int64
        The class of the neighbours of each.
    usual : dict of int to ndarray of dtype int64
        Rows of each class, as `usual_rows` returns them.
    n_nearest : int

    Returns
    -------
    neighbours : list of list of int
        Positions, the nearest first; never the row itself.
    """
    if X is None:
        return [[] for _ in index]
    needed = np.unique(np.concatenate([index, *usual.values()]))
    vectors = _vectors(X, needed)
    place = dict(zip(needed.tolist(), range(len(needed)), strict=True))
    found: list[list[int]] = [[] for _ in index]
    for code, candidates in usual.items():
        asked = np.flatnonzero(classes == code)
        others = vectors[[place[row] for row in candidates.tolist()]]
        for number in asked:
            row = int(index[number])
            distance = np.sum((others - vectors[place[row]]) ** 2, axis=1)
            order = candidates[np.argsort(distance, kind="stable")]
            found[number] = order[order != row][:n_nearest].tolist()
    return found


def _vectors(X: Any, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return some rows as vectors on one scale."""
    part = loaded_rows_of(X, index)
    if not issparse(part):
        part = plain_rows(part)
    if is_frame(part):
        return _encoded(part)
    if issparse(part):
        part = part.toarray()
    if getattr(part, "ndim", 1) == 1:
        shapes = {np.shape(item) for item in part}
        if isinstance(part[0], str):
            return _encoded_texts(part)
        if len(shapes) > 1:
            # Images of several sizes; each has been resized by no one.
            part = [np.asarray(item) for item in part]
            least = min(item.size for item in part)
            part = [item.ravel()[:: item.size // least][:least] for item in part]
        part = np.stack([np.asarray(item) for item in part])
    array = np.asarray(part)
    if array.ndim > 2:
        steps = [max(1, size // _SIDE) for size in array.shape[1:]]
        array = array[(slice(None), *(slice(None, None, step) for step in steps))]
    array = np.nan_to_num(array.reshape(len(array), -1).astype(np.float64))
    if getattr(part, "ndim", 1) > 2:
        return array
    return (array - array.mean(axis=0)) / np.maximum(array.std(axis=0), 1e-12)


def _encoded(frame: Any, text: tuple[str, ...] = ()) -> NDArray[np.float64]:
    from sknoisy._tables._encoder import TableEncoder

    encoder = TableEncoder(text=text, random_state=0)
    try:
        return np.asarray(encoder.fit_transform(frame), dtype=np.float64)
    except (TypeError, ValueError):
        # No column tells rows apart: all are as near.
        return np.zeros((len(frame), 1))


def _encoded_texts(texts: Any) -> NDArray[np.float64]:
    import pandas as pd

    return _encoded(pd.DataFrame({"text": list(texts)}), ("text",))
