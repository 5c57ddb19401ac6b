"""Losses with smaller gradients than cross-entropy for improbable labels."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals
from sknoisy.losses._reduction import check_reduction, reduced

__all__ = ["GCELoss", "SCELoss", "TruncatedGCELoss"]

# Below it the loss is cross-entropy to the last bits of a float32, and 1 / q overflows
# eventually.
_SMALLEST_Q = 1e-12


class GCELoss(nn.Module):
    """Generalised cross-entropy (1 − p_y^q) / q.

    Between cross-entropy, q → 0, and the mean absolute error 1 − p_y, q = 1 [1]_.

    Parameters
    ----------
    q : float in (0, 1], default=0.7, the value of [1]_
        The larger, the more robust, and the slower to learn.
    reduction : {"mean", "none"}, default="mean"

    Raises
    ------
    ValueError
        If q is out of its range.

    Notes
    -----
    The gradient in the logits is p_y^q times that of cross-entropy. With many classes
    it is tiny at the start; a few epochs of cross-entropy help.

    References
    ----------
    .. [1] Z. Zhang, M. R. Sabuncu, "Generalized cross entropy loss for training deep
       neural networks with noisy labels", NeurIPS 2018. arXiv:1805.07836

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import GCELoss
    >>> GCELoss(q=1.0)(torch.zeros(1, 4), torch.tensor([2]))  # 1 - 1/4
    tensor(0.7500)
    """

    # Numbers that may be a tensor, one for each row, with so many dimensions more.
    per_row = {"q": 0}

    def __init__(self, q: float = 0.7, reduction: str = "mean") -> None:
        super().__init__()
        check_reals(q=q)
        if not 0 < q <= 1:
            raise ValueError(f"q must be in (0, 1]; got {q!r}.")
        self.q = q
        self.reduction = check_reduction(reduction)

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
        loss = _gce(_log_proba_of(logits, y), self.q)
        return reduced(loss, self.reduction)


class TruncatedGCELoss(nn.Module):
    """Generalised cross-entropy that leaves out rows with an improbable label.

    The loss of a row is v [ℓ_q(p_y) − ℓ_q(k)], with ℓ_q as in `GCELoss` and v = 1 or 0;
    `prune` sets v to 0 where p_y is at most k [1]_.

    Parameters
    ----------
    n_samples : int
        Rows of the training set.
    q : float in (0, 1], default=0.7, the value of [1]_
        Between cross-entropy (towards 0) and the mean absolute error (1).
    k : float in (0, 1), default=0.5, the value of [1]_
        Least probability of a label that is kept.
    reduction : {"mean", "none"}, default="mean"

    Attributes
    ----------
    kept : Tensor of shape (n_samples,), dtype bool
        The v of each row, a buffer.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] Z. Zhang, M. R. Sabuncu, "Generalized cross entropy loss for training deep
       neural networks with noisy labels", NeurIPS 2018. arXiv:1805.07836

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import TruncatedGCELoss
    >>> criterion = TruncatedGCELoss(n_samples=2)
    >>> logits, y = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    >>> criterion.prune(logits, y, index=torch.arange(2))
    >>> criterion.kept
    tensor([ True, False])
    """

    kept: Tensor

    def __init__(
        self,
        n_samples: int,
        q: float = 0.7,
        k: float = 0.5,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_reals(q=q)
        if not 0 < q <= 1:
            raise ValueError(f"q must be in (0, 1]; got {q!r}.")
        check_counts(0, n_samples=n_samples)
        check_reals(k=k)
        if not 0 < k < 1:
            raise ValueError(f"k must be in (0, 1); got {k!r}.")
        self.q = q
        self.k = k
        self.reduction = check_reduction(reduction)
        self.register_buffer("kept", torch.ones(n_samples, dtype=torch.bool))

    def forward(self, logits: Tensor, y: Tensor, index: Tensor) -> Tensor:
        """Return the loss, shape () or (batch,); the mean is over the whole batch.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        loss : Tensor of shape () or (batch,)
            Mean over the batch, or one loss for each row without reduction.
        """
        at_k = (1 - self.k**self.q) / self.q
        if self.q < _SMALLEST_Q:
            at_k = -math.log(self.k)
        excess = _gce(_log_proba_of(logits, y), self.q) - at_k
        loss = excess * self.kept[index]
        return reduced(loss, self.reduction)

    @torch.no_grad()
    def prune(self, logits: Tensor, y: Tensor, index: Tensor) -> None:
        """Leave out rows whose label has a probability of at most k.

        Does nothing where every row would be left out.

        Parameters
        ----------
        logits : Tensor of shape (n, n_classes)
            Outputs of the network.
        y, index : Tensor of shape (n,), dtype int64
            Codes of the given labels, and row numbers.
        """
        kept = _log_proba_of(logits, y).exp() > self.k
        if kept.any():
            self.kept[index] = kept


class SCELoss(nn.Module):
    """Symmetric cross-entropy: a CE + b RCE.

    RCE exchanges prediction and label: −Σ_k p_k log(e_y)_k with log 0 set to A, which
    is −A (1 − p_y) [1]_.

    Parameters
    ----------
    a : float >= 0, default=0.1, the value of [1]_ for CIFAR-10
        Weight of cross-entropy, α in [1]_; 6 for CIFAR-100.
    b : float >= 0, default=1.0, the value of [1]_ for CIFAR-10
        Weight of reverse cross-entropy, β in [1]_; 0.1 for CIFAR-100.
    A : float < 0, default=-4.0, the value of [1]_
        Stands for log 0. The authors' code has log 1e-4 = −9.21.
    reduction : {"mean", "none"}, default="mean"

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] Y. Wang, X. Ma, Z. Chen, Y. Luo, J. Yi, J. Bailey, "Symmetric cross entropy
       for robust learning with noisy labels", ICCV 2019. arXiv:1908.06112

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import SCELoss
    >>> SCELoss(a=0.0)(torch.zeros(1, 4), torch.tensor([2]))  # 4 (1 - 1/4)
    tensor(3.)
    """

    per_row = {"a": 0, "b": 0, "A": 0}

    def __init__(
        self,
        a: float = 0.1,
        b: float = 1.0,
        A: float = -4.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_reals(a=a, b=b, A=A)
        if not (a >= 0 and b >= 0 and 0 < a + b < math.inf):
            raise ValueError(
                f"a and b must be at least 0, and one of them above; got {a!r}, {b!r}."
            )
        if not -math.inf < A < 0:
            raise ValueError(f"A must be below 0; got {A!r}.")
        self.a = a
        self.b = b
        self.A = A
        self.reduction = check_reduction(reduction)

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
        log_py = _log_proba_of(logits, y)
        # −A (1 − p_y)
        loss = self.b * self.A * torch.expm1(log_py) - self.a * log_py
        return reduced(loss, self.reduction)


def _log_proba_of(logits: Tensor, y: Tensor) -> Tensor:
    return -F.nll_loss(logits.log_softmax(1), y, reduction="none")


def _gce(log_py: Tensor, q: float | Tensor) -> Tensor:
    if isinstance(q, Tensor):
        q = q.clamp_min(_SMALLEST_Q)
    elif q < _SMALLEST_Q:
        return -log_py
    return -torch.expm1(q * log_py) / q
