"""Encode labels as positions in the sorted classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn import config_context
from sklearn.metrics import accuracy_score
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets

from sknoisy._labels import label_array, label_list

if TYPE_CHECKING:
    from sknoisy._types import Array, IntArray, Labels

__all__ = [
    "RareClassError",
    "check_classes",
    "encode_labels",
    "label_accuracy",
    "sorted_classes",
]


class RareClassError(ValueError):
    """A class has fewer rows than an estimator needs.

    Parameters
    ----------
    message : str
    estimator : estimator
        The estimator that needs them.
    classes : ndarray of shape (n_classes,)
    codes : ndarray of shape (n_samples,), dtype int64
    is_rare : ndarray of shape (n_samples,), dtype bool
        True for rows of classes that are too small.
    """

    def __init__(self, message, estimator, classes, codes, is_rare):
        super().__init__(message)
        self.estimator = estimator
        self.classes = classes
        self.codes = codes
        self.is_rare = is_rare

    def __reduce__(self):
        # joblib pickles errors of its processes; the arrays are left out.
        return ValueError, self.args


def check_classes(estimator, classes, codes, min_per_class=1):
    """Refuse a single class, and classes with too few rows.

    Raises
    ------
    ValueError
        If there are fewer than two classes.
    RareClassError
        A ValueError: if a class that occurs has fewer than ``min_per_class`` rows.
    """
    if len(classes) < 2:
        found = f"y has only one class, {classes.tolist()[0]!r}" if len(classes) else ""
        raise ValueError(
            f"{found or 'y is empty'}; {type(estimator).__name__} needs at least two "
            "classes."
        )
    present, counts = np.unique(codes, return_counts=True)
    if counts.min() < min_per_class:
        smallest = classes[present].tolist()[counts.argmin()]
        raise RareClassError(
            f"class {smallest!r} has {counts.min()} row(s); "
            f"{type(estimator).__name__} needs at least {min_per_class} rows of every "
            "class. Drop the class or merge it with another.",
            estimator,
            classes,
            codes,
            np.isin(codes, present[counts < min_per_class]),
        )


def encode_labels(y: Labels, classes: Array | None = None) -> tuple[Array, IntArray]:
    """Encode labels as integers.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels in an array, list, tensor or column: strings, integers, booleans, floats
        with integer values, or datetime64.
    classes : ndarray of shape (n_classes,), default=None
        Sorted labels to encode with; None uses the labels in y.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The sorted labels.
    codes : ndarray of shape (n_samples,), dtype int64
        Position of each label in ``classes``.

    Raises
    ------
    ValueError
        If y is continuous or multi-label, has missing values, or has a label outside
        ``classes``.
    TypeError
        If y is not one column, or its labels are of several kinds or of an unsupported
        kind, such as bytes, tuples or tz-aware dates.
    """
    labels = label_array(y)
    if labels.dtype.kind == "f":
        assert_all_finite(labels, input_name="y")
    if classes is None:
        with config_context(array_api_dispatch=False):
            check_classification_targets(labels)
    found, codes = np.unique(labels, return_inverse=True)
    codes = codes.astype(np.int64, copy=False)
    if classes is None:
        return found, codes
    position = _positions(found, classes)
    if (position < 0).any():
        unknown = found[position < 0]
        raise ValueError(
            f"y has unknown labels: {label_list(unknown)}; known labels are "
            f"{label_list(classes)}."
        )
    return classes, position[codes]


def sorted_classes(classes):
    """Return declared classes as sorted distinct labels.

    Parameters
    ----------
    classes : array-like of shape (n_classes,) or None

    Returns
    -------
    classes : ndarray of shape (n_classes,) or None
    """
    return None if classes is None else np.unique(label_array(classes, "classes"))


def label_accuracy(y, predicted, sample_weight=None):
    """Return the share of labels that were predicted.

    y is read as in ``fit``; scikit-learn alone would merge large nullable integers and
    refuse objects.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    predicted : ndarray of shape (n_samples,)
    sample_weight : array-like of shape (n_samples,), default=None

    Returns
    -------
    accuracy : float
    """
    return accuracy_score(label_array(y), predicted, sample_weight=sample_weight)


def _positions(labels, classes):
    """Return the position of each label in the classes, -1 if it is not among them.

    Labels are compared in Python, which is exact: numpy would compare int64 with uint64
    or floats as floats, and numbers with strings as strings.
    """
    if labels.dtype.kind in "mM" and labels.dtype.kind == classes.dtype.kind:
        at = np.searchsorted(classes, labels).clip(max=len(classes) - 1)
        return np.where(classes[at] == labels, at, -1)
    known = {label: position for position, label in enumerate(label_list(classes))}
    positions = (known.get(label, -1) for label in label_list(labels))
    return np.fromiter(positions, dtype=np.int64, count=len(labels))
