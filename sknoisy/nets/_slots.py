"""The parts of a net: built from its slots, with their parameters checked by name.

A slot is a constructor parameter such as ``module``; its parameters are named
``module__…``. skorch passes them on; here facts about the data are added, and unknown
names are errors.
"""

import copy
import inspect
import math
import re

import torch
from skorch.dataset import Dataset
from torch import nn

from sknoisy._parameters import check_values
from sknoisy.nets._batches import LoaderBatches, TensorBatches
from sknoisy.nets._modules import MLP
from sknoisy.nets._parameter_names import did_you_mean, signature_of

__all__ = [
    "asks_for_loader",
    "build_part",
    "check_part_names",
    "check_slots",
    "facts_of",
    "is_channels_last",
    "moved",
    "iterator_of",
    "placed",
    "refuse_unknown",
    "shape_of",
    "store_params",
]

_GROUP = re.compile(r"optimizer__param_groups__(\d+)__(\w+)")

# Facts about data that parts may need, and how the user sets them before data.
_FACTS = {
    "input_shape": "{slot}__input_shape",
    "n_classes": "classes",
    "n_samples": "",
}

# Scoring needs no memory for gradients, and large batches need fewer calls.
EVAL_BATCH_SIZE = 1024
# Of rows on disk, which may be large images, so many bytes as float32 at most.
_EVAL_BYTES = 2**26


def build_part(net, name, component=None, like=None):
    """Build a component of a net from its slot, see `NetClassifier.build`.

    Parameters
    ----------
    net : NetClassifier
        A net with its data.
    name : str
        Name of the slot.
    component, like : object, default=None
        As in `NetClassifier.build`.

    Returns
    -------
    component : torch module
    """
    params = net.get_params_for(name)
    if component is None:
        component = net.component_of(name)
    if component is None and like is not None:
        component = net.component_of(like)
        params = {**net.get_params_for(like), **params}
    if isinstance(component, nn.Module):
        if not params:
            return placed(net, copy.deepcopy(component))
        component = type(component)
    known, takes_any = signature_of(component)
    facts = {key: value for key, value in facts_of(net).items() if key in known}
    if not hasattr(net, "input_shape_"):
        _refuse_unknown_facts(net, name, component, known, {**facts, **params})
    if not takes_any:
        refuse_unknown(name, component, params, known, facts)
    _refuse_unmade(name, component, {**facts, **params})
    made = component(**{**facts, **params})
    # As in skorch, a function that returns a function may be the criterion.
    is_criterion = name == "criterion" and callable(made)
    if not isinstance(made, nn.Module) and not is_criterion:
        raise TypeError(
            f"{name} must return a torch module; {_name_of(component)} returns an "
            f"object of type {type(made).__name__}."
        )
    return placed(net, made)


def placed(net, component):
    """Move a component to the device and memory format of a net's batches.

    Parameters
    ----------
    net : NetClassifier
    component : torch module, or a function as criterion

    Returns
    -------
    component : the same
    """
    if not isinstance(component, nn.Module):
        return component
    if is_channels_last(net):
        component = component.to(memory_format=torch.channels_last)
    return moved(component, net.device_)


def moved(component, device):
    """Move a module to a device, unless it is there.

    Parameters
    ----------
    component : torch module
        Its ``to`` may be its own, and is called once only.
    device : torch.device

    Returns
    -------
    component : torch module
    """
    tensors = [*component.parameters(), *component.buffers()]
    is_there = all(tensor.device == device for tensor in tensors)
    return component if is_there else component.to(device)


def is_channels_last(net):
    """Return whether a net's images have the memory format channels last.

    Parameters
    ----------
    net : NetClassifier
        A net with its data.

    Returns
    -------
    is_channels_last : bool
    """
    if net.memory_format == "auto":
        is_image = len(shape_of(net) or ()) == 3
        return is_image and not _overruns_memory(net.device_)
    return net.memory_format == "channels_last"


def _overruns_memory(device):
    """Return whether convolutions of channels-last images may crash the process.

    On processors with AVX2 but no AVX-512, torch 2.14 writes past its memory in the
    backward pass of a convolution of size 1 and stride 2, as residual networks have.
    """
    has_wide_registers = "AVX512" in torch.backends.cpu.get_cpu_capability()
    return torch.device(device).type == "cpu" and not has_wide_registers


