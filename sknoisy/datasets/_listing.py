"""Which image files there are, and what can be said of them before the training."""

from __future__ import annotations

import csv
import hashlib
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from joblib import effective_n_jobs

from sknoisy.datasets._reading import (
    ImageReadError,
    printable,
    read_image,
    size_of,
)

__all__ = [
    "SUFFIXES",
    "check_files",
    "find_duplicates",
    "list_class_folders",
    "read_table",
]

SUFFIXES = frozenset(
    ".bmp .gif .jpeg .jpg .pbm .pgm .png .ppm .tif .tiff .webp".split()
)
# Bytes at the ends of a file; files that are checked before more are.
_ENDS, _PART = 4096, 1024


def list_class_folders(root):
    """Return the images in the folders of each class, at any depth.

    Parameters
    ----------
    root : str
        Hidden files, and files that are no images by their name, are left out. Links
        are followed, but no folder is entered twice on one path.

    Returns
    -------
    names : list of str
        Paths relative to the root, sorted.
    labels : list of str
        The first folder of each path.
    empty : list of str
        Classes without images.
    loose : list of str
        Images that are in no folder.
    """
    entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    loose, names, labels, empty = [], [], [], []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            loose += [entry.name] if _is_image(entry.name) else []
            continue
        _refuse_unprintable(entry.name)
        found = sorted(_images_in(entry.path, entry.name, {os.path.realpath(root)}))
        names += found
        labels += [entry.name] * len(found)
        empty += [] if found else [entry.name]
    return names, labels, empty, loose


def _images_in(folder, name, above):
    """Yield paths of the images below a folder, relative to the root."""
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = f"{name}/{entry.name}"
            if entry.is_dir():
                yield from _images_in(entry.path, path, {*above, real})
            elif _is_image(entry.name) and (entry.is_file() or entry.is_symlink()):
                # A link without a target is reported as a file that does not exist.
                yield path


def read_table(path, path_column, label_column, clean_column=None, where=None):
    """Return paths and labels of a CSV or TSV file with a header.

    Parameters
    ----------
    path : str
        UTF-8. Paths in it are relative to its folder.
    path_column, label_column : str
    clean_column : str or None, default=None
    where : tuple of two str or None, default=None
        A column and the value that rows must have in it.

    Returns
    -------
    names, labels, clean : lists of str
        ``clean`` is empty without a column.

    Raises
    ------
    ValueError
        If a column is missing, or a path or label is empty.
    """
    wanted = [path_column, label_column, *([clean_column] if clean_column else [])]
    names, labels, clean = [], [], []
    delimiter = "\t" if path.lower().endswith(".tsv") else ","
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file, delimiter=delimiter)
        header = rows.fieldnames or []
        for column in [*wanted, *([where[0]] if where else [])]:
            if column not in header:
                raise ValueError(
                    f"{printable(path)} has no column {column!r}; it has "
                    f"{', '.join(map(repr, header)) or 'none'}."
                )
        for row in rows:
            if where and row[where[0]] != where[1]:
                continue
            for column in wanted[:2]:
                if not row[column]:
                    raise ValueError(
                        f"{printable(path)}, line {rows.line_num}: {column!r} is "
                        "empty; every image needs a path and a label."
                    )
            names.append(row[path_column])
            labels.append(row[label_column])
            if clean_column:
                clean.append(row[clean_column] or "")
    return names, labels, clean


def check_files(paths, check, mode, n_jobs=None):
    """Return which files cannot be read, and the sizes of the others.

    Parameters
    ----------
    paths : list of str
    check : {"header", "full"}
        "header" reads the first bytes of each file, "full" decodes it.
    mode : {"RGB", "L"}
    n_jobs : int or None, default=None
        Threads.

    Returns
    -------
    faults : dict of int to str
        Number of each file that cannot be read, and why.
    sizes : dict of tuple to int
        Width and height, with the number of the first file of that size.
    """

    def read(path):
        try:
            found = read_image(path, mode).size if check == "full" else size_of(path)
        except ImageReadError as error:
            return None, str(error)
        return found, None

    faults, sizes = {}, {}
    with ThreadPoolExecutor(effective_n_jobs(n_jobs)) as pool:
        # In parts: what is waiting for a thread takes 2 kB a file.
        for start in range(0, len(paths), _PART):
            results = pool.map(read, paths[start : start + _PART])
            for number, (size, fault) in enumerate(results, start):
                if fault is not None:
                    faults[number] = fault
                else:
                    sizes.setdefault(size, number)
    return faults, sizes


def find_duplicates(paths):
    """Return groups of files with the same content.

    Only files of the same length are read, and whole only if they begin and end alike.

    Parameters
    ----------
    paths : list of str
        Files that cannot be read are no duplicates.

    Returns
    -------
    groups : list of ndarray of dtype int64
        Numbers of files, ascending.
    """
    groups = [range(len(paths))]
    for key in (os.path.getsize, _ends, _digest):
        groups = [part for group in groups for part in _split(paths, group, key)]
    return [np.array(group, dtype=np.int64) for group in sorted(groups)]


def _split(paths, group, key):
    """Return the parts of a group with equal keys, those of one file left out."""
    parts = defaultdict(list)
    for number in group:
        try:
            parts[key(paths[number])].append(number)
        except OSError:
            continue
    return [part for part in parts.values() if len(part) > 1]


def _ends(path):
    with open(path, "rb") as file:
        start = file.read(_ENDS)
        file.seek(max(os.path.getsize(path) - _ENDS, 0))
        return hashlib.sha256(start + file.read(_ENDS)).digest()


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _is_image(name):
    return Path(name).suffix.lower() in SUFFIXES


def _refuse_unprintable(name):
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            f"the folder {printable(name)} has a name that is no UTF-8, which would "
            "be the name of a class; rename it."
        ) from None
