"""Detectors of wrong labels.

They load on first use: those that train no network need no torch.
"""

import importlib

_HOME = {
    "AUMDetector": "_aum",
    "AutoNoiseDetector": "_auto",
    "CORESDetector": "_cores",
    "ConfidentLearningDetector": "_confident_learning",
    "DynaCorDetector": "_dynacor",
    "DynamicsClassifier": "_dynamics_classifier",
    "FINEDetector": "_fine",
    "LossMixtureDetector": "_loss_mixture",
    "NeighborVoteDetector": "_neighbor_vote",
    "SmallLossDetector": "_small_loss",
    "find_label_issues": "_confident._label_issues",
}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'sknoisy.detection' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
