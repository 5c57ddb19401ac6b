"""Image files as rows, decoded when they are fetched."""

from __future__ import annotations

import copy
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from joblib import effective_n_jobs

from sknoisy._row_source import RowSource
from sknoisy.datasets._reading import ImageReadError, as_array, printable, read_image

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from sknoisy._types import Path

__all__ = ["ImageRows"]

_MODES = ("RGB", "L")


class ImageRows(RowSource):
    """Image files as rows that stay on disk.

    Parameters
    ----------
    paths : sequence of str or path-like
        The files, one for each row.
    folder : str, path-like or None, default=None
        What ``paths`` are relative to; None is the current folder.
    mode : {"RGB", "L"}, default="RGB"
        Three channels of colour, or one of grey. Images in other modes are converted;
        what is transparent becomes white. They are turned as their Exif orientation
        says.
    transform : callable or None, default=None
        Maps a Pillow image to one of the size that all rows have. None requires images
        of one size. It may also return an array or tensor (channels, height, width).
    train_transform : callable or None, default=None
        Called as ``train_transform(image, rng)`` in training, with a numpy Generator,
        which is its only source of random numbers. None trains on what ``transform``
        returns.
    judge_transform : callable or None, default=None
        Used instead of ``transform`` when given labels are scored.
    n_jobs : int or None, default=None
        Threads that decode at a time; None is one, -1 as many as there are processors.

    Raises
    ------
    ImageReadError
        If a file cannot be read: here the first one, in `fetch` any.
    ValueError
        If there are no paths, or, in `fetch`, if images differ in size.
    TypeError
        If ``transform`` returns something else.

    See Also
    --------
    load_image_folder : Images with their labels, from class folders or a table.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> from sknoisy.datasets import CenterCrop, ImageRows
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "red.png"
    >>> Image.new("RGB", (50, 40), "red").save(path)
    >>> rows = ImageRows([path, path], transform=CenterCrop(32))
    >>> rows.shape, rows[0][:, 0, 0]
    ((2, 3, 32, 32), array([255,   0,   0], dtype=uint8))
    >>> folder.cleanup()
    """

    def __init__(
        self,
        paths: Sequence[Any],
        *,
        folder: Path | None = None,
        mode: Literal["RGB", "L"] = "RGB",
        transform: Callable[[Any], Any] | None = None,
        train_transform: Callable[[Any, np.random.Generator], Any] | None = None,
        judge_transform: Callable[[Any], Any] | None = None,
        n_jobs: int | None = None,
    ) -> None:
        if mode not in _MODES:
            raise ValueError(f"mode must be 'RGB' or 'L'; got {mode!r}.")
        if not len(paths):
            raise ValueError("paths is empty: there is no image.")
        self.paths = np.array([os.fspath(path) for path in paths], dtype=object)
        self.folder = "" if folder is None else os.fspath(folder)
        self.mode, self.n_jobs = mode, n_jobs
        self.transform, self.train_transform = transform, train_transform
        self.judge_transform = judge_transform
        self.changes_rows = train_transform is not None
        first = self._read(0, transform)
        self.shape, self.dtype = (len(self.paths), *first.shape), first.dtype
        names = zlib.crc32("\n".join(map(printable, self.paths)).encode())
        how = transform, train_transform, judge_transform
        # Not the folder, which may have been moved.
        self.fingerprint = names, mode, *map(_name, how)

    def fetch(self, index: ArrayLike) -> NDArray[Any]:
        """Decode some images.

        Parameters
        ----------
        index : array-like of shape (n,), dtype int
            Numbers of the rows, from 0.

        Returns
        -------
        rows : ndarray of shape (n, channels, height, width)
        """
        return self._read_all(index, lambda row, _: self._read(row, self.transform))

    def fetch_changed(self, index: ArrayLike, seed: int) -> NDArray[Any]:
        """Decode some images, changed at random by ``train_transform``.

        Parameters
        ----------
        index : array-like of shape (n,), dtype int
        seed : int
            The same seed gives the same changes, whatever ``n_jobs`` is.

        Returns
        -------
        rows : ndarray of shape (n, channels, height, width)
        """
        change = self.train_transform
        if change is None:
            return self.fetch(index)

        def read(row, place):
            rng = np.random.default_rng([seed, place])
            return self._read(row, lambda image: change(image, rng))

        return self._read_all(index, read)

    def judged(self) -> ImageRows:
        """Return the rows with ``judge_transform`` in place of ``transform``."""
        if self.judge_transform is None:
            return self
        rows = copy.copy(self)
        rows.transform = self.judge_transform
        return rows

    def _read_all(self, index, read):
        rows = np.asarray(index, dtype=np.int64)
        places = range(len(rows))
        n_threads = min(effective_n_jobs(self.n_jobs), len(rows))
        if n_threads > 1:
            # A pool of its own: one from before a fork has no threads after it.
            with ThreadPoolExecutor(n_threads) as pool:
                images = list(pool.map(read, rows, places))
        else:
            images = [read(row, place) for row, place in zip(rows, places, strict=True)]
        made = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        for place, image in enumerate(images):
            if image.shape != made.shape[1:] or image.dtype != made.dtype:
                self._refuse_size(rows[place], image)
            made[place] = image
        return made

    def _read(self, row, transform):
        path = os.path.join(self.folder, self.paths[row])
        try:
            image = read_image(path, self.mode)
        except ImageReadError as error:
            raise ImageReadError(
                f"row {row}: {error}. load_image_folder(check='full', "
                "unreadable='skip') leaves out what cannot be read."
            ) from error
        return as_array(image if transform is None else transform(image))

    def _refuse_size(self, row, image):
        raise ValueError(
            f"all rows must have one size: {printable(self.paths[0])} is of shape "
            f"{self.shape[1:]} and {self.dtype}, {printable(self.paths[row])} of "
            f"{image.shape} and {image.dtype}. Set size=, or transform= to "
            "sknoisy.datasets.CenterCrop(...), and train_transform to one of the same "
            "size."
        )


def _name(transform):
    """Return what tells transforms apart in a file."""
    has_own_repr = type(transform).__repr__ is not object.__repr__
    is_function = hasattr(transform, "__qualname__")
    return (
        repr(transform)
        if has_own_repr and not is_function
        else getattr(transform, "__qualname__", type(transform).__qualname__)
    )
