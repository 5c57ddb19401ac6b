"""Detectors of wrong labels."""

from sknoisy.detection._aum import AUMDetector
from sknoisy.detection._dynacor import DynaCorDetector
from sknoisy.detection._dynamics_classifier import DynamicsClassifier

__all__ = ["AUMDetector", "DynaCorDetector", "DynamicsClassifier"]
