"""Food-101N, and the images of Food-101 to test with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from sknoisy.datasets._files_on_disk import (
    check_split,
    pairs_of,
    read_images,
    read_lines,
)
from sknoisy.datasets._reading import printable
from sknoisy.datasets._sources import find_file
from sknoisy.datasets._transforms import CenterCrop, RandomCrop

if TYPE_CHECKING:
    from sknoisy._types import Path
    from sknoisy.datasets._labelled import LabelledImages

__all__ = ["load_food101n"]

_SPLITS = ("train", "verified_train", "verified_val", "test")
# The first lines of its files.
_HEADERS = ("class_name", "class_name/key")


def load_food101n(
    root: Path,
    split: Literal["train", "verified_train", "verified_val", "test"] = "train",
    *,
    food101: Path | None = None,
    **reading: Any,
) -> LabelledImages:
    """Return Food-101N [1]_, 310,009 photographs of dishes with labels from the web.

    About 20 % of the labels are wrong. Of some it was verified whether they are right.

    Parameters
    ----------
    root : str or path-like
        Has ``meta/`` and ``images/``, or ``Food-101N_release/`` with both.
    split : {"train", "verified_train", "verified_val", "test"}, default="train"
        All images; those that were verified, in two parts; or the test images of
        Food-101, whose labels are clean.
    food101 : str, path-like or None, default=None
        For "test": the folder of Food-101, with ``meta/test.txt`` and ``images/``.
    **reading : dict
        Arguments of `load_image_folder` from ``size`` to ``n_jobs``, except those of a
        table. By default ``check=None``, ``duplicates=False``,
        ``transform=CenterCrop(224, resize=256)`` and
        ``train_transform=RandomCrop(224, resize=256)``.

    Returns
    -------
    data : LabelledImages
        ``clean_labels`` is the given label where it was verified to be right, and ""
        elsewhere; in the verified parts "" means that it is wrong.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message says where to get them.
    ValueError
        If an image is of no known class, or an argument is not as described.

    References
    ----------
    .. [1] K.-H. Lee, X. He, L. Zhang, L. Yang, "CleanNet: Transfer learning for
       scalable image classifier training with label noise", CVPR 2018. arXiv:1711.07131
    """
    check_split(split, _SPLITS)
    root = os.fspath(root)
    inner = os.path.join(root, "Food-101N_release")
    root = inner if os.path.isdir(inner) else root
    meta = [os.path.join(root, "meta"), root]
    classes = _without_header(read_lines(find_file("food101n", meta, "classes.txt")))
    if split == "test":
        if food101 is None:
            raise ValueError("split='test' needs food101=, the folder of Food-101.")
        root = os.fspath(food101)
        places = [os.path.join(root, "meta"), root]
        keys = read_lines(find_file("food101", places, "test.txt"))
        names, clean = [f"{key}.jpg" for key in keys], [_class_of(key) for key in keys]
    elif split == "train":
        names = _without_header(
            read_lines(find_file("food101n", meta, "imagelist.tsv"))
        )
        right: dict[str, bool] = {}
        for part in ("verified_train", "verified_val"):
            right |= _verified(find_file("food101n", meta, f"{part}.tsv"))
        clean = [_class_of(name) if right.get(name) else "" for name in names]
    else:
        right = _verified(find_file("food101n", meta, f"{split}.tsv"))
        names = list(right)
        clean = [_class_of(name) if right[name] else "" for name in names]
    labels = [_class_of(name) for name in names]
    _refuse_unknown(labels, names, classes)
    usual = {
        "transform": CenterCrop(224, resize=256),
        "train_transform": RandomCrop(224, resize=256),
    }
    folder = os.path.join(root, "images")
    return read_images(folder, names, labels, clean, classes, reading, usual)


def _without_header(lines):
    return lines[1:] if lines and lines[0].split("\t")[0] in _HEADERS else lines


def _verified(path):
    """Return for each verified image whether its label is right."""
    pairs = pairs_of(path, "\t")
    return {name: flag == "1" for name, flag in pairs if name not in _HEADERS}


def _class_of(name):
    return name.split("/")[0]


def _refuse_unknown(labels, names, classes):
    known = set(classes)
    for label, name in zip(labels, names, strict=True):
        if label not in known:
            raise ValueError(
                f"{printable(name)} is of class {label!r}, which meta/classes.txt does "
                "not list."
            )
