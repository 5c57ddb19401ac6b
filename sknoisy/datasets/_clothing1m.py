"""Clothing1M."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sknoisy._arguments import check_counts
from sknoisy._planting._corruption import rank_in_class
from sknoisy._random_states import random_generator
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
    from sknoisy._types import Path, RandomState
    from sknoisy.datasets._labelled import LabelledImages

__all__ = ["load_clothing1m"]

_CLASSES = (
    *("T-Shirt", "Shirt", "Knitwear", "Chiffon", "Sweater", "Hoodie", "Windbreaker"),
    *("Jacket", "Downcoat", "Suit", "Shawl", "Dress", "Vest", "Underwear"),
)
_SPLITS = ("noisy_train", "clean_train", "clean_val", "clean_test")


def load_clothing1m(
    root: Path,
    split: Literal[
        "noisy_train", "clean_train", "clean_val", "clean_test"
    ] = "noisy_train",
    *,
    n_rows: int | None = None,
    random_state: RandomState = None,
    **reading: Any,
) -> LabelledImages:
    """Return Clothing1M [1]_, a million pictures of clothes with labels from the web.

    About 38 % of the labels of "noisy_train" are wrong.

    Parameters
    ----------
    root : str or path-like
        Has ``images/`` and the text files, which may also be in ``images/`` or
        ``annotations/``.
    split : {"noisy_train", "clean_train", "clean_val", "clean_test"}, \
default="noisy_train"
        The million of given labels, or one of the three parts with labels by experts.
    n_rows : int >= 1 or None, default=None
        Draws so many rows, equally many of each class; 120,000 for the protocol of
        [2]_. A class with fewer rows is taken whole. For a new draw in each epoch set
        ``iterator_train__balance=True`` of the estimator instead.
    random_state : int, RandomState instance or None, default=None
        Of this draw.
    **reading : dict
        Arguments of `load_image_folder` from ``size`` to ``n_jobs``, except those of a
        table. By default ``check=None``, ``duplicates=False``, and the sizes of most
        papers: ``transform=CenterCrop(224, resize=256)`` and
        ``train_transform=RandomCrop(224, resize=256)``.

    Returns
    -------
    data : LabelledImages
        In the order of the lists, a draw in the order of the rows. ``clean_labels``
        where an image has a label by experts, too, "" elsewhere.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message says where to get them.
    ValueError
        If a listed image has no label, or an argument is not as described.

    References
    ----------
    .. [1] T. Xiao, T. Xia, Y. Yang, C. Huang, X. Wang, "Learning from massive noisy
       labeled data for image classification", CVPR 2015.
    .. [2] S. Kim, D. Lee, S. Kang, S. Chae, S. Jang, H. Yu, "Learning discriminative
       dynamics with label corruption for noisy label detection", CVPR 2024.
    """
    check_split(split, _SPLITS)
    root = os.fspath(root)
    if n_rows is not None:
        check_counts(n_rows=n_rows)
    texts = [root, *(os.path.join(root, part) for part in ("annotations", "images"))]

    def found(name):
        return find_file("clothing1m", texts, name)

    names = read_lines(found(f"{split}_key_list.txt"))
    by_expert = dict(pairs_of(found("clean_label_kv.txt")))
    given = by_expert
    if split == "noisy_train":
        given = dict(pairs_of(found("noisy_label_kv.txt")))
    labels = [_name(given, name, split) for name in names]
    clean = [_CLASSES[int(by_expert[n])] if n in by_expert else "" for n in names]
    if n_rows is not None:
        rows = _balanced_draw(labels, n_rows, random_state)
        names, labels, clean = ([p[i] for i in rows] for p in (names, labels, clean))
    usual = {
        "transform": CenterCrop(224, resize=256),
        "train_transform": RandomCrop(224, resize=256),
    }
    folder = _folder_of_images(root)
    return read_images(folder, names, labels, clean, list(_CLASSES), reading, usual)


def _name(given, name, split):
    code = given.get(name, "")
    if not code.isdecimal() or int(code) >= len(_CLASSES):
        raise ValueError(
            f"{printable(name)} of {split} has no label from 0 to 13: got {code!r}."
        )
    return _CLASSES[int(code)]


def _folder_of_images(root):
    """Return what the paths, which begin with images/, are relative to."""
    is_folder_itself = not os.path.isdir(os.path.join(root, "images"))
    if is_folder_itself and os.path.basename(os.path.abspath(root)) == "images":
        return os.path.dirname(os.path.abspath(root))
    return root


def _balanced_draw(labels, n_rows, random_state):
    """Return rows with equally many of each class, ascending."""
    codes = np.unique(labels, return_inverse=True)[1]
    order = random_generator(random_state).permutation(len(codes))
    quota = -(-n_rows // (codes.max() + 1))
    drawn = order[rank_in_class(codes[order]) < quota]
    return np.sort(drawn[:n_rows]).tolist()
