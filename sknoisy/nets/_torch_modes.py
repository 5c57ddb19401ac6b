"""Protection of computations from torch's global modes."""

import functools
import threading
from contextlib import ExitStack, contextmanager

import torch

from sknoisy.nets._device_kinds import KINDS_OF_AUTOCAST

__all__ = ["in_usual_modes", "usual_modes"]

# The default dtype is global for all threads: the first thread that needs another one
# sets it, the last one restores it.
_lock = threading.Lock()
_inside = {"count": 0, "user's": None}


@contextmanager
def usual_modes():
    """Compute in float32 on a given device, with gradients, whatever modes are set.

    Afterwards the default dtype and device, gradient and inference mode, and mixed
    precision are restored.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        for kind in KINDS_OF_AUTOCAST:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        # A device mode slows down every call, so it is set only if another one is
        # active. A tensor shows which; torch 2.6 cannot, once the default device was
        # reset to None.
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
