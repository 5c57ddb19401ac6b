"""Several networks of the same kind that train side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from sknoisy.nets._attention import AttentiveNetwork
from sknoisy.nets._modules import embed

if TYPE_CHECKING:
    from sknoisy._types import MakerOfModules

__all__ = ["Peers", "networks_of", "refuse_instance"]


class Peers(nn.Module):
    """Several independently built networks as one module, which predicts their mean.

    A step that trains all peers should return logits with the softmax that ``forward``
    predicts: of ``logits``, of shape (n_peers, batch, n_classes),
    ``logits.log_softmax(-1).logsumexp(0)`` for ``mean_of="proba"``, or
    ``logits.mean(0)`` for ``mean_of="logits"``. A step of one peer returns its logits.

    Parameters
    ----------
    build : callable
        Returns a new network, with its own initial weights, at each call.
    n_peers : int >= 2, default=2
        Number of networks.
    mean_of : {"proba", "logits"}, default="proba"
        The outputs that are averaged for a prediction.

    Attributes
    ----------
    peers : torch.nn.ModuleList of length n_peers
        The networks, in the order in which they were built.
    """

    def __init__(
        self,
        build: Callable[..., nn.Module],
        n_peers: int = 2,
        mean_of: Literal["proba", "logits"] = "proba",
    ) -> None:
        super().__init__()
        self.peers = nn.ModuleList([build() for _ in range(n_peers)])
        if len({id(peer) for peer in self.peers}) < n_peers:
            raise ValueError("build must return a new network at each call.")
        self.mean_of = mean_of

    @property
    def compiled_parts(self) -> Any:
        """The networks that training and prediction call."""
        return list(self.peers)

    def each(self, X: torch.Tensor) -> list[torch.Tensor]:
        """Return the logits of every peer, for training.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of a batch.

        Returns
        -------
        logits : list of Tensors of shape (batch, n_classes)
            One for each peer.
        """
        return [peer(X) for peer in self.peers]

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return logits whose softmax is the prediction.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of a batch.

        Returns
        -------
        logits : Tensor of shape (batch, n_classes)
            Logits of the mean of all peers.
        """
        logits = torch.stack(self.each(X))
        if self.mean_of == "logits":
            return logits.mean(0)
        # log of the mean probability, up to a constant
        return logits.log_softmax(-1).logsumexp(0)

    def embed(self, X: torch.Tensor) -> torch.Tensor:
        """Return the penultimate features of all peers, side by side.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of a batch.

        Returns
        -------
        features : Tensor of shape (batch, n_features)
            Features of the first peer come first.
        """
        return torch.cat([embed(peer, X) for peer in self.peers], dim=1)


def networks_of(module):
    """Return the classification networks in a net's module.

    Parameters
    ----------
    module : torch module
        Compiled or not.

    Returns
    -------
    networks : list of torch modules
        The peers, or a network without its attention branch; else the module itself.
    """
    module = getattr(module, "_orig_mod", module)
    if isinstance(module, Peers):
        return list(module.peers)
    return [module.network if isinstance(module, AttentiveNetwork) else module]


def refuse_instance(module: MakerOfModules | None) -> None:
    """Refuse an instance as module: peers must have different initial weights.

    Parameters
    ----------
    module : torch module class or instance, or None
        The parameter ``module`` of a net.

    Raises
    ------
    ValueError
        If it is an instance.
    """
    if isinstance(module, nn.Module):
        raise ValueError(
            "module must be a class: two copies of an instance would start with "
            f"the same weights. Pass {type(module).__name__} and module__…."
        )
