"""Batches with the numbers of their rows, and the iterators that yield them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from skorch.dataset import Dataset as SkorchDataset
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from sknoisy._row_source import RowSource
from sknoisy.nets._device_kinds import pins_memory
from sknoisy.nets._epoch_rows import EpochRows
from sknoisy.nets._layout import laid_out
from sknoisy.nets._reading import PortionReader

if TYPE_CHECKING:
    from sknoisy._types import Device, IntArray

__all__ = ["ArrayDataset", "Batch", "LoaderBatches", "TensorBatches", "to_float"]


class Batch(tuple[Any, Any]):
    """A pair (X, y) that also carries the row numbers of its samples.

    It unpacks as a plain 2-tuple, so skorch and its callbacks treat it as one.

    Parameters
    ----------
    X : Tensor of shape (batch, ...)
        Rows of the batch.
    y : Tensor of shape (batch,) or None
        Label codes of the rows; None for prediction.
    index : Tensor of shape (batch,), dtype int64, or None
        Row numbers in the X given to ``fit``; None if the iterator does not provide
        them.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import Batch
    >>> batch = Batch(torch.zeros(2, 3), torch.tensor([0, 1]), torch.tensor([7, 4]))
    >>> X, y = batch
    >>> batch.index.tolist()
    [7, 4]
    """

    # It hides tuple.index, which no reader of a batch needs.
    index: torch.Tensor | None  # type: ignore[assignment]

    def __new__(cls, X, y, index):
        """Create the pair and attach the row numbers."""
        batch = super().__new__(cls, (X, y))
        batch.index = index
        return batch

    def __reduce__(self):
        return type(self), (*self, self.index)


class ArrayDataset(Dataset[Any]):
    """Checked rows and label codes, as the net's iterators read them.

    Parameters
    ----------
    features : ndarray of shape (n_samples, ...), RowSource or torch Dataset
        Rows as float32 or uint8. A torch Dataset yields a row, or a pair whose first
        part is the row.
    codes : ndarray of shape (n_samples,), dtype int64, default=None
        Encoded labels; None for prediction.

    Raises
    ------
    ValueError
        If the two lengths differ.
    """

    # A device, and the rows and codes that are there.
    _there: tuple[torch.device, torch.Tensor, torch.Tensor | None] | None

    # Not named X and y on purpose: skorch would score these arrays, and compare decoded
    # labels with codes. `LabelledRows` has labels.
    def __init__(self, features: Any, codes: IntArray | None = None) -> None:
        for name, rows in (("features", features), ("codes", codes)):
            if not hasattr(rows, "__len__") and (rows is not None or name != "codes"):
                raise TypeError(f"{name} must have a length; got {rows!r}.")
        self.features = features
        self.codes = codes
        self._there = None
        if codes is not None and len(codes) != len(features):
            raise ValueError(f"{len(features)} rows but {len(codes)} labels.")

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, row: Any) -> Any:
        X, y, _ = self.fetch([row])
        return X[0], 0 if y is None else y[0]

    def on(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return all rows and codes as tensors on a device, copied there once.

        Parameters
        ----------
        device : torch.device
            Device of the tensors.

        Returns
        -------
        X, y : Tensors
            On the device; y is None if there are no labels.
        """
        if self._there is None or self._there[0] != device:
            y = None if self.codes is None else _as_tensor(self.codes).to(device)
            self._there = device, _as_tensor(self.features).to(device), y
        return self._there[1:]

    @property
    def on_disk(self) -> bool:
        """Whether rows are read one batch at a time, by `LoaderBatches`."""
        return isinstance(self.features, Dataset | RowSource)

    def fetch(
        self, rows: torch.Tensor | Sequence[int], seed: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Return X, y and row numbers of some rows, as tensors on the CPU.

        Parameters
        ----------
        rows : Tensor of shape (n,), dtype int64
            Row numbers in the X given to ``fit``.
        seed : int or None, default=None
            If given, a `RowSource` returns rows changed as for training.

        Returns
        -------
        X, y, index : Tensors
            On the CPU; y is None if there are no labels.
        """
        numbers = np.asarray(rows)
        if isinstance(self.features, Dataset):
            X = default_collate([_first(self.features[int(row)]) for row in numbers])
        elif isinstance(self.features, RowSource):
            X = torch.from_numpy(_fetched(self.features, numbers, seed))
        else:
            X = torch.from_numpy(np.ascontiguousarray(self.features[numbers]))
        y = None if self.codes is None else torch.from_numpy(self.codes[numbers])
        return X, y, torch.from_numpy(numbers)


class LabelledRows(ArrayDataset, SkorchDataset):
    """The rows of a training, with X and y for skorch's scores.

    Parameters
    ----------
    features : ndarray of shape (n_samples, ...)
    codes : ndarray of shape (n_samples,), dtype int64
    classes : ndarray of shape (n_classes,)
        The labels of the codes.
    """

    def __init__(self, features, codes, classes):
        ArrayDataset.__init__(self, features, codes)
        self.classes = classes

    @property
    def X(self):
        """The rows, an ndarray."""
        return self.features

    @property
    def shape(self):
        """Shape of the rows, which skorch's InputShapeSetter reads."""
        return self.features.shape

    @property
    def y(self):
        """The given labels, which scores compare with predictions."""
        return self.classes[self.codes]


class TensorBatches:
    """Batches sliced from tensors that are on the device.

    Parameters
    ----------
    dataset : ArrayDataset or Subset of one
        Its rows must fit in the device's memory, else use `LoaderBatches`.
    batch_size : int, default=128
        A last batch of a single row is added to the one before it, because batch
        normalisation fails on one row.
    shuffle : bool, default=False
        Whether to draw a new order at each pass, from torch's generator of the CPU.
    drop_last : bool, default=False
        Whether to drop a last batch that is not full, unless it is the only one.
    device : str or torch.device, default=None
        Device to which the tensors are copied once; None keeps them on the CPU.
    memory_format : {"contiguous", "channels_last"}, default="contiguous"
        Memory format of images.
    balance : bool, default=False
        Whether a pass has equally many rows of each class, drawn anew for each pass;
        no row is drawn twice, so a class that is too small is taken whole. For
        training, as is ``batches_per_epoch``: it needs ``shuffle``.
    batches_per_epoch : int >= 1 or None, default=None
        Largest number of batches of a pass. None takes all rows; with ``balance`` as
        many rows of each class as the smallest one has.
    processes : object, default=None
        Set by a net with ``distributed=True``: batches then have the share of one
        process.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.nets import ArrayDataset, TensorBatches
    >>> data = ArrayDataset(np.zeros((5, 2), np.float32), np.array([0, 1, 0, 1, 0]))
    >>> [batch.index.tolist() for batch in TensorBatches(data, batch_size=2)]
    [[0, 1], [2, 3, 4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 128,
        shuffle: bool = False,
        drop_last: bool = False,
        device: Device = None,
        memory_format: str = "contiguous",
        balance: bool = False,
        batches_per_epoch: int | None = None,
        processes: Any = None,
    ) -> None:
        base, rows = resolve_subset(dataset)
        if not isinstance(base, ArrayDataset) or base.on_disk:
            raise TypeError(
                "TensorBatches needs rows that are in memory as an array; for "
                f"{type(getattr(base, 'features', base)).__name__} set "
                "iterator_train=LoaderBatches and iterator_valid=LoaderBatches."
            )
        device = torch.device(device or "cpu")
        self.X, self.y = base.on(device)
        self.memory_format = memory_format
        # None stands for all rows: batches in order are then slices.
        self.rows = None if rows is None else torch.from_numpy(rows).to(device)
        self.n_rows = len(base) if rows is None else len(rows)
        how = batch_size, shuffle, drop_last, balance, batches_per_epoch, processes
        self.epoch_rows = EpochRows(self.n_rows, _codes(base, rows), *how)
        self.bounds = self.epoch_rows.bounds
        self.shuffle = shuffle

    def __len__(self) -> int:
        return len(self.bounds)

    def __iter__(self) -> Iterator[Batch]:
        if self.rows is None and not self.shuffle:
            yield from self._slices()
            return
        device = self.X.device
        if self.shuffle:
            order = self.epoch_rows.draw().to(device)
            order = order if self.rows is None else self.rows[order]
        else:
            order = cast("torch.Tensor", self.rows)
        for start, stop in self.bounds:
            index = order[start:stop]
            # The same rows as X[index], in a third of the time.
            y = None if self.y is None else self.y.index_select(0, index)
            yield Batch(self._prepared(self.X.index_select(0, index)), y, index)

    def _slices(self):
        index = torch.arange(self.n_rows, device=self.X.device)
        for start, stop in self.bounds:
            y = None if self.y is None else self.y[start:stop]
            # A copy: a module that works in place would change the user's X.
            X = self._prepared(self.X[start:stop].clone())
            yield Batch(X, y, index[start:stop])

    def _prepared(self, X):
        return laid_out(to_float(X), self.memory_format)


class LoaderBatches:
    """The batches of `TensorBatches` for data that do not fit in memory.

    A row source, such as a large ``np.memmap``, a Parquet file or a folder of images,
    is read by a thread that fetches batches ahead, if the source allows it. Other data,
    and all data if parameters of a loader are given, are read by a torch DataLoader
    that fetches a whole batch at a time. Its workers stay for the training.

    Parameters
    ----------
    dataset : ArrayDataset or Subset of one
        Rows to read.
    batch_size, shuffle, drop_last, device, memory_format, balance, batches_per_epoch
        As in `TensorBatches`.
    training : bool, default=False
        Whether a row source that changes rows for training does so. All changes are
        drawn from torch's generator of the CPU.
    processes : object, default=None
        As in `TensorBatches`.
    **loader_params : dict
        Passed to `torch.utils.data.DataLoader`, for example ``num_workers=4``. On Linux
        the workers are forked. A forked copy may wait for ever for a lock that a thread
        of joblib, dask or polars held: in a program with such threads pass
        ``multiprocessing_context="forkserver"``, too.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 128,
        shuffle: bool = False,
        drop_last: bool = False,
        device: Device = None,
        memory_format: str = "contiguous",
        balance: bool = False,
        batches_per_epoch: int | None = None,
        training: bool = False,
        processes: Any = None,
        **loader_params: Any,
    ) -> None:
        base, rows = resolve_subset(dataset)
        self.device = torch.device(device or "cpu")
        self.memory_format = memory_format
        how = batch_size, shuffle, drop_last, balance, batches_per_epoch, processes
        epoch_rows = EpochRows(len(dataset), _codes(base, rows), *how)
        self.bounds = epoch_rows.bounds
        changes = training and getattr(base.features, "changes_rows", False)
        if shuffle and isinstance(base.features, RowSource):
            base.features.before_shuffling()
        order = _BatchOrder(rows, epoch_rows, changes)
        pin_memory = pins_memory(self.device)
        if isinstance(base.features, RowSource) and not loader_params:
            self.loader = _reader(base, order, pin_memory)
            return
        self.loader = DataLoader(
            _Fetcher(base),
            sampler=order,
            batch_size=None,
            collate_fn=_identity,
            **{
                # The loader draws a seed for its workers at each pass. With torch's
                # generator that would change the order of the rows.
                "generator": torch.Generator(),
                "pin_memory": pin_memory,
                # A training has one loader, and keeps its workers.
                "persistent_workers": loader_params.get("num_workers", 0) > 0,
                **loader_params,
            },
        )

    def __len__(self) -> int:
        return len(self.bounds)

    def __iter__(self) -> Iterator[Batch]:
        for X, y, index in self.loader:
            X, index = self._sent(X), self._sent(index)
            y = None if y is None else self._sent(y)
            yield Batch(laid_out(to_float(X), self.memory_format), y, index)

    def _sent(self, tensor):
        """Return a tensor on the device; wait for the copy unless memory is pinned."""
        return tensor.to(self.device, non_blocking=tensor.is_pinned())


