"""SSR: the labels of nearest rows, their balanced shares, and consistent features."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts
from sknoisy._types import FloatArray, IntArray

__all__ = ["FeatureConsistencyLoss", "neighbor_label_counts", "vote_shares"]

# Cosines that are in memory at once, 64 MB.
_BLOCK_SIZE = 2**24
# Keeps the share of a class without any row from 0; far below that of one row.
_PRIOR_FLOOR = 1e-10


def neighbor_label_counts(
    features: Tensor,
    labels: Tensor,
    n_classes: int,
    n_neighbors: int,
    *,
    include_self: bool = True,
    bank: Tensor | None = None,
) -> Tensor:
    """Return how many of the nearest rows have each label, by the cosine.

    Rows are compared in blocks, in memory proportional to their number.

    Parameters
    ----------
    features : Tensor of shape (n_samples, n_features)
        Finite. Only the direction of a row counts; that of zeros is at right angles to
        all.
    labels : Tensor of shape (n_samples,), dtype int64
        Label codes.
    n_classes : int
        Number of classes.
    n_neighbors : int >= 1
        Rows that are counted, at most all.
    include_self : bool, default=True
        Whether a row is the first of its own neighbours, else it is none of them.
    bank : Tensor of shape (n_bank,), dtype int64, default=None
        Numbers of the rows that may be neighbours, each once; None takes all.

    Returns
    -------
    counts : Tensor of shape (n_samples, n_classes), dtype float32
        Each row adds up to ``n_neighbors``, if there are so many.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import neighbor_label_counts
    >>> features = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> neighbor_label_counts(features, torch.tensor([0, 1, 1]), 2, n_neighbors=2)
    tensor([[1., 1.],
            [1., 1.],
            [0., 2.]])
    """
    check_counts(n_classes=n_classes, n_neighbors=n_neighbors)
    n_samples = len(features)
    everyone = torch.arange(n_samples, device=features.device)
    bank = everyone if bank is None else bank
    # Where a row stands among the possible neighbours, or that it does not.
    place = torch.full_like(everyone, -1)
    place[bank] = everyone[: len(bank)]
    directions = F.normalize(features)
    others, labels_of_others = directions[bank].T, labels[bank]
    counts = directions.new_zeros(n_samples, n_classes)
    if include_self:
        counts[everyone, labels] = 1
    # A row of the bank has one other less.
    n_most = len(bank) - int(bool((place >= 0).any()))
    n_others = min(n_neighbors - include_self, n_most)
    n_rows = max(1, _BLOCK_SIZE // len(bank))
    for rows in everyone.split(n_rows) if n_others > 0 else ():
        cosines = directions[rows] @ others
        own = (place[rows] >= 0).nonzero().squeeze(1)
        cosines[own, place[rows[own]]] = -torch.inf
        near = labels_of_others[_nearest(cosines, n_others)]
        ones = counts.new_ones(()).expand(near.shape)
        counts[rows] = counts[rows].scatter_add_(1, near, ones)
    return counts


def _nearest(cosines: Tensor, n: int) -> Tensor:
    """Return the columns of the n largest entries of each row, in any order."""
    if cosines.device.type == "cpu":
        # Here numpy selects several times faster than torch.
        start = cosines.shape[1] - n
        found = np.argpartition(cosines.numpy(), start, axis=1)[:, start:]
        return torch.from_numpy(found)
    return cosines.topk(n, sorted=False).indices


def vote_shares(
    counts: FloatArray, labels: IntArray, balance: bool = True
) -> FloatArray:
    """Return the shares of the classes in the vote of a row's neighbours.

    Parameters
    ----------
    counts : ndarray of shape (n_samples, n_classes)
        As `neighbor_label_counts` returns them.
    labels : ndarray of shape (n_samples,), dtype int64
        Label codes of all rows.
    balance : bool, default=True
        Whether a count is divided by the share of its class among all rows, so that
        frequent classes have no more weight than others.

    Returns
    -------
    shares : ndarray of shape (n_samples, n_classes), dtype float64
        Each row adds up to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.losses import vote_shares
    >>> vote_shares(np.array([[3.0, 1.0]]), np.array([0, 0, 0, 1])).round(2)
    array([[0.5, 0.5]])
    """
    votes = counts.astype(np.float64)
    if balance:
        prior = np.bincount(labels, minlength=votes.shape[1]) / len(labels)
        votes = votes / (prior + _PRIOR_FLOOR)
    return votes / votes.sum(1, keepdims=True)


class FeatureConsistencyLoss(nn.Module):
    """Minus the cosine between a view's features, predicted, and another view's.

    The strong view predicts the weak one, through a learnt projection and a learnt
    predictor. No gradient reaches the weak view. See SSR+ [1]_.

    Parameters
    ----------
    n_features : int
        Width of the features.
    n_projected : int, default=128, the value of [1]_ for CIFAR
        Width of the space in which views are compared.
    n_hidden : int, default=256, the value of [1]_ for CIFAR
        Width of the hidden layer of both heads.

    References
    ----------
    .. [1] C. Feng, G. Tzimiropoulos, I. Patras, "SSR: An efficient and robust framework
       for learning with unknown label noise", BMVC 2022. arXiv:2111.11288

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import FeatureConsistencyLoss
    >>> loss = FeatureConsistencyLoss(n_features=3)
    >>> loss(torch.randn(5, 3), torch.randn(5, 3)).shape
    torch.Size([5])
    """

    def __init__(
        self, n_features: int, n_projected: int = 128, n_hidden: int = 256
    ) -> None:
        super().__init__()
        check_counts(n_features=n_features, n_projected=n_projected, n_hidden=n_hidden)
        self.projector = _head(n_features, n_hidden, n_projected)
        self.predictor = _head(n_projected, n_hidden, n_projected)

    def forward(self, strong: Tensor, weak: Tensor) -> Tensor:
        """Return the loss of each row, in [−1, 1].

        Parameters
        ----------
        strong, weak : Tensor of shape (batch, n_features)
            Features of two views of each row.

        Returns
        -------
        loss : Tensor of shape (batch,)
            −1 where the prediction has the direction of the weak view.
        """
        with torch.no_grad():
            target = self.projector(weak)
        predicted = self.predictor(self.projector(strong))
        return -F.cosine_similarity(predicted.float(), target.float())


def _head(n_in: int, n_hidden: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, n_hidden),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(),
        nn.Linear(n_hidden, n_out),
    )
