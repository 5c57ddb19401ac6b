"""torch's global modes, kept away from what is computed here."""

import functools
import threading
from contextlib import ExitStack, contextmanager

import torch

__all__ = ["in_usual_modes", "usual_modes"]

# The default dtype is one for all threads: the first that needs another one than the
# user's sets it, the last one sets it back.
_lock = threading.Lock()
_inside = {"count": 0, "user's": None}


@contextmanager
def usual_modes():
    """Compute in float32 on the device named, with gradients, whatever is set outside.

    What is left as it was afterwards: the default dtype and device, gradient and
    inference mode, and mixed precision.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        # A device mode slows every call down: only against another one. A tensor tells
        # which; torch 2.6 cannot, once the default device was set back to None.
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_float32())
        yield


@contextmanager
def _float32():
    with _lock:
        if not _inside["count"]:
            _inside["user's"] = torch.get_default_dtype()
            if _inside["user's"] != torch.float32:
                torch.set_default_dtype(torch.float32)
        _inside["count"] += 1
    try:
        yield
    finally:
        with _lock:
            _inside["count"] -= 1
            if not _inside["count"] and _inside["user's"] != torch.float32:
                torch.set_default_dtype(_inside["user's"])


def in_usual_modes(function):
    """Decorate a function to run in `usual_modes`.

    Parameters
    ----------
    function : callable

    Returns
    -------
    decorated : callable
    """

    @functools.wraps(function)
    def decorated(*args, **kwargs):
        with usual_modes():
            return function(*args, **kwargs)

    return decorated
