"""The return value of a training step: loss, logits, and what was learnt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from sknoisy._warning import warn_user

__all__ = ["Learnt", "Step", "as_step", "refuse_loss_without_gradient"]


class Learnt(NamedTuple):
    """The rows and targets that one network learnt in a step.

    Parameters
    ----------
    network : torch module
        One of the networks that ``module_`` consists of, or another module of the net.
    X : Tensor of shape (batch, ...)
        All rows of the batch as they were learnt, but before mixing.
    targets : Tensor of shape (batch,), dtype int64, or (batch, n_classes)
        Label codes, or a distribution over the classes for each row; before
        mixing.
    rows : Tensor of shape (n_rows,), dtype int64, default=None
        Positions in the batch of the learnt rows; there may be none. The default
        stands for all.
    """

    network: nn.Module
    X: Tensor
    targets: Tensor
    rows: Tensor | None = None


@dataclass(slots=True, eq=False)
class Step:
    """A training step, as ``training_loss`` of a `NetClassifier` returns it.

    Parameters
    ----------
    loss : Tensor of shape ()
        The loss that the optimizer minimises, computed from outputs of the networks. If
        no row of a batch is learnt, ``weighted_mean`` of no rows returns a loss of 0
        with a gradient; ``torch.zeros(())`` has no gradient and is refused.
    logits : Tensor of shape (batch, n_classes)
        The logits that recorders read: those of the prediction if the step runs all
        networks, else those of the network that it trains.
    learnt : sequence of Learnt, default=()
        Which network learnt which rows, and with which targets. It is read by features
        that depend on what was learnt, such as adversarial masking: a method that
        leaves it empty cannot be masked. Callbacks get it in ``on_batch_end``.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import Learnt, Step
    >>> network, X, y = torch.nn.Linear(4, 3), torch.ones(2, 4), torch.tensor([0, 2])
    >>> logits = network(X)
    >>> loss = torch.nn.functional.cross_entropy(logits, y)
    >>> step = Step(loss, logits, [Learnt(network, X, y)])
    >>> step.learnt[0].targets
    tensor([0, 2])
    """

    loss: Tensor
    logits: Tensor
    learnt: Sequence[Learnt] = ()

    def __iter__(self) -> Iterator[Tensor]:
        """Yield loss and logits, as ``training_loss`` returned in 0.1.0."""
        warn_user(
            "training_loss now returns a Step, not a tuple: read step.loss and "
            "step.logits. From 0.3.0 on a Step cannot be unpacked.",
            FutureWarning,
        )
        return iter((self.loss, self.logits))


def as_step(net, made) -> Step:
    """Return the result of ``training_loss`` as a `Step`.

    Parameters
    ----------
    net : NetClassifier
    made : Step or tuple of two Tensors
        A pair of loss and logits, as in 0.1.0, warns at the first batch of a training.

    Returns
    -------
    step : Step

    Raises
    ------
    TypeError
        If it is neither.
    """
    if isinstance(made, Step):
        return made
    if not isinstance(made, tuple) or len(made) != 2:
        raise TypeError(
            f"training_loss of {type(net).__name__} must return a sknoisy.nets.Step"
            f"(loss, logits); it returned an object of type {type(made).__name__}."
        )
    is_first_epoch = len(net.history) == net.epochs_before_ + 1
    if is_first_epoch and len(net.history[-1]["batches"]) == 1:
        warn_user(
            f"training_loss of {type(net).__name__} returns a tuple; return "
            "sknoisy.nets.Step(loss, logits, [Learnt(network, X, targets)]). A tuple "
            "is an error from 0.3.0 on.",
            FutureWarning,
        )
    return Step(*made)


def refuse_loss_without_gradient(net, loss):
    """Refuse the loss of a step from which no gradient can be computed.

    Parameters
    ----------
    net : NetClassifier
    loss : object
        ``loss`` of the `Step`.

    Raises
    ------
    ValueError
        If it is not a tensor of one number that depends on a trainable parameter.
    """
    if isinstance(loss, Tensor) and loss.requires_grad and loss.numel() == 1:
        return
    if not isinstance(loss, Tensor):
        found = f"an object of type {type(loss).__name__}"
    elif loss.numel() != 1:
        found = f"a tensor of shape {tuple(loss.shape)}"
    else:
        found = "a number that depends on no trainable parameter"
    raise ValueError(
        f"training_loss of {type(net).__name__} must return in Step(loss, ...) a "
        "tensor of shape (), computed from outputs of its networks; the loss is "
        f"{found}. For a batch from which nothing is learnt, return "
        "self.weighted_mean(losses[rows], index[rows]) with empty rows, which is 0."
    )
