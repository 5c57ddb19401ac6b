"""Contrastive learning: views of the same row should be similar, others not."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals

__all__ = ["ContrastiveLoss", "nt_xent"]


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.5) -> Tensor:
    """Return the contrastive loss of each row: how hard its other view is to find.

    The normalised, temperature-scaled cross-entropy of [1]_: among the 2 n − 1 other
    views, the other view of the same row should have the largest cosine.

    Parameters
    ----------
    first, second : Tensor of shape (n, n_features)
        Representations of two views of n rows.
    temperature : float > 0, default=0.5
        Divides the cosines; small values make the nearest wrong views count most.

    Returns
    -------
    loss : Tensor of shape (n,)
        Mean of both views; 0 for a single row.

    References
    ----------
    .. [1] T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A simple framework for
       contrastive learning of visual representations", ICML 2020. arXiv:2002.05709

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import nt_xent
    >>> views = torch.eye(2)
    >>> nt_xent(views, views)  # log(1 + 2 exp(-1 / 0.5))
    tensor([0.2395, 0.2395])
    """
    views = F.normalize(torch.cat([first, second]).float())
    # A small temperature would amplify the rounding errors of mixed precision.
    with torch.autocast(views.device.type, enabled=False):
        cosines = views @ views.T / temperature
    cosines = cosines.fill_diagonal_(-torch.inf)
    n_rows = len(first)
    other = torch.arange(2 * n_rows, device=views.device).roll(n_rows)
    loss = F.cross_entropy(cosines, other, reduction="none")
    return loss.view(2, n_rows).mean(0)


class ContrastiveLoss(nn.Module):
    """`nt_xent` of features after a learnt projection head.

    Parameters
    ----------
    n_features : int
        Width of the features.
    n_projected : int, default=128
        Width of the space in which views are compared.
    temperature : float > 0, default=0.05
        Divides the similarities. A lower one separates near neighbours more.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import ContrastiveLoss
    >>> loss = ContrastiveLoss(n_features=3)
    >>> loss(torch.randn(5, 3), torch.randn(5, 3)).shape
    torch.Size([5])
    """

    def __init__(
        self, n_features: int, n_projected: int = 128, temperature: float = 0.05
    ) -> None:
        super().__init__()
        check_counts(n_features=n_features, n_projected=n_projected)
        check_reals(temperature=temperature)
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0; got {temperature!r}.")
        self.temperature = temperature
        self.head = nn.Sequential(
            nn.Linear(n_features, n_projected), nn.BatchNorm1d(n_projected)
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the loss of each row, shape (n,).

        Parameters
        ----------
        first, second : Tensor of shape (n, n_features)
            Encodings of two views of each row.

        Returns
        -------
        loss : Tensor of shape (n,)
            As `nt_xent` returns it.
        """
        first, second = self.head(torch.cat([first, second])).chunk(2)
        return nt_xent(first, second, self.temperature)
