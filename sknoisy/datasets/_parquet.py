"""Rows of Parquet files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sknoisy._row_blocks import BLOCK_BYTES, BlockRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ParquetRows"]


class ParquetRows(BlockRows):
    """Columns of numbers in Parquet files, as rows that stay on disk.

    In their order, row groups are read one after the other. Before a network trains on
    rows in random order, those that take more than 64 MiB are copied once to a
    temporary file of float32, since each batch would read most row groups.

    Parameters
    ----------
    path : path-like, or sequence of them
        A file, a folder with files ``*.parquet``, which are taken in the order of their
        names, or several files. All have the same columns.
    columns : sequence of str or None, default=None
        Columns of numbers or booleans, or a single one whose cells are lists of equal
        length. None takes all.
    temporary_folder : path-like or None, default=None
        Folder of the copy, which is removed at the end; it needs four bytes for each
        number. None is the folder of `tempfile`.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    FileNotFoundError
        If there is no file.
    ValueError
        If a column is missing or has no numbers, or if the files differ.

    See Also
    --------
    as_row_source : Memmaps, zarr and dask arrays, Datasets of Hugging Face and torch.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pandas as pd
    >>> from sknoisy.datasets import ParquetRows
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "plants.parquet"
    >>> columns = {"width": [1.0, 2.0], "height": [3, 4], "kind": ["a", "b"]}
    >>> pd.DataFrame(columns).to_parquet(path)
    >>> rows = ParquetRows(path, columns=["width", "height"])
    >>> rows
    <ParquetRows of shape (2, 2), float32>
    >>> rows[1], rows.read_column("kind")
    (array([2., 4.], dtype=float32), array(['a', 'b'], dtype=object))
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        columns: Sequence[str] | None = None,
        *,
        temporary_folder: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(temporary_folder)
        self.paths = _listed(path)
        self._open: tuple[tuple[int, int], Any] | None = None
        schema = self._file(0).schema_arrow
        self.columns = list(schema.names if columns is None else columns)
        self._is_list = _check_columns(schema, self.columns, self.paths[0])
        # The first row of each row group, its file and its number there.
        self.groups: list[tuple[int, int]] = []
        bounds = [0]
        for number, name in enumerate(self.paths):
            file = self._file(number)
            if file.schema_arrow.names != schema.names:
                raise ValueError(
                    f"{name} has the columns {file.schema_arrow.names}, and "
                    f"{self.paths[0]} {schema.names}; all files need the same."
                )
            for group in range(file.metadata.num_row_groups):
                if n_rows := file.metadata.row_group(group).num_rows:
                    self.groups.append((number, group))
                    bounds.append(bounds[-1] + n_rows)
        width = self._width() if bounds[-1] else len(self.columns)
        self._set_blocks(bounds, (width,), np.float32)
        stats = [os.stat(name) for name in self.paths]
        facts = [(stat.st_size, stat.st_mtime_ns) for stat in stats]
        self.fingerprint = self.shape, tuple(self.columns), tuple(facts)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows of one row group.

        Parameters
        ----------
        start, stop : int
            First row of the row group, and the row after the last one.

        Returns
        -------
        rows : ndarray of shape (stop - start, n_columns), dtype float32
        """
        rows = np.empty((stop - start, *self.shape[1:]), np.float32)
        done = 0
        for part in self._parts(start):
            rows[done : (done := done + len(part))] = part
        return rows

    def pieces(self) -> Iterator[NDArray[Any]]:
        """Yield all rows in order, some of a row group at a time.

        Yields
        ------
        rows : ndarray of shape (n, n_columns), dtype float32
        """
        for start in self.bounds[:-1]:
            yield from self._parts(start)

    def read_column(self, name: str) -> NDArray[Any]:
        """Return a column, for example of labels, which must fit in memory.

        Parameters
        ----------
        name : str
            Any column of the files.

        Returns
        -------
        values : ndarray of shape (n_rows,)
            Numbers, or an object array of strings.

        Raises
        ------
        ValueError
            If there is no such column.
        """
        names = self._file(0).schema_arrow.names
        if name not in names:
            raise ValueError(f"there is no column {name!r}; there are {names}.")
        parts = []
        for number in range(len(self.paths)):
            column = self._file(number).read([name], use_threads=False).column(0)
            parts.append(column.to_numpy())
        return np.concatenate(parts)

    def _parts(self, start):
        """Yield the rows of the row group that begins at a row, some at a time."""
        number, group = self.groups[int(np.searchsorted(self.bounds, start))]
        size = max(1, BLOCK_BYTES // (4 * self.shape[1]))
        # Threads of pyarrow would not survive a fork.
        how = {"row_groups": [group], "columns": self.columns, "use_threads": False}
        for batch in self._file(number).iter_batches(size, **how):
            yield self._as_rows(batch)

    def _as_rows(self, batch):
        if self._is_list:
            return self._of_lists(batch.column(self.columns[0]))
        rows = np.empty((len(batch), len(self.columns)), np.float32)
        for place, name in enumerate(self.columns):
            with np.errstate(over="ignore"):
                # A gap becomes NaN.
                rows[:, place] = batch.column(name).to_numpy(zero_copy_only=False)
        return rows

    def _of_lists(self, column):
        values = column.flatten().to_numpy(zero_copy_only=False)
        if len(values) != len(column) * self.shape[1] or column.null_count:
            raise ValueError(
                f"lists in column {self.columns[0]!r} differ in length; every row "
                f"needs {self.shape[1]} numbers, as the first one has."
            )
        return values.reshape(len(column), -1).astype(np.float32)

    def _width(self):
        if not self._is_list:
            return len(self.columns)
        first = next(self._file(0).iter_batches(1, columns=self.columns))
        return len(first.column(0)[0])

    def _file(self, number):
        """Return an open file; a process that was forked opens its own."""
        key = os.getpid(), number
        if self._open is None or self._open[0] != key:
            try:
                from pyarrow.parquet import ParquetFile
            except ImportError as error:
                raise ImportError(
                    "ParquetRows needs pyarrow: pip install 'sknoisy[report]'"
                ) from error
            self._open = key, ParquetFile(self.paths[number], pre_buffer=False)
        return self._open[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_open": None}


def _listed(path):
    """Return the files of a path, or of several, as strings."""
    several = [path] if isinstance(path, str | os.PathLike) else list(path)
    files = []
    for given in map(Path, several):
        files += sorted(given.glob("*.parquet")) if given.is_dir() else [given]
    missing = [file for file in files if not file.is_file()]
    if missing or not files:
        what = missing[0] if missing else f"*.parquet in {path}"
        raise FileNotFoundError(f"there is no file {what}.")
    return [str(file) for file in files]


def _check_columns(schema, columns, path):
    """Refuse columns that are no numbers; return whether there is one of lists."""
    from pyarrow import types

    for name in columns:
        if name not in schema.names:
            raise ValueError(f"{path} has no column {name!r}; it has {schema.names}.")
        kind = schema.field(name).type
        if _has_lists(kind) and len(columns) == 1:
            kind = kind.value_type
        is_number = types.is_integer(kind) or types.is_floating(kind)
        if not is_number and not types.is_boolean(kind):
            raise ValueError(
                f"column {name!r} of {path} has {kind}; columns of X have numbers. "
                "Name those by columns=[...], and pass the labels as y: "
                "read_column(name)."
            )
    if not columns:
        raise ValueError("columns is empty; name at least one.")
    return _has_lists(schema.field(columns[0]).type)


def _has_lists(kind):
    return hasattr(kind, "value_type") and hasattr(kind, "value_field")
