"""SSR, SSR+, DISC, UNICON, PES beside tuned baselines, and what parameters change.

Rows of the table are digits, 512 features of CIFAR-10 images and 256 features of an
ImageNet network, with planted and human noise; of each a few are clean. Columns are
test accuracies after the last epoch, the AUROC and the F1 with which ``noise_scores_``
and flags find the wrong labels, ``noise_rate_`` minus the true rate, and CPU seconds.

The baselines are chosen on a quarter of the given labels, and their seconds include
that: a logistic regression by its penalty, a network under cross-entropy by its
regularisation. All others are at their defaults. ``--trial`` repeats the published
local trial on digits: 1,200 rows, 60 epochs, batches of 64.

Needs ``cifar10_features.npz`` and ``cifar10n_efficientnet.npz`` in ``shared/data``
beside the repository, or ``--data``; the digits come with scikit-learn. Default: 4,000
rows, 1,200 of the digits, 4,000 test rows, one seed. ``--full``: three seeds.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/ssr.py
"""

import time
from functools import partial

import numpy as np
import torch
from _baselines import cross_entropy, regression
from _features import load as load_features
from _features import pair_flip, parse, symmetric
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score, roc_auc_score

from sknoisy import (
    DISCClassifier,
    DivideMixClassifier,
    DynamicBootstrapClassifier,
    NetClassifier,
    PESClassifier,
    SSRClassifier,
    UNICONClassifier,
)

EXCLUDE = {"convention": "exclude"}
ROWS = {
    "digits, clean": ("digits", None),
    "digits, symmetric 0.4": ("digits", symmetric(0.4, **EXCLUDE)),
    "digits, symmetric 0.8": ("digits", symmetric(0.8, **EXCLUDE)),
    "digits, pair flip 0.4": ("digits", pair_flip(0.4)),
    "cifar, aggre": ("cifar", "y_aggre"),
    "cifar, worse": ("cifar", "y_worse"),
    "cifar, symmetric 0.5": ("cifar", symmetric(0.5, **EXCLUDE)),
    "cifar, pair flip 0.4": ("cifar", pair_flip(0.4)),
    "strong, aggre": ("strong", "y_aggre"),
    "strong, worse": ("strong", "y_worse"),
    "strong, symmetric 0.5": ("strong", symmetric(0.5, **EXCLUDE)),
    "strong, pair flip 0.4": ("strong", pair_flip(0.4)),
}
BASELINES = {"regression, chosen": regression, "net, chosen": cross_entropy}
METHODS = {
    "net, default": NetClassifier,
    "bootstrapping": DynamicBootstrapClassifier,
    "DivideMix": DivideMixClassifier,
    "DISC": DISCClassifier,
    "UNICON": UNICONClassifier,
    "PES": PESClassifier,
    "SSR": SSRClassifier,
    "SSR+": partial(SSRClassifier, consistency_weight=1.0),
    "SSR, strong_view=.3": partial(SSRClassifier, strong_view=0.3),
}
TRIAL = {"lr": 0.05, "max_epochs": 60, "batch_size": 64}


def load(name, noise, args, seed):
    """Return X, y, noisy y, and the X and y of the test."""
    if name == "cifar":
        return load_features(args.data, noise, args.rows, args.test, seed)
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        X = (X / X.std()).astype(np.float32)
        noisy = y if noise is None else noise(seed).fit_resample(X, y)[1]
        order = np.random.default_rng(seed).permutation(len(y))
        rows, test = order[: args.digits], order[args.digits :]
        return X[rows], y[rows], noisy[rows], X[test], y[test]
    data = np.load(args.data / "cifar10n_efficientnet.npz")
    rows = np.random.default_rng(seed).choice(20_000, args.rows, replace=False)
    X, y = data["X_train"][rows].astype(np.float32), data["y_train"][rows]
    X_test, y_test = data["X_test"][: args.test], data["y_test"][: args.test]
    scale = np.sqrt(X.std(0))
    X, X_test = X / scale, X_test.astype(np.float32) / scale
    if isinstance(noise, str):
        return X, y, data[noise][rows], X_test, y_test
    return X, y, noise(seed).fit_resample(X, y)[1], X_test, y_test


def cells(fit, data):
    X, y, noisy, X_test, y_test = data
    start = time.process_time()
    clf = fit(X, noisy)
    seconds = time.process_time() - start
    is_wrong, found = y != noisy, [np.nan] * 3
    if hasattr(clf, "noise_scores_"):
        found[2] = clf.noise_rate_ - is_wrong.mean()
        if is_wrong.any():
            found[0] = roc_auc_score(is_wrong, clf.noise_scores_)
            found[1] = f1_score(is_wrong, clf.noise_mask_)
    return [clf.score(X_test, y_test), *found, seconds]


def main():
    args = parse(
        __doc__.split("\n")[0],
        rows=4_000,
        digits=1_200,
        test=4_000,
        epochs=20,
        seeds=1,
        jobs=1,
        trial=False,
    )
    torch.set_num_threads(1)
    params = TRIAL if args.trial else {"max_epochs": args.epochs}
    makes = {name: partial(make, **params) for name, make in METHODS.items()}
    print(" " * 42 + "accuracy  AUROC     F1  rate-   CPU s")
    for row, (name, noise) in ROWS.items():
        if args.only not in row or (args.trial and name != "digits"):
            continue
        data = [load(name, noise, args, seed) for seed in range(args.seeds)]
        for method in {**BASELINES, **makes}:
            if args.method not in method:
                continue
            found = []
            for seed, one in enumerate(data):
                if method in BASELINES:
                    fit = partial(BASELINES[method], seed=seed)
                else:
                    fit = makes[method](random_state=seed).fit
                found.append(cells(fit, one))
            mean = np.mean(found, axis=0)
            values = "".join(f"{value:7.3f}" for value in mean[:4])
            print(f"{row:22s} {method:20s} {values} {mean[4]:7.1f}", flush=True)


if __name__ == "__main__":
    main()
