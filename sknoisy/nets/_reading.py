"""Read the batches to come while a network learns from the present one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["PortionReader", "read_ahead"]


class PortionReader:
    """Batches of rows on disk: several are fetched at a time, those to come ahead.

    Parameters
    ----------
    dataset : ArrayDataset
    order : iterable
        Yields row numbers of each batch, or pairs of them and a seed.
    n_rows : int
        About so many rows are fetched at a time, at least those of one batch.
    ahead : bool
        Whether another thread reads the next portion.
    pin_memory : bool
        Whether the rows are put where a device can copy them from.
    """

    def __init__(
        self, dataset: Any, order: Any, n_rows: int, ahead: bool, pin_memory: bool
    ) -> None:
        self.dataset, self.order, self.n_rows = dataset, order, n_rows
        self.ahead, self.pin_memory = ahead, pin_memory

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[Any, Any, Any]]:
        reading = read_ahead if self.ahead else map
        for portion in reading(self._read, self._portions()):
            yield from portion

    def _portions(self):
        """Yield lists of batches; one with a seed is on its own."""
        portion: list[Any] = []
        for batch in self.order:
            if isinstance(batch, tuple):
                yield [batch]
                continue
            portion.append(batch)
            if sum(map(len, portion)) + len(batch) > self.n_rows:
                yield portion
                portion = []
        if portion:
            yield portion

    def _read(self, portion):
        if isinstance(portion[0], tuple):
            return [self._pinned(self.dataset.fetch(*portion[0]))]
        rows = self._pinned(self.dataset.fetch(np.concatenate(portion)))
        sizes = [len(batch) for batch in portion]
        X, y, index = (
            [None] * len(sizes) if t is None else t.split(sizes) for t in rows
        )
        return list(zip(X, y, index, strict=True))

    def _pinned(self, rows):
        if not self.pin_memory:
            return rows
        return tuple(None if t is None else t.pin_memory() for t in rows)


def read_ahead(read: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
    """Map a function over tasks; a thread computes the next result meanwhile.

    A thread ends with its task, so that an iteration that is given up leaves none.

    Parameters
    ----------
    read : callable
        Called in the order of the tasks, once at a time.
    tasks : iterable
        Advanced in the caller's thread.

    Yields
    ------
    result : object
        What ``read`` returned.

    Raises
    ------
    BaseException
        What ``read`` raised, with its traceback, when it is the turn of its result.
    """
    pending = None
    try:
        for task in tasks:
            result = () if pending is None else (pending.result(),)
            pending = _Reading(read, task)
            yield from result
            # Two portions would otherwise be kept while a third is read.
            del result
        if pending is not None:
            yield pending.result()
    finally:
        if pending is not None:
            pending.join()


class _Reading(threading.Thread):
    """A thread that calls a function with one argument, and ends."""

    def __init__(self, read, task):
        super().__init__(name="sknoisy-reading")
        self.read, self.task = read, task
        self.found = self.error = None
        self.start()

    def run(self):
        try:
            self.found = self.read(self.task)
        except BaseException as error:
            self.error = error

    def result(self):
        """Wait, and return what the function returned, or raise what it raised."""
        self.join()
        if self.error is not None:
            raise self.error
        found, self.found = self.found, None
        return found
