"""PENCIL: labels of the rows, learnt beside the network from its predictions."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals, is_one_of
from sknoisy.losses._reduction import check_reduction, reduced

__all__ = ["PENCILLoss", "label_gradient"]

_COMPATIBILITIES = ("softmax", "logits")


def label_gradient(
    label_logits: Tensor,
    proba: Tensor,
    y: Tensor,
    alpha: float,
    compatibility: str = "softmax",
) -> Tensor:
    """Return the gradient of PENCIL's loss with respect to the logits of the labels.

    With t = softmax(label_logits) it is that of KL(p‖t) + α L_o for each row, which is
    t − p + α ∂L_o.

    Parameters
    ----------
    label_logits : Tensor of shape (batch, n_classes)
        Logits of the labels t.
    proba : Tensor of shape (batch, n_classes)
        What the network predicts, p.
    y : Tensor of shape (batch,), dtype int64
        Codes of the given labels.
    alpha : float >= 0
        Weight of the compatibility L_o, which keeps t near the given label.
    compatibility : {"softmax", "logits"}, default="softmax"
        "logits" is L_o = −log t_y, as in the paper. "softmax" takes the softmax of t
        once more, as the authors' code does: then L_o pulls only at labels that have
        moved already.

    Returns
    -------
    gradient : Tensor of shape (batch, n_classes)
        Each row adds up to 0.
    """
    target = label_logits.softmax(1)
    given = F.one_hot(y, target.shape[1]).to(target.dtype)
    if compatibility == "logits":
        pull = target - given
    else:
        slope = target.softmax(1) - given
        pull = target * (slope - (target * slope).sum(1, keepdim=True))
    return target - proba + alpha * pull


class PENCILLoss(nn.Module):
    """Divergence from labels that are learnt: KL(p‖t) + β H(p) for each row.

    The label of a row is t = softmax(s), whose logits s start as K at the given label
    and 0 elsewhere, and take a step of gradient descent whenever the row is learnt
    [1]_. The step is computed from p and t, without automatic differentiation.

    Parameters
    ----------
    n_samples : int
        Rows of the training set.
    n_classes : int
        Number of classes.
    alpha : float >= 0, default=0.2
        Weight of the compatibility of t with the given label, see `label_gradient`: the
        authors' α times the number of classes, 0.4 · 10.
    beta : float >= 0, default=0.1, the value of the authors' code
        Weight of the entropy of the prediction, which is minimised.
    label_lr : float >= 0, default=0.47
        Step of the labels' logits, for each row. The authors' λ, divided by the
        numbers of rows of a batch and of classes: 600 / (128 · 10).
    initial_logit : float > 0, default=10.0, the value of [1]_
        Logit K of the given label at the start: t is 0.9996 there for ten classes.
    compatibility : {"softmax", "logits"}, default="softmax"
        As in `label_gradient`.
    reduction : {"mean", "none"}, default="mean"

    Attributes
    ----------
    shifts : Tensor of shape (n_samples, n_classes)
        How far the logits of the labels have moved, a buffer; 0 at the start.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    [1]_ divides the loss, but for the compatibility, by the number of classes. Here it
    is not, so that learning rate and α mean the same for any number.

    References
    ----------
    .. [1] K. Yi, J. Wu, "Probabilistic end-to-end noise correction for learning with
       noisy labels", CVPR 2019. arXiv:1903.07788

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import PENCILLoss
    >>> criterion = PENCILLoss(
    ...     n_samples=100, n_classes=2, alpha=0.0, beta=0.0, label_lr=10.0
    ... )
    >>> y, index = torch.tensor([0]), torch.tensor([17])
    >>> criterion(torch.zeros(1, 2), y, index)  # (10 - 0) / 2 - log 2
    tensor(4.3069)
    >>> criterion.targets(y, index)
    tensor([[0.5002, 0.4998]])
    """

    shifts: Tensor

    def __init__(
        self,
        n_samples: int,
        n_classes: int,
        alpha: float = 0.2,
        beta: float = 0.1,
        label_lr: float = 0.47,
        initial_logit: float = 10.0,
        compatibility: str = "softmax",
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_counts(0, n_samples=n_samples)
        check_counts(n_classes=n_classes)
        not_negative = {"alpha": alpha, "beta": beta, "label_lr": label_lr}
        check_reals(**not_negative, initial_logit=initial_logit)
        for name, value in not_negative.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be finite, 0 or more; got {value!r}.")
        if not 0 < initial_logit < math.inf:
            raise ValueError(
                f"initial_logit must be finite, above 0; got {initial_logit!r}."
            )
        if not is_one_of(compatibility, _COMPATIBILITIES):
            raise ValueError(
                f"compatibility must be 'softmax' or 'logits'; got {compatibility!r}."
            )
        self.alpha = alpha
        self.beta = beta
        self.label_lr = label_lr
        self.initial_logit = initial_logit
        self.compatibility = compatibility
        self.reduction = check_reduction(reduction)
        self.register_buffer("shifts", torch.zeros(n_samples, n_classes))

    def forward(
        self, logits: Tensor, y: Tensor, index: Tensor, update: bool = True
    ) -> Tensor:
        """Return the loss against the labels, and move them afterwards.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the training set.
        update : bool, default=True
            Whether the labels of these rows take a step.

        Returns
        -------
        loss : Tensor of shape (), or (batch,) without reduction
            Mean over the batch, or one loss for each row.
        """
        label_logits = self._label_logits(y, index)
        log_p = logits.log_softmax(1)
        proba = log_p.exp()
        # KL(p‖t) + β H(p) = Σ p ((1 − β) log p − log t)
        log_t = label_logits.log_softmax(1)
        loss = (proba * ((1 - self.beta) * log_p - log_t)).sum(1)
        if update:
            step = label_gradient(
                label_logits, proba.detach(), y, self.alpha, self.compatibility
            )
            self.shifts[index] -= (self.label_lr * step).to(self.shifts.dtype)
        return reduced(loss, self.reduction)

    def targets(self, y: Tensor, index: Tensor) -> Tensor:
        """Return the labels t of some rows, of shape (batch, n_classes).

        Parameters
        ----------
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the training set.

        Returns
        -------
        targets : Tensor of shape (batch, n_classes)
            Rows sum to 1.
        """
        return self._label_logits(y, index).softmax(1)

    def _label_logits(self, y: Tensor, index: Tensor) -> Tensor:
        shifts = self.shifts[index]
        given = F.one_hot(y, shifts.shape[1]).to(shifts.dtype)
        return self.initial_logit * given + shifts
