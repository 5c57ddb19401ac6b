"""Detectors of wrong labels.

They load on first use: those that train no network need no torch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # For type checkers and editors, which do not run `__getattr__`.
    from sknoisy.detection._aum import (
        AUMDetector,
    )
    from sknoisy.detection._auto import (
        AutoNoiseDetector,
    )
    from sknoisy.detection._confident._label_issues import (
        find_label_issues,
    )
    from sknoisy.detection._confident_learning import (
        ConfidentLearningDetector,
    )
    from sknoisy.detection._cores import (
        CORESDetector,
    )
    from sknoisy.detection._dynacor import (
        DynaCorDetector,
    )
    from sknoisy.detection._dynamics_classifier import (
        DynamicsClassifier,
    )
    from sknoisy.detection._fine import (
        FINEDetector,
    )
    from sknoisy.detection._loss_mixture import (
        LossMixtureDetector,
    )
    from sknoisy.detection._neighbor_vote import (
        NeighborVoteDetector,
    )
    from sknoisy.detection._small_loss import (
        SmallLossDetector,
    )

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

# Written out, so that type checkers can read it.
__all__ = [
    "AUMDetector",
    "AutoNoiseDetector",
    "CORESDetector",
    "ConfidentLearningDetector",
    "DynaCorDetector",
    "DynamicsClassifier",
    "FINEDetector",
    "LossMixtureDetector",
    "NeighborVoteDetector",
    "SmallLossDetector",
    "find_label_issues",
]


if not TYPE_CHECKING:
    # With it, type checkers would take any name for one that there is.
    def __getattr__(name):
        if name not in _HOME:
            raise AttributeError(
                f"module 'sknoisy.detection' has no attribute {name!r}"
            )
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
