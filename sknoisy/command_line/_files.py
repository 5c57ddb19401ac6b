"""Read tables, and write tables and pages."""

from __future__ import annotations

import csv
import difflib
import os
import stat
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from sknoisy.command_line._errors import CommandError, one_line, shown
from sknoisy.command_line._source import INSTALL, Source, reason

# Missing values in columns other than the labels.
_MISSING = [
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


def check_outputs(
    source: Path, outputs: Mapping[str, tuple[Path, Iterable[str]]], force: bool
) -> None:
    """Refuse outputs that cannot be written or would overwrite a file.

    Parameters
    ----------
    source : Path
        The input table.
    outputs : mapping of str to (Path, extensions)
        The file of each option, and the file extensions it may have.
    force : bool
        Whether existing files may be replaced. The input table and other outputs of
        the same command are never replaced.
    """
    taken = {os.path.realpath(source): "the input table"}
    for option, (path, endings) in outputs.items():
        name = f"{option} {shown(path)}"
        if path.suffix.lower() not in endings:
            raise CommandError(f"{name} must end in {' or '.join(endings)}")
        _check_place(name, path)
        real = os.path.realpath(path)
        if real in taken:
            raise CommandError(f"{name} is {taken[real]}")
        if path.exists() and not force:
            raise _is_there(name)
        taken[real] = f"also the file of {option}"


def _check_place(name: str, path: Path) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        raise CommandError(f"{name}: {reason(error)}") from error
    except ValueError as error:
        raise CommandError(f"{name} is not a valid file name: {error}") from error
    if mode is not None and stat.S_ISDIR(mode):
        raise CommandError(f"{name} is a folder; give a file")
    if mode is not None and not stat.S_ISREG(mode):
        raise CommandError(f"{name} is a device, a FIFO or a socket; give a file")
    folder = path.parent
    if not folder.is_dir():
        raise CommandError(f"{name}: there is no folder {shown(folder)}")
    if not os.access(folder, os.W_OK):
        raise CommandError(f"{name}: {shown(folder)} cannot be written to")


def _is_there(name: str) -> CommandError:
    return CommandError(f"{name} already exists; --force replaces it")


@contextmanager
def writing(path: Path, option: str) -> Iterator[None]:
    """Turn errors of writing an output into a `CommandError`."""
    try:
        yield
    except FileExistsError as error:
        raise _is_there(f"{option} {shown(path)}") from error
    except OSError as error:
        raise CommandError(
            f"{shown(path)} cannot be written: {reason(error)}"
        ) from error
    except ValueError as error:
        raise CommandError(
            f"{shown(path)} cannot be written: {one_line(error)}"
        ) from error


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
        header = _read_csv(
            source, header=None, nrows=1, dtype=str, keep_default_na=False
        )
        _check_label(source, header.iloc[0].tolist(), label)
        names = _read_csv(source, nrows=0).columns
        frame = _read_csv(
            source,
            dtype=str if as_strings else {label: str},
            keep_default_na=False,
            na_values={name: _MISSING for name in names if name != label},
            low_memory=False,
        )
    if frame.columns.nlevels > 1:
        raise CommandError(
            f"{source} has column names with {frame.columns.nlevels} levels; give "
            "each column one name"
        )
    frame.columns = frame.columns.astype(str)
    _check_label(source, frame.columns.tolist(), label)
    if not len(frame):
        raise CommandError(f"{source} has no rows")
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


def write_strings(rows: Any, like: Source, to: Path) -> None:
    """Write rows of `read_strings` with the line ends and the mark of ``like``."""
    with to.open("w", encoding=like.plain_encoding, newline="") as file:
        file.write(like.mark)
        lines = _Lines(file, like.line_end())
        # With "\r\n" it quotes cells that contain either character.
        writer = csv.writer(lines, delimiter=like.delimiter, lineterminator="\r\n")
        writer.writerows(rows.itertuples(index=False, name=None))


class _Lines:
    """A file to which lines of CSV are written, with the given line end."""

    def __init__(self, file: TextIO, end: str):
        self.file, self.end = file, end

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n") + self.end)


def check_columns(names: Iterable[str], known: Iterable[str], option: str) -> None:
    """Raise an error for column names that the table does not have."""
    known = list(known)
    for name in names:
        if name not in known:
            raise CommandError(f"{option}: {_unknown(name, known)}")


def import_pandas() -> Any:
    """Import and return pandas; the error names the command that installs it."""
    try:
        import pandas as pd
    except ImportError as error:
        raise CommandError(f"tables need pandas: {INSTALL}") from error
    return pd


def _read_parquet(source: Source) -> Any:
    pd = import_pandas()
    try:
        import pyarrow as pa
    except ImportError as error:
        raise CommandError(f"Parquet needs pyarrow: {INSTALL}") from error
    try:
        return pd.read_parquet(source.path, engine="pyarrow")
    except OSError as error:
        raise CommandError(f"{source} cannot be read: {reason(error)}") from error
    except MemoryError as error:
        raise CommandError(f"{source} cannot be read: out of memory") from error
    except pa.ArrowException as error:
        raise CommandError(
            f"{source} cannot be read as Parquet: {one_line(error)}"
        ) from error
    except Exception as error:
        # pandas does not check its metadata in the file: wrong metadata can raise any
        # error.
        raise CommandError(
            f"{source} has invalid metadata for pandas "
            f"({type(error).__name__}: {one_line(error)}); write the file again"
        ) from error


def _read_csv(source: Source, **options: Any) -> Any:
    pd = import_pandas()
    try:
        with warnings.catch_warnings():
            # By default surplus cells at the end of a line are dropped with a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                source.path,
                sep=source.delimiter,
                encoding=source.encoding,
                index_col=False,
                compression=None,
                **options,
            )
    except pd.errors.EmptyDataError as error:
        raise CommandError(f"{source} is empty") from error
    except UnicodeError as error:
        raise CommandError(
            f"{source} is not encoded in {source.encoding}; pass its encoding, for "
            "example "
            "--encoding cp1252"
        ) from error
    except pd.errors.ParserWarning as error:
        raise CommandError(
            f"{source} has lines with more cells than the first one"
        ) from error
    except OSError as error:
        raise CommandError(f"{source} cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise CommandError(f"{source} is not valid CSV: {one_line(error)}") from error


def _check_label(source: Source, names: list[str], label: str | None) -> None:
    if label is None:
        return
    if names.count(label) > 1:
        raise CommandError(f"{source} has {names.count(label)} columns named {label!r}")
    if label not in names:
        hint = ""
        for mark in (";", "\t", "|"):
            if len(names) == 1 and mark in names[0]:
                hint = f" (if its columns are separated by {mark!r}, pass --delimiter)"
        raise CommandError(f"--label: {_unknown(label, names)}{hint}")


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
