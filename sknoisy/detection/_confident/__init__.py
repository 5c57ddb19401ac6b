"""Confident learning: the confident joint, and the label issues it tells of."""
