"""CIFAR-10 images with wrong labels: robust classifiers on a residual network.

Rows are kinds of noise, columns are test accuracies after the best and after the last
epoch, and seconds of wall-clock time for an epoch. Symmetric noise is drawn with the
"include" convention of the sources; "worse" are labels given by people. The network is
PreActResNet-18; images are moved and mirrored, learning rates follow a cosine.

Needs ``cifar10_jpeg.npz`` and ``cifar_labels.npz`` in ``shared/data`` beside the
repository, or ``--data``, and Pillow. On a GPU the default is all 50,000 images and 60
epochs of the full network; ``--epochs 300`` is nearest to the sources. Without one it
is 2,000 images, 20 epochs, batches of 32 and an eighth of the channels, which says that
everything runs, and little more.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/cifar10.py
"""

import argparse
import io
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from _features import BESIDE, TestAccuracy
from PIL import Image

from sknoisy import (
    DynamicBootstrapClassifier,
    FlywheelClassifier,
    NALClassifier,
    NetClassifier,
    SymmetricNoiseInjector,
)
from sknoisy.nets import PreActResNet18

HAS_GPU = torch.cuda.is_available()
NOISES = {"symmetric 0.5": 0.5, "symmetric 0.8": 0.8, "worse (human)": "c10n_worse"}
METHODS = {
    "CE": partial(NetClassifier, lr=0.05),
    "M-DYR-H": partial(DynamicBootstrapClassifier, lr=0.1),
    "NAL": partial(NALClassifier, lam=0.5),
    "flywheel": partial(FlywheelClassifier, lr=0.02),
}


def load_images(folder, split, n_rows):
    with np.load(folder / "cifar10_jpeg.npz") as data:
        offsets = data[f"offsets_{split}"][: n_rows + 1]
        y = data[f"y_{split}"][:n_rows].astype(np.int64)
        raw = data[f"jpeg_{split}"][: offsets[-1]].tobytes()
    images = [
        np.asarray(Image.open(io.BytesIO(raw[start:stop])).convert("RGB"))
        for start, stop in pairwise(offsets)
    ]
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2)), y


def wrong_labels(noise, folder, y, seed):
    if isinstance(noise, str):
        return np.load(folder / "cifar_labels.npz")[noise][: len(y)].astype(np.int64)
    injector = SymmetricNoiseInjector(noise, convention="include", random_state=seed)
    return injector.fit_resample(np.zeros((len(y), 1)), y)[1]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="300 epochs")
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--only", default="", help="noises whose name holds this")
    parser.add_argument("--method", default="", help="methods whose name holds this")
    sizes = {"epochs": 60, "images": 50_000, "test": 10_000, "width": 64, "batch": 128}
    if not HAS_GPU:
        # Of few images, small batches make enough updates.
        sizes = {"epochs": 20, "images": 2_000, "test": 1_000, "width": 8, "batch": 32}
    for name, value in {**sizes, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    if args.full:
        args.epochs = 300
    return args


def main():
    args = parse()
    torch.set_num_threads(1)
    name = torch.cuda.get_device_name() if HAS_GPU else "CPU, one thread"
    print(
        f"{name}; {args.images} images, {args.test} test images, {args.epochs} epochs, "
        f"batches of {args.batch}, {args.width} channels, seed {args.seed}"
    )
    X, y = load_images(args.data, "train", args.images)
    X_test, y_test = load_images(args.data, "test", args.test)
    print(f"{'':32s} best   last   s/epoch")
    for noise, kind in NOISES.items():
        y_noisy = wrong_labels(kind, args.data, y, args.seed)
        for method, make in METHODS.items():
            if args.only not in noise or args.method not in method:
                continue
            scorer = TestAccuracy(X_test, y_test)
            clf = make(
                PreActResNet18,
                module__width=args.width,
                optimizer__weight_decay=5e-4,
                max_epochs=args.epochs,
                batch_size=args.batch,
                random_state=args.seed,
                callbacks=[("test", scorer)],
            )
            start = time.perf_counter()
            clf.fit(X, y_noisy)
            seconds = (time.perf_counter() - start) / args.epochs
            found = dict(clf.callbacks_)["test"].accuracies_
            print(
                f"{noise:16s} {method:14s} {max(found):.3f}  {found[-1]:.3f}  "
                f"{seconds:7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
