"""The options of an audit of images, loaded without other imports."""

from __future__ import annotations

import argparse
from pathlib import Path

from sknoisy.command_line._errors import CommandError

__all__ = ["FOR_IMAGES", "add_image_options", "is_of_images"]

# Options of the encoder, with its parameters.
FOR_IMAGES = {
    "--image-size": "image_size",
    "--weights": "weights",
    "--cache": "cache",
}
_FOR_TABLES = ("--text", "--drop")


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for images to a parser."""
    parser.add_argument(
        "--image",
        metavar="COLUMN",
        help="the table names images: this column of a .csv or .tsv file has their "
        "paths, relative to its folder",
    )
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="network that turns images into numbers: efficientnet-lite0, timm:NAME or "
        "torchvision:NAME (default: efficientnet-lite0)",
    )
    parser.add_argument(
        "--image-size",
        type=_side,
        metavar="PIXELS",
        help="size to which images are resized; half of it takes a quarter of the time "
        "(default: that of the network, 224 for efficientnet-lite0)",
    )
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="weights of the network, instead of those in the cache of its library",
    )
    parser.add_argument(
        "--cache",
        metavar="FOLDER",
        help="keep the numbers of the images in this folder for the next time",
    )


def is_of_images(args: argparse.Namespace) -> bool:
    """Return whether images are asked for; refuse options of the other kind."""
    is_folder = Path(args.table).is_dir()
    if is_folder and args.image:
        raise CommandError(
            "--image names the column of a table; a folder has the labels in the names "
            "of its folders"
        )
    if is_folder or args.image:
        for option in _FOR_TABLES:
            if getattr(args, option[2:]):
                raise CommandError(f"{option} is for tables, not for images")
        return True
    for option in ("--encoder", *FOR_IMAGES):
        if getattr(args, option[2:].replace("-", "_")) is not None:
            raise CommandError(
                f"{option} is for a folder of images, or a table with --image COLUMN"
            )
    return False


def _side(text: str) -> int:
    if not (text.isdecimal() and 8 <= int(text) <= 4096):
        raise argparse.ArgumentTypeError(
            f"must be an integer from 8 to 4096; got {text!r}"
        )
    return int(text)
