"""Tables in, tables and pages out: every file that a command touches."""

from __future__ import annotations

import difflib
import os
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sknoisy.command_line._errors import CommandError, one_line

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
PARQUET = (".parquet", ".pq")
TABLES = (*_DELIMITERS, *PARQUET)

_INSTALL = "pip install 'sknoisy[report]'"
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
# Written at the start of a UTF-8 file by spreadsheets.
_BOM = b"\xef\xbb\xbf"


def check_input(path: Path) -> None:
    """Refuse what cannot be a table, before anything is imported for it."""
    if path.is_dir():
        raise CommandError(f"{path} is a folder; give a file")
    if not path.exists():
        raise CommandError(f"there is no file {path}")
    if path.suffix.lower() not in TABLES:
        raise CommandError(
            f"{path} has the ending {path.suffix!r}; known are {', '.join(TABLES)}"
        )


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
    taken = {source.resolve(): "the table itself"}
    for option, (path, endings) in outputs.items():
        if path.suffix.lower() not in endings:
            raise CommandError(f"{option} {path} must end in {' or '.join(endings)}")
        if path.is_dir():
            raise CommandError(f"{option} {path} is a folder; give a file")
        if not path.parent.is_dir():
            raise CommandError(f"{option} {path}: there is no folder {path.parent}")
        if not os.access(path.parent, os.W_OK):
            raise CommandError(f"{option} {path}: {path.parent} cannot be written to")
        if path.resolve() in taken:
            raise CommandError(f"{option} {path} is {taken[path.resolve()]}")
        refuse_existing(path, force, option)
        taken[path.resolve()] = f"what {option} names already"


def refuse_existing(path: Path, force: bool, option: str) -> None:
    """Refuse a file that is there, unless it may be replaced."""
    if path.exists() and not force:
        raise CommandError(f"{option} {path} is there already; --force replaces it")


@contextmanager
def written_in_one_step(path: Path, force: bool, option: str) -> Iterator[Path]:
    """Give a path beside the real one, and put the file in place if all went well."""
    # Not tempfile: its files can be read by their owner only, and would stay so.
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}{path.suffix}")
    try:
        yield draft
        refuse_existing(path, force, option)
        os.replace(draft, path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {_reason(error)}") from error
    finally:
        draft.unlink(missing_ok=True)


def read_table(
    path: Path, label: str, *, delimiter: str | None = None, encoding: str = "utf-8"
) -> Any:
    """Read a table whose column of labels is as it stands in the file.

    Parameters
    ----------
    path : Path
        CSV or Parquet, by its ending.
    label : str
        Column of labels. In CSV its values stay strings: "01" is not 1, and the
        label "None" is not missing.
    delimiter : str or None
        Of CSV; None takes that of the ending.
    encoding : str
        Of CSV.

    Returns
    -------
    frame : pandas DataFrame
        With at least one row, and the column ``label`` once.
    """
    pd = import_pandas()
    if is_parquet(path):
        frame = _read_parquet(pd, path)
    else:
        header = _read_csv(pd, path, delimiter, encoding, header=None, nrows=1)
        _check_label(path, header.iloc[0].astype(str).tolist(), label)
        names = _read_csv(pd, path, delimiter, encoding, nrows=0).columns
        frame = _read_csv(
            pd,
            path,
            delimiter,
            encoding,
            dtype={label: str},
            keep_default_na=False,
            na_values={name: _MISSING for name in names if name != label},
            low_memory=False,
        )
    frame.columns = frame.columns.astype(str)
    _check_label(path, frame.columns.tolist(), label)
    if not len(frame):
        raise CommandError(f"{path} has no rows")
    return frame


def read_strings(path: Path, delimiter: str | None, encoding: str) -> Any:
    """Read CSV as strings only, the names of the columns in the first row."""
    pd = import_pandas()
    return _read_csv(
        pd, path, delimiter, encoding, header=None, dtype=str, keep_default_na=False
    )


def write_strings(
    rows: Any, like: Path, to: Path, delimiter: str | None, encoding: str
) -> None:
    """Write what `read_strings` read, with the line ends and the mark of ``like``."""
    with like.open("rb") as file:
        start = file.read(1 << 16)
    if start.startswith(_BOM) and encoding.lower().replace("_", "-") == "utf-8":
        encoding = "utf-8-sig"
    rows.to_csv(
        to,
        sep=delimiter or _DELIMITERS[like.suffix.lower()],
        header=False,
        index=False,
        encoding=encoding,
        lineterminator="\r\n" if b"\r\n" in start else "\n",
    )


def check_columns(names: Iterable[str], known: Iterable[str], option: str) -> None:
    """Refuse names of columns that the table does not have."""
    known = list(known)
    for name in names:
        if name not in known:
            raise CommandError(f"{option}: {_unknown(name, known)}")


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its ending."""
    return path.suffix.lower() in PARQUET


def import_pandas() -> Any:
    """Return pandas, or say where it comes from."""
    try:
        import pandas as pd
    except ImportError as error:
        raise CommandError(f"tables need pandas: {_INSTALL}") from error
    return pd


def _read_parquet(pd: Any, path: Path) -> Any:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise CommandError(f"Parquet needs pyarrow: {_INSTALL}") from error
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {_reason(error)}") from error
    except ValueError as error:
        # pyarrow's own errors are ValueErrors.
        raise CommandError(f"{path} is no Parquet file: {one_line(error)}") from error
    return frame


def _read_csv(
    pd: Any, path: Path, delimiter: str | None, encoding: str, **options: Any
) -> Any:
    sep = delimiter or _DELIMITERS[path.suffix.lower()]
    try:
        with warnings.catch_warnings():
            # Otherwise surplus cells at the end of a line are lost with a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                sep=sep,
                encoding=encoding,
                index_col=False,
                compression=None,
                **options,
            )
    except pd.errors.EmptyDataError as error:
        raise CommandError(f"{path} is empty") from error
    except UnicodeError as error:
        raise CommandError(
            f"{path} is not encoded in {encoding}; name its encoding, such as "
            "--encoding cp1252"
        ) from error
    except pd.errors.ParserWarning as error:
        raise CommandError(f"{path} has lines longer than its first one") from error
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {_reason(error)}") from error
    except ValueError as error:
        raise CommandError(f"{path} is no clean CSV: {one_line(error)}") from error


def _check_label(path: Path, names: list[str], label: str) -> None:
    if names.count(label) > 1:
        raise CommandError(f"{path} has {names.count(label)} columns named {label!r}")
    if label not in names:
        hint = ""
        for mark in (";", "\t", "|"):
            if len(names) == 1 and mark in names[0]:
                hint = f" (are its columns separated by {mark!r}? then --delimiter)"
        raise CommandError(f"--label: {_unknown(label, names)}{hint}")


def _unknown(name: str, known: list[str]) -> str:
    by_lower = {other.lower(): other for other in reversed(known)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    if close:
        hint = "did you mean " + " or ".join(repr(by_lower[c]) for c in close) + "?"
    else:
        more = ", ..." if len(known) > 10 else ""
        hint = "there are " + ", ".join(map(repr, known[:10])) + more
    return f"there is no column {name!r}; {hint}"


def _reason(error: OSError) -> str:
    return error.strerror or one_line(error)
