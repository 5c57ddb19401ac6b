"""Forward correction by a transition matrix that is learnt with the network."""

import math

import torch
from torch import Tensor, nn

from sknoisy._arguments import check_counts, check_reals
from sknoisy.losses._reduction import check_reduction, reduced

__all__ = ["VolMinLoss"]

# Off the diagonal, before the rows are scaled, the matrix starts at σ(−2), as in the
# authors' code for ten classes; with more classes the sum of a row stays below this,
# which for a hundred is their σ(−4.5).
_INITIAL_ENTRY = 1 / (1 + math.exp(2))
_MAX_INITIAL_SUM = 9 * _INITIAL_ENTRY


class VolMinLoss(nn.Module):
    """Cross-entropy with a learnt transition matrix of the least volume.

    ``ℓ = −log Σ_k p_k T[k, ỹ] + λ log |det T|``. The matrix T is a parameter: it turns
    the predicted true classes into the given labels. Many matrices can, the identity
    too, by which wrong labels are memorised; the second term prefers the one of the
    least volume, which leaves the most to noise [1]_. T has 1 on the diagonal and σ(w)
    elsewhere, and then its rows are scaled to a sum of 1: no other entry of a row is
    larger than that on the diagonal.

    Parameters
    ----------
    n_classes : int
        Number of classes.
    lam : float >= 0, default=1e-4, the value of [1]_
        Weight of the volume, λ. It has no lower bound: with large weights T becomes
        singular.
    speed : float > 0, default=1.0
        w is its initial value plus this times a parameter that starts at 0. Plain or
        momentum SGD with the learning rate lr then moves w as with the rate
        speed² · lr.
    reduction : {"mean", "none"}, default="mean"

    Attributes
    ----------
    weight : Parameter of shape (n_classes, n_classes)
        How far w is from its initial value, divided by ``speed``; the diagonal has no
        effect.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] X. Li, T. Liu, B. Han, G. Niu, M. Sugiyama, "Provably end-to-end label-noise
       learning without anchor points", ICML 2021. arXiv:2102.02400

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import VolMinLoss
    >>> criterion = VolMinLoss(n_classes=2, lam=0.0)
    >>> criterion.transition_matrix().detach()
    tensor([[0.8935, 0.1065],
            [0.1065, 0.8935]])
    >>> criterion(torch.tensor([[50.0, -50.0]]), torch.tensor([1]))  # -log 0.1065
    tensor(2.2395, grad_fn=<MeanBackward0>)
    """

    def __init__(
        self,
        n_classes: int,
        lam: float = 1e-4,
        speed: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_counts(n_classes=n_classes)
        check_reals(lam=lam, speed=speed)
        if not 0 <= lam < math.inf:
            raise ValueError(f"lam must be at least 0; got {lam!r}.")
        if not 0 < speed < math.inf:
            raise ValueError(f"speed must be above 0; got {speed!r}.")
        self.lam = lam
        self.speed = speed
        self.reduction = check_reduction(reduction)
        entry = min(_INITIAL_ENTRY, _MAX_INITIAL_SUM / max(n_classes - 1, 1))
        self.initial = math.log(entry / (1 - entry))
        self.weight = nn.Parameter(torch.zeros(n_classes, n_classes))

    def log_transition_matrix(self) -> Tensor:
        """Return log T.

        Returns
        -------
        log_T : Tensor of shape (n_classes, n_classes)
            Rows = true, columns = given class.
        """
        w = self.initial + self.speed * self.weight
        is_own = torch.eye(len(w), dtype=torch.bool, device=w.device)
        entries = nn.functional.logsigmoid(w).masked_fill(is_own, 0.0)
        return entries.log_softmax(1)

    def transition_matrix(self) -> Tensor:
        """Return T, shape (n_classes, n_classes): rows = true, columns = given class.

        Returns
        -------
        T : Tensor of shape (n_classes, n_classes)
            Rows sum to 1; with a gradient.
        """
        return self.log_transition_matrix().exp()

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
        log_T = self.log_transition_matrix()
        log_joint = logits.log_softmax(1) + log_T.T[y]
        volume = torch.linalg.slogdet(log_T.exp()).logabsdet
        loss = self.lam * volume - log_joint.logsumexp(1)
        return reduced(loss, self.reduction)
