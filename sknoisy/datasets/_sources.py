"""Where data sets come from, and whether local files are the published ones."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from sknoisy.datasets._reading import printable

__all__ = ["SOURCES", "Source", "check_md5", "find_file", "locate", "refuse_missing"]


@dataclass(frozen=True)
class Source:
    """A data set: what it is called, which files it needs, where these are."""

    name: str
    needs: str
    where: str


SOURCES = {
    "cifar10": Source(
        "CIFAR-10",
        "cifar-10-batches-py/ (the Python version), cifar-10-batches-bin/ (the binary "
        "version), or images as train/<class>/0000.jpg and test/<class>/0000.jpg",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    "cifar100": Source(
        "CIFAR-100",
        "cifar-100-python/ (the Python version) or cifar-100-binary/",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    "cifar10n": Source(
        "CIFAR-10N",
        "CIFAR-10_human.pt",
        "https://github.com/UCSC-REAL/cifar-10-100n, folder data (CC BY-NC 4.0)",
    ),
    "cifar100n": Source(
        "CIFAR-100N",
        "CIFAR-100_human.pt",
        "https://github.com/UCSC-REAL/cifar-10-100n, folder data (CC BY-NC 4.0)",
    ),
    "animal10n": Source(
        "ANIMAL-10N",
        "training/ and testing/ with images whose names begin with their label",
        "https://dm.kaist.ac.kr/datasets/animal-10n (a form; raw_image_ver.zip, which "
        "holds raw_image.zip)",
    ),
    "clothing1m": Source(
        "Clothing1M",
        "images/ and, beside it, in images/ or in annotations/, noisy_label_kv.txt, "
        "clean_label_kv.txt and the key lists",
        "its authors, on request: https://github.com/Cysu/noisy_label (no commercial "
        "use, not to be passed on)",
    ),
    "webvision": Source(
        "WebVision 1.0",
        "info/, google/ and val_images_256/ of the resized version",
        "https://data.vision.ee.ethz.ch/cvl/webvision/dataset2017.html",
    ),
    "imagenet": Source(
        "the validation images of ILSVRC 2012",
        "folders named by WordNet id or by the label 0, 1, …, or imagenet_val.txt and "
        "val/",
        "https://www.image-net.org (an account)",
    ),
    "food101n": Source(
        "Food-101N",
        "meta/classes.txt, meta/imagelist.tsv, meta/verified_train.tsv and images/",
        "https://kuanghuei.github.io/Food-101N",
    ),
    "food101": Source(
        "Food-101",
        "meta/test.txt and images/",
        "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101",
    ),
    "tiny_imagenet": Source(
        "Tiny-ImageNet-200",
        "wnids.txt, words.txt, train/ and val/",
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip (248,100,043 bytes, md5 "
        "90528d7ca1a48142e341f4ef8d21d0de)",
    ),
    "mnist": Source(
        "MNIST",
        "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
        "t10k-labels-idx1-ubyte, with or without .gz",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
}


def refuse_missing(key, root, lacks):
    """Raise an error that says which file is missing and where it can be had.

    Parameters
    ----------
    key : str
        Key of `SOURCES`.
    root : str
    lacks : str
        What was looked for.

    Raises
    ------
    FileNotFoundError
    """
    source = SOURCES[key]
    raise FileNotFoundError(
        f"{printable(root)} has no {lacks}. {source.name} needs {source.needs}; "
        f"nothing is downloaded, get it from {source.where}."
    )


def locate(key, root, *names):
    """Return the first of several places that exists below a folder.

    Parameters
    ----------
    key : str
        Key of `SOURCES`.
    root : str
        May be such a place itself: its last part is compared, too.
    *names : str
        Relative to the root.

    Returns
    -------
    path : str

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    for name in names:
        path = os.path.join(root, name)
        if os.path.exists(path):
            return path
        if os.path.basename(os.path.normpath(root)) == name and os.path.exists(root):
            return root
    refuse_missing(key, root, " or ".join(names))


def find_file(key, folders, name):
    """Return a file in the first folder that has it.

    Raises
    ------
    FileNotFoundError
        If none has it.
    """
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return path
    refuse_missing(key, folders[0], name)


def check_md5(path, expected):
    """Refuse a file that is not the published one.

    Parameters
    ----------
    path : str
    expected : str
        Its MD5 in hexadecimal digits.

    Raises
    ------
    ValueError
        If it is another, or damaged.
    """
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, _md5).hexdigest()
    if found != expected:
        raise ValueError(
            f"{printable(path)} is not the published file, or is damaged: its MD5 is "
            f"{found}, not {expected}. Get it again, or pass checksum=False if it was "
            "changed on purpose."
        )


def _md5():
    # It tells files apart, and protects nothing.
    return hashlib.md5(usedforsecurity=False)
