"""Rows of a batch whose labels are kept, rows whose labels are guessed, and losses."""

from typing import NamedTuple

import torch

from sknoisy.extending import Batch

__all__ = [
    "Reserve",
    "RowGroup",
    "endless",
    "joined",
    "on_unit_range",
    "with_other_views",
    "with_views",
]


class RowGroup(NamedTuple):
    """Views of some rows of a batch, and what is to be learnt of each.

    Parameters
    ----------
    views : list of Tensors of shape (n_rows, ...)
    targets : list of Tensors of shape (n_rows, n_classes)
        One for each view.
    """

    views: list[torch.Tensor]
    targets: list[torch.Tensor]


def with_views(group, views, targets, rows):
    """Return a group with more views of its rows.

    Parameters
    ----------
    group : RowGroup
    views : sequence of Tensors of shape (batch, ...)
        Of all rows of the batch.
    targets : Tensor of shape (batch, n_classes)
        What is to be learnt of each of these views.
    rows : slice
        Which rows of the batch the group has.

    Returns
    -------
    group : RowGroup
    """
    return RowGroup(
        [*group.views, *(view[rows] for view in views)],
        [*group.targets, *[targets[rows]] * len(views)],
    )


def with_other_views(group, views, rows):
    """Return a group with other views for its first two, of the same targets.

    Parameters
    ----------
    group : RowGroup
    views : sequence of Tensors of shape (batch, ...)
        Of all rows of the batch.
    rows : slice
        Which rows of the batch the group has.

    Returns
    -------
    group : RowGroup
    """
    return RowGroup(
        [*(view[rows] for view in views), *group.views[2:]],
        [group.targets[0]] * len(views) + group.targets[2:],
    )


def on_unit_range(losses):
    """Scale the losses of each network to [0, 1]; equal ones are 0."""
    low, high = losses.amin(1, keepdim=True), losses.amax(1, keepdim=True)
    tiny = torch.finfo(losses.dtype).tiny
    return (losses - low) / (high - low).clamp_min(tiny)


def endless(iterator):
    """Yield batches, in a new order whenever all have been seen."""
    while True:
        yield from iterator


def joined(first, second):
    """Return the rows of two batches as one."""
    X, y = (torch.cat(parts) for parts in zip(first, second, strict=True))
    return Batch(X, y, torch.cat([first.index, second.index]))


class Reserve:
    """Rows of endless passes, taken in numbers other than those of the batches.

    Parameters
    ----------
    batches : iterable of Batch
        All rows, in a new order each time.
    """

    def __init__(self, batches):
        self.batches = endless(batches)
        self.rest = next(self.batches)

    def take(self, n_rows):
        """Return the next rows.

        Parameters
        ----------
        n_rows : int

        Returns
        -------
        batch : Batch
        """
        rows = self.rest
        while len(rows.index) < n_rows:
            rows = joined(rows, next(self.batches))
        self.rest = _part(rows, slice(n_rows, None))
        return _part(rows, slice(n_rows))


def _part(batch, rows):
    X, y = batch
    return Batch(X[rows], y[rows], batch.index[rows])
