"""Encode frames with numbers, dates, categories and texts as numbers."""
