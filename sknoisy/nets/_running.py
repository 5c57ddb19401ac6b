"""A pass over batches as in skorch, without its overhead at every batch."""

import math

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback

from sknoisy.nets._callbacks import looks_at_losses
from sknoisy.nets._divergence import diverged, refuse_undefined_weights

__all__ = ["hooks_of", "run_pass"]

# Losses of so many batches are put into one tensor.
_STACKED = 32


def run_pass(net, batches, training, prefix, step_fn, **fit_params):
    """Run a step on each batch, and record the losses in the history.

    Parameters
    ----------
    net : NetClassifier
    batches : iterable of Batch
    training : bool
        Whether the weights may change, so that losses and weights must stay finite.
    prefix : {"train", "valid"}
        Prefix of the names in the history.
    step_fn : callable
        Takes a batch; returns a dict with its ``loss``.
    **fit_params : dict
        Passed to ``step_fn``.

    Raises
    ------
    FloatingPointError
        If the training diverges.
    """
    rows = net.history[-1]["batches"]
    loss_key, size_key = prefix + "_loss", prefix + "_batch_size"
    before, after = hooks_of(net, "on_batch_begin"), hooks_of(net, "on_batch_end")
    makes_rows = _is(net.on_batch_begin, NeuralNet.on_batch_begin)
    is_watched = any(map(looks_at_losses, after))
    unread, losses = [], _Losses()
    try:
        for batch in batches:
            if makes_rows:
                # The same as skorch's hook.
                rows.append({})
            for hook in before:
                hook(net, batch=batch, training=training)
            row = rows[-1]
            step = step_fn(batch, **fit_params)
            if step["loss"].ndim:
                step = {**step, "loss": step["loss"].mean()}
            row[size_key] = len(batch[0])
            if is_watched:
                row[loss_key] = step["loss"].item()
            else:
                # Read at the end, since reading each loss would wait for the device.
                losses.append(step["loss"].detach())
                unread.append(row)
            for hook in after:
                hook(net, batch=batch, training=training, **step)
            # Two live batches would compete for the cache.
            del batch, step
    finally:
        # Ctrl-C may have come between the two.
        for row, value in zip(unread, losses.tolist(), strict=False):
            row[loss_key] = value
    values = [row[loss_key] for row in rows if loss_key in row]
    net.history.record(prefix + "_batch_count", len(values))
    if training:
        undefined = [loss for loss in values if not math.isfinite(loss)]
        if undefined:
            raise diverged(net, f"the loss is {undefined[0]}")
        refuse_undefined_weights(net)


def hooks_of(net, name):
    """Return the bound hooks that do something, so that idle ones cost nothing.

    Parameters
    ----------
    net : NetClassifier
    name : str
        Name of a hook on batches.

    Returns
    -------
    hooks : list of callable
        The hook of the net, then those of the callbacks.
    """
    if net.hooks_ is None:
        net.hooks_ = {}
    if name not in net.hooks_:
        idle = getattr(Callback, name), getattr(NeuralNet, name)
        owners = [net, *(callback for _, callback in net.callbacks_)]
        hooks = [getattr(owner, name) for owner in owners]
        net.hooks_[name] = [
            hook for hook in hooks if not any(_is(hook, other) for other in idle)
        ]
    return net.hooks_[name]


class _Losses:
    """Losses of a pass, in few tensors.

    Each would keep the memory of its step from being given back: small pieces between
    freed ones, which were a kilobyte a row.
    """

    def __init__(self):
        self.last, self.before = [], []

    def append(self, loss):
        self.last.append(loss)
        if len(self.last) == _STACKED:
            self.before.append(torch.stack(self.last))
            self.last = []

    def tolist(self):
        """Wait for the device, and return the losses as numbers."""
        parts = [*self.before, *([torch.stack(self.last)] if self.last else [])]
        return torch.cat(parts).tolist() if parts else []


def _is(hook, function):
    """Return whether a hook is this function, bound or not."""
    return getattr(hook, "__func__", hook) is function
