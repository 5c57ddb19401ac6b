"""What ends a command with one line instead of a traceback."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class CommandError(Exception):
    """A failure that the user can mend; its text is all that is shown."""


def one_line(error: object) -> str:
    """Return the text of an error with all white space as single blanks."""
    return " ".join(str(error).split())


def shown(value: object) -> str:
    r"""Return a value as text that commands nothing to a terminal.

    Parameters
    ----------
    value : object
        A name of a file or column, a label.

    Returns
    -------
    text : str
        What is not printable stands there as Python writes it in a string: an escape
        as ``\x1b``, the end of a line as ``\n``.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in str(value)
    )


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
    except (ValueError, ArithmeticError) as error:
        raise CommandError(f"{action}: {one_line(error)}") from error
    except MemoryError as error:
        raise CommandError(f"{action}: out of memory") from error


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt for every interruption, also one that a fit swallows.

    A fit that is interrupted may return what it has, or raise an error of its own.
    Whoever interrupts a command wants it to end.
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
