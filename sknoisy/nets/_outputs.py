"""Outputs of a network: logits, or under NLLLoss probabilities, as in skorch."""

import inspect

import torch
from torch import nn
from torch.nn import functional as F

from sknoisy.nets._attention import AttentiveNetwork
from sknoisy.nets._modules import row_refused
from sknoisy.nets._peers import Peers

__all__ = [
    "check_batch_outputs",
    "check_outputs",
    "criterion_value",
    "keeps_rows",
    "logits_of",
    "scored",
    "scores_alone",
    "takes_index",
    "takes_proba",
    "validation_loss",
]

# Largest deviation of the sum of probabilities from 1, also in float16.
_SUM_TOLERANCE = 1e-2


def takes_proba(criterion):
    """Return whether the module returns probabilities, skorch's convention for NLLLoss.

    Parameters
    ----------
    criterion : torch criterion or None
        Compiled or not.

    Returns
    -------
    takes_proba : bool
        False for any other criterion, whose module returns logits.
    """
    # Asked at every batch: to ask a module for an attribute that it lacks is slow.
    parts = getattr(criterion, "_modules", None) or {}
    return isinstance(parts.get("_orig_mod", criterion), nn.NLLLoss)


def logits_of(criterion, outputs):
    """Return the outputs of a network as logits: the log if they are probabilities.

    Parameters
    ----------
    criterion : torch criterion or None
        Criterion of the training.
    outputs : Tensor of shape (batch, n_classes), or a tuple that begins with one

    Returns
    -------
    logits : Tensor of shape (batch, n_classes)
    """
    outputs = outputs[0] if isinstance(outputs, tuple) else outputs
    if not takes_proba(criterion):
        return outputs
    # A probability that was rounded to 0 gets a finite logit, and so a finite margin.
    return outputs.float().clamp_min(1e-38).log()


def scored(criterion, outputs):
    """Return the input of a criterion: under NLLLoss the log of the outputs.

    Parameters
    ----------
    criterion : torch criterion or function
    outputs : Tensor of shape (batch, n_classes)
        Outputs of the module.

    Returns
    -------
    scored : Tensor of shape (batch, n_classes)
        The outputs themselves, or their log.
    """
    if not takes_proba(criterion):
        return outputs
    # skorch's epsilon; skorch itself does not recognise a compiled criterion.
    outputs = outputs.float()
    return (outputs + torch.finfo(outputs.dtype).eps).log()


def criterion_value(criterion, outputs, codes):
    """Return the value of a criterion of outputs and codes.

    Parameters
    ----------
    criterion : torch criterion or function
    outputs : Tensor of shape (batch, n_classes)
        Outputs of the module.
    codes : Tensor of shape (batch,), dtype int64

    Returns
    -------
    loss : Tensor of shape () or (batch,)

    Raises
    ------
    ValueError
        If a criterion of torch does not accept outputs or labels of this shape.
    """
    try:
        return criterion(scored(criterion, outputs), codes)
    except (ValueError, RuntimeError) as error:
        home = getattr(criterion, "__module__", "").partition(".")[0]
        if home != "torch" or isinstance(error, torch.OutOfMemoryError):
            raise
        raise ValueError(
            f"criterion {type(criterion).__name__} does not take outputs of shape "
            f"{tuple(outputs.shape)} with label codes of shape "
            f"{tuple(codes.shape)}: {error}"
        ) from error


def validation_loss(criterion, outputs, codes):
    """Return the loss of a validation batch.

    Parameters
    ----------
    criterion : torch criterion or function
        If it needs more than outputs and codes, plain cross-entropy is used instead.
    outputs : Tensor of shape (batch, n_classes)
        Outputs of the module.
    codes : Tensor of shape (batch,), dtype int64

    Returns
    -------
    loss : Tensor of shape () or (batch,)
    """
    if scores_alone(criterion):
        return criterion_value(criterion, outputs, codes)
    return F.cross_entropy(scored(criterion, outputs), codes)


def keeps_rows(criterion):
    """Return the name of a criterion, or of its part, with a state for each row.

    Parameters
    ----------
    criterion : torch criterion or function

    Returns
    -------
    name : str or None
        None if there is no such part.
    """
    if not isinstance(criterion, nn.Module):
        return None
    kinds = map(type, criterion.modules())
    keep = (kind.__name__ for kind in kinds if "n_samples" in _signature(kind))
    return next(keep, None)


