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
from sknoisy.losses._contrastive import ContrastiveLoss, nt_xent, sup_con
from sknoisy.losses._cores import CORESLoss, sieve_scores
from sknoisy.losses._correction import (
    BackwardCorrectionLoss,
    ForwardCorrectionLoss,
    ReweightingLoss,
)
from sknoisy.losses._disc import DISCLoss, divide_by_confidence
from sknoisy.losses._dividemix import (
    guessed_targets,
    negative_entropy,
    refined_targets,
    semi_supervised_loss,
    sharpen,
)
from sknoisy.losses._early_learning import ELRLoss, early_learning_penalty
from sknoisy.losses._flywheel import FlywheelLoss
from sknoisy.losses._flywheel_steps import (
    clean_probability,
    confidence_penalty,
    corrupt_label_probability,
    corruption_matrix,
    refurbished_targets,
    target_transition_matrix,
    wrong_label_probability,
)
from sknoisy.losses._masking import (
    activation_map,
    mask_patches,
    peak_and_valley,
    soften_labels,
)
from sknoisy.losses._mutual_information import DMILoss, FDivergenceLoss
from sknoisy.losses._noise_attention import NoiseAttentionLoss, noise_attention_loss
from sknoisy.losses._peer import GLSLoss, PeerLoss
from sknoisy.losses._pencil import PENCILLoss, label_gradient
from sknoisy.losses._robust import GCELoss, SCELoss, TruncatedGCELoss
from sknoisy.losses._selc import SELCLoss
from sknoisy.losses._sop import SOPLoss
from sknoisy.losses._ssr import (
    FeatureConsistencyLoss,
    neighbor_label_counts,
    vote_shares,
)
from sknoisy.losses._volume import VolMinLoss

__all__ = [
    "BackwardCorrectionLoss",
    "BootstrapLoss",
    "CORESLoss",
    "ClusterAlignmentLoss",
    "ContrastiveLoss",
    "DMILoss",
    "DISCLoss",
    "ELRLoss",
    "FDivergenceLoss",
    "FeatureConsistencyLoss",
    "FlywheelLoss",
    "ForwardCorrectionLoss",
    "GCELoss",
    "GLSLoss",
    "NoiseAttentionLoss",
    "PENCILLoss",
    "PeerLoss",
    "ReweightingLoss",
    "SCELoss",
    "SELCLoss",
    "SOPLoss",
    "TruncatedGCELoss",
    "VolMinLoss",
    "activation_map",
    "alignment_loss",
    "bootstrap_targets",
    "clean_probability",
    "cluster_loss",
    "confidence_penalty",
    "corrupt_label_probability",
    "corruption_matrix",
    "cosine_distances",
    "divide_by_confidence",
    "early_learning_penalty",
    "guessed_targets",
    "label_gradient",
    "mask_patches",
    "negative_entropy",
    "neighbor_label_counts",
    "noise_attention_loss",
    "nt_xent",
    "peak_and_valley",
    "prior_penalty",
    "refined_targets",
    "refurbished_targets",
    "semi_supervised_loss",
    "sharpen",
    "sieve_scores",
    "soft_assignment",
    "soft_cross_entropy",
    "soften_labels",
    "squared_distances",
    "sup_con",
    "target_distribution",
    "target_transition_matrix",
    "vote_shares",
    "wrong_label_probability",
]
