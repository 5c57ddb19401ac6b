"""Default networks: logits = head(embed(X))."""

from __future__ import annotations

import math
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import torch
from torch import nn

from sknoisy._arguments import check_counts, check_reals, check_shape

__all__ = [
    "MLP",
    "embed",
    "embed_and_classify",
    "input_and_output",
    "learning_features",
    "row_refused",
]


class MLP(nn.Module):
    """Multi-layer perceptron with ReLU and dropout for tables and embeddings.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one row. Higher-dimensional rows are flattened.
    n_classes : int
        Number of classes.
    hidden : int or tuple of int, default=512
        Width of each hidden layer; ``()`` makes a linear model.
    dropout : float in [0, 1), default=0.3
        Dropped share of each hidden layer.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import MLP
    >>> net = MLP(input_shape=(4,), n_classes=3, hidden=(16, 8))
    >>> net(torch.zeros(5, 4)).shape, net.embed(torch.zeros(5, 4)).shape
    (torch.Size([5, 3]), torch.Size([5, 8]))
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        hidden: int | tuple[int, ...] = 512,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        check_counts(n_classes=n_classes)
        check_shape(input_shape=input_shape)
        widths = (hidden,) if isinstance(hidden, Integral) else hidden
        if not isinstance(widths, list | tuple) or not all(
            isinstance(width, Integral) and not isinstance(width, bool)
            for width in widths
        ):
            raise TypeError(
                f"hidden must be a width, or a tuple of widths; got {hidden!r}."
            )
        if any(width < 1 for width in widths):
            raise ValueError(f"hidden must hold widths of at least 1; got {hidden!r}.")
        check_reals(dropout=dropout)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1); got {dropout!r}.")
        layers = []
        n_in = math.prod(input_shape)
        for width in widths:
            layers += [nn.Linear(n_in, width), nn.ReLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            n_in = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(n_in, n_classes)

    def embed(self, X: torch.Tensor) -> torch.Tensor:
        """Return the penultimate features, shape (batch, n_features_out).

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of the batch.

        Returns
        -------
        features : Tensor of shape (batch, n_features_out)
            Penultimate features.
        """
        return self.body(X.flatten(1))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return the logits, shape (batch, n_classes).

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of the batch.

        Returns
        -------
        logits : Tensor of shape (batch, n_classes)
            One logit for each class.
        """
        return self.head(self.embed(X))


def embed(module: nn.Module, X: torch.Tensor) -> torch.Tensor:
    """Return the penultimate features of any classification module.

    Parameters
    ----------
    module : torch module
        Its own ``embed`` is used if it has one, else the input of its last Linear
        layer.
    X : Tensor of shape (batch, ...)
        Rows of the batch.

    Returns
    -------
    features : Tensor of shape (batch, n_features_out)
        Penultimate features of each row.

    Raises
    ------
    TypeError
        If the module has neither.
    """
    plain: Any = getattr(module, "_orig_mod", module)
    if hasattr(plain, "embed"):
        return plain.embed(X)
    with torch.no_grad():
        return embed_and_classify(plain, X)[0]


def learning_features(
    net: Any, X: torch.Tensor, module: nn.Module | None = None
) -> torch.Tensor:
    """Return the penultimate features of a net's module, for a step of its training.

    Parameters
    ----------
    net : NetClassifier
        With ``compile``, a module with ``embed`` is compiled for this; of others the
        features are seen by a hook, which a compiler does not see.
    X : Tensor of shape (batch, ...)
        Rows of the batch.
    module : torch module, default=None
        One of several networks; None is the module of the net.

    Returns
    -------
    features : Tensor of shape (batch, n_features_out)
        What enters the last linear layer.
    """
    module = net.module_ if module is None else module
    plain = getattr(module, "_orig_mod", module)
    if not net.compile or not hasattr(plain, "embed"):
        return embed_and_classify(module, X)[0]
    # torch keeps what it has compiled by the code of the function: this is cheap.
    return torch.compile(_embed, **net.get_params_for("compile"))(plain, X)


def _embed(module, X):
    return module.embed(X)


@contextmanager
def row_refused(module, row):
    """Add the name of the network and the shape of a row to errors of torch.

    Parameters
    ----------
    module : torch module
    row : Tensor of shape (1, ...)

    Raises
    ------
    TypeError
        If the weights are of another dtype than the rows.
    ValueError
        If the network cannot take a row of this shape.
    """
    try:
        yield
    except (RuntimeError, IndexError) as error:
        name = type(getattr(module, "_orig_mod", module)).__name__
        weights = {p.dtype for p in module.parameters()}
        if weights <= {torch.float32}:
            raise ValueError(
                f"{name} cannot take rows of X of shape {tuple(row.shape[1:])}: {error}"
            ) from error
        raise TypeError(
            f"{name} has weights of {', '.join(map(str, weights))}, but rows are "
            f"float32; pass module.float(). ({error})"
        ) from error


def embed_and_classify(
    module: nn.Module, X: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the penultimate features and the logits, from a single forward pass.

    Parameters
    ----------
    module : torch module
        A module with ``embed`` and ``head``, or one that ends in a Linear layer.
    X : Tensor of shape (batch, ...)
        Rows of the batch.

    Returns
    -------
    features : Tensor of shape (batch, n_features_out)
        Penultimate features of each row.
    logits : Tensor of shape (batch, n_classes)
        One logit for each class.

    Raises
    ------
    TypeError
        If the module has neither.
    """
    # A compiled module would ignore the hook.
    plain: Any = getattr(module, "_orig_mod", module)
    if hasattr(plain, "embed") and hasattr(plain, "head"):
        features = plain.embed(X)
        return features, plain.head(features)
    linear = [n for n, layer in plain.named_modules() if isinstance(layer, nn.Linear)]
    if not linear:
        lacks = "`head`" if hasattr(plain, "embed") else "method `embed`"
        raise TypeError(
            f"{type(plain).__name__} has no {lacks} and no Linear layer; give it "
            "`embed(X)`, the features before the last layer, and `head`, that layer."
        )
    return input_and_output(plain, linear[-1], X)


def input_and_output(
    module: nn.Module, name: str, X: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what enters a layer, and what a network returns, from a single pass.

    Parameters
    ----------
    module : torch module
        The network.
    name : str
        Name of the layer in it.
    X : Tensor of shape (batch, ...)
        Rows of the batch.

    Returns
    -------
    features : Tensor of shape (batch, n_features)
        The input of the layer, flattened; the last one if it is called repeatedly.
    output : Tensor of shape (batch, n_classes)
        What the network returns.
    """
    # A compiled module would ignore the hook.
    plain: Any = getattr(module, "_orig_mod", module)
    layer, seen = plain.get_submodule(name), []
    hook = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        compiled = getattr(plain, "_compiled_call_impl", None) is not None
        output = plain.forward(X) if compiled else plain(X)
    finally:
        hook.remove()
    return seen[-1].flatten(1), output