class PairBatches:
    """The batches of a loader that yields plain pairs (X, y), as torch's own does.

    They have no row numbers.

    Parameters
    ----------
    loader : iterable
        Yields pairs of tensors; a `Batch` is returned unchanged.
    device : torch.device
        Device of the tensors.

    Raises
    ------
    TypeError
        During iteration, if the loader yields anything else.
    """

    def __init__(self, loader, device):
        self.loader = loader
        self.device = device

    def __len__(self):
        return len(self.loader)

    def __getattr__(self, name):
        if name == "loader":
            # The attribute does not exist yet during unpickling.
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __iter__(self):
        for pair in self.loader:
            yield pair if isinstance(pair, Batch) else self._as_batch(pair)

    def _as_batch(self, pair):
        is_pair = isinstance(pair, tuple | list) and len(pair) == 2
        if not is_pair or not all(isinstance(part, torch.Tensor) for part in pair):
            raise TypeError(
                f"{type(self.loader).__name__} yields {type(pair).__name__}, not pairs "
                "(X, y) of tensors; use sknoisy.nets.TensorBatches or "
                "LoaderBatches."
            )
        X, y = (part.to(self.device) for part in pair)
        return Batch(to_float(X), y, None)


def _reader(dataset, order, pin_memory):
    """Return the batches of a row source, in the portions that suit it."""
    source = dataset.features
    row_bytes = source.nbytes // max(1, len(source))
    n_rows = source.fetch_bytes // max(1, row_bytes)
    return PortionReader(dataset, order, n_rows, source.reads_ahead, pin_memory)


