"""What ``n_jobs=2`` saves: wall time of two processes over that of one.

Detectors that train several networks, on synthetic rows with ten classes and 20 % wrong
labels. Both ways run in turns, with workers that are already started; each figure is
the median of paired ratios. The last column is what the machine allows at the time: a
training that two processes each do once at the same time, over one process that does it
twice. 0.5 is two free cores, 1 is no gain. Starting the workers, printed first, is paid
once.

    OMP_NUM_THREADS=1 python benchmarks/speed/parallel.py [--full]
"""

import argparse
import time
from statistics import median

import numpy as np
import torch
from joblib import Parallel, delayed

from sknoisy import AUMDetector, DynaCorDetector, NetClassifier, SmallLossDetector

DETECTORS = (DynaCorDetector, AUMDetector, SmallLossDetector)
SIZES = [(2_000, 32), (2_000, 512)]
FULL = [*SIZES, (10_000, 32), (10_000, 512)]


def noisy_data(n_rows, n_columns):
    """Return rows of ten classes, and labels of which about a fifth are wrong."""
    rng = np.random.default_rng(0)
    y = rng.integers(10, size=n_rows)
    centres = rng.normal(size=(10, n_columns)) * 3 / np.sqrt(n_columns)
    X = (centres[y] + rng.normal(size=(n_rows, n_columns))).astype(np.float32)
    wrong = rng.random(n_rows) < 0.2
    y[wrong] = (y[wrong] + rng.integers(1, 10, size=wrong.sum())) % 10
    return X, y


def seconds(run, *args):
    """Return the wall time of a call, and its result."""
    start = time.perf_counter()
    result = run(*args)
    return time.perf_counter() - start, result


def train(X, y):
    """Train a network for a while; the unit of the last column."""
    torch.set_num_threads(1)
    NetClassifier(max_epochs=5, random_state=0).fit(X, y)


def allowed(X, y):
    """Return the ratio of two trainings at once to two in a row, in workers."""
    two = delayed(train)(X, y), delayed(train)(X, y)
    # As the detectors, or the workers would be replaced each time.
    at_once, _ = seconds(Parallel(2, mmap_mode="c"), two)
    start = time.perf_counter()
    for _ in two:
        train(X, y)
    return at_once / (time.perf_counter() - start)


def compare(detector_class, X, y, n_turns):
    """Return seconds with one process, paired ratios, and what was allowed."""
    alone, ratios, floors = [], [], []
    for _ in range(n_turns):
        fitted = []
        for n_jobs in (1, 2):
            detector = detector_class(n_jobs=n_jobs, random_state=0)
            fitted.append(seconds(detector.fit, X, y))
        (one, first), (two, second) = fitted
        np.testing.assert_array_equal(first.noise_scores_, second.noise_scores_)
        alone.append(one)
        ratios.append(two / one)
        floors.append(allowed(X, y))
    return median(alone), ratios, median(floors)


def main():
    """Print a row for each detector and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="also 10,000 rows")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", help="name of a detector")
    args = parser.parse_args()
    torch.set_num_threads(1)
    start, _ = seconds(
        Parallel(2, mmap_mode="c"), [delayed(train)(*noisy_data(100, 4))] * 2
    )
    print(f"start of two workers: {start:.1f} s")
    print(f"{'detector':18} {'rows x columns':>14} {'1 job':>8} 2 over 1  allowed")
    for n_rows, n_columns in FULL if args.full else SIZES:
        X, y = noisy_data(n_rows, n_columns)
        for detector_class in DETECTORS:
            name = detector_class.__name__
            if args.only not in (None, name):
                continue
            alone, ratios, floor = compare(detector_class, X, y, args.turns)
            size = f"{n_rows:,} x {n_columns}"
            spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
            figures = f"{median(ratios):.2f} {spread}  {floor:.2f}"
            print(f"{name:18} {size:>14} {alone:>6.1f} s {figures}", flush=True)


if __name__ == "__main__":
    main()
