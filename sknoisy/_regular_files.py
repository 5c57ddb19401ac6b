"""Open regular files only, and replace them atomically."""

import errno
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed.
    fcntl = None  # type: ignore[assignment]

__all__ = ["check_replaceable", "open_regular", "written_in_one_step"]

_KINDS = (
    (stat.S_ISDIR, "a folder; give a file in it"),
    (stat.S_ISCHR, "a device; give a file"),
    (stat.S_ISBLK, "a device; give a file"),
    (stat.S_ISFIFO, "a FIFO; give a file"),
    (stat.S_ISSOCK, "a socket; give a file"),
)
# With 24 more characters, a name must stay under 255 bytes.
_LONGEST_NAME = 200
# Seconds, on systems without file locks.
_ABANDONED_AFTER = 24 * 3600


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading bytes.

    Devices and FIFOs are refused: a device may be endless, and a FIFO would wait for a
    writer.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    file : binary file

    Raises
    ------
    OSError
        If the file does not exist or cannot be read.
    ValueError
        If it is not a regular file.
    """
    _require_file(os.stat(path).st_mode, "it")
    # Not blocking, in case a FIFO has replaced the file since the check.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    try:
        _require_file(os.fstat(handle).st_mode, "it")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def check_replaceable(path: str | os.PathLike[str], name: str = "path") -> None:
    """Refuse a path that cannot be replaced by a file.

    Parameters
    ----------
    path : str or path-like
    name : str, default="path"
        Name of the parameter in the message.

    Raises
    ------
    ValueError
        If the path exists and is not a regular file, or its folder does not exist.
    """
    shown = f"{name} {os.fspath(path)!r}"
    real = Path(os.path.realpath(path))
    with suppress(FileNotFoundError, NotADirectoryError):
        _require_file(os.stat(path).st_mode, shown)
    if not real.parent.is_dir():
        raise ValueError(
            f"{shown} cannot be written: there is no folder {str(real.parent)!r}. "
            "Create it first."
        )


@contextmanager
def written_in_one_step(
    path: str | os.PathLike[str], *, overwrite: bool = True
) -> Iterator[Path]:
    """Yield a temporary file that replaces a file atomically if there is no error.

    The file has the old or the new content, also after a crash or a power failure. It
    keeps its permissions; a new file has the default ones. If the path is a symbolic
    link, its target is replaced. Temporary files of earlier runs that were killed are
    removed.

    Parameters
    ----------
    path : str or path-like
    overwrite : bool, default=True
        False keeps an existing file, also one created in the meantime.

    Yields
    ------
    draft : Path
        An empty temporary file in the same folder, whose name ends like that of the
        file.

    Raises
    ------
    FileExistsError
        If the file exists, and ``overwrite`` is False.
    OSError
        If the file cannot be written.
    ValueError
        If the path exists and is not a regular file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_in_one_step(Path(folder) / "a.txt") as draft:
    ...         _ = draft.write_text("all of it")
    ...     (Path(folder) / "a.txt").read_text()
    'all of it'
    """
    given, path = path, Path(os.path.realpath(path))
    if not overwrite:
        _refuse_existing(path, given)
    try:
        old = os.stat(given)
        _require_file(old.st_mode, f"path {os.fspath(given)!r}")
    except FileNotFoundError:
        old = None
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(given))
    _remove_abandoned(path)
    draft, lock = _new_draft(path, old)
    try:
        yield draft
        _settle(draft, old)
        if overwrite:
            os.replace(draft, path)
        else:
            _put_where_nothing_is(draft, path, given)
        _sync_folder(path.parent)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
        if lock is not None:
            os.close(lock)


def _require_file(mode: int, shown: str) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = (kind for holds, kind in _KINDS if holds(mode))
    raise ValueError(f"{shown} is {next(kinds, 'not a regular file; give one')}.")


def _refuse_existing(path: Path, given: str | os.PathLike[str]) -> None:
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(given))


def _draft_names(path: Path) -> tuple[str, str]:
    """Return the start and end of the names of the temporary files of a file."""
    own = path.name
    if len(os.fsencode(own)) > _LONGEST_NAME:
        # A long name is replaced by a short hash of it.
        digest = hashlib.sha256(os.fsencode(own)).hexdigest()[:32]
        own = digest + path.suffix[:16]
    return ".", f".part.{own}"


def _new_draft(path: Path, old: os.stat_result | None) -> tuple[Path, int | None]:
    """Create an empty temporary file; return it with a locked handle."""
    start, end = _draft_names(path)
    # Private until it gets the permissions of the old file.
    mode = 0o666 if old is None else 0o600
    while True:
        draft = path.with_name(f"{start}{secrets.token_hex(8)}{end}")
        handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        if fcntl is None:
            os.close(handle)
            return draft, None
        # Without file locks, abandoned temporary files are not recognised and stay.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(draft), os.fstat(handle)):
                return draft, handle
        # Another run removed it before it was locked.
        os.close(handle)


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files whose lock is free, because their run was killed."""
    start, end = _draft_names(path)
    pattern = re.compile(f"{re.escape(start)}[0-9a-f]{{16}}{re.escape(end)}")
    with suppress(OSError), os.scandir(path.parent) as entries:
        found = [entry.path for entry in entries if pattern.fullmatch(entry.name)]
        for name in found:
            with suppress(OSError):
                _remove_if_abandoned(name)


def _remove_if_abandoned(name: str) -> None:
    if not stat.S_ISREG(os.lstat(name).st_mode):
        return
    if fcntl is None:
        if time.time() - os.lstat(name).st_mtime > _ABANDONED_AFTER:
            os.unlink(name)
        return
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name)
    finally:
        os.close(handle)


def _settle(draft: Path, old: os.stat_result | None) -> None:
    """Flush a temporary file to disk, and give it the permissions of the old file."""
    with open(draft, "rb+") as file:
        # Otherwise a power failure could leave an empty file under the new name.
        os.fsync(file.fileno())
    if old is None:
        return
    if hasattr(os, "chown"):
        # Only root can change the owner.
        with suppress(OSError):
            os.chown(draft, old.st_uid, old.st_gid)
    os.chmod(draft, stat.S_IMODE(old.st_mode) & 0o777)


def _put_where_nothing_is(
    draft: Path, path: Path, given: str | os.PathLike[str]
) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        _refuse_existing(path, given)
        raise
    except OSError:
        # Not all file systems have hard links.
        _refuse_existing(path, given)
        os.replace(draft, path)


def _sync_folder(folder: Path) -> None:
    """Flush the new name to disk; systems that cannot open folders need no flush."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
