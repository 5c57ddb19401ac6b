"""Containers of rows that are not arrays in memory, as row sources."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from sknoisy._labels import is_of
from sknoisy._row_blocks import BLOCK_BYTES, HELD_BYTES, BlockRows, row_dtype
from sknoisy._row_source import ForeignRows, RowSource, SelectedRows, is_row_source

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["as_row_source", "opened", "whole_array"]


def as_row_source(
    X: Any, *, temporary_folder: str | os.PathLike[str] | None = None
) -> RowSource:
    """Return rows as a `RowSource`, which is fetched by batches and not copied whole.

    Estimators call it themselves. Call it for what they do not see: to select rows with
    ``rows[index]``, in ``cross_validate``, or to set the folder of a copy.

    Parameters
    ----------
    X : array, memmap, zarr array, dask array, Hugging Face or torch Dataset, RowSource
        A Hugging Face Dataset has one column of images or of arrays, or only columns of
        numbers. A torch Dataset yields rows, or pairs that begin with a row. Whatever
        has a ``shape``, a length and ``fetch`` is also taken.
    temporary_folder : path-like or None, default=None
        Where zarr and dask arrays, and numbers of a Hugging Face Dataset, are copied to
        before they are read in random order, if they take more than 64 MiB. None is the
        folder of `tempfile`.

    Returns
    -------
    rows : RowSource
        X itself if it is one.

    Raises
    ------
    TypeError
        If X is of another kind, or has no numbers.
    ValueError
        If a Hugging Face Dataset has other columns, or if the chunks of a dask array
        have unknown sizes.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.datasets import as_row_source
    >>> rows = as_row_source(np.arange(12.0).reshape(6, 2))
    >>> rows, rows.fetch([4, 0])
    (<ArrayRows of shape (6, 2), float32>, array([[8., 9.],
           [0., 1.]], dtype=float32))
    """
    if isinstance(X, RowSource):
        return X
    if is_row_source(X):
        return ForeignRows(X)
    if _is_hugging_face(X):
        return _of_hugging_face(X, temporary_folder)
    if _is_torch_dataset(X):
        return TorchRows(X)
    if not _has_numbers(X):
        raise TypeError(
            f"X is a {type(X).__name__}, whose rows cannot be fetched by their "
            "numbers; pass an array, a memmap, a zarr or dask array, a Dataset of "
            "torch or Hugging Face, or a RowSource."
        )
    if is_of(X, "dask"):
        return DaskRows(X, temporary_folder)
    if is_of(X, "zarr"):
        return ZarrRows(X, temporary_folder)
    return ArrayRows(X)


def opened(X: Any) -> Any:
    """Return what is not in memory as a `RowSource`, anything else unchanged.

    Arrays on disk of at most 64 MiB are left, too: they are read faster as a whole, and
    estimators that need all rows take them.

    Parameters
    ----------
    X : object

    Returns
    -------
    X : object
    """
    if _is_hugging_face(X) or _is_torch_dataset(X):
        return as_row_source(X)
    if not (is_of(X, "dask") or is_of(X, "zarr") or _is_mapped(X)):
        return X
    if not _has_numbers(X) or len(X.shape) < 2:
        return X
    n_bytes = np.prod(X.shape, dtype=float) * row_dtype(X.dtype, X.ndim).itemsize
    # The size of a dask array may be unknown.
    return X if n_bytes <= HELD_BYTES else as_row_source(X)


def whole_array(X: Any) -> Any:
    """Return the array behind rows of a memmap, anything else unchanged.

    Where all rows are needed, a memmap is an array like any other: joblib hands large
    arrays to its processes as memmaps.

    Parameters
    ----------
    X : object

    Returns
    -------
    X : object
    """
    if isinstance(X, SelectedRows) and isinstance(X.source, ArrayRows):
        return X.load()
    return X.rows if isinstance(X, ArrayRows) else X


def _is_mapped(X):
    """Return whether the memory of an array is a file."""
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap):
            return X._mmap is not None
        X = X.base
    return False


_WHOLE = "sknoisy.datasets.as_row_source(X).load()"


class ArrayRows(RowSource):
    """The rows of an array, which may be a memmap.

    Parameters
    ----------
    rows : array-like of shape (n_rows, ...)
    """

    fetch_bytes = BLOCK_BYTES
    whole = _WHOLE

    def __init__(self, rows: Any) -> None:
        self.rows, self.shape = np.asarray(rows), tuple(rows.shape)
        self.dtype = row_dtype(self.rows.dtype, self.rows.ndim)
        if len(self.rows):
            some = self.fetch(np.linspace(0, len(self) - 1, 16, dtype=int))
            self.fingerprint = self.shape, zlib.crc32(some.tobytes())

    def fetch(self, index: ArrayLike) -> NDArray[Any]:
        """Return copies of some rows."""
        rows = np.take(self.rows, np.asarray(index), axis=0)
        with np.errstate(over="ignore"):
            return rows.astype(self.dtype, copy=False)


class ZarrRows(BlockRows):
    """The rows of a zarr array: blocks are whole chunks, of at least about 4 MiB.

    Parameters
    ----------
    array : zarr.Array
    temporary_folder : path-like or None, default=None
    """

    whole = _WHOLE

    def __init__(self, array: Any, temporary_folder: Any = None) -> None:
        super().__init__(temporary_folder)
        self.array = array
        # A shard is read as a whole.
        chunk = (getattr(array, "shards", None) or array.chunks)[0]
        row_bytes = max(1, int(np.prod(array.shape[1:])) * array.dtype.itemsize)
        step = chunk * max(1, BLOCK_BYTES // (chunk * row_bytes))
        bounds = [*range(0, array.shape[0], step), array.shape[0]]
        self._set_blocks(bounds, array.shape[1:], array.dtype)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows of one block."""
        return _numbers(self.array[start:stop], self.dtype)


