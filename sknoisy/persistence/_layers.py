"""Check of torch layers in a file: their sizes must match their weights."""

import inspect
from typing import Any

import torch
from torch import nn

from sknoisy.persistence._allowed import is_allowed_layer

__all__ = ["check_layer"]

# Attributes that torch sets on every module, and on compiled ones.
_INTERNAL = {*vars(nn.Module()), "_compiled_call_impl"}


def check_layer(module: nn.Module) -> dict[str, Any]:
    """Check that a layer of torch equals one built by its constructor.

    A second layer is built from its attributes on the meta device, and compared: names
    and shapes of weights, and all attributes derived from the arguments. Layers from
    elsewhere are not checked: they consist of these, or compute in Python.

    Parameters
    ----------
    module : Module

    Returns
    -------
    missing : dict of str to object
        Attributes that it lacks because a later version of torch introduced them.

    Raises
    ------
    ValueError
        If they differ.
    """
    kind = type(module)
    if not is_allowed_layer(kind):
        return {}
    name = kind.__name__
    try:
        made = kind(**_arguments(module))
    # torch raises many types of errors for impossible sizes.
    except Exception as error:
        raise ValueError(
            f"{name} cannot be built from its attributes ({error!s:.120})"
        ) from error
    for own, other in (
        (module._parameters, made._parameters),
        (module._buffers, made._buffers),
    ):
        _require(
            set(own) == set(other),
            f"the weights of {name} have other names than expected",
        )
        for key, tensor in own.items():
            fits = _shape(tensor) == _shape(other[key])
            _require(fits, f"the sizes of {name} do not match its {key}")
    is_holder = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
    _require(is_holder or not module._modules, f"{name} must not have submodules")
    return _missing_attributes(name, vars(module), vars(made))


def _arguments(module: nn.Module) -> dict[str, Any]:
    """Return the constructor's arguments, as found in the layer's attributes."""
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
            # Otherwise an embedding would draw its weights, which imports much of
            # torch.
            found[name] = module._parameters.get("weight")
        elif name in module._buffers and parameter.default is None:
            # Class weights of a loss.
            found[name] = module._buffers[name]
    return found


def _missing_attributes(
    kind: str, own: dict[str, Any], other: dict[str, Any]
) -> dict[str, Any]:
    for name in set(own) - _INTERNAL:
        value = own[name]
        _require(name in other, f"{kind} has no attribute {name!r:.60}")
        fits = _is_plain(value) and type(value) is type(other[name])
        _require(
            fits and value == other[name],
            f"{kind}'s {name} differs from what its constructor sets",
        )
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
