"""Injectors, which give clean labels a known noise, and their transition matrices."""

from sknoisy.noise._class_conditional import (
    SymmetricNoiseInjector,
    TransitionNoiseInjector,
)
from sknoisy.noise._instance import InstanceNoiseInjector, instance_noise_probabilities
from sknoisy.noise._transition import (
    empirical_transition_matrix,
    pair_flip_matrix,
    symmetric_matrix,
)

__all__ = [
    "InstanceNoiseInjector",
    "SymmetricNoiseInjector",
    "TransitionNoiseInjector",
    "empirical_transition_matrix",
    "instance_noise_probabilities",
    "pair_flip_matrix",
    "symmetric_matrix",
]
