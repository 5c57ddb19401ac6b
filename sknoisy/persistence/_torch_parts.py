"""Encode and decode tensors, modules, optimizers and callbacks."""

import inspect
from collections import defaultdict

import torch
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from skorch.history import History
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

from sknoisy.nets._device_kinds import is_missing, stored_device
from sknoisy.persistence._consistency import check_bools
from sknoisy.persistence._layers import check_layer

__all__ = [
    "TORCH_DECODERS",
    "encode_torch_value",
    "settle_net",
    "torch_encoder_of",
]

# Attributes that torch sets on every module; parameters and parts are stored apart.
_INTERNAL = {*vars(nn.Module()), "_compiled_call_impl"} - {"training"}
# Names that every module has, which a file must not set.
_OF_MODULES = {*dir(nn.Module()), "training"}
_HOOKS = sorted(name for name in _INTERNAL if "hooks" in name)
# Not saved: each training creates a new scheduler and a new progress bar.
_OF_CALLBACKS = {"lr_scheduler_", "pbar_"}
# Dtypes that numpy lacks are stored as integers of the same size.
_BITS = {torch.bfloat16: torch.int16}
_DTYPES = {
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
}
# Their fused steps do not check the state.
_FUSED = (SGD, Adagrad, Adam, AdamW)


