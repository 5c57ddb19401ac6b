"""Networks for small images: logits = head(embed(X)), embed = mean of a feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals, check_shape, is_one_of
from sknoisy.nets._normalize import normalizing

if TYPE_CHECKING:
    import torch

    from sknoisy.nets._normalize import Normalization

__all__ = [
    "CNN9",
    "PreActResNet",
    "PreActResNet18",
    "ResNet",
    "ResNet18",
    "ResNet34",
]


class _MapNetwork(nn.Module):
    """A network with a linear head on the mean of its last feature map."""

    body: nn.Module
    head: nn.Module

    def feature_map(self, X: torch.Tensor) -> torch.Tensor:
        """Return the last feature map, shape (batch, n_features_out, h, w).

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of the batch.

        Returns
        -------
        map : Tensor of shape (batch, n_channels, h, w)
            The last map before the pooling.
        """
        return self.body(X)

    def embed(self, X: torch.Tensor) -> torch.Tensor:
        """Return the mean of the feature map, shape (batch, n_features_out).

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of the batch.

        Returns
        -------
        features : Tensor of shape (batch, n_features_out)
            Penultimate features.
        """
        return self.feature_map(X).mean((2, 3))

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


class PreActResNet(_MapNetwork):
    """Residual network with normalisation before each convolution.

    For images of 32 x 32 pixels or so: the first convolution is 3 x 3 and keeps the
    size. After the last block come a normalisation and a ReLU, as in [1]_.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, height, width) of an image.
    n_classes : int
        Number of classes.
    blocks : tuple of int, default=(2, 2, 2, 2)
        Number of blocks at each resolution; each but the first halves the size and
        doubles the channels. The default is the 18-layer network.
    width : int, default=64
        Channels at the first resolution.
    stem : {"plain", "normalized"}, default="plain"
        "normalized" has a normalisation and a ReLU after the first convolution, and
        none after the last block, as the code of [2]_ and of DivideMix.
    normalize : str, pair of sequences of float, or None, default=None
        First layer: the name of a published normalisation, "cifar10", "cifar100",
        "imagenet" or another of `Normalize`, or mean and deviation of each channel.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Identity mappings in deep residual
       networks", ECCV 2016. arXiv:1603.05027
    .. [2] E. Arazo, D. Ortego, P. Albert, N. E. O'Connor, K. McGuinness, "Unsupervised
       label noise modeling and loss correction", ICML 2019. arXiv:1904.11238

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import PreActResNet
    >>> net = PreActResNet((3, 8, 8), n_classes=10, blocks=(1, 1), width=4)
    >>> X = torch.zeros(2, 3, 8, 8)
    >>> net(X).shape, net.feature_map(X).shape
    (torch.Size([2, 10]), torch.Size([2, 8, 4, 4]))
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        blocks: tuple[int, ...] = (2, 2, 2, 2),
        width: int = 64,
        stem: Literal["plain", "normalized"] = "plain",
        normalize: Normalization = None,
    ) -> None:
        super().__init__()
        check_counts(n_classes=n_classes, width=width)
        _check_blocks(blocks)
        _check_image(type(self).__name__, input_shape, 2 ** (len(blocks) - 1))
        if not is_one_of(stem, ("plain", "normalized")):
            raise ValueError(f"stem must be 'plain' or 'normalized'; got {stem!r}.")
        stages, n_out = _stages(_PreActBlock, blocks, width)
        is_plain = stem == "plain"
        norm = [nn.BatchNorm2d(n_out if is_plain else width), nn.ReLU(inplace=True)]
        first = [*normalizing(normalize, input_shape[0])]
        first += [_conv3x3(input_shape[0], width)]
        layers = [*stages, *norm] if is_plain else [*norm, *stages]
        self.body = nn.Sequential(*first, *layers)
        self.head = nn.Linear(n_out, n_classes)


class ResNet(_MapNetwork):
    """Residual network for small images: a 3 x 3 stem and no pooling after it.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, height, width) of an image.
    n_classes : int
        Number of classes.
    blocks : tuple of int, default=(2, 2, 2, 2)
        Number of blocks at each resolution, 18 layers by default; (3, 4, 6, 3) has
        34.
    width : int, default=64
        Channels at the first resolution.
    normalize : str, pair of sequences of float, or None, default=None
        First layer: the name of a published normalisation, "cifar10", "cifar100",
        "imagenet" or another of `Normalize`, or mean and deviation of each channel.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image
       recognition", CVPR 2016. arXiv:1512.03385

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import ResNet
    >>> net = ResNet((1, 8, 8), n_classes=3, blocks=(1, 1), width=4)
    >>> net.embed(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        blocks: tuple[int, ...] = (2, 2, 2, 2),
        width: int = 64,
        normalize: Normalization = None,
    ) -> None:
        super().__init__()
        check_counts(n_classes=n_classes, width=width)
        _check_blocks(blocks)
        _check_image(type(self).__name__, input_shape, 2 ** (len(blocks) - 1))
        stages, n_out = _stages(_Block, blocks, width)
        stem = [
            *normalizing(normalize, input_shape[0]),
            _conv3x3(input_shape[0], width),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        self.body = nn.Sequential(*stem, *stages)
        self.head = nn.Linear(n_out, n_classes)


class PreActResNet18(PreActResNet):
    """`PreActResNet` with 18 layers.

    Parameters
    ----------
    input_shape : tuple of int
        Channels, height and width of an image.
    n_classes : int
        Number of classes.
    width : int, default=64
        Channels of the first stage.
    stem : {"plain", "normalized"}, default="plain"
        "normalized" has a normalisation and a ReLU after the first convolution, and
        none after the last block, see `PreActResNet`.
    normalize : str, pair of sequences of float, or None, default=None
        First layer: the name of a published normalisation, "cifar10", "cifar100",
        "imagenet" or another of `Normalize`, or mean and deviation of each channel.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        width: int = 64,
        stem: Literal["plain", "normalized"] = "plain",
        normalize: Normalization = None,
    ) -> None:
        super().__init__(input_shape, n_classes, (2, 2, 2, 2), width, stem, normalize)


