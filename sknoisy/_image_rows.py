"""Checks of images: order of axes, range of values, and where images are refused."""

import numpy as np

__all__ = ["check_pixels", "refuse_channels_last", "refuse_images"]

# Standardised images stay below it, unscaled bytes do not.
_LARGEST_PIXEL = 32


def check_pixels(X):
    """Refuse float images that are not scaled, from which networks learn badly.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...)

    Raises
    ------
    ValueError
    """
    if X.ndim != 4 or X.dtype == np.uint8:
        return
    largest = max(float(X.max()), -float(X.min()))
    if largest > _LARGEST_PIXEL:
        raise ValueError(
            f"float images should be near [0, 1] or standardised, but X has values up "
            f"to {largest:g}. Pass uint8 images as they are, or divide by 255."
        )


def refuse_images(estimator, X):
    """Refuse images, for an estimator that needs a table of features.

    Parameters
    ----------
    estimator : estimator
        Has a parameter ``estimator``.
    X : array-like

    Raises
    ------
    ValueError
        If X has more than two dimensions.
    """
    n_dims = getattr(X, "ndim", 2)
    if n_dims > 2 and not hasattr(X, "reshape"):
        raise ValueError(
            f"X has {n_dims} dimensions: {type(estimator).__name__} needs features. "
            "Encode the images first, in a pipeline that begins with an ImageEncoder, "
            "or pass estimator=NetClassifier()."
        )
    if n_dims > 2:
        raise ValueError(
            f"X has {n_dims} dimensions: {type(estimator).__name__} needs features. "
            "Encode the images first, pass estimator=NetClassifier(), or use the "
            "pixels as features: X.reshape(len(X), -1)."
        )


def refuse_channels_last(shape):
    """Refuse images whose channels are the last axis.

    Parameters
    ----------
    shape : tuple of int
        Shape of X.

    Raises
    ------
    ValueError
    """
    if len(shape) == 4 and shape[-1] in (1, 3, 4) and shape[1] not in (1, 3, 4):
        raise ValueError(
            f"X looks channels-last, shape {tuple(shape)}; pass X.transpose(0, 3, 1, "
            "2)."
        )
