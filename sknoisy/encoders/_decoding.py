"""Images of any kind as bytes of three colours, channels first."""

from __future__ import annotations

import os
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from sknoisy._labels import is_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["UnreadableImage", "as_bytes_of_pixels", "decode", "is_missing_image"]

_CHANNELS = (1, 3, 4)


class UnreadableImage(Exception):
    """What is wrong with one image, as the end of a sentence."""


def is_missing_image(image: Any) -> bool:
    """Return whether there is no image: None, NaN or pandas' NA.

    Parameters
    ----------
    image : object

    Returns
    -------
    flag : bool
    """
    is_nan = isinstance(image, float) and image != image
    return image is None or is_nan or type(image).__name__ in ("NAType", "NaTType")


def decode(image: Any, size: int | None, resize: str) -> NDArray[np.uint8]:
    """Return the pixels of one image.

    Parameters
    ----------
    image : path, bytes, PIL image, array or tensor
        Bytes are those of a file. An array has its channels first or last, or none.
    size : int or None
        Height and width of the result; None keeps those of the image.
    resize : {"crop", "squash"}

    Returns
    -------
    pixels : ndarray of shape (3, height, width), dtype uint8

    Raises
    ------
    UnreadableImage
        If the image is damaged, missing or empty.
    TypeError, ValueError
        If it is no image; the message is the end of a sentence.
    """
    if is_missing_image(image):
        raise UnreadableImage("is missing")
    if isinstance(image, dict) and {"bytes", "path"} >= image.keys() != set():
        # A row of a data set of Hugging Face that is not decoded.
        image = image["path"] if image.get("bytes") is None else image["bytes"]
        return decode(image, size, resize)
    if is_of(image, "PIL"):
        with _explained():
            return _pixels(_in_colours(_upright(image)), size, resize)
    if is_of(image, "torch"):
        image = image.detach().cpu().numpy()
    if isinstance(image, np.ndarray):
        return _from_array(image, size, resize)
    if isinstance(image, str | os.PathLike):
        with _explained(), _opened(os.fspath(image), size) as opened:
            return _pixels(opened, size, resize)
    if isinstance(image, bytes | bytearray | memoryview):
        with _explained(), _opened(BytesIO(image), size) as opened:
            return _pixels(opened, size, resize)
    raise TypeError(
        f"is a {type(image).__name__}; give a path, an array, a PIL image or the bytes "
        "of a file"
    )


def as_bytes_of_pixels(X: NDArray[Any]) -> NDArray[np.uint8]:
    """Return numbers from 0 to 255, or from 0 to 1, as bytes.

    Parameters
    ----------
    X : ndarray

    Returns
    -------
    X : ndarray of the same shape, dtype uint8

    Raises
    ------
    TypeError
        If it does not hold numbers; the message is the end of a sentence.
    ValueError
        If they are outside these ranges, or not finite; likewise.
    """
    if X.dtype == np.uint8:
        return X
    if X.dtype.kind not in "iuf":
        raise TypeError(f"has dtype {X.dtype}; give uint8, or floats in [0, 1]")
    if not X.size:
        return X.astype(np.uint8)
    low, high = float(X.min()), float(X.max())
    most = 1.0 if X.dtype.kind == "f" else 255
    # NaN is in no range.
    if not (low >= 0 and high <= most):
        raise ValueError(
            f"has {X.dtype} values from {low:g} to {high:g}; give uint8 from 0 to 255, "
            "or floats from 0 to 1"
        )
    return np.rint(X * 255).astype(np.uint8) if most == 1 else X.astype(np.uint8)


def _from_array(array, size, resize):
    """Return the pixels of an array; channels first wins where both would do."""
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(
            f"has the shape {array.shape}; give (channels, height, width), (height, "
            "width, channels) or (height, width)"
        )
    array = as_bytes_of_pixels(array)
    if array.ndim == 2:
        array = array[None]
    elif array.shape[0] not in _CHANNELS:
        if array.shape[2] not in _CHANNELS:
            raise ValueError(
                f"has the shape {array.shape}; neither the first nor the last axis "
                "has 1, 3 or 4 channels"
            )
        array = array.transpose(2, 0, 1)
    fits = size is None or array.shape[1:] == (size, size)
    if len(array) != 4 and fits:
        return np.ascontiguousarray(np.broadcast_to(array, (3, *array.shape[1:])))
    image = _module("Image").fromarray(
        np.ascontiguousarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0))
    )
    return _pixels(_in_colours(image), size, resize)


def _module(name):
    """Return a module of Pillow."""
    import importlib

    try:
        return importlib.import_module(f"PIL.{name}")
    except ImportError as error:
        raise ImportError(
            "images are read and resized by Pillow, which is not installed: pip "
            "install 'sknoisy[images]'."
        ) from error


@contextmanager
def _explained() -> Iterator[None]:
    """Say of one image that it is unreadable, whatever error Pillow raises of it."""
    try:
        yield
    except (UnreadableImage, ImportError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise UnreadableImage(
            f"does not exist (relative paths begin in {os.getcwd()!r})"
        ) from error
    # Decoders raise many kinds of errors at damaged files.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UnreadableImage(
            f"cannot be read ({type(error).__name__}: {reason})"
        ) from error


@contextmanager
def _opened(file: Any, size: int | None) -> Iterator[Image]:
    """Yield the image of a file: upright, in three colours, the first of several."""
    with _module("Image").open(file) as image:
        if size and image.format == "JPEG" and image.mode in ("L", "RGB"):
            # Decodes at a half, a quarter or an eighth, at least twice what is needed.
            image.draft(image.mode, (2 * size, 2 * size))
        yield _in_colours(_upright(image))


def _upright(image):
    """Return the image as its Exif orientation says that it is to be seen."""
    return _module("ImageOps").exif_transpose(image)


def _in_colours(image):
    """Return the image in red, green and blue; what is transparent becomes white."""
    if image.mode.startswith("I;16"):
        image = _eight_bits(np.asarray(image) / 257)
    elif image.mode == "I":
        values = np.asarray(image)
        image = _eight_bits(values / 257 if values.max(initial=0) > 255 else values)
    elif image.mode == "F":
        raise UnreadableImage(
            "holds floats (mode F), whose range is unknown; give an array in [0, 1]"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = _module("Image").new("RGBA", image.size, "white")
        image = _module("Image").alpha_composite(white, image)
    return image.convert("RGB")


def _eight_bits(values):
    return _module("Image").fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _pixels(image, size, resize):
    """Return the pixels of an image in three colours, of the given size."""
    bicubic = _module("Image").Resampling.BICUBIC
    if size and image.size != (size, size):
        if resize == "crop":
            image = _module("ImageOps").fit(image, (size, size), bicubic)
        else:
            image = image.resize((size, size), bicubic)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
