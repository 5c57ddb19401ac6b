"""Cross-entropy minus that of other labels: peer loss and label smoothing.

Both are, up to a factor, CE − α Σ_c π_c CE_c. So are the regulariser of `CORESLoss`,
with β for α, and backward correction for symmetric noise.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_reals
from sknoisy.losses._reduction import check_reduction, reduced
from sknoisy.losses._softmax import softmax_of

__all__ = ["GLSLoss", "PeerLoss", "StagedLoss", "checked_prior", "label_shares"]


class StagedLoss(nn.Module):
    """A loss that may start as cross-entropy.

    Parameters
    ----------
    reduction : {"mean", "none"}, default="mean"

    Attributes
    ----------
    warming_up : bool
        Whether it is cross-entropy now; may be set between epochs. Initially False.
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = check_reduction(reduction)
        self.warming_up = False

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss, shape () or (batch,).

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.

        Returns
        -------
        loss : Tensor of shape () or (batch,)
            Mean over the batch, or one loss for each row without reduction.
        """
        # In bfloat16 the offset of a logarithm would be lost, and with it the bound.
        logits = logits if logits.dtype == torch.float64 else logits.float()
        if self.warming_up:
            return F.cross_entropy(logits, y, reduction=self.reduction)
        return reduced(self.losses_of(logits, y), self.reduction)

    def losses_of(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each row after the warm-up, shape (batch,)."""
        raise NotImplementedError

    @property
    def lr_divisor(self) -> float:
        """By what the method divides the learning rate now."""
        return 1.0


