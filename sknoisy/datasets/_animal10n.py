"""ANIMAL-10N."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from sknoisy.datasets._files_on_disk import check_split, read_images
from sknoisy.datasets._listing import SUFFIXES
from sknoisy.datasets._reading import printable
from sknoisy.datasets._sources import locate, refuse_missing

if TYPE_CHECKING:
    from sknoisy._types import Path
    from sknoisy.datasets._labelled import LabelledImages

__all__ = ["load_animal10n"]

_CLASSES = (
    *("cat", "lynx", "wolf", "coyote", "cheetah", "jaguar", "chimpanzee"),
    *("orangutan", "hamster", "guinea pig"),
)
_FOLDERS = {"train": "training", "test": "testing"}


def load_animal10n(
    root: Path, split: Literal["train", "test"] = "train", **reading: Any
) -> LabelledImages:
    """Return ANIMAL-10N [1]_, photographs of animals that are easily confused.

    About 8 % of the 50,000 labels to train on are wrong; which ones is not known. The
    5,000 labels to test with were checked.

    Parameters
    ----------
    root : str or path-like
        Has ``training/`` and ``testing/``, or ``raw_image/`` with both. The label of an
        image is the number before the first ``_`` of its name.
    split : {"train", "test"}, default="train"
        Images to train on or to test with.
    **reading : dict
        Arguments of `load_image_folder` from ``size`` to ``n_jobs``, except those of a
        table. Nothing is checked or looked for unless asked: ``check=None`` and
        ``duplicates=False``. The images have 64 x 64 pixels.

    Returns
    -------
    data : LabelledImages
        In the order of the names of the files.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message says where to get them.
    ValueError
        If the name of an image has no label, or an argument is not as described.

    References
    ----------
    .. [1] H. Song, M. Kim, J.-G. Lee, "SELFIE: Refurbishing unclean samples for robust
       deep learning", ICML 2019.
    """
    check_split(split, _FOLDERS)
    name = _FOLDERS[split]
    places = name, os.path.join("raw_image", name)
    folder = locate("animal10n", os.fspath(root), *places)
    names = sorted(
        entry.name
        for entry in os.scandir(folder)
        if os.path.splitext(entry.name)[1].lower() in SUFFIXES
        and not entry.name.startswith(".")
    )
    if not names:
        refuse_missing("animal10n", os.fspath(root), f"images in {name}/")
    labels = [_CLASSES[_code(name)] for name in names]
    clean = labels if split == "test" else None
    return read_images(folder, names, labels, clean, list(_CLASSES), reading)


def _code(name):
    number = name.split("_", 1)[0]
    if not number.isdecimal() or int(number) >= len(_CLASSES):
        raise ValueError(
            f"the name {printable(name)} does not begin with a label from 0 to 9 and _."
        )
    return int(number)
