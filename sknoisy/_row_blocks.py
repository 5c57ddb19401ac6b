"""Rows that are stored in blocks, each of which is read whole."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sknoisy._row_source import RowSource

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["BLOCK_BYTES", "HELD_BYTES", "BlockRows", "row_dtype"]

# Of blocks that are kept after they were read.
HELD_BYTES = 64 * 2**20
# A good size of what is read at a time.
BLOCK_BYTES = 4 * 2**20


def row_dtype(dtype: np.dtype[Any], n_dims: int) -> np.dtype[Any]:
    """Return the dtype in which estimators read numbers.

    Parameters
    ----------
    dtype : numpy dtype
        As they are stored.
    n_dims : int
        Dimensions, that of the rows included.

    Returns
    -------
    dtype : numpy dtype
        uint8 for images of bytes, else float32.
    """
    is_bytes = n_dims == 4 and dtype == np.uint8
    return np.dtype(np.uint8 if is_bytes else np.float32)


class BlockRows(RowSource):
    """Rows of blocks: in order, each block is read once; few blocks stay in memory.

    Random order would read each block again and again. Before a training, rows that
    take more than `HELD_BYTES` are therefore copied once, block by block, to a
    temporary file, and fetched from there until the program or the object ends.

    A subclass calls ``_set_blocks`` and has `read`.

    Parameters
    ----------
    temporary_folder : path-like or None, default=None
        Folder of that file; None is that of `tempfile`.
    """

    fetch_bytes = BLOCK_BYTES
    # Of blocks in memory. Rows that take more are copied before a training.
    held_bytes = HELD_BYTES

    def __init__(self, temporary_folder: str | os.PathLike[str] | None = None) -> None:
        self.temporary_folder = temporary_folder
        # Path and process of a copy on disk, and the copy.
        self._copied: tuple[str, int] | None = None
        self._copy: NDArray[Any] | None = None
        self._held: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._forget()

    def _set_blocks(self, bounds, row_shape, dtype):
        """Set the shape; block i has the rows from bounds[i] to bounds[i + 1]."""
        self.bounds = np.asarray(bounds, dtype=np.int64)
        self.shape = (int(self.bounds[-1]), *row_shape)
        self.dtype = row_dtype(np.dtype(dtype), len(self.shape))

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows of one block.

        Parameters
        ----------
        start, stop : int
            First row, and the row after the last one.

        Returns
        -------
        rows : ndarray of shape (stop - start, ...)
        """
        raise NotImplementedError

    def pieces(self) -> Iterator[NDArray[Any]]:
        """Yield all rows in order, some at a time.

        Yields
        ------
        rows : ndarray of shape (n, ...)
        """
        for start, stop in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            yield self.read(int(start), int(stop))

    def fetch(self, index: ArrayLike) -> NDArray[Any]:
        """Return some rows."""
        numbers = np.asarray(index)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(
                f"row numbers from {numbers.min()} to {numbers.max()}, but there are "
                f"{len(self)} rows."
            )
        if self._reopened():
            return np.take(cast("NDArray[Any]", self._copy), numbers, axis=0)
        rows = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        blocks = np.searchsorted(self.bounds, numbers, side="right") - 1
        order = np.argsort(blocks, kind="stable")
        cuts = np.flatnonzero(np.diff(blocks[order])) + 1
        for places in np.split(order, cuts) if len(order) else ():
            block = blocks[places[0]]
            rows[places] = self._block(block)[numbers[places] - self.bounds[block]]
        return rows

    def before_shuffling(self) -> None:
        """Copy the rows to a file, unless the blocks fit in memory."""
        if self.nbytes <= self.held_bytes or self._reopened():
            return
        folder = Path(self.temporary_folder or tempfile.gettempdir())
        free = shutil.disk_usage(folder).free
        if self.nbytes > free:
            raise OSError(
                f"to train in random order, {self.nbytes / 2**20:,.0f} MiB of "
                f"{type(self).__name__} are copied to a temporary file, but {folder} "
                f"has {free / 2**20:,.0f} MiB left. Set temporary_folder to one with "
                "more room, or TMPDIR."
            )
        self._copied = _written(self, folder), os.getpid()
        self._forget()
        self._reopened()
        # A process that was forked must not remove it.
        self._remover = weakref.finalize(self, _remove, *self._copied)

    def _reopened(self):
        """Return whether there is a copy, and open it; another process may have it."""
        if self._copied is not None and self._copy is None:
            with suppress(FileNotFoundError):
                self._copy = np.memmap(self._copied[0], self.dtype, "r", 0, self.shape)
        return self._copy is not None

    def _block(self, number):
        with self._lock:
            if number not in self._held:
                bounds = self.bounds[number : number + 2].tolist()
                self._held[number] = self.read(*bounds)
                while len(self._held) > 1 and self._bytes_held() > self.held_bytes:
                    self._held.popitem(last=False)
            self._held.move_to_end(number)
            return self._held[number]

    def _bytes_held(self):
        return sum(block.nbytes for block in self._held.values())

    def _forget(self):
        self._held = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        left_out = ("_held", "_lock", "_copy", "_remover")
        state = {k: v for k, v in vars(self).items() if k not in left_out}
        return {**state, "_copy": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()


def _written(source, folder):
    """Write all rows to a new file; return its path."""
    handle, path = tempfile.mkstemp(prefix="sknoisy-rows-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            for rows in source.pieces():
                np.ascontiguousarray(rows, dtype=source.dtype).tofile(file)
    except BaseException:
        os.unlink(path)
        raise
    return path


def _remove(path, process):
    if os.getpid() == process:
        with suppress(OSError):
            os.unlink(path)
