"""Division of rows by the confidence of two views, and the loss of both parts."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals
from sknoisy.losses._reduction import check_reduction, reduced
from sknoisy.losses._robust import GCELoss

__all__ = ["CLEAN", "HARD", "PURIFIED", "DISCLoss", "divide_by_confidence"]

# The parts of the rows; 0 is what is left out.
CLEAN, HARD, PURIFIED = 1, 2, 3


def divide_by_confidence(
    proba: Tensor,
    given: Tensor,
    thresholds: Tensor,
    margin: float = 0.5,
    limit: float = 0.99,
) -> tuple[Tensor, Tensor]:
    """Divide rows by what two views say of their labels, and correct some labels.

    A row is clean if the probability of its label is above the threshold in both views,
    hard if in one. Another row is purified, with the class that is most probable on
    the mean of both views as its label, if that mean is above the mean threshold plus
    a margin [1]_.

    Parameters
    ----------
    proba : Tensor of shape (n_rows, 2, n_classes)
        Predictions for the weak and the strong view.
    given : Tensor of shape (n_rows,), dtype int64
        Codes of the given labels.
    thresholds : Tensor of shape (n_rows, 2)
        For both views, τ.
    margin : float, default=0.5, the value of [1]_
        What a corrected label needs beyond the mean threshold, σ.
    limit : float, default=0.99
        A probability above it is always enough.

    Returns
    -------
    parts : Tensor of shape (n_rows,), dtype int8
        1 for clean, 2 for hard, 3 for purified rows, 0 for others.
    labels : Tensor of shape (n_rows,), dtype int64
        The given labels, but of purified rows the corrected ones.

    References
    ----------
    .. [1] Y. Li, H. Han, S. Shan, X. Chen, "DISC: Learning from noisy labels via
       dynamic instance-specific selection and correction", CVPR 2023.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import divide_by_confidence
    >>> weak = torch.tensor([[0.7, 0.3], [0.6, 0.4], [0.1, 0.9], [0.3, 0.7]])
    >>> strong = torch.tensor([[0.6, 0.4], [0.2, 0.8], [0.1, 0.9], [0.4, 0.6]])
    >>> given = torch.zeros(4, dtype=torch.int64)
    >>> divide_by_confidence(
    ...     torch.stack([weak, strong], 1), given, torch.full((4, 2), 0.5), margin=0.3
    ... )
    (tensor([1, 2, 3, 0], dtype=torch.int8), tensor([0, 0, 1, 0]))
    """
    own = proba.gather(2, given[:, None, None].expand(-1, 2, 1)).squeeze(2)
    n_above = (own > thresholds).sum(1)
    confidence, best = proba.mean(1).max(1)
    is_sure = confidence > (thresholds.mean(1) + margin).clamp_max(limit)
    is_purified = (n_above == 0) & is_sure
    # In one step for all rows: to select some would wait for the device.
    parts = (n_above == 2) * CLEAN + (n_above == 1) * HARD + is_purified * PURIFIED
    return parts.to(torch.int8), torch.where(is_purified, best, given)


class DISCLoss(nn.Module):
    """Cross-entropy of clean rows and a robust loss of hard ones, in two views.

    The loss of a clean row is the sum of the cross-entropies of both views, that of a
    hard row λ_h times the sum of their generalised cross-entropies, that of others 0.
    All rows are clean until the first `divide` [1]_.

    Parameters
    ----------
    n_samples : int
        Rows of the training set.
    n_classes : int
        Number of classes.
    momentum : float in [0, 1], default=0.99, the value of [1]_
        μ: by how much the threshold of a row stays as it was. 1 leaves all thresholds
        at 1 / ``n_samples``, below which hardly any probability falls.
    hard_weight : float >= 0, default=1.0, the value of [1]_
        λ_h.
    q : float in (0, 1], default=0.7, the value of [1]_
        Exponent of the loss of hard rows, see `GCELoss`.
    margin : float >= 0, default=0.5, the value of [1]_
        σ, see `divide_by_confidence`.
    limit : float in (0, 1], default=0.99
        A probability above it always corrects a label; 1 never does by itself.
    reduction : {"mean", "none"}, default="mean"

    Attributes
    ----------
    thresholds : Tensor of shape (n_samples, 2)
        Moving averages of the largest probability in either view, a buffer.
    proba : Tensor of shape (n_samples, 2, n_classes)
        The last predictions for both views, a buffer; 0 for rows not seen.
    parts : Tensor of shape (n_samples,), dtype int8
        1 for clean, 2 for hard, 3 for purified rows, 0 for others; a buffer.
    given, labels : Tensor of shape (n_samples,), dtype int64
        The given labels of rows that were seen, and those of the last division.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] Y. Li, H. Han, S. Shan, X. Chen, "DISC: Learning from noisy labels via
       dynamic instance-specific selection and correction", CVPR 2023.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import DISCLoss
    >>> criterion = DISCLoss(n_samples=10, n_classes=2)
    >>> y, index = torch.tensor([0]), torch.tensor([7])
    >>> criterion(torch.zeros(2, 1, 2), y, index)  # 2 log 2
    tensor(1.3863)
    >>> criterion.divide()
    >>> criterion.parts[7], criterion.parts[0]
    (tensor(1, dtype=torch.int8), tensor(0, dtype=torch.int8))
    """

    thresholds: Tensor
    proba: Tensor
    parts: Tensor
    given: Tensor
    labels: Tensor

    def __init__(
        self,
        n_samples: int,
        n_classes: int,
        momentum: float = 0.99,
        hard_weight: float = 1.0,
        q: float = 0.7,
        margin: float = 0.5,
        limit: float = 0.99,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_counts(0, n_samples=n_samples)
        check_counts(n_classes=n_classes)
        check_reals(
            momentum=momentum, hard_weight=hard_weight, margin=margin, limit=limit
        )
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be in [0, 1]; got {momentum!r}.")
        for name, value in {"hard_weight": hard_weight, "margin": margin}.items():
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0; got {value!r}.")
        if not 0 < limit <= 1:
            raise ValueError(f"limit must be in (0, 1]; got {limit!r}.")
        self.momentum, self.hard_weight = momentum, hard_weight
        self.margin, self.limit = margin, limit
        self.hard_loss = GCELoss(q, reduction="none")
        self.reduction = check_reduction(reduction)
        lowest = 1 / max(n_samples, 1)
        self.register_buffer("thresholds", torch.full((n_samples, 2), lowest))
        self.register_buffer("proba", torch.zeros(n_samples, 2, n_classes))
        parts = torch.full((n_samples,), CLEAN, dtype=torch.int8)
        self.register_buffer("parts", parts)
        for name in ("given", "labels"):
            self.register_buffer(name, torch.zeros(n_samples, dtype=torch.int64))

    def forward(self, logits: Tensor, y: Tensor, index: Tensor) -> Tensor:
        """Store the predictions, and return the loss, shape () or (batch,).

        Parameters
        ----------
        logits : Tensor of shape (2, batch, n_classes)
            Outputs of the network for the weak and the strong view.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the training set.

        Returns
        -------
        loss : Tensor of shape () or (batch,)
            Mean over the batch, or one loss for each row without reduction.
        """
        self._store(logits, y, index)
        both, labels = logits.flatten(0, 1), y.repeat(2)
        plain = F.cross_entropy(both, labels, reduction="none").view(2, -1).sum(0)
        robust = self.hard_loss(both, labels).view(2, -1).sum(0)
        parts = self.parts[index]
        zero = torch.zeros_like(plain)
        loss = torch.where(parts == CLEAN, plain, zero)
        loss = loss + torch.where(parts == HARD, self.hard_weight * robust, zero)
        return reduced(loss, self.reduction)

    @torch.no_grad()
    def _store(self, logits: Tensor, y: Tensor, index: Tensor) -> None:
        proba = logits.softmax(-1).transpose(0, 1)  # (batch, 2, n_classes)
        self.proba[index] = proba.to(self.proba.dtype)
        self.given[index] = y

    @torch.no_grad()
    def divide(self, sort: bool = True) -> None:
        """Divide the rows by the stored predictions, and move the thresholds.

        Parameters
        ----------
        sort : bool, default=True
            False moves the thresholds only, as in the warm-up.
        """
        if sort:
            self.parts, self.labels = divide_by_confidence(
                self.proba, self.given, self.thresholds, self.margin, self.limit
            )
        else:
            self.labels = self.given.clone()
        largest = self.proba.amax(2)
        moved = torch.lerp(largest, self.thresholds, self.momentum)
        # Rows that were never seen keep theirs.
        self.thresholds = torch.where(largest > 0, moved, self.thresholds)
