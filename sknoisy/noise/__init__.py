"""Injectors, which give clean labels a known noise, and their transition matrices."""

from sknoisy.noise._asymmetric import AsymmetricNoiseInjector
from sknoisy.noise._class_conditional import (
    SymmetricNoiseInjector,
    TransitionNoiseInjector,
)
from sknoisy.noise._instance import InstanceNoiseInjector, instance_noise_probabilities
from sknoisy.noise._margin import MarginNoiseInjector
from sknoisy.noise._report import estimate_transition_matrix, noise_report
from sknoisy.noise._transition import (
    empirical_transition_matrix,
    pair_flip_matrix,
    symmetric_matrix,
)

__all__ = [
    "AsymmetricNoiseInjector",
    "InstanceNoiseInjector",
    "MarginNoiseInjector",
    "SymmetricNoiseInjector",
    "TransitionNoiseInjector",
    "empirical_transition_matrix",
    "estimate_transition_matrix",
    "instance_noise_probabilities",
    "noise_report",
    "pair_flip_matrix",
    "symmetric_matrix",
]