class PeerLoss(StagedLoss):
    """Cross-entropy minus that of unrelated rows and labels: peer loss.

    ℓ(x_i, ỹ_i) − α ℓ(x_a, ỹ_b) with rows a and b drawn independently: a network cannot
    gain by repeating what is frequent among the labels [1]_. Here the second term is
    its expectation over the batch, Σ_c π_c ℓ(x_i, c), which costs nothing. Where
    classes are balanced, wrong labels that depend only on the class change the expected
    loss for α = 1 by a factor. In ``benchmarks/accuracy/robust_losses.py`` it is ahead
    of cross-entropy, but on no row of `GCELoss` by more than chance.

    Parameters
    ----------
    alpha : float >= 0, default=1.0, the value of the theory in [1]_
        Weight α of the second term; 0 is cross-entropy. Above 1 the network grows
        confident whatever the labels. The authors' code goes up to 5 for symmetric
        noise.
    prior : sequence of n_classes float, default=None
        Shares of the classes, π. None takes those of the labels in the batch. Equal
        shares suit uneven classes.
    offset : float > 0, default=1e-5, the value of the authors' code
        ℓ is −log(p + offset). It bounds the loss, which is linear in the logits for
        α = 1 otherwise.
    reduction : {"mean", "none"}, default="mean"

    Attributes
    ----------
    ramp : float in [0, 1]
        Factor of α, which may be set between epochs; initially 1.
    warming_up : bool
        Whether the loss is cross-entropy now; may be set between epochs.
    prior : Tensor of shape (n_classes,) or None
        π, a buffer.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] Y. Liu, H. Guo, "Peer loss functions: Learning from noisy labels without
       knowing noise rates", ICML 2020. arXiv:1910.03231

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import PeerLoss
    >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0]])  # the same for all rows
    >>> PeerLoss()(logits, torch.tensor([0, 1])).abs() < 1e-6
    tensor(True)
    """

    prior: Tensor | None

    def __init__(
        self,
        alpha: float = 1.0,
        prior: Tensor | None = None,
        offset: float = 1e-5,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        check_reals(alpha=alpha, offset=offset)
        if not 0 <= alpha < math.inf:
            raise ValueError(f"alpha must be at least 0; got {alpha!r}.")
        self.alpha = alpha
        self.offset = _checked_offset(offset)
        self.ramp = 1.0
        self.register_buffer("prior", checked_prior(prior))

    @property
    def lr_divisor(self) -> float:
        """1 + α, as in the authors' code; 1 in the warm-up."""
        return 1.0 if self.warming_up else 1 + self.ramp * self.alpha

    def losses_of(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each row after the warm-up, shape (batch,)."""
        losses = _class_losses(logits, self.offset)
        # A matrix product would be rounded to bfloat16 in mixed precision.
        others = (losses * label_shares(self.prior, y, logits)).sum(1)
        return _of_labels(losses, y) - self.ramp * self.alpha * others


class GLSLoss(StagedLoss):
    """Generalised label smoothing, whose rate may be negative.

    (1 − r) ℓ(ỹ) + r mean_c ℓ(c). With r > 0 this is label smoothing. With r < 0, called
    negative label smoothing, the network is rewarded for being sure, as by `PeerLoss`
    with equal shares and α = −r / (1 − r), times 1 − r [1]_. If a share e of the labels
    was drawn anew from all classes, r = −e / (1 − e) makes the loss unbiased, as
    backward correction does. In ``benchmarks/accuracy/robust_losses.py`` it is hardly
    ahead of cross-entropy, and on no row of `GCELoss` by more than chance.

    Parameters
    ----------
    rate : float < inf, default=-0.2
        Smoothing rate r. [1]_ tries 0.8 to −8.
    offset : float > 0, default=1e-8, the value of the authors' code
        ℓ is −log(p + offset), which bounds the loss where r < 0.
    reduction : {"mean", "none"}, default="mean"

    Attributes
    ----------
    warming_up : bool
        Whether the loss is cross-entropy now; may be set between epochs.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] J. Wei, H. Liu, T. Liu, G. Niu, M. Sugiyama, Y. Liu, "To smooth or not? When
       label smoothing meets noisy labels", ICML 2022. arXiv:2106.04149

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import GLSLoss
    >>> logits, y = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> GLSLoss(rate=-1.0)(logits, y)  # 2 · 0.1269 - (0.1269 + 2.1269) / 2
    tensor(-0.8731)
    """

    def __init__(
        self, rate: float = -0.2, offset: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        check_reals(rate=rate, offset=offset)
        if not -math.inf < rate <= 1:
            raise ValueError(f"rate must be a number of at most 1; got {rate!r}.")
        self.rate = rate
        self.offset = _checked_offset(offset)

    def losses_of(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each row after the warm-up, shape (batch,)."""
        losses = _class_losses(logits, self.offset)
        return (1 - self.rate) * _of_labels(losses, y) + self.rate * losses.mean(1)


def checked_prior(prior: Tensor | None) -> Tensor | None:
    """Return shares of the classes with the sum 1, or None.

    Parameters
    ----------
    prior : sequence of float, or None
        At least 0, and not all of them 0.

    Returns
    -------
    prior : Tensor of shape (n_classes,), dtype float32, or None
    """
    if prior is None:
        return None
    shares = torch.as_tensor(prior).float()
    is_finite = shares.isfinite().all() and (shares >= 0).all()
    if shares.ndim != 1 or not is_finite or not shares.any():
        raise ValueError(
            "prior must be a share for each class, at least 0 and not all of them 0; "
            f"got {shares.tolist()}."
        )
    return shares / shares.sum()


def label_shares(prior: Tensor | None, y: Tensor, logits: Tensor) -> Tensor:
    """Return the prior, or the shares of the labels in a batch, shape (n_classes,).

    Parameters
    ----------
    prior : Tensor of shape (n_classes,) or None
    y : Tensor of shape (batch,), dtype int64
    logits : Tensor of shape (batch, n_classes)
    """
    n_classes = logits.shape[1]
    if prior is None:
        counts = F.one_hot(y, n_classes).to(logits.dtype)
        return counts.mean(0)
    if len(prior) != n_classes:
        raise ValueError(
            f"prior has {len(prior)} shares, but there are {n_classes} classes."
        )
    return prior.to(logits.dtype)


def _checked_offset(offset: float) -> float:
    if not 0 < offset < 1:
        raise ValueError(f"offset must be above 0 and below 1; got {offset!r}.")
    return offset


def _class_losses(logits: Tensor, offset: float) -> Tensor:
    return -(softmax_of(logits) + offset).log()


def _of_labels(losses: Tensor, y: Tensor) -> Tensor:
    return losses.gather(1, y[:, None]).squeeze(1)
