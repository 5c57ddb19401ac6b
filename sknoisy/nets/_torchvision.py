"""Networks of torchvision for any number of classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn

from sknoisy.nets._auxiliary import main_logits
from sknoisy.nets._modules import embed_and_classify
from sknoisy.nets._normalize import normalizing
from sknoisy.nets._parameter_names import signature_of

if TYPE_CHECKING:
    import torch

    from sknoisy.nets._normalize import Normalization

__all__ = ["TorchvisionNet"]


class TorchvisionNet(nn.Module):
    """A torchvision model with a new last linear layer for the classes.

    Parameters
    ----------
    n_classes : int
        Number of classes.
    model : str or callable, default="resnet18"
        Name of a torchvision model, such as "resnet50", or a function or class that
        returns a network, such as ``torchvision.models.resnet18``.
    weights : str, torchvision weights or None, default=None
        Passed to the model if it takes ``weights``, for example "DEFAULT"; torchvision
        downloads them if needed. None uses random weights.
    normalize : str, pair of sequences of float, or None, default=None
        First layer: the name of a published normalisation, "imagenet" for the weights
        of torchvision, or mean and deviation of each channel, see `Normalize`.
    auxiliary : dict of str to float or None, default=None
        Weights of the losses of auxiliary logits, by the names of the model's outputs:
        ``{"aux_logits": 0.4}`` for "inception_v3". None ignores them. Only
        `NetClassifier` and classifiers with its training step learn from them.
    **params : dict
        Other parameters of the model.

    Raises
    ------
    ImportError
        If ``model`` is a name, and torchvision is not installed.
    TypeError
        If the model has no linear layer, or takes no ``weights`` and some are given.

    See Also
    --------
    TimmNet : Models of timm.

    Examples
    --------
    >>> from sknoisy import NALClassifier
    >>> from sknoisy.nets import TorchvisionNet
    >>> clf = NALClassifier(
    ...     TorchvisionNet,
    ...     module__model="resnet50",
    ...     module__weights="DEFAULT",
    ...     module__normalize="imagenet",
    ... )
    """

    auxiliary: dict[str, float] | None = None
    auxiliary_logits: dict[str, torch.Tensor] = {}

    def __init__(
        self,
        n_classes: int,
        model: str | Callable[..., nn.Module] = "resnet18",
        weights: str | None = None,
        normalize: Normalization = None,
        auxiliary: dict[str, float] | None = None,
        **params: Any,
    ) -> None:
        super().__init__()
        if isinstance(model, str):
            network = _models().get_model(model, weights=weights, **params)
        else:
            network = model(**_weights_for(model, weights), **params)
        _replace_heads(network, n_classes)
        first = normalizing(normalize)
        self.network = nn.Sequential(*first, network) if first else network
        self.auxiliary = auxiliary

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
        return main_logits(self, self.network(X))


def _weights_for(model, weights):
    """Return ``weights`` as arguments of a model that takes them."""
    names, _ = signature_of(model)
    if "weights" in names:
        return {"weights": weights}
    if weights is None:
        return {}
    name = getattr(model, "__name__", type(model).__name__)
    raise TypeError(
        f"{name} takes no weights; load them in a function that returns the network."
    )


def _replace_heads(network, n_classes):
    """Replace the last linear layer, and the last ones of auxiliary classifiers."""
    linear = [
        (name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    if not linear:
        raise TypeError(
            f"{type(network).__name__} has no Linear layer to replace for "
            f"{n_classes} classes."
        )
    last, n_outputs = linear[-1][0], linear[-1][1].out_features
    for name, old in linear:
        is_auxiliary = name.lower().startswith("aux") and old.out_features == n_outputs
        if name != last and not is_auxiliary:
            continue
        parent, _, own = name.rpartition(".")
        head = nn.Linear(old.in_features, n_classes)
        setattr(network.get_submodule(parent), own, head)


def _models():
    try:
        from torchvision import models
    except ImportError as error:
        raise ImportError(
            "a torchvision model is asked for by name, but torchvision is not "
            "installed: pip install 'sknoisy[vision]'."
        ) from error
    return models
