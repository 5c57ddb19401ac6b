"""Networks of torchvision for any number of classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn

from sknoisy.nets._modules import embed_and_classify

if TYPE_CHECKING:
    import torch

__all__ = ["TorchvisionNet"]


class TorchvisionNet(nn.Module):
    """A torchvision model with a new last linear layer for the classes.

    Parameters
    ----------
    n_classes : int
        Number of classes.
    model : str or callable, default="resnet18"
        Name of a torchvision model, or a function that returns a network, such as
        ``torchvision.models.resnet18``. It is called with ``weights`` and ``**params``.
    weights : str, torchvision weights or None, default=None
        Passed to the model, for example "DEFAULT"; torchvision downloads them if
        needed. None uses random weights.
    **params : dict
        Other parameters of the model.

    Raises
    ------
    ImportError
        If ``model`` is a name, and torchvision is not installed.
    TypeError
        If the model has no linear layer.

    Examples
    --------
    >>> from sknoisy import NALClassifier
    >>> from sknoisy.nets import TorchvisionNet
    >>> clf = NALClassifier(
    ...     TorchvisionNet, module__model="resnet50", module__weights="DEFAULT"
    ... )
    """

    def __init__(
        self,
        n_classes: int,
        model: str | Callable[..., nn.Module] = "resnet18",
        weights: str | None = None,
        **params: Any,
    ) -> None:
        super().__init__()
        if isinstance(model, str):
            self.network = _models().get_model(model, weights=weights, **params)
        else:
            self.network = model(weights=weights, **params)
        layers = [
            name
            for name, layer in self.network.named_modules()
            if isinstance(layer, nn.Linear)
        ]
        if not layers:
            raise TypeError(
                f"{type(self.network).__name__} has no Linear layer to replace for "
                f"{n_classes} classes."
            )
        parent, _, name = layers[-1].rpartition(".")
        old = self.network.get_submodule(layers[-1])
        head = nn.Linear(old.in_features, n_classes)
        setattr(self.network.get_submodule(parent), name, head)

    def feature_map(self, X: torch.Tensor) -> torch.Tensor:
        """Return the input of the last pooling, shape (batch, n_channels, h, w).

        If a model has no pooling layer, the output of its last convolution or
        normalisation.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of the batch.

        Returns
        -------
        map : Tensor of shape (batch, n_channels, h, w)
            The last map before the pooling.

        Raises
        ------
        TypeError
            If the model has no such layer, for example a transformer.
        """
        layers = list(self.network.modules())
        pools = [layer for layer in layers if isinstance(layer, nn.AdaptiveAvgPool2d)]
        kinds = nn.Conv2d, nn.BatchNorm2d
        others = [layer for layer in layers if isinstance(layer, kinds)]
        if not pools and not others:
            raise TypeError(f"{type(self.network).__name__} has no feature map.")
        seen = []
        if pools:
            hook = pools[-1].register_forward_pre_hook(
                lambda _, args: seen.append(args[0])
            )
        else:
            hook = others[-1].register_forward_hook(
                lambda _, args, out: seen.append(out)
            )
        try:
            self.network(X)
        finally:
            hook.remove()
        return seen[-1]

    def embed(self, X: torch.Tensor) -> torch.Tensor:
        """Return the input of the last layer, shape (batch, n_features_out).

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of the batch.

        Returns
        -------
        features : Tensor of shape (batch, n_features_out)
            Penultimate features.
        """
        return embed_and_classify(self.network, X)[0]

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
        return self.network(X)


def _models():
    try:
        from torchvision import models
    except ImportError as error:
        raise ImportError(
            "a torchvision model is asked for by name, but torchvision is not "
            "installed: pip install 'sknoisy[vision]'."
        ) from error
    return models
