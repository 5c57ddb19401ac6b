"""Many small networks of one architecture, trained as one net.

A batch holds the rows of all networks, in blocks of equal size one after the other.
Linear layers multiply each block by its own weights, all blocks at once; everything
else, also the loss, treats each row alone and knows of no blocks. So the method's own
step and the net's own loop train all networks together.
"""

import copy
import inspect
import zlib
from typing import Any

import numpy as np
import torch
from torch import nn

from sknoisy._interruption import interruptions
from sknoisy.nets._attention import AttentiveNetwork
from sknoisy.nets._batches import ArrayDataset, Batch, TensorBatches
from sknoisy.nets._device import seed_of
from sknoisy.nets._modules import MLP

__all__ = ["hindrance", "signature_in_stack", "stack_sizes", "train_stacked", "varying"]

# What these return for a row depends on this row only, and they draw no numbers.
_ROW_BY_ROW = (
    *(MLP, AttentiveNetwork, nn.Sequential, nn.Identity, nn.Flatten),
    *(nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid),
)
# They compute the step of a weight from its own gradients.
_OPTIMIZERS = (
    *(torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam),
    *(torch.optim.RMSprop, torch.optim.Adagrad),
)
_OF_OPTIMIZER = ("weight_decay", "momentum", "dampening", "betas", "eps", "alpha")
# Numbers in the widest activation of a stack, at most: with more a step is no faster.
_LARGEST = 2**20


def hindrance(net, dataset):
    """Return why a net cannot be trained in a stack, or None if it can.

    Parameters
    ----------
    net : NetClassifier
        Built, before its first epoch.
    dataset : ArrayDataset
        Its rows.

    Returns
    -------
    reason : str or None
    """
    if not vars(net.own_class).get("_stackable", False):
        return f"the training step of {net.own_class.__name__} is not made for it"
    usual: dict[str, tuple[Any, ...]] = {
        **dict.fromkeys(("masking", "settings", "checkpoint", "train_split"), (None,)),
        **{"amp": ("auto", False), "augment": ("auto", None)},
        **{"callbacks": (None, "disable"), "iterator_train": (TensorBatches,)},
        **{"compile": (False,), "warm_start": (False,)},
    }
    unusual = [
        name
        for name, values in usual.items()
        if not any(getattr(net, name) is value for value in values)
    ]
    if unusual:
        return f"{', '.join(unusual)} is set"
    features = dataset.features
    if not isinstance(features, np.ndarray) or features.dtype != np.float32:
        return "the rows are not a table in memory"
    if net.sample_weight_ is not None or net.soft_targets_ is not None:
        return "fit is given sample_weight or soft_targets"
    optimizer = net.optimizer_
    if type(optimizer) not in _OPTIMIZERS or len(optimizer.param_groups) > 1:
        return f"{type(optimizer).__name__} or its groups of parameters"
    return _hindrance_of_module(net.module_) or _hindrance_of_loss(net.criterion_)


def _hindrance_of_module(module):
    parts = list(module.modules())
    others = {type(part) for part in parts} - {*_ROW_BY_ROW, nn.Linear, nn.Dropout}
    if others:
        names = ", ".join(sorted(kind.__name__ for kind in others))
        return f"the network has {names}, not only Linear, Dropout and activations"
    linear = [part for part in parts if type(part) is nn.Linear]
    if any(layer.bias is None for layer in linear):
        return "a layer has no bias"
    if len(list(module.named_modules(remove_duplicate=False))) > len(parts):
        return "a layer is used twice"
    if not all(weight.requires_grad for weight in module.parameters()):
        return "some weights are not trained"
    return None


def _hindrance_of_loss(criterion):
    is_plain = type(criterion) is nn.CrossEntropyLoss and criterion.weight is None
    if is_plain or "per_row" in vars(type(criterion)):
        return None
    return f"{type(criterion).__name__} is not known to take the rows one by one"


def varying(net):
    """Return the names of parameters that may differ within a stack.

    Parameters
    ----------
    net : NetClassifier

    Returns
    -------
    names : set of str
    """
    prefixes = ("", "criterion__", "loss__")
    return {
        *("lr", "random_state", "module__dropout"),
        *(f"optimizer__{name}" for name in _OF_OPTIMIZER),
        *(prefix + name for name in _per_row(net) for prefix in prefixes),
    }


def _per_row(net):
    """Return the numbers of the loss that a tensor may hold, one for each row."""
    return getattr(net.criterion_, "per_row", {})


