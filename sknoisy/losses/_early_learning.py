"""Early-learning regularisation."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals
from sknoisy.losses._reduction import check_reduction, reduced

__all__ = ["ELRLoss", "early_learning_penalty"]

# Probabilities are clipped away from 0 and 1, as in the authors' code; then 1 − ⟨t, p⟩
# is at least as large.
_PROBA_FLOOR = 1e-4


def early_learning_penalty(logits: Tensor, targets: Tensor) -> Tensor:
    """Return log(1 − ⟨t, p⟩) of each row: the lower, the more p agrees with t.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
        Outputs of the network.
    targets : Tensor of shape (batch, n_classes)
        Sums of at most 1.

    Returns
    -------
    penalty : Tensor of shape (batch,)
        Penalty to add to the loss.
    """
    return torch.log1p(-(targets * _clamped_proba(logits)).sum(1))


class ELRLoss(nn.Module):
    """Cross-entropy with early-learning regularisation.

    ℓ = CE + λ log(1 − ⟨t, p⟩), where t is a moving average of the predictions for the
    row, t ← β t + (1 − β) p. Rows with right labels are learnt first; later the
    average keeps the network from fitting the wrong ones [1]_.

    Parameters
    ----------
    n_samples : int
        Rows of the training set.
    n_classes : int
        Number of classes.
    lam : float >= 0, default=3.0, the value of [1]_ for CIFAR-10
        Weight of the penalty, λ.
    beta : float in [0, 1), default=0.7, the value of [1]_ for symmetric noise
        Momentum of the average, β; 0.9 for asymmetric noise and CIFAR-100.
    reduction : {"mean", "none"}, default="mean"

    Attributes
    ----------
    targets : Tensor of shape (n_samples, n_classes)
        The averages, a buffer; they start at 0.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] S. Liu, J. Niles-Weed, N. Razavian, C. Fernandez-Granda, "Early-learning
       regularization prevents memorization of noisy labels", NeurIPS 2020.
       arXiv:2007.00151

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import ELRLoss
    >>> criterion = ELRLoss(n_samples=100, n_classes=2, lam=1.0, beta=0.5)
    >>> y, index = torch.tensor([0]), torch.tensor([17])
    >>> criterion(torch.zeros(1, 2), y, index)  # log 2 + log(1 - 1/4)
    tensor(0.4055)
    >>> criterion.targets[17]
    tensor([0.2500, 0.2500])
    """

    targets: Tensor

    def __init__(
        self,
        n_samples: int,
        n_classes: int,
        lam: float = 3.0,
        beta: float = 0.7,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_counts(0, n_samples=n_samples)
        check_counts(n_classes=n_classes)
        check_reals(lam=lam, beta=beta)
        if not lam >= 0:
            raise ValueError(f"lam must be at least 0; got {lam!r}.")
        if not 0 <= beta < 1:
            raise ValueError(f"beta must be in [0, 1); got {beta!r}.")
        self.lam = lam
        self.beta = beta
        self.reduction = check_reduction(reduction)
        self.register_buffer("targets", torch.zeros(n_samples, n_classes))

    def forward(self, logits: Tensor, y: Tensor, index: Tensor) -> Tensor:
        """Update the averages of the rows, and return the loss, shape () or (batch,).

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the training set.

        Returns
        -------
        loss : Tensor of shape () or (batch,)
            Mean over the batch, or one loss for each row without reduction.
        """
        log_p = logits.log_softmax(1)
        proba = log_p.exp().clamp(_PROBA_FLOOR, 1 - _PROBA_FLOOR)
        targets = self._move(proba, index)
        penalty = torch.log1p(-(targets * proba).sum(1))
        loss = F.nll_loss(log_p, y, reduction="none") + self.lam * penalty
        return reduced(loss, self.reduction)

    def update(self, logits: Tensor, index: Tensor) -> Tensor:
        """Move the averages of some rows towards their predictions; return them.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        targets : Tensor of shape (batch, n_classes)
            Estimated targets of the rows.
        """
        return self._move(_clamped_proba(logits), index)

    @torch.no_grad()
    def _move(self, proba: Tensor, index: Tensor) -> Tensor:
        proba = proba / proba.sum(1, keepdim=True)
        old = self.targets[index]
        new = torch.lerp(proba.to(old.dtype), old, self.beta)
        self.targets[index] = new
        return new.to(proba.dtype)


def _clamped_proba(logits: Tensor) -> Tensor:
    return logits.softmax(1).clamp(_PROBA_FLOOR, 1 - _PROBA_FLOOR)
