"""A grid search one network at a time, and with networks stacked: time and scores.

One process, one thread, in turns; CPU time, on a GPU wall time. "in fits" is the time
of `StackedSearchCV` over that of one fit of `GridSearchCV`, both with the scoring of
the held-out fold; "apart" is the largest difference of a score. 5,000 rows of 64
features, 10 classes, 30 % wrong labels, 3 folds. One search has five networks that
differ in their seed alone, as rounds of a race.

    python benchmarks/speed/grid.py
    python benchmarks/speed/grid.py --hidden 128 --epochs 5 --rounds 3
    python benchmarks/speed/grid.py --gpu
"""

import argparse
import time

import numpy as np
import torch
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

from sknoisy import (
    NALClassifier,
    NetClassifier,
    RobustLossClassifier,
    SymmetricNoiseInjector,
)
from sknoisy.nets import StackedSearchCV

LAM = np.geomspace(0.1, 3, 7).tolist()
SEARCHES = [
    ("lam x alpha", NALClassifier, {"lam": LAM, "alpha": [0.5, 0.7, 0.9]}),
    ("q", RobustLossClassifier, {"loss__q": [0.1, 0.3, 0.5, 0.7, 1.0]}),
    (
        "lr x decay",
        NetClassifier,
        {"lr": [0.02, 0.05, 0.1], "optimizer__weight_decay": [0.0, 1e-3, 1e-2]},
    ),
    ("5 seeds, one split", NetClassifier, {"random_state": [0, 1, 2, 3, 4]}),
]
LARGE = ("lam", NALClassifier, {"lam": [0.1, 0.5, 3.0]})


def rows(n_rows):
    X, y = make_classification(
        n_rows, 64, n_informative=20, n_classes=10, class_sep=2.0, random_state=0
    )
    injector = SymmetricNoiseInjector(0.3, random_state=0)
    return injector.fit_resample(X.astype(np.float32), y)


def seconds(search, X, y, clock):
    start = clock()
    search.fit(X, y)
    return clock() - start


def compare(name, make, grid, hidden, X, y, args):
    clock = time.perf_counter if args.gpu else time.process_time
    device = "cuda" if args.gpu else "cpu"
    net = make(
        module__hidden=hidden, max_epochs=args.epochs, device=device, random_state=0
    )
    rest = {"cv": 3, "refit": False, "error_score": "raise"}
    if name.endswith("one split"):
        half = len(y) // 2
        rest["cv"] = [(np.arange(half), np.arange(half, len(y)))]
    alone, stacked = GridSearchCV(net, grid, **rest), StackedSearchCV(net, grid, **rest)
    times = [
        [seconds(search, X, y, clock) for search in (alone, stacked)]
        for _ in range(args.rounds)
    ]
    ratio = np.median([of_stack / of_alone for of_alone, of_stack in times])
    n_fits = len(alone.cv_results_["params"]) * alone.n_splits_
    keys = [f"split{i}_test_score" for i in range(alone.n_splits_)]
    apart = max(
        np.abs(alone.cv_results_[key] - stacked.cv_results_[key]).max() for key in keys
    )
    widths = "-".join(map(str, hidden))
    print(
        f"{make.__name__:21s}{name:20s}{widths:9s}{n_fits:5d}{stacked.n_stacked_:9d}"
        f"{np.median(times, 0)[0] / n_fits:10.2f}{ratio:8.2f}{ratio * n_fits:9.1f}"
        f"{apart:12.6f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--hidden", type=int, nargs="+", help="widths, for all searches"
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--gpu", action="store_true", help="on a CUDA device")
    args = parser.parse_args()
    if args.gpu and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here: nothing was measured")
    torch.set_num_threads(1)
    X, y = rows(args.rows)
    NALClassifier(max_epochs=1).fit(X, y)
    print(f"{args.rows} rows, {args.epochs} epochs, {args.rounds} round(s)")
    print(
        f"{'net':21s}{'search':20s}{'widths':9s}{'fits':>5s}{'stacked':>9s}"
        f"{'s / fit':>10s}{'ratio':>8s}{'in fits':>9s}{'apart':>12s}"
    )
    for search in SEARCHES:
        compare(*search, tuple(args.hidden or (32, 32)), X, y, args)
    if not args.hidden:
        compare(*LARGE, (512, 512), X, y, args)


if __name__ == "__main__":
    main()
