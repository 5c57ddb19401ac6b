"""Defaults of a net."""

from functools import partial

import torch

from sknoisy.nets._device_kinds import has_fused_optimizers
from sknoisy.nets._image_augment import crop_and_flip
from sknoisy.nets._image_networks import PreActResNet18
from sknoisy.nets._modules import MLP

__all__ = [
    "begin_momentum",
    "default_augmentation",
    "default_module",
    "default_optimizer_params",
]

# By the number of dimensions of a row.
_MODULES = {1: MLP, 3: PreActResNet18}
_AUGMENTATIONS = {3: crop_and_flip}


def default_module(input_shape):
    """Return the network class for rows of this shape.

    Raises
    ------
    ValueError
        If there is no default for it.
    """
    if len(input_shape) not in _MODULES:
        raise ValueError(
            f"there is no default network for X with {len(input_shape) + 1} "
            "dimensions; set module= to a torch module class that accepts it."
        )
    return _MODULES[len(input_shape)]


def default_augmentation(input_shape):
    """Return the default augmentation of images, None for rows of other shapes."""
    return _AUGMENTATIONS.get(len(input_shape))


def default_optimizer_params(optimizer, params, device):
    """Complete the parameters of an optimizer.

    Parameters
    ----------
    optimizer : callable
    params : dict
        Given by the user.
    device : torch.device

    Returns
    -------
    params : dict
    """
    bound = {}
    if isinstance(optimizer, partial):
        optimizer, bound = optimizer.func, optimizer.keywords
    given = {*params, *bound}
    defaults = {}
    if optimizer is torch.optim.SGD:
        defaults = {"momentum": 0.9, "weight_decay": 2e-3}
    fusible = optimizer in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
    other_kernel = {"fused", "foreach", "differentiable"} & given
    # The fused kernels save 20-40 % of an Adam step on a CPU, and launches on a GPU.
    if fusible and not other_kernel and has_fused_optimizers(device):
        defaults["fused"] = True
    return {**{k: v for k, v in defaults.items() if k not in given}, **params}


def begin_momentum(optimizer):
    """Initialise the momentum of weights that get their first gradient later.

    torch's fused SGD initialises the momentum of all weights together, and fails if
    some have it already. Parts that are not used in a warm-up get theirs after it.

    Parameters
    ----------
    optimizer : torch optimizer
        Only a fused SGD with momentum is changed.

    Returns
    -------
    may_be_late : bool
        Whether a weight has had no gradient yet, so that this must be called again.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        return False
    state, may_be_late = optimizer.state, False
    for group in optimizer.param_groups:
        if not (group.get("fused") and group.get("momentum")):
            continue
        learning = [weight for weight in group["params"] if weight.grad is not None]
        late = [w for w in learning if state[w].get("momentum_buffer") is None]
        if len(late) < len(learning):
            for weight in late:
                state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        resting = (w for w in group["params"] if w.grad is None)
        may_be_late |= any("momentum_buffer" not in state.get(w, ()) for w in resting)
    return may_be_late
