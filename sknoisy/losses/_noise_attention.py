"""Noise attention: learnt weights shrink the gradient of wrong labels."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sknoisy._arguments import check_reals
from sknoisy.losses._label_targets import LabelTargets
from sknoisy.losses._reduction import check_reduction, reduced

__all__ = ["NoiseAttentionLoss", "noise_attention_loss"]


def noise_attention_loss(
    logits: Tensor,
    attention: Tensor,
    target: Tensor,
    lam: float,
    label_floor: float = 0.0,
) -> Tensor:
    """Return ℓ_NAL = −Σ_k q_k log(τ (p_k − q_k) + q_k) − λ log τ of each row.

    Equation 1 of [1]_ in log space; τ = σ(attention). With τ = 1 it is cross-entropy.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
        Outputs of the network.
    attention : Tensor of shape (batch,)
        Logit of the attention τ.
    target : Tensor of shape (batch,), dtype int64, or of shape (batch, n_classes)
        Labels, or target distributions q.
    lam : float >= 0
        Weight of the boost term, λ: τ grows with it.
    label_floor : float in [0, 1), default=0.0
        Targets are raised to this, without scaling them back to a sum of 1. The
        authors' code has 1e-4, the paper none.

    Returns
    -------
    loss : Tensor of shape (batch,)
        One loss for each row.

    References
    ----------
    .. [1] Y. Lu, Y. Bo, W. He, "Noise attention learning: Enhancing noise robustness
       by gradient scaling", NeurIPS 2022.
    """
    log_p = logits.log_softmax(1)
    if label_floor and target.ndim == 1:
        target = F.one_hot(target, logits.shape[1]).to(log_p.dtype)
    return _attend(log_p, attention, target, lam, label_floor)


def _attend(
    log_p: Tensor, attention: Tensor, target: Tensor, lam: float, label_floor: float
) -> Tensor:
    log_attend = F.logsigmoid(attention)
    log_ignore = log_attend - attention
    if target.ndim == 1:
        log_py = -F.nll_loss(log_p, target, reduction="none")
        # −log(1 − τ (1 − p_y))
        fit = -torch.logaddexp(log_ignore, log_attend + log_py)
    else:
        q = target.clamp(label_floor, 1) if label_floor else target
        # Where q is 0 the logarithm is −∞, and the term 0 times a finite number.
        mixed = torch.logaddexp(
            log_attend[:, None] + log_p, log_ignore[:, None] + q.log()
        )
        fit = -(q * mixed).sum(1)
    return fit - lam * log_attend


class NoiseAttentionLoss(LabelTargets):
    """Noise attention loss with targets that are estimated row by row.

    The targets start as the given labels. While they are estimated, the target of a row
    moves towards what the network predicts for it, t ← α t + (1 − α) p, before the loss
    is computed with it [1]_.

    Parameters
    ----------
    n_samples : int
        Rows of the training set.
    n_classes : int
        Number of classes.
    lam : float >= 0, default=0.5, the value of [1]_ for CIFAR-10
        Weight of the boost term, λ.
    alpha : float in [0, 1), default=0.9, the value of [1]_
        Momentum of the targets, α.
    label_floor : float in [0, 1), default=0.0
        As in `noise_attention_loss`.
    attention_threshold : float in [0, 1), default=0.0
        Only rows with a larger attention τ have their target moved.
    rce_weight : float >= 0, default=0.0
        Weight of a reverse cross-entropy −Σ_k m_k log q_k between mixture m = τ p +
        (1 − τ) q and target, q at least 1e-4. The authors' code has 0.1 for Clothing1M
        and WebVision.
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
    .. [1] Y. Lu, Y. Bo, W. He, "Noise attention learning: Enhancing noise robustness
       by gradient scaling", NeurIPS 2022.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import NoiseAttentionLoss
    >>> criterion = NoiseAttentionLoss(n_samples=100, n_classes=3, lam=0.5)
    >>> logits, attention = torch.zeros(2, 3), torch.zeros(2)
    >>> y, index = torch.tensor([0, 2]), torch.tensor([17, 4])
    >>> criterion(logits, attention, y, index)  # log(3 / 2) + 0.5 log(2)
    tensor(0.7520)
    >>> loss = criterion(logits, attention, y, index, estimate=True, update=True)
    >>> criterion.targets[17]
    tensor([0.9333, 0.0333, 0.0333])
    """

    # Numbers that may be a tensor, one for each row, with so many dimensions more.
    per_row = {"lam": 0, "alpha": 1}

    def __init__(
        self,
        n_samples: int,
        n_classes: int,
        lam: float = 0.5,
        alpha: float = 0.9,
        label_floor: float = 0.0,
        attention_threshold: float = 0.0,
        rce_weight: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(n_samples, n_classes, alpha)
        check_reals(lam=lam, rce_weight=rce_weight)
        if not (lam >= 0 and math.isfinite(lam)):
            raise ValueError(f"lam must be at least 0; got {lam!r}.")
        for name, value in (
            ("label_floor", label_floor),
            ("attention_threshold", attention_threshold),
        ):
            check_reals(**{name: value})
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be in [0, 1); got {value!r}.")
        if not 0 <= rce_weight < math.inf:
            raise ValueError(f"rce_weight must be at least 0; got {rce_weight!r}.")
        self.lam = lam
        self.label_floor = label_floor
        self.attention_threshold = attention_threshold
        self.rce_weight = rce_weight
        self.reduction = check_reduction(reduction)

    def forward(
        self,
        logits: Tensor,
        attention: Tensor,
        y: Tensor,
        index: Tensor,
        estimate: bool = False,
        update: bool = False,
    ) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        attention : Tensor of shape (batch,)
            Logit of the attention τ of each row.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the training set.
        estimate : bool, default=False
            Whether estimated targets stand in for the labels.
        update : bool, default=False
            Whether these rows' targets are moved first.

        Returns
        -------
        loss : Tensor of shape (), or (batch,) without reduction
            Mean over the batch, or one loss for each row.
        """
        log_p = logits.log_softmax(1)
        target = y
        if estimate:
            target = self.targets_of(index, y)
            if update:
                target = self._move(target, log_p, attention, index)
            target = target.to(log_p.dtype)
        elif self.label_floor:
            target = F.one_hot(y, logits.shape[1]).to(log_p.dtype)
        loss = _attend(log_p, attention, target, self.lam, self.label_floor)
        if self.rce_weight:
            loss = loss + self.rce_weight * _reverse_loss(logits, attention, target)
        return reduced(loss, self.reduction)

    @torch.no_grad()
    def update(
        self, logits: Tensor, attention: Tensor, y: Tensor, index: Tensor
    ) -> None:
        """Move the targets of some rows towards what is predicted for them.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        attention : Tensor of shape (batch,)
            Logit of the attention τ of each row.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.
        """
        self._move(self.targets_of(index, y), logits.log_softmax(1), attention, index)

    @torch.no_grad()
    def _move(
        self, old: Tensor, log_p: Tensor, attention: Tensor, index: Tensor
    ) -> Tensor:
        new = self.moved(old, log_p)
        if self.attention_threshold:
            attends = attention.sigmoid() > self.attention_threshold
            new = torch.where(attends[:, None], new, old)
        self.targets[index] = new
        return new


def _reverse_loss(logits: Tensor, attention: Tensor, target: Tensor) -> Tensor:
    p, tau = logits.softmax(1), attention.sigmoid()[:, None]
    q = F.one_hot(target, p.shape[1]).to(p.dtype) if target.ndim == 1 else target
    mixture = tau * p + (1 - tau) * q
    return -(mixture * q.clamp_min(1e-4).log()).sum(1)
