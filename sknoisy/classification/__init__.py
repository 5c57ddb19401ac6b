"""Classifiers that learn in spite of wrong labels."""

from sknoisy.classification._dynamic_bootstrap import DynamicBootstrapClassifier

__all__ = ["DynamicBootstrapClassifier"]
