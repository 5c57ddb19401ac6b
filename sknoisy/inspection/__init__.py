"""Plots of fitted estimators."""

from sknoisy.inspection._activation_map import ActivationMapDisplay
from sknoisy.inspection._dynamics import DynamicsDisplay
from sknoisy.inspection._loss_mixture import LossMixtureDisplay
from sknoisy.inspection._sample_weights import SampleWeightsDisplay
from sknoisy.inspection._transition_matrix import TransitionMatrixDisplay

__all__ = [
    "ActivationMapDisplay",
    "DynamicsDisplay",
    "LossMixtureDisplay",
    "SampleWeightsDisplay",
    "TransitionMatrixDisplay",
]
