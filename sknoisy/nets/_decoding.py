"""Decoders that restore images from the last feature map of a network."""

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["MapDecoder", "make_decoder", "weighted_errors"]

# The decoders of the authors' code: kernel, stride, padding, output padding.
_PUBLISHED = {
    ((4, 4), (32, 32)): [(4, 2, 0, 0), (6, 1, 0, 0), (4, 2, 0, 0)],
    ((7, 7), (224, 224)): [(6, 3, 0, 1), (2, 3, 0, 1), (2, 3, 0, 0)],
}
# 512 and 2048 channels both become 256, then 128.
_WIDEST = 512
# Of the feature maps at each place: with larger ones steps of usual size diverge, with
# smaller ones the decoder learns slowly.
_NORM = 8.0
# Squared error of the two views of an image if each pixel is restored as the mean.
_ERROR_OF_MEAN = 2.0


class MapDecoder(nn.Sequential):
    """Layers from a feature map to an image, applied to maps of one mean and size.

    The numbers in a map have mean 0, and the channels at a place the norm 8 on average.
    Without this a step of gradient descent that suits a narrow network is too long for
    one of 512 channels.
    """

    def forward(self, feature_map: torch.Tensor) -> torch.Tensor:
        """Return images of zero mean and unit variance.

        Parameters
        ----------
        feature_map : Tensor of shape (batch, n_channels, h, w)
            Last feature map of a network.

        Returns
        -------
        restored : Tensor of shape (batch, channels, height, width)
            Pixels in standard deviations of their channel from its mean.
        """
        scale = _NORM / math.sqrt(feature_map.shape[1])
        return super().forward(F.group_norm(feature_map, 1) * scale)


def make_decoder(map_shape, image_shape):
    """Return transposed convolutions from a feature map to an image.

    From 4 x 4 to 32 x 32 and from 7 x 7 to 224 x 224 as in the authors' code; else
    layers that double the size, and reach that of the image exactly.

    Parameters
    ----------
    map_shape : tuple of int
        (channels, h, w) of the feature map.
    image_shape : tuple of int
        (channels, height, width), not smaller than the map.

    Returns
    -------
    decoder : MapDecoder
    """
    sides, image_sides = tuple(map_shape[1:]), tuple(image_shape[1:])
    layers = _PUBLISHED.get((sides, image_sides)) or _doubling(sides, image_sides)
    widest = min(map_shape[0], _WIDEST)
    inner = [max(widest // 2**step, 1) for step in range(1, len(layers))]
    widths = [map_shape[0], *inner, image_shape[0]]
    made = [
        nn.ConvTranspose2d(before, after, *layer)
        for (before, after), layer in zip(pairwise(widths), layers, strict=True)
    ]
    return MapDecoder(*made)


def _doubling(sides, image_sides):
    """Return kernels, strides and paddings of layers that reach the image's size."""
    scale = max(image / side for side, image in zip(sides, image_sides, strict=True))
    n_steps = max(1, math.ceil(math.log2(scale)))
    axes = [
        _axis(side, image, n_steps)
        for side, image in zip(sides, image_sides, strict=True)
    ]
    return [(*zip(*layer, strict=True), 0) for layer in zip(*axes, strict=True)]


def _axis(side, image, n_steps):
    """Return kernel, stride and padding of each layer along one axis."""
    halved = [math.ceil(image / 2**step) for step in range(n_steps - 1, -1, -1)]
    sizes = [side, *(max(size, side) for size in halved)]
    layers = []
    for before, after in pairwise(sizes):
        stride = max((after + 1) // before, 1)
        layers.append((after - (before - 1) * stride + 2, stride, 1))
    return layers


def weighted_errors(errors_of, feature_map, weight):
    """Return errors times a weight, from which a decoder learns as if it were 1.

    The weight limits what the errors change in the network. It would limit the decoder
    as well, which then needs thousands of steps to restore anything. Errors worse than
    that of the mean pixel count as much as that: a decoder that diverges has no part in
    the training of the network.

    Parameters
    ----------
    errors_of : callable
        From a feature map to errors, of shape (batch,), by the decoder.
    feature_map : Tensor of shape (n_rows, n_channels, h, w)
    weight : float > 0

    Returns
    -------
    errors : Tensor of shape (batch,)
        In the backward pass the decoder has the gradient of the errors, the network
        ``weight`` times that.
    """
    errors = errors_of(torch.lerp(feature_map.detach(), feature_map, weight))
    found = errors.detach()
    limited = errors * (_ERROR_OF_MEAN / found.clamp_min(_ERROR_OF_MEAN))
    return limited - limited.detach() + weight * found
