"""Errors that a user can fix, of which a command shows the text alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "MissingFileError",
    "MissingPackageError",
    "OutOfMemoryError",
    "UserError",
    "one_line",
    "refusals",
    "shown",
]


class UserError(ValueError):
    """An error that the user can fix."""


class MissingFileError(UserError, FileNotFoundError):
    """There is no such file."""


class MissingPackageError(UserError, ImportError):
    """A package is not installed; the text says how to install it."""


class OutOfMemoryError(UserError, MemoryError):
    """The memory does not suffice."""


def one_line(error: object) -> str:
    """Return the text of an error, with all white space reduced to single spaces."""
    return " ".join(str(error).split())


def shown(value: object) -> str:
    r"""Return a value as text without control characters.

    Parameters
    ----------
    value : object
        For example a file name, a column name or a label.

    Returns
    -------
    text : str
        Characters that are not printable are escaped as in a Python string: ``\x1b``
        for an escape, ``\n`` for the end of a line.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in str(value)
    )


@contextmanager
def refusals(action: str) -> Iterator[None]:
    """Turn errors of scikit-learn or sknoisy into a `UserError`.

    Parameters
    ----------
    action : str
        What failed, as the start of the line.
    """
    try:
        yield
    except UserError:
        raise
    except (ValueError, ArithmeticError) as error:
        raise UserError(f"{action}: {one_line(error)}") from error
    except MemoryError as error:
        raise OutOfMemoryError(f"{action}: out of memory") from error
