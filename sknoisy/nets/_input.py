"""What enters a net: arrays, frames, images or a torch Dataset, and labels."""

import numpy as np
from skorch.utils import is_dataset

from sknoisy._validation import (
    check_pixels,
    check_rows,
    check_rows_and_labels,
    encode_labels,
    label_accuracy,
    sorted_classes,
)
from sknoisy.nets._batches import ArrayDataset, LabelledRows

__all__ = ["InputMixin"]


class InputMixin:
    """The part of `NetClassifier` that checks what it is given, before any training."""

    def score(self, X, y, sample_weight=None):
        """Return the share of rows whose label is predicted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
        y : array-like of shape (n_samples,)
            Labels of any kind that ``fit`` takes.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        accuracy : float
        """
        return label_accuracy(y, self.predict(X), sample_weight)

    def _check_input(self, X, y, fresh, classes):
        """Return an ArrayDataset with codes, and the classes."""
        if is_dataset(X):
            return self._check_dataset(X, y, fresh, classes)
        if fresh:
            X, classes, codes = check_rows_and_labels(self, X, y, classes=classes)
            check_pixels(X)
        else:
            X = check_rows(self, X)
            classes, codes = encode_labels(y, self.classes_)
        return LabelledRows(X, codes, classes), classes

    def _check_dataset(self, X, y, fresh, classes):
        if not hasattr(X, "__len__"):
            raise TypeError(
                f"{type(X).__name__} has no length: a Dataset must know how many rows "
                "it has (__len__), and yield each by its number (__getitem__)."
            )
        codes = getattr(X, "codes", None) if y is None else y
        if codes is None:
            # torchvision's data sets have them as targets, a list or a tensor.
            codes = getattr(X, "targets", None)
            codes = None if codes is None else np.asarray(codes)
        if codes is None:
            raise ValueError("y is missing: give the labels of the Dataset as y.")
        if not fresh:
            classes = self.classes_
        elif y is None and classes is None:
            classes = np.arange(codes.max() + 1)
        classes, codes = encode_labels(codes, sorted_classes(classes))
        if len(classes) < 2:
            raise ValueError("y has one class only; at least two classes are needed.")
        rows = X.features if isinstance(X, ArrayDataset) else X
        if fresh and isinstance(rows, np.ndarray):
            check_pixels(rows)
        if isinstance(rows, np.ndarray):
            return LabelledRows(rows, codes, classes), classes
        return ArrayDataset(rows, codes), classes
