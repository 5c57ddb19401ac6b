"""Rows as points: where they come from, and what their neighbours agree on."""
