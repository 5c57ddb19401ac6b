"""Classifiers that are robust to wrong labels."""

from sknoisy.classification._auto import AutoRobustClassifier
from sknoisy.classification._cdr import CDRClassifier
from sknoisy.classification._co_teaching import CoTeachingClassifier
from sknoisy.classification._co_teaching_plus import CoTeachingPlusClassifier
from sknoisy.classification._cores import CORESClassifier
from sknoisy.classification._disc import DISCClassifier
from sknoisy.classification._dividemix import DivideMixClassifier
from sknoisy.classification._dynamic_bootstrap import DynamicBootstrapClassifier
from sknoisy.classification._early_learning import ELRClassifier
from sknoisy.classification._elr_plus import ELRPlusClassifier
from sknoisy.classification._flywheel import FlywheelClassifier
from sknoisy.classification._jocor import JoCoRClassifier
from sknoisy.classification._noise_attention import NALClassifier
from sknoisy.classification._pencil import PENCILClassifier
from sknoisy.classification._pes import PESClassifier
from sknoisy.classification._robust_loss import RobustLossClassifier
from sknoisy.classification._selc import SELCClassifier
from sknoisy.classification._sop import SOPClassifier
from sknoisy.classification._ssr import SSRClassifier
from sknoisy.classification._transition_correction import (
    TransitionCorrectionClassifier,
    anchor_transition_matrix,
)
from sknoisy.classification._unicon import UNICONClassifier
from sknoisy.classification._volminnet import VolMinNetClassifier

__all__ = [
    "AutoRobustClassifier",
    "CDRClassifier",
    "CORESClassifier",
    "CoTeachingClassifier",
    "CoTeachingPlusClassifier",
    "DISCClassifier",
    "DivideMixClassifier",
    "DynamicBootstrapClassifier",
    "ELRClassifier",
    "ELRPlusClassifier",
    "FlywheelClassifier",
    "JoCoRClassifier",
    "NALClassifier",
    "PENCILClassifier",
    "PESClassifier",
    "RobustLossClassifier",
    "SELCClassifier",
    "SOPClassifier",
    "SSRClassifier",
    "TransitionCorrectionClassifier",
    "UNICONClassifier",
    "VolMinNetClassifier",
    "anchor_transition_matrix",
]
