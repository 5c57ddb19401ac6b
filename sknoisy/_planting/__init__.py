"""Planted wrong labels, and choices based on how well they are found.

Below the nets and without torch: detectors and classifiers alike choose by them.
"""
