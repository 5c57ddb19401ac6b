"""Smaller learning rates while an epoch runs."""

from contextlib import contextmanager

__all__ = ["divided_lrs"]


@contextmanager
def divided_lrs(groups, divisor):
    """Divide the learning rates, and restore them also where the epoch fails.

    Parameters
    ----------
    groups : list of dict
        Parameter groups of the optimizers.
    divisor : float > 0
    """
    lrs = [group["lr"] for group in groups]
    for group, lr in zip(groups, lrs, strict=True):
        group["lr"] = lr / divisor
    try:
        yield
    finally:
        for group, lr in zip(groups, lrs, strict=True):
            group["lr"] = lr
