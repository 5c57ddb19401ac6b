"""Progressive early stopping: stages of a training, parts of a network."""

from typing import Any, NamedTuple

import torch
from torch import nn

__all__ = ["Stage", "class_weights", "parts_of", "stage_of"]


class Stage(NamedTuple):
    """What happens in an epoch.

    Parameters
    ----------
    kind : {"early", "refine", "kept"}
    n_renewed : int
        Number of last parts that are trained anew.
    is_first : bool
        Whether this is the first epoch of a refinement.
    """

    kind: str
    n_renewed: int
    is_first: bool


def stage_of(epoch: int, n_early: int, refine_epochs: tuple[int, ...]) -> Stage:
    """Return what happens in an epoch.

    Parameters
    ----------
    epoch : int >= 1
    n_early : int
        Epochs in which the whole network learns all labels.
    refine_epochs : tuple of int
        Epochs of each refinement. The last one renews one part, that before two.

    Returns
    -------
    stage : Stage
    """
    done = n_early
    if epoch <= done:
        return Stage("early", 0, False)
    for position, n_epochs in enumerate(refine_epochs):
        if epoch <= done + n_epochs:
            n_renewed = len(refine_epochs) - position
            return Stage("refine", n_renewed, epoch == done + 1)
        done += n_epochs
    return Stage("kept", len(refine_epochs), epoch == done + 1)


def class_weights(counts: torch.Tensor) -> torch.Tensor:
    """Return the mean number of rows of a class over that of each class.

    Parameters
    ----------
    counts : Tensor of shape (n_classes,)
        Rows of each class.

    Returns
    -------
    weights : Tensor of shape (n_classes,), dtype float32
        0 for a class without rows.
    """
    counts = counts.float()
    return torch.where(counts > 0, counts.mean() / counts.clamp_min(1), 0)


def parts_of(module: nn.Module) -> list[tuple[str, list[nn.Module]]]:
    """Return the parts of a network that have weights, in their order.

    Parameters
    ----------
    module : torch module
        Compiled or not.

    Returns
    -------
    parts : list of tuples (name, modules)
        The named children; of a module with a single one, those of that one; of a
        Sequential called "body" its own. What only normalises, with weights of one
        dimension, belongs to the part before it.
    """
    children = _with_weights(getattr(module, "_orig_mod", module))
    while len(children) == 1 and _with_weights(children[0][1]):
        children = _with_weights(children[0][1])
    parts: list[tuple[str, list[nn.Module]]] = []
    for name, child in children:
        layers = [(name, child)]
        if name == "body" and isinstance(child, nn.Sequential):
            layers = [(f"body.{n}", layer) for n, layer in _with_weights(child)]
        for layer_name, layer in layers:
            if parts and all(weight.ndim < 2 for weight in layer.parameters()):
                parts[-1][1].append(layer)
            else:
                parts.append((layer_name, [layer]))
    return parts


def _with_weights(module: Any) -> list[tuple[str, nn.Module]]:
    return [
        (name, child)
        for name, child in module.named_children()
        if any(True for _ in child.parameters())
    ]
