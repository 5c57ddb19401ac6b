"""Layers of torch in a file: what they say of their sizes fits their weights."""

import inspect
from typing import Any

import torch
from torch import nn

from sknoisy.persistence._allowed import is_allowed_layer

__all__ = ["check_layer"]

# What torch keeps about each module, and what it calls if it was compiled.
_INTERNAL = {*vars(nn.Module()), "_compiled_call_impl"}


def check_layer(module: nn.Module) -> dict[str, Any]:
    """Check that a layer of torch is what its constructor would have made.

    It is made anew from its own attributes, on a device without memory, and compared:
    names, shapes of weights, and all that follows from the arguments. Layers of others
    are made of these, or computed in Python.

    Parameters
    ----------
    module : Module

    Returns
    -------
    missing : dict of str to object
        Attributes that it lacks: those of a later version of torch.

    Raises
    ------
    ValueError
        If it is another.
    """
    kind = type(module)
    if not is_allowed_layer(kind):
        return {}
    name = kind.__name__
    try:
        made = kind(**_arguments(module))
    # What torch says of sizes that cannot be has no end.
    except Exception as error:
        raise ValueError(f"no {name} can be made so ({error!s:.120})") from error
    for own, other in (
        (module._parameters, made._parameters),
        (module._buffers, made._buffers),
    ):
        _require(set(own) == set(other), f"{name} has other weights")
        for key, tensor in own.items():
            fits = _shape(tensor) == _shape(other[key])
            _require(fits, f"the sizes of {name} do not fit its {key}")
    is_holder = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
    _require(is_holder or not module._modules, f"{name} has parts")
    return _missing_attributes(name, vars(module), vars(made))


def _arguments(module: nn.Module) -> dict[str, Any]:
    """Return what the constructor was given, by what the layer has kept of it."""
    own = vars(module)
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(type(module)).parameters.items():
        if name == "device":
            found[name] = torch.device("meta")
        elif name in own:
            found[name] = own[name]
        elif name == "bias":
            found[name] = module._parameters.get(name) is not None
        elif name == "_weight":
            # Else an embedding would draw one, with much of torch to be imported.
            found[name] = module._parameters.get("weight")
        elif name in module._buffers and parameter.default is None:
            # Weights of the classes in a loss.
            found[name] = module._buffers[name]
    return found


def _missing_attributes(
    kind: str, own: dict[str, Any], other: dict[str, Any]
) -> dict[str, Any]:
    for name in set(own) - _INTERNAL:
        value = own[name]
        _require(name in other, f"{kind} has no attribute {name!r:.60}")
        fits = _is_plain(value) and type(value) is type(other[name])
        _require(fits and value == other[name], f"{kind}'s {name} does not fit")
    return {name: other[name] for name in set(other) - set(own) - _INTERNAL}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _shape(tensor: torch.Tensor | None) -> Any:
    return tensor if tensor is None else (tensor.shape, tensor.is_floating_point())


def _require(holds: Any, message: str) -> None:
    if not holds:
        raise ValueError(message)
