"""Confident learning: the confident joint, and label issues based on it."""
