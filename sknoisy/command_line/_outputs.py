"""Write the files of a command."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from sknoisy._user_errors import UserError, one_line, shown
from sknoisy.auditing._source import Source, reason

__all__ = ["check_outputs", "write_strings", "writing"]


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
            raise UserError(f"{name} must end in {' or '.join(endings)}")
        _check_place(name, path)
        real = os.path.realpath(path)
        if real in taken:
            raise UserError(f"{name} is {taken[real]}")
        if path.exists() and not force:
            raise _is_there(name)
        taken[real] = f"also the file of {option}"


def _check_place(name: str, path: Path) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        raise UserError(f"{name}: {reason(error)}") from error
    except ValueError as error:
        raise UserError(f"{name} is not a valid file name: {error}") from error
    if mode is not None and stat.S_ISDIR(mode):
        raise UserError(f"{name} is a folder; give a file")
    if mode is not None and not stat.S_ISREG(mode):
        raise UserError(f"{name} is a device, a FIFO or a socket; give a file")
    folder = path.parent
    if not folder.is_dir():
        raise UserError(f"{name}: there is no folder {shown(folder)}")
    if not os.access(folder, os.W_OK):
        raise UserError(f"{name}: {shown(folder)} cannot be written to")


def _is_there(name: str) -> UserError:
    return UserError(f"{name} already exists; --force replaces it")


@contextmanager
def writing(path: Path, option: str) -> Iterator[None]:
    """Turn errors of writing an output into a `UserError`."""
    try:
        yield
    except FileExistsError as error:
        raise _is_there(f"{option} {shown(path)}") from error
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be written: {reason(error)}") from error
    except ValueError as error:
        raise UserError(
            f"{shown(path)} cannot be written: {one_line(error)}"
        ) from error


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
