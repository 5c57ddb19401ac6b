"""Soft targets: for each row a distribution over the classes, in place of its label."""

import numpy as np
from scipy.sparse import issparse
from torch import nn

from sknoisy._rows import is_frame, plain_rows
from sknoisy.nets._outputs import scored, takes_proba
from sknoisy.nets._refusals import has_own_criterion, has_own_step

__all__ = [
    "check_soft_targets",
    "learns_soft_targets",
    "refuse_hard_criterion",
    "refuse_own_targets",
    "soft_loss",
]

# Largest deviation of the sum of a row from 1: rounding in float16, or to a few digits.
_SUM_TOLERANCE = 1e-3


def check_soft_targets(soft_targets, n_samples, classes):
    """Return soft targets as an array.

    Parameters
    ----------
    soft_targets : array-like or DataFrame of shape (n_samples, n_classes)
        Columns of a frame that are named by the classes may be in any order; those that
        are named 0, 1, … are in the order of the classes.
    n_samples : int
    classes : ndarray of shape (n_classes,)

    Returns
    -------
    targets : ndarray of shape (n_samples, n_classes), dtype float32
        As given, not scaled to a sum of exactly 1.

    Raises
    ------
    TypeError
        If they are sparse or not numbers.
    ValueError
        If the shape or the names of columns do not fit, or a row is no distribution.
    """
    if issparse(soft_targets):
        raise TypeError("soft_targets is sparse; pass soft_targets.toarray().")
    values = np.asarray(plain_rows(soft_targets, "soft_targets"))
    if values.dtype.kind not in "biuf":
        values = _as_floats(values)
    if values.shape != (n_samples, len(classes)):
        raise ValueError(
            f"soft_targets must have shape ({n_samples}, {len(classes)}), a row for "
            "each row of X and a column for each class in the order of classes_; got "
            f"shape {values.shape}."
        )
    if is_frame(soft_targets):
        values = values[:, _order(soft_targets, classes)]
    _check_values(values)
    # Its own memory: a tensor of an array that the user changes would change too.
    return np.array(values, dtype=np.float32, order="C")


def _as_floats(values):
    try:
        if values.dtype.kind != "O":
            raise TypeError
        return values.astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"soft_targets must be numbers; got values of dtype {values.dtype}. Labels "
            "belong in y."
        ) from None


def _order(frame, classes):
    """Return the number of the column of each class."""
    names = [str(name) for name in frame.columns]
    if names == [str(number) for number in range(len(names))]:
        return np.arange(len(names))
    # The columns of some frames, and of files, are always named by strings.
    wanted = [str(label) for label in classes.tolist()]
    if sorted(names) != sorted(wanted):
        raise ValueError(
            "the columns of the frame soft_targets must have the classes as names, "
            f"{wanted!s:.200}; they have {names!s:.200}. Rename them, or pass "
            "soft_targets.to_numpy() with columns in the order of the classes."
        )
    return np.array([names.index(label) for label in wanted])


def _check_values(values):
    with np.errstate(over="ignore", invalid="ignore"):
        totals = values.sum(1, dtype=np.float64)
    # A sum that is not a number is off, too.
    wrong = ~(np.abs(totals - 1) <= _SUM_TOLERANCE) | (values < 0).any(1)
    if not wrong.any():
        return
    row = int(wrong.argmax())
    where = f"row {row} of soft_targets"
    if not np.isfinite(values[row]).all():
        raise ValueError(f"{where} contains NaN or infinity; give each row numbers.")
    if values[row].min() < 0:
        raise ValueError(
            f"{where} contains {values[row].min():.6g}; probabilities are not negative."
        )
    raise ValueError(
        f"{where} sums to {totals[row]:.6g}, and must sum to 1: divide soft_targets "
        "by soft_targets.sum(axis=1, keepdims=True)."
    )


def refuse_own_targets(net):
    """Refuse soft targets for nets that would not read them, before the data are read.

    Parameters
    ----------
    net : NetClassifier

    Raises
    ------
    ValueError
        If it has its own step, or masks images.
    """
    name = type(net).__name__
    if has_own_step(net):
        raise ValueError(
            f"{name} takes no soft_targets: its training_loss derives the targets from "
            "the given labels. Use NetClassifier, or leave soft_targets out."
        )
    if net.masking is not None:
        raise ValueError(
            f"{type(net).__name__} takes no soft_targets together with masking, which "
            "softens the given labels of masked images. Set masking=None."
        )


def refuse_hard_criterion(net):
    """Refuse soft targets for a criterion that is defined for labels only.

    Parameters
    ----------
    net : NetClassifier
        With its criterion.

    Raises
    ------
    ValueError
        If it is neither CrossEntropyLoss nor NLLLoss, or ignores one of the classes.
    """
    criterion = _unwrapped(net.criterion_)
    if not _takes_distributions(criterion):
        raise ValueError(
            "soft_targets need the criterion torch.nn.CrossEntropyLoss or NLLLoss; "
            f"{type(criterion).__name__} of {type(net).__name__} is defined for labels."
        )
    if criterion.ignore_index in range(len(net.classes_)):
        raise ValueError(
            f"criterion__ignore_index={criterion.ignore_index} ignores rows by their "
            "label, and with soft_targets a row has none: set the weight of this class "
            "in criterion__weight to 0."
        )


def learns_soft_targets(net):
    """Return whether a net that is not built yet is known to learn soft targets.

    Parameters
    ----------
    net : NetClassifier

    Returns
    -------
    learns : bool
        False too for a method with its own criterion, which may be of any kind.
    """
    own = has_own_step(net) or has_own_criterion(net)
    return not own and net.masking is None and _takes_distributions(net.criterion)


def soft_loss(criterion, outputs, targets):
    """Return the cross-entropy with distributions, as the criterion reduces it.

    Parameters
    ----------
    criterion : CrossEntropyLoss or NLLLoss
        Its ``weight``, ``label_smoothing`` and ``reduction`` count as for labels: for
        rows with all probability on one class the value is that of their labels.
    outputs : Tensor of shape (batch, n_classes)
        Outputs of the module.
    targets : Tensor of shape (batch, n_classes)

    Returns
    -------
    loss : Tensor of shape () or (batch,)
    """
    outputs = outputs.float()
    if takes_proba(criterion):
        log_proba = scored(criterion, outputs)
    else:
        log_proba = outputs.log_softmax(1)
    criterion = _unwrapped(criterion)
    smoothing = getattr(criterion, "label_smoothing", 0.0)
    learnt, total = targets, None
    if smoothing:
        learnt = targets + smoothing * (1 / targets.shape[1] - targets)
    if criterion.weight is not None:
        learnt = learnt * criterion.weight
        # torch divides by the number of rows here, and for labels by their weights.
        total = (targets * criterion.weight).sum()
    losses = -(learnt * log_proba).sum(1)
    if criterion.reduction == "none":
        return losses
    if criterion.reduction == "sum":
        return losses.sum()
    return losses.mean() if total is None else losses.sum() / total


def _takes_distributions(criterion):
    """Return whether a criterion, or its class, is one of the two of torch."""
    kind = criterion if isinstance(criterion, type) else type(criterion)
    # A subclass may compute something else.
    forward = getattr(kind, "forward", None)
    return forward in (nn.CrossEntropyLoss.forward, nn.NLLLoss.forward)


def _unwrapped(criterion):
    """Return a criterion as it was before it was compiled."""
    return getattr(criterion, "_orig_mod", criterion)
