"""Labels of the handwritten digits by weak annotators, who err as people do.

Each of three annotators compares an image with a few examples of each digit, and takes
the class of the nearest mean, so mistakes depend on the image and fall on similar
digits. As for CIFAR-10N, `y_aggre` is the majority (the first annotator's where all
differ), `y_worse` a wrong one where there is one, `y_random1` the first annotator's.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits


def make():
    """Return the arrays of the file."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.RandomState(0)
    said = np.empty((3, len(y)), dtype=int)
    for annotator in range(3):
        shown = [rng.permutation(np.flatnonzero(y == k))[:3] for k in range(10)]
        means = np.stack([X[rows].mean(0) for rows in shown])
        # Attention lapses: each look is blurred by noise.
        looked = X + 3 * rng.randn(*X.shape)
        distances = ((looked[:, None, :] - means) ** 2).sum(2)
        said[annotator] = distances.argmin(1)
    aggre, worse = said[0].copy(), said[0].copy()
    for i in range(len(y)):
        votes = np.bincount(said[:, i], minlength=10)
        if votes.max() > 1:
            aggre[i] = votes.argmax()
        wrong = said[:, i][said[:, i] != y[i]]
        if len(wrong):
            worse[i] = wrong[0]
    found = {"y_aggre": aggre, "y_worse": worse, "y_random1": said[0]}
    return {name: labels.astype(np.uint8) for name, labels in found.items()}


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("weak_labels.npz"), **make())
