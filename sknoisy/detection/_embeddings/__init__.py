"""Rows as points: their features, and the consensus of neighbours."""
