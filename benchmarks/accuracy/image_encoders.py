"""How well wrong labels of images are found in pixels, patches and pretrained features.

Rows are what a detector sees of CIFAR-10 images: their pixels as a table, their pixels
as images (a small residual network learns from them, twice for 20 epochs), features of
patches (``cifar10_features.npz``, without a pretrained network), and rows of
``ImageEncoder("efficientnet-lite0")`` at 112 and 224 pixels. Columns are the human
labels of CIFAR-10N. Each cell: AUROC of the noise scores, F1 of the flags, and seconds
of CPU time for the rows and for the detector, the mean of the seeds.

Columns are centred and divided by one number, which keeps the proportions that the
encoder gave them; ``ConfidentLearningDetector`` standardises each by itself.

Data are read from the folder ``shared/data`` beside the repository (or ``--data``), and
skipped if they are not there. 3,000 images; half an hour, of which pixels take most
(``--rows pretrained`` leaves them out).

    OMP_NUM_THREADS=1 python benchmarks/accuracy/image_encoders.py
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import f1_score, roc_auc_score

from sknoisy import (
    ConfidentLearningDetector,
    DynaCorDetector,
    ImageEncoder,
    NeighborVoteDetector,
    NetClassifier,
)
from sknoisy.nets import PreActResNet

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
LABELS = {"worse": "c10n_worse", "aggre": "c10n_aggre"}


def files(folder, rows):
    """Return the JPEG files of some images."""
    data = np.load(folder / "cifar10_jpeg.npz")
    content, start = data["jpeg_train"], data["offsets_train"]
    return [content[start[i] : start[i + 1]].tobytes() for i in rows]


def pixels(folder, rows):
    """Return the images as bytes, channels first."""
    from io import BytesIO

    from PIL import Image

    images = [np.asarray(Image.open(BytesIO(file))) for file in files(folder, rows)]
    return np.stack(images).transpose(0, 3, 1, 2)


def flat_pixels(folder, rows):
    return common_scale(pixels(folder, rows).reshape(len(rows), -1) / 255.0)


def patches(folder, rows):
    return common_scale(np.load(folder / "cifar10_features.npz")["X_train"][rows])


def pretrained(folder, rows, image_size):
    encoder = ImageEncoder("efficientnet-lite0", image_size=image_size)
    return common_scale(encoder.transform(files(folder, rows)))


def common_scale(X):
    X = np.asarray(X, dtype=np.float32)
    X = X - X.mean(0)
    return X / X.std()


ROWS = {
    "pixels, table": flat_pixels,
    "pixels, images": pixels,
    "patches": patches,
    "pretrained, 112": partial(pretrained, image_size=112),
    "pretrained, 224": partial(pretrained, image_size=224),
}


def small_network(seed):
    return NetClassifier(
        PreActResNet,
        module__blocks=(1, 1, 1),
        module__width=16,
        max_epochs=20,
        batch_size=64,
        random_state=seed,
    )


def confident_learning(X, seed):
    return None if X.ndim == 4 else ConfidentLearningDetector(random_state=seed)


def dynacor(X, seed):
    if X.ndim == 4:
        return DynaCorDetector(small_network(seed), n_runs=2, random_state=seed)
    return DynaCorDetector(random_state=seed)


def neighbors(X, seed):
    return None if X.ndim == 4 else NeighborVoteDetector(random_state=seed)


DETECTORS = {
    "ConfidentLearning": confident_learning,
    "DynaCor": dynacor,
    "NeighborVote": neighbors,
}


def judged(detector, X, y, y_noisy):
    """Return AUROC, F1 and seconds."""
    start = time.process_time()
    detector.fit(X, y_noisy)
    seconds = time.process_time() - start
    wrong = y != y_noisy
    return (
        roc_auc_score(wrong, detector.noise_scores_),
        f1_score(wrong, detector.noise_mask_),
        seconds,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", default="", help="rows whose name holds this")
    parser.add_argument("--detector", default="", help="detectors likewise")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)
    if not args.data.is_dir():
        print(f"skipped: no folder {args.data}")
        return
    labels = np.load(args.data / "cifar_labels.npz")
    detectors = {n: d for n, d in DETECTORS.items() if args.detector in n}
    print(f"{args.images} images, {args.seeds} seed(s)")
    heads = [f"{d}, {n}" for d in detectors for n in LABELS]
    print(f"{'rows':<18}{'s/image':<10}" + "".join(f"{h:<26}" for h in heads))
    for name, make in ROWS.items():
        if args.rows not in name:
            continue
        cells, seconds = {}, []
        for seed in range(args.seeds):
            rng = np.random.default_rng(seed)
            rows = np.sort(rng.choice(50_000, args.images, replace=False))
            start = time.process_time()
            X = make(args.data, rows)
            seconds.append((time.process_time() - start) / len(rows))
            y = labels["c10n_clean"][rows]
            for title, detector in detectors.items():
                for noise, key in LABELS.items():
                    found = detector(X, seed)
                    if found is not None:
                        cell = judged(found, X, y, labels[key][rows])
                        cells.setdefault(f"{title}, {noise}", []).append(cell)
        print(f"{name:<18}{np.mean(seconds):<10.4f}", end="")
        for head in heads:
            if head not in cells:
                print(f"{'':<26}", end="")
                continue
            auroc, f1, took = np.mean(cells[head], axis=0)
            print(f"{f'{auroc:.3f}/{f1:.3f}/{took:.0f}s':<26}", end="")
        print(flush=True)


if __name__ == "__main__":
    main()
