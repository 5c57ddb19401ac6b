"""Planted wrong labels, and what is chosen by how well they are found.

Below the nets and without torch: detectors and classifiers alike choose by them.
"""
