"""CIFAR-10 and CIFAR-100, and the labels that people gave to their images."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sknoisy._arguments import is_one_of
from sknoisy.datasets._labelled import LabelledImages
from sknoisy.datasets._listing import list_class_folders
from sknoisy.datasets._pickles import read_pickle, read_zipped_pickle
from sknoisy.datasets._reading import printable, read_image
from sknoisy.datasets._sources import check_md5, find_file, locate, refuse_missing

if TYPE_CHECKING:
    from sknoisy._types import Path

__all__ = ["load_cifar10", "load_cifar10n", "load_cifar100", "load_cifar100n"]

CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()
_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}
# The largest published file has 155 MB.
_MOST_BYTES = 200_000_000
_PIXELS = 3 * 32 * 32
_SPLITS = ("train", "test")
# Names of the papers and of their code, by the names in the files.
_NOISE_10 = {
    "aggre": "aggre_label",
    "worse": "worse_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
    "worst": "worse_label",
    "rand1": "random_label1",
}
_NOISE_100 = {"fine": "noisy_label", "coarse": "noisy_coarse_label"}


def load_cifar10(
    root: Path, split: Literal["train", "test"] = "train", *, checksum: bool = True
) -> LabelledImages:
    """Return CIFAR-10 [1]_ from local files.

    Parameters
    ----------
    root : str or path-like
        Has ``cifar-10-batches-py/``, ``cifar-10-batches-bin/``, or JPEG or PNG files
        ``train/<class>/0000.jpg`` that are numbered within each class.
    split : {"train", "test"}, default="train"
        The 50,000 images to train on, or the 10,000 to test with.
    checksum : bool, default=True
        Whether files of the Python version must be the published ones.

    Returns
    -------
    data : LabelledImages
        With ``images`` in memory, uint8. In the order of the batches; image files are
        ordered by class.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message says where to get them.
    ValueError
        If a file is not the published one, or ``split`` is no such split.

    References
    ----------
    .. [1] A. Krizhevsky, "Learning multiple layers of features from tiny images",
       2009.

    Examples
    --------
    >>> from sknoisy.datasets import load_cifar10
    >>> try:
    ...     load_cifar10("no folder")
    ... except FileNotFoundError as error:
    ...     print(str(error).rpartition("; ")[2])
    nothing is downloaded, get it from https://www.cs.toronto.edu/~kriz/cifar.html.
    """
    root = os.fspath(root)
    _check_split(split)
    kinds = "cifar-10-batches-py", "cifar-10-batches-bin", split
    folder = locate("cifar10", root, *kinds)
    kind = os.path.basename(os.path.normpath(folder))
    if kind == split:
        images, codes = _read_class_folders(folder)
    else:
        names = [f"data_batch_{i}" for i in range(1, 6)]
        names = names if split == "train" else ["test_batch"]
        parts = [_read_part(folder, name, "labels", checksum) for name in names]
        images, codes = (np.concatenate(part) for part in zip(*parts, strict=True))
    classes = np.array(CIFAR10)
    return LabelledImages(images, classes[codes], classes, classes[codes])


def load_cifar100(
    root: Path,
    split: Literal["train", "test"] = "train",
    *,
    labels: Literal["fine", "coarse"] = "fine",
    checksum: bool = True,
) -> LabelledImages:
    """Return CIFAR-100 [1]_ from local files.

    Parameters
    ----------
    root : str or path-like
        Has ``cifar-100-python/`` or ``cifar-100-binary/``.
    split : {"train", "test"}, default="train"
        The 50,000 images to train on, or the 10,000 to test with.
    labels : {"fine", "coarse"}, default="fine"
        The 100 classes, or their 20 groups.
    checksum : bool, default=True
        Whether files of the Python version must be the published ones.

    Returns
    -------
    data : LabelledImages
        With ``images`` in memory, uint8.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message says where to get them.
    ValueError
        If a file is not the published one, or an argument is not as described.

    References
    ----------
    .. [1] A. Krizhevsky, "Learning multiple layers of features from tiny images",
       2009.
    """
    root = os.fspath(root)
    _check_split(split)
    if not is_one_of(labels, ("fine", "coarse")):
        raise ValueError(f"labels must be 'fine' or 'coarse'; got {labels!r}.")
    folder = locate("cifar100", root, "cifar-100-python", "cifar-100-binary")
    images, codes = _read_part(folder, split, f"{labels}_labels", checksum)
    classes = np.array(_names_100(folder, labels, checksum))
    return LabelledImages(images, classes[codes], classes, classes[codes])


def load_cifar10n(
    root: Path,
    noise: Literal["aggre", "worse", "random1", "random2", "random3"] = "worse",
    *,
    checksum: bool = True,
) -> LabelledImages:
    """Return the images of CIFAR-10 with the labels that people gave to them [1]_.

    Parameters
    ----------
    root : str or path-like
        Has ``CIFAR-10_human.pt``, in ``data/`` or beside the images, and the images as
        `load_cifar10` reads them.
    noise : {"aggre", "worse", "random1", "random2", "random3"}, default="worse"
        Majority of three people, 9 % wrong; one of the wrong answers where there is
        any, 40 % wrong; or each of the three, 17 to 18 % wrong.
    checksum : bool, default=True
        Whether the files must be the published ones.

    Returns
    -------
    data : LabelledImages
        With ``clean_labels``.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message says where to get them.
    ValueError
        If a file is not the published one, if images and labels are in different
        orders, or if ``noise`` is no such label.

    References
    ----------
    .. [1] J. Wei, Z. Zhu, H. Cheng, T. Liu, G. Niu, Y. Liu, "Learning with noisy labels
       revisited: A study using real-world human annotations", ICLR 2022.
       arXiv:2110.12088
    """
    _check_noise(noise, _NOISE_10)
    human = _read_human("cifar10n", root, "CIFAR-10_human.pt", checksum)
    data = load_cifar10(root, checksum=checksum)
    clean = _column(human, "clean_label", len(data))
    if not np.array_equal(clean, data.codes):
        data = data.take(_in_order_of(clean, data.codes))
    given = _column(human, _NOISE_10[noise], len(data))
    return _with_labels(data, given, clean)


def load_cifar100n(
    root: Path,
    labels: Literal["fine", "coarse"] = "fine",
    *,
    checksum: bool = True,
) -> LabelledImages:
    """Return the images of CIFAR-100 with the labels that people gave to them [1]_.

    Parameters
    ----------
    root : str or path-like
        Has ``CIFAR-100_human.pt``, in ``data/`` or beside the images, and the images as
        `load_cifar100` reads them.
    labels : {"fine", "coarse"}, default="fine"
        The 100 classes, 40 % wrong, or their 20 groups.
    checksum : bool, default=True
        Whether the files must be the published ones.

    Returns
    -------
    data : LabelledImages
        With ``clean_labels``.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message says where to get them.
    ValueError
        If a file is not the published one, if images and labels are in different
        orders, or if ``labels`` is neither.

    References
    ----------
    .. [1] J. Wei, Z. Zhu, H. Cheng, T. Liu, G. Niu, Y. Liu, "Learning with noisy labels
       revisited: A study using real-world human annotations", ICLR 2022.
       arXiv:2110.12088
    """
    if not is_one_of(labels, _NOISE_100):
        raise ValueError(f"labels must be 'fine' or 'coarse'; got {labels!r}.")
    human = _read_human("cifar100n", root, "CIFAR-100_human.pt", checksum)
    data = load_cifar100(root, labels=labels, checksum=checksum)
    name = "clean_label" if labels == "fine" else "clean_coarse_label"
    clean = _column(human, name, len(data))
    if not np.array_equal(clean, data.codes):
        raise ValueError(
            "the true labels in CIFAR-100_human.pt are not those of the images: one of "
            "the two is in another order. The *_ordered.npy files are in that of the "
            "binary version in TFDS, and are no replacement."
        )
    return _with_labels(data, _column(human, _NOISE_100[labels], len(data)), clean)


def _check_split(split):
    if not is_one_of(split, _SPLITS):
        raise ValueError(f"split must be 'train' or 'test'; got {split!r}.")


def _check_noise(noise, known):
    if not is_one_of(noise, known):
        names = ", ".join(list(known)[:5])
        raise ValueError(f"noise must be one of {names}; got {noise!r}.")


def _read_part(folder, name, labels, checksum):
    """Return images and codes of one file of the Python or the binary version."""
    if not os.path.normpath(folder).endswith(("-bin", "-binary")):
        path = find_file("cifar10", [folder], name)
        if checksum:
            check_md5(path, _MD5[name])
        return _read_batch(path, labels)
    path = find_file("cifar10", [folder], name + ".bin")
    n_before = 1 if labels == "labels" else 2
    rows = np.fromfile(path, dtype=np.uint8)
    if len(rows) % (n_before + _PIXELS):
        raise ValueError(f"{printable(path)} is cut off: it ends within an image.")
    rows = rows.reshape(-1, n_before + _PIXELS)
    codes = rows[:, 1 if labels == "fine_labels" else 0].astype(np.int64)
    return rows[:, n_before:].reshape(-1, 3, 32, 32).copy(), codes


def _read_batch(path, labels):
    content = read_pickle(path, _MOST_BYTES)
    is_batch = isinstance(content, dict) and {"data", labels} <= set(content)
    rows = np.asarray(content["data"]) if is_batch else np.empty(0)
    if rows.ndim != 2 or rows.shape[1] != _PIXELS or rows.dtype != np.uint8:
        raise ValueError(
            f"{printable(path)} is no batch of CIFAR: it has no data of shape "
            f"(n, {_PIXELS}) and dtype uint8 with {labels}."
        )
    codes = np.asarray(content[labels], dtype=np.int64)
    if codes.shape != rows.shape[:1]:
        raise ValueError(
            f"{printable(path)} has {len(rows)} images but {len(codes)} labels."
        )
    return rows.reshape(-1, 3, 32, 32), codes


def _read_class_folders(folder):
    """Return images and codes of JPEG files, class by class in their numbers."""
    names, labels, _, _ = list_class_folders(folder)
    known = dict(zip(CIFAR10, range(10), strict=True))
    if not names or set(labels) - set(known):
        other = sorted(set(labels) - set(known))
        refuse_missing(
            "cifar10",
            os.path.dirname(folder),
            f"images in {os.path.basename(folder)}/airplane and so on"
            + (f", but a class {other[0]!r}" if other else ""),
        )
    images = np.empty((len(names), 3, 32, 32), dtype=np.uint8)
    for row, name in enumerate(names):
        pixels = np.asarray(read_image(os.path.join(folder, name), "RGB"))
        if pixels.shape != (32, 32, 3):
            raise ValueError(f"{name} has {pixels.shape[:2]} pixels, not 32 x 32.")
        images[row] = pixels.transpose(2, 0, 1)
    return images, np.array([known[label] for label in labels])


def _names_100(folder, labels, checksum):
    if os.path.normpath(folder).endswith("-binary"):
        path = find_file("cifar100", [folder], f"{labels}_label_names.txt")
        with open(path, encoding="utf-8") as file:
            return file.read().split()
    path = find_file("cifar100", [folder], "meta")
    if checksum:
        check_md5(path, _MD5["meta"])
    return read_pickle(path, _MOST_BYTES)[f"{labels}_label_names"]


def _read_human(key, root, name, checksum):
    root = os.fspath(root)
    path = find_file(key, [root, os.path.join(root, "data")], name)
    if checksum:
        # Measured: the authors publish none.
        check_md5(path, _MD5_HUMAN[name])
    return read_zipped_pickle(path, _MOST_BYTES)


_MD5_HUMAN = {
    "CIFAR-10_human.pt": "96644db5574813cae939af5f7f2a0aec",
    "CIFAR-100_human.pt": "a67b45c1d7992051865b5c755bd68bb1",
}


def _column(human: dict[str, Any], name, n_rows):
    """Return one column of labels; some are arrays and some are lists."""
    column = np.asarray(human[name], dtype=np.int64)
    if len(column) != n_rows:
        raise ValueError(
            f"there are {n_rows} images but {len(column)} labels {name!r}: the human "
            "labels are those of the training images."
        )
    return column


def _in_order_of(clean, codes):
    """Return the rows of images by class in the order of labels in that of batches.

    The images of each class are in the same order in both.
    """
    if not np.array_equal(np.bincount(clean), np.bincount(codes)):
        raise ValueError(
            "the true labels in CIFAR-10_human.pt are not those of the images: some "
            "images are missing, or are in another class."
        )
    if (np.diff(codes) < 0).any():
        raise ValueError(
            "the true labels in CIFAR-10_human.pt are in another order than the "
            "images. The *_ordered.npy files are in that of the binary version in "
            "TFDS, and are no replacement."
        )
    rows = np.empty(len(clean), dtype=np.int64)
    rows[np.argsort(clean, kind="stable")] = np.argsort(codes, kind="stable")
    return rows


def _with_labels(data, given, clean):
    classes = data.classes
    return LabelledImages(data.images, classes[given], classes, classes[clean])
