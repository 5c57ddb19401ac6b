"""Rows that stay on disk, or wherever they are, until some of them are fetched."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from sknoisy._image_rows import refuse_channels_last
from sknoisy._labels import is_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ForeignRows",
    "RowSource",
    "SelectedRows",
    "check_row_source",
    "is_row_source",
]

_DTYPES = (np.dtype(np.float32), np.dtype(np.uint8))


class RowSource:
    """Rows that are fetched by their numbers, some at a time.

    A subclass has ``shape``, ``dtype`` and `fetch`. It can be X of every classifier and
    detector that reads batches, step of a ``Pipeline``, and X of ``cross_validate``;
    what needs all rows at once refuses it.

    Attributes
    ----------
    shape : tuple of int
        Number of rows, then the shape of a row.
    dtype : numpy dtype
        uint8 for images in [0, 255], else float32.
    changes_rows : bool
        Whether `fetch_changed` changes rows at random, as for training. Default False.
    reads_ahead : bool
        Whether another thread may fetch rows while a network learns the ones before.
        Default True; False suits a connection that belongs to one thread.
    fetch_bytes : int
        Several batches are fetched at a time, up to so many bytes. Default 0: each on
        its own. Rows that are stored in blocks are read faster in larger portions.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy import NetClassifier
    >>> from sknoisy.datasets import RowSource
    >>> class Squares(RowSource):
    ...     shape, dtype = (100, 2), np.dtype(np.float32)
    ...
    ...     def fetch(self, index):
    ...         return np.stack([index, np.square(index)], axis=1).astype(np.float32)
    >>> rows = Squares()
    >>> rows[3], rows[90:].shape
    (array([3., 9.], dtype=float32), (10, 2))
    >>> NetClassifier(max_epochs=1).fit(rows, np.arange(100) % 2).predict(rows).shape
    (100,)
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    changes_rows = False
    reads_ahead = True
    fetch_bytes = 0
    # How a user gets all rows, in messages.
    whole = "X.load()"
    # Tells apart trainings that are resumed from a file; None compares nothing.
    fingerprint: Any = None

    def fetch(self, index: ArrayLike) -> NDArray[Any]:
        """Return some rows.

        Parameters
        ----------
        index : array-like of shape (n,), dtype int
            Numbers of the rows, from 0.

        Returns
        -------
        rows : ndarray of shape (n, ...)
            In the order of ``index``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method fetch.")

    def fetch_changed(self, index: ArrayLike, seed: int) -> NDArray[Any]:
        """Return some rows as a network trains on them; here as they are.

        Parameters
        ----------
        index : array-like of shape (n,), dtype int
            Numbers of the rows, from 0.
        seed : int
            From which all random changes are drawn.

        Returns
        -------
        rows : ndarray of shape (n, ...)
            In the order of ``index``.
        """
        return self.fetch(index)

    def judged(self) -> RowSource:
        """Return the rows as they are when given labels are scored; here as they are.

        Returns
        -------
        rows : RowSource
            As many rows, of the same shape.
        """
        return self

    def before_shuffling(self) -> None:
        """Prepare for rows fetched in random order, pass after pass; here not at all.

        A network calls it before it trains.
        """

    def load(self) -> NDArray[Any]:
        """Return all rows, which must fit in memory.

        Returns
        -------
        rows : ndarray of shape (n_rows, ...)
            In their order.
        """
        return self.fetch(np.arange(len(self)))

    @property
    def ndim(self) -> int:
        """Number of dimensions, that of the rows included."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that all rows would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Any:
        """Return one row for an int, else a source of the selected rows."""
        if isinstance(rows, tuple):
            # scikit-learn asks for X[rows, ...].
            if len(rows) != 2 or rows[1] is not Ellipsis:
                raise TypeError(
                    f"{type(self).__name__} is indexed by rows alone; fetch some, and "
                    "index the array."
                )
            rows = rows[0]
        index = np.arange(len(self))[rows]
        if index.ndim == 0:
            return self.fetch(index[None])[0]
        return SelectedRows(self, index)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        raise TypeError(
            f"an array of all rows is asked for, but {_advice(self)} Networks read "
            "batches. Detectors of held-out predictions also take a classifier with "
            "partial_fit, such as make_pipeline(StandardScaler(), "
            'SGDClassifier(loss="log_loss")).'
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of shape {self.shape}, {self.dtype}>"


class SelectedRows(RowSource):
    """Some rows of a source.

    Parameters
    ----------
    source : RowSource
    index : ndarray of shape (n,), dtype int64
    """

    source: RowSource
    index: NDArray[np.int64]

    def __init__(self, source: RowSource, index: NDArray[np.int64]) -> None:
        if isinstance(source, SelectedRows):
            index = source.index[index]
            source = source.source
        self.source, self.index = source, index
        self.shape = (len(index), *source.shape[1:])
        self.dtype, self.changes_rows = source.dtype, source.changes_rows
        self.reads_ahead, self.fetch_bytes = source.reads_ahead, source.fetch_bytes
        if source.fingerprint is not None:
            self.fingerprint = source.fingerprint, zlib.crc32(index.tobytes())

    def fetch(self, index: ArrayLike) -> NDArray[Any]:
        """Return some of the selected rows."""
        return self.source.fetch(self.index[np.asarray(index)])

    def fetch_changed(self, index: ArrayLike, seed: int) -> NDArray[Any]:
        """Return some of the selected rows as a network trains on them."""
        return self.source.fetch_changed(self.index[np.asarray(index)], seed)

    def judged(self) -> RowSource:
        """Return the selected rows as they are when given labels are scored."""
        source = self.source.judged()
        return self if source is self.source else SelectedRows(source, self.index)

    def before_shuffling(self) -> None:
        """Prepare for rows fetched in random order."""
        self.source.before_shuffling()


class ForeignRows(RowSource):
    """The rows of an object that has ``shape``, a length and ``fetch``.

    Parameters
    ----------
    rows : object
    """

    # It does not say that it may be read by another thread.
    reads_ahead = False

    def __init__(self, rows: Any) -> None:
        self.rows, self.shape = rows, tuple(rows.shape)
        first = np.asarray(rows.fetch(np.arange(1))) if len(rows) else np.zeros(0, "f4")
        is_bytes = first.dtype == np.uint8
        self.dtype = np.dtype(np.uint8 if is_bytes else np.float32)

    def fetch(self, index: ArrayLike) -> NDArray[Any]:
        """Return some rows."""
        rows = np.asarray(self.rows.fetch(np.asarray(index)))
        return rows.astype(self.dtype, copy=False)


def is_row_source(X: object) -> bool:
    """Return whether X has ``fetch``, ``shape`` and a length, and is no torch Dataset.

    Parameters
    ----------
    X : object

    Returns
    -------
    flag : bool
    """
    if isinstance(X, RowSource):
        return True
    is_like = callable(getattr(X, "fetch", None)) and hasattr(X, "shape")
    return is_like and hasattr(X, "__len__") and not is_of(X, "torch")


def check_row_source(
    X: Any,
    name: str,
    *,
    min_samples: int = 1,
    takes: bool = True,
    instead: str = "",
) -> RowSource:
    """Check rows on disk by their shape and by one row.

    Parameters
    ----------
    X : RowSource, or object with ``shape``, a length and ``fetch``
    name : str
        Name of the estimator, for messages.
    min_samples : int, default=1
    takes : bool, default=True
        Whether the estimator reads rows batch by batch.
    instead : str, default=""
        What to do if the estimator does not, for the message.

    Returns
    -------
    X : RowSource

    Raises
    ------
    TypeError
        If the estimator needs all rows at once.
    ValueError
        If there are too few rows, or if the rows are not of the given shape and dtype.
    """
    rows = X if isinstance(X, RowSource) else ForeignRows(X)
    if not takes:
        instead = f" Or {instead}." if instead else ""
        raise TypeError(f"{name} needs all rows at once, but {_advice(rows)}{instead}")
    if len(rows) < min_samples:
        raise ValueError(
            f"Found array with {len(rows)} sample(s) (shape={rows.shape}) while a "
            f"minimum of {min_samples} is required by {name}."
        )
    refuse_channels_last(rows.shape)
    first = np.asarray(rows.fetch(np.arange(1)))
    if first.shape != (1, *rows.shape[1:]) or first.dtype not in _DTYPES:
        raise ValueError(
            f"{type(X).__name__} says that it has rows of shape {rows.shape[1:]} and "
            f"should fetch them as uint8 or float32, but fetch([0]) returned an array "
            f"of shape {first.shape} and {first.dtype}."
        )
    return rows


def _advice(rows):
    size = f"{rows.nbytes / 2**20:,.0f} MiB"
    encode = ", or features by an ImageEncoder" if rows.ndim == 4 else ""
    return (
        f"the rows of {type(rows).__name__} are not in memory. If {size} fit there, "
        f"pass {rows.whole}{encode}."
    )
