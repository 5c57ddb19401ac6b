"""What encoders of images and texts share: the contract, and rows found or computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from sknoisy._documentation import DOC_LINK_MODULE, DOC_LINK_TEMPLATE
from sknoisy._labels import is_of

if TYPE_CHECKING:
    import torch

    from sknoisy._types import FloatArray
    from sknoisy.encoders._row_cache import RowCache

__all__ = ["EncoderMixin", "device_of", "fill_rows"]


class EncoderMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """The contract of encoders, which learn nothing but the number of features.

    A subclass has ``_rows(X)``, and ``_first_row(X)``, the first one that there is.
    """

    _doc_link_module = DOC_LINK_MODULE
    _doc_link_template = DOC_LINK_TEMPLATE

    # The model, which is loaded again: it is neither pickled nor saved.
    fit_only_attributes_ = ("_loaded",)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and X, and encode one row for the number of features.

        An encoder needs no `fit`; without it, it does not know the names of its
        features.

        Parameters
        ----------
        X : object
            As for `transform`.
        y : None
            Not used.

        Returns
        -------
        self : object
            The encoder.
        """
        self.n_features_out_ = self._first_row(X).shape[1]
        return self

    def fit_transform(self, X: Any, y: Any = None) -> FloatArray:
        """Encode X, and learn the number of features.

        Parameters
        ----------
        X : object
            As for `transform`.
        y : None
            Not used.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features_out), dtype float32
            One row for each image or text.
        """
        rows = self._rows(X)
        self.n_features_out_ = rows.shape[1]
        return rows

    @property
    def _n_features_out(self) -> int:
        return self.n_features_out_

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_loaded", None)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def device_of(device: Any) -> torch.device:
    """Return the torch device of a parameter.

    Parameters
    ----------
    device : str, torch.device or None
        None is CUDA if available, else the CPU.

    Returns
    -------
    device : torch.device

    Raises
    ------
    TypeError
        If it is anything else.
    ValueError
        If there is no such device.
    """
    from sknoisy.nets._device import resolve_device

    if (
        device is not None
        and not isinstance(device, str)
        and not is_of(device, "torch")
    ):
        raise TypeError(f"device must be a str, torch.device or None; got {device!r}.")
    return resolve_device(device)


def fill_rows(
    n_rows: int,
    keys: Sequence[bytes | None] | None,
    caches: Sequence[RowCache],
    compute: Callable[[Sequence[int]], Iterable[tuple[Sequence[int], Sequence[Any]]]],
    n_views: int = 1,
) -> list[Any]:
    """Return rows, of which those in a cache are not computed.

    Parameters
    ----------
    n_rows : int
    keys : sequence of bytes or None
        Of the content of each row; None for a row that has none. None without caches.
    caches : sequence of RowCache
        One for each view; empty without.
    compute : callable
        From indices to pairs of some of these indices and, for each view, their rows.
    n_views : int, default=1

    Returns
    -------
    views : list of ndarray of shape (n_rows, n_features), dtype float32
        NaN where nothing was found or computed; None if there is nothing at all.

    Raises
    ------
    ValueError
        If rows differ in length.
    """
    keys = keys or [None] * n_rows
    content = [key for key in keys if key is not None]
    known = [cache.find(content) for cache in caches]
    views: list[Any] = [None] * n_views
    try:
        for index, blocks in compute(_unknown(keys, known)):
            for v, block in enumerate(blocks):
                views[v] = _put(views[v], n_rows, index, block)
                for i, row in zip(index, block, strict=True):
                    key = keys[i]
                    if key is not None:
                        known[v][key] = row
                        caches[v].add(key, row)
    finally:
        for cache in caches:
            cache.write()
    for v, rows in enumerate(known):
        found = [(i, rows[key]) for i, key in enumerate(keys) if key in rows]
        if found:
            index, block = zip(*found, strict=True)
            views[v] = _put(views[v], n_rows, index, np.stack(block))
    return views


def _unknown(keys, known):
    """Return the rows to compute; of several with the same content the first."""
    seen: set[bytes] = set()
    todo = []
    for i, key in enumerate(keys):
        if key is None or (key not in seen and not all(key in rows for rows in known)):
            todo.append(i)
        seen.add(key)
    return todo


def _put(rows, n_rows, index, block):
    """Write some rows, into a new array if there is none yet."""
    if rows is None:
        rows = np.full((n_rows, block.shape[1]), np.nan, dtype=np.float32)
    if block.shape[1] != rows.shape[1]:
        raise ValueError(
            f"model returns rows of {rows.shape[1]} and of {block.shape[1]} features."
        )
    rows[list(index)] = block
    return rows
