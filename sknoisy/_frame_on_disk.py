"""Frames whose rows stay on disk until some of them are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ChangedFrame", "FrameOnDisk"]


class FrameOnDisk:
    """A table of which some rows at a time are read, as a frame.

    A subclass has the attributes and `take`.

    Attributes
    ----------
    columns : list of str
    dtypes : list
        One for each column.
    shape : tuple of int
        Numbers of rows and of columns.
    bounds : ndarray of shape (n_blocks + 1,), dtype int64
        Of the blocks that are read at a time: the first row of each, and the number of
        rows.
    """

    columns: list[str]
    dtypes: list[Any]
    shape: tuple[int, int]
    bounds: NDArray[np.int64]

    def take(self, index: NDArray[np.int64]) -> Any:
        """Return some rows.

        Parameters
        ----------
        index : ndarray of shape (n,), dtype int64
            Positions of the rows.

        Returns
        -------
        rows : pandas DataFrame
            In the order of ``index``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method take.")

    def drop(self, columns: Iterable[str]) -> FrameOnDisk:
        """Return the table without some columns.

        Parameters
        ----------
        columns : iterable of str

        Returns
        -------
        table : FrameOnDisk
        """
        names = list(columns)
        return ChangedFrame(self, lambda frame: frame.drop(columns=names))

    def __len__(self) -> int:
        return self.shape[0]


class ChangedFrame(FrameOnDisk):
    """The rows of a table, changed by a function when they are read.

    Parameters
    ----------
    table : FrameOnDisk
    change : callable
        From a frame to a frame of as many rows.
    """

    def __init__(self, table: FrameOnDisk, change: Callable[[Any], Any]) -> None:
        self.table, self.change, self.bounds = table, change, table.bounds
        example = self.take(np.arange(1))
        self.columns = list(example.columns)
        self.dtypes = list(example.dtypes)
        self.shape = (len(table), len(self.columns))

    def take(self, index: NDArray[np.int64]) -> Any:
        """Return some rows."""
        return self.change(self.table.take(index))
