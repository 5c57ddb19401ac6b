"""Augmentations of whole batches, on the device where the batch lies."""

import torch
from torch import Tensor

__all__ = ["mixup"]


def mixup(X: Tensor, partner: Tensor, share: Tensor | float) -> Tensor:
    """Return convex combinations of the rows of a batch with other rows of it.

    Parameters
    ----------
    X : Tensor of shape (batch, ...)
    partner : Tensor of shape (batch,), dtype int64
        Which row of the batch each row is mixed with.
    share : Tensor of shape (batch,) or float in [0, 1]
        Share of the row itself; the partner has the rest.

    Returns
    -------
    mixed : Tensor of shape (batch, ...)

    References
    ----------
    .. [1] H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, "mixup: Beyond empirical
       risk minimization", ICLR 2018. arXiv:1710.09412

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import mixup
    >>> X = torch.tensor([[0.0, 0.0], [4.0, 8.0]])
    >>> mixup(X, torch.tensor([1, 0]), 0.75)
    tensor([[1., 2.],
            [3., 6.]])
    """
    if isinstance(share, Tensor) and share.ndim:
        share = share.reshape(-1, *[1] * (X.ndim - 1)).to(X.dtype)
    return torch.lerp(X[partner], X, share)
