"""Bootstrapping: labels that are partly replaced by predictions."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_reals, is_one_of
from sknoisy.losses._softmax import log_softmax_of

__all__ = [
    "BootstrapLoss",
    "bootstrap_targets",
    "prior_penalty",
    "soft_cross_entropy",
]

# Weights of the prediction: the values of Reed et al.
STATIC_WEIGHTS = {"hard": 0.2, "soft": 0.05}


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return −Σ_k t_k log p_k of each row, shape (batch,).

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
        Outputs of the network.
    targets : Tensor of shape (batch, n_classes)
        Class probabilities t, or any weights of the classes.

    Returns
    -------
    loss : Tensor of shape (batch,)
        One loss for each row.
    """
    return -(targets * log_softmax_of(logits)).sum(1)


def bootstrap_targets(y: Tensor, beliefs: Tensor, weight: Tensor | float) -> Tensor:
    """Return (1 − w) onehot(y) + w v, shape (batch, n_classes).

    Parameters
    ----------
    y : Tensor of shape (batch,), dtype int64
        Given labels.
    beliefs : Tensor of shape (batch, n_classes)
        Predictions of the network, v: probabilities, or one-hot.
    weight : Tensor of shape (batch,) or float in [0, 1]
        Weight of the prediction, w.

    Returns
    -------
    targets : Tensor of shape (batch, n_classes)
        Target distribution of each row.
    """
    weight = torch.as_tensor(weight, dtype=beliefs.dtype, device=beliefs.device)
    weight = weight.expand(len(y))
    given = (1 - weight)[:, None]
    return (weight[:, None] * beliefs).scatter_add(1, y[:, None], given)


def prior_penalty(
    logits: Tensor,
    sample_weight: Tensor | None = None,
    prior: Tensor | None = None,
) -> Tensor:
    """Return R = Σ_c π_c log(π_c / p̄_c), with p̄ the batch's mean softmax.

    It is 0 if the mean prediction of the batch equals the prior, and grows as the
    predictions concentrate on few classes.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
        Outputs of the network.
    sample_weight : Tensor of shape (batch,), default=None
        Weights of the rows in p̄, at least 0. If all are 0, so is the penalty.
    prior : Tensor of shape (n_classes,), default=None
        Expected shares of the classes π; None takes uniform ones.

    Returns
    -------
    penalty : Tensor of shape ()
        Penalty to add to the loss.
    """
    n_rows, n_classes = logits.shape
    if prior is None:
        prior = logits.new_full((n_classes,), 1 / n_classes)
    log_p = log_softmax_of(logits)
    if sample_weight is None:
        log_mean = log_p.logsumexp(0) - math.log(n_rows)
        return _divergence(prior, log_mean)
    # 1e-30 is negligible next to any weight in use, and its logarithm is finite.
    weight = sample_weight.clamp_min(1e-30)
    log_mean = (log_p + weight.log()[:, None]).logsumexp(0) - weight.sum().log()
    return _divergence(prior, log_mean) * sample_weight.any()


class BootstrapLoss(nn.Module):
    """Static bootstrapping: cross-entropy with a mixture of label and prediction.

    The loss of a row is −Σ_k [(1 − w) e_y + w v]_k log p_k, Equation 2 of [1]_ with a
    fixed w, as [2]_ proposed it.

    Parameters
    ----------
    targets : {"hard", "soft"}, default="hard"
        The prediction v: one-hot, or the predicted probabilities p. The latter carry a
        gradient: without one, soft bootstrapping would be cross-entropy
        times 1 − w.
    weight : float in [0, 1] or None, default=None
        Weight of the prediction, w. None takes 0.2 for hard and 0.05 for soft targets,
        the values of [2]_.
    reduction : {"mean", "sum", "none"}, default="mean"

    Raises
    ------
    ValueError
        If a parameter is not as described.

    References
    ----------
    .. [1] L. Huang, L. Tang, "Label noise correction: reproduction and extensions".
    .. [2] S. Reed, H. Lee, D. Anguelov, C. Szegedy, D. Erhan, A. Rabinovich, "Training
       deep neural networks on noisy labels with bootstrapping", ICLR 2015 workshop.
       arXiv:1412.6596

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import BootstrapLoss
    >>> logits, y = torch.tensor([[2.0, 0.0]]), torch.tensor([1])
    >>> BootstrapLoss("hard", weight=0.0)(logits, y)  # cross-entropy
    tensor(2.1269)
    >>> BootstrapLoss("hard", weight=1.0)(logits, y)  # of the prediction
    tensor(0.1269)
    """

    def __init__(
        self,
        targets: Literal["hard", "soft"] = "hard",
        weight: float | None = None,
        reduction: Literal["mean", "sum", "none"] = "mean",
    ) -> None:
        super().__init__()
        if not is_one_of(targets, STATIC_WEIGHTS):
            raise ValueError(f"targets must be 'hard' or 'soft'; got {targets!r}.")
        weight = STATIC_WEIGHTS[targets] if weight is None else weight
        check_reals(weight=weight)
        if not 0 <= weight <= 1:
            raise ValueError(f"weight must be in [0, 1]; got {weight!r}.")
        if not is_one_of(reduction, ("mean", "sum", "none")):
            raise ValueError(
                f"reduction must be 'mean', 'sum' or 'none'; got {reduction!r}."
            )
        self.targets = targets
        self.weight = weight
        self.reduction = reduction

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.

        Returns
        -------
        loss : Tensor of shape (), or (batch,) without reduction
            Mean over the batch, or one loss for each row.
        """
        if self.targets == "hard":
            beliefs = F.one_hot(logits.argmax(1), logits.shape[1]).to(logits.dtype)
        else:
            beliefs = logits.softmax(1)
        loss = soft_cross_entropy(logits, bootstrap_targets(y, beliefs, self.weight))
        if self.reduction == "none":
            return loss
        return loss.mean() if self.reduction == "mean" else loss.sum()


def _divergence(prior: Tensor, log_mean: Tensor) -> Tensor:
    return torch.special.xlogy(prior, prior).sum() - prior @ log_mean
