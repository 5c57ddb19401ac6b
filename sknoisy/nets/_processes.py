"""One fit by several processes: each trains on its share of the rows of every batch.

`torchrun` or `accelerate launch` starts a program several times. In each, the net
draws the same batches and takes its share of their rows; gradients are averaged after
each step, and states of the rows exchanged after each pass. DistributedDataParallel
would only see calls of a whole module, and methods call parts of theirs. The net asks
`Processes` at its seams, and methods know nothing of it.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from joblib import parallel_config
from torch import distributed
from torch.utils.data import Subset

from sknoisy.nets._device_kinds import take_device

__all__ = ["STOP", "Processes", "is_first_process", "joined"]

STOP = (
    "A callback that stops a training must do so in all of them: let it read losses "
    "and validation scores, which are the same, not scores of training rows."
)


@contextmanager
def joined(net):
    """Let a net train with the other processes of the launcher, if it is asked to.

    Parameters
    ----------
    net : NetClassifier
        ``processes_`` is set on it; None in a single process.

    Yields
    ------
    None

    Raises
    ------
    RuntimeError
        If torch cannot reach other processes, or this is a worker that the launcher
        did not start.
    """
    net.processes_ = Processes() if net.distributed and _are_several() else None
    is_alone = net.processes_ is None
    try:
        # All of them train each network of a race, in the same order.
        with nullcontext() if is_alone else parallel_config("sequential"):
            yield
    finally:
        vars(net).pop("processes_", None)


def is_first_process(net):
    """Return whether a net prints and writes: in the first process, or the only one."""
    processes = getattr(net, "processes_", None)
    return processes is None or processes.number == 0


def _are_several():
    """Return whether there are several processes; connect them if none has."""
    if not distributed.is_available():
        raise RuntimeError("distributed=True needs a torch with torch.distributed.")
    if not distributed.is_initialized():
        if int(os.environ.get("WORLD_SIZE", 1)) == 1:
            return False
        name = multiprocessing.current_process().name
        if name != "MainProcess":
            raise RuntimeError(
                "distributed=True trains with the processes that the launcher has "
                f"started, and {name} is a worker of one of them. Set n_jobs=1, or "
                "distributed=False."
            )
        take_device(int(os.environ.get("LOCAL_RANK", 0)))
        distributed.init_process_group()
        # Threads of the group that outlive it may abort the program as it ends.
        atexit.register(_disconnect)
    return distributed.get_world_size() > 1


def _disconnect():
    """End the connection to other processes, unless the program has done so."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


