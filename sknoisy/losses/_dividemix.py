"""DivideMix: targets from several predictions, and the loss of a mixed batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sknoisy.losses._bootstrap import bootstrap_targets, soft_cross_entropy
from sknoisy.losses._softmax import softmax_of

__all__ = [
    "guessed_targets",
    "negative_entropy",
    "refined_targets",
    "semi_supervised_loss",
    "sharpen",
]

# Weights of rows may all be 0; any weight in use is far above.
_WEIGHT_FLOOR = 1e-12


def sharpen(proba: Tensor, temperature: float = 0.5) -> Tensor:
    """Return p_c^(1/T) / Σ_k p_k^(1/T), shape (batch, n_classes).

    Parameters
    ----------
    proba : Tensor of shape (batch, n_classes)
        Class probabilities p.
    temperature : float > 0, default=0.5
        T. 1 leaves p unchanged; as T falls, the largest probability tends to 1.

    Returns
    -------
    sharpened : Tensor of shape (batch, n_classes)
        Distributions with less entropy.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import sharpen
    >>> sharpen(torch.tensor([[0.75, 0.25]]), temperature=0.5)
    tensor([[0.9000, 0.1000]])
    """
    # In log space, small temperatures do not underflow.
    return softmax_of(proba.log() / temperature)


def guessed_targets(logits: Sequence[Tensor], temperature: float = 0.5) -> Tensor:
    """Return the sharpened mean prediction for rows whose labels are not used.

    Parameters
    ----------
    logits : list of Tensors of shape (batch, n_classes)
        One for each network and view of the rows.
    temperature : float > 0, default=0.5
        As in `sharpen`.

    Returns
    -------
    targets : Tensor of shape (batch, n_classes)
        Class probabilities.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import guessed_targets
    >>> one, other = torch.tensor([[0.0, 0.0]]), torch.tensor([[99.0, 0.0]])
    >>> guessed_targets([one, other])
    tensor([[0.9000, 0.1000]])
    """
    return sharpen(_mean_proba(logits), temperature)


def refined_targets(
    y: Tensor,
    logits: Sequence[Tensor],
    clean_proba: Tensor | float,
    temperature: float = 0.5,
) -> Tensor:
    """Return the sharpened mixture of label and mean prediction, w e_y + (1 − w) p.

    Parameters
    ----------
    y : Tensor of shape (batch,), dtype int64
        Given labels.
    logits : list of Tensors of shape (batch, n_classes)
        One for each view of the rows.
    clean_proba : Tensor of shape (batch,) or float in [0, 1]
        How likely each label is right, w.
    temperature : float > 0, default=0.5
        As in `sharpen`.

    Returns
    -------
    targets : Tensor of shape (batch, n_classes)
        Class probabilities.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import refined_targets
    >>> logits = [torch.tensor([[0.0, 0.0]])]
    >>> refined_targets(torch.tensor([1]), logits, clean_proba=0.5)
    tensor([[0.1000, 0.9000]])
    """
    mixture = bootstrap_targets(y, _mean_proba(logits), 1 - clean_proba)
    return sharpen(mixture, temperature)


def semi_supervised_loss(
    logits: Tensor,
    targets: Tensor,
    n_labelled: int,
    unlabelled_weight: float,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Return L_x + λ L_u, the loss on labelled and on other rows of a mixed batch.

    L_x is the mean cross-entropy of the labelled rows, L_u the mean squared difference
    of probabilities and targets, over the other rows and over the classes.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
        Outputs of the network.
    targets : Tensor of shape (batch, n_classes)
        Class probabilities.
    n_labelled : int in [0, batch]
        How many rows are labelled; they stand first. A part without rows is 0.
    unlabelled_weight : float >= 0
        λ. As it grows, guessed targets count more than labels.
    sample_weight : Tensor of shape (batch,), default=None
        Weights of the rows in both means, at least 0.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over the batch.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import semi_supervised_loss
    >>> logits = torch.zeros(2, 2)
    >>> targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> semi_supervised_loss(logits, targets, n_labelled=1, unlabelled_weight=0.0)
    tensor(0.6931)
    >>> semi_supervised_loss(logits, targets, n_labelled=0, unlabelled_weight=1.0)
    tensor(0.2500)
    """
    one, other = slice(None, n_labelled), slice(n_labelled, None)
    labelled = soft_cross_entropy(logits[one], targets[one])
    unlabelled = (softmax_of(logits[other]) - targets[other]).square().mean(1)
    weight, rest = None, None
    if sample_weight is not None:
        weight, rest = sample_weight[one], sample_weight[other]
    return _mean(labelled, weight) + unlabelled_weight * _mean(unlabelled, rest)


def negative_entropy(logits: Tensor) -> Tensor:
    """Return Σ_c p_c log p_c of each row, which is high for confident predictions.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
        Outputs of the network.

    Returns
    -------
    penalty : Tensor of shape (batch,)
        From −log(n_classes) to 0.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import negative_entropy
    >>> negative_entropy(torch.tensor([[0.0, 0.0]]))
    tensor([-0.6931])
    """
    log_p = logits.log_softmax(1)
    return (log_p.exp() * log_p).sum(1)


def _mean_proba(logits: Sequence[Tensor]) -> Tensor:
    return softmax_of(torch.stack(list(logits))).mean(0)


def _mean(loss: Tensor, weight: Tensor | None) -> Tensor:
    if not len(loss):
        return loss.sum()
    if weight is None:
        return loss.mean()
    return (weight * loss).sum() / weight.sum().clamp_min(_WEIGHT_FLOOR)
