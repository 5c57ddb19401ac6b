"""Decisions about images: a corrected list, a corrected copy of a folder."""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from sknoisy._regular_files import written_in_one_step
from sknoisy._user_errors import UserError, one_line, shown
from sknoisy.auditing._images import list_images
from sknoisy.auditing._progress import step
from sknoisy.auditing._source import Source, reason
from sknoisy.cleaning._decisions import check_rows
from sknoisy.command_line._outputs import check_outputs, writing

__all__ = [
    "check_folder_output",
    "copy_folder",
    "decisions_about_rows",
    "folder_table",
    "is_listing",
    "write_listing",
]

_LISTINGS = {".csv": ",", ".tsv": "\t"}
# These would be files of another command, not names of folders.
_NO_FOLDERS = re.compile(r"\.(parquet|pq|html?|json|gz|bz2|xz|zst|zip)", re.IGNORECASE)
# A folder of such a name would be hidden, lie elsewhere, or fail on another system.
_NO_NAME = re.compile(r'\.|.*[/\\:*?"<>|\x00-\x1f\x7f]|.*[. ]$', re.DOTALL)


def is_listing(out: Path) -> bool:
    """Return whether an output is a table of paths and labels."""
    return out.suffix.lower() in _LISTINGS


def check_folder_output(path: Path, out: Path, args: argparse.Namespace) -> None:
    """Refuse an output that cannot be written, before anything is read.

    Parameters
    ----------
    path : Path
        The folder of images.
    out : Path
        A table of paths and labels, or a folder that does not exist yet.
    args : argparse.Namespace
        The options of the command.
    """
    for name in ("label", "image", "delimiter", "encoding"):
        if getattr(args, name):
            raise UserError(
                f"--{name} is for a table; the labels of {shown(path)} are the names "
                "of its folders"
            )
    if is_listing(out):
        if args.links:
            raise UserError("--links is for a new folder, not for a list of images")
        check_outputs(path, {"--out": (out, _LISTINGS)}, args.force)
        return
    name = f"--out {shown(out)}"
    if args.label_before:
        raise UserError(
            "--label-before is for a list of images: let --out be a .csv file"
        )
    if _NO_FOLDERS.fullmatch(out.suffix):
        raise UserError(f"{name} must be a .csv or .tsv file, or a new folder")
    if os.path.lexists(out):
        raise UserError(f"{name} already exists; give a new folder")
    inside, outside = os.path.realpath(out), os.path.realpath(path)
    if inside.startswith(outside + os.sep):
        raise UserError(f"{name} is in the folder of the images; give a place outside")
    if not out.absolute().parent.is_dir():
        raise UserError(f"{name}: there is no folder {shown(out.parent)}")


def folder_table(path: Path, decisions: Any, args: argparse.Namespace) -> Any:
    """Return the images of a folder that were reviewed, with their labels.

    Parameters
    ----------
    path : Path
    decisions : pandas DataFrame
    args : argparse.Namespace

    Returns
    -------
    table : pandas DataFrame
        Columns path, relative to the folder, and label.
    """
    names, labels = _reviewed(path, None, None, decisions, args)
    table = labels.reset_index(drop=True).to_frame("label")
    table.insert(0, "path", names)
    return table


def decisions_about_rows(
    source: Source, table: Any, decisions: Any, args: argparse.Namespace
) -> Any:
    """Return decisions about images as decisions about the rows of their table.

    Parameters
    ----------
    source : Source
    table : pandas DataFrame
        As strings.
    decisions : pandas DataFrame
        Their rows are counted among the images that can be read.
    args : argparse.Namespace

    Returns
    -------
    decisions : pandas DataFrame
    """
    names, _ = _reviewed(source.name, args.label, args.image, decisions, args)
    readable = set(names)
    paths = table[args.image].to_numpy(dtype=object)
    rows = np.flatnonzero([path in readable for path in paths])
    if paths[rows].tolist() != list(names):
        raise UserError(
            f"{source}: the paths of {args.image!r} cannot be matched with its lines; "
            "write the table again, in UTF-8"
        )
    return decisions.assign(row=rows[decisions["row"].to_numpy()])


