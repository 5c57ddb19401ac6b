"""Losses corrected by a transition matrix."""

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_reals
from sknoisy.losses._reduction import check_reduction, reduced
from sknoisy.noise._transition import check_transition_matrix

__all__ = ["BackwardCorrectionLoss", "ForwardCorrectionLoss", "ReweightingLoss"]

# Least log-probability in the backward loss, which has no lower bound.
_LOG_FLOOR = -16.118095650958319  # log 1e-7
# Beyond it the inverse of a float32 matrix is inaccurate.
_MAX_CONDITION = 1e6
# A label that a class is hardly ever given would have no bound on its weight.
_MAX_WEIGHT = 10.0
# A revised matrix has no smaller entry, before its rows are scaled.
_MIN_ENTRY = 1e-6


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


class ReweightingLoss(nn.Module):
    """Cross-entropy weighted by how much more probable a label is as the true one.

    ℓ = −β log p_ỹ with β = p_ỹ / (Tᵀp)_ỹ, at most 10 and without a gradient. Where the
    network predicts the true classes of a row as they are distributed, the mean of ℓ
    over its given labels is the mean cross-entropy over its true ones [1]_. With the
    identity it is cross-entropy. While ``revising``, the matrix is T + ΔT with a learnt
    ΔT, and β has a gradient [2]_.

    Parameters
    ----------
    transition_matrix : array-like of shape (n_classes, n_classes)
        T[a, b] = P(given label b | true class a); rows sum to 1.
    reduction : {"mean", "none"}, default="mean"
    revise : bool, default=False
        Whether ΔT is a parameter. It starts at 0; entries of T + ΔT are at least 1e-6,
        and rows are divided by their sums.
    speed : float > 0, default=1.0
        ΔT is this times a parameter. Plain or momentum SGD with the learning rate lr
        then moves ΔT as with the rate speed² · lr.

    Attributes
    ----------
    revising : bool
        Initially ``revise``; may be set between epochs. A network that is not yet sure
        of most labels must not be trained with it: it could lower its loss by
        predicting each label to be wrong.
    change : Parameter of shape (n_classes, n_classes) or None
        ΔT divided by ``speed``; None unless ``revise``.

    Raises
    ------
    ValueError
        If it is not a transition matrix, or ``speed`` is out of its range.

    Notes
    -----
    β is at most 1 / T[ỹ, ỹ], so that the bound matters only for labels that their own
    class is given in less than a tenth of the cases.

    References
    ----------
    .. [1] T. Liu, D. Tao, "Classification with noisy labels by importance reweighting",
       IEEE Transactions on Pattern Analysis and Machine Intelligence 38, 2016.
       arXiv:1411.7718
    .. [2] X. Xia, T. Liu, N. Wang, B. Han, C. Gong, G. Niu, M. Sugiyama, "Are anchor
       points really indispensable in label-noise learning?", NeurIPS 2019.
       arXiv:1906.00189

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import ReweightingLoss
    >>> criterion = ReweightingLoss([[0.8, 0.2], [0.2, 0.8]], reduction="none")
    >>> logits = torch.tensor([[0.9, 0.1], [0.9, 0.1]]).log()
    >>> y = torch.tensor([0, 1])
    >>> criterion.weights(logits, y)  # 0.9 / 0.74 and 0.1 / 0.26
    tensor([1.2162, 0.3846])
    >>> criterion(logits, y)
    tensor([0.1281, 0.8856])
    """

    T: Tensor

    def __init__(
        self,
        transition_matrix: ArrayLike,
        reduction: str = "mean",
        revise: bool = False,
        speed: float = 1.0,
    ) -> None:
        super().__init__()
        T = check_transition_matrix(transition_matrix)
        check_reals(speed=speed)
        if not isinstance(revise, bool):
            raise TypeError(f"revise must be True or False; got {revise!r}.")
        if not 0 < speed < math.inf:
            raise ValueError(f"speed must be above 0; got {speed!r}.")
        self.speed = speed
        self.revising = revise
        self.reduction = check_reduction(reduction)
        self.register_buffer("T", torch.from_numpy(T).float())
        self.change = nn.Parameter(torch.zeros(T.shape)) if revise else None

    def transition_matrix(self) -> Tensor:
        """Return the matrix in use.

        Returns
        -------
        T : Tensor of shape (n_classes, n_classes)
            Rows = true, columns = given class; rows sum to 1. With a gradient for ΔT.
        """
        if self.change is None:
            return self.T
        # Above the bound to begin with: an entry that was pushed below has no gradient.
        T = self.T.clamp_min(2 * _MIN_ENTRY) + self.speed * self.change
        T = T.clamp_min(_MIN_ENTRY)
        return T / T.sum(1, keepdim=True)

    def weights(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the importance β of rows with these labels.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.

        Returns
        -------
        weights : Tensor of shape (batch,)
            p_ỹ / (Tᵀp)_ỹ, at most 10; with a gradient while ``revising``.
        """
        with torch.set_grad_enabled(self.revising and torch.is_grad_enabled()):
            log_p = logits.log_softmax(1)
            own = log_p.gather(1, y[:, None]).squeeze(1)
            given = (log_p + self.transition_matrix().log().T[y]).logsumexp(1)
            return (own - given).exp().clamp_max(_MAX_WEIGHT)

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
        loss = F.cross_entropy(logits, y, reduction="none")
        return reduced(self.weights(logits, y) * loss, self.reduction)
