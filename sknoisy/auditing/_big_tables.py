"""Tables that are larger than the memory: read, encoded and judged in blocks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknoisy._option_names import option
from sknoisy._random_states import random_generator
from sknoisy._row_blocks import HELD_BYTES, BlockRows
from sknoisy._user_errors import UserError
from sknoisy._warning import warn_user
from sknoisy.auditing._columns import ColumnReader, ReadTable, read_columns
from sknoisy.auditing._labels import check_labels
from sknoisy.auditing._reading import (
    MISSING,
    check_label,
    import_parquet,
    parquet_errors,
)
from sknoisy.auditing._source import Source
from sknoisy.auditing._table_file import TableFile
from sknoisy.auditing._tables import Choices, clean_name, used_columns

__all__ = [
    "BigTable",
    "EncodedRows",
    "big_table",
    "in_bytes",
    "opened_if_big",
    "warn_if_large",
]

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)
# In memory, the columns, what is read of them, what a detector gets, and its copies.
_N_COPIES = 4
# Rows by which columns are recognised and encoders fitted, and the least number.
_SAMPLE, _LEAST = 50_000, 1_000
# Of the budget: a block, and the sample with its copies.
_BLOCK_SHARE, _SAMPLE_SHARE = 64, 4
_LEAST_BLOCK, _LARGEST_BLOCK = 1 << 16, 1 << 25


def in_bytes(size: int | str) -> int:
    """Return an amount of memory as a number of bytes.

    Parameters
    ----------
    size : int or str
        Bytes, or a text such as "2GB", "512 MB" or "1.5GiB".

    Returns
    -------
    n_bytes : int

    Raises
    ------
    UserError
    """
    found = _SIZE.fullmatch(str(size))
    n_bytes = 0.0
    if found is not None:
        unit = _UNITS[found[2].lower()]
        n_bytes = float(found[1]) * (unit if not found[3] else _binary(unit))
    if n_bytes < 1:
        raise UserError(
            f"{option('max_memory')} must be a size such as 2GB; got {size!r}"
        )
    return int(n_bytes)


def _binary(unit: int) -> int:
    return 1024 ** (len(str(unit)) // 3)


def opened_if_big(source: Source, max_memory: int) -> TableFile | None:
    """Return a table that would take more memory than allowed, to be read in blocks.

    Parameters
    ----------
    source : Source
    max_memory : int
        In bytes.

    Returns
    -------
    table : TableFile or None
        None if it fits.
    """
    if not source.is_parquet and _N_COPIES * _size(source) <= max_memory:
        return None
    block = int(np.clip(max_memory // _BLOCK_SHARE, _LEAST_BLOCK, _LARGEST_BLOCK))
    table = TableFile(source, block)
    return table if _N_COPIES * len(table) * table.row_bytes > max_memory else None


def warn_if_large(source: Source) -> None:
    """Warn of a table that would take more than half of the free memory.

    Parameters
    ----------
    source : Source
    """
    free = _free_memory()
    if free is None:
        return
    n_bytes = _size(source)
    if source.is_parquet:
        with parquet_errors(source):
            metadata = import_parquet().ParquetFile(source.path).metadata
        groups = map(metadata.row_group, range(metadata.num_row_groups))
        n_bytes = sum(group.total_byte_size for group in groups)
    if 2 * _N_COPIES * n_bytes > free:
        warn_user(
            f"{source} may take {_N_COPIES * n_bytes / 1e9:.1f} GB in memory, and "
            f"{free / 1e9:.1f} GB are free; {option('max_memory', _advised(free))} "
            "reads it in blocks",
            UserWarning,
        )


def _size(source: Source) -> int:
    return source.path.stat().st_size


def _advised(free: int) -> str:
    return f"{max(1, free // 2 // 10**9)}GB"


def _free_memory() -> int | None:
    """Return the bytes that new programs may use, or None where nothing tells."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(found[0]) if found else None