class ResNet18(ResNet):
    """`ResNet` with 18 layers.

    Parameters
    ----------
    input_shape : tuple of int
        Channels, height and width of an image.
    n_classes : int
        Number of classes.
    width : int, default=64
        Channels of the first stage.
    normalize : str, pair of sequences of float, or None, default=None
        First layer: the name of a published normalisation, "cifar10", "cifar100",
        "imagenet" or another of `Normalize`, or mean and deviation of each channel.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        width: int = 64,
        normalize: Normalization = None,
    ) -> None:
        super().__init__(input_shape, n_classes, (2, 2, 2, 2), width, normalize)


class ResNet34(ResNet):
    """`ResNet` with 34 layers.

    Parameters
    ----------
    input_shape : tuple of int
        Channels, height and width of an image.
    n_classes : int
        Number of classes.
    width : int, default=64
        Channels of the first stage.
    normalize : str, pair of sequences of float, or None, default=None
        First layer: the name of a published normalisation, "cifar10", "cifar100",
        "imagenet" or another of `Normalize`, or mean and deviation of each channel.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        width: int = 64,
        normalize: Normalization = None,
    ) -> None:
        super().__init__(input_shape, n_classes, (3, 4, 6, 3), width, normalize)


class CNN9(_MapNetwork):
    """The convolutional network of nine layers used for co-teaching [1]_.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, height, width) of an image, at least 28 x 28.
    n_classes : int
        Number of classes.
    width : int, default=128
        Channels of the first three layers.
    dropout : float in [0, 1), default=0.25
        Share of the channels that is dropped after each of the first two groups.
    normalize : str, pair of sequences of float, or None, default=None
        First layer: the name of a published normalisation, "cifar10", "cifar100",
        "imagenet" or another of `Normalize`, or mean and deviation of each channel.

    References
    ----------
    .. [1] B. Han et al., "Co-teaching: Robust training of deep neural networks with
       extremely noisy labels", NeurIPS 2018. arXiv:1804.06872

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import CNN9
    >>> net = CNN9((3, 32, 32), n_classes=10, width=4)
    >>> net.feature_map(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 4, 2, 2])
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        width: int = 128,
        dropout: float = 0.25,
        normalize: Normalization = None,
    ) -> None:
        super().__init__()
        check_counts(n_classes=n_classes, width=width)
        check_reals(dropout=dropout)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1); got {dropout!r}.")
        _check_image("CNN9", input_shape, 28)
        layers, n_in = normalizing(normalize, input_shape[0]), input_shape[0]
        for widths, padding in (
            ((width,) * 3, 1),
            ((2 * width,) * 3, 1),
            ((4 * width, 2 * width, width), 0),
        ):
            for n_out in widths:
                layers += [
                    nn.Conv2d(n_in, n_out, 3, padding=padding),
                    nn.BatchNorm2d(n_out),
                    nn.LeakyReLU(0.01, inplace=True),
                ]
                n_in = n_out
            if padding:
                layers += [nn.MaxPool2d(2), nn.Dropout2d(dropout)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(n_in, n_classes)


class _PreActBlock(nn.Module):
    """Two convolutions, each after a normalisation and a ReLU, around a shortcut."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(n_in), _conv3x3(n_in, n_out, stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(n_out), _conv3x3(n_out, n_out)
        self.shortcut = None
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, X):
        out = F.relu(self.norm1(X), inplace=True)
        shortcut = X if self.shortcut is None else self.shortcut(out)
        out = self.conv1(out)
        out = self.conv2(F.relu(self.norm2(out), inplace=True))
        return out + shortcut


class _Block(nn.Module):
    """Two normalised convolutions around a shortcut."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1, self.norm1 = _conv3x3(n_in, n_out, stride), nn.BatchNorm2d(n_out)
        self.conv2, self.norm2 = _conv3x3(n_out, n_out), nn.BatchNorm2d(n_out)
        self.shortcut = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, X):
        out = F.relu(self.norm1(self.conv1(X)), inplace=True)
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(X), inplace=True)


def _stages(block, blocks, width):
    """Return the blocks of all resolutions, and the channels of the last."""
    stages, n_in = [], width
    for stage, n_blocks in enumerate(blocks):
        n_out = width * 2**stage
        for first in range(n_blocks):
            stride = 2 if stage and not first else 1
            stages.append(block(n_in, n_out, stride))
            n_in = n_out
    return stages, n_in


def _conv3x3(n_in, n_out, stride=1):
    return nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)


def _check_blocks(blocks):
    if not isinstance(blocks, list | tuple) or not blocks:
        raise TypeError(
            "blocks must be a tuple, the number of blocks at each resolution; got "
            f"{blocks!r}."
        )
    for n_blocks in blocks:
        check_counts(blocks=n_blocks)


def _check_image(name, input_shape, least):
    check_shape(input_shape=input_shape)
    if len(input_shape) != 3:
        raise ValueError(
            f"{name} takes images of shape (channels, height, width); rows of X have "
            f"shape {tuple(input_shape)}."
        )
    if min(input_shape[1:]) < least:
        raise ValueError(
            f"{name} takes images of at least {least} x {least} pixels; got "
            f"{input_shape[1]} x {input_shape[2]}. Pad or enlarge them."
        )