def shape_of(net):
    """Return the shape of a row, from the data or from the user.

    Parameters
    ----------
    net : NetClassifier

    Returns
    -------
    shape : tuple of int or None
        None if neither is known.
    """
    shape = getattr(net, "input_shape_", None)
    return net.get_params_for("module").get("input_shape") if shape is None else shape


def facts_of(net):
    """Return the facts about its data that a net passes to its parts by name.

    Parameters
    ----------
    net : NetClassifier

    Returns
    -------
    facts : dict
        ``input_shape``, ``n_classes`` and ``n_samples``; before the first data only
        ``n_classes``, and that if ``classes`` is given.
    """
    if not hasattr(net, "input_shape_"):
        classes = vars(net).get("classes_inferred_")
        return {} if classes is None else {"n_classes": len(classes)}
    return {
        "input_shape": net.input_shape_,
        "n_classes": len(net.classes_),
        "n_samples": net.rows_fitted_[0],
    }


def asks_for_loader(net, slot):
    """Return whether the user set what `LoaderBatches` takes and `TensorBatches` not.

    Parameters
    ----------
    net : NetClassifier
    slot : {"iterator_train", "iterator_valid"}

    Returns
    -------
    flag : bool
    """
    known, _ = signature_of(TensorBatches)
    return not set(known).issuperset(net.get_params_for(slot))


def iterator_of(net, slot, on_disk):
    """Return the class of an iterator over batches, and its parameters.

    Parameters
    ----------
    net : NetClassifier
    slot : {"iterator_train", "iterator_valid"}
    on_disk : bool
        Whether rows are read one batch at a time, where `TensorBatches` would need all.

    Returns
    -------
    iterator : class
    params : dict

    Raises
    ------
    ValueError
        If the iterator does not accept one of them.
    """
    iterator = getattr(net, slot)
    if iterator is TensorBatches and on_disk:
        iterator = LoaderBatches
    size = net.batch_size
    if slot == "iterator_valid" and size != -1:
        size = max(size, _eval_batch_size(net, on_disk))
    params = {"batch_size": size, **net.get_params_for(slot)}
    if iterator in (TensorBatches, LoaderBatches):
        shuffle = slot == "iterator_train"
        form = "channels_last" if is_channels_last(net) else "contiguous"
        own = {"device": net.device_, "shuffle": shuffle, "memory_format": form}
        params = {**own, **params}
        if slot == "iterator_valid":
            _refuse_draws(params)
    if iterator is LoaderBatches and slot == "iterator_train":
        params = {"training": True, **params}
    known, takes_any = signature_of(iterator)
    if not takes_any:
        known = [name for name in known if name != "processes"]
        refuse_unknown(slot, iterator, params, known, {"dataset": None})
    if net.processes_ is not None and slot == "iterator_train":
        if iterator not in (TensorBatches, LoaderBatches):
            raise TypeError(
                f"with distributed=True each process takes its share of a batch, but "
                f"iterator_train={_name_of(iterator)} yields all of it: leave it out, "
                "or set iterator_train=sknoisy.nets.LoaderBatches."
            )
        params["processes"] = net.processes_
    return iterator, params