@dataclass(frozen=True)
class BigTable:
    """A table that stays on disk, and how its rows are encoded.

    Attributes
    ----------
    table : TableFile
    labels : pandas Series
        The given labels.
    features : ReadTable
        The columns of use of a sample of rows.
    reader : ColumnReader
        Reads those of other rows.
    left_out : dict of str to str
        Why each of the other columns is not used.
    n_sample : int
        Rows of the sample.
    """

    table: TableFile
    labels: Any
    features: ReadTable
    reader: ColumnReader
    left_out: dict[str, str]
    n_sample: int

    def for_people(self, frame: Any) -> Any:
        """Return rows with numbers as numbers, without labels and without the answer.

        Parameters
        ----------
        frame : pandas DataFrame
            Rows of the table.

        Returns
        -------
        shown : pandas DataFrame
        """
        label = str(self.labels.name)
        shown = frame.drop(columns=[label, clean_name(label)], errors="ignore")
        read = self.reader.read(frame)
        return shown.assign(**{name: read[name].array for name in read.columns})


def big_table(
    table: TableFile, choices: Choices, max_memory: int, random_state: Any
) -> BigTable:
    """Read the labels of a table, and a sample of its rows.

    Parameters
    ----------
    table : TableFile
    choices : Choices
    max_memory : int
        In bytes.
    random_state : int, RandomState instance or None
        Draws the sample.

    Returns
    -------
    big : BigTable
    """
    source, notation = table.source, choices.notation
    check_label(source, table.columns, choices.label)
    labels = check_labels(source, table.read_column(choices.label))
    affordable = int(max_memory / _SAMPLE_SHARE / _N_COPIES / table.row_bytes)
    n_sample = min(len(table), max(_LEAST, min(_SAMPLE, affordable)))
    sample = table.take(_sample(len(table), n_sample, random_state))
    used, left_out = used_columns(sample, choices)
    if not source.is_parquet:
        notation = replace(notation, missing={*notation.missing, *MISSING})
    features = read_columns(used, text=choices.text, notation=notation)
    reader = features.reader(used, notation)
    head = reader.read(table.read(0, int(table.bounds[1])))
    # Rows of a sample do not follow each other.
    counters = [c for c in features.kinds["numeric"] if _counts_rows(head[c])]
    if counters:
        left_out |= dict.fromkeys(counters, "numbers the rows")
        used = used.drop(columns=counters)
        features = read_columns(used, text=choices.text, notation=notation)
        reader = features.reader(used, notation)
    return BigTable(
        table, labels, features, reader, left_out | features.dropped, n_sample
    )


def _counts_rows(column: Any) -> bool:
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return len(numbers) > 2 and bool((np.diff(numbers) == 1).all())


class EncodedRows(BlockRows):
    """The rows of a table as numbers, encoded when they are read.

    Before a training in random order they are copied to a temporary file of float32,
    unless they take little of the memory that is allowed.

    Parameters
    ----------
    big : BigTable
    max_memory : int
        In bytes.
    random_state : int, RandomState instance or None
    """

    def __init__(self, big: BigTable, max_memory: int, random_state: Any) -> None:
        super().__init__()
        encoder = big.features.encoder(random_state).fit(big.features.frame)
        self.table, self.reader, self.encoder = big.table, big.reader, encoder
        self.held_bytes = min(HELD_BYTES, max_memory // 8)
        width = len(encoder.get_feature_names_out())
        self._set_blocks(big.table.bounds, (width,), np.float32)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the rows of a block."""
        frame = self.reader.read(self.table.read(start, stop))
        return np.asarray(self.encoder.transform(frame), dtype=np.float32)

    def close(self) -> None:
        """Remove the temporary file."""
        remover: Callable[[], Any] | None = getattr(self, "_remover", None)
        self._copy = None
        if remover is not None:
            remover()


def _sample(n_rows: int, n_sample: int, random_state: Any) -> NDArray[np.int64]:
    if n_sample == n_rows:
        return np.arange(n_rows)
    drawn = random_generator(random_state).choice(n_rows, n_sample, replace=False)
    return np.sort(drawn)
