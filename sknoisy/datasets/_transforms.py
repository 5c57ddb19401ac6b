"""Changes of single images: sizes and crops, fixed or drawn at random."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sknoisy._arguments import check_counts, check_reals
from sknoisy.datasets._reading import pillow

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CenterCrop", "RandomCrop", "RandomResizedCrop"]

# Draws of an area and a ratio that may not fit, before the centre is taken.
_N_TRIALS = 10


class CenterCrop:
    """Enlarge or shrink an image, and cut out its centre; nothing is random.

    Parameters
    ----------
    size : int >= 1 or tuple of two
        (height, width) of the result; an int is both.
    resize : int >= 1 or None, default=None
        Length of the shorter side before the cut; the longer one keeps the proportions.
        None keeps the image as it is, with black around it if it is smaller.

    Examples
    --------
    >>> from sknoisy.datasets import CenterCrop
    >>> evaluate = CenterCrop(224, resize=256)
    """

    def __init__(self, size: int | tuple[int, int], resize: int | None = None) -> None:
        self.size, self.resize = _height_width(size), _checked_side(resize)

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        """Return the changed image.

        Parameters
        ----------
        image : PIL.Image.Image
            An image.
        rng : numpy.random.Generator, default=None
            Not used.

        Returns
        -------
        image : PIL.Image.Image
            Of the given size.
        """
        image = _padded(_resized(image, self.resize), self.size)
        width, height = image.size
        top = round((height - self.size[0]) / 2.0)
        left = round((width - self.size[1]) / 2.0)
        return _cut(image, top, left, self.size)

    def __repr__(self) -> str:
        return _repr_of(self)


class RandomCrop:
    """Enlarge or shrink an image, cut out a part at random, and mirror it at random.

    Parameters
    ----------
    size : int >= 1 or tuple of two
        (height, width) of the result; an int is both.
    resize : int >= 1 or None, default=None
        As in `CenterCrop`.
    padding : int >= 0, default=0
        Black pixels added on each side before the cut.
    flip : float in [0, 1], default=0.5
        Probability that the image is mirrored left to right.

    Examples
    --------
    >>> from sknoisy.datasets import RandomCrop
    >>> train = RandomCrop(224, resize=256)
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        resize: int | None = None,
        padding: int = 0,
        flip: float = 0.5,
    ) -> None:
        self.size, self.resize = _height_width(size), _checked_side(resize)
        check_counts(0, padding=padding)
        self.padding, self.flip = padding, _checked_share(flip)

    def __call__(self, image: Any, rng: np.random.Generator) -> Any:
        """Return the changed image.

        Parameters
        ----------
        image : PIL.Image.Image
            An image.
        rng : numpy.random.Generator
            Source of the random numbers.

        Returns
        -------
        image : PIL.Image.Image
            Of the given size.
        """
        image = _resized(image, self.resize)
        if self.padding:
            image = pillow().ImageOps.expand(image, self.padding)
        image = _padded(image, self.size)
        width, height = image.size
        top = rng.integers(height - self.size[0] + 1)
        left = rng.integers(width - self.size[1] + 1)
        return _flipped(_cut(image, int(top), int(left), self.size), self.flip, rng)

    def __repr__(self) -> str:
        return _repr_of(self)


class RandomResizedCrop:
    """Cut out a part of random area and proportions, resize it, mirror it at random.

    Parameters
    ----------
    size : int >= 1 or tuple of two
        (height, width) of the result; an int is both.
    resize : int >= 1 or None, default=None
        As in `CenterCrop`.
    scale : tuple of two floats, default=(0.08, 1)
        Smallest and largest share of the area.
    ratio : tuple of two floats, default=(3 / 4, 4 / 3)
        Smallest and largest width per height of the part.
    flip : float in [0, 1], default=0.5
        As in `RandomCrop`.

    Examples
    --------
    >>> from sknoisy.datasets import RandomResizedCrop
    >>> train = RandomResizedCrop(299, resize=320)
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        resize: int | None = None,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
    ) -> None:
        self.size, self.resize = _height_width(size), _checked_side(resize)
        for name, pair in (("scale", scale), ("ratio", ratio)):
            if len(pair) != 2 or not 0 < pair[0] <= pair[1]:
                raise ValueError(
                    f"{name} must be two numbers, 0 < least <= most; got {pair!r}."
                )
        self.scale, self.ratio, self.flip = scale, ratio, _checked_share(flip)

    def __call__(self, image: Any, rng: np.random.Generator) -> Any:
        """Return the changed image.

        Parameters
        ----------
        image : PIL.Image.Image
            An image.
        rng : numpy.random.Generator
            Source of the random numbers.

        Returns
        -------
        image : PIL.Image.Image
            Of the given size.
        """
        image = _resized(image, self.resize)
        width, height = image.size
        left, top, width, height = self._part(width, height, rng)
        size = self.size[1], self.size[0]
        bilinear = pillow().Image.Resampling.BILINEAR
        part = image.crop((left, top, left + width, top + height))
        return _flipped(part.resize(size, bilinear), self.flip, rng)

    def _part(self, width, height, rng):
        """Draw left, top, width and height of the part; the centre if none fits."""
        low, high = map(math.log, self.ratio)
        for _ in range(_N_TRIALS):
            area = width * height * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(low, high))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
                return int(left), int(top), w, h
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
        return (width - w) // 2, (height - h) // 2, w, h

    def __repr__(self) -> str:
        return _repr_of(self)


def _resized(image, side):
    """Return an image whose shorter side has this length."""
    width, height = image.size
    short = min(width, height)
    if side is None or short == side:
        return image
    # As torchvision: the longer side is cut to whole pixels.
    size = tuple(side if n == short else int(side * n / short) for n in (width, height))
    return image.resize(size, pillow().Image.Resampling.BILINEAR)


def _padded(image, size):
    """Return an image that is at least of this size, with black on all sides."""
    width, height = image.size
    more_h, more_w = max(size[0] - height, 0), max(size[1] - width, 0)
    if not more_h and not more_w:
        return image
    border = (more_w // 2, more_h // 2, (more_w + 1) // 2, (more_h + 1) // 2)
    return pillow().ImageOps.expand(image, border)


def _cut(image, top, left, size):
    return image.crop((left, top, left + size[1], top + size[0]))


def _flipped(image, share, rng):
    if rng.random() < share:
        return image.transpose(pillow().Image.Transpose.FLIP_LEFT_RIGHT)
    return image


def _height_width(size):
    pair = (size, size) if not isinstance(size, tuple | list) else tuple(size)
    if len(pair) != 2:
        raise ValueError(f"size must be a number of pixels or two; got {size!r}.")
    for n_pixels in pair:
        check_counts(size=n_pixels)
    return pair


def _checked_side(resize):
    if resize is not None:
        check_counts(resize=resize)
    return resize


def _checked_share(flip):
    check_reals(flip=flip)
    if not 0 <= flip <= 1:
        raise ValueError(f"flip must be in [0, 1]; got {flip!r}.")
    return flip


def _repr_of(transform):
    """Return the call that makes it; trainings in files are told apart by it."""
    params = ", ".join(f"{name}={value!r}" for name, value in vars(transform).items())
    return f"{type(transform).__name__}({params})"
