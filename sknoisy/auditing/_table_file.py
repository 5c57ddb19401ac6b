"""A Parquet file, or CSV copied to one, of which some rows at a time are read."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknoisy._frame_on_disk import FrameOnDisk
from sknoisy._user_errors import UserError
from sknoisy.auditing._reading import (
    csv_blocks,
    import_pandas,
    import_parquet,
    parquet_errors,
)
from sknoisy.auditing._source import Source

__all__ = ["TableFile"]

# Rows by which the size of a row is estimated.
_N_LOOKED_AT = 1000
# A block has at least so many rows.
_LEAST_ROWS = 64


class TableFile(FrameOnDisk):
    """The rows of a table, block by block.

    CSV is copied to a temporary Parquet file of strings, which is removed when the
    object or the program ends.

    Parameters
    ----------
    source : Source
    block_bytes : int
        About the size of a block in memory. No block goes beyond a row group.

    Attributes
    ----------
    row_bytes : float
        About the size of a row in memory.
    """

    def __init__(self, source: Source, block_bytes: int) -> None:
        self.source, self.path = source, source.path
        self._remover: Any = None
        if not source.is_parquet:
            self.path = self._copied(block_bytes)
        with parquet_errors(source):
            self._file = import_parquet().ParquetFile(self.path, pre_buffer=False)
            metadata = self._file.metadata
            first = next(self._file.iter_batches(_N_LOOKED_AT, use_threads=False), None)
        if first is None:
            raise UserError(f"{source} has no rows")
        example = first.to_pandas()
        stored = (self._file.schema_arrow.pandas_metadata or {}).get(
            "index_columns", []
        )
        # Names of columns, or the numbers of a range.
        self._index = [part for part in stored if isinstance(part, str)]
        ranges = [part for part in stored if isinstance(part, dict)]
        plain: dict[str, Any] = {"start": 0, "step": 1, "name": None}
        of = ranges[0] if ranges else plain
        self._range, self._name = (of["start"], of["step"]), of["name"]
        self.row_bytes = float(example.memory_usage(deep=True).sum()) / len(example)
        self.columns = [str(name) for name in example.columns]
        self.dtypes = list(example.dtypes)
        self.shape = (metadata.num_rows, len(self.columns))
        self._size = max(_LEAST_ROWS, int(block_bytes / self.row_bytes))
        # For each block the row group that it is of, and the first row of that.
        self._groups: list[tuple[int, int]] = []
        bounds = [0]
        for number in range(metadata.num_row_groups):
            start, n_rows = bounds[-1], metadata.row_group(number).num_rows
            ends = [*range(self._size, n_rows, self._size), n_rows] if n_rows else []
            bounds += [start + end for end in ends]
            self._groups += [(number, start)] * len(ends)
        self.bounds = np.array(bounds, dtype=np.int64)
        # The first row and the row group of what would be read next.
        self._place: tuple[int, int] | None = None
        self._batches: Iterator[Any] = iter(())

    def close(self) -> None:
        """Remove the copy of CSV; no more rows can be read."""
        self._file.close()
        if self._remover is not None:
            self._remover()

    def read(self, start: int, stop: int) -> Any:
        """Return the rows of a block.

        Parameters
        ----------
        start, stop : int
            Its first row, and the row after the last one.

        Returns
        -------
        frame : pandas DataFrame
            With the index of the file.
        """
        group, first = self._groups[int(np.searchsorted(self.bounds, start))]
        with parquet_errors(self.source):
            if self._place != (start, group):
                # Threads of pyarrow would not survive a fork.
                how = {"row_groups": [group], "use_threads": False}
                self._batches = self._file.iter_batches(self._size, **how)
                for _ in range(first, start, self._size):
                    next(self._batches)
            frame = next(self._batches).to_pandas()
        self._place = stop, group
        return self._numbered(frame.set_axis(self.columns, axis=1), start)

    def read_column(self, name: str) -> Any:
        """Return a column, with the index of the file.

        Parameters
        ----------
        name : str

        Returns
        -------
        column : pandas Series
            Equal strings are one object.
        """
        pd = import_pandas()
        known: dict[Any, Any] = {}
        parts: list[Any] = []
        how = {"columns": [name, *self._index], "use_threads": False}
        for batch in self._file.iter_batches(**how):
            column = batch.to_pandas().iloc[:, 0].rename(name)
            if column.dtype.kind not in "biuf":
                cells = [known.setdefault(cell, cell) for cell in column.astype(object)]
                column = pd.Series(cells, column.index, dtype=object, name=name)
            parts.append(column)
        return self._numbered(pd.concat(parts), 0)

    def take(self, index: NDArray[np.int64]) -> Any:
        """Return some rows; each block that has some of them is read once."""
        index = np.asarray(index)
        order = np.argsort(index, kind="stable")
        blocks = np.searchsorted(self.bounds, index[order], side="right") - 1
        parts = []
        for block in np.unique(blocks).tolist():
            start, stop = self.bounds[block : block + 2].tolist()
            rows = index[order[blocks == block]]
            parts.append(self.read(start, stop).iloc[rows - start])
        if not parts:
            return self.read(0, int(self.bounds[1])).iloc[:0]
        back = np.empty(len(index), dtype=np.int64)
        back[order] = np.arange(len(index))
        return import_pandas().concat(parts).iloc[back]

    def _numbered(self, rows: Any, start: int) -> Any:
        """Return rows with the index of the file, which may be a range."""
        if self._index:
            return rows
        first, step = self._range
        index = import_pandas().RangeIndex(
            first + step * start,
            first + step * (start + len(rows)),
            step,
            name=self._name,
        )
        return rows.set_axis(index, axis=0)

    def _copied(self, block_bytes: int) -> Path:
        folder = tempfile.mkdtemp(prefix="sknoisy-")
        self._remover = weakref.finalize(self, shutil.rmtree, folder, True)
        path, writer = Path(folder) / "table.parquet", None
        try:
            for table in csv_blocks(self.source, block_bytes):
                if writer is None:
                    writer = import_parquet().ParquetWriter(path, table.schema)
                writer.write_table(table)
        except BaseException:
            self._remover()
            raise
        finally:
            if writer is not None:
                writer.close()
        return path
