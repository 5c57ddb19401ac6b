"""Optimizers of a net: whether they need a closure, and their learning rates."""

import inspect
import math
from numbers import Real

__all__ = ["lr_factor", "wants_closure"]


def wants_closure(optimizer):
    """Return whether ``step`` needs the closure that skorch passes.

    Optimizers of torch are called without it where it is optional.
    """
    step = getattr(type(optimizer), "step", optimizer.step)
    closure = inspect.signature(step).parameters.get("closure")
    is_needed = closure is None or closure.default is inspect.Parameter.empty
    return is_needed or not step.__module__.startswith("torch.optim")


def lr_factor(schedule, done, max_epochs):
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done / max_epochs))
    if not callable(schedule):
        return schedule**done
    factor = schedule(done, max_epochs)
    if not isinstance(factor, Real) or not 0 <= factor < math.inf:
        raise ValueError(
            "lr_schedule must return a number, 0 or more; it returned "
            f"{factor!r} after {done} epoch(s)."
        )
    return factor
