"""Optimizers of a net: whether they need a closure, and their learning rates."""

import inspect
import math
from collections.abc import Sequence
from numbers import Real

from sknoisy._arguments import check_reals

__all__ = ["lr_factor", "multi_step", "wants_closure"]


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


def multi_step(
    done: int, max_epochs: int, *, milestones: Sequence[float], factor: float = 0.1
) -> float:
    """Return the factor on the learning rate, lowered in steps: an ``lr_schedule``.

    Parameters
    ----------
    done : int
        Epochs done.
    max_epochs : int
        All epochs.
    milestones : sequence of float in [0, 1]
        When it is lowered, as shares of all epochs.
    factor : float >= 0, default=0.1
        Multiplies the learning rate at each milestone.

    Returns
    -------
    product : float
        1 before the first milestone.

    Examples
    --------
    >>> from functools import partial
    >>> from sknoisy import NetClassifier
    >>> from sknoisy.nets import multi_step
    >>> schedule = partial(multi_step, milestones=(0.5, 0.75))
    >>> clf = NetClassifier(lr_schedule=schedule, max_epochs=40)
    >>> [schedule(done, 40) for done in (19, 20)]
    [1.0, 0.1]
    """
    check_reals(factor=factor)
    # The small term keeps rounding from moving a milestone to the next epoch.
    n_steps = sum(done >= share * max_epochs - 1e-9 for share in milestones)
    return float(factor**n_steps)
