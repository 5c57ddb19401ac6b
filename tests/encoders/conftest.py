"""Small images, and encoders whose rows can be computed by hand."""

import numpy as np
import pytest


class MeanColours:
    """Encode images by the mean of each colour, and count them."""

    def __init__(self):
        self.n_images = 0

    def __call__(self, X):
        self.n_images += len(X)
        return X.mean((2, 3))


class Lengths:
    """Encode texts by their lengths and spaces, and keep what was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked += [list(texts)]
        return [[len(text), text.count(" ")] for text in texts]


@pytest.fixture(autouse=True)
def rows_are_arrays(default_output):
    """Transformers give arrays, whatever ``--sklearn-config`` says."""


@pytest.fixture
def colours():
    return MeanColours()


@pytest.fixture
def lengths():
    return Lengths()


@pytest.fixture
def images():
    """Eight images of 12 x 10 pixels, channels last."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 200, (8, 1, 1, 3))
    return (base + rng.integers(0, 56, (8, 12, 10, 3))).astype(np.uint8)


def means(images):
    """Return the mean of each colour, in [0, 1], of images with the channels last."""
    return images.astype(np.float64).mean((1, 2)) / 255
