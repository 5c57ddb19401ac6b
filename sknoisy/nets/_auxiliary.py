"""Networks with several outputs: the logits, and auxiliary ones for training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from sknoisy.nets._refusals import has_own_step

if TYPE_CHECKING:
    import torch

__all__ = ["auxiliary_loss", "main_logits", "refuse_unread_auxiliary"]


def main_logits(module, outputs):
    """Return the logits of a network; keep its auxiliary ones for the loss.

    Parameters
    ----------
    module : torch module
        Its ``auxiliary`` are the weights of auxiliary logits by name, or None. In
        training they are kept in ``auxiliary_logits`` until `auxiliary_loss`.
    outputs : Tensor, or a tuple of Tensors that begins with the logits

    Returns
    -------
    logits : Tensor of shape (batch, n_classes)

    Raises
    ------
    ValueError
        If the network has no auxiliary logits of such a name.
    """
    if not isinstance(outputs, tuple):
        # Also in evaluation mode, in which the networks leave them out.
        module.auxiliary_logits = {}
        return outputs
    names = getattr(outputs, "_fields", [str(i) for i in range(len(outputs))])
    others = dict(zip(names[1:], outputs[1:], strict=True))
    wanted = module.auxiliary or {}
    unknown = [name for name in wanted if name not in others]
    if unknown:
        raise ValueError(
            f"auxiliary names {', '.join(map(repr, unknown))}, but the network has the "
            f"auxiliary outputs {', '.join(map(repr, others))}."
        )
    if module.training:
        module.auxiliary_logits = {name: others[name] for name in wanted}
    return outputs[0]


def auxiliary_loss(module, loss_of) -> torch.Tensor | float:
    """Return the weighted losses of the auxiliary logits of the last forward pass.

    Parameters
    ----------
    module : torch module
        Compiled or not.
    loss_of : callable
        Returns the loss of logits.

    Returns
    -------
    loss : Tensor or float
        0.0 if there are none.
    """
    module = getattr(module, "_orig_mod", module)
    weights = getattr(module, "auxiliary", None)
    if not weights:
        return 0.0
    # A module that kept them could not be copied or stored.
    kept, module.auxiliary_logits = module.auxiliary_logits, {}
    return sum(weights[name] * loss_of(logits) for name, logits in kept.items())


def refuse_unread_auxiliary(net):
    """Refuse weights of auxiliary logits where the training would not read them.

    Parameters
    ----------
    net : NetClassifier
        With its modules.

    Raises
    ------
    ValueError
        If the method has its own training step, or masks images.
    """
    if not (has_own_step(net) or net.masking is not None):
        return
    for slot in net._modules:
        module = getattr(net, slot + "_")
        parts = module.modules() if isinstance(module, nn.Module) else ()
        if any(getattr(part, "auxiliary", None) for part in parts):
            who = type(net).__name__ if has_own_step(net) else "masking"
            raise ValueError(
                f"{who} does not learn from auxiliary logits: leave out "
                f"{slot}__auxiliary, which ignores them."
            )
