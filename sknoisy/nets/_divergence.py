"""Detection of divergence by the loss, the weights and the predictions."""

import numpy as np
import torch
from torch import nn

from sknoisy.nets._batches import to_float
from sknoisy.nets._slots import is_channels_last

__all__ = [
    "diverged",
    "refuse_divergence",
    "refuse_undefined_outputs",
    "refuse_undefined_weights",
    "try_on_rows",
    "undefined_states",
]

# Number of rows that are tested: a network that overflows does so on most rows.
_N_TRIED = 16


def diverged(net, found):
    """Return the error for a training that diverged.

    Parameters
    ----------
    net : skorch NeuralNet
    found : str
        The sign of the divergence, for the message.

    Returns
    -------
    error : FloatingPointError
    """
    return FloatingPointError(
        f"training diverged in epoch {len(net.history)}: {found}. Lower lr (now "
        f"{net.lr}), standardise X, or clip gradients with "
        "skorch.callbacks.GradientNormClipping."
    )


def refuse_undefined_weights(net):
    """Raise an error if a weight, or a statistic of batches, is not finite.

    The loss of a batch is computed before its step, so it does not show this.

    Parameters
    ----------
    net : skorch NeuralNet

    Raises
    ------
    FloatingPointError
        If a parameter of a part, or a buffer of a module, is infinite or NaN.
    """
    named = [
        (f"{slot}_.{name}", tensor)
        for slot in [*net._modules, *net._criteria]
        for name, tensor in _tensors(net, slot)
        if tensor.is_floating_point() and tensor.numel()
    ]
    tensors = [tensor.detach() for _, tensor in named]
    if not tensors:
        return
    largest = nn.utils.get_total_norm(tensors, norm_type=torch.inf)
    if not largest.isfinite():
        name = next(name for name, tensor in named if not tensor.isfinite().all())
        raise diverged(net, f"the weights {name} are infinite or NaN")


def undefined_states(net):
    """Return the names of the states of criteria that are NaN, as before they are set.

    Parameters
    ----------
    net : NetClassifier

    Returns
    -------
    names : set of str
    """
    return {
        f"{slot}_.{name}"
        for slot in net._criteria
        if isinstance(criterion := getattr(net, slot + "_"), nn.Module)
        for name, state in criterion.named_buffers()
        if state.is_floating_point() and state.isnan().any()
    }


def refuse_undefined_outputs(net, outputs):
    """Raise an error if the largest output for a row is not finite.

    Parameters
    ----------
    net : NetClassifier
    outputs : Tensor of shape (n_rows, ...)
        A log-probability may be minus infinity.

    Raises
    ------
    FloatingPointError
    """
    if not outputs.flatten(1).amax(1).isfinite().all():
        raise diverged(net, "the outputs for rows of X are infinite or NaN")


def refuse_divergence(net, undefined):
    """Raise an error if weights or states of rows of a trained net are not finite.

    Parameters
    ----------
    net : NetClassifier
    undefined : set of str
        The result of `undefined_states` before the training.

    Raises
    ------
    FloatingPointError
    """
    refuse_undefined_weights(net)
    lost = sorted(undefined_states(net) - undefined)
    if lost:
        raise diverged(net, f"{lost[0]}, a state of the rows, is NaN")


def try_on_rows(net, dataset):
    """Test a trained net on the first rows.

    The last step may leave finite weights that are too large for finite outputs.

    Parameters
    ----------
    net : NetClassifier
    dataset : ArrayDataset

    Raises
    ------
    FloatingPointError
        If the outputs are infinite or NaN.
    """
    rows = np.arange(min(len(dataset), _N_TRIED))
    X = to_float(dataset.fetch(rows)[0].to(net.device_))
    if X.ndim == 4 and is_channels_last(net):
        X = X.contiguous(memory_format=torch.channels_last)
    refuse_undefined_outputs(net, net.evaluation_step((X, None)))


def _tensors(net, slot):
    component = getattr(net, slot + "_", None)
    if not isinstance(component, nn.Module):
        return
    yield from component.named_parameters()
    if slot in net._modules:
        # Buffers of a criterion may be NaN until they are first set.
        yield from component.named_buffers()
