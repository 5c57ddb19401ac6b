"""Estimators that inject, detect and survive label noise.

The public names load on first use, so ``import sknoisy`` imports no torch.
"""

import importlib

__version__ = "0.2.0.dev0"

_HOME = {
    "AUMDetector": "sknoisy.detection",
    "AutoNoiseDetector": "sknoisy.detection",
    "ActivationMapDisplay": "sknoisy.inspection",
    "AsymmetricNoiseInjector": "sknoisy.noise",
    "BMMLossSplitter": "sknoisy.mixture",
    "BetaMixture": "sknoisy.mixture",
    "CDRClassifier": "sknoisy.classification",
    "CORESDetector": "sknoisy.detection",
    "CoTeachingClassifier": "sknoisy.classification",
    "CleanedClassifier": "sknoisy.cleaning",
    "ConfidentLearningDetector": "sknoisy.detection",
    "DivideMixClassifier": "sknoisy.classification",
    "DynaCorDetector": "sknoisy.detection",
    "DynamicBootstrapClassifier": "sknoisy.classification",
    "DynamicsClassifier": "sknoisy.detection",
    "DynamicsDisplay": "sknoisy.inspection",
    "ELRClassifier": "sknoisy.classification",
    "ELRPlusClassifier": "sknoisy.classification",
    "FINEDetector": "sknoisy.detection",
    "FlywheelClassifier": "sknoisy.classification",
    "InstanceNoiseInjector": "sknoisy.noise",
    "JoCoRClassifier": "sknoisy.classification",
    "LabelReport": "sknoisy.cleaning",
    "LossMixtureDetector": "sknoisy.detection",
    "LossMixtureDisplay": "sknoisy.inspection",
    "MarginNoiseInjector": "sknoisy.noise",
    "NALClassifier": "sknoisy.classification",
    "NeighborVoteDetector": "sknoisy.detection",
    "NetClassifier": "sknoisy.nets",
    "NoisyLabelFilter": "sknoisy.cleaning",
    "RobustLossClassifier": "sknoisy.classification",
    "SampleWeightsDisplay": "sknoisy.inspection",
    "SmallLossDetector": "sknoisy.detection",
    "SymmetricNoiseInjector": "sknoisy.noise",
    "TransitionCorrectionClassifier": "sknoisy.classification",
    "TransitionMatrixDisplay": "sknoisy.inspection",
    "TransitionNoiseInjector": "sknoisy.noise",
    "estimate_transition_matrix": "sknoisy.noise",
    "load": "sknoisy.persistence",
    "find_label_issues": "sknoisy.detection",
    "label_report": "sknoisy.cleaning",
    "noise_report": "sknoisy.noise",
    "pair_flip_matrix": "sknoisy.noise",
    "save": "sknoisy.persistence",
}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'sknoisy' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
