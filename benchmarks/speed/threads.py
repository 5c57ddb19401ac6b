"""What it costs that fits take turns: two at once in two threads, over one by one.

Wall time; each figure is the median of paired ratios. 1 is the price of turns, near 0.5
what two processes would reach on two free cores. The last column lets the fits draw
from torch's generator at the same time, as they would without turns: their results are
then of nobody's seed.

    OMP_NUM_THREADS=1 python benchmarks/speed/threads.py
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from statistics import median
from unittest.mock import patch

import numpy as np
import torch

from sknoisy import NetClassifier
from sknoisy.nets import _device

ROUNDS = 7
SIZES = {"2,000 x 20, 64 units": (2000, 20, 64), "8,000 x 50, 512": (8000, 50, 512)}


def seconds(run):
    """Return the wall time of a call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@contextmanager
def without_turns():
    """Let threads draw at the same time."""
    with patch.object(_device, "_turn", nullcontext()):
        yield


def main():
    """Print a row for each size."""
    torch.set_num_threads(1)
    print(f"{ROUNDS} rounds; two threads over one after the other, wall time")
    for name, (n_rows, n_features, hidden) in SIZES.items():
        rng = np.random.default_rng(0)
        X = rng.normal(size=(n_rows, n_features)).astype(np.float32)
        y = (X[:, 0] > 0).astype(int)

        def fit(seed, X=X, y=y, hidden=hidden):
            NetClassifier(max_epochs=8, module__hidden=hidden, random_state=seed).fit(
                X, y
            )

        def one_by_one(fit=fit):
            fit(0)
            fit(1)

        def at_once(fit=fit):
            with ThreadPoolExecutor(2) as threads:
                list(threads.map(fit, range(2)))

        fit(0)
        ratios = {"turns": [], "no turns": []}
        for _ in range(ROUNDS):
            base = seconds(one_by_one)
            ratios["turns"].append(seconds(at_once) / base)
            with without_turns():
                ratios["no turns"].append(seconds(at_once) / base)
        shown = ", ".join(f"{key} {median(found):.2f}" for key, found in ratios.items())
        print(f"{name:22s} {shown}")


if __name__ == "__main__":
    main()
