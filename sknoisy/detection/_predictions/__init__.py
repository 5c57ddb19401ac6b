"""Predictions of rows left out of the fit, and losses read from them."""
