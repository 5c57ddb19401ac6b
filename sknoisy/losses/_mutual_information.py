"""How much predictions tell of the given labels: f-divergences, and a determinant."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sknoisy._arguments import check_reals, is_one_of
from sknoisy.losses._flywheel_steps import widest_float
from sknoisy.losses._peer import StagedLoss, checked_prior, label_shares
from sknoisy.losses._softmax import softmax_of

__all__ = ["DMILoss", "FDivergenceLoss"]

_LOG_2 = math.log(2)
# By the name of a divergence: g of a probability q, and the conjugate f* of g.
_DIVERGENCES = {
    "total_variation": (lambda q: q.tanh() / 2, lambda q: q.tanh() / 2),
    "jensen_shannon": (
        lambda q: _LOG_2 - F.softplus(-q),
        lambda q: q + F.softplus(-q) - _LOG_2,
    ),
    "pearson": (lambda q: q, lambda q: q**2 / 4 + q),
    "kl": (lambda q: q, lambda q: (q - 1).exp()),
    "jeffrey": (lambda q: q, lambda q: q + q**2 / 4 + q**3 / 16),
}


class FDivergenceLoss(StagedLoss):
    """Negative f-divergence between pairs of row and label, and unrelated pairs.

    −g(q_i) + f*(g(q'_i)), where q_i is the probability of the given label, and q'_i
    that of the label of an unrelated row [1]_. Here the second term is its expectation
    over the batch, Σ_c π_c f*(g(p_ic)). Its gradients are as small as those of the mean
    absolute error, so that a network should have learnt something before, by
    cross-entropy. In ``benchmarks/accuracy/robust_losses.py`` it ends behind
    `GCELoss`, which costs the same, but with the most noise.

    Parameters
    ----------
    divergence : {"total_variation", "jensen_shannon", "pearson", "kl", "jeffrey"}, \
            default="total_variation"
        Only for "total_variation" is the best network that of clean labels, under any
        noise that depends on the class alone and keeps the order of classes [1]_.
    prior : sequence of n_classes float, default=None
        Shares of the classes, π. None takes those of the labels in the batch.
    reduction : {"mean", "none"}, default="mean"

    Attributes
    ----------
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
    .. [1] J. Wei, Y. Liu, "When optimizing f-divergence is robust with label noise",
       ICLR 2021. arXiv:2011.03687

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import FDivergenceLoss
    >>> logits = torch.tensor([[9.0, 0.0], [0.0, 9.0]])
    >>> FDivergenceLoss()(logits, torch.tensor([0, 1]))  # (1/2 - 1) tanh(1) / 2
    tensor(-0.1904)
    """

    prior: Tensor | None

    def __init__(
        self,
        divergence: str = "total_variation",
        prior: Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if not is_one_of(divergence, tuple(_DIVERGENCES)):
            raise ValueError(
                f"divergence must be one of {', '.join(_DIVERGENCES)}; got "
                f"{divergence!r}."
            )
        self.divergence = divergence
        self.register_buffer("prior", checked_prior(prior))

    def losses_of(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each row after the warm-up, shape (batch,)."""
        of_joint, of_product = _DIVERGENCES[self.divergence]
        proba = softmax_of(logits)
        given = proba.gather(1, y[:, None]).squeeze(1)
        others = of_product(proba) * label_shares(self.prior, y, logits)
        return others.sum(1) - of_joint(given)


class DMILoss(StagedLoss):
    """Negative logarithm of the determinant of labels times predictions.

    ``−log |det U|`` with U = Yᵀ P, the labels Y in one-hot form, and the predictions P
    of a batch [1]_. Labels that are changed with a matrix T add ``−log |det T|``,
    whatever the network: so the best one is that of clean labels. Nor does it depend on
    how the outputs are ordered: it must go on from a network that knows the classes,
    and is for fine-tuning. In ``benchmarks/accuracy/robust_losses.py`` it ends behind
    `GCELoss`, which costs the same, on every row.

    Parameters
    ----------
    ridge : float > 0, default=1.0
        The loss is −½ log det(UᵀU + ridge I), which is finite also where a class is
        missing in the batch. The code of [1]_ adds 1e-3 to the determinant instead.

    Attributes
    ----------
    warming_up : bool
        Whether the loss is cross-entropy now; may be set between epochs.

    Raises
    ------
    ValueError
        If ridge is not above 0.

    Notes
    -----
    There is one loss for the batch, none for each row, so there can be no sample
    weights. A batch should have many times as many rows as there are classes.

    References
    ----------
    .. [1] Y. Xu, P. Cao, Y. Kong, Y. Wang, "L_DMI: A novel information-theoretic loss
       function for training deep nets robust to label noise", NeurIPS 2019.
       arXiv:1909.03388

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import DMILoss
    >>> logits = torch.tensor([[99.0, 0.0], [0.0, 99.0]])
    >>> DMILoss(ridge=1.0)(logits, torch.tensor([0, 1]))  # -log(2)
    tensor(-0.6931)
    """

    def __init__(self, ridge: float = 1.0) -> None:
        super().__init__()
        check_reals(ridge=ridge)
        if not 0 < ridge < math.inf:
            raise ValueError(f"ridge must be above 0; got {ridge!r}.")
        self.ridge = ridge

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss of a batch, shape ().

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.

        Returns
        -------
        loss : Tensor of shape ()
        """
        if self.reduction == "none":
            raise ValueError(
                "DMILoss has one value for a batch, and takes no sample_weight."
            )
        return super().forward(logits, y)

    @property
    def lr_divisor(self) -> float:
        """10 after the warm-up: the value of a batch weighs as much as several rows."""
        return 1.0 if self.warming_up else 10.0

    def losses_of(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss of the batch after the warm-up, shape ()."""
        wide = widest_float(logits.device)
        with torch.autocast(logits.device.type, enabled=False):
            proba = softmax_of(logits).to(wide)
            joint = F.one_hot(y, logits.shape[1]).to(wide).T @ proba
            ridge = self.ridge * torch.eye(len(joint), dtype=wide, device=y.device)
            loss = -torch.linalg.slogdet(joint.T @ joint + ridge).logabsdet / 2
        return loss.to(logits.dtype)
