"""What a user calls images, as a sequence of single images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from sknoisy._labels import is_of
from sknoisy._rows import is_frame
from sknoisy.encoders._decoding import (
    UnreadableImage,
    as_bytes_of_pixels,
    is_missing_image,
)
from sknoisy.encoders._row_cache import row_key

__all__ = ["ImageSource"]

_SUFFIXES = {
    *(".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".ppm", ".pgm"),
    *(".tif", ".tiff", ".webp"),
}
_CHANNELS = (1, 3, 4)
_N_SHOWN = 3


class ImageSource:
    """The images of X, one after another.

    Parameters
    ----------
    X : object
        See `ImageEncoder.transform`.

    Raises
    ------
    TypeError, ValueError
        If X holds no images.
    """

    def __init__(self, X: Any) -> None:
        X = _files_of(X) if isinstance(X, str | os.PathLike) else X
        X = _column_of(X) if is_frame(X) else X
        n_dims = len(getattr(X, "shape", ()))
        if n_dims > 1 and not hasattr(X, "fetch"):
            X = _checked_array(X)
        elif hasattr(X, "to_list") or n_dims == 1:
            X = X.to_list() if hasattr(X, "to_list") else X.tolist()
        elif not hasattr(X, "__len__") or isinstance(X, dict | set | bytes):
            raise TypeError(
                f"X is a {type(X).__name__}; pass a list of paths or images, an array "
                "of images or a folder."
            )
        if not len(X):
            raise ValueError("X holds no images.")
        self._X = X
        self._are_rows = len(getattr(X, "shape", ())) > 1

    def __len__(self) -> int:
        return len(self._X)

    def __getitem__(self, i: int) -> Any:
        """Return one image, of any kind that `decode` takes.

        Raises
        ------
        UnreadableImage
            If a data set cannot read it.
        """
        try:
            if hasattr(self._X, "fetch"):
                (image,) = _without_label(self._X.fetch([i]))
                return image
            image = self._X[i]
        except (OSError, ValueError) as error:
            raise UnreadableImage(f"cannot be read ({error})") from error
        if self._are_rows and not is_of(image, "torch"):
            return np.asarray(image)
        return _without_label(image)

    def where(self, i: int) -> str:
        """Return the name of an image in messages.

        Parameters
        ----------
        i : int

        Returns
        -------
        name : str
        """
        is_path = isinstance(self._X, list | tuple) and isinstance(
            self._X[i], str | os.PathLike
        )
        return f"image {i}, {os.fspath(self._X[i])!r}," if is_path else f"image {i}"

    def key(self, i: int) -> bytes | None:
        """Return a key of the content of an image; None if it cannot be read.

        Parameters
        ----------
        i : int

        Returns
        -------
        key : bytes or None
        """
        try:
            image = self[i]
        except UnreadableImage:
            return None
        if is_missing_image(image):
            return None
        if isinstance(image, dict):
            given = image.get("bytes")
            image = image.get("path") if given is None else given
        if isinstance(image, str | os.PathLike):
            try:
                return row_key("file", Path(image).read_bytes())
            except OSError:
                return None
        if isinstance(image, bytes | bytearray | memoryview):
            return row_key("file", bytes(image))
        if is_of(image, "PIL"):
            return _key_of_pillow(image)
        if is_of(image, "torch"):
            image = image.detach().cpu().numpy()
        array = np.ascontiguousarray(image)
        if array.dtype == object:
            return None
        form = f"{array.dtype.str} {array.shape}"
        return row_key(form, array.reshape(-1).view(np.uint8).data)

    def refuse_missing_files(self) -> None:
        """Refuse paths of files that do not exist, with their number.

        Raises
        ------
        ValueError
        """
        if not isinstance(self._X, list | tuple):
            return
        paths = [(i, x) for i, x in enumerate(self._X) if isinstance(x, str | Path)]
        missing = [(i, path) for i, path in paths if not os.path.exists(path)]
        if missing:
            shown = ", ".join(f"{i} ({os.fspath(p)!r})" for i, p in missing[:_N_SHOWN])
            more = ", ..." if len(missing) > _N_SHOWN else ""
            raise ValueError(
                f"{len(missing)} of {len(self)} images do not exist: {shown}{more}. "
                f"Relative paths begin in {os.getcwd()!r}. on_error='nan' makes rows "
                "of NaN of them."
            )


def _files_of(path):
    """Return the paths of the images in a folder and its subfolders, sorted."""
    folder = Path(path)
    if not folder.is_dir():
        reason = "one file; pass a list of paths" if folder.exists() else "not there"
        raise ValueError(f"X is {os.fspath(path)!r:.200}, which is {reason}.")
    files = [f for f in folder.rglob("*") if f.suffix.lower() in _SUFFIXES]
    # By parts, so that the order is the same on every system.
    files = sorted((f for f in files if f.is_file()), key=lambda f: f.parts)
    if not files:
        raise ValueError(f"the folder {os.fspath(path)!r} holds no files of images.")
    return files


def _column_of(frame):
    """Return the only column of a frame."""
    if len(frame.columns) != 1:
        raise ValueError(
            f"X is a frame with {len(frame.columns)} columns; pass one of them, for "
            "example X['path']."
        )
    return frame[frame.columns[0]]


def _checked_array(X):
    """Return images in an array of numbers, or a column of others as a list."""
    shape, dtype = tuple(X.shape), getattr(X, "dtype", None)
    kind = getattr(dtype, "kind", "f")
    if len(shape) == 2 and shape[1] == 1 and kind in "OUS":
        return np.asarray(X)[:, 0].tolist()
    if len(shape) == 3 and shape[2] in (3, 4) and shape[0] not in _CHANNELS:
        raise ValueError(f"X looks like one image, shape {shape}; pass X[None].")
    if len(shape) not in (3, 4):
        raise ValueError(
            f"X has {len(shape)} dimensions, shape {shape}; images have (n_samples, "
            "channels, height, width), with the channels first or last, or "
            "(n_samples, height, width)."
        )
    if len(shape) == 4 and not {shape[1], shape[3]} & {*_CHANNELS}:
        raise ValueError(
            f"X has the shape {shape}: neither its second nor its last axis has 1, 3 "
            "or 4 channels."
        )
    if isinstance(X, np.ndarray) and shape[0]:
        # Once for all of them, so that they are scaled alike.
        try:
            return as_bytes_of_pixels(X)
        except (TypeError, ValueError) as error:
            raise type(error)(f"X {error}.") from None
    return X


def _without_label(item):
    """Return an image without the label beside it, as in torch's data sets."""
    return item[0] if isinstance(item, tuple) else item


def _key_of_pillow(image):
    """Return a key of the pixels of a PIL image; None if it cannot be read."""
    try:
        palette = image.getpalette() or []
        seen = bytes(palette), repr(image.info.get("transparency")).encode()
        orientation = str(image.getexif().get(274)).encode()
        form = f"{image.mode} {image.size}"
        return row_key(form, image.tobytes(), *seen, orientation)
    except (OSError, SyntaxError, ValueError):
        return None
