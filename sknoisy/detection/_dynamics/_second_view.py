"""Second views: another picture of a row, which its corrupted copy shows."""

import inspect

import numpy as np
import torch
from torch.nn import functional as F

from sknoisy._row_source import RowSource
from sknoisy._validation import check_rows

__all__ = ["VIEWS", "crop_resize", "flip", "with_copies"]

# Pixels that the authors cut off each border, as a share of the side: 4 of 32.
_BORDER = 1 / 8


def flip(images):
    """Return the images mirrored left to right.

    Parameters
    ----------
    images : ndarray of shape (n_images, C, H, W)

    Returns
    -------
    view : ndarray of the same shape and dtype

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.detection._dynamics._second_view import flip
    >>> flip(np.array([[[[1, 2, 3]]]])).tolist()
    [[[[3, 2, 1]]]]
    """
    return images[..., ::-1]


def crop_resize(images):
    """Return the images without an eighth of the side at each border, enlarged again.

    Parameters
    ----------
    images : ndarray of shape (n_images, C, H, W), dtype float32 or uint8

    Returns
    -------
    view : ndarray of the same shape and dtype

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.detection._dynamics._second_view import crop_resize
    >>> images = np.zeros((1, 1, 8, 8), dtype=np.uint8)
    >>> images[:, :, 1:-1, 1:-1] = 1
    >>> bool((crop_resize(images) == 1).all())
    True
    """
    height, width = images.shape[2:]
    top, left = max(1, round(height * _BORDER)), max(1, round(width * _BORDER))
    cropped = images[:, :, top : height - top, left : width - left]
    if 0 in cropped.shape:
        raise ValueError(
            f"copy_view='crop_resize' needs images of 3 pixels or more a side; got "
            f"{height} x {width}. Use copy_view='flip' or None."
        )
    x = torch.from_numpy(np.ascontiguousarray(cropped)).float()
    # With antialias=True torch's cubic curve is that of Pillow.
    x = F.interpolate(x, (height, width), mode="bicubic", antialias=True)
    # The cubic curve overshoots at edges.
    x = x.clamp(float(cropped.min()), float(cropped.max())).numpy()
    return (np.rint(x) if images.dtype == np.uint8 else x).astype(images.dtype)


VIEWS = {"flip": flip, "crop_resize": crop_resize}


class RowsWithCopies(RowSource):
    """Rows on disk, followed by copies of some of them.

    Parameters
    ----------
    rows : RowSource
    source : ndarray of shape (n_copies,), dtype int64
        The row that each copy is taken from.
    view : callable
        Takes rows and their numbers, and returns what their copies show.
    """

    def __init__(self, rows, source, view):
        self.rows, self.source, self.view = rows, source, view
        self.shape = (len(rows) + len(source), *rows.shape[1:])
        self.dtype, self.changes_rows = rows.dtype, rows.changes_rows
        self.reads_ahead, self.fetch_bytes = rows.reads_ahead, rows.fetch_bytes
        self.origin = np.concatenate([np.arange(len(rows)), source])

    def fetch(self, index):
        """Return some rows."""
        return self._viewed(self.rows.fetch(self.origin[index]), np.asarray(index))

    def fetch_changed(self, index, seed):
        """Return some rows as a network trains on them."""
        rows = self.rows.fetch_changed(self.origin[index], seed)
        return self._viewed(rows, np.asarray(index))

    def judged(self):
        """Return the rows as they are when given labels are scored."""
        judged = self.rows.judged()
        if judged is self.rows:
            return self
        return RowsWithCopies(judged, self.source, self.view)

    def before_shuffling(self):
        """Prepare for rows fetched in random order."""
        self.rows.before_shuffling()

    def _viewed(self, rows, index):
        is_copy = index >= len(self.rows)
        if is_copy.any():
            # What a source returns may be its own.
            rows = rows.copy()
            rows[is_copy] = self.view(rows[is_copy], self.origin[index[is_copy]])
        return rows


def with_copies(estimator, X, source, copy_view, X_copy):
    """Return rows, followed by what their copies show.

    Parameters
    ----------
    estimator : estimator
        It knows the features of X.
    X : ndarray of shape (n_samples, ...), dtype float32 or uint8, or RowSource
        Checked.
    source : ndarray of shape (n_copies,), dtype int64
        The row that each copy is taken from.
    copy_view : {"auto", "flip", "crop_resize"}, callable or None
        "auto" is "crop_resize" for images, and None for other rows.
    X_copy : array-like of shape (n_samples, ...), RowSource or None
        Second views of all rows.

    Returns
    -------
    rows : ndarray of shape (n_samples + n_copies, ...), dtype of X, or RowSource

    Raises
    ------
    ValueError
        If both are given, or if the view has another shape or dtype than the rows, or
        values that are not finite.
    """
    view = _view(estimator, X, copy_view, X_copy)
    if isinstance(X, RowSource):
        return RowsWithCopies(X, source, view)
    return np.concatenate([X, view(X[source], source)]) if len(source) else X


def _view(estimator, X, copy_view, X_copy):
    """Return a function of rows and their numbers that returns what copies show."""
    if X_copy is not None:
        if copy_view not in ("auto", None):
            raise ValueError(
                "X_copy and copy_view both say what copies show; give one of them."
            )
        views = _checked(estimator, X_copy, X, "X_copy")
        fetch = views.fetch if isinstance(views, RowSource) else views.__getitem__
        return lambda rows, index: _checked(estimator, fetch(index), rows, "X_copy")
    if copy_view == "auto":
        copy_view = "crop_resize" if X.ndim == 4 else None
    if copy_view is None:
        return lambda rows, index: rows
    if isinstance(copy_view, str):
        if X.ndim != 4:
            raise ValueError(
                f"copy_view={copy_view!r} is for images of shape (n_samples, C, H, W); "
                f"X has shape {X.shape}. Pass second views of all rows as X_copy."
            )
        return lambda rows, index: VIEWS[copy_view](rows)
    n_arguments = 2 if _takes_index(copy_view) else 1

    def view(rows, index):
        given = (rows.copy(), index)[:n_arguments]
        return _checked(estimator, copy_view(*given), rows, "the result of copy_view")

    return view


def _takes_index(view):
    """Return whether a callable has two parameters without a default."""
    try:
        parameters = inspect.signature(view).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    needed = [p for p in parameters if p.kind in positional and p.default is p.empty]
    return len(needed) >= 2


def _checked(estimator, view, like, name):
    """Return a view as an array like the rows that it shows, or refuse it."""
    try:
        view = check_rows(estimator, view, on_disk=True)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error
    if view.shape != like.shape:
        raise ValueError(
            f"{name} must have the shape of the rows that it shows, {like.shape}; got "
            f"{view.shape}."
        )
    if view.dtype != like.dtype:
        raise ValueError(
            f"{name} must have numbers of the same kind as X, {like.dtype}; got "
            f"{view.dtype}. Bytes are images in [0, 255]."
        )
    return view
