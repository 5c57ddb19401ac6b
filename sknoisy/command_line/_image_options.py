"""The options of an audit of images, loaded without other imports."""

from __future__ import annotations

import argparse

__all__ = ["add_image_column", "add_image_options"]


def add_image_column(parser: argparse.ArgumentParser) -> None:
    """Add the option for a table that names images to a parser."""
    parser.add_argument(
        "--image",
        metavar="COLUMN",
        help="the table names images: this column of a .csv or .tsv file has their "
        "paths, relative to its folder",
    )


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for images to a parser."""
    add_image_column(parser)
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


def _side(text: str) -> int:
    if not (text.isdecimal() and 8 <= int(text) <= 4096):
        raise argparse.ArgumentTypeError(
            f"must be an integer from 8 to 4096; got {text!r}"
        )
    return int(text)
