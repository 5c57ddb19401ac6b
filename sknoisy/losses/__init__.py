"""Criteria and their pure parts, usable in any torch code."""

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
    "ClusterAlignmentLoss",
    "alignment_loss",
    "cluster_loss",
    "cosine_distances",
    "soft_assignment",
    "squared_distances",
    "target_distribution",
]
