"""Estimators that inject, detect and survive label noise.

The public names load on first use, so ``import sknoisy`` imports no torch.
"""

import importlib

__version__ = "0.1.0"

_HOME = {
    "AUMDetector": "sknoisy.detection",
    "ActivationMapDisplay": "sknoisy.inspection",
    "AsymmetricNoiseInjector": "sknoisy.noise",
    "BMMLossSplitter": "sknoisy.mixture",
    "BetaMixture": "sknoisy.mixture",
    "CDRClassifier": "sknoisy.classification",
    "CoTeachingClassifier": "sknoisy.classification",
    "ConfidentLearningDetector": "sknoisy.detection",
    "DivideMixClassifier": "sknoisy.classification",
    "DynaCorDetector": "sknoisy.detection",
    "DynamicBootstrapClassifier": "sknoisy.classification",
    "DynamicsClassifier": "sknoisy.detection",
    "DynamicsDisplay": "sknoisy.inspection",
    "ELRClassifier": "sknoisy.classification",
    "ELRPlusClassifier": "sknoisy.classification",
    "FlywheelClassifier": "sknoisy.classification",
    "InstanceNoiseInjector": "sknoisy.noise",
    "LossMixtureDetector": "sknoisy.detection",
    "LossMixtureDisplay": "sknoisy.inspection",
    "MarginNoiseInjector": "sknoisy.noise",
    "NALClassifier": "sknoisy.classification",
    "NetClassifier": "sknoisy.nets",
    "RobustLossClassifier": "sknoisy.classification",
    "SampleWeightsDisplay": "sknoisy.inspection",
    "SymmetricNoiseInjector": "sknoisy.noise",
    "TransitionCorrectionClassifier": "sknoisy.classification",
    "TransitionMatrixDisplay": "sknoisy.inspection",
    "TransitionNoiseInjector": "sknoisy.noise",
    "estimate_transition_matrix": "sknoisy.noise",
    "find_label_issues": "sknoisy.detection",
    "noise_report": "sknoisy.noise",
    "pair_flip_matrix": "sknoisy.noise",
}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'sknoisy' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])
