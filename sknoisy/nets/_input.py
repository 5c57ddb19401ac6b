"""What enters a net: arrays, frames, images or a torch Dataset, and labels."""

import numpy as np
from skorch.utils import is_dataset
from torch.utils.data import Dataset, Subset

from sknoisy._codes import encode_labels, label_accuracy, sorted_classes
from sknoisy._image_rows import check_pixels
from sknoisy._validation import check_rows, check_rows_and_labels
from sknoisy.nets._batches import ArrayDataset, LabelledRows

__all__ = ["InputMixin"]


class InputMixin:
    """The part of `NetClassifier` that checks its rows, and makes batches of them."""

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

    def get_dataset(self, X, y=None):
        """Wrap checked rows; a Dataset passes through."""
        base = X
        while isinstance(base, Subset):
            base = base.dataset
        if isinstance(base, ArrayDataset):
            return X
        if self.autocast_ is not None and self._are_own_rows(X):
            return ArrayDataset(X)
        return ArrayDataset(X if isinstance(X, Dataset) else check_rows(self, X))

    def _are_own_rows(self, X):
        """Whether skorch hands back checked rows, without the names of columns."""
        is_array = isinstance(X, np.ndarray) and X.dtype in (np.float32, np.uint8)
        return is_array and X.shape[1:] == self.input_shape_

    def get_split_datasets(self, X, y=None, **fit_params):
        """Split off a validation set if ``train_split`` says so."""
        if not self.train_split:
            return X, None
        parts = self.train_split(X, X.codes, **fit_params)
        if not isinstance(parts, tuple | list) or len(parts) != 2:
            raise TypeError(
                "train_split must return two datasets, to train on and to validate on "
                f"(or None); it returned an object of "
                f"type {type(parts).__name__}."
            )
        return parts

    def check_data(self, X, y):
        """Leave the checks to ``fit``, which has done them."""

    def get_iterator(self, dataset, training=False):
        """Make the iterator over batches of a dataset."""
        slot = "iterator_train" if training else "iterator_valid"
        params = self._iterator_params(slot)
        if params["batch_size"] == -1:
            params["batch_size"] = len(dataset)
        return getattr(self, slot)(dataset, **params)
