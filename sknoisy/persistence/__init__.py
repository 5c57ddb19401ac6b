"""Fitted estimators in files that cannot run code."""

from sknoisy.persistence._saving import load, save

__all__ = ["load", "save"]
