"""Interrupted trainings: whether their results are kept, and whether to warn."""

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
    """Set how interrupted trainings in a block are handled, for this thread.

    Parameters
    ----------
    mode : {"tell", "keep", "raise"}
        "tell" keeps the result so far and warns. "keep" keeps it without a warning; the
        caller reads ``interrupted_`` and warns. "raise" is for callers that can use
        complete trainings only: KeyboardInterrupt is raised. It also applies in inner
        blocks.
    """
    token = _mode.set("raise" if _mode.get() == "raise" else mode)
    try:
        yield
    finally:
        _mode.reset(token)


def needs_whole() -> bool:
    """Return whether the caller can use complete trainings only."""
    return _mode.get() == "raise"


def tell(message: str) -> None:
    """Report an interruption in the mode set by `interruptions`.

    Parameters
    ----------
    message : str

    Raises
    ------
    KeyboardInterrupt
        In mode "raise".

    Warns
    -----
    TrainingInterruptedWarning
        In mode "tell".
    """
    if needs_whole():
        raise KeyboardInterrupt(message)
    if _mode.get() == "tell":
        warn_user(message, TrainingInterruptedWarning)


def is_stop(error: BaseException) -> bool:
    """Return whether a callback stopped the training, as skorch's EarlyStopping does.

    Ctrl-C and a stop both raise KeyboardInterrupt. A stop comes from a ``raise``
    statement in a hook of a callback or of the net, or in a function called there;
    Ctrl-C is raised between any two instructions.

    Parameters
    ----------
    error : KeyboardInterrupt
        The caught error, with its traceback.

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
    # By its attributes, since skorch is not imported for detectors without a network.
    return hasattr(owner, "on_epoch_end") and not hasattr(owner, "fit_loop")
