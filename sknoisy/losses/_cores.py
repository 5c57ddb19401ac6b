"""Sample sieve: leave out rows whose label fits worse than the other labels."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals
from sknoisy.losses._flywheel_steps import confidence_penalty
from sknoisy.losses._reduction import check_reduction

__all__ = [
    "CORESLoss",
    "consistency_divergences",
    "sieve_scores",
    "sieve_tolerance",
]

# log(1e-8), which bounds the mean loss.
_LOG_OFFSET = math.log(1e-8)
# Scores of uniform predictions are 0 but for rounding, which must not sieve out any
# row.
_TOLERANCE = 1e-6
# They also rise by n_classes times the 1e-8 that the mean loss is bounded with.
_TOLERANCE_PER_CLASS = 2e-8


def sieve_tolerance(n_classes: int) -> float:
    """Return the score up to which a label counts as right, 1e-6 for 50 classes.

    Parameters
    ----------
    n_classes : int

    Returns
    -------
    tolerance : float
        Largest value that rounding and the bound on the mean loss give a score of 0.
    """
    return max(_TOLERANCE, _TOLERANCE_PER_CLASS * n_classes)


def sieve_scores(logits: Tensor, y: Tensor) -> Tensor:
    """Return the loss of each given label minus the mean loss of all labels.

    s = ℓ − ℓ̄ with ℓ = −log p[ỹ] and ℓ̄ = −Σ_c log(p_c + 1e-8) / C. A label is sieved
    out if s > 0 [1]_: a label drawn by chance would fit better on average.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
        Outputs of the network.
    y : Tensor of shape (batch,), dtype int64
        Given labels.

    Returns
    -------
    scores : Tensor of shape (batch,)
        Larger = more suspicious.

    References
    ----------
    .. [1] H. Cheng, Z. Zhu, X. Li, Y. Gong, X. Sun, Y. Liu, "Learning with
       instance-dependent label noise: A sample sieve approach", ICLR 2021.
       arXiv:2010.02347

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import sieve_scores
    >>> proba = torch.tensor([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1]])
    >>> sieve_scores(proba.log(), torch.tensor([0, 1]))
    tensor([-1.3863,  0.6931])
    """
    log_p = logits.log_softmax(1)
    given = log_p.gather(1, y[:, None])
    # log((p_c + 1e-8) / p[ỹ]): exact for equal probabilities.
    ratio = torch.logaddexp(log_p - given, _LOG_OFFSET - given)
    return ratio.mean(1)


def consistency_divergences(weak: Tensor, strong: Tensor) -> Tensor:
    """Return KL(p‖q) of what is predicted for weak views, p, and strong ones, q.

    Parameters
    ----------
    weak, strong : Tensors of shape (n, n_classes)
        Outputs of the network for two views of each row. The first is a target, and has
        no gradient.

    Returns
    -------
    divergences : Tensor of shape (n,)
        One for each row, at least 0.
    """
    log_p = weak.detach().log_softmax(1)
    return (log_p.exp() * (log_p - strong.log_softmax(1))).sum(1)


class CORESLoss(nn.Module):
    """Cross-entropy of the rows that pass a sieve, with a reward for confidence.

    ℓ + β Σ_c π_c log(p_c + 1e-8), averaged over the rows with v = 1. The regulariser
    makes the network confident, mostly of the labels that fit; then v = 0 for labels
    that fit worse than the mean of all labels, by `sieve_scores` [1]_.

    Parameters
    ----------
    n_samples : int
        Rows of the training set.
    n_classes : int
        Number of classes.
    beta : float >= 0, default=2.0, the final value of [1]_
        Weight of the regulariser, β. The larger, the more confident the network
        becomes, of right and wrong predictions.
    sieving : bool, default=True
        Whether rows are left out; [1]_ begins with it after 30 epochs.
    prior : Tensor of shape (n_classes,), default=None
        Shares of the classes, π, to begin with; None takes equal ones.
    reduction : {"mean", "none"}, default="mean"
        "mean" is over the rows that pass; with "none" the others have a loss of 0.

    Attributes
    ----------
    beta : float
    sieving : bool
        Both may be set between epochs.
    frozen : bool
        False; while True, rows pass as they did when last seen, and nothing is stored.
    kept : Tensor of shape (n_samples,), dtype bool
        Which rows passed when last seen, v, a buffer; initially all.
    prior : Tensor of shape (n_classes,)
        π, a buffer.
    score_sum : Tensor of shape (n_samples,)
        Sums of the scores s of each row, a buffer.
    n_seen : Tensor of shape (n_samples,), dtype int64
        How often each row was seen, a buffer.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] H. Cheng, Z. Zhu, X. Li, Y. Gong, X. Sun, Y. Liu, "Learning with
       instance-dependent label noise: A sample sieve approach", ICLR 2021.
       arXiv:2010.02347

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import CORESLoss
    >>> criterion = CORESLoss(n_samples=100, n_classes=2, beta=0.0)
    >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    >>> criterion(logits, torch.tensor([0, 1]), torch.tensor([17, 18]))
    tensor(0.1269)
    >>> criterion.kept[17:19]
    tensor([ True, False])
    """

    kept: Tensor
    prior: Tensor
    score_sum: Tensor
    n_seen: Tensor

    def __init__(
        self,
        n_samples: int,
        n_classes: int,
        beta: float = 2.0,
        sieving: bool = True,
        prior: Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_counts(0, n_samples=n_samples)
        check_counts(n_classes=n_classes)
        check_reals(beta=beta)
        if not isinstance(sieving, bool):
            raise TypeError(f"sieving must be True or False; got {sieving!r}.")
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta must be at least 0; got {beta!r}.")
        if prior is None:
            prior = torch.full((n_classes,), 1 / n_classes)
        if prior.shape != (n_classes,) or not (prior >= 0).all() or not prior.any():
            raise ValueError(
                f"prior must be {n_classes} shares of classes, at least 0 and not all "
                f"of them 0; got {prior.tolist()}."
            )
        self.beta = beta
        self.sieving = sieving
        self.frozen = False
        self.reduction = check_reduction(reduction)
        self.register_buffer("kept", torch.ones(n_samples, dtype=torch.bool))
        self.register_buffer("prior", (prior / prior.sum()).float())
        self.register_buffer("score_sum", torch.zeros(n_samples))
        self.register_buffer("n_seen", torch.zeros(n_samples, dtype=torch.int64))

    def forward(self, logits: Tensor, y: Tensor, index: Tensor) -> Tensor:
        """Sieve the rows, and return the loss, shape () or (batch,).

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
        # In bfloat16 the 1e-8 would be lost, and with it the bound.
        logits = logits if logits.dtype == torch.float64 else logits.float()
        loss = F.cross_entropy(logits, y, reduction="none")
        if self.beta:
            prior = self.prior.to(logits.dtype)
            loss = loss + self.beta * confidence_penalty(logits, prior)
        kept = self.sieve(logits, y, index)
        loss = kept * loss
        # If no row passes, loss and gradient are 0.
        return loss if self.reduction == "none" else loss.sum() / kept.sum().clamp(1)

    @torch.no_grad()
    def sieve(self, logits: Tensor, y: Tensor, index: Tensor) -> Tensor:
        """Sieve some rows, store the result, and return which of them pass.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        y, index : Tensor of shape (batch,), dtype int64
            Codes of the given labels, and row numbers.

        Returns
        -------
        kept : Tensor of shape (batch,), dtype bool
            As stored if ``frozen``, else all true unless ``sieving``.
        """
        if self.frozen:
            return self.kept[index]
        scores = sieve_scores(logits, y)
        kept = torch.ones_like(y, dtype=torch.bool)
        if self.sieving:
            kept = scores <= sieve_tolerance(logits.shape[1])
        self.kept[index] = kept
        self.score_sum[index] += scores.to(self.score_sum.dtype)
        self.n_seen[index] += 1
        return kept

    @property
    def mean_scores(self) -> Tensor:
        """Mean score s of each row, over the times that it was seen; 0 if never."""
        return self.score_sum / self.n_seen.clamp(min=1)

    @torch.no_grad()
    def update_prior(self, y: Tensor, index: Tensor | None = None) -> None:
        """Set π to the shares of the classes among the rows that passed.

        Parameters
        ----------
        y : Tensor of shape (n,), dtype int64
            The given labels. If none of these rows passed, π is unchanged.
        index : Tensor of shape (n,), dtype int64, default=None
            Their row numbers; None for all rows in order.
        """
        kept = self.kept if index is None else self.kept[index]
        passed = torch.bincount(y[kept], minlength=len(self.prior))
        if passed.any():
            self.prior.copy_(passed / passed.sum())
