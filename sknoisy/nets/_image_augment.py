"""Augmentations of whole batches of images, with independent changes for each image.

Images are float tensors of shape (batch, channels, height, width) on any device. Random
numbers for shapes or indices are drawn on the CPU, so that no step waits for the
device.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals
from sknoisy.nets._layout import laid_out

__all__ = ["crop_and_flip", "cutout", "rand_augment", "random_crop", "random_flip"]

# RandAugment counts magnitudes from 0 to 30.
_MAGNITUDES = 30
_LUMA = (0.299, 0.587, 0.114)


def random_flip(X: Tensor, p: float = 0.5) -> Tensor:
    """Return the images, each mirrored left to right with probability p.

    Parameters
    ----------
    X : Tensor of shape (batch, channels, height, width)
        Images of the batch.
    p : float in [0, 1], default=0.5
        Probability that an image is mirrored.

    Returns
    -------
    view : Tensor of shape (batch, channels, height, width)
        Changed copies of the rows.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import random_flip
    >>> random_flip(torch.tensor([[[[1.0, 2.0]]]]), p=1.0)
    tensor([[[[2., 1.]]]])
    """
    check_reals(p=p)
    if not 0 <= p <= 1:
        raise ValueError(f"p must be in [0, 1]; got {p!r}.")
    flips = torch.rand(len(X), device=X.device) < p
    return torch.where(flips[:, None, None, None], X.flip(3), X)


def random_crop(
    X: Tensor, padding: int | None = None, size: int | None = None
) -> Tensor:
    """Return a part of each image, at random: by default moved by a few pixels.

    Pixels from outside of the image are black.

    Parameters
    ----------
    X : Tensor of shape (batch, channels, height, width)
        Images of the batch.
    padding : int >= 0 or None, default=None
        Black pixels on each side. None is an eighth of the height, 4 for 32 pixels;
        with ``size`` it is 0.
    size : int >= 1 or None, default=None
        Height and width of the part; None keeps those of the image.

    Returns
    -------
    view : Tensor of shape (batch, channels, height, width)
        Changed copies of the rows.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import random_crop
    >>> images = torch.ones(2, 3, 32, 32)
    >>> random_crop(images).shape, random_crop(images, size=28).shape
    (torch.Size([2, 3, 32, 32]), torch.Size([2, 3, 28, 28]))
    """
    if padding is None:
        padding = X.shape[2] // 8 if size is None else 0
    check_counts(0, padding=padding)
    n_images, _, height, width = X.shape
    if size is not None:
        height = width = _checked_size(size, X, padding)
        spare = [n + 2 * padding - size + 1 for n in X.shape[2:]]
        moves = [torch.randint(0, n, (n_images, 1), device=X.device) for n in spare]
    elif padding == 0:
        return X
    else:
        shape = 2, n_images, 1
        moves = list(torch.randint(0, 2 * padding + 1, shape, device=X.device))
    rows = torch.arange(height, device=X.device) + moves[0]
    columns = torch.arange(width, device=X.device) + moves[1]
    padded = F.pad(X, (padding,) * 4)
    # Channels last, so that each index fetches all channels of a pixel.
    pixels = padded.permute(0, 2, 3, 1)
    image = torch.arange(n_images, device=X.device)[:, None, None]
    view = pixels[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    # Restore the memory format: a network may be slow with another one.
    # Images with one channel are both, and then not channels last.
    is_channels_last = not X.is_contiguous() and X.is_contiguous(
        memory_format=torch.channels_last
    )
    return view if is_channels_last else laid_out(view, "contiguous")


def _checked_size(size, X, padding):
    check_counts(size=size)
    if size > min(X.shape[2:]) + 2 * padding:
        raise ValueError(
            f"size={size} is larger than the images, {X.shape[2]} x {X.shape[3]} "
            f"pixels with padding={padding}."
        )
    return size


def crop_and_flip(
    X: Tensor, padding: int | None = None, size: int | None = None
) -> Tensor:
    """Return the images moved and mirrored at random: the weak view of images.

    Parameters
    ----------
    X : Tensor of shape (batch, channels, height, width)
        Images of the batch.
    padding, size : int or None, default=None
        As in `random_crop`.

    Returns
    -------
    view : Tensor of shape (batch, channels, height, width)
        Changed copies of the rows.
    """
    return random_flip(random_crop(X, padding, size))


def cutout(X: Tensor, size: int = 16) -> Tensor:
    """Return the images, each with a black square at a random place.

    Parameters
    ----------
    X : Tensor of shape (batch, channels, height, width)
        Images of the batch.
    size : int >= 0, default=16
        Side of the square in pixels. Its centre lies in the image, its edges may not.

    Returns
    -------
    view : Tensor of shape (batch, channels, height, width)
        Changed copies of the rows.

    References
    ----------
    .. [1] T. DeVries, G. W. Taylor, "Improved regularization of convolutional neural
       networks with cutout", 2017. arXiv:1708.04552
    """
    check_counts(0, size=size)
    inside = []
    for axis in (2, 3):
        centre = torch.randint(0, X.shape[axis], (len(X), 1), device=X.device)
        offset = torch.arange(X.shape[axis], device=X.device) - centre
        inside.append((offset >= -(size // 2)) & (offset < size - size // 2))
    square = inside[0][:, :, None] & inside[1][:, None, :]
    # A copy keeps the memory format, the result of masked_fill may not.
    return X.clone().masked_fill_(square[:, None], 0.0)


def rand_augment(X: Tensor, n_ops: int = 2, magnitude: int = 10) -> Tensor:
    """Return the images, each after a few random operations: the strong view of images.

    Each image draws ``n_ops`` of 14 operations, with replacement [1]_: identity, shear
    and translation in both directions, rotation, brightness, colour, contrast,
    sharpness, posterize, solarize, autocontrast, equalize.

    Parameters
    ----------
    X : Tensor of shape (batch, channels, height, width)
        In [0, 1].
    n_ops : int >= 0, default=2
        Operations that each image goes through.
    magnitude : int in [0, 30], default=10
        Strength of the operations; 30 is the strongest.

    Returns
    -------
    view : Tensor of shape (batch, channels, height, width)
        In [0, 1].

    Raises
    ------
    ValueError
        If ``magnitude`` is out of range.

    Notes
    -----
    Directions are drawn for each image. Geometric operations take the nearest pixel
    and fill with black. Shears keep the centre fixed; common implementations keep the
    upper left corner fixed.

    References
    ----------
    .. [1] E. D. Cubuk, B. Zoph, J. Shlens, Q. V. Le, "RandAugment: Practical automated
       data augmentation with a reduced search space", NeurIPS 2020. arXiv:1909.13719

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import rand_augment
    >>> view = rand_augment(torch.rand(5, 3, 32, 32))
    >>> view.shape, bool(((view >= 0) & (view <= 1)).all())
    (torch.Size([5, 3, 32, 32]), True)
    """
    check_counts(0, n_ops=n_ops)
    check_reals(magnitude=magnitude)
    if not 0 <= magnitude <= _MAGNITUDES:
        raise ValueError(f"magnitude must be in [0, {_MAGNITUDES}]; got {magnitude!r}.")
    strength = magnitude / _MAGNITUDES
    X = X.clone()
    for draw in _draws(n_ops, X):
        for operation, rows, sign in zip(OPERATIONS.values(), *draw, strict=True):
            if len(rows):
                X[rows] = operation(X[rows], strength, sign)
    return X


def _draws(
    n_ops: int, X: Tensor
) -> list[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]:
    """Return for each draw the rows of every operation, and the signs of these rows.

    All are sent to the device of X in one copy.
    """
    sent, counts = [], []
    for _ in range(n_ops):
        drawn = torch.randint(0, len(OPERATIONS), (len(X),))
        signs = torch.randint(0, 2, (len(X),)) * 2 - 1
        rows = drawn.argsort(stable=True)
        sent += [rows, signs[rows]]
        counts.append(drawn.bincount(minlength=len(OPERATIONS)).tolist())
    if not sent:
        return []
    there = torch.stack(sent).to(X.device)
    return [
        (rows.split(n_rows), signs.float().split(n_rows))
        for rows, signs, n_rows in zip(there[::2], there[1::2], counts, strict=True)
    ]


def identity(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Return the images as they are."""
    return X


