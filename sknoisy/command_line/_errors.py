"""What ends a command with one line instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager


class CommandError(Exception):
    """A failure that the user can mend; its text is all that is shown."""


def one_line(error: object) -> str:
    """Return the text of an error with all white space as single blanks."""
    return " ".join(str(error).split())


@contextmanager
def refusals(action: str) -> Iterator[None]:
    """Turn what scikit-learn or sknoisy refuses into a `CommandError`.

    Parameters
    ----------
    action : str
        What was being done, the start of the line.
    """
    try:
        yield
    except ValueError as error:
        raise CommandError(f"{action}: {one_line(error)}") from error
    except MemoryError as error:
        raise CommandError(f"{action}: out of memory") from error
