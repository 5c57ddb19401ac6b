"""Images in class folders, or named in a table."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sknoisy._warning import warn_user
from sknoisy.datasets._image_rows import ImageRows
from sknoisy.datasets._labelled import LabelledImages
from sknoisy.datasets._listing import (
    SUFFIXES,
    check_files,
    find_duplicates,
    list_class_folders,
    read_table,
)
from sknoisy.datasets._reading import ImageReadError, printable
from sknoisy.datasets._transforms import CenterCrop

if TYPE_CHECKING:
    from sknoisy._types import Path

__all__ = ["check_reading", "labelled_files", "load_image_folder"]

_N_NAMED = 3


def load_image_folder(
    root: Path,
    *,
    size: int | tuple[int, int] | None = None,
    transform: Callable[[Any], Any] | None = None,
    train_transform: Callable[[Any, np.random.Generator], Any] | None = None,
    judge_transform: Callable[[Any], Any] | None = None,
    mode: Literal["RGB", "L"] = "RGB",
    check: Literal["header", "full"] | None = "header",
    unreadable: Literal["raise", "skip"] = "raise",
    duplicates: bool = True,
    path_column: str = "path",
    label_column: str = "label",
    clean_column: str | None = None,
    where: tuple[str, str] | None = None,
    n_jobs: int | None = None,
) -> LabelledImages:
    """Return the images of a folder with one folder for each class, or of a table.

    The images stay on disk, and are decoded when a batch is needed.

    Parameters
    ----------
    root : str or path-like
        A folder: each folder in it is a class, with images at any depth. Or a CSV or
        TSV file with a header and a row for each image, whose paths are relative to
        its folder. Links are followed, hidden files are left out.
    size : int >= 1, tuple of two or None, default=None
        Size of all rows: the shorter side of an image is resized to it, and the centre
        cut out. Short for ``transform=CenterCrop(size, resize=min(size))``.
    transform, train_transform, judge_transform : callable or None, default=None
        Changes of single images to evaluate, to train and to score given labels, see
        `ImageRows`.
    mode : {"RGB", "L"}, default="RGB"
        Colours or grey; images in other modes are converted.
    check : {"header", "full"} or None, default="header"
        What is read now: the first bytes of each file, each file as a whole, which
        finds truncated ones and takes as long as an epoch, or nothing.
    unreadable : {"raise", "skip"}, default="raise"
        Whether files that cannot be read are refused by name, or left out and listed
        in ``skipped``.
    duplicates : bool, default=True
        Whether files with the same content are looked for.
    path_column, label_column : str, default="path", "label"
        Columns of a table.
    clean_column : str or None, default=None
        Column of a table with the true class; it may be empty in a row.
    where : tuple of two str or None, default=None
        A column of a table, and the value that rows must have in it: ``("split",
        "train")``.
    n_jobs : int or None, default=None
        Threads that read at a time, also later; None is one, -1 as many as there are
        processors.

    Returns
    -------
    data : LabelledImages
        ``images``, ``labels``, ``classes``, ``names``, ``skipped``, ``duplicates``; the
        classes are sorted.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file.
    ImageReadError
        If an image cannot be read, and ``unreadable`` is "raise".
    ValueError
        If there are no classes or no images, if images differ in size and neither
        ``size`` nor ``transform`` is given, or if an argument is not as described.

    Warns
    -----
    UserWarning
        If a class has no images; or if files with different labels have the same
        content, which means that some of these labels are wrong.

    See Also
    --------
    CenterCrop, RandomCrop, RandomResizedCrop : Changes of single images.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> from sknoisy.datasets import load_image_folder
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name, colour in [("cherry", "red"), ("lime", "green")]:
    ...     path = pathlib.Path(folder.name) / name
    ...     path.mkdir()
    ...     for width in (30, 40, 50):
    ...         Image.new("RGB", (width, 30), colour).save(path / f"{width}.png")
    >>> data = load_image_folder(folder.name, size=16)
    >>> data, data.labels[:2], data.images.shape
    (<LabelledImages: 6 of 3x16x16, 2 classes>, array(['cherry', 'cherry'], dtype='<U6'), (6, 3, 16, 16))
    >>> folder.cleanup()
    """  # noqa: E501
    data, remarks = listed_images(
        root,
        columns=(path_column, label_column, clean_column, where),
        check=check,
        unreadable=unreadable,
        duplicates=duplicates,
        mode=mode,
        transform=check_reading(check, unreadable, size, transform),
        train_transform=train_transform,
        judge_transform=judge_transform,
        n_jobs=n_jobs,
    )
    for remark in remarks:
        warn_user(remark)
    _warn_of_conflicts(data)
    return data


def listed_images(root, *, columns, **how):
    """Return the images of `load_image_folder`, without warnings.

    Parameters
    ----------
    root : str or path-like
    columns : tuple
        Arguments of `read_table`.
    **how : dict
        Arguments of `labelled_files`.

    Returns
    -------
    data : LabelledImages
    remarks : list of str
        What is odd about the folder, a sentence each.
    """
    root, remarks, clean = os.fspath(root), [], None
    if os.path.isdir(root):
        names, labels, remarks = _of_folders(root)
        folder = root
    elif os.path.exists(root):
        names, labels, clean = read_table(root, *columns)
        folder = os.path.dirname(root)
        if not names:
            raise ValueError(f"{printable(root)} has no rows to load.")
    else:
        raise FileNotFoundError(f"there is no folder or file {printable(root)}.")
    data = labelled_files(folder, names, labels, clean or None, warns=False, **how)
    return data, remarks


def labelled_files(
    folder,
    names,
    labels,
    clean_labels=None,
    classes=None,
    *,
    check="header",
    unreadable="raise",
    duplicates=True,
    warns=True,
    **how,
):
    """Return image files with their labels, after a look at each.

    Parameters
    ----------
    folder : str
    names, labels, clean_labels : lists of str
        Paths relative to the folder, names of given and of true classes.
    classes : list of str or None, default=None
        In the order of the data set; None sorts those that occur.
    check, unreadable, duplicates
        As in `load_image_folder`.
    warns : bool, default=True
        Whether to warn of images under several labels.
    **how : dict
        Arguments of `ImageRows`.

    Returns
    -------
    data : LabelledImages
    """
    paths = [os.path.join(folder, name) for name in names]
    skipped = []
    if check is not None:
        faults, sizes = check_files(paths, check, how["mode"], how["n_jobs"])
        _refuse_faults(faults, unreadable)
        if how["transform"] is None and len(sizes) > 1:
            _refuse_sizes(names, sizes)
        skipped = [(names[i], fault) for i, fault in faults.items()]
    if skipped:
        kept = [i for i in range(len(names)) if i not in faults]
        names, labels, paths = (
            [part[i] for i in kept] for part in (names, labels, paths)
        )
        if clean_labels is not None:
            clean_labels = [clean_labels[i] for i in kept]
        if not names:
            raise ValueError(f"none of {len(faults)} images in {folder} can be read.")
    labels = np.array(labels)
    images = ImageRows(names, folder=folder, **how)
    data = LabelledImages(
        images=images,
        labels=labels,
        classes=np.unique(labels) if classes is None else np.array(classes),
        clean_labels=None if clean_labels is None else np.array(clean_labels),
        names=images.paths,
        skipped=skipped,
        duplicates=find_duplicates(paths) if duplicates else [],
    )
    if warns:
        _warn_of_conflicts(data)
    return data


def _of_folders(root):
    names, labels, empty, loose = list_class_folders(root)
    if not names and not empty:
        loose = f" {len(loose)} images are in no folder." if loose else ""
        raise ValueError(
            f"{printable(root)} has no folders, of which each would be a class.{loose} "
            "Put images in a folder named by their class, or pass a CSV file of paths "
            "and labels."
        )
    if not names:
        raise ValueError(
            f"the class folders of {printable(root)} have no images, files that end in "
            f"{', '.join(sorted(SUFFIXES))}."
        )
    remarks = []
    if loose:
        remarks.append(
            f"{len(loose)} images lie in {printable(root)} itself, in no folder of a "
            f"class, and are left out: {_some(loose)}."
        )
    if empty:
        remarks.append(
            f"{len(empty)} class folders have no images, and are no classes: "
            f"{_some(empty)}."
        )
    return names, labels, remarks


def check_reading(check, unreadable, size, transform):
    """Check how files are to be read; return the transform, which may be a size.

    Parameters
    ----------
    check, unreadable, size, transform
        As in `load_image_folder`.

    Returns
    -------
    transform : callable or None

    Raises
    ------
    ValueError
        If one is not as described.
    """
    if check not in ("header", "full", None):
        raise ValueError(f"check must be 'header', 'full' or None; got {check!r}.")
    if unreadable not in ("raise", "skip"):
        raise ValueError(f"unreadable must be 'raise' or 'skip'; got {unreadable!r}.")
    if size is None:
        return transform
    if transform is not None:
        raise ValueError(
            "size and transform are both given; transform alone says the size."
        )
    return CenterCrop(size, np.min(size).item())


def _refuse_faults(faults, unreadable):
    if not faults or unreadable == "skip":
        return
    raise ImageReadError(
        f"{len(faults)} images cannot be read: {_some(list(faults.values()))}. Mend "
        "or remove them, or pass unreadable='skip'."
    )


def _refuse_sizes(names, sizes):
    (size, first), (other, second) = list(sizes.items())[:2]
    raise ValueError(
        f"images differ in size: {printable(names[first])} has {size[0]} x {size[1]} "
        f"pixels, {printable(names[second])} {other[0]} x {other[1]}. Pass size= (in "
        "pixels), or transform=."
    )


def _warn_of_conflicts(data):
    conflicts = data.conflicts
    if not conflicts:
        return
    first = conflicts[0]
    pairs = [f"{printable(data.names[i])} ({data.labels[i]})" for i in first]
    warn_user(
        f"{len(conflicts)} images occur under different labels, of which at most one "
        f"can be right: {_some(pairs)}. The rows are in .conflicts."
    )


def _some(found):
    rest = f" and {len(found) - _N_NAMED} more" if len(found) > _N_NAMED else ""
    return "; ".join(map(printable, found[:_N_NAMED])) + rest
