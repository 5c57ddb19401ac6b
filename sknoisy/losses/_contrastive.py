"""Contrastive learning: views of the same row or class should be similar."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals

__all__ = ["ContrastiveLoss", "nt_xent", "sup_con"]


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
    cosines = _cosines(first, second, temperature)
    n_rows = len(first)
    other = torch.arange(2 * n_rows, device=cosines.device).roll(n_rows)
    loss = F.cross_entropy(cosines, other, reduction="none")
    return loss.view(2, n_rows).mean(0)


def sup_con(
    first: Tensor,
    second: Tensor,
    y: Tensor | None = None,
    mask: Tensor | None = None,
    temperature: float = 0.1,
) -> Tensor:
    """Return the supervised contrastive loss of each row.

    As `nt_xent`, but all views of rows with the same label should be near: the mean of
    −log(e^(s_ij / τ) / Σ_a e^(s_ia / τ)) over them, which is "L_out" of [1]_. A wrong
    label is an error in all pairs of its row: a mask may leave such pairs out.

    Parameters
    ----------
    first, second : Tensor of shape (n, n_features)
        Representations of two views of n rows.
    y : Tensor of shape (n,), default=None
        Labels.
    mask : Tensor of shape (n, n), default=None
        How much two rows should be near, at least 0, in place of labels. The diagonal
        is for the two views of a row. Without labels or mask each row is alone, as in
        `nt_xent`.
    temperature : float > 0, default=0.1, that of the CIFAR trainings of [1]_
        Divides the cosines. The default of the authors' code is 0.07, and it multiplies
        the loss by temperature / 0.07.

    Returns
    -------
    loss : Tensor of shape (n,)
        Mean of both views; 0 for a row whose mask is 0.

    Raises
    ------
    ValueError
        If both labels and a mask are given, or a mask of another shape.

    References
    ----------
    .. [1] P. Khosla, P. Teterwak, C. Wang, A. Sarna, Y. Tian, P. Isola, A. Maschinot,
       C. Liu, D. Krishnan, "Supervised contrastive learning", NeurIPS 2020.
       arXiv:2004.11362

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import sup_con
    >>> views = torch.ones(2, 3)
    >>> sup_con(views, views, torch.tensor([0, 0]))  # log(3): all are the same
    tensor([1.0986, 1.0986])
    """
    n_rows = len(first)
    if y is not None and mask is not None:
        raise ValueError("Give sup_con labels or a mask, not both.")
    if y is not None:
        mask = y[:, None] == y
    elif mask is None:
        mask = torch.eye(n_rows, device=first.device)
    if mask.shape != (n_rows, n_rows):
        raise ValueError(
            f"mask must have the shape {(n_rows, n_rows)}; got {tuple(mask.shape)}."
        )
    cosines = _cosines(first, second, temperature)
    weight = mask.to(cosines.dtype).repeat(2, 2).fill_diagonal_(0)
    is_self = torch.eye(2 * n_rows, dtype=torch.bool, device=cosines.device)
    # A view is no choice for itself: there its logarithm is infinite.
    log_proba = cosines.log_softmax(1).masked_fill(is_self, 0)
    total = weight.sum(1)
    loss = -(weight * log_proba).sum(1) / torch.where(total > 0, total, 1)
    return loss.view(2, n_rows).mean(0)


def _cosines(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return those of all pairs of views over the temperature; of a view itself −∞."""
    views = F.normalize(torch.cat([first, second]).float())
    # A small temperature would amplify the rounding errors of mixed precision.
    with torch.autocast(views.device.type, enabled=False):
        cosines = views @ views.T / temperature
    return cosines.fill_diagonal_(-torch.inf)


class ContrastiveLoss(nn.Module):
    """`nt_xent` or `sup_con` of features after a learnt projection head.

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

    def forward(
        self, first: Tensor, second: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Return the loss of each row, shape (n,).

        Parameters
        ----------
        first, second : Tensor of shape (n, n_features)
            Encodings of two views of each row.
        mask : Tensor of shape (n, n), default=None
            How much two rows should be near, as in `sup_con`. None is `nt_xent`.

        Returns
        -------
        loss : Tensor of shape (n,)
            As `nt_xent` or `sup_con` returns it.
        """
        first, second = self.head(torch.cat([first, second])).chunk(2)
        if mask is None:
            return nt_xent(first, second, self.temperature)
        return sup_con(first, second, mask=mask, temperature=self.temperature)