def shear_x(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Shear by up to 0.3 along the rows."""
    return _warp(X, sign, x_by_y=0.3 * strength)


def shear_y(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Shear by up to 0.3 along the columns."""
    return _warp(X, sign, y_by_x=0.3 * strength)


def translate_x(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Move by up to 150 / 331 of the width, in whole pixels."""
    return _warp(X, sign, move_x=int(150 / 331 * X.shape[3] * strength))


def translate_y(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Move by up to 150 / 331 of the height, in whole pixels."""
    return _warp(X, sign, move_y=int(150 / 331 * X.shape[2] * strength))


def rotate(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Turn by up to 30 degrees about the centre."""
    return _warp(X, sign, angle=math.radians(30 * strength))


def brightness(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Blend with black, or away from it."""
    return _blend(X, torch.zeros_like(X), strength, sign)


def colour(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Blend with the grey image, or away from it."""
    return _blend(X, _grey(X), strength, sign)


def contrast(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Blend with the mean grey of the image, or away from it."""
    return _blend(X, _grey(X).mean((1, 2, 3), keepdim=True), strength, sign)


def sharpness(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Blend with the smoothed image, or away from it; edges stay."""
    n_channels = X.shape[1]
    kernel = X.new_ones(3, 3)
    kernel[1, 1] = 5
    kernel = (kernel / 13).expand(n_channels, 1, 3, 3)
    smooth = X.clone()
    if min(X.shape[2:]) > 2:
        smooth[:, :, 1:-1, 1:-1] = F.conv2d(X, kernel, groups=n_channels)
    return _blend(X, smooth, strength, sign)


def posterize(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Keep the highest 8 to 4 bits."""
    levels = 2 ** round(4 * strength)
    return _bytes(X).div(levels, rounding_mode="floor") * (levels / 255)


def solarize(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Invert what is brighter than a threshold, which falls to 0."""
    return torch.where(X < 1 - strength, X, 1 - X)


def autocontrast(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Stretch every channel to [0, 1]; a channel of a single value stays."""
    low = X.amin((2, 3), keepdim=True)
    high = X.amax((2, 3), keepdim=True)
    stretched = (X - low) / (high - low).clamp_min(1e-6)
    return torch.where(high - low > 1e-6, stretched, X)


def equalize(X: Tensor, strength: float, sign: Tensor) -> Tensor:
    """Spread the values of every channel evenly over [0, 1]."""
    n_maps = len(X) * X.shape[1]
    values = _bytes(X).long().reshape(n_maps, -1)
    counts = values.new_zeros(n_maps, 256)
    counts.scatter_add_(1, values, torch.ones_like(values))
    # As in PIL, pixels of the largest occurring value are not counted.
    last = counts.gather(1, values.amax(1, keepdim=True))
    step = (values.shape[1] - last).div(255, rounding_mode="floor")
    before = counts.cumsum(1) - counts
    table = (before + step.div(2, rounding_mode="floor")).div(
        step.clamp_min(1), rounding_mode="floor"
    )
    table = torch.where(
        step > 0, table.clamp(0, 255), torch.arange(256, device=X.device)
    )
    return table.gather(1, values).reshape(X.shape).to(X.dtype) / 255


OPERATIONS = {
    operation.__name__: operation
    for operation in (
        identity,
        shear_x,
        shear_y,
        translate_x,
        translate_y,
        rotate,
        brightness,
        colour,
        contrast,
        sharpness,
        posterize,
        solarize,
        autocontrast,
        equalize,
    )
}


def _warp(
    X: Tensor,
    sign: Tensor,
    x_by_y: float = 0.0,
    y_by_x: float = 0.0,
    move_x: float = 0.0,
    move_y: float = 0.0,
    angle: float = 0.0,
) -> Tensor:
    """Fetch every pixel from its nearest source, each image with its own sign."""
    height, width = X.shape[2:]
    ones, zeros = torch.ones_like(sign), torch.zeros_like(sign)
    cos, sin = torch.full_like(sign, math.cos(angle)), sign * math.sin(angle)
    # Coordinates run from -1 to 1 over the image, whatever its shape.
    tall, wide = height / width, width / height
    x_row = cos + zeros, (sin + sign * x_by_y) * tall, sign * 2 * move_x / width
    y_row = (sign * y_by_x - sin) * wide, cos * ones, sign * 2 * move_y / height
    theta = torch.stack([torch.stack(x_row, 1), torch.stack(y_row, 1)], 1)
    grid = F.affine_grid(theta.to(X.dtype), list(X.shape), align_corners=False)
    return F.grid_sample(X, grid, mode="nearest", align_corners=False)


def _blend(X: Tensor, other: Tensor, strength: float, sign: Tensor) -> Tensor:
    factor = (1 + 0.9 * strength * sign)[:, None, None, None]
    return (other + factor * (X - other)).clamp(0, 1)


def _grey(X: Tensor) -> Tensor:
    if X.shape[1] != 3:
        return X.mean(1, keepdim=True)
    # Filled on the device: a tensor of the weights would be copied to it at each call.
    weights = torch.cat([X.new_full((1, 1, 1), share) for share in _LUMA])
    return (X * weights).sum(1, keepdim=True)


def _bytes(X: Tensor) -> Tensor:
    return (X * 255).round().clamp(0, 255)
