"""How images lie in memory."""

import torch
from torch import Tensor

__all__ = ["laid_out"]


def laid_out(X: Tensor, memory_format: str) -> Tensor:
    """Return images in a memory format.

    Parameters
    ----------
    X : Tensor
        Of other than four dimensions it is returned as it is.
    memory_format : {"contiguous", "channels_last"}

    Returns
    -------
    X : Tensor
        Of the same values; the same if it lies so.
    """
    if X.ndim != 4:
        return X
    if memory_format == "channels_last":
        return X.contiguous(memory_format=torch.channels_last)
    # Images with one channel are contiguous in both formats, and torch takes their
    # strides for the format. These become those of rows that lie one after another.
    return X.contiguous().view(-1).view(X.shape)
