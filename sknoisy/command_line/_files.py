"""Tables in, tables and pages out."""

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

# In columns other than the labels.
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


# Names of columns that are compared with a misspelt one.
_N_COMPARED = 10_000


def check_outputs(
    source: Path, outputs: Mapping[str, tuple[Path, Iterable[str]]], force: bool
) -> None:
    """Refuse outputs that could not be written, or would destroy something.

    Parameters
    ----------
    source : Path
        The table that is read.
    outputs : mapping of str to (Path, endings)
        By the option that names the file, with the endings it may have.
    force : bool
        Whether files that are there may be replaced. The table that is read, and
        another output of the same command, never are.
    """
    taken = {os.path.realpath(source): "the table itself"}
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
        taken[real] = f"what {option} names already"


def _check_place(name: str, path: Path) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        raise CommandError(f"{name}: {reason(error)}") from error
    except ValueError as error:
        raise CommandError(f"{name} is no name of a file: {error}") from error
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
    return CommandError(f"{name} is there already; --force replaces it")


@contextmanager
def writing(path: Path, option: str) -> Iterator[None]:
    """Say in one line why an output cannot be written."""
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


def read_table(source: Source, label: str, *, as_strings: bool = False) -> Any:
    """Read a table whose column of labels is as it stands in the file.

    Parameters
    ----------
    source : Source
    label : str
        Column of labels. In CSV its values stay strings: "01" is not 1, and the
        label "None" is not missing.
    as_strings : bool, default=False
        True keeps all columns of CSV as they are written.

    Returns
    -------
    frame : pandas DataFrame
        With at least one row, and the column ``label`` once.
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
            f"{source} has names of columns in {frame.columns.nlevels} levels; give "
            "each column one name"
        )
    frame.columns = frame.columns.astype(str)
    _check_label(source, frame.columns.tolist(), label)
    if not len(frame):
        raise CommandError(f"{source} has no rows")
    return frame


def read_strings(source: Source) -> Any:
    """Read CSV as strings only, the names of the columns in the first row."""
    return _read_csv(source, header=None, dtype=str, keep_default_na=False)


def write_strings(rows: Any, like: Source, to: Path) -> None:
    """Write what `read_strings` read, with the line ends and the mark of ``like``."""
    with to.open("w", encoding=like.plain_encoding, newline="") as file:
        file.write(like.mark)
        lines = _Lines(file, like.line_end())
        # It quotes cells with a line end of either kind if its own has both.
        writer = csv.writer(lines, delimiter=like.delimiter, lineterminator="\r\n")
        writer.writerows(rows.itertuples(index=False, name=None))


class _Lines:
    """Lines of CSV, each with the given end."""

    def __init__(self, file: TextIO, end: str):
        self.file, self.end = file, end

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n") + self.end)


def check_columns(names: Iterable[str], known: Iterable[str], option: str) -> None:
    """Refuse names of columns that the table does not have."""
    known = list(known)
    for name in names:
        if name not in known:
            raise CommandError(f"{option}: {_unknown(name, known)}")


def import_pandas() -> Any:
    """Return pandas, or say where it comes from."""
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
        # pandas trusts what another program noted for it in the file: whatever is
        # wrong there ends in an error of any kind.
        raise CommandError(
            f"{source} has notes for pandas that do not fit it "
            f"({type(error).__name__}: {one_line(error)}); write it once more"
        ) from error


def _read_csv(source: Source, **options: Any) -> Any:
    pd = import_pandas()
    try:
        with warnings.catch_warnings():
            # Otherwise surplus cells at the end of a line are lost with a warning.
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
            f"{source} is not encoded in {source.encoding}; name its encoding, such as "
            "--encoding cp1252"
        ) from error
    except pd.errors.ParserWarning as error:
        raise CommandError(f"{source} has lines longer than its first one") from error
    except OSError as error:
        raise CommandError(f"{source} cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise CommandError(f"{source} is no clean CSV: {one_line(error)}") from error


def _check_label(source: Source, names: list[str], label: str) -> None:
    if names.count(label) > 1:
        raise CommandError(f"{source} has {names.count(label)} columns named {label!r}")
    if label not in names:
        hint = ""
        for mark in (";", "\t", "|"):
            if len(names) == 1 and mark in names[0]:
                hint = f" (are its columns separated by {mark!r}? then --delimiter)"
        raise CommandError(f"--label: {_unknown(label, names)}{hint}")


def _unknown(name: str, known: list[str]) -> str:
    # To compare with very many would take minutes.
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
