"""Predictions of held-out rows, and losses computed from them."""
