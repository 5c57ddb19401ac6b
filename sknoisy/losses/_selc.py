"""Cross-entropy with targets that a running ensemble of predictions corrects."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sknoisy.losses._label_targets import LabelTargets
from sknoisy.losses._reduction import check_reduction, reduced

__all__ = ["SELCLoss"]


class SELCLoss(LabelTargets):
    """Cross-entropy with targets that follow the predictions of earlier epochs.

    ℓ = −Σ_k t_k log p_k. The target t of a row starts as its label, and moves towards
    what the network predicts for it, t ← α t + (1 − α) p, before the loss is computed
    with it: an average over the epochs, in which the label counts less and less [1]_.

    Parameters
    ----------
    n_samples : int
        Rows of the training set.
    n_classes : int
        Number of classes.
    alpha : float in [0, 1), default=0.9, the value of [1]_
        Momentum of the targets, α: after n moves the label counts α^n.
    reduction : {"mean", "none"}, default="mean"

    Attributes
    ----------
    targets : Tensor of shape (n_samples, n_classes)
        Estimated targets, a buffer; rows of zeros have not been estimated yet.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] Y. Lu, W. He, "SELC: Self-ensemble label correction improves learning with
       noisy labels", IJCAI 2022. arXiv:2205.01156

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import SELCLoss
    >>> criterion = SELCLoss(n_samples=100, n_classes=2, alpha=0.5)
    >>> y, index = torch.tensor([0]), torch.tensor([17])
    >>> criterion(torch.zeros(1, 2), y, index)  # log 2
    tensor(0.6931)
    >>> criterion.targets[17]
    tensor([0.7500, 0.2500])
    """

    def __init__(
        self,
        n_samples: int,
        n_classes: int,
        alpha: float = 0.9,
        reduction: str = "mean",
    ) -> None:
        super().__init__(n_samples, n_classes, alpha)
        self.reduction = check_reduction(reduction)

    def forward(
        self, logits: Tensor, y: Tensor, index: Tensor, correct: bool = True
    ) -> Tensor:
        """Move the targets of the rows, and return the loss, shape () or (batch,).

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the training set.
        correct : bool, default=True
            False is cross-entropy with the labels, for the warm-up; the targets stay.

        Returns
        -------
        loss : Tensor of shape () or (batch,)
            Mean over the batch, or one loss for each row without reduction.
        """
        if not correct:
            return F.cross_entropy(logits, y, reduction=self.reduction)
        log_p = logits.log_softmax(1)
        targets = self.moved(self.targets_of(index, y), log_p)
        with torch.no_grad():
            self.targets[index] = targets
        return reduced(-(targets.to(log_p.dtype) * log_p).sum(1), self.reduction)