class _Fetcher(Dataset[Any]):
    """A dataset that is indexed by the row numbers of a whole batch."""

    def __init__(self, base):
        self.base = base

    def __len__(self):
        return len(self.base)

    def __getitem__(self, rows):
        return (
            self.base.fetch(*rows) if isinstance(rows, tuple) else self.base.fetch(rows)
        )


class _BatchOrder:
    """Yields the row numbers of each batch, with a seed if rows are changed."""

    def __init__(self, rows, epoch_rows, changes):
        self.rows = rows
        self.epoch_rows = epoch_rows
        self.changes = changes

    def __len__(self):
        return len(self.epoch_rows.bounds)

    def __iter__(self):
        order = self.epoch_rows.draw().numpy()
        rows = order if self.rows is None else self.rows[order]
        # One draw for the pass: a loader with workers asks for batches in advance.
        seed = torch.randint(2**62, ()).item() if self.changes else 0
        for number, (start, stop) in enumerate(self.epoch_rows.bounds):
            batch = rows[start:stop]
            yield (batch, seed + number) if self.changes else batch


def _fetched(source, numbers, seed):
    """Return rows of a source as an array that torch takes; refuse undefined floats."""
    X = source.fetch(numbers) if seed is None else source.fetch_changed(numbers, seed)
    X = np.require(X, requirements=["C", "W"])
    if X.dtype != np.uint8 and not _are_finite(X):
        row = numbers[~np.isfinite(X).reshape(len(X), -1).all(axis=1)][0]
        raise ValueError(
            f"row {row} of {type(source).__name__} has NaN or infinite values; every "
            "row needs finite numbers."
        )
    return X


