"""Detectors of wrong labels."""

from sknoisy.detection._aum import AUMDetector
from sknoisy.detection._dynacor import DynaCorDetector
from sknoisy.detection._dynamics_classifier import DynamicsClassifier
from sknoisy.detection._loss_mixture import LossMixtureDetector

__all__ = [
    "AUMDetector",
    "DynaCorDetector",
    "DynamicsClassifier",
    "LossMixtureDetector",
]