class DaskRows(BlockRows):
    """The rows of a dask array: one block is computed at a time.

    Parameters
    ----------
    array : dask.array.Array
    temporary_folder : path-like or None, default=None

    Raises
    ------
    ValueError
        If the sizes of its chunks are unknown.
    """

    whole = _WHOLE

    def __init__(self, array: Any, temporary_folder: Any = None) -> None:
        super().__init__(temporary_folder)
        if np.isnan(array.shape).any():
            raise ValueError(
                "X is a dask array whose chunks have unknown sizes; call "
                "X.compute_chunk_sizes() first."
            )
        self.array = array
        bounds = np.concatenate([[0], np.cumsum(array.chunks[0], dtype=np.int64)])
        self._set_blocks(np.unique(bounds), array.shape[1:], array.dtype)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows of one block."""
        return _numbers(self.array[start:stop].compute(), self.dtype)


class ColumnRows(BlockRows):
    """Numbers in columns of a Hugging Face Dataset.

    Parameters
    ----------
    rows : datasets.Dataset
    columns : list of str
        One of arrays, or several of numbers.
    temporary_folder : path-like or None, default=None
    """

    whole = _WHOLE

    def __init__(self, rows: Any, columns: list[str], temporary_folder: Any) -> None:
        super().__init__(temporary_folder)
        self.rows, self.columns = rows.with_format("numpy", columns=columns), columns
        first = self._read(0, 1)
        step = max(1, BLOCK_BYTES // max(1, first.nbytes))
        bounds = [*range(0, len(rows), step), len(rows)]
        self._set_blocks(bounds, first.shape[1:], first.dtype)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows of one block."""
        return _numbers(self._read(start, stop), self.dtype)

    def _read(self, start, stop):
        part = self.rows[start:stop]
        if len(self.columns) > 1:
            return np.column_stack([part[name] for name in self.columns])
        (rows,) = (np.asarray(part[name]) for name in self.columns)
        if rows.dtype == object:
            raise ValueError(
                f"rows {start} to {stop - 1} of column {self.columns[0]!r} differ in "
                "length; every row needs the same shape."
            )
        return rows[:, None] if rows.ndim == 1 else rows


class PictureRows(RowSource):
    """The images of a Hugging Face Dataset, decoded when they are fetched.

    Parameters
    ----------
    rows : datasets.Dataset
    column : str
    """

    whole = _WHOLE

    def __init__(self, rows: Any, column: str) -> None:
        self.rows, self.column = rows.with_format(None), column
        first = self.fetch([0])
        self.shape, self.dtype = (len(rows), *first.shape[1:]), first.dtype

    def fetch(self, index: ArrayLike) -> NDArray[Any]:
        """Return some images."""
        numbers = np.asarray(index).tolist()
        if not numbers:
            return np.empty((0, *self.shape[1:]), self.dtype)
        rows = [_channels_first(p) for p in self.rows[numbers][self.column]]
        return _stacked(rows, numbers, f"column {self.column!r}")


