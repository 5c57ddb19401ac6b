"""Losses corrected by a transition matrix."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from sknoisy.losses._reduction import check_reduction, reduced
from sknoisy.noise._transition import check_transition_matrix

__all__ = ["BackwardCorrectionLoss", "ForwardCorrectionLoss"]

# Least log-probability in the backward loss, which has no lower bound.
_LOG_FLOOR = -16.118095650958319  # log 1e-7
# Beyond it the inverse of a float32 matrix is inaccurate.
_MAX_CONDITION = 1e6


class ForwardCorrectionLoss(nn.Module):
    """Cross-entropy between given labels and predictions passed through a noise matrix.

    ℓ = −log Σ_k p_k T[k, ỹ]: a network that predicts the true labels minimises it
    [1]_. With the identity it is cross-entropy.

    Parameters
    ----------
    transition_matrix : array-like of shape (n_classes, n_classes)
        T[a, b] = P(given label b | true class a); rows sum to 1.
    reduction : {"mean", "none"}, default="mean"

    Raises
    ------
    ValueError
        If it is not a transition matrix.

    References
    ----------
    .. [1] G. Patrini, A. Rozza, A. K. Menon, R. Nock, L. Qu, "Making deep neural
       networks robust to label noise: a loss correction approach", CVPR 2017.
       arXiv:1609.03683

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import ForwardCorrectionLoss
    >>> criterion = ForwardCorrectionLoss([[0.8, 0.2], [0.2, 0.8]])
    >>> criterion(torch.tensor([[50.0, -50.0]]), torch.tensor([1]))  # -log 0.2
    tensor(1.6094)
    """

    log_T: Tensor

    def __init__(self, transition_matrix: ArrayLike, reduction: str = "mean") -> None:
        super().__init__()
        T = check_transition_matrix(transition_matrix)
        self.reduction = check_reduction(reduction)
        log_T = torch.from_numpy(T).log().float()
        self.register_buffer("log_T", log_T)

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
        log_joint = logits.log_softmax(1) + self.log_T.T[y]
        loss = -log_joint.logsumexp(1)
        return reduced(loss, self.reduction)


class BackwardCorrectionLoss(nn.Module):
    """Cross-entropy made unbiased by the inverse of the transition matrix.

    ℓ = −Σ_j (T⁻¹)[ỹ, j] log p_j: its mean over the given labels of a class is the
    cross-entropy of that class [1]_. It may be negative, and its variance grows with
    the condition number of T; `ForwardCorrectionLoss` is the safer choice.

    Parameters
    ----------
    transition_matrix : array-like of shape (n_classes, n_classes)
        T[a, b] = P(given label b | true class a); rows sum to 1.
    reduction : {"mean", "none"}, default="mean"

    Attributes
    ----------
    condition_number : float
        Of the matrix.

    Raises
    ------
    ValueError
        If it is not a transition matrix, or close to singular.

    References
    ----------
    .. [1] G. Patrini, A. Rozza, A. K. Menon, R. Nock, L. Qu, "Making deep neural
       networks robust to label noise: a loss correction approach", CVPR 2017.
       arXiv:1609.03683

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import BackwardCorrectionLoss
    >>> criterion = BackwardCorrectionLoss([[0.8, 0.2], [0.2, 0.8]])
    >>> round(criterion.condition_number, 3)
    1.667
    >>> criterion(torch.zeros(1, 2), torch.tensor([1]))
    tensor(0.6931)
    """

    inverse: Tensor

    def __init__(self, transition_matrix: ArrayLike, reduction: str = "mean") -> None:
        super().__init__()
        T = check_transition_matrix(transition_matrix)
        self.condition_number = float(np.linalg.cond(T))
        if not self.condition_number < _MAX_CONDITION:
            raise ValueError(
                "transition_matrix must have an inverse; its condition number is "
                f"{self.condition_number:.3g}. Use forward correction, or smooth the "
                "matrix with some of the identity."
            )
        self.reduction = check_reduction(reduction)
        self.register_buffer("inverse", torch.from_numpy(np.linalg.inv(T)).float())

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
        log_p = logits.log_softmax(1).clamp_min(_LOG_FLOOR)
        loss = -(self.inverse[y] * log_p).sum(1)
        return reduced(loss, self.reduction)
