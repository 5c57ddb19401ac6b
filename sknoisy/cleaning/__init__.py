"""From noise scores to a cleaned data set: a filter, a classifier, a report."""

from sknoisy.cleaning._cleaned_classifier import CleanedClassifier
from sknoisy.cleaning._decision_files import read_decisions
from sknoisy.cleaning._filter import NoisyLabelFilter
from sknoisy.cleaning._report import LabelReport, label_report

__all__ = [
    "CleanedClassifier",
    "LabelReport",
    "NoisyLabelFilter",
    "label_report",
    "read_decisions",
]
