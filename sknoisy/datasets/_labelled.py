"""What a loader returns: images, given labels, and what is known about both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from sknoisy._row_source import RowSource

__all__ = ["LabelledImages"]


@dataclass(repr=False)
class LabelledImages:
    """Images with their given labels.

    Parameters
    ----------
    images : RowSource or ndarray of shape (n_samples, channels, height, width)
        X for ``fit``: on disk, or uint8 in memory.
    labels : ndarray of shape (n_samples,), dtype str
        Names of the given classes: y for ``fit``.
    classes : ndarray of shape (n_classes,), dtype str
        Names of the classes, in the order of the data set.
    clean_labels : ndarray of shape (n_samples,), dtype str, default=None
        Names of the true classes, where they are known; "" for a row whose true class
        is not.
    names : ndarray of shape (n_samples,), dtype object, default=None
        File of each image, relative to the folder.
    skipped : list of (str, str), default=[]
        Files that were left out, and why.
    duplicates : list of ndarray of int, default=[]
        Rows whose files have the same content, for each such content.

    See Also
    --------
    load_image_folder : Make one from a folder or a table.
    """

    images: RowSource | NDArray[Any]
    labels: NDArray[Any]
    classes: NDArray[Any]
    clean_labels: NDArray[Any] | None = None
    names: NDArray[Any] | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)
    duplicates: list[NDArray[np.int64]] = field(default_factory=list)

    @property
    def codes(self) -> NDArray[np.int64]:
        """Position of each given label in ``classes``."""
        return _codes_of(self.labels, self.classes)

    @property
    def clean_codes(self) -> NDArray[np.int64] | None:
        """Position of each true label in ``classes``, -1 for ""; None without them."""
        if self.clean_labels is None:
            return None
        return _codes_of(self.clean_labels, self.classes)

    @property
    def conflicts(self) -> list[NDArray[np.int64]]:
        """Those duplicates that have different labels, so that some are wrong."""
        return [rows for rows in self.duplicates if len(set(self.labels[rows])) > 1]

    def take(self, rows: ArrayLike) -> LabelledImages:
        """Return some of the rows.

        Parameters
        ----------
        rows : array-like of int or bool
            Their numbers, or a mask.

        Returns
        -------
        part : LabelledImages
            With all ``classes``; without ``skipped`` and ``duplicates``.
        """
        index = np.arange(len(self))[np.asarray(rows)]
        clean, names = self.clean_labels, self.names
        return LabelledImages(
            self.images[index],
            self.labels[index],
            self.classes,
            None if clean is None else clean[index],
            None if names is None else names[index],
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.images.shape[1:]))
        return f"<LabelledImages: {len(self)} of {shape}, {len(self.classes)} classes>"


def _codes_of(labels, classes):
    order = np.argsort(classes, kind="stable")
    if not len(labels):
        return np.zeros(0, dtype=np.int64)
    places = np.searchsorted(classes[order], labels).clip(max=len(classes) - 1)
    codes = order[places]
    return np.where(classes[codes] == labels, codes, -1)
