"""Input of a net: arrays, frames, images or a torch Dataset, and labels."""

import zlib

import numpy as np
import torch
from skorch.dataset import Dataset as SkorchDataset
from skorch.utils import is_dataset
from torch.utils.data import Dataset, Subset, TensorDataset

from sknoisy._codes import encode_labels, sorted_classes
from sknoisy._image_rows import check_pixels
from sknoisy._row_source import RowSource
from sknoisy._validation import check_rows, check_rows_and_labels
from sknoisy.nets._batches import ArrayDataset, LabelledRows
from sknoisy.nets._fit_params import for_split

__all__ = ["check_input", "rows_as_dataset", "split_rows", "with_codes"]


# Rows on disk of which values are checked before the training.
_N_TRIED = 16


def check_input(net, X, y, fresh, classes):
    """Check the data given to ``fit``.

    Parameters
    ----------
    net : NetClassifier
    X, y : object
        As passed to ``fit``.
    fresh : bool
        Whether a new training starts; else the data must match the first call.
    classes : array-like of shape (n_classes,) or None
        All labels of all calls.

    Returns
    -------
    dataset : ArrayDataset
        Rows and label codes.
    classes : ndarray of shape (n_classes,)

    Raises
    ------
    TypeError
        If X is a Dataset without a length.
    ValueError
        If rows or labels are invalid.
    """
    if y is None:
        X, y = _taken_apart(X)
    if is_dataset(X):
        return _check_dataset(net, X, y, fresh, classes)
    if fresh:
        X, classes, codes = check_rows_and_labels(
            net, X, y, classes=classes, on_disk=True
        )
        check_pixels(X[:_N_TRIED].load() if isinstance(X, RowSource) else X)
    else:
        X = check_rows(net, X, on_disk=True)
        classes, codes = encode_labels(y, net.classes_)
    if isinstance(X, RowSource):
        X = X.judged()
    if net.dataset is not SkorchDataset:
        return ArrayDataset(_in_own_dataset(net, X, codes), codes), classes
    return LabelledRows(X, codes, classes), classes


def rows_as_dataset(net, X):
    """Wrap rows, after checks unless they come from skorch; keep a Dataset unchanged.

    Parameters
    ----------
    net : NetClassifier
    X : array-like of shape (n_samples, ...) or Dataset

    Returns
    -------
    dataset : ArrayDataset or Subset of one
    """
    base = X
    while isinstance(base, Subset):
        base = base.dataset
    if isinstance(base, ArrayDataset):
        return X
    if isinstance(X, Dataset):
        return ArrayDataset(X)
    if net.autocast_ is None or not _are_own_rows(net, X):
        X = check_rows(net, X, on_disk=True)
    return ArrayDataset(_in_own_dataset(net, X, None))


def split_rows(net, dataset, **fit_params):
    """Split off a validation set if ``train_split`` is set.

    Parameters
    ----------
    net : NetClassifier
    dataset : ArrayDataset
    **fit_params : dict
        Arguments of ``fit``; those that ``train_split`` takes are passed to it.

    Returns
    -------
    train, valid : datasets
        The second is None without a ``train_split``.

    Raises
    ------
    TypeError
        If ``train_split`` does not return two datasets.
    """
    if not net.train_split:
        return dataset, None
    fit_params = for_split(net, fit_params)
    parts = net.train_split(dataset, dataset.codes, **fit_params)
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        raise TypeError(
            "train_split must return two datasets, to train on and to validate on "
            f"(or None); it returned an object of "
            f"type {type(parts).__name__}."
        )
    if net.processes_ is not None and isinstance(parts[0], Subset):
        rows = zlib.crc32(np.asarray(parts[0].indices, dtype=np.int64))
        net.processes_.check_alike(
            {"the rows of train_split": rows},
            "Give train_split a random_state.",
        )
    return parts


def with_codes(net, dataset):
    """Return a dataset with label codes, also for a Dataset of the user.

    Parameters
    ----------
    net : NetClassifier
        Knows its classes.
    dataset : Dataset
        For example from ``predefined_split``.

    Returns
    -------
    dataset : ArrayDataset or Subset of one
        The given dataset if it has codes already.
    """
    base = dataset
    while isinstance(base, Subset):
        base = base.dataset
    if isinstance(base, ArrayDataset):
        return dataset
    return check_input(net, dataset, None, False, None)[0]


def _taken_apart(X):
    """Return rows and labels of a dataset that has both as arrays."""
    if type(X) is SkorchDataset and not isinstance(X.X, dict | list | tuple):
        return X.X, X.y
    if type(X) is TensorDataset and len(X.tensors) == 2:
        return X.tensors
    return X, None


def _labels_within(dataset):
    """Return the labels of a Dataset that yields pairs, which reads each item."""
    first = dataset[0] if len(dataset) else None
    if not isinstance(first, tuple | list) or len(first) != 2:
        raise ValueError(
            "y is missing: pass the labels of the Dataset as y, or let it yield pairs "
            "of a row and its label."
        )
    labels = [dataset[row][1] for row in range(len(dataset))]
    if isinstance(labels[0], torch.Tensor):
        labels = [label.numpy() for label in labels]
    return np.asarray(labels)


def _check_dataset(net, X, y, fresh, classes):
    if not hasattr(X, "__len__"):
        raise TypeError(
            f"{type(X).__name__} has no length: a Dataset must know how many rows "
            "it has (__len__), and yield each by its number (__getitem__)."
        )
    codes = getattr(X, "codes", None) if y is None else y
    if codes is None:
        # Datasets of torchvision have a list or a tensor ``targets``.
        codes = getattr(X, "targets", None)
        codes = None if codes is None else np.asarray(codes)
    if codes is None:
        y = codes = _labels_within(X)
    if not fresh:
        classes = net.classes_
    elif y is None and classes is None:
        classes = np.arange(codes.max() + 1)
    classes, codes = encode_labels(codes, sorted_classes(classes))
    if len(classes) < 2:
        raise ValueError("y has only one class; at least two classes are needed.")
    rows = X.features if isinstance(X, ArrayDataset) else X
    if isinstance(rows, RowSource):
        rows = rows.judged()
    if fresh and isinstance(rows, np.ndarray):
        check_pixels(rows)
    if isinstance(rows, np.ndarray):
        return LabelledRows(rows, codes, classes), classes
    return ArrayDataset(rows, codes), classes


def _in_own_dataset(net, X, codes):
    """Return checked rows in the user's ``dataset``, or unchanged without one."""
    if net.dataset is SkorchDataset:
        return X
    return net.dataset(X, codes, **net.get_params_for("dataset"))


def _are_own_rows(net, X):
    """Return whether the rows come from skorch: checked, without column names."""
    is_array = isinstance(X, np.ndarray) and X.dtype in (np.float32, np.uint8)
    return is_array and X.shape[1:] == net.input_shape_
