"""Errors and interruptions that end a command with one line, without a traceback."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class CommandError(Exception):
    """An error that the user can fix; only its text is shown."""


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
    """Turn errors of scikit-learn or sknoisy into a `CommandError`.

    Parameters
    ----------
    action : str
        What failed, as the start of the line.
    """
    try:
        yield
    except (ValueError, ArithmeticError) as error:
        raise CommandError(f"{action}: {one_line(error)}") from error
    except MemoryError as error:
        raise CommandError(f"{action}: out of memory") from error


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt for every interruption, also one handled by a fit.

    An interrupted fit may return early, or raise another error. Here an interruption
    must always end the command.
    """
    from sknoisy._interruption import interruptions
    from sknoisy.base import TrainingInterrupted

    noticed: list[int] = []

    def notice(number: int, frame: FrameType | None) -> None:
        noticed.append(number)
        signal.default_int_handler(number, frame)

    is_ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if is_ours:
        signal.signal(signal.SIGINT, notice)
    try:
        with interruptions("raise"):
            yield
    except TrainingInterrupted as error:
        raise KeyboardInterrupt from error
    except Exception as error:
        if noticed:
            raise KeyboardInterrupt from error
        raise
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if noticed:
        raise KeyboardInterrupt
