"""``sknoisy audit`` of images: class folders, or a table with their paths."""

from __future__ import annotations

import argparse
import os
import warnings
from dataclasses import dataclass
from typing import Any

from sknoisy.command_line._errors import CommandError, one_line, refusals, shown
from sknoisy.command_line._image_options import FOR_IMAGES
from sknoisy.command_line._labels import check_labels
from sknoisy.command_line._progress import step

__all__ = ["LoadedImages", "load_images"]

# Files or groups of files that a note names.
_N_NAMED = 5
# Side of the pictures in the page, in pixels.
_THUMBNAIL = 96


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
    line : str
        What was read, for the summary.
    notes : list of str
    """

    X: Any
    labels: Any
    pictures: Any
    line: str
    notes: list[str]


def load_images(args: argparse.Namespace) -> LoadedImages:
    """Read the list of images, and encode them.

    Parameters
    ----------
    args : argparse.Namespace

    Returns
    -------
    images : LoadedImages

    Raises
    ------
    CommandError
        If there are no images or labels, or a package is missing.
    """
    import pandas as pd

    source = shown(args.table)
    with warnings.catch_warnings(), step("reading the images", quiet=args.quiet):
        # What they say stands in the notes.
        warnings.simplefilter("ignore", UserWarning)
        with refusals(f"{source} cannot be read"):
            data = _listed(args)
    labels = pd.Series(data.labels, index=list(data.names), name=args.label or "folder")
    labels.index.name = "file"
    labels = check_labels(source, labels)
    encoder = _encoder(args)
    with step(f"encoding {len(labels):,} images", quiet=args.quiet):
        with refusals(f"{source} cannot be encoded"):
            try:
                X = encoder.fit_transform(
                    [os.path.join(data.images.folder, name) for name in data.names]
                )
            except ImportError as error:
                raise CommandError(one_line(error)) from error
    line = f"encoder: {encoder.model}, {X.shape[1]} features"
    return LoadedImages(X, labels, data.images, line, _notes(data))


def _listed(args: argparse.Namespace) -> Any:
    from sknoisy.datasets import load_image_folder

    params: dict[str, Any] = {}
    if args.image:
        if args.label is None:
            raise CommandError("--label is needed: the column of the given labels")
        params = {"path_column": args.image, "label_column": args.label}
    try:
        return load_image_folder(
            args.table, size=_THUMBNAIL, check="full", unreadable="skip", **params
        )
    except ImportError as error:
        raise CommandError(one_line(error)) from error
    except OSError as error:
        raise CommandError(one_line(error)) from error


def _encoder(args: argparse.Namespace) -> Any:
    from sknoisy.encoders import ImageEncoder

    given = {name: getattr(args, name) for name in FOR_IMAGES.values()}
    given = {name: value for name, value in given.items() if value is not None}
    return ImageEncoder(
        args.encoder or "efficientnet-lite0", verbose=not args.quiet, **given
    )


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
