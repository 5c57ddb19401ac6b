"""
===========================
Images that people labelled
===========================

A residual network learns 5,000 CIFAR-10 images with the "worse" labels of CIFAR-10N,
40 % of which are wrong: with cross-entropy, and with noise attention learning.

Needs ``cifar10_jpeg.npz`` and ``cifar_labels.npz`` in ``shared/data`` beside the
repository, or in the folder given as an argument; takes some minutes on a CPU.

    OMP_NUM_THREADS=1 python examples/cifar10n_images.py
"""

import io
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from PIL import Image

from sknoisy import NALClassifier, NetClassifier
from sknoisy.nets import PreActResNet18

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"

# %%
# The data
# --------
# Bytes of images stay bytes: a batch becomes numbers in [0, 1] when it is formed.


def load_images(folder, split, n_rows):
    """Return some of the images, (n_rows, 3, 32, 32) uint8, and their true labels."""
    with np.load(folder / "cifar10_jpeg.npz") as data:
        offsets, y = data[f"offsets_{split}"], data[f"y_{split}"][:n_rows]
        raw = data[f"jpeg_{split}"][: offsets[n_rows]].tobytes()
    images = [
        np.asarray(Image.open(io.BytesIO(raw[start:stop])).convert("RGB"))
        for start, stop in pairwise(offsets[: n_rows + 1])
    ]
    return np.stack(images).transpose(0, 3, 1, 2), y


# %%
# The classifiers
# ---------------
# The same network with an eighth of its channels, and the same schedule. Images are not
# augmented, so that 20 epochs are enough to memorise wrong labels. They are few
# for noise attention, which a larger ``lam`` makes faster.

SHARED = {
    "module": PreActResNet18,
    "module__width": 8,
    "augment": None,
    "max_epochs": 20,
    "batch_size": 64,
    "lr": 0.05,
    "optimizer__weight_decay": 5e-4,
    "random_state": 0,
}
CLASSIFIERS = {
    "cross-entropy": NetClassifier(**SHARED),
    "noise attention": NALClassifier(lam=3.0, **SHARED),
}


def fit(clf, X, y):
    """Fit a classifier in a process of its own."""
    torch.set_num_threads(1)
    return clf.fit(X, y)


def main(folder):
    """Train both, and say what they got right."""
    if not (folder / "cifar10_jpeg.npz").exists():
        print(f"nothing done: there is no cifar10_jpeg.npz in {folder}")
        return
    X, y_true = load_images(folder, "train", 5_000)
    X_test, y_test = load_images(folder, "test", 2_000)
    y = np.load(folder / "cifar_labels.npz")["c10n_worse"][:5_000]
    print(f"{(y != y_true).mean():.0%} of the labels are wrong")
    fitted = Parallel(n_jobs=2)(delayed(fit)(clf, X, y) for clf in CLASSIFIERS.values())
    for name, clf in zip(CLASSIFIERS, fitted, strict=True):
        print(
            f"{name:16s} test accuracy {clf.score(X_test, y_test):.3f}, fits "
            f"{clf.score(X, y):.3f} of the given labels"
        )
    nal = fitted[1]
    flagged = nal.predict_noisy()
    print(
        f"noise attention flags {flagged.mean():.0%}, of which "
        f"{(y != y_true)[flagged].mean():.0%} are wrong"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else BESIDE)
