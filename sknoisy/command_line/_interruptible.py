"""Interruptions that always end a command."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interruptible"]


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