def encode_torch_value(encoder, value):
    """Return the JSON value of a torch or skorch value without identity, or None."""
    if isinstance(value, torch.dtype):
        return {"type": "torch.dtype", "value": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {"type": "torch.device", "value": str(value)}
    if type(value) is torch.Size:
        return {"type": "torch.Size", "items": list(value)}
    if type(value) is History:
        return {"type": "History", "items": encoder.encode(list(value))}
    # By name: importing the class would import torch's compiler.
    if isinstance(value, nn.Module) and type(value).__name__ == "OptimizedModule":
        # The next fit compiles it again.
        return encoder.encode(value._orig_mod)
    return None


def torch_encoder_of(value):
    """Return the function that encodes an object of torch or skorch, or None."""
    if type(value) in (torch.Tensor, nn.Parameter):
        return _tensor
    if isinstance(value, nn.Module):
        return _module
    if isinstance(value, Optimizer):
        return _optimizer
    if isinstance(value, Callback | ValidSplit):
        return _part_of_net
    return None


def settle_net(net):
    """Set ``device`` of a net to "cpu" if it names CUDA and there is none."""
    if net.device is not None and is_missing(torch.device(net.device)):
        net.device = "cpu"


def _tensor(encoder, tensor):
    is_dense = tensor.layout is torch.strided and not tensor.is_meta
    if not is_dense or tensor.dtype not in _DTYPES:
        encoder.refuse(f"is a tensor of {tensor.layout} and {tensor.dtype}")
    values = tensor.detach().cpu()
    form = "contiguous"
    # By the strides: with an axis of length 1, torch calls both formats contiguous, but
    # uses different convolutions, which round differently.
    if values.ndim == 4 and values.stride() != _strides(values.shape):
        if values.stride() == _strides(values.shape, torch.channels_last):
            form = "channels_last"
    values = values.contiguous().view(_BITS.get(tensor.dtype, tensor.dtype))
    return {
        "type": "tensor",
        "array": encoder.store(values.numpy()),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "memory_format": form,
        "device": tensor.device.type,
        "is_parameter": type(tensor) is nn.Parameter,
        "requires_grad": tensor.requires_grad,
    }


def _strides(shape, memory_format=torch.contiguous_format):
    return torch.empty(shape, memory_format=memory_format, device="meta").stride()


def _module(encoder, module):
    for name in _HOOKS:
        if vars(module).get(name):
            encoder.refuse(f"has hooks ({name})")
    try:
        check_layer(module)
    except ValueError as error:
        encoder.refuse(f"could not be checked on loading: {error}")
    own = {name: value for name, value in vars(module).items() if name not in _INTERNAL}
    return {
        "type": "module",
        "class": encoder.name(type(module)),
        "parameters": encoder.attributes(module._parameters),
        "buffers": encoder.attributes(module._buffers),
        "unsaved_buffers": sorted(module._non_persistent_buffers_set),
        "modules": encoder.attributes(module._modules),
        "attributes": encoder.attributes(own),
    }


def _optimizer(encoder, optimizer):
    state = optimizer.__getstate__()
    if set(state) != {"defaults", "state", "param_groups"}:
        encoder.refuse(f"has state that cannot be saved, {sorted(state)}")
    return {
        "type": "optimizer",
        "class": encoder.name(type(optimizer)),
        "defaults": encoder.at(".defaults", state["defaults"]),
        "groups": encoder.at(".param_groups", state["param_groups"]),
        "state": [
            [encoder.encode(parameter), encoder.at(".state", dict(values))]
            for parameter, values in state["state"].items()
        ],
    }


def _part_of_net(encoder, value):
    own = {k: v for k, v in vars(value).items() if k not in _OF_CALLBACKS}
    return {
        "type": "part of a net",
        "class": encoder.name(type(value)),
        "attributes": encoder.attributes(own),
    }


def _make_tensor(decoder, entry):
    array, dtype, form, device, is_parameter, requires_grad = decoder.fields(
        entry,
        *("array", "dtype", "memory_format", "device"),
        *("is_parameter", "requires_grad"),
    )
    dtype = _dtype(dtype)
    stored = decoder.stored(array)
    if stored.dtype == bool:
        check_bools(stored)
    tensor = torch.from_numpy(stored.copy())
    stored_as = _BITS.get(dtype, dtype)
    decoder.require(tensor.dtype == stored_as, "a tensor has another dtype")
    tensor = tensor.view(dtype)
    if form == "channels_last":
        made = torch.empty(tensor.shape, dtype=dtype, memory_format=torch.channels_last)
        tensor = made.copy_(tensor)
    tensor = tensor.to(_device(device))
    decoder.require(isinstance(requires_grad, bool), "requires_grad must be a bool")
    if is_parameter is True:
        return nn.Parameter(tensor, requires_grad)
    return tensor.requires_grad_(requires_grad)


def _make_module(decoder, entry):
    name, parameters, buffers, unsaved, modules, attributes = decoder.fields(
        entry,
        *("class", "parameters", "buffers", "unsaved_buffers", "modules"),
        "attributes",
    )
    kind = decoder.kind(name, nn.Module)
    module = kind.__new__(kind)
    # Without the constructor of the class, which could allocate any size.
    nn.Module.__init__(module)
    for name, part in decoder.values(parameters):
        decoder.require(
            part is None or type(part) is nn.Parameter,
            "a parameter must be a Parameter or None",
        )
        module._parameters[name] = part
    for name, part in decoder.values(buffers):
        decoder.require(
            part is None or type(part) is torch.Tensor,
            "a buffer must be a tensor or None",
        )
        module._buffers[name] = part
    for name, part in decoder.values(modules):
        decoder.require(
            part is None or isinstance(part, nn.Module),
            "a submodule must be a module or None",
        )
        module._modules[name] = part
    for names in (module._parameters, module._buffers, module._modules):
        for name in names:
            # A part must not hide a method.
            found = inspect.getattr_static(kind, name, None)
            is_free = not callable(found) and name not in _OF_MODULES
            decoder.require(
                is_free and name and "." not in name, "a part has an invalid name"
            )
    decoder.require(
        set(unsaved) <= set(module._buffers), "an unsaved buffer does not exist"
    )
    module._non_persistent_buffers_set = set(unsaved)
    values = decoder.attributes(kind, attributes)
    is_training = values.pop("training", True)
    decoder.require(isinstance(is_training, bool), "training must be a bool")
    decoder.require(not _OF_MODULES & set(values), "an attribute is reserved by torch")
    vars(module).update(values, training=is_training)
    vars(module).update(check_layer(module))
    return module


def _make_optimizer(decoder, entry):
    name, defaults, groups, state = decoder.fields(
        entry, "class", "defaults", "groups", "state"
    )
    kind = decoder.kind(name, Optimizer)
    groups = decoder.decode(groups)
    learnt = defaultdict(dict)
    for pair in state:
        parameter, values = (decoder.decode(part) for part in pair)
        decoder.require(
            isinstance(parameter, torch.Tensor),
            "the state of an optimizer must belong to tensors",
        )
        learnt[parameter] = values
    ours = [parameter for group in groups for parameter in group["params"]]
    decoder.require(
        all(isinstance(parameter, torch.Tensor) for parameter in ours)
        and len(set(ours)) == len(ours)
        and set(learnt) <= set(ours),
        "the optimizer's parameters are inconsistent",
    )
    if issubclass(kind, _FUSED):
        for parameter, values in learnt.items():
            for name, value in values.items():
                if not isinstance(value, torch.Tensor):
                    continue
                is_count = name == "step"
                shape = torch.Size() if is_count else parameter.shape
                dtype = torch.float32 if is_count else parameter.dtype
                fits = value.shape == shape and value.dtype == dtype
                decoder.require(
                    fits, "the optimizer's state has a wrong shape or dtype"
                )
    optimizer = kind.__new__(kind)
    optimizer.__setstate__(
        {
            "defaults": decoder.decode(defaults),
            "state": learnt,
            "param_groups": groups,
        }
    )
    return optimizer


def _make_part_of_net(decoder, entry):
    name, attributes = decoder.fields(entry, "class", "attributes")
    kind = decoder.kind(name, (Callback, ValidSplit))
    part = kind.__new__(kind)
    vars(part).update(decoder.attributes(kind, attributes))
    return part


def _make_history(decoder, entry):
    (items,) = decoder.fields(entry, "items")
    items = decoder.decode(items)
    decoder.require(
        isinstance(items, list) and all(type(row) is dict for row in items),
        "each row of a History must be a dict",
    )
    return History(items)


def _make_size(decoder, entry):
    (items,) = decoder.fields(entry, "items")
    decoder.require(
        all(type(size) is int for size in items),
        "the sizes of a torch.Size must be integers",
    )

    return torch.Size(items)


def _dtype(name):
    found = next((dtype for dtype in _DTYPES if str(dtype) == f"torch.{name}"), None)
    if found is None:
        raise ValueError(f"{name!r:.40} is not a supported torch dtype")
    return found


def _device(name):
    """Return the CUDA device if the name is of one and there is one, else the CPU."""
    return stored_device(torch.device(name))


TORCH_DECODERS = {
    "tensor": _make_tensor,
    "module": _make_module,
    "optimizer": _make_optimizer,
    "part of a net": _make_part_of_net,
    "History": _make_history,
    "torch.Size": _make_size,
    "torch.dtype": lambda decoder, entry: _dtype(*decoder.fields(entry, "value")),
    "torch.device": lambda decoder, entry: _device(*decoder.fields(entry, "value")),
}
