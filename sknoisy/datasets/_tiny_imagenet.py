"""Tiny-ImageNet-200."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from sknoisy.datasets._files_on_disk import check_split, read_images, read_lines
from sknoisy.datasets._listing import SUFFIXES
from sknoisy.datasets._reading import printable
from sknoisy.datasets._sources import find_file, refuse_missing

if TYPE_CHECKING:
    from sknoisy._types import Path
    from sknoisy.datasets._labelled import LabelledImages

__all__ = ["load_tiny_imagenet"]


def load_tiny_imagenet(
    root: Path, split: Literal["train", "val"] = "train", **reading: Any
) -> LabelledImages:
    """Return Tiny-ImageNet-200 [1]_: 200 classes, 64 x 64 pixels.

    Its labels are clean: inject noise. Papers test with "val", since the labels of its
    test images are not published.

    Parameters
    ----------
    root : str or path-like
        Has ``wnids.txt``, ``train/`` and ``val/``, or ``tiny-imagenet-200/`` with them.
    split : {"train", "val"}, default="train"
        100,000 images to train on, or 10,000 to test with.
    **reading : dict
        Arguments of `load_image_folder` from ``size`` to ``n_jobs``, except those of a
        table. By default ``check=None`` and ``duplicates=False``.

    Returns
    -------
    data : LabelledImages
        ``classes`` are WordNet ids in the order of ``wnids.txt``.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message says where to get them.
    ValueError
        If a class is not listed, or an argument is not as described.

    References
    ----------
    .. [1] Y. Le, X. Yang, "Tiny ImageNet visual recognition challenge", Stanford CS
       231N, 2015.
    """
    check_split(split, ("train", "val"))
    root = os.fspath(root)
    inner = os.path.join(root, "tiny-imagenet-200")
    root = inner if os.path.isdir(inner) else root
    classes = read_lines(find_file("tiny_imagenet", [root], "wnids.txt"))
    pairs = _train_pairs(root, classes) if split == "train" else _val_pairs(root)
    if not pairs:
        refuse_missing("tiny_imagenet", root, f"images in {split}/")
    names, labels = [name for name, _ in pairs], [label for _, label in pairs]
    other = sorted(set(labels) - set(classes))
    if other:
        raise ValueError(
            f"{printable(root)} has images of {other[0]!r}, which wnids.txt does not "
            "list."
        )
    return read_images(root, names, labels, list(labels), classes, reading)


def _train_pairs(root, classes):
    pairs = []
    for label in classes:
        folder = f"train/{label}/images"
        path = os.path.join(root, folder)
        if not os.path.isdir(path):
            refuse_missing("tiny_imagenet", root, folder)
        found = sorted(name for name in os.listdir(path) if _is_image(name))
        pairs += [(f"{folder}/{name}", label) for name in found]
    return pairs


def _val_pairs(root):
    folder = os.path.join(root, "val")
    path = find_file("tiny_imagenet", [folder], "val_annotations.txt")
    rows = [line.split("\t") for line in read_lines(path)]
    return [(f"val/images/{row[0]}", row[1]) for row in rows]


def _is_image(name):
    return os.path.splitext(name)[1].lower() in SUFFIXES
