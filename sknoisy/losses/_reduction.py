"""Reduction of the losses of a batch."""

from torch import Tensor

from sknoisy._arguments import is_one_of

__all__ = ["check_reduction", "reduced"]

_REDUCTIONS = ("mean", "none")


def check_reduction(reduction: str) -> str:
    """Return the reduction, or raise an error.

    Parameters
    ----------
    reduction : {"mean", "none"}
        What a loss does with the values of a batch.

    Returns
    -------
    reduction : str
        The same.

    Raises
    ------
    ValueError
        If it is neither "mean" nor "none". With a sum, learning rate and
        penalty weights would depend on the batch size.
    """
    if not is_one_of(reduction, _REDUCTIONS):
        raise ValueError(f"reduction must be 'mean' or 'none'; got {reduction!r}.")
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """Return the losses of a batch, or their mean.

    Parameters
    ----------
    loss : Tensor of shape (batch,)
        One loss for each row.
    reduction : {"mean", "none"}
        "none" returns them as they are.

    Returns
    -------
    loss : Tensor of shape () or (batch,)
        Their mean, or the losses.
    """
    return loss if reduction == "none" else loss.mean()
