"""The file of a table: its source, compression and encoding."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import os
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sknoisy._option_names import option
from sknoisy._user_errors import (
    MissingFileError,
    MissingPackageError,
    UserError,
    one_line,
    shown,
)

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
PARQUET = (".parquet", ".pq")
TABLES = (*_DELIMITERS, *PARQUET)

INSTALL = "pip install 'sknoisy[report]'"
# The first line of CSV must end within so many bytes. That allows a million columns
# with short names, and detects a file without line ends before it fills the memory.
_LONGEST_HEADER = 1 << 23
_CHUNK = 1 << 20

# Byte order marks, each with the codec to read with and the one to write without a
# mark. UTF-32 comes first, because its mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: ("utf-32", "utf-32-le"),
    codecs.BOM_UTF32_BE: ("utf-32", "utf-32-be"),
    codecs.BOM_UTF8: ("utf-8", "utf-8"),
    codecs.BOM_UTF16_LE: ("utf-16", "utf-16-le"),
    codecs.BOM_UTF16_BE: ("utf-16", "utf-16-be"),
}


@dataclass(frozen=True)
class Source:
    """A table in a file that can be read several times.

    Attributes
    ----------
    name : Path
        The path as the user wrote it, for messages.
    path : Path
        An uncompressed regular file: the table itself, or a temporary copy.
    ending : str
        ".csv", ".tsv", ".parquet" or ".pq".
    delimiter : str
        Separator of the columns in CSV.
    encoding : str
        For reading CSV.
    plain_encoding : str
        For writing CSV, after the byte order mark.
    mark : str
        The byte order mark at the start of the file, or "".
    """

    name: Path
    path: Path
    ending: str
    delimiter: str
    encoding: str
    plain_encoding: str
    mark: str

    def __str__(self) -> str:
        return shown(self.name)

    @property
    def is_parquet(self) -> bool:
        """Whether it is Parquet, by its file extension."""
        return self.ending in PARQUET

    def line_end(self) -> str:
        r"""Return the end of the first line of CSV, "\r\n" or "\n"."""
        with self.path.open(encoding=self.encoding, errors="replace", newline="") as f:
            first, _, _ = f.read(_CHUNK).partition("\n")
        return "\r\n" if first.endswith("\r") else "\n"


def check_input(path: Path) -> str:
    """Check that a path can be a table, before anything is imported for it.

    Parameters
    ----------
    path : Path

    Returns
    -------
    ending : str
        File extension of the table, without that of the compression.

    Raises
    ------
    UserError
        If there is no such file, or its extension is unknown.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(f"there is no file {shown(path)}") from error
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise UserError(f"{shown(path)} is not a valid file name: {error}") from error
    if stat.S_ISDIR(mode):
        raise UserError(f"{shown(path)} is a folder; give a file")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise UserError(f"{shown(path)} is a device or a socket; give a file")
    ending, packing = _endings(path)
    if ending not in TABLES or (packing and ending in PARQUET):
        packed = ", ".join(f".csv{end}" for end in _PACKINGS)
        raise UserError(
            f"{shown(path)} has the extension {shown(path.suffix)!r}; supported are "
            f"{', '.join(TABLES)}, and compressed {packed}"
        )
    return ending


@contextmanager
def opened_table(
    path: Path, *, delimiter: str | None = None, encoding: str | None = None
) -> Iterator[Source]:
    """Yield a table as a file that can be read several times.

    A FIFO or a compressed file is copied to a temporary file, which is removed at the
    end.

    Parameters
    ----------
    path : Path
    delimiter : str or None
        Separator of the columns in CSV; None selects it by the file extension.
    encoding : str or None
        Encoding of CSV; None selects that of a byte order mark, else UTF-8.

    Yields
    ------
    source : Source

    Raises
    ------
    UserError
        If it cannot be read, or its first line is longer than 8 MiB.
    """
    ending = check_input(path)
    if delimiter is not None and len(delimiter) != 1:
        raise UserError(
            f"{option('delimiter')} must be one character; got {delimiter!r}"
        )
    unpack = _PACKINGS.get(_endings(path)[1])
    is_text = ending not in PARQUET
    with tempfile.TemporaryDirectory(prefix="sknoisy-") as folder:
        plain = path
        if unpack is not None or not path.is_file():
            plain = Path(folder) / f"table{ending}"
            _copy(path, unpack or _as_it_is, plain, is_text)
        head = b""
        if is_text:
            head = _head(path, plain)
        yield Source(
            path,
            plain,
            ending,
            delimiter or _DELIMITERS.get(ending, ","),
            *_encoding(path, head, encoding),
        )