class Processes:
    """The processes that train a net together, as one of them sees them.

    Attributes
    ----------
    number, count : int
        Of this process, from 0; and of all.
    device : torch.device
        Of what is exchanged. Set by the net.
    """

    def __init__(self):
        self.number, self.count = distributed.get_rank(), distributed.get_world_size()
        self.device = torch.device("cpu")

    def total(self, tensor, operation="SUM"):
        """Replace a tensor on the device by the sum over all processes; return it."""
        if tensor.numel():
            with _answered():
                distributed.all_reduce(tensor, getattr(distributed.ReduceOp, operation))
        return tensor

    def of_first(self, tensor):
        """Return a tensor as the first process has it, where it was."""
        there = tensor.detach().to(self.device, copy=True).contiguous()
        if there.numel():
            with _answered():
                distributed.broadcast(there, 0)
        return there.to(tensor.device)

    def check_alike(self, facts, hint):
        """Refuse to go on if the processes differ.

        Parameters
        ----------
        facts : dict of str to object
            What must be the same in all of them.
        hint : str
            What the user can do, for the message.

        Raises
        ------
        RuntimeError
            In all processes.
        """
        mine = {name: repr(value) for name, value in facts.items()}
        of_all = [None] * self.count
        with _answered():
            distributed.all_gather_object(of_all, mine)
        for number, theirs in enumerate(of_all):
            for name in {**of_all[0], **theirs}:
                first, other = of_all[0].get(name), theirs.get(name)
                if first != other:
                    raise RuntimeError(
                        f"the processes differ in {name}: {_short(first)} in process "
                        f"0, {_short(other)} in process {number}. {hint}"
                    )

    def share_of(self, start, stop):
        """Return where the share of this process starts and stops in a batch."""
        n_rows = stop - start
        places = (start + n_rows * i // self.count for i in range(self.count + 1))
        return list(places)[self.number : self.number + 2]

    def part_of(self, dataset):
        """Return the rows that this process judges, and where they start."""
        start, stop = self.share_of(0, len(dataset))
        return Subset(dataset, np.arange(start, stop)), start

    def joined(self, part, start, n_rows):
        """Return the table of which each process has a part."""
        table = part.new_zeros((n_rows, *part.shape[1:]))
        table[start : start + len(part)] = part
        return self.total(table)

    def same_weights(self, net):
        """Give all processes the weights and states of the first."""
        with torch.no_grad():
            for _, tensor in _tensors(net):
                tensor.copy_(self.of_first(tensor))

    def average_gradients(self, net, step, index):
        """Average gradients over the rows of all processes; return the loss of all.

        Each counts by the number of its rows, or by the sum of their weights: this is
        the gradient of the whole batch where the loss is a mean over the rows.

        Parameters
        ----------
        net : NetClassifier
        step : Step
            Its gradients are computed.
        index : Tensor of shape (batch,), dtype int64

        Returns
        -------
        loss : Tensor of shape ()
        """
        weights = [p for group in net._param_groups() for p in group["params"]]
        loss = step.loss.detach().float().reshape(1)
        weight = loss.new_full((1,), len(index))
        if net.sample_weight_ is not None:
            weight = net.sample_weight_[index].sum().float().reshape(1)
        has = [p.grad is not None for p in weights]
        grads = (torch.zeros_like(p) if p.grad is None else p.grad for p in weights)
        grads = [grad.flatten().float() for grad in grads]
        flags = torch.tensor(has, dtype=torch.float32).to(self.device)
        total = torch.cat([weight, flags, loss, *grads])
        n = 1 + len(weights)
        total[n:] *= weight
        self.total(total)
        mean = total[n:].div_(total[0].clamp_min(1e-12))
        # Only a process that lacks a gradient must know who has it.
        any_has = [True] * len(has) if all(has) else (total[1:n] > 0).tolist()
        pieces = mean[1:].split([p.numel() for p in weights])
        for p, piece, there in zip(weights, pieces, any_has, strict=True):
            if p.grad is not None:
                p.grad.copy_(piece.view_as(p))
            elif there:
                p.grad = piece.view_as(p).to(p.dtype, copy=True)
        return mean[0]

    def begin_epoch(self, n_samples):
        """Forget which rows were seen."""
        self.step = 0
        self.seen = torch.full((n_samples,), -1, device=self.device)

    def noted(self, batches):
        """Yield batches, and note when this process saw their rows."""
        for batch in batches:
            # Another process may see the row in the same step, if it is repeated.
            self.seen[batch.index] = self.step * self.count + self.number
            self.step += 1
            yield batch

    def exchange(self, net):
        """Make the states of all processes the same after a pass.

        A row's state comes from the process that saw it last. Other states, such as
        statistics of batch normalisation, are averaged.
        """
        last = self.total(self.seen.clone(), "MAX")
        self.is_mine, self.is_unseen = (self.seen == last) & (last >= 0), last < 0
        for is_criterion, buffer in _tensors(net, buffers_only=True):
            is_of_rows = buffer.ndim and len(buffer) == len(last)
            if is_criterion and is_of_rows:
                buffer.copy_(self.of_rows(buffer))
            else:
                buffer.copy_(self._mean(buffer))

    def of_rows(self, table):
        """Return a table by row number with each row from where it was seen last."""
        shape = (-1, *[1] * (table.ndim - 1))
        is_mine, is_unseen = self.is_mine.view(shape), self.is_unseen.view(shape)
        numbers = table.to(torch.uint8) if table.dtype == torch.bool else table
        parts = torch.where(is_mine, numbers, torch.zeros_like(numbers))
        return torch.where(is_unseen, table, self.total(parts).to(table.dtype))

    def _mean(self, buffer):
        first = self.of_first(buffer)
        if not buffer.is_floating_point():
            return first
        # What is the same everywhere keeps its bits.
        rest = torch.where(buffer == first, torch.zeros_like(buffer), buffer - first)
        return first + self.total(rest) / self.count

    def add_batch_sizes(self, rows):
        """Let the history count the rows of whole batches."""
        sizes = [row["train_batch_size"] for row in rows]
        total = self.total(torch.tensor(sizes).to(self.device))
        for row, size in zip(rows, total.tolist(), strict=True):
            row["train_batch_size"] = size


def _short(text):
    return text if text is None or len(text) <= 120 else text[:120] + "…"


def _tensors(net, buffers_only=False):
    """Yield whether it is of a criterion, and each tensor of the parts of a net."""
    for slot in [*net._modules, *net._criteria]:
        part = getattr(net, slot + "_", None)
        if not isinstance(part, torch.nn.Module):
            continue
        if not buffers_only:
            yield from ((slot in net._criteria, p) for p in part.parameters())
        yield from ((slot in net._criteria, b) for b in part.buffers())


@contextmanager
def _answered():
    """Say what it means if other processes do not answer."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ConnectionError(
            "another process of this training has ended, failed or does not answer: "
            "look for its own error first. Launch all of them again; with a checkpoint "
            f"they go on from the last whole epoch. ({error})"
        ) from error