def signature_in_stack(net):
    """Return what must be the same within a stack, beside parameters.

    Parameters
    ----------
    net : NetClassifier
        With its rows as ``stack_rows_``.

    Returns
    -------
    signature : tuple
        Kinds of the parts, layers, and number and sizes of the batches but the last.
    """
    layers = [
        (name, type(part), str(part) if type(part) is nn.Linear else "")
        for name, part in net.module_.named_modules()
    ]
    bounds = net.get_iterator(net.stack_rows_, training=True).bounds
    sizes = tuple(stop - start for start, stop in bounds)
    kinds = net.own_class, type(net.criterion_), net.device_, len(net.classes_)
    return *kinds, tuple(layers), len(sizes), sizes[:-1]


def stack_sizes(nets, max_stack):
    """Return where lists of nets of one signature are cut into stacks.

    Parameters
    ----------
    nets : list of NetClassifier
    max_stack : int or None

    Returns
    -------
    stacks : list of list of NetClassifier
        Of almost equal lengths.
    """
    if max_stack is None:
        linear = [p for p in nets[0].module_.modules() if type(p) is nn.Linear]
        width = max(max(layer.weight.shape) for layer in linear)
        bounds = nets[0].get_iterator(nets[0].stack_rows_, training=True).bounds
        n_rows = max(stop - start for start, stop in bounds)
        max_stack = max(1, _LARGEST // (n_rows * width))
    n_stacks = -(-len(nets) // max_stack)
    return [nets[start::n_stacks] for start in range(n_stacks)]


class _Products(torch.autograd.Function):
    """The linear layers of all blocks, in the order of sums of a single layer."""

    @staticmethod
    def forward(ctx, X, weight, bias):
        ctx.save_for_backward(X, weight)
        if weight.shape[1] > 1:
            return torch.baddbmm(bias, X, weight.mT)
        # For one output torch sums a single product in another order.
        parts = zip(X, weight, bias, strict=True)
        return torch.stack([torch.addmm(b, x, w.T) for x, w, b in parts])

    @staticmethod
    def backward(ctx, grad):
        X, weight = ctx.saved_tensors
        of_X = torch.bmm(grad, weight) if ctx.needs_input_grad[0] else None
        return of_X, torch.bmm(grad.mT, X), grad.sum(1, keepdim=True)


class _StackedLinear(nn.Linear):
    """A linear layer for each block of rows.

    Parameters
    ----------
    layers : list of Linear
        One for each block.
    sizes : list of int
        How many blocks after one another have the same numbers of the optimizer.
    """

    def __init__(self, layers, sizes):
        nn.Module.__init__(self)
        self.n_blocks = len(layers)
        weights = torch.stack([layer.weight.detach() for layer in layers])
        biases = torch.stack([layer.bias.detach()[None] for layer in layers])
        self.parts = nn.ModuleList(
            nn.ParameterDict({"weight": weight, "bias": bias})
            for weight, bias in zip(
                weights.split(sizes), biases.split(sizes), strict=True
            )
        )

    def joined(self, name):
        tensors = [part[name] for part in self.parts]
        return tensors[0] if len(tensors) == 1 else torch.cat(tensors)

    def forward(self, X):
        X = X.unflatten(0, (self.n_blocks, -1))
        return _Products.apply(X, self.joined("weight"), self.joined("bias")).flatten(
            0, 1
        )

    def extra_repr(self):
        return f"n_blocks={self.n_blocks}"


class _StackedDropout(nn.Module):
    """Dropout with the numbers that each network draws alone.

    Parameters
    ----------
    shares : list of float
        The dropped share in each stream.
    streams : _Streams
    """

    def __init__(self, shares, streams):
        super().__init__()
        self.shares, self.streams = shares, streams

    def forward(self, X):
        if not self.training:
            return X
        streams = self.streams
        X = X.unflatten(0, (len(streams.of_block), -1))
        mask = X.new_zeros(len(self.shares), *X.shape[1:])
        parts = zip(mask, self.shares, streams.generators, streams.counts, strict=True)
        for part, share, generator, count in parts:
            # As torch's dropout on the CPU, which draws nothing at these two.
            if share in (0, 1):
                part.fill_(1 - share)
            else:
                kept = part[:count].bernoulli_(1 - share, generator=generator)
                kept.div_(1 - share)
        mask = mask if len(mask) == 1 else mask.index_select(0, streams.of_block)
        return (X * mask).flatten(0, 1)


class _Streams:
    """Streams of random numbers: networks with the same seed and sizes share one.

    Parameters
    ----------
    nets : list of NetClassifier

    Attributes
    ----------
    nets : list of NetClassifier
        One for each stream.
    of_block : Tensor of shape (n_nets,), dtype int64
        The stream of each network.
    counts : list of int
        Rows in the current batch, for each stream.
    """

    def __init__(self, nets):
        keys = [_stream_key(net) for net in nets]
        distinct = list(dict.fromkeys(keys))
        self.nets = [nets[keys.index(key)] for key in distinct]
        device = nets[0].device_
        places = [distinct.index(key) for key in keys]
        self.of_block = torch.tensor(places, device=device)
        self.generators = [torch.Generator(device) for _ in distinct]
        self.iterators = [
            net.get_iterator(net.stack_rows_, training=True) for net in self.nets
        ]
        self.counts = [0] * len(distinct)

    def orders(self, epoch):
        """Seed the streams for an epoch, and return the order of the rows in each."""
        orders = []
        streams = zip(self.nets, self.iterators, self.generators, strict=True)
        for net, iterator, generator in streams:
            seed = seed_of(net.seed_, epoch)
            # The generator of the fit that is running, see `isolated_rng`.
            torch.default_generator.manual_seed(seed)
            orders.append(iterator.epoch_rows.draw())
            generator.manual_seed(seed)
            if generator.device.type == "cpu":
                generator.set_state(torch.default_generator.get_state())
        return orders


def _stream_key(net):
    shares = [part.p for part in net.module_.modules() if type(part) is nn.Dropout]
    codes = net.stack_rows_.codes
    balances = net.get_params_for("iterator_train").get("balance", False)
    return net.seed_, len(codes), *shares, codes.tobytes() if balances else b""


class _StackedBatches:
    """Batches with a block of rows for each network.

    Each network has as many row numbers as the longest, and one more, which stands for
    nobody: it fills up batches that have fewer rows than those of another network.

    Parameters
    ----------
    nets : list of NetClassifier
    streams : _Streams

    Attributes
    ----------
    stack : net
        Set before the training: it is told the weight of each row, and the numbers of
        its loss.
    per_row : dict of str to (Tensor of shape (n_nets,), int)
        Numbers of the loss, and the dimensions that they need beside the first.
    """

    stack: Any

    def __init__(self, nets, streams):
        self.streams, device = streams, nets[0].device_
        rows = [net.stack_rows_ for net in nets]
        self.n_rows = 1 + max(map(len, rows))
        tables = {id(part.features): part.features for part in rows}
        filled = [_filled(table, self.n_rows) for table in tables.values()]
        self.X = torch.from_numpy(np.concatenate(filled)).to(device)
        places = [list(tables).index(id(part.features)) for part in rows]
        self.first_rows = torch.tensor(places, device=device)[:, None] * self.n_rows
        self.codes = np.concatenate([_filled(part.codes, self.n_rows) for part in rows])
        self.y = torch.from_numpy(self.codes).to(device)
        self.first_ids = torch.arange(len(nets), device=device)[:, None] * self.n_rows
        self.per_row = {}
        for name, n_dims in _per_row(nets[0]).items():
            values = [getattr(net.criterion_, name) for net in nets]
            if len(set(values)) > 1:
                values = torch.tensor(values, dtype=torch.float32, device=device)
                self.per_row[name] = values, n_dims

    def __len__(self):
        return len(self.streams.iterators[0])

    def __iter__(self):
        streams, device = self.streams, self.X.device
        orders = streams.orders(len(self.stack.history))
        bounds = [iterator.bounds for iterator in streams.iterators]
        for step in zip(*bounds, strict=True):
            streams.counts = [stop - start for start, stop in step]
            rows = torch.full((len(step), max(streams.counts)), self.n_rows - 1)
            for row, order, (start, stop) in zip(rows, orders, step, strict=True):
                row[: stop - start] = order[start:stop]
            rows = rows.to(device)[streams.of_block]
            self._tell(rows.shape[1])
            index = (rows + self.first_ids).flatten()
            X = self.X.index_select(0, (rows + self.first_rows).flatten())
            yield Batch(X, self.y.index_select(0, index), index)

    def _tell(self, size):
        """Tell the stack of the rows of the next batch."""
        streams, device = self.streams, self.X.device
        counts = torch.tensor(streams.counts, device=device)[streams.of_block, None]
        is_row = torch.arange(size, device=device) < counts
        self.stack.weight_in_batch_ = (is_row / counts).flatten()
        for name, (values, n_dims) in self.per_row.items():
            values = values.repeat_interleave(size).view(-1, *[1] * n_dims)
            setattr(self.stack.criterion_, name, values)


def _filled(values, n_rows):
    """Return an array with zeros added as rows at its end."""
    return np.pad(values, [(0, n_rows - len(values)), *[(0, 0)] * (values.ndim - 1)])


class _Stack:
    """What a stack does otherwise than a net; comes before the class of the method."""

    def get_iterator(self, dataset, training=False):
        return self.batches_

    def weighted_mean(self, loss, index):
        # The sum of the means that each network has alone.
        return loss @ self.weight_in_batch_

    def finish_fit(self, dataset):
        """Do nothing: each network judges its own rows."""


def train_stacked(nets):
    """Train built nets as one, and put the trained weights into them.

    Parameters
    ----------
    nets : list of NetClassifier
        Of one `signature_in_stack`, without a `hindrance`, each with its rows as
        ``stack_rows_`` and the class of its method as ``own_class``.

    Raises
    ------
    FloatingPointError
        If the training of one of them diverges; the nets are then as they were.
    KeyboardInterrupt
        At Ctrl-C.
    """
    nets = sorted(nets, key=lambda net: repr(_numbers(net)))
    batches = _StackedBatches(nets, _Streams(nets))
    stack = _stack_of(nets, batches)
    # Of the rows only the labels are read, by `fit`.
    features = np.broadcast_to(np.float32(0), (len(batches.codes), batches.X.shape[1]))
    with interruptions("raise"):
        stack.partial_fit(ArrayDataset(features, batches.codes))
    _hand_out(stack, nets)


def _numbers(net):
    """Return the numbers of the optimizer."""
    (group,) = net.optimizer_.param_groups
    return {name: value for name, value in group.items() if name != "params"}


def _stack_of(nets, batches):
    """Return a built net with the parts of all nets."""
    first = nets[0]
    stack = object.__new__(type("Stack", (_Stack, first.own_class), {}))
    vars(stack).update(vars(first))
    numbers = [_numbers(net) for net in nets]
    starts = [i for i, found in enumerate(numbers) if found not in numbers[:i]]
    sizes = np.diff([*starts, len(nets)]).tolist()
    stack.module_ = _stacked_module([net.module_ for net in nets], sizes, batches)
    stack.criterion_ = _stacked_criterion(nets, batches.n_rows)
    stack.optimizer_ = _stacked_optimizer(stack.module_, [nets[i] for i in starts])
    stack.history_ = type(first.history_)()
    stack.batches_, batches.stack = batches, stack
    stack.classes_inferred_ = np.arange(len(first.classes_))
    stack.rows_fitted_ = len(batches.codes), zlib.crc32(batches.codes.tobytes())
    return stack


def _stacked_module(modules, sizes, batches):
    stacked = copy.deepcopy(modules[0])
    for name, part in modules[0].named_modules():
        if type(part) is nn.Linear:
            layers = [module.get_submodule(name) for module in modules]
            stacked.set_submodule(name, _StackedLinear(layers, sizes))
        elif type(part) is nn.Dropout:
            streams = batches.streams
            shares = [net.module_.get_submodule(name).p for net in streams.nets]
            stacked.set_submodule(name, _StackedDropout(shares, streams))
    return stacked


def _stacked_criterion(nets, n_rows):
    """Return the loss, with the states of the rows of all nets after one another."""
    stacked = copy.deepcopy(nets[0].criterion_)
    stacked.reduction = "none"
    for name, state in list(stacked.named_buffers()):
        longer = state.new_zeros(len(nets), n_rows, *state.shape[1:])
        for part, net in zip(longer, nets, strict=True):
            given = net.criterion_.get_buffer(name)
            part[: len(given)] = given
        stacked.register_buffer(name, longer.flatten(0, 1))
    return stacked


def _stacked_optimizer(module, nets):
    """Return an optimizer with a group of weights for each of these nets."""
    layers = [part for part in module.modules() if isinstance(part, _StackedLinear)]
    groups = [
        {**_numbers(net), "params": [w for p in layers for w in p.parts[i].values()]}
        for i, net in enumerate(nets)
    ]
    kind = type(nets[0].optimizer_)
    known = inspect.signature(kind).parameters
    defaults = {k: v for k, v in _numbers(nets[0]).items() if k in known}
    return kind(groups, **defaults)


@torch.no_grad()
def _hand_out(stack, nets):
    """Put the trained weights, and the states of the rows, into the nets."""
    for name, part in stack.module_.named_modules():
        if isinstance(part, _StackedLinear):
            weights, biases = part.joined("weight"), part.joined("bias")
            for net, weight, bias in zip(nets, weights, biases[:, 0], strict=True):
                layer = net.module_.get_submodule(name)
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)
    for name, longer in stack.criterion_.named_buffers():
        for net, part in zip(nets, longer.unflatten(0, (len(nets), -1)), strict=True):
            state = net.criterion_.get_buffer(name)
            state.copy_(part[: len(state)])
