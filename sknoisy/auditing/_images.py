"""Images: class folders, or a table with their paths."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from sknoisy._user_errors import (
    MissingPackageError,
    UserError,
    one_line,
    refusals,
    shown,
)
from sknoisy.auditing._labels import check_labels, label_is_needed
from sknoisy.auditing._progress import step

__all__ = ["LoadedImages", "list_images", "load_images"]

# Files or groups of files that a note names.
_N_NAMED = 5
# Side of the pictures in the page, in pixels.
_THUMBNAIL = 128


@dataclass
class LoadedImages:
    """What an audit of images needs.

    Attributes
    ----------
    X : ndarray of shape (n_images, n_features), dtype float32
        By the encoder.
    labels : pandas Series
        Given labels, by the name of the file.
    pictures : RowSource
        Small pictures for the page, on disk.
    encoder : str
        The network, and its number of features.
    notes : list of str
    """

    X: Any
    labels: Any
    pictures: Any
    encoder: str
    notes: list[str]


def load_images(
    path: Any,
    label: str | None,
    column: str | None,
    encoder: dict[str, Any],
    verbose: int,
) -> LoadedImages:
    """Read the list of images, and encode them.

    Parameters
    ----------
    path : path
        A folder of class folders, or a table with the paths of images.
    label : str or None
        The column of labels of a table.
    column : str or None
        The column of paths of a table.
    encoder : dict
        Parameters of `ImageEncoder`, and its model as "encoder".
    verbose : int

    Returns
    -------
    images : LoadedImages

    Raises
    ------
    UserError
        If there are no images or labels, or a package is missing.
    """
    data, labels, remarks = list_images(path, label, column, verbose)
    with step(f"encoding {len(labels):,} images", verbose):
        with refusals(f"{shown(path)} cannot be encoded"):
            files = [os.path.join(data.images.folder, name) for name in data.names]
            model, X = _encoded(files, encoder, verbose)
    about = f"{model}, {X.shape[1]} features"
    return LoadedImages(X, labels, data.images, about, remarks + _notes(data))


def list_images(
    path: Any, label: str | None, column: str | None, verbose: int
) -> tuple[Any, Any, list[str]]:
    """Return the images that can be read, and their labels.

    Parameters
    ----------
    path, label, column, verbose
        As in `load_images`.

    Returns
    -------
    data : LabelledImages
    labels : pandas Series
        By the name of the file.
    remarks : list of str
        What is odd about the folder.
    """
    import pandas as pd

    source = shown(path)
    with step("reading the images", verbose), refusals(f"{source} cannot be read"):
        data, remarks = _listed(path, label, column)
    labels = pd.Series(data.labels, index=list(data.names), name=label or "folder")
    labels.index.name = "file"
    return data, check_labels(source, labels), remarks


def _listed(path: Any, label: str | None, column: str | None) -> Any:
    from sknoisy.datasets import CenterCrop
    from sknoisy.datasets._folder import listed_images

    columns: tuple[str | None, ...] = ("path", "label", None, None)
    if column is not None:
        if label is None:
            raise label_is_needed()
        columns = (column, label, None, None)
    how = {"check": "full", "unreadable": "skip", "mode": "RGB", "n_jobs": None}
    crop = CenterCrop(_THUMBNAIL, _THUMBNAIL)
    try:
        return listed_images(path, columns=columns, transform=crop, **how)
    except ImportError as error:
        raise MissingPackageError(one_line(error)) from error
    except OSError as error:
        raise UserError(one_line(error)) from error


def _encoded(files: list[str], params: dict[str, Any], verbose: int) -> tuple[Any, Any]:
    """Return the name of the network, and the rows."""
    from sknoisy.encoders import ImageEncoder

    model = params.get("encoder", "efficientnet-lite0")
    others = {name: value for name, value in params.items() if name != "encoder"}
    encoder = ImageEncoder(model, verbose=verbose, **others)
    try:
        return encoder.model, encoder.fit_transform(files)
    except ImportError as error:
        raise MissingPackageError(one_line(error)) from error


def _notes(data: Any) -> list[str]:
    """Return lines on files that were left out, and on labels that must be wrong."""
    notes = []
    if data.skipped:
        named = [f"{shown(name)} ({one_line(why)})" for name, why in data.skipped]
        notes.append(
            f"{len(named):,} file(s) cannot be read and are left out: {_some(named)}"
        )
    conflicts = data.conflicts
    if conflicts:
        groups = [
            " = ".join(f"{shown(data.names[i])}" for i in rows) for rows in conflicts
        ]
        notes.append(
            f"{len(groups):,} image(s) occur under different labels, of which all but "
            f"one must be wrong: {_some(groups)}"
        )
    n_same = len(data.duplicates) - len(conflicts)
    if n_same:
        notes.append(f"{n_same:,} image(s) occur more than once under the same label")
    return notes


def _some(names: list[str]) -> str:
    more = ", ..." if len(names) > _N_NAMED else ""
    return ", ".join(names[:_N_NAMED]) + more
