"""The rows of a column: what the papers used, or a stand-in of the same kind.

At the scale "full" the data are those of the paper. Below it, CIFAR-10 is 512 features
of its images, or the images; Tiny-ImageNet with a frozen network is frozen features of
CIFAR-10; sets with real noise are CIFAR-10 with labels that people gave. The sets of
`BESIDE_IT` are in no paper, and the same at each scale.
"""

import sys
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import train_test_split

from sknoisy import AsymmetricNoiseInjector, datasets

sys.path.append(str(Path(__file__).resolve().parents[1] / "accuracy"))

from _features import BESIDE, instance, load, pair_flip, symmetric
from cifar10 import load_images

__all__ = [
    "BESIDE",
    "BESIDE_IT",
    "asymmetric",
    "instance",
    "pair_flip",
    "read",
    "stand_in",
    "symmetric",
]

# Human labels of CIFAR-10 with about the noise rate of the set.
HUMAN = {"clothing1m": "worse", "webvision": "random1", "animal10n": "aggre"}
# Sets of the other benchmarks, at most so many rows of them.
BESIDE_IT = {
    "cifar10n_efficientnet": "EfficientNet features of CIFAR-10",
    "uci_letter": "letters (UCI)",
    "uci_drybean": "dry beans (UCI)",
    "crowd_music": "music genres",
}
N_BESIDE_IT = 2_000
LOADERS = {
    "cifar10": (datasets.load_cifar10, "train", "test"),
    "cifar100": (datasets.load_cifar100, "train", "test"),
    "tiny-imagenet": (datasets.load_tiny_imagenet, "train", "val"),
    "clothing1m": (datasets.load_clothing1m, "noisy_train", "clean_test"),
    "webvision": (datasets.load_webvision, "train", "val"),
    "animal10n": (datasets.load_animal10n, "train", "test"),
}


def asymmetric(rate, mapping="cifar10"):
    """Return what makes an injector of the confusions of a data set from a seed."""
    return partial(_asymmetric, rate, mapping)


def _asymmetric(rate, mapping, seed):
    blocks = "superclass" if mapping == "cifar100" else "contiguous"
    return AsymmetricNoiseInjector(
        rate, mapping=mapping, blocks=blocks, random_state=seed
    )


def stand_in(column, kind):
    """Return in words what is read below "full", None if nothing is like the data."""
    if column.data == "cifar100":
        return None
    if column.data in BESIDE_IT:
        return BESIDE_IT[column.data]
    if column.data == "tiny-imagenet":
        return "frozen EfficientNet features of CIFAR-10"
    labels = HUMAN.get(column.data)
    return f"{kind} of CIFAR-10" + (f", labels {labels!r}" if labels else "")


@lru_cache(maxsize=1)
def read(column, kind, scale, folder, own, n_rows, n_test, seed):
    """Return X, y, given y, and the X and y of the test.

    Parameters
    ----------
    column : Column
    kind : {"features", "images"}
        Of the stand-in.
    scale : {"tiny", "small", "full"}
    folder : Path
        Of the CIFAR-10 of the benchmarks.
    own : Path or None
        Of the data set of the column, at "full".
    n_rows, n_test : int or None
        None reads all.
    seed : int
        Draws the rows and the wrong labels.
    """
    if column.data in BESIDE_IT:
        return _beside_it(column, folder, n_rows or N_BESIDE_IT, n_test, seed)
    if scale == "full" and (own is not None or column.data != "cifar10"):
        if own is None:
            raise SystemExit(f"{column.data}: give its folder with --images.")
        return _published(column, own, n_rows, n_test, seed)
    noise = HUMAN.get(column.data)
    if column.data == "tiny-imagenet":
        return _embeddings(column.noise, folder, n_rows, n_test, seed)
    if kind == "features" and scale != "full":
        return load(
            folder, f"y_{noise}" if noise else column.noise, n_rows, n_test, seed
        )
    X, y = load_images(folder, "train", n_rows or 50_000)
    X_test, y_test = load_images(folder, "test", n_test or 10_000)
    if noise:
        y_noisy = np.load(folder / "cifar_labels.npz")[f"c10n_{noise}"][: len(y)]
    else:
        y_noisy = _inject(column.noise, X, y, seed)
    if scale == "tiny":
        X, X_test = _halved(X), _halved(X_test)
    return X, y, y_noisy.astype(np.int64), X_test, y_test


def _beside_it(column, folder, n_rows, n_test, seed):
    """Read a set of the other benchmarks, with its noisy labels or injected ones."""
    # It needs pandas.
    from _classification_data import LOADERS as OTHERS

    make = next(make for name, make in OTHERS.items() if column.data.startswith(name))
    parts = make(folder / column.data, column.noise, n_rows, seed)
    X, y, y_noisy, X_test, y_test = parts
    if y_noisy is None:
        y_noisy = column.noise(seed).fit_resample(X, y)[1]
    return X, y, y_noisy, X_test[:n_test], y_test[:n_test]


def _published(column, own, n_rows, n_test, seed):
    """Read the data set from its files; arrays where all images have one small size."""
    loader, train, test = LOADERS[column.data]
    data, held_out = loader(own, train), loader(own, test)
    X, y, X_test, y_test = data.images, data.labels, held_out.images, held_out.labels
    if n_rows or n_test:
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.permutation(len(y))[:n_rows])
        tests = np.sort(rng.permutation(len(y_test))[:n_test])
        X, y, X_test, y_test = X[rows], y[rows], X_test[tests], y_test[tests]
    y_noisy = y if column.noise is None else _inject(column.noise, X, y, seed)
    return X, y, y_noisy, X_test, y_test


def _inject(noise, X, y, seed):
    injector = noise(seed)
    # Only these labels depend on the pixels.
    depends = type(injector).__name__ == "InstanceNoiseInjector"
    rows = X.reshape(len(y), -1) / 255 if depends else np.zeros((len(y), 1))
    return injector.fit_resample(rows, y)[1]


def _halved(X):
    means = torch.nn.functional.avg_pool2d(torch.from_numpy(X).float(), 2)
    return means.round().byte().numpy()


def _embeddings(noise, folder, n_rows, n_test, seed):
    with np.load(folder / "cifar10n_efficientnet.npz") as data:
        X, y = data["X_train"].astype(np.float32), data["y_train"]
        X_test, y_test = data["X_test"].astype(np.float32), data["y_test"]
    X, _, y, _ = train_test_split(X, y, train_size=n_rows, random_state=seed)
    X_test, y_test = X_test[:n_test], y_test[:n_test]
    scale = np.sqrt(X.std(0))
    return X / scale, y, noise(seed).fit_resample(X, y)[1], X_test / scale, y_test
