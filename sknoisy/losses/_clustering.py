"""Clustering of training dynamics into clean and noisy, as DynaCor trains it.

Column 0 of every (batch, 2) tensor is the clean cluster, column 1 the noisy one, so
that the noisy cluster has the code that corrupted copies have.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_reals

__all__ = [
    "ClusterAlignmentLoss",
    "alignment_loss",
    "cluster_loss",
    "cosine_distances",
    "soft_assignment",
    "squared_distances",
    "target_distribution",
]

# The floor of a norm in torch's cosine similarity, as the authors' code has it.
COSINE_EPS = 1e-6


def cosine_distances(z: Tensor, centers: Tensor) -> Tensor:
    """Return d_k = 1 − cos(z, μ_k) in [0, 2], shape (batch, n_centers).

    Parameters
    ----------
    z : Tensor of shape (batch, n_out)
        Encodings.
    centers : Tensor of shape (n_centers, n_out)
        Centres of the clusters.

    Returns
    -------
    distances : Tensor of shape (batch, n_centers)
        In [0, 2].
    """
    unit_centers = F.normalize(centers, eps=COSINE_EPS)
    norms = torch.linalg.vector_norm(z, dim=1, keepdim=True)
    return 1 - z @ unit_centers.T / norms.clamp_min(COSINE_EPS)


def squared_distances(z: Tensor, centers: Tensor) -> Tensor:
    """Return d_k = ‖z − μ_k‖², shape (batch, n_centers).

    Parameters
    ----------
    z : Tensor of shape (batch, n_out)
        Encodings.
    centers : Tensor of shape (n_centers, n_out)
        Centres of the clusters.

    Returns
    -------
    distances : Tensor of shape (batch, n_centers)
        At least 0.
    """
    # One centre at a time: the (batch, n_centers, n_out) differences leave the cache.
    return torch.stack([(z - center).square().sum(1) for center in centers], dim=1)


def soft_assignment(distances: Tensor) -> Tensor:
    """Return Student-t assignments q_k ∝ 1 / (1 + d_k), shape (batch, n_centers).

    Parameters
    ----------
    distances : Tensor of shape (batch, n_centers)
        Distances to the centres, at least 0.

    Returns
    -------
    q : Tensor of shape (batch, n_centers)
        Each row sums to 1.
    """
    return F.normalize(1 / (1 + distances), p=1, dim=1)


@torch.no_grad()
def target_distribution(q: Tensor) -> Tensor:
    """Return the sharpened target p_k ∝ q_k² / Σ_batch q_k, without a gradient.

    Parameters
    ----------
    q : Tensor of shape (batch, n_centers)
        Assignments; each row sums to 1.

    Returns
    -------
    p : Tensor of shape (batch, n_centers)
        Each row sums to 1.
    """
    return F.normalize(q.square() / q.sum(0), p=1, dim=1)


def cluster_loss(q: Tensor) -> Tensor:
    """Return the batch mean of KL(p ‖ q) with p the target distribution of q.

    Parameters
    ----------
    q : Tensor of shape (batch, n_centers)
        Assignments; each row sums to 1.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over the batch.
    """
    return F.kl_div(q.log(), target_distribution(q), reduction="batchmean")


def alignment_loss(z: Tensor, is_noisy: Tensor, is_copy: Tensor) -> Tensor:
    """Return the distance between originals and copies of the same cluster.

    Parameters
    ----------
    z : Tensor of shape (batch, n_out)
        Encodings; group means are taken of them unnormalised.
    is_noisy, is_copy : Tensor of shape (batch,), dtype bool
        Hard assignment, and origin.

    Returns
    -------
    loss : Tensor of shape ()
        In [0, 2]. The mean of 1 − cos between original and copy over both clusters if
        all four groups have members, of the noisy cluster only if that one has both,
        else 0.
    """
    # A product with the memberships: selecting rows is slower, especially in backward.
    groups = torch.stack(
        [
            is_noisy & ~is_copy,
            is_noisy & is_copy,
            ~is_noisy & ~is_copy,
            ~is_noisy & is_copy,
        ]
    ).to(z)
    sizes = groups.sum(1)
    means = groups @ z / sizes.clamp_min(1)[:, None]
    similarity = F.cosine_similarity(means[::2], means[1::2], dim=1, eps=COSINE_EPS)
    both_there = (sizes > 0).view(2, 2).all(1)
    # Without the noisy pair, the clean pair carries no information on corruption.
    counted = torch.stack([both_there[0], both_there.all()]).to(z)
    return ((1 - similarity) * counted).sum() / counted.sum().clamp_min(1)


class ClusterAlignmentLoss(nn.Module):
    """Cluster loss plus weighted alignment loss on a batch of encodings.

    Parameters
    ----------
    weight : float >= 0, default=0.5
        Weight α of the alignment; [1]_ takes 0.5 for CLIP features and Clothing1M,
        0.05 for ResNet-34 and PreAct-ResNet-18.

    References
    ----------
    .. [1] S. Kim, D. Lee, S. Kang, S. Chae, S. Jang and H. Yu, "Learning
       Discriminative Dynamics with Label Corruption for Noisy Label Detection", CVPR
       2024, Table 5.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import ClusterAlignmentLoss
    >>> z, centers = torch.eye(4), torch.eye(4)[:2]
    >>> is_copy = torch.tensor([False, False, False, True])
    >>> loss, q = ClusterAlignmentLoss()(z, centers, is_copy)
    >>> q[0].tolist()
    [0.6666666865348816, 0.3333333432674408]
    """

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        check_reals(weight=weight)
        self.weight = weight

    def forward(
        self, z: Tensor, centers: Tensor, is_copy: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss and the assignments q.

        Parameters
        ----------
        z : Tensor of shape (batch, n_out)
            Encodings.
        centers : Tensor of shape (2, n_out)
            Of the clean and of the noisy cluster.
        is_copy : Tensor of shape (batch,), dtype bool
            Whether the row is a copy with a planted label.

        Returns
        -------
        loss : Tensor of shape ()
            Mean over the batch.
        q : Tensor of shape (batch, 2)
            Probabilities of the clean and the noisy cluster.
        """
        q = soft_assignment(cosine_distances(z, centers))
        is_noisy = q[:, 1].detach() > 0.5
        loss = cluster_loss(q) + self.weight * alignment_loss(z, is_noisy, is_copy)
        return loss, q
