"""Read tables from files."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sknoisy._option_names import option
from sknoisy._user_errors import (
    MissingPackageError,
    OutOfMemoryError,
    UserError,
    one_line,
)
from sknoisy.auditing._source import INSTALL, Source, reason

# Missing values in columns other than the labels.
MISSING = [
    "",
    "NA",
    "N/A",
    "n/a",
    "NaN",
    "nan",
    "NULL",
    "null",
    "None",
    "<NA>",
    "#N/A",
]


# Column names that are compared with a misspelt one.
_N_COMPARED = 10_000


def read_table(source: Source, label: str | None, *, as_strings: bool = False) -> Any:
    """Read a table; its labels stay as they are written in the file.

    Parameters
    ----------
    source : Source
    label : str or None
        Column of labels. In CSV its values stay strings: "01" is not 1, and the
        label "None" is not missing. None, for Parquet only, checks no column.
    as_strings : bool, default=False
        True reads all columns of CSV as strings.

    Returns
    -------
    frame : pandas DataFrame
        With at least one row, and exactly one column ``label``.
    """
    if source.is_parquet:
        frame = _read_parquet(source)
    else:
        check_label(source, _first_line(source), label)
        names = _read_csv(source, nrows=0).columns
        frame = _read_csv(
            source,
            dtype=str if as_strings else {label: str},
            keep_default_na=False,
            na_values={name: MISSING for name in names if name != label},
            low_memory=False,
        )
    return check_names(source, frame, label)


def check_names(source: Source | str, frame: Any, label: str | None) -> Any:
    """Return a table with names of columns that are strings.

    Parameters
    ----------
    source : Source or str
    frame : pandas DataFrame
    label : str or None
        Column of labels; None checks none.

    Returns
    -------
    frame : pandas DataFrame
        The same cells.

    Raises
    ------
    UserError
        If a column has several names, or if there are no rows, or not exactly one
        column ``label``.
    """
    if frame.columns.nlevels > 1:
        raise UserError(
            f"{source} has column names with {frame.columns.nlevels} levels; give "
            "each column one name"
        )
    frame = frame.set_axis(frame.columns.astype(str), axis=1)
    check_label(source, frame.columns.tolist(), label)
    if not len(frame):
        raise UserError(f"{source} has no rows")
    return frame


def read_strings(source: Source) -> Any:
    """Read all cells of CSV as strings, with the column names as the first row."""
    return _read_csv(source, header=None, dtype=str, keep_default_na=False)


def table_of_strings(source: Source) -> Any:
    """Return a CSV as a frame of strings, numbered from 0, exactly as it is written.

    Parameters
    ----------
    source : Source

    Returns
    -------
    table : pandas DataFrame
    """
    rows = read_strings(source)
    table = rows.iloc[1:].reset_index(drop=True)
    return table.set_axis(rows.iloc[0].tolist(), axis=1)


def check_columns(names: Iterable[str], known: Iterable[str], of: str) -> None:
    """Raise an error for column names that the table does not have.

    Parameters
    ----------
    names, known : iterable of str
    of : str
        The parameter that names the columns.
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise UserError(f"{option(of)}: {_unknown(name, known)}")