def store_params(net, params):
    """Store the parameters that take effect at the next fit; return the others.

    skorch would build callbacks immediately, and refuses parameters of iterators of a
    fitted net. The others take effect immediately: a new ``module__hidden`` rebuilds a
    fitted net, a new ``optimizer__momentum`` does not.

    Parameters
    ----------
    net : NetClassifier
    params : dict
        As passed to ``set_params``.

    Returns
    -------
    now : dict
        For skorch's ``set_params``.

    Raises
    ------
    TypeError, ValueError
        If the net is fitted, and a value or a name is invalid.
    """
    if net.initialized_:
        # A part is built immediately, with an error that does not name the parameter.
        own = net._parameter_constraints
        check_values(net, {k: v for k, v in params.items() if k in own})
    slots = ("callbacks", "iterator_train__", "iterator_valid__", "optimizer__")
    slots += ("masking", *net._stored_slots)
    stored = {k: v for k, v in params.items() if k.startswith(slots)}
    groups = {}
    if net.initialized_:
        # As in skorch: sets a group of the current optimizer, for this training.
        groups = {k: v for k, v in stored.items() if _GROUP.fullmatch(k)}
        _check_groups(net, groups)
        stored = {k: v for k, v in stored.items() if k not in groups}
    vars(net).update(stored)
    net._params_to_validate.update(stored)
    rest = {k: v for k, v in params.items() if k not in (*stored, *groups)}
    if not net.initialized_:
        _refuse_params_of_removed(net, stored)
        return rest
    live = {k: v for k, v in stored.items() if k.startswith("optimizer__")}
    if live:
        net.get_params_for_optimizer("optimizer", [])
    if any(name.startswith("callbacks") for name in stored):
        if net.callbacks != "disable":
            _refuse_unknown_callbacks(net)
        net._initialize_callbacks()
    return {**rest, **live, **groups}


def check_slots(net):
    """Refuse unknown names, and parts of the wrong kind.

    Parameters
    ----------
    net : NetClassifier

    Raises
    ------
    TypeError
        If a slot or a callback is of the wrong kind.
    ValueError
        If a parameter has no meaning.
    """
    if isinstance(net.callbacks, list):
        _refuse_no_callbacks(net.callbacks)
    _refuse_unexpected(net, [key for key in net._params_to_validate if "__" not in key])
    # Its class is called before the parts are built.
    _check_dataset_params(net)


def check_part_names(net):
    """Refuse names that skorch would ignore, once the parts are built.

    The parts of a method are known only then.

    Parameters
    ----------
    net : NetClassifier

    Raises
    ------
    ValueError
        If a parameter has no meaning.
    """
    # skorch refuses names without ``__``, and `check_slots` refuses them in a fit; it
    # also knows the right name if a part's is followed by one underscore only.
    _refuse_unexpected(
        net,
        [
            key
            for key in net._params_to_validate
            if "__" in key and not key.startswith(tuple(net.prefixes_))
        ],
    )
    for slot in ("iterator_train", "iterator_valid"):
        iterator_of(net, slot, net.on_disk_)
    unread = _check_dataset_params(net)
    if net.callbacks == "disable":
        unread += [f"callbacks__{key}" for key in net.get_params_for("callbacks")]
    else:
        _refuse_unknown_callbacks(net)
    if unread:
        raise ValueError(
            f"{', '.join(unread)} would have no effect: skorch's Dataset takes no "
            "parameters here, nor do disabled callbacks. Set dataset to a class of "
            "your own that takes them."
        )


def _check_dataset_params(net):
    """Return the names of parameters that nobody reads; refuse unknown ones."""
    params = net.get_params_for("dataset")
    if net.dataset is Dataset:
        return [f"dataset__{name}" for name in params]
    known, takes_any = signature_of(net.dataset)
    if not takes_any:
        refuse_unknown("dataset", net.dataset, params, known[2:], ())
    return []


