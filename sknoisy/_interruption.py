"""Trainings that the keyboard interrupts: who keeps what there is, and who is told."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sknoisy._warning import warn_user
from sknoisy.base import TrainingInterruptedWarning

__all__ = ["interruptions", "is_stop", "needs_whole", "tell"]

_mode: ContextVar[str] = ContextVar("sknoisy_interruptions", default="tell")


@contextmanager
def interruptions(mode: str) -> Iterator[None]:
    """Say what becomes of interrupted trainings in a block, in this thread.

    Parameters
    ----------
    mode : {"tell", "keep", "raise"}
        "tell" keeps what a training has, and warns. "keep" keeps it in silence: who
        asks for it looks at ``interrupted_`` and tells. "raise" is for those who can
        use whole trainings only: the KeyboardInterrupt goes on. It holds in blocks
        within the block, too.
    """
    token = _mode.set("raise" if _mode.get() == "raise" else mode)
    try:
        yield
    finally:
        _mode.reset(token)


def needs_whole() -> bool:
    """Whether an interrupted training is of no use to who asked for it."""
    return _mode.get() == "raise"


def tell(message: str) -> None:
    """Tell that something was interrupted, as `interruptions` says.

    Parameters
    ----------
    message : str

    Raises
    ------
    KeyboardInterrupt
        If who asked needs whole trainings.

    Warns
    -----
    TrainingInterruptedWarning
        If nobody looks for himself.
    """
    if needs_whole():
        raise KeyboardInterrupt(message)
    if _mode.get() == "tell":
        warn_user(message, TrainingInterruptedWarning)


def is_stop(error: BaseException) -> bool:
    """Whether a callback has stopped the training, as skorch's EarlyStopping does.

    Both raise KeyboardInterrupt. A callback does so by a ``raise`` statement, in a hook
    or below it, and a net in a hook of its own; a key is noticed between any two other
    instructions.

    Parameters
    ----------
    error : KeyboardInterrupt
        Caught, with its traceback.

    Returns
    -------
    is_stop : bool
    """
    trace: Any = error.__traceback__
    by_callback, names = False, []
    while trace is not None:
        frame, position = trace.tb_frame, trace.tb_lasti
        by_callback = by_callback or _is_callback(frame.f_locals.get("self"))
        names.append(frame.f_code.co_name)
        trace = trace.tb_next
    instruction = frame.f_code.co_code[position]
    by_hook = names[-2:-1] == ["notify"]
    is_raised = dis.opname[instruction] == "RAISE_VARARGS"
    return is_raised and (by_callback or by_hook)


def _is_callback(owner: object) -> bool:
    # Told by what it has: skorch is not loaded for detectors without a network.
    return hasattr(owner, "on_epoch_end") and not hasattr(owner, "fit_loop")
