"""Training signals: scores of a sample and its label from one forward pass.

Table 6 of [1]_. All except the loss are higher for cleaner labels.

References
----------
.. [1] S. Kim, D. Lee, S. Kang, S. Chae, S. Jang and H. Yu, "Learning Discriminative
   Dynamics with Label Corruption for Noisy Label Detection", CVPR 2024.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "SIGNALS",
    "alignment",
    "logit_diff",
    "loss",
    "prob_diff",
    "probability",
]


def loss(logits: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy −log p_y, shape (batch,)."""
    return F.cross_entropy(logits, y, reduction="none")


def probability(logits: Tensor, y: Tensor) -> Tensor:
    """Return p_y, shape (batch,)."""
    return (-loss(logits, y)).exp()


def prob_diff(logits: Tensor, y: Tensor) -> Tensor:
    """Return p_y − max_c p_c in [−1, 0], shape (batch,).

    The cell of Table 6 is illegible in the source; this is the form of its reference
    (CONFES), with the sign for which larger is cleaner.
    """
    proba = logits.softmax(1)
    return _of_label(proba, y) - proba.amax(1)


def logit_diff(logits: Tensor, y: Tensor) -> Tensor:
    """Return the margin z_y − max_{c≠y} z_c, shape (batch,)."""
    others = logits.scatter(1, y[:, None], -torch.inf)
    return _of_label(logits, y) - others.amax(1)


def alignment(features: Tensor, y: Tensor) -> Tensor:
    """Return ⟨u_y, v⟩², the squared projection on the main direction of the label.

    Parameters
    ----------
    features : Tensor of shape (n_samples, n_features_out)
        Penultimate features v of all samples.
    y : Tensor of shape (n_samples,)
        Labels; u_y is the first eigenvector of Σ v vᵀ over the samples labelled y.

    Returns
    -------
    signal : Tensor of shape (n_samples,)
    """
    signal = features.new_zeros(len(y))
    for code in y.unique():
        rows = (y == code).nonzero().squeeze(1)
        v = features[rows]
        # The first right singular vector of V is the first eigenvector of VᵀV.
        gram = v.T @ v if len(v) >= v.shape[1] else v @ v.T
        vector = torch.linalg.eigh(gram.cpu().double()).eigenvectors[:, -1].to(v)
        if len(v) < v.shape[1]:
            vector = F.normalize(v.T @ vector, dim=0)
        signal[rows] = (v @ vector).square()
    return signal


def _of_label(values: Tensor, y: Tensor) -> Tensor:
    return values.gather(1, y[:, None]).squeeze(1)


# Read from the logits of a training batch; `alignment` needs all features at once.
SIGNALS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "loss": loss,
    "probability": probability,
    "prob_diff": prob_diff,
    "logit_diff": logit_diff,
}
