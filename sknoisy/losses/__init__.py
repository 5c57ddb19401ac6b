"""Criteria and their pure parts, usable in any torch code."""

from sknoisy.losses._bootstrap import (
    BootstrapLoss,
    bootstrap_targets,
    prior_penalty,
    soft_cross_entropy,
)
from sknoisy.losses._clustering import (
    ClusterAlignmentLoss,
    alignment_loss,
    cluster_loss,
    cosine_distances,
    soft_assignment,
    squared_distances,
    target_distribution,
)

__all__ = [
    "BootstrapLoss",
    "ClusterAlignmentLoss",
    "alignment_loss",
    "bootstrap_targets",
    "cluster_loss",
    "cosine_distances",
    "prior_penalty",
    "soft_assignment",
    "soft_cross_entropy",
    "squared_distances",
    "target_distribution",
]