class TorchRows(RowSource):
    """The rows of a torch Dataset.

    Parameters
    ----------
    rows : torch.utils.data.Dataset
        It yields rows, or pairs that begin with a row.

    Raises
    ------
    TypeError
        If it has no length, or yields something else.
    """

    # It may draw from torch's global generator.
    reads_ahead = False
    whole = _WHOLE

    def __init__(self, rows: Any) -> None:
        if not hasattr(rows, "__len__"):
            raise TypeError(
                f"{type(rows).__name__} has no length: a Dataset must know how many "
                "rows it has (__len__), and yield each by its number (__getitem__)."
            )
        self.rows, first = rows, np.zeros((1, 1), np.float32)
        if len(rows):
            first = self._raw([0])
        self.shape = (len(rows), *first.shape[1:])
        self.dtype = row_dtype(first.dtype, first.ndim)

    def fetch(self, index: ArrayLike) -> NDArray[Any]:
        """Return some rows."""
        numbers = np.asarray(index).tolist()
        if not numbers:
            return np.empty((0, *self.shape[1:]), self.dtype)
        return _numbers(self._raw(numbers), self.dtype)

    def _raw(self, numbers):
        rows = [_row_of(self.rows[number]) for number in numbers]
        return _stacked(rows, numbers, type(self.rows).__name__)


def _row_of(item):
    """Return the row of an item of a torch Dataset as an array."""
    row = item[0] if isinstance(item, tuple | list) else item
    row = _channels_first(row) if hasattr(row, "getbands") else np.asarray(row)
    if row.dtype.kind not in "biuf" or not row.ndim:
        raise TypeError(
            f"the Dataset yields {type(item).__name__}; it must yield rows of numbers, "
            "or pairs of a row and its label."
        )
    return row


def _channels_first(picture):
    """Return a PIL image as an array (channels, height, width)."""
    return np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1)


def _stacked(rows, numbers, name):
    """Return rows as one array; refuse those of another shape than the first."""
    for number, row in zip(numbers, rows, strict=True):
        if row.shape != rows[0].shape:
            raise ValueError(
                f"row {number} of {name} has shape {row.shape}, and row {numbers[0]} "
                f"{rows[0].shape}; every row needs the same shape."
            )
    return np.stack(rows)


def _numbers(rows, dtype):
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(rows, dtype=dtype)


def _is_torch_dataset(X):
    return is_of(X, "torch") and hasattr(X, "__getitem__") and not hasattr(X, "grad_fn")


def _is_hugging_face(X):
    return is_of(X, "datasets") and hasattr(X, "features") and hasattr(X, "select")


def _has_numbers(X):
    kind = getattr(getattr(X, "dtype", None), "kind", None)
    return kind is not None and kind in "biuf" and hasattr(X, "__getitem__")


def _of_hugging_face(X, temporary_folder):
    """Return rows of the one column of images or arrays, or of columns of numbers."""
    kinds = {name: _kind(feature) for name, feature in X.features.items()}
    wide = [name for name, kind in kinds.items() if kind in ("images", "arrays")]
    numbers = [name for name, kind in kinds.items() if kind == "numbers"]
    if len(X) and len(wide) == 1 and not numbers:
        if kinds[wide[0]] == "images":
            return PictureRows(X, wide[0])
        return ColumnRows(X, wide, temporary_folder)
    if len(X) and numbers and len(numbers) == len(kinds):
        return ColumnRows(X, numbers, temporary_folder)
    if not len(X):
        raise ValueError("Found array with 0 sample(s): the Dataset is empty.")
    columns = ", ".join(f"{name!r} ({kind})" for name, kind in kinds.items())
    raise ValueError(
        f"the Dataset has the columns {columns}. X needs one of images or of arrays, "
        "or only such of numbers: pass X.select_columns([...]), and the labels as y."
    )


def _kind(feature):
    """Return what a column has, in a word."""
    name = type(feature).__name__
    if name == "Image":
        return "images"
    if name == "ClassLabel":
        return "labels"
    inner = feature
    while hasattr(inner, "feature"):
        inner = inner.feature
    dtype = str(getattr(inner, "dtype", ""))
    if not dtype.startswith(("int", "uint", "float", "bool")):
        return "no numbers"
    return "numbers" if name == "Value" else "arrays"