def text_encoding(name: str) -> str:
    """Return the normalised name of an encoding.

    Parameters
    ----------
    name : str

    Returns
    -------
    name : str

    Raises
    ------
    ValueError
        If Python does not know the encoding, or it is not one of text, such as rot13 or
        base64.
    """
    try:
        # LookupError for encodings that are not of text.
        "a".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError, UnicodeError) as error:
        raise ValueError(
            f"must be a text encoding that Python knows, such as cp1252; got {name!r}"
        ) from error


def reason(error: OSError) -> str:
    """Return why a file could not be read or written."""
    return error.strerror or one_line(error)


def _endings(path: Path) -> tuple[str, str]:
    """Return the extension of the table, and that of the compression or ""."""
    ending = path.suffix.lower()
    if ending not in _PACKINGS:
        return ending, ""
    return path.with_suffix("").suffix.lower(), ending


def _as_it_is(path: Path) -> BinaryIO:
    return path.open("rb")


def _zstandard(path: Path) -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingPackageError(
            f"{shown(path)}: .zst needs pyarrow: {INSTALL}"
        ) from error
    return pa.CompressedInputStream(pa.OSFile(os.fspath(path)), "zstd")


_PACKINGS: dict[str, Callable[[Path], Any]] = {
    ".gz": lambda path: gzip.open(path, "rb"),
    ".bz2": lambda path: bz2.open(path, "rb"),
    ".xz": lambda path: lzma.open(path, "rb"),
    ".zst": _zstandard,
}


def _copy(path: Path, unpack: Callable[[Path], Any], to: Path, is_text: bool) -> None:
    n_bytes, has_line = 0, not is_text
    try:
        with unpack(path) as file, to.open("wb") as draft:
            while chunk := file.read(_CHUNK):
                draft.write(chunk)
                n_bytes += len(chunk)
                has_line = has_line or b"\n" in chunk or b"\r" in chunk
                if not has_line and n_bytes >= _LONGEST_HEADER:
                    raise _no_line(path)
    except (EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise UserError(
            f"{shown(path)} cannot be decompressed: {one_line(error)}"
        ) from error
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read: {reason(error)}") from error


def _head(path: Path, plain: Path) -> bytes:
    """Return the start of a CSV file; its first line must not be too long."""
    try:
        with plain.open("rb") as file:
            head = file.read(_LONGEST_HEADER)
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read: {reason(error)}") from error
    if len(head) == _LONGEST_HEADER and b"\n" not in head and b"\r" not in head:
        raise _no_line(path)
    return head[:1024]


def _no_line(path: Path) -> UserError:
    return UserError(
        f"{shown(path)} has a first line of more than {_LONGEST_HEADER >> 20} MiB; is "
        "it a table?"
    )


def _encoding(path: Path, head: bytes, given: str | None) -> tuple[str, str, str]:
    """Return the encodings for reading and for writing, and the byte order mark."""
    for mark, (reading, writing) in _MARKS.items():
        if head.startswith(mark) and given in (None, reading, writing):
            return reading, writing, "\ufeff"
    if given is None and 4 * head.count(b"\0") > len(head):
        # In western text in UTF-16, every second byte is NUL.
        raise UserError(
            f"{shown(path)} is not encoded in utf-8: it is full of NUL bytes. If it is "
            f"text, pass its encoding, for example {option('encoding', 'utf-16-le')}"
        )
    name = given or "utf-8"
    return name, {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name), ""
