"""The variants of dynamic bootstrapping on the digits of scikit-learn.

Test accuracy on 797 digits of a network trained on 1,000, whose labels are wrong at a
rate of 40, 50 or 60 %. Then the options: a prior where classes 5 to 9 have a tenth of
the rows of the others, and losses of changed images. Mean of three seeds.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/bootstrap_digits.py
"""

import argparse
from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score as balanced
from sklearn.preprocessing import StandardScaler

from sknoisy import DynamicBootstrapClassifier, SymmetricNoiseInjector
from sknoisy.nets import PreActResNet, random_crop

RATES = 0.4, 0.5, 0.6
STATIC = {"weights": "static", "mixup": None, "prior_weight": 0, "warmup_epochs": 0}
GUIDED = {"targets": "soft_to_hard", "mixup": "guided"}
CE = {"weights": None, "mixup": None}
VARIANTS = {
    "CE": CE,
    "M": {"weights": None},
    "static, hard": STATIC,
    "static, hard, warm-up of 5": {**STATIC, "warmup_epochs": 5},
    "static, soft": {**STATIC, "targets": "soft"},
    "DY-H": {"mixup": None, "prior_weight": 0},
    "DYR-H": {"mixup": None},
    "DYR-H, warm-up of 7": {"mixup": None, "warmup_epochs": 7},
    "DYR-S": {"mixup": None, "targets": "soft"},
    "M-DYR-H": {},
    "M-DYR-S": {"targets": "soft"},
    "MD-DYR-H": {"mixup": "guided"},
    "MD-DYR-SH": GUIDED,
    "gaussian": {"mixture": "gaussian"},
    "prior_weight=0": {"prior_weight": 0},
    "60 epochs": {"max_epochs": 60},
    "CE, 60 epochs": {**CE, "max_epochs": 60},
}
# Of the rows of an uneven training set.
UNEVEN = np.repeat([1.0, 0.1], 5)
PRIORS = {
    "CE": CE,
    "prior_weight=0": {"prior_weight": 0},
    "uniform": {},
    "labels": {"prior": "labels"},
    "true shares": {"prior": UNEVEN / UNEVEN.sum()},
}
IMAGES = {
    "module": PreActResNet,
    "module__blocks": (1, 1),
    "module__width": 8,
    "augment": partial(random_crop, padding=1),
    "batch_size": 32,
}
LOSSES = {
    "CE": {**IMAGES, **CE},
    "losses of rows as they are": IMAGES,
    "losses of changed rows": {**IMAGES, "augment_losses": True},
}


def tables(seed, rate):
    """Return noisy training rows and test rows, standardised."""
    X, y = load_digits(return_X_y=True)
    y_noisy = SymmetricNoiseInjector(rate, random_state=seed).fit_resample(X, y)[1]
    X = StandardScaler().fit(X[:1000]).transform(X)
    return X[:1000], y_noisy[:1000], X[1000:], y[1000:]


def uneven_tables(seed, rate):
    """Return the same with few rows of classes 5 to 9 in training."""
    X, y = load_digits(return_X_y=True)
    X = StandardScaler().fit(X[:1000]).transform(X)
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(rng.random(1000) < UNEVEN[y[:1000]])
    injector = SymmetricNoiseInjector(rate, random_state=seed)
    return *injector.fit_resample(X[rows], y[rows]), X[1000:], y[1000:]


def images(seed, rate):
    """Return them as images in [0, 1]."""
    X, y = load_digits(return_X_y=True)
    y_noisy = SymmetricNoiseInjector(rate, random_state=seed).fit_resample(X, y)[1]
    X = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return X[:1000], y_noisy[:1000], X[1000:], y[1000:]


def show(title, read, methods, seeds, scores):
    print(f"\n{title:32s}" + "".join(f"{rate:8.0%}" for rate in RATES))
    for name, params in methods.items():
        found = {measure: [] for measure in scores}
        for rate in RATES:
            cells = {measure: [] for measure in scores}
            for seed in range(seeds):
                X, y, X_test, y_test = read(seed, rate)
                clf = DynamicBootstrapClassifier(random_state=seed, **params)
                predicted = clf.fit(X, y).predict(X_test)
                for measure, score in scores.items():
                    cells[measure].append(score(y_test, predicted))
            for measure, values in cells.items():
                found[measure].append(np.mean(values))
        for measure, values in found.items():
            text = "".join(f"{value:8.3f}" for value in values)
            print(f"{f'{name}{measure}':32s}{text}", flush=True)


def accuracy(y, predicted):
    return np.mean(y == predicted)


def accuracy_if_uneven(y, predicted):
    """Return the accuracy if the test rows had the shares of the training rows."""
    return np.average(y == predicted, weights=UNEVEN[y])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--row", default="", help="rows whose name holds this")
    parser.add_argument("--part", default="", help="parts whose title holds this")
    args = parser.parse_args()
    torch.set_num_threads(1)
    of_uneven = {", uneven test": accuracy_if_uneven, ", recalls": balanced}
    parts = [
        ("accuracy", tables, VARIANTS, {"": accuracy}),
        ("uneven classes", uneven_tables, PRIORS, of_uneven),
        ("images: accuracy", images, LOSSES, {"": accuracy}),
    ]
    for title, read, methods, scores in parts:
        chosen = {name: p for name, p in methods.items() if args.row in name}
        if chosen and args.part in title:
            show(title, read, chosen, args.seeds, scores)


if __name__ == "__main__":
    main()
