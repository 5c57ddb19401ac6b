"""Numbers of epochs, of which "auto" is a share of all."""

from __future__ import annotations

from typing import Literal

__all__ = ["resolve_epochs", "share_of_epochs"]


def share_of_epochs(share: float, max_epochs: int) -> int:
    """Return a share of all epochs as a number, at least one.

    Parameters
    ----------
    share : float in (0, 1]
        Share of all epochs.
    max_epochs : int
        Epochs of a training.

    Returns
    -------
    n_epochs : int
        The nearest integer, rounded half to even.
    """
    return max(1, round(share * max_epochs))


def resolve_epochs(
    given: float | Literal["auto"], share: float, max_epochs: int
) -> float:
    """Return the number of epochs that was given, or a share of all for "auto".

    Parameters
    ----------
    given : int, float or "auto"
        The parameter of the estimator.
    share : float in (0, 1]
        The share for "auto".
    max_epochs : int
        Epochs of a training.

    Returns
    -------
    n_epochs : int or float
        As given, or an integer of at least one.
    """
    return share_of_epochs(share, max_epochs) if given == "auto" else given
