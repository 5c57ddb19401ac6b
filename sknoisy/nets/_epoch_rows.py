"""Which rows an epoch has, and in which order: all of them, or a draw of each class."""

from __future__ import annotations

import numpy as np
import torch

from sknoisy._arguments import check_counts
from sknoisy._planting._corruption import rank_in_class

__all__ = ["EpochRows", "batch_bounds"]


class EpochRows:
    """The rows of one pass, drawn anew for each.

    Parameters
    ----------
    n_rows : int
    codes : ndarray of shape (n_rows,), dtype int64, or None
        Label codes, by which classes are balanced.
    batch_size : int >= 1
    shuffle, drop_last : bool
    balance : bool
        Whether each class has equally many rows: the quota is the number of rows over
        the number of classes, rounded up. No row is drawn twice, so a smaller class is
        taken whole, and the pass is shorter.
    batches_per_epoch : int >= 1 or None
        Largest number of batches. None takes all rows, or with ``balance`` as many of
        each class as the smallest one has.
    processes : Processes or None, default=None
        Those that train together: ``bounds`` are the share of this one in each batch.

    Raises
    ------
    TypeError, ValueError
        If a value is invalid, or if rows are to be drawn in their order.
    """

    def __init__(
        self,
        n_rows,
        codes,
        batch_size,
        shuffle,
        drop_last,
        balance,
        batches_per_epoch,
        processes=None,
    ):
        check_counts(batch_size=batch_size)
        if not isinstance(balance, bool | np.bool_):
            raise TypeError(f"balance must be True or False; got {balance!r}.")
        if batches_per_epoch is not None:
            check_counts(batches_per_epoch=batches_per_epoch)
        _refuse_fixed_order(shuffle, balance, batches_per_epoch, codes)
        self.n_rows, self.shuffle, self.is_drawn = n_rows, shuffle, False
        self.n_drawn, self.codes = n_rows, None
        wanted = None if batches_per_epoch is None else batches_per_epoch * batch_size
        if wanted is not None and wanted < n_rows:
            self.n_drawn, self.is_drawn = wanted, True
        if balance:
            self._balance(codes, wanted)
        self.processes = processes
        least = 2 if processes is None else 2 * processes.count
        if processes is not None and batch_size < least:
            raise ValueError(
                f"batch_size={batch_size} rows are shared by {processes.count} "
                f"processes, which need two rows each: raise it to {least} or more."
            )
        self.bounds = batch_bounds(self.n_drawn, batch_size, drop_last, least)
        if processes is not None and self.n_drawn >= least:
            self.bounds = [processes.share_of(*bounds) for bounds in self.bounds]

    def _balance(self, codes, wanted):
        counts = np.unique(codes, return_counts=True)[1]
        if wanted is None:
            wanted = int(counts.min()) * len(counts)
        self.quota = -(-wanted // len(counts))
        self.n_drawn = min(wanted, int(np.minimum(counts, self.quota).sum()))
        self.codes, self.is_drawn = codes, True

    def draw(self) -> torch.Tensor:
        """Return places among the rows, in the order of the pass.

        Returns
        -------
        order : Tensor of shape (n_drawn,), dtype int64
            On the CPU, drawn from torch's generator; by the first of several processes.
        """
        if not self.shuffle:
            return torch.arange(self.n_rows)
        order = self._drawn()
        return order if self.processes is None else self.processes.of_first(order)

    def _drawn(self):
        order = torch.randperm(self.n_rows)
        if self.codes is not None:
            codes = self.codes[order.numpy()]
            order = order[torch.from_numpy(rank_in_class(codes) < self.quota)]
        if self.is_drawn:
            # What comes last in the first order is mostly of rare classes.
            order = order[: self.n_drawn]
            order = order[torch.randperm(len(order))]
        return order


def batch_bounds(n_rows, batch_size, drop_last, least=2):
    """Return where each batch starts and stops.

    Parameters
    ----------
    n_rows : int
    batch_size : int >= 1
    drop_last : bool
        Whether a last batch that is not full is dropped, unless it is the only one.
    least : int, default=2
        A last batch of fewer rows is added to the one before it.

    Returns
    -------
    bounds : list of (int, int)
    """
    check_counts(batch_size=batch_size)
    starts = list(range(0, n_rows, batch_size))
    is_full = n_rows % batch_size == 0
    if len(starts) > 1 and not is_full:
        if drop_last:
            n_rows = starts.pop()
        elif n_rows % batch_size < least:
            starts.pop()
    return list(zip(starts, [*starts[1:], n_rows], strict=True))


def _refuse_fixed_order(shuffle, balance, batches_per_epoch, codes):
    given = {"balance": balance, "batches_per_epoch": batches_per_epoch is not None}
    given = [name for name, is_set in given.items() if is_set]
    if given and not shuffle:
        raise ValueError(
            f"{' and '.join(given)} would leave the same rows out of each pass with "
            "shuffle=False; rows that are scored are all needed. Set it for "
            "iterator_train only."
        )
    if balance and codes is None:
        raise ValueError("balance=True needs label codes, and the dataset has none.")
