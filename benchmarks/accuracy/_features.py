"""Training on noisy labels of image features, and test accuracy by epoch.

What the benchmarks of robust classifiers share: the data, the kinds of noise, and the
loop over noises, methods and seeds.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from skorch.callbacks import Callback

from sknoisy import (
    InstanceNoiseInjector,
    SymmetricNoiseInjector,
    TransitionNoiseInjector,
    pair_flip_matrix,
)

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def symmetric(rate, convention="include"):
    """Return what makes an injector of symmetric noise from a seed."""
    return partial(_symmetric, rate, convention)


def pair_flip(rate):
    """Return what makes an injector of pair flips from a seed."""
    return partial(_pair_flip, rate)


def instance(rate):
    """Return what makes an injector of instance-dependent noise from a seed."""
    return partial(_instance, rate)


def _symmetric(rate, convention, seed):
    return SymmetricNoiseInjector(rate, convention=convention, random_state=seed)


def _pair_flip(rate, seed):
    matrix = partial(pair_flip_matrix, noise_rate=rate)
    return TransitionNoiseInjector(matrix, random_state=seed)


def _instance(rate, seed):
    return InstanceNoiseInjector(rate, feature_scaling="unit", random_state=seed)


def load(folder, noise, n_rows, n_test, seed, file="cifar10_features", unit=False):
    """Return X, y, noisy y, and the X and y of the test.

    Parameters
    ----------
    folder : Path
    noise : str or callable
        Name of the human labels, or what makes an injector from a seed.
    n_rows, n_test, seed : int
    file : str, default="cifar10_features"
        Its name without ``.npz``.
    unit : bool, default=False
        Whether all numbers together get a standard deviation of 1.
    """
    data = np.load(folder / f"{file}.npz")
    n_all = len(data["y_train"])
    rows = np.random.default_rng(seed).choice(n_all, n_rows, replace=False)
    X, y = data["X_train"][rows].astype(np.float32), data["y_train"][rows]
    X_test = data["X_test"][:n_test].astype(np.float32)
    # Full standardising blows up columns that hold little; this keeps their order.
    scale = np.sqrt(X.std(0))
    if unit:
        scale *= (X / scale).std()
    X /= scale
    X_test /= scale
    if isinstance(noise, str):
        y_noisy = data[noise][rows]
    else:
        y_noisy = noise(seed).fit_resample(X, y)[1]
    return X, y, y_noisy, X_test, data["y_test"][:n_test]


class TestAccuracy(Callback):
    """Scores a test set after each epoch."""

    def __init__(self, X, y):
        self.X = X
        self.y = y

    def initialize(self):
        """Forget earlier epochs."""
        self.accuracies_ = []
        return self

    def on_epoch_end(self, net, **kwargs):
        """Score the test set."""
        self.accuracies_.append(float((net.predict(self.X) == self.y).mean()))


def train(make, data, epochs, seed):
    """Return a fitted classifier, its test accuracy by epoch, and CPU seconds."""
    torch.set_num_threads(1)
    X, _, y_noisy, X_test, y_test = data
    scorer = TestAccuracy(X_test, y_test)
    clf = make(max_epochs=epochs, random_state=seed, callbacks=[("test", scorer)])
    start = time.process_time()
    clf.fit(X, y_noisy)
    seconds = time.process_time() - start
    accuracies = dict(clf.callbacks_)["test"].accuracies_
    return clf, accuracies, seconds


def parse(description, **defaults):
    """Return the arguments of the command line, and print the size of the run."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--full", action="store_true", help="three seeds")
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--only", default="", help="noises: parts of names, with ;")
    parser.add_argument("--method", default="", help="methods, likewise")
    for name, value in defaults.items():
        how = {"action": "store_true"} if value is False else {"type": type(value)}
        parser.add_argument(f"--{name}", default=value, **how)
    args = parser.parse_args()
    if args.full:
        args.seeds = max(args.seeds, 3)
    print(
        f"{args.rows} rows, {args.test} test rows, {args.epochs} epochs, "
        f"{args.seeds} seed(s), {args.jobs} process(es)"
    )
    return args


def named(name, parts):
    """Return whether a name holds one of the parts, which ; separates."""
    return any(part in name for part in parts.split(";"))


def run(noises, methods, judge, args, load=load):
    """Yield (noise, method, cells of each seed) for every pair, as they are done.

    Parameters
    ----------
    noises : dict of str to str or callable
        As `load` takes them.
    methods : dict of str to callable
        Make a classifier from ``max_epochs``, ``random_state`` and ``callbacks``.
    judge : callable
        From a fitted classifier, its accuracies, seconds and data to a list of cells.
    args : Namespace
    load : callable, default=load
        Of features, or a function like it that loads images.
    """
    noises = {name: n for name, n in noises.items() if named(name, args.only)}
    methods = {name: m for name, m in methods.items() if named(name, args.method)}
    pairs = [(noise, method) for noise in noises for method in methods]
    jobs = [
        delayed(_job)(noises[noise], methods[method], judge, args, seed, load)
        for noise, method in pairs
        for seed in range(args.seeds)
    ]
    results = Parallel(n_jobs=args.jobs, return_as="generator")(jobs)
    for noise, method in pairs:
        yield noise, method, np.array([next(results) for _ in range(args.seeds)])


def _job(noise, make, judge, args, seed, load):
    data = load(args.data, noise, args.rows, args.test, seed)
    return judge(*train(make, data, args.epochs, seed), data)
