"""Networks of timm for any number of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from sknoisy.nets._auxiliary import main_logits
from sknoisy.nets._normalize import normalizing

if TYPE_CHECKING:
    import torch

    from sknoisy.nets._normalize import Normalization

__all__ = ["TimmNet"]


class TimmNet(nn.Module):
    """A model of timm for the classes.

    Parameters
    ----------
    n_classes : int
        Number of classes.
    model : str, default="resnet50"
        Name of a timm model, such as "inception_resnet_v2" or "resnet50".
    pretrained : bool, default=False
        Whether its weights are loaded; timm downloads them if needed.
    normalize : str, pair of sequences of float, or None, default=None
        First layer: the name of a published normalisation, see `Normalize`, or mean and
        deviation of each channel. "pretrained" takes those of the weights.
    **params : dict
        Other parameters of ``timm.create_model``, for example ``drop_rate``.

    Raises
    ------
    ImportError
        If timm is not installed.

    See Also
    --------
    TorchvisionNet : Models of torchvision.

    Examples
    --------
    >>> from sknoisy import DivideMixClassifier
    >>> from sknoisy.nets import TimmNet
    >>> clf = DivideMixClassifier(
    ...     TimmNet, module__model="inception_resnet_v2", module__normalize="imagenet"
    ... )
    """

    # No loss is taken of auxiliary logits.
    auxiliary = None

    def __init__(
        self,
        n_classes: int,
        model: str = "resnet50",
        pretrained: bool = False,
        normalize: Normalization = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.network = _create(
            model, pretrained=pretrained, num_classes=n_classes, **params
        )
        if normalize == "pretrained":
            config = self.network.pretrained_cfg
            normalize = tuple(config["mean"]), tuple(config["std"])
        self.first = nn.Sequential(*normalizing(normalize))

    def feature_map(self, X: torch.Tensor) -> torch.Tensor:
        """Return the last feature map, shape (batch, n_channels, h, w).

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
            If the model has none, for example a transformer.
        """
        made = self.network.forward_features(self.first(X))
        if made.ndim != 4:
            raise TypeError(f"{type(self.network).__name__} has no feature map.")
        return made

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
        made = self.network.forward_features(self.first(X))
        return self.network.forward_head(made, pre_logits=True)

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
        return main_logits(self, self.network(self.first(X)))


def _create(name, **params):
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            "TimmNet needs timm, which is not installed: pip install timm."
        ) from error
    return timm.create_model(name, **params)