def _eval_batch_size(net, on_disk):
    shape = shape_of(net)
    if not on_disk or shape is None:
        return EVAL_BATCH_SIZE
    return min(EVAL_BATCH_SIZE, _EVAL_BYTES // (4 * math.prod(shape)))


def _refuse_draws(params):
    """Refuse to score a part of the rows."""
    given = [name for name in ("balance", "batches_per_epoch") if params.get(name)]
    if given:
        raise ValueError(
            f"iterator_valid__{given[0]} would leave rows without a prediction or a "
            f"score; set iterator_train__{given[0]}."
        )


def refuse_unknown(slot, component, params, known, facts):
    """Refuse parameters that a component does not accept.

    Parameters
    ----------
    slot : str
    component : callable
    params : iterable of str
        Parameters to be passed.
    known : list of str
        Parameters that it accepts.
    facts : iterable of str
        Parameters that it accepts, but not from the user.

    Raises
    ------
    ValueError
    """
    unknown = [f"{slot}__{name}" for name in params if name not in known]
    if unknown:
        takes = [key for key in known if key not in facts]
        question = did_you_mean(unknown[0], [f"{slot}__{key}" for key in takes])
        raise ValueError(
            f"{_name_of(component)} takes no {', '.join(unknown)}; it takes "
            f"{', '.join(takes)}.{question}"
        )


def _check_groups(net, params):
    known = net.optimizer_.param_groups
    for key in params:
        number, name = _GROUP.fullmatch(key).groups()
        if int(number) >= len(known) or name not in known[int(number)]:
            names = sorted({*known[0]} - {"params"})
            raise ValueError(
                f"{key} names no setting of the optimizer, which has {len(known)} "
                f"group(s), numbered from 0, each with {', '.join(names)}."
            )


def _refuse_unexpected(net, given):
    unexpected = [
        key
        for key in sorted(given)
        if key not in net.prefixes_
        and not any(key.startswith(slot + "__") for slot in net.prefixes_)
    ]
    if not unexpected:
        return
    known = {*net.get_params(deep=False)} - {*unexpected}
    known |= {slot + "__" for slot in net.prefixes_}
    for slot in ("module", "optimizer", "criterion"):
        part = getattr(net, slot)
        names, _ = signature_of(MLP if slot == "module" and part is None else part)
        known |= {f"{slot}__{name}" for name in names}
    raise ValueError(
        f"{type(net).__name__} got unexpected argument(s) {', '.join(unexpected)}."
        f"{did_you_mean(unexpected[0], known)}"
    )


def _refuse_unknown_facts(net, slot, component, known, given):
    """Refuse to build a part without data if it needs facts about them."""
    lacks = [fact for fact in _FACTS if fact in known and fact not in given]
    if not lacks:
        return
    ways = [_FACTS[fact].format(slot=slot) for fact in lacks]
    ways = [way for way in ways if way]
    before = f"set {' and '.join(ways)}, or " if len(ways) == len(lacks) else ""
    raise ValueError(
        f"{_name_of(component)} needs {' and '.join(lacks)}, which "
        f"{type(net).__name__} reads from the data: {before}call fit or partial_fit "
        "instead of initialize."
    )


def _refuse_unmade(slot, component, params):
    """Refuse classes that need other arguments, and functions like ``F.nll_loss``."""
    if inspect.isfunction(component) or inspect.isclass(component):
        parameters = inspect.signature(component).parameters.values()
        any_number = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        needs = [
            p.name
            for p in parameters
            if p.default is p.empty and p.kind not in any_number
        ]
        needs = [key for key in needs if key not in params]
        if needs and inspect.isclass(component):
            raise TypeError(
                f"{component.__name__} needs {', '.join(needs)}: set "
                f"{slot}__{needs[0]}, or use a class with parameters input_shape and "
                "n_classes."
            )
        if needs:
            raise TypeError(
                f"{slot} must be a class or an instance, or a function that makes one; "
                f"{component.__name__} needs {', '.join(needs)}."
            )


def _refuse_no_callbacks(callbacks):
    for item in callbacks:
        is_named = isinstance(item, tuple | list) and len(item) == 2
        callback = item[1] if is_named else item
        if callback is not None and not hasattr(callback, "on_train_begin"):
            raise TypeError(
                "callbacks must be a list of skorch callbacks, or of pairs of a name "
                f"and a callback; got {item!r} in it."
            )


def _refuse_params_of_removed(net, params):
    """Refuse parameters of a callback that the user has set to None before."""
    for key in params:
        slot, _, name = key.partition("__")
        name, is_param, _ = name.partition("__")
        removed = vars(net).get(f"callbacks__{name}", name) is None
        if slot == "callbacks" and is_param and removed:
            # skorch says so when it builds the callbacks.
            raise ValueError(
                f"Trying to set a parameter for callback {name} which does not exist."
            )


def _refuse_unknown_callbacks(net):
    known = {name for name, _ in net._uniquely_named_callbacks()}
    for key in net.get_params_for("callbacks"):
        if key.split("__")[0] not in known:
            raise ValueError(
                f"callbacks__{key} names no callback; there are {sorted(known)}."
            )


def _name_of(component):
    return getattr(component, "__name__", type(component).__name__)
