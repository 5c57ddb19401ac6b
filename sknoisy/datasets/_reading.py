"""Images from files, by Pillow."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from sknoisy._regular_files import open_regular

__all__ = ["ImageReadError", "as_array", "pillow", "read_image", "size_of"]

# The Exif tag, and the last of its values that do not swap width and height.
_ORIENTATION, _LAST_UPRIGHT = 0x0112, 4
# What Pillow raises for files that are no images, damaged, truncated or far too large.
_FAULTS = (OSError, SyntaxError, ValueError, EOFError, IndexError)


class ImageReadError(ValueError):
    """An image file cannot be read; the message names it."""


def pillow() -> SimpleNamespace:
    """Return Pillow's modules Image and ImageOps.

    Raises
    ------
    ImportError
        If Pillow is not installed, with the line that installs it.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError(
            "image files are read by Pillow, which is not installed: pip install "
            "'sknoisy[images]'."
        ) from error
    return SimpleNamespace(Image=Image, ImageOps=ImageOps)


def read_image(path, mode):
    """Decode an image file.

    Parameters
    ----------
    path : str
    mode : {"RGB", "L"}
        Colours or grey; what is transparent becomes white.

    Returns
    -------
    image : PIL.Image.Image
        Turned as its Exif orientation says.

    Raises
    ------
    ImageReadError
        If the file is not there, or no whole image.
    """
    Image = pillow().Image
    try:
        with open_regular(path) as file, Image.open(file) as image:
            image.load()
            pillow().ImageOps.exif_transpose(image, in_place=True)
            return _in_mode(image, mode)
    except (*_FAULTS, Image.DecompressionBombError) as error:
        raise ImageReadError(f"{printable(path)} {reason_of(error)}") from error


def size_of(path):
    """Return width and height of an image, as `read_image` turns it, from its header.

    Parameters
    ----------
    path : str

    Returns
    -------
    size : tuple of int

    Raises
    ------
    ImageReadError
        If the file is not there, or does not begin as an image.
    """
    Image = pillow().Image
    try:
        with open_regular(path) as file, Image.open(file) as image:
            is_turned = image.getexif().get(_ORIENTATION, 1) > _LAST_UPRIGHT
            return image.size[::-1] if is_turned else image.size
    except (*_FAULTS, Image.DecompressionBombError) as error:
        raise ImageReadError(f"{printable(path)} {reason_of(error)}") from error


def as_array(made):
    """Return what a transform made as an array (channels, height, width).

    Parameters
    ----------
    made : PIL image, or ndarray or tensor of shape (channels, height, width)

    Returns
    -------
    row : ndarray, dtype uint8 or float32

    Raises
    ------
    TypeError
        If it is anything else.
    """
    is_image = hasattr(made, "getbands")
    row = np.asarray(made)
    if is_image:
        # Height and width, and channels if there are several.
        row = np.atleast_3d(row).transpose(2, 0, 1)
    if row.ndim != 3 or row.dtype.kind not in "uif":
        raise TypeError(
            "a transform must return a Pillow image, or an array or tensor of shape "
            f"(channels, height, width); got a {type(made).__name__} of shape "
            f"{row.shape} and {row.dtype}."
        )
    return row if row.dtype == np.uint8 else row.astype(np.float32, copy=False)


def reason_of(error):
    """Return the end of a sentence that begins with the name of a file."""
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if isinstance(error, PermissionError):
        return "may not be read"
    if type(error).__name__ == "UnidentifiedImageError":
        return "is no image that Pillow knows"
    text = str(error) or type(error).__name__
    return f"cannot be decoded ({text})"


def printable(path):
    """Return a path that can be printed, whatever bytes its name has."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _in_mode(image, mode):
    if image.mode == mode and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        # Pillow would cut everything above 255.
        grey = (np.asarray(image) // 257).astype(np.uint8)
        image = pillow().Image.fromarray(grey)
    elif image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode} has no range of brightness; save as 8 bit")
    elif image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = pillow().Image.new("RGBA", image.size, "white")
        image = pillow().Image.alpha_composite(white, image)
    return image.convert(mode)
