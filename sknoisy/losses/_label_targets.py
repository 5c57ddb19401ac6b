"""Target distributions that start as the given labels, and follow the predictions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals

__all__ = ["LabelTargets"]


class LabelTargets(nn.Module):
    """Base of criteria that estimate the target of each row.

    Parameters
    ----------
    n_samples : int
        Rows of the training set.
    n_classes : int
        Number of classes.
    alpha : float in [0, 1)
        Momentum α of t ← α t + (1 − α) p.

    Attributes
    ----------
    targets : Tensor of shape (n_samples, n_classes)
        Estimated targets, a buffer; rows of zeros have not been estimated yet.
    """

    targets: Tensor

    def __init__(self, n_samples: int, n_classes: int, alpha: float) -> None:
        super().__init__()
        check_counts(0, n_samples=n_samples)
        check_counts(n_classes=n_classes)
        check_reals(alpha=alpha)
        if not 0 <= alpha < 1:
            raise ValueError(f"alpha must be in [0, 1); got {alpha!r}.")
        self.alpha = alpha
        self.is_started = False
        self.register_buffer("targets", torch.zeros(n_samples, n_classes))

    @torch.no_grad()
    def start(self, labels: Tensor) -> None:
        """Set all targets to the given labels, so that `targets_of` need not.

        Parameters
        ----------
        labels : Tensor of shape (n_samples,), dtype int64
            Codes of the given labels.
        """
        self.targets.copy_(F.one_hot(labels, self.targets.shape[1]))
        self.is_started = True

    @torch.no_grad()
    def targets_of(self, index: Tensor, y: Tensor) -> Tensor:
        """Return the targets of some rows, shape (batch, n_classes).

        Parameters
        ----------
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.

        Returns
        -------
        targets : Tensor of shape (batch, n_classes)
            Target distribution of each row.
        """
        targets = self.targets.index_select(0, index)
        if self.is_started:
            return targets
        labels = F.one_hot(y, targets.shape[1]).to(targets.dtype)
        return torch.where(targets.sum(1, keepdim=True) > 0, targets, labels)

    def moved(self, old: Tensor, log_p: Tensor) -> Tensor:
        """Return targets after a step towards the predictions.

        Parameters
        ----------
        old : Tensor of shape (batch, n_classes)
            Targets of some rows.
        log_p : Tensor of shape (batch, n_classes)
            Logarithm of the probabilities predicted for them.

        Returns
        -------
        new : Tensor of shape (batch, n_classes)
            Without a gradient.
        """
        return torch.lerp(log_p.detach().exp().to(old.dtype), old, self.alpha)