def _reviewed(
    path: Path,
    label: str | None,
    column: str | None,
    decisions: Any,
    args: argparse.Namespace,
) -> tuple[Any, Any]:
    """Return the names and labels of images, after a look at those with decisions."""
    data, labels, _ = list_images(path, label, column, not args.quiet)
    try:
        given = labels.to_numpy()
        check_rows(decisions, data.images, given, given, shown(path))
    except ValueError as error:
        raise UserError(one_line(error)) from error
    return data.names, labels


def write_listing(table: Any, path: Path, out: Path, args: argparse.Namespace) -> None:
    """Write a table of images, with paths relative to its own folder.

    Parameters
    ----------
    table : pandas DataFrame
        Columns path, relative to the folder of the images, and label.
    path : Path
        The folder of the images.
    out : Path
    args : argparse.Namespace
    """
    folder, home = os.path.realpath(path), os.path.realpath(out.absolute().parent)
    try:
        folder = os.path.relpath(folder, home)
    except ValueError:
        # On another drive of Windows; the paths stay absolute.
        pass
    prefix = "" if folder == os.curdir else folder.replace(os.sep, "/") + "/"
    listing = table.assign(path=[f"{prefix}{name}" for name in table["path"]])
    with writing(out, "--out"):
        with written_in_one_step(out, overwrite=args.force) as draft:
            listing.to_csv(
                draft, sep=_LISTINGS[out.suffix.lower()], index=False, encoding="utf-8"
            )


def copy_folder(table: Any, path: Path, out: Path, args: argparse.Namespace) -> int:
    """Write the images into a new folder, each in the folder of its label.

    Parameters
    ----------
    table : pandas DataFrame
        Columns path, relative to the folder of the images, and label.
    path : Path
        The folder of the images, which stays as it is.
    out : Path
        Appears only when it is complete.
    args : argparse.Namespace

    Returns
    -------
    n_renamed : int
        Images with another name, because that in the folder of the label was taken.
    """
    names = table["path"].tolist()
    known = {name.partition("/")[0] for name in names}
    for label in set(table["label"]) - known:
        if _NO_NAME.match(label):
            raise UserError(f"the new label {shown(label)!r} cannot name a folder")
    places, n_renamed = _places(names, table["label"].tolist())
    draft = out.with_name(f".{out.name}.{secrets.token_hex(8)}.part")
    try:
        draft.mkdir()
        with step(f"writing {len(names):,} images", not args.quiet):
            for name, place in zip(names, places, strict=True):
                _put(path / name, draft / place, args.links)
        draft.rename(out)
    except OSError as error:
        raise UserError(f"{shown(out)} cannot be written: {reason(error)}") from error
    finally:
        # Also if it was interrupted; after the renaming there is nothing left.
        shutil.rmtree(draft, ignore_errors=True)
    return n_renamed


def _put(source: Path, to: Path, as_link: bool) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if as_link:
        to.symlink_to(os.path.realpath(source))
    else:
        shutil.copy2(source, to)


def _places(names: list[str], labels: list[str]) -> tuple[list[str], int]:
    """Return where each image goes, and how many got another name."""
    homes = [name.partition("/") for name in names]
    places = [
        name if home[0] == label else ""
        for name, home, label in zip(names, homes, labels, strict=True)
    ]
    # Some systems take "a.png" and "A.png" for one name.
    taken = {place.casefold() for place in places if place}
    n_renamed = 0
    for i, (old, _, rest) in enumerate(homes):
        if places[i]:
            continue
        places[i] = f"{labels[i]}/{rest}"
        stem, ending = os.path.splitext(rest)
        number = 1
        while places[i].casefold() in taken:
            more = "" if number == 1 else f"-{number}"
            places[i] = f"{labels[i]}/{stem}-from-{old}{more}{ending}"
            number += 1
        n_renamed += number > 1
        taken.add(places[i].casefold())
    return places, n_renamed
