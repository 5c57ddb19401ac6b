"""What an audit read and used, beside its findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Audited"]


@dataclass(frozen=True)
class Audited:
    """What `audit` read and used.

    Attributes
    ----------
    source : str
        The file or folder, or "the frame".
    columns : dict of str to list of str
        Names of the columns that are "numeric", "date", "categorical" and "text";
        empty for images.
    left_out : dict of str to str
        Why each of the other columns is not used.
    notes : list of str
        Remarks on columns, labels and files.
    encoded : frame, ndarray or RowSource
        What the detector got.
    detector : estimator
        Fitted.
    read : frame or None
        All columns as numbers, dates and texts, without those that hold the answer, as
        the review page shows them; None shows X.
    encoder : str
        The network for images, and its number of features; else "".
    """

    source: str
    columns: dict[str, list[str]]
    left_out: dict[str, str]
    notes: list[str]
    encoded: Any
    detector: Any = None
    read: Any = None
    encoder: str = ""
