"""MNIST from its IDX files."""

from __future__ import annotations

import gzip
import os
import zlib
from typing import TYPE_CHECKING, Literal

import numpy as np

from sknoisy._arguments import is_one_of
from sknoisy.datasets._labelled import LabelledImages
from sknoisy.datasets._reading import printable
from sknoisy.datasets._sources import check_md5, refuse_missing

if TYPE_CHECKING:
    from sknoisy._types import Path

__all__ = ["load_mnist"]

_PREFIX = {"train": "train", "test": "t10k"}
# Of the compressed files.
_MD5 = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
# Numbers in the largest file.
_MOST_BYTES = 60_000 * 28 * 28 + 16
_UINT8 = 8


def load_mnist(
    root: Path, split: Literal["train", "test"] = "train", *, checksum: bool = True
) -> LabelledImages:
    """Return MNIST [1]_ from local files.

    Parameters
    ----------
    root : str or path-like
        Has ``train-images-idx3-ubyte`` and the three others, with or without ``.gz``;
        also in ``MNIST/raw/`` or ``raw/``, where torchvision puts them.
    split : {"train", "test"}, default="train"
        The 60,000 images to train on, or the 10,000 to test with.
    checksum : bool, default=True
        Whether ``.gz`` files must be the published ones.

    Returns
    -------
    data : LabelledImages
        With ``images`` in memory, uint8 of shape (n_samples, 1, 28, 28).

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message says where to get them.
    ValueError
        If a file is not the published one or is damaged, or ``split`` is no such split.

    References
    ----------
    .. [1] Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied
       to document recognition", Proceedings of the IEEE, 1998.
    """
    if not is_one_of(split, _PREFIX):
        raise ValueError(f"split must be 'train' or 'test'; got {split!r}.")
    root = os.fspath(root)
    prefix = _PREFIX[split]
    images = _read(root, f"{prefix}-images-idx3-ubyte", 3, checksum)
    codes = _read(root, f"{prefix}-labels-idx1-ubyte", 1, checksum)
    if len(images) != len(codes):
        raise ValueError(
            f"{printable(root)} has {len(images)} images but {len(codes)} labels of "
            f"{split!r}."
        )
    classes = np.array(list("0123456789"))
    labels = classes[codes]
    return LabelledImages(images[:, None], labels, classes, labels)


def _read(root, name, n_dims, checksum):
    """Return the array of an IDX file."""
    path = _found(root, name)
    if path.endswith(".gz"):
        if checksum:
            check_md5(path, _MD5[name])
        opened = gzip.open
    else:
        opened = open
    try:
        with opened(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{printable(path)} is damaged: {error}.") from error
    return _array(path, data, n_dims)


def _found(root, name):
    for folder in ("", "raw", os.path.join("MNIST", "raw")):
        for suffix in ("", ".gz"):
            path = os.path.join(root, folder, name + suffix)
            if os.path.isfile(path):
                return path
    return refuse_missing("mnist", root, name)


def _array(path, data, n_dims):
    # Two zeros, the type of the numbers, the number of dimensions, then their lengths.
    n_before = 4 + 4 * n_dims
    is_idx = len(data) >= n_before and data[:4] == bytes([0, 0, _UINT8, n_dims])
    shape = tuple(np.frombuffer(data[4:n_before], dtype=">u4").tolist())
    if not is_idx or len(data) != n_before + np.prod(shape, dtype=object):
        raise ValueError(
            f"{printable(path)} is no IDX file of {n_dims} dimensions, or is cut off: "
            f"it has {len(data)} bytes."
        )
    return np.frombuffer(data, dtype=np.uint8, offset=n_before).reshape(shape).copy()
