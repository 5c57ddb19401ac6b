"""Plots of what the estimators saw."""

from sknoisy.inspection._dynamics import DynamicsDisplay

__all__ = ["DynamicsDisplay"]