def import_pandas() -> Any:
    """Import and return pandas; the error names the command that installs it."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingPackageError(f"tables need pandas: {INSTALL}") from error
    return pd


def _read_parquet(source: Source) -> Any:
    pd = import_pandas()
    with parquet_errors(source):
        return pd.read_parquet(source.path, engine="pyarrow")


def import_parquet() -> Any:
    """Import and return pyarrow.parquet; the error says how to install it."""
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingPackageError(f"Parquet needs pyarrow: {INSTALL}") from error
    return pq


@contextmanager
def parquet_errors(source: Source) -> Iterator[None]:
    """Turn errors of reading Parquet into a `UserError`."""
    import_parquet()
    import pyarrow as pa

    try:
        yield
    except OSError as error:
        raise UserError(f"{source} cannot be read: {reason(error)}") from error
    except MemoryError as error:
        raise OutOfMemoryError(f"{source} cannot be read: out of memory") from error
    except pa.ArrowException as error:
        raise UserError(
            f"{source} cannot be read as Parquet: {one_line(error)}"
        ) from error
    except Exception as error:
        # pandas does not check its metadata in the file: wrong metadata can raise any
        # error.
        raise UserError(
            f"{source} has invalid metadata for pandas "
            f"({type(error).__name__}: {one_line(error)}); write the file again"
        ) from error


def _read_csv(source: Source, **options: Any) -> Any:
    pd = import_pandas()
    with _csv_errors(source):
        return pd.read_csv(
            source.path,
            sep=source.delimiter,
            encoding=source.encoding,
            index_col=False,
            compression=None,
            **options,
        )


def _first_line(source: Source) -> list[str]:
    """Return the cells of the first line; refuse a second one with more.

    pandas would drop them, and only warn. It refuses later lines with more cells than
    the second.
    """
    pd = import_pandas()
    options = {"header": None, "dtype": str, "keep_default_na": False}
    try:
        return _read_csv(source, nrows=2, **options).iloc[0].tolist()
    except UserError as error:
        is_of_csv = isinstance(error.__cause__, pd.errors.ParserError)
        if is_of_csv and "Expected" in str(error.__cause__):
            first = _read_csv(source, nrows=1, **options).iloc[0].tolist()
            raise UserError(
                f"{source} has lines with more cells than the first one, which has "
                f"{len(first)}"
            ) from error
        raise


def csv_blocks(source: Source, block_bytes: int) -> Iterator[Any]:
    """Yield the rows of CSV in blocks, all cells as they are written.

    Parameters
    ----------
    source : Source
    block_bytes : int
        About the size of a block in memory.

    Yields
    ------
    table : pyarrow Table
        Of strings.
    """
    import_parquet()
    import pyarrow as pa

    _first_line(source)
    options = {"dtype": str, "keep_default_na": False, "iterator": True}
    with _read_csv(source, **options) as reader:
        n_rows = 1000
        while True:
            with _csv_errors(source):
                try:
                    frame = reader.get_chunk(n_rows)
                except StopIteration:
                    return
            n_bytes = frame.memory_usage(deep=True).sum() / max(len(frame), 1)
            n_rows = max(1000, int(block_bytes / max(n_bytes, 1)))
            schema = pa.schema([(str(name), pa.string()) for name in frame.columns])
            yield pa.Table.from_pandas(frame, schema, preserve_index=False)


@contextmanager
def _csv_errors(source: Source) -> Iterator[None]:
    pd = import_pandas()
    try:
        yield
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{source} is empty") from error
    except UnicodeError as error:
        raise UserError(
            f"{source} is not encoded in {source.encoding}; pass its encoding, for "
            f"example {option('encoding', 'cp1252')}"
        ) from error
    except OSError as error:
        raise UserError(f"{source} cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise UserError(f"{source} is not valid CSV: {one_line(error)}") from error


def check_label(source: Source | str, names: list[str], label: str | None) -> None:
    """Raise an error unless exactly one column has the name of the labels."""
    if label is None:
        return
    if names.count(label) > 1:
        raise UserError(f"{source} has {names.count(label)} columns named {label!r}")
    if label not in names:
        hint = ""
        for mark in (";", "\t", "|"):
            if len(names) == 1 and mark in names[0]:
                help_ = f"pass {option('delimiter')}"
                hint = f" (if its columns are separated by {mark!r}, {help_})"
        raise UserError(f"{option('label')}: {_unknown(label, names)}{hint}")


def _unknown(name: str, known: list[str]) -> str:
    # Comparing with very many names would take minutes.
    by_lower = {other.lower(): other for other in reversed(known[:_N_COMPARED])}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    if close:
        hint = "did you mean " + " or ".join(_cut(by_lower[c]) for c in close) + "?"
    else:
        more = ", ..." if len(known) > 10 else ""
        hint = "there are " + ", ".join(map(_cut, known[:10])) + more
    return f"there is no column {_cut(name)}; {hint}"


def _cut(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:59] + "…")
