"""SOP: what is wrong with each label, as a sparse part of its own that is learnt."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals
from sknoisy.losses._reduction import check_reduction, reduced

__all__ = ["SOPLoss"]

# Probabilities are raised to this, as in the authors' code.
_FLOOR = 1e-4


class SOPLoss(nn.Module):
    """Cross-entropy of predictions to which the noise of each label is added.

    The noise of a row with the label y is u² at y and −v² elsewhere. Cross-entropy
    takes the label and p + u² − v², scaled to a sum of 1; a squared error compares the
    label with the predicted class plus the noise. The network learns from the first, v
    from the second, u from both [1]_. Small at the start, u and v grow by what they
    are: where the prediction contradicts the label for long, and nowhere else.

    Parameters
    ----------
    n_samples : int
        Rows of the training set.
    n_classes : int
        Number of classes.
    u_lr : float >= 0, default=0.0078125, the 1 / 128 of the authors' code
        Step of u, for each row: the authors' learning rate over the rows of a batch.
    v_lr : float >= 0, default=0.078125, the 10 / 128 of the authors' code
        Step of v, for each row.
    initial : float in (0, 1), default=0.01
        Where u and v start, and their least value. [1]_ draws it from a normal
        distribution of spread 1e-8, from which they need many more epochs.
    reduction : {"mean", "none"}, default="mean"

    Attributes
    ----------
    u : Tensor of shape (n_samples,)
        A buffer; in [initial, 1].
    v : Tensor of shape (n_samples, n_classes)
        A buffer, in [initial, 1]. Entries at the given labels have no effect.
    seen : Tensor of shape (n_samples,), dtype bool
        Which rows were learnt, a buffer.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] S. Liu, Z. Zhu, Q. Qu, C. You, "Robust training under label noise by
       over-parameterization", ICML 2022. arXiv:2202.14026

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import SOPLoss
    >>> criterion = SOPLoss(n_samples=100, n_classes=2, u_lr=0, v_lr=0.25, initial=0.5)
    >>> logits, y = torch.tensor([[0.0, 9.0]]), torch.tensor([0])
    >>> loss = criterion(logits, y, torch.tensor([17]))
    >>> criterion.v[17]  # 0.5 (1 + 4 * 0.25 (1 - 0.25))
    tensor([0.5000, 0.8750])
    """

    u: Tensor
    v: Tensor
    seen: Tensor

    def __init__(
        self,
        n_samples: int,
        n_classes: int,
        u_lr: float = 1 / 128,
        v_lr: float = 10 / 128,
        initial: float = 0.01,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_counts(0, n_samples=n_samples)
        check_counts(n_classes=n_classes)
        check_reals(u_lr=u_lr, v_lr=v_lr, initial=initial)
        for name, value in (("u_lr", u_lr), ("v_lr", v_lr)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be finite, 0 or more; got {value!r}.")
        if not 0 < initial < 1:
            raise ValueError(f"initial must be in (0, 1); got {initial!r}.")
        self.u_lr = u_lr
        self.v_lr = v_lr
        self.initial = initial
        self.reduction = check_reduction(reduction)
        self.register_buffer("u", torch.full((n_samples,), float(initial)))
        self.register_buffer("v", torch.full((n_samples, n_classes), float(initial)))
        self.register_buffer("seen", torch.zeros(n_samples, dtype=torch.bool))

    def forward(self, logits: Tensor, y: Tensor, index: Tensor) -> Tensor:
        """Return the loss, and take a step of u and v afterwards.

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
        given = F.one_hot(y, logits.shape[1]).to(logits.dtype)
        noise = self.noise(y, index).to(logits.dtype)
        raised = (logits.softmax(1) + noise).clamp_min(_FLOOR)
        corrected = raised / raised.sum(1, keepdim=True)
        own = corrected.gather(1, y[:, None]).squeeze(1)
        predicted = F.one_hot(logits.argmax(1), logits.shape[1]).to(logits.dtype)
        rest = predicted + noise - given
        loss = -own.clamp_min(_FLOOR).log() + rest.square().sum(1)
        self._move(raised.detach(), own.detach(), rest, y, index)
        return reduced(loss, self.reduction)

    def noise(self, y: Tensor, index: Tensor) -> Tensor:
        """Return u² at the given label and −v² elsewhere, shape (batch, n_classes).

        Parameters
        ----------
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the training set.

        Returns
        -------
        noise : Tensor of shape (batch, n_classes)
            In [-1, 1].
        """
        noise = -self.v[index].square()
        return noise.scatter(1, y[:, None], self.u[index].square()[:, None])

    def corrected(self, logits: Tensor, y: Tensor, index: Tensor) -> Tensor:
        """Return the predictions with the noise, scaled to a sum of 1 for each row.

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
        corrected : Tensor of shape (batch, n_classes)
            Rows sum to 1.
        """
        noise = self.noise(y, index).to(logits.dtype)
        raised = (logits.softmax(1) + noise).clamp_min(_FLOOR)
        return raised / raised.sum(1, keepdim=True)

    @torch.no_grad()
    def _move(
        self, raised: Tensor, own: Tensor, rest: Tensor, y: Tensor, index: Tensor
    ) -> None:
        """Take a step of gradient descent: the derivatives are elementwise."""
        at_label = y[:, None]
        raised_own = raised.gather(1, at_label).squeeze(1)
        slope = 1 / raised.sum(1) - 1 / raised_own
        # The floors stop the gradient of cross-entropy.
        slope = torch.where((raised_own > _FLOOR) & (own > _FLOOR), slope, 0.0)
        slope = slope + 2 * rest.gather(1, at_label).squeeze(1)
        u, v = self.u[index], self.v[index]
        u = u * (1 - 2 * self.u_lr * slope.to(u.dtype))
        step = v * (1 + 4 * self.v_lr * rest.to(v.dtype))
        self.u[index] = u.clamp(self.initial, 1)
        moved = step.clamp(self.initial, 1)
        self.v[index] = moved.scatter(1, at_label, v.gather(1, at_label))
        self.seen[index] = True