def takes_index(criterion):
    """Return whether a criterion takes the row numbers of a batch.

    Parameters
    ----------
    criterion : torch criterion, function or None
        None if a subclass of the net gives its criterion another name.

    Returns
    -------
    takes : bool
    """
    return "index" in _signature(getattr(criterion, "forward", criterion))


def scores_alone(criterion):
    """Return whether a criterion needs only outputs and labels, and no state of rows.

    Parameters
    ----------
    criterion : torch criterion or function

    Returns
    -------
    scores : bool
        Whether it may score a validation batch.
    """
    forward = getattr(criterion, "forward", criterion)
    # Torch's containers have a `forward` that only raises an error.
    is_container = isinstance(criterion, nn.ModuleList | nn.ModuleDict)
    if is_container or takes_index(criterion) or keeps_rows(criterion):
        return False
    try:
        inspect.signature(forward).bind(None, None)
    except TypeError:
        return False
    return True


@torch.no_grad()
def check_outputs(module, row, n_classes, criterion=None, *, may_be_tuple=False):
    """Refuse a network without one output for each class, or with wrong outputs.

    Parameters
    ----------
    module : torch module
    row : Tensor of shape (1, ...)
    n_classes : int
    criterion : torch criterion, default=None
        Under NLLLoss the outputs must be probabilities.
    may_be_tuple : bool, default=False
        Whether the outputs may be a tuple, of which the first is used.

    Raises
    ------
    TypeError
        If the output is not a tensor, or the weights do not accept float32.
    ValueError
        If the network does not accept the row, if the shape of the output is not (1,
        n_classes), or if probabilities are needed and the output is not.
    """
    # Check and name the network of the user, not a module around it.
    if isinstance(module, Peers):
        module = module.peers[0]
    elif isinstance(module, AttentiveNetwork):
        module = module.network
    was_training = module.training
    name = type(getattr(module, "_orig_mod", module)).__name__
    with row_refused(module, row):
        outputs = module.eval()(row / 255 if row.dtype == torch.uint8 else row)
    module.train(was_training)
    if may_be_tuple and isinstance(outputs, tuple):
        outputs = outputs[0]
    _check_shape(name, outputs, 1, n_classes)
    if takes_proba(criterion):
        _check_proba(name, outputs.float(), criterion)


@torch.no_grad()
def check_batch_outputs(net, outputs, n_rows):
    """Refuse outputs of a batch that are no logits of its rows, or no probabilities.

    Parameters
    ----------
    net : NetClassifier
        Whose module has made them.
    outputs : object
    n_rows : int

    Raises
    ------
    TypeError
        If they are no tensor.
    ValueError
        If their shape is not (n_rows, n_classes), or if they cannot be probabilities
        where these are needed.
    """
    name = type(getattr(net.module_, "_orig_mod", net.module_)).__name__
    _check_shape(name, outputs, n_rows, len(net.classes_))
    if takes_proba(net.criterion_):
        _check_proba(name, outputs[:1].float(), net.criterion_)


def _check_shape(name, outputs, n_rows, n_classes):
    if not isinstance(outputs, torch.Tensor):
        raise TypeError(
            f"{name} must return logits, one tensor of shape (batch, n_classes); it "
            f"returns a {type(outputs).__name__}. Wrap it in a module that returns "
            "the logits alone."
        )
    if outputs.shape != (n_rows, n_classes):
        raise ValueError(
            f"{name} must return logits of shape (batch, n_classes): "
            f"it has {outputs[0].numel() if outputs.ndim else 1} outputs for a row, "
            f"but {n_classes} are needed."
        )


def _check_proba(name, outputs, criterion):
    low, total = float(outputs.min()), float(outputs.sum())
    if low >= -1e-6 and abs(total - 1) <= _SUM_TOLERANCE:
        return
    # NaN and infinity are reported when the training diverges.
    if not outputs.isfinite().all():
        return
    loss = type(getattr(criterion, "_orig_mod", criterion)).__name__
    raise ValueError(
        f"under {loss} the module must return probabilities, as in skorch, of which "
        f"the log is taken; but {name} returns values down to {low:.3g} that sum to "
        f"{total:.3g}. For logits, and for the output of a LogSoftmax, set "
        "criterion=torch.nn.CrossEntropyLoss; or end the module with a Softmax."
    )


def _signature(component):
    try:
        return inspect.signature(component).parameters
    except (TypeError, ValueError):
        # Some functions written in C have none.
        return {}
