"""Adversarial masking: hide what activates a network, and soften the label."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["activation_map", "mask_patches", "peak_and_valley", "soften_labels"]

# Maps are compared in 256 steps, so that a plateau has one height.
_LEVELS = 255
# Of float32, relative to the height.
_FLAT = 1e-5


def activation_map(feature_map: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return how strongly each pixel of an image activates the last feature map.

    The energy of the channels Σ_k A_k², enlarged to the image; the smallest value of an
    image is 0, the largest 1.

    Parameters
    ----------
    feature_map : Tensor of shape (batch, n_channels, h, w)
        Last feature map of the network.
    size : tuple of int
        Height and width of the images.

    Returns
    -------
    activation : Tensor of shape (batch, height, width), dtype float32
        Mean over the channels, enlarged to the size of the images.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import activation_map
    >>> feature_map = torch.tensor([[[[0.0, 1.0]], [[0.0, 1.0]]]])
    >>> activation_map(feature_map, (1, 4))
    tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    energy = feature_map.float().square().sum(1, keepdim=True)
    energy = F.interpolate(energy, size, mode="bilinear", align_corners=False)[:, 0]
    low, high = energy.amin((1, 2), keepdim=True), energy.amax((1, 2), keepdim=True)
    spread = high - low
    # A map that is flat up to rounding becomes 0 everywhere.
    is_flat = spread <= _FLAT * high
    return torch.where(is_flat, 0.0, (energy - low) / spread.masked_fill(is_flat, 1.0))


def peak_and_valley(activation: Tensor) -> tuple[Tensor, Tensor]:
    """Return where images activate a network most and least.

    Parameters
    ----------
    activation : Tensor of shape (batch, height, width)
        In [0, 1], as `activation_map` returns it.

    Returns
    -------
    peak, valley : Tensors of shape (batch, 2), dtype int64
        Row and column. Of equal heights, in 256 steps, the first in reading order.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import peak_and_valley
    >>> peak_and_valley(torch.tensor([[[0.2, 0.0], [0.7, 1.0]]]))
    (tensor([[1, 1]]), tensor([[0, 1]]))
    """
    height = (activation * _LEVELS).floor().flatten(1)
    return (
        _row_and_column(height.argmax(1), activation.shape[2]),
        _row_and_column(height.argmin(1), activation.shape[2]),
    )


def mask_patches(
    X: Tensor,
    place: Tensor,
    area: Tensor,
    aspect: Tensor,
    fill: Tensor,
    anchor: str = "center",
) -> Tensor:
    """Return the images, each with a rectangle of one colour at its place.

    Parameters
    ----------
    X : Tensor of shape (batch, channels, height, width)
        Images of the batch.
    place : Tensor of shape (batch, 2), dtype int64
        Row and column. A rectangle that would leave the image is moved inside.
    area : Tensor of shape (batch,)
        Of the rectangle, as a share of the image.
    aspect : Tensor of shape (batch,)
        Its height over its width, δ.
    fill : Tensor of shape (batch, channels)
        Its colour.
    anchor : {"center", "corner"}, default="center"
        What lies at ``place``: the middle of the rectangle, or its upper left corner
        as in the authors' code.

    Returns
    -------
    masked : Tensor of shape (batch, channels, height, width)
        A new tensor that lies in memory as X does.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import mask_patches
    >>> X, one = torch.zeros(1, 1, 3, 4), torch.ones(1)
    >>> place = torch.tensor([[0, 3]])
    >>> mask_patches(X, place, area=one / 6, aspect=one / 2, fill=torch.ones(1, 1))
    tensor([[[[0., 0., 1., 1.],
              [0., 0., 0., 0.],
              [0., 0., 0., 0.]]]])
    """
    n_pixels = X.shape[2] * X.shape[3]
    sides = (area * n_pixels * aspect).sqrt(), (area * n_pixels / aspect).sqrt()
    inside = []
    for axis, side in enumerate(sides):
        length = X.shape[2 + axis]
        side = side.round().clamp(0, length).long()
        first = place[:, axis] - (side // 2 if anchor == "center" else 0)
        # Never below 0, never beyond the last place where it fits.
        first = torch.minimum(first.clamp_min(0), length - side)
        offset = torch.arange(length, device=X.device) - first[:, None]
        inside.append((offset >= 0) & (offset < side[:, None]))
    patch = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    masked = torch.where(patch, fill[:, :, None, None].to(X.dtype), X)
    return _laid_out_as(masked, X)


def soften_labels(targets: Tensor, ratio: Tensor, keep_argmax: bool = False) -> Tensor:
    """Return targets of masked images: the hidden share goes to the other classes.

    The most probable class loses ρ, and the others share it evenly.

    Parameters
    ----------
    targets : Tensor of shape (batch, n_classes)
        Rows sum to 1.
    ratio : Tensor of shape (batch,)
        Share of the image that is hidden, ρ. Where the most probable class has less,
        it loses all that it has.
    keep_argmax : bool, default=False
        Limit the loss so that it stays the most probable one.

    Returns
    -------
    softened : Tensor of shape (batch, n_classes)
        Rows sum to 1.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import soften_labels
    >>> targets = torch.tensor([[1.0, 0.0, 0.0], [0.4, 0.3, 0.3]])
    >>> soften_labels(targets, torch.tensor([0.5, 0.5]))
    tensor([[0.5000, 0.2500, 0.2500],
            [0.0000, 0.5000, 0.5000]])
    >>> soften_labels(targets, torch.tensor([0.5, 0.5]), keep_argmax=True)[1]
    tensor([0.3333, 0.3333, 0.3333])
    """
    n_others = targets.shape[1] - 1
    largest, classes = targets.topk(2, dim=1)
    loss = torch.minimum(ratio, largest[:, 0])
    if keep_argmax:
        lead = largest[:, 0] - largest[:, 1]
        loss = torch.minimum(loss, lead * (n_others / (n_others + 1)))
    softened = targets + (loss / n_others)[:, None]
    taken = -(loss + loss / n_others)
    # Rounding may make it slightly negative.
    return softened.scatter_add(1, classes[:, :1], taken[:, None]).clamp_min(0)


def _row_and_column(place: Tensor, width: int) -> Tensor:
    return torch.stack([place // width, place % width], 1)


def _laid_out_as(made: Tensor, X: Tensor) -> Tensor:
    is_channels_last = X.is_contiguous(memory_format=torch.channels_last)
    form = torch.channels_last if is_channels_last else torch.contiguous_format
    return made.contiguous(memory_format=form)
