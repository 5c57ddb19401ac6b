"""Images in a page, which needs no other file."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["data_uri", "displayable", "image_element", "is_tiny", "png_data_uri"]

_MAX_SIDE = 128
# Up to this side, pixels are shown as they are.
_TINY = 64


def png_data_uri(image: NDArray[np.uint8]) -> str:
    """Return an image as a data URI, so that the page needs no other file.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), dtype uint8
        Grey or red, green and blue.

    Returns
    -------
    uri : str
    """
    height, width = image.shape[:2]
    color_type = 0 if image.ndim == 2 else 2
    # Each line starts with the number of its filter: 0, none.
    lines = np.pad(image.reshape(height, -1), ((0, 0), (1, 0)))
    png = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">2I5B", width, height, 8, color_type, 0, 0, 0)
    for kind, data in (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    ):
        checksum = zlib.crc32(kind + data)
        png += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def data_uri(image: NDArray[np.uint8], *, exact: bool | None = None) -> str:
    """Return an image as a data URI.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), dtype uint8
    exact : bool or None, default=None
        True is PNG; False is JPEG, in which photographs need a tenth of the bytes, if
        there is Pillow. None: whether the image is small.

    Returns
    -------
    uri : str
    """
    if exact or (exact is None and is_tiny(image)):
        return png_data_uri(image)
    try:
        from PIL import Image
    except ImportError:
        return png_data_uri(image)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def image_element(
    image: NDArray[np.uint8], text: str, *, exact: bool | None = None
) -> str:
    """Return an image as an element of a page.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), dtype uint8
    text : str
        For those who do not see it, without characters to escape.
    exact : bool or None, default=None
        As in `data_uri`. Exact pixels are seen as squares if they are enlarged.

    Returns
    -------
    markup : str
    """
    exact = is_tiny(image) if exact is None else exact
    kind = 'class="exact" ' if exact else ""
    return f'<img {kind}src="{data_uri(image, exact=exact)}" alt="{text}">'


def is_tiny(image: NDArray[Any]) -> bool:
    """Return whether the pixels of an image, (H, W) or (H, W, 3), should be seen."""
    return max(image.shape[:2]) <= _TINY


def displayable(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image as bytes that a PNG can hold.

    Parameters
    ----------
    image : ndarray of shape (C, H, W), any numeric dtype
        With 3 or 4 channels its first three are red, green and blue; else the first is
        shown in grey. Bytes and floats in [0, 1] keep their brightness; other values
        are stretched from the smallest to the largest.

    Returns
    -------
    image : ndarray of shape (H, W) or (H, W, 3), dtype uint8
        Every second, third, ... pixel only, if a side is longer than 128.
    """
    step = -(-max(image.shape[1:]) // _MAX_SIDE)
    image = image[:, ::step, ::step]
    image = image[:3] if len(image) in (3, 4) else image[:1]
    if image.dtype != np.uint8:
        values = np.nan_to_num(image.astype(np.float64), posinf=0, neginf=0)
        low, high = values.min(), values.max()
        if not (0 <= low and high <= 1):
            values = (values - low) / max(high - low, np.finfo(np.float64).tiny)
        image = np.rint(values * 255).astype(np.uint8)
    return (
        image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
    )
