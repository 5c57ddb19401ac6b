"""WebVision 1.0, its first classes, and their images of ILSVRC 2012."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, cast

from sknoisy._arguments import check_counts
from sknoisy.datasets._files_on_disk import (
    check_split,
    pairs_of,
    read_images,
    read_lines,
)
from sknoisy.datasets._listing import list_class_folders
from sknoisy.datasets._sources import find_file, refuse_missing
from sknoisy.datasets._transforms import CenterCrop, RandomResizedCrop

if TYPE_CHECKING:
    from sknoisy._types import Path
    from sknoisy.datasets._labelled import LabelledImages

__all__ = ["load_webvision"]

_SPLITS = ("train", "val", "imagenet")


def load_webvision(
    root: Path,
    split: Literal["train", "val", "imagenet"] = "train",
    *,
    n_classes: int = 50,
    imagenet: Path | None = None,
    **reading: Any,
) -> LabelledImages:
    """Return the first classes of the Google part of WebVision 1.0 [1]_.

    With 50 classes these are about 66,000 images to train on, labelled by the queries
    that found them, and 2,500 to validate with.

    Parameters
    ----------
    root : str or path-like
        Has ``info/``, ``google/`` and ``val_images_256/`` of the resized version.
    split : {"train", "val", "imagenet"}, default="train"
        "imagenet" are the validation images of ILSVRC 2012 of these classes.
    n_classes : int >= 2, default=50
        1000 is the whole set.
    imagenet : str, path-like or None, default=None
        For "imagenet": a folder of folders named by WordNet id, or by the label in
        WebVision; or with ``imagenet_val.txt``, a file and a label on each line, and
        ``val/``.
    **reading : dict
        Arguments of `load_image_folder` from ``size`` to ``n_jobs``, except those of a
        table. By default ``check=None``, ``duplicates=False``, and the sizes of
        DivideMix for InceptionResNetV2: ``transform=CenterCrop(299, resize=320)`` and
        ``train_transform=RandomResizedCrop(299, resize=320)``.

    Returns
    -------
    data : LabelledImages
        ``classes`` are WordNet ids in the order of ``info/synsets.txt``.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message says where to get them.
    ValueError
        If an argument is not as described.

    References
    ----------
    .. [1] W. Li, L. Wang, W. Li, E. Agustsson, L. Van Gool, "WebVision database: Visual
       learning and understanding from web data", 2017. arXiv:1708.02862
    """
    check_split(split, _SPLITS)
    check_counts(2, n_classes=n_classes)
    root = os.fspath(root)
    if split == "imagenet" and imagenet is None:
        raise ValueError(
            "split='imagenet' needs imagenet=, the folder of the validation images of "
            "ILSVRC 2012."
        )
    info = [os.path.join(root, "info"), root]
    synsets = read_lines(find_file("webvision", info, "synsets.txt"))
    classes = [line.split()[0] for line in synsets[:n_classes]]
    if split == "imagenet":
        folder = os.fspath(cast("Path", imagenet))
        pairs = _imagenet_pairs(folder, classes)
    else:
        lists = {"train": "train_filelist_google.txt", "val": "val_filelist.txt"}
        pairs = pairs_of(find_file("webvision", info, lists[split]))
        folder = root if split == "train" else os.path.join(root, "val_images_256")
    kept = [(name, int(code)) for name, code in pairs if int(code) < len(classes)]
    names = [name for name, _ in kept]
    labels = [classes[code] for _, code in kept]
    clean = None if split == "train" else labels
    usual = {
        "transform": CenterCrop(299, resize=320),
        "train_transform": RandomResizedCrop(299, resize=320),
    }
    return read_images(folder, names, labels, clean, classes, reading, usual)


def _imagenet_pairs(folder, classes):
    """Return paths and labels in the order of WebVision, in one of three layouts."""
    if not os.path.isdir(folder):
        refuse_missing("imagenet", folder, "such folder")
    listed = os.path.join(folder, "imagenet_val.txt")
    if os.path.isfile(listed):
        return [(f"val/{name}", code) for name, code in pairs_of(listed)]
    names, labels, _, _ = list_class_folders(folder)
    codes = {name: str(code) for code, name in enumerate(classes)}
    codes |= {code: code for code in list(codes.values())}
    pairs = [(n, codes[la]) for n, la in zip(names, labels, strict=True) if la in codes]
    if not pairs:
        refuse_missing("imagenet", folder, f"folder {classes[0]} or 0")
    return pairs
