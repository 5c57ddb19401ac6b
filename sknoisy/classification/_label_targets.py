"""What targets that were estimated row by row say of the given labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sknoisy.extending import Array, IntArray
    from sknoisy.losses._label_targets import LabelTargets

__all__ = ["evidence_of"]


def evidence_of(
    criterion: LabelTargets, proba: Array, codes: IntArray
) -> tuple[Array, Array]:
    """Return the estimated targets, and the evidence for each label.

    Parameters
    ----------
    criterion : LabelTargets
        After training.
    proba : ndarray of shape (n_samples, n_classes)
        Predicted in evaluation mode.
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.

    Returns
    -------
    targets : ndarray of shape (n_samples, n_classes), dtype float32
        A copy: the next call of ``partial_fit`` moves the targets on.
    evidence : ndarray of shape (n_samples, n_classes)
        The targets; where they never moved, the predictions.
    """
    targets = criterion.targets.cpu().numpy().copy()
    # A target that never moved says nothing beyond the label.
    is_label = targets[np.arange(len(codes)), codes] == 1
    return targets, np.where(is_label[:, None], proba, targets)
