"""Robust losses beside cross-entropy: best and last epoch, and what is fitted.

Rows are kinds of noise on 512 features of CIFAR-10 images, columns are test accuracies
after the best and after the last epoch, the share of the given labels that the trained
network predicts (how much of the noisy training set it fits), the AUROC with which
``noise_scores_`` find the wrong labels, and seconds of CPU time. Symmetric noise is
drawn with the "include" convention of the sources: 0.8 on ten classes makes 72 % of the
labels wrong.

The claims of the sources that are printed as checks: the last epoch of NAL is at most
1.5 points below its best on every row, above that of unregularised cross-entropy on
every row, and above GCE and SCE on the mean over the rows; unregularised cross-entropy
fits all of the labels, NAL about the share of right ones.

Needs ``shared/data/cifar10_features.npz`` beside the repository, or ``--data``.
Default: 10,000 rows, 10,000 test rows, 20 epochs, one seed, two processes. ``--full``:
three seeds. ``--results FILE`` keeps the cells, and a run goes on with the file.
``--digits``: 1,000 of the digits of scikit-learn, 797 test rows; with ``--images`` as
images of 8 x 8 pixels for a small residual network. ``--strong``: features of a
pretrained network, ``cifar10n_efficientnet.npz``.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/robust_losses.py
"""

from functools import partial
from pathlib import Path

import numpy as np
from _baselines import show_tuned
from _features import instance, load, named, pair_flip, parse, run, symmetric
from _results import Results, command_of, origin
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from sknoisy import (
    CORESClassifier,
    DISCClassifier,
    DivideMixClassifier,
    ELRClassifier,
    ELRPlusClassifier,
    NALClassifier,
    PENCILClassifier,
    PESClassifier,
    RobustLossClassifier,
    SELCClassifier,
    SOPClassifier,
    SSRClassifier,
    TransitionCorrectionClassifier,
    UNICONClassifier,
    VolMinNetClassifier,
)
from sknoisy.nets import ResNet

NOISES = {
    "symmetric 0.2": symmetric(0.2),
    "symmetric 0.4": symmetric(0.4),
    "symmetric 0.6": symmetric(0.6),
    "symmetric 0.8": symmetric(0.8),
    "pair flip 0.4": pair_flip(0.4),
    "instance 0.4": instance(0.4),
    "worse (human)": "y_worse",
    "aggre (human)": "y_aggre",
}
CELLS = ("best", "last", "fitted", "auroc", "seconds")
TUNED_CELLS = ("last", "auroc", "seconds")
PLAIN = {"module__dropout": 0.0, "optimizer__weight_decay": 0.0}
SMALL_RESNET = {"module__width": 8, "module__blocks": (1, 1)}
REWEIGHT = partial(TransitionCorrectionClassifier, correction="reweight")
METHODS = {
    "CE": partial(RobustLossClassifier, loss="ce"),
    "CE unregularised": partial(RobustLossClassifier, loss="ce", **PLAIN),
    "GCE": partial(RobustLossClassifier, loss="gce"),
    "SCE": partial(RobustLossClassifier, loss="sce"),
    "peer": partial(RobustLossClassifier, loss="peer"),
    "NLS": partial(RobustLossClassifier, loss="nls"),
    "f-divergence": partial(RobustLossClassifier, loss="f_divergence"),
    "DMI": partial(RobustLossClassifier, loss="dmi"),
    "CORES": CORESClassifier,
    "CORES, 2 phases": partial(CORESClassifier, consistency_weight=0.2),
    "ELR": ELRClassifier,
    "ELR+": ELRPlusClassifier,
    "NAL": NALClassifier,
    "SELC": SELCClassifier,
    "PENCIL": PENCILClassifier,
    "SOP": SOPClassifier,
    "DISC": DISCClassifier,
    "DivideMix": DivideMixClassifier,
    "PES": PESClassifier,
    "PES (semi)": partial(PESClassifier, semi=True),
    "SSR": SSRClassifier,
    "UNICON": UNICONClassifier,
    "forward": TransitionCorrectionClassifier,
    "reweight": REWEIGHT,
    "T-revision": partial(REWEIGHT, revise=True),
    "VolMinNet": VolMinNetClassifier,
}


def digit_images(folder, noise, n_rows, n_test, seed):
    """Return rows of digits as images in [0, 1]."""
    X, y, y_noisy, X_test, y_test = digits(folder, noise, n_rows, n_test, seed)
    X, X_test = (rows.reshape(-1, 1, 8, 8) / X.max() for rows in (X, X_test))
    return X, y, y_noisy, X_test, y_test