def _are_finite(X):
    """Return whether all floats are finite."""
    # One that is not makes the product NaN or infinite, which is faster to see.
    flat = X.ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.dot(flat, flat)) or np.isfinite(X).all())


def _identity(batch):
    return batch


def _first(item):
    row = item[0] if isinstance(item, tuple | list) else item
    if hasattr(row, "getbands"):
        # A PIL image: height, width and, if there are several, channels.
        row = np.atleast_3d(np.asarray(row)).transpose(2, 0, 1).copy()
    row = torch.as_tensor(row)
    return row if row.dtype == torch.uint8 else row.float()


def resolve_subset(dataset):
    """Return the dataset inside nested Subsets, and the row numbers in it.

    Parameters
    ----------
    dataset : Dataset or Subset of one

    Returns
    -------
    dataset : Dataset
        That inside.
    rows : ndarray of shape (n_rows,), dtype int64, or None
        None if it is no Subset.
    """
    rows = None
    while isinstance(dataset, Subset):
        indices = np.asarray(dataset.indices, dtype=np.int64)
        rows = indices if rows is None else indices[rows]
        dataset = dataset.dataset
    return dataset, rows


def _codes(base, rows):
    """Return the label codes of some rows; None if there are none."""
    codes = getattr(base, "codes", None)
    return codes if codes is None or rows is None else codes[rows]


def is_on_disk(dataset):
    """Return whether the rows of a dataset, or of one inside Subsets, are on disk.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    flag : bool
    """
    base, _ = resolve_subset(dataset)
    return isinstance(base, ArrayDataset) and base.on_disk


def _as_tensor(array):
    # torch refuses negative strides and warns of read-only memory; both are copied.
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def to_float(X):
    """Scale uint8 images to [0, 1]; they stay uint8 until here to save memory."""
    return X.float().div_(255) if X.dtype == torch.uint8 else X
