"""What becomes of the losses of a batch."""

from torch import Tensor

from sknoisy._arguments import is_one_of

__all__ = ["check_reduction", "reduced"]

_REDUCTIONS = ("mean", "none")


def check_reduction(reduction: str) -> str:
    """Return what was asked for, or refuse it.

    Raises
    ------
    ValueError
        If it is neither "mean" nor "none". A sum would change with the batch size what
        learning rate and weights of penalties mean.
    """
    if not is_one_of(reduction, _REDUCTIONS):
        raise ValueError(f"reduction must be 'mean' or 'none'; got {reduction!r}.")
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """Return the losses, shape (batch,), or their mean."""
    return loss if reduction == "none" else loss.mean()