def digits(folder, noise, n_rows, n_test, seed):
    """Return rows of digits as ``load`` returns features."""
    X, y = load_digits(return_X_y=True)
    X = (X / X.std()).astype(np.float32)
    y_noisy = noise(seed).fit_resample(X[:n_rows], y[:n_rows])[1]
    test = slice(n_rows, n_rows + n_test)
    return X[:n_rows], y[:n_rows], y_noisy, X[test], y[test]


def judge(clf, accuracies, seconds, data):
    X, y, y_noisy, _, _ = data
    return [
        max(accuracies),
        accuracies[-1],
        (clf.predict(X) == y_noisy).mean(),
        roc_auc_score(y != y_noisy, clf.noise_scores_),
        seconds,
    ]


class Kept:
    """Cells in a file of results, measured where they are not yet in it."""

    def __init__(self, args):
        self.results = Results(Path(args.results) if args.results else None)
        self.size = {k: getattr(args, k) for k in ("rows", "test", "epochs", "seeds")}
        of_data = ("digits", "images", "strong")
        self.size |= {k: True for k in of_data if getattr(args, k)}
        self.command = command_of("benchmarks/accuracy/robust_losses.py")

    def find(self, noise, row):
        """Return the cells of all seeds, or None."""
        record = self.results.find({"row": row, "column": noise, **self.size})
        return None if record is None else np.array(record["cells"])

    def add(self, noise, row, cells, names):
        """Keep the cells, with their means by name."""
        values = dict(zip(names, cells.mean(0).round(4).tolist(), strict=True))
        record = {"row": row, "column": noise, **self.size, "values": values}
        self.results.add(record | {"cells": cells.tolist()} | origin(self.command))
        return cells

    def tuned(self, noise, name, measure):
        """Return the cells of a tuned baseline."""
        found = self.find(noise, f"tuned {name}")
        if found is not None:
            return found
        return self.add(noise, f"tuned {name}", measure(), TUNED_CELLS)


def rows_of(noise, args, kept, load):
    """Yield the cells of each method under a noise."""
    cells = {name: kept.find(noise, name) for name in METHODS}
    left = {name: make for name, make in METHODS.items() if cells[name] is None}
    fresh = run({noise: NOISES[noise]}, left, judge, args, load)
    for method in (name for name in METHODS if named(name, args.method)):
        if cells[method] is None:
            kept.add(noise, method, next(fresh)[2], CELLS)
        yield method, kept.find(noise, method)


def main():
    args = parse(
        __doc__.split("\n")[0],
        rows=10_000,
        test=10_000,
        epochs=20,
        seeds=1,
        jobs=2,
        results="",
        digits=False,
        images=False,
        strong=False,
    )
    noises, rows, flat = NOISES, load, load
    if args.digits or args.images:
        noises = {name: n for name, n in NOISES.items() if not isinstance(n, str)}
        args.rows, args.test = 1000, 797
        rows, flat = digits, digits
        print("digits: 1000 rows, 797 test rows")
    if args.images:
        rows = digit_images
        # This network has no dropout.
        del METHODS["CE unregularised"]
        for name, make in METHODS.items():
            METHODS[name] = partial(make, module=ResNet, **SMALL_RESNET)
    if args.strong:
        rows = flat = partial(load, file="cifar10n_efficientnet", unit=True)
    kept = Kept(args)
    print(f"{'':34s} best   last    fitted  AUROC  CPU s")
    table = {}
    for noise in (name for name in noises if named(name, args.only)):
        for method, cells in rows_of(noise, args, kept, rows):
            mean = table[noise, method] = cells.mean(0)
            spread = f" +-{cells[:, 1].std():.3f}" if args.seeds > 1 else ""
            print(
                f"{noise:16s} {method:17s} {mean[0]:.3f}  {mean[1]:.3f}{spread}  "
                f"{mean[2]:.2f}    {mean[3]:.3f}  {mean[4]:5.1f}",
                flush=True,
            )
    if not args.method:
        show_tuned(noises, args, kept.tuned, flat)
    if not (args.only or args.method or args.images):
        check(table, list(noises))


def check(table, noises):
    last = {m: np.array([table[n, m][1] for n in noises]) for m in METHODS}
    best = {m: np.array([table[n, m][0] for n in noises]) for m in METHODS}
    print("\nclaims, in points of test accuracy")
    fall = 100 * (best["NAL"] - last["NAL"])
    print(f"NAL best - last: at most {fall.max():.1f} ({noises[fall.argmax()]})")
    gain = 100 * (last["NAL"] - last["CE unregularised"])
    print(f"NAL - CE unregularised: at least {gain.min():+.1f}")
    print("mean of the last epoch over the rows:")
    for method in METHODS:
        print(f"  {method:17s} {100 * last[method].mean():.1f}")


if __name__ == "__main__":
    main()
