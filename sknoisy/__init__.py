"""Estimators that inject, detect and survive label noise.

Public names are imported on first use, so ``import sknoisy`` does not import torch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # For type checkers and editors, which do not run `__getattr__`.
    from sknoisy.auditing import audit
    from sknoisy.classification import (
        AutoRobustClassifier,
        CDRClassifier,
        CORESClassifier,
        CoTeachingClassifier,
        CoTeachingPlusClassifier,
        DISCClassifier,
        DivideMixClassifier,
        DynamicBootstrapClassifier,
        ELRClassifier,
        ELRPlusClassifier,
        FlywheelClassifier,
        JoCoRClassifier,
        NALClassifier,
        PENCILClassifier,
        PESClassifier,
        RobustLossClassifier,
        SELCClassifier,
        SOPClassifier,
        SSRClassifier,
        TransitionCorrectionClassifier,
        UNICONClassifier,
        VolMinNetClassifier,
    )
    from sknoisy.cleaning import (
        CleanedClassifier,
        LabelReport,
        NoisyLabelFilter,
        label_report,
    )
    from sknoisy.detection import (
        AUMDetector,
        AutoNoiseDetector,
        ConfidentLearningDetector,
        CORESDetector,
        DynaCorDetector,
        DynamicsClassifier,
        FINEDetector,
        LossMixtureDetector,
        NeighborVoteDetector,
        SmallLossDetector,
        find_label_issues,
    )
    from sknoisy.encoders import (
        ImageEncoder,
        TextEncoder,
    )
    from sknoisy.inspection import (
        ActivationMapDisplay,
        DynamicsDisplay,
        LossMixtureDisplay,
        SampleWeightsDisplay,
        TransitionMatrixDisplay,
    )
    from sknoisy.mixture import (
        BetaMixture,
        BMMLossSplitter,
    )
    from sknoisy.nets import (
        NetClassifier,
    )
    from sknoisy.noise import (
        AsymmetricNoiseInjector,
        InstanceNoiseInjector,
        MarginNoiseInjector,
        SymmetricNoiseInjector,
        TransitionNoiseInjector,
        estimate_transition_matrix,
        noise_report,
        pair_flip_matrix,
    )
    from sknoisy.persistence import (
        load,
        save,
    )

__version__ = "0.2.0"

_HOME = {
    "AUMDetector": "sknoisy.detection",
    "AutoNoiseDetector": "sknoisy.detection",
    "AutoRobustClassifier": "sknoisy.classification",
    "ActivationMapDisplay": "sknoisy.inspection",
    "AsymmetricNoiseInjector": "sknoisy.noise",
    "BMMLossSplitter": "sknoisy.mixture",
    "BetaMixture": "sknoisy.mixture",
    "CDRClassifier": "sknoisy.classification",
    "CORESClassifier": "sknoisy.classification",
    "CORESDetector": "sknoisy.detection",
    "CoTeachingClassifier": "sknoisy.classification",
    "CleanedClassifier": "sknoisy.cleaning",
    "ConfidentLearningDetector": "sknoisy.detection",
    "CoTeachingPlusClassifier": "sknoisy.classification",
    "DISCClassifier": "sknoisy.classification",
    "DivideMixClassifier": "sknoisy.classification",
    "DynaCorDetector": "sknoisy.detection",
    "DynamicBootstrapClassifier": "sknoisy.classification",
    "DynamicsClassifier": "sknoisy.detection",
    "DynamicsDisplay": "sknoisy.inspection",
    "ELRClassifier": "sknoisy.classification",
    "ELRPlusClassifier": "sknoisy.classification",
    "FINEDetector": "sknoisy.detection",
    "FlywheelClassifier": "sknoisy.classification",
    "ImageEncoder": "sknoisy.encoders",
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
    "PENCILClassifier": "sknoisy.classification",
    "PESClassifier": "sknoisy.classification",
    "RobustLossClassifier": "sknoisy.classification",
    "SELCClassifier": "sknoisy.classification",
    "SOPClassifier": "sknoisy.classification",
    "SSRClassifier": "sknoisy.classification",
    "SampleWeightsDisplay": "sknoisy.inspection",
    "SmallLossDetector": "sknoisy.detection",
    "SymmetricNoiseInjector": "sknoisy.noise",
    "TextEncoder": "sknoisy.encoders",
    "TransitionCorrectionClassifier": "sknoisy.classification",
    "UNICONClassifier": "sknoisy.classification",
    "VolMinNetClassifier": "sknoisy.classification",
    "TransitionMatrixDisplay": "sknoisy.inspection",
    "TransitionNoiseInjector": "sknoisy.noise",
    "audit": "sknoisy.auditing",
    "estimate_transition_matrix": "sknoisy.noise",
    "load": "sknoisy.persistence",
    "find_label_issues": "sknoisy.detection",
    "label_report": "sknoisy.cleaning",
    "noise_report": "sknoisy.noise",
    "pair_flip_matrix": "sknoisy.noise",
    "save": "sknoisy.persistence",
}

# Written out, so that type checkers can read it.
__all__ = [
    "AUMDetector",
    "ActivationMapDisplay",
    "AsymmetricNoiseInjector",
    "AutoNoiseDetector",
    "AutoRobustClassifier",
    "BMMLossSplitter",
    "BetaMixture",
    "CDRClassifier",
    "CORESClassifier",
    "CORESDetector",
    "CleanedClassifier",
    "CoTeachingClassifier",
    "CoTeachingPlusClassifier",
    "ConfidentLearningDetector",
    "DISCClassifier",
    "DivideMixClassifier",
    "DynaCorDetector",
    "DynamicBootstrapClassifier",
    "DynamicsClassifier",
    "DynamicsDisplay",
    "ELRClassifier",
    "ELRPlusClassifier",
    "FINEDetector",
    "FlywheelClassifier",
    "ImageEncoder",
    "InstanceNoiseInjector",
    "JoCoRClassifier",
    "LabelReport",
    "LossMixtureDetector",
    "LossMixtureDisplay",
    "MarginNoiseInjector",
    "NALClassifier",
    "NeighborVoteDetector",
    "NetClassifier",
    "NoisyLabelFilter",
    "PENCILClassifier",
    "PESClassifier",
    "RobustLossClassifier",
    "SELCClassifier",
    "SOPClassifier",
    "SSRClassifier",
    "SampleWeightsDisplay",
    "SmallLossDetector",
    "SymmetricNoiseInjector",
    "TextEncoder",
    "TransitionCorrectionClassifier",
    "TransitionMatrixDisplay",
    "TransitionNoiseInjector",
    "UNICONClassifier",
    "VolMinNetClassifier",
    "audit",
    "estimate_transition_matrix",
    "find_label_issues",
    "label_report",
    "load",
    "noise_report",
    "pair_flip_matrix",
    "save",
]


if not TYPE_CHECKING:
    # With it, type checkers would take any name for one that there is.
    def __getattr__(name):
        if name not in _HOME:
            raise AttributeError(f"module 'sknoisy' has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
