"""Rows that stay where they are, for tests: they tell what was fetched."""

import numpy as np

from sknoisy.datasets import RowSource


class Shelf(RowSource):
    """The rows of an array, of which at most ``limit`` may be fetched at a time."""

    def __init__(self, rows, limit=2**30):
        self.rows, self.limit = rows, limit
        self.shape, self.dtype = rows.shape, rows.dtype
        self.fetched = []

    def fetch(self, index):
        index = np.asarray(index)
        assert len(index) <= self.limit, "all rows were asked for at once"
        self.fetched.append(index)
        return self.rows[index]


class Shaking(Shelf):
    """Rows that are shifted at random in training, and by 100 where labels are judged.

    The rows of a subset, or of a judged copy, are noted here, too.
    """

    changes_rows = True

    def __init__(self, rows, shift=0.0):
        super().__init__(rows)
        self.shift, self.seeds = shift, []

    def fetch(self, index):
        return super().fetch(index) + np.float32(self.shift)

    def fetch_changed(self, index, seed):
        self.seeds.append(seed)
        noise = np.random.default_rng(seed).normal(size=(len(index), 1))
        return super().fetch(index) + noise.astype(np.float32)

    def judged(self):
        copy = Shaking(self.rows, 100.0)
        copy.fetched, copy.seeds = self.fetched, self.seeds
        return copy
