"""The normalisation of images, as the first layer of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NORMALIZATIONS", "Normalization", "Normalize", "normalizing"]

# Mean and deviation of each channel, of images in [0, 1], as published.
NORMALIZATIONS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "clip": (
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
    "clothing1m": ((0.6959, 0.6537, 0.6371), (0.3113, 0.3192, 0.3214)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}

Normalization: TypeAlias = "str | tuple[Sequence[float], Sequence[float]] | None"


class Normalize(nn.Module):
    """Subtract a mean from each channel, and divide it by a deviation.

    As the first layer it belongs to the network: images stay in [0, 1] outside of it,
    where augmentations change them, and black padding is what the network sees as
    black.

    Parameters
    ----------
    mean : str or sequence of float, default="imagenet"
        Mean of each channel; or the name of a published pair: "cifar10", "cifar100",
        "clip", "clothing1m", "imagenet", or "inception", which is 0.5 and 0.5.
    std : sequence of float or None, default=None
        Deviation of each channel; None if ``mean`` is a name.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import Normalize
    >>> Normalize([0.5], [0.25])(torch.tensor([[[[0.0, 1.0]]]]))
    tensor([[[[-2.,  2.]]]])
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        mean: str | Sequence[float] = "imagenet",
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        mean, std = _pair(mean, std)
        for name, values in (("mean", mean), ("std", std)):
            tensor = torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1)
            self.register_buffer(name, tensor)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return the normalised images.

        Parameters
        ----------
        X : Tensor of shape (batch, channels, height, width)
            Images of the batch.

        Returns
        -------
        X : Tensor of shape (batch, channels, height, width)
            The same, normalised.
        """
        return (X - self.mean) / self.std


def normalizing(
    normalize: Normalization, n_channels: int | None = None
) -> list[nn.Module]:
    """Return the layers that begin a network: one that normalises, or none.

    Parameters
    ----------
    normalize : str, pair of sequences of float, or None
        As the parameters of `Normalize`; None is no layer.
    n_channels : int or None, default=None
        Of the images, if it is known.

    Returns
    -------
    layers : list of Normalize
        One at most.

    Raises
    ------
    ValueError
        If there is no such name, or the numbers of channels differ.
    """
    if normalize is None:
        return []
    if isinstance(normalize, str):
        layer = Normalize(normalize)
    elif isinstance(normalize, tuple | list) and len(normalize) == 2:
        layer = Normalize(*normalize)
    else:
        raise ValueError(
            "normalize must be a name, a pair of means and deviations, or None; got "
            f"{normalize!r}."
        )
    n_means = len(layer.mean)
    if n_channels is not None and n_means not in (1, n_channels):
        raise ValueError(
            f"normalize={normalize!r} has {n_means} means, but images have "
            f"{n_channels} channels."
        )
    return [layer]


def _pair(mean, std):
    if isinstance(mean, str):
        if mean not in NORMALIZATIONS or std is not None:
            raise ValueError(
                f"there is no normalisation {mean!r}; there are "
                f"{', '.join(NORMALIZATIONS)}, or pass mean and std of each channel."
            )
        return NORMALIZATIONS[mean]
    if std is None or len(mean) != len(std) or not all(value > 0 for value in std):
        raise ValueError(
            "mean and std must have one value for each channel, and std must be "
            f"positive; got {mean!r} and {std!r}."
        )
    return mean, std
