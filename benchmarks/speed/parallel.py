"""What ``n_jobs=2`` saves: two processes over one, in wall time and in CPU time.

Detectors that train several networks, on synthetic rows with ten classes and 20 % wrong
labels. Both ways run in turns, with workers that are already started; each figure is
the median of paired ratios. 0.5 is the best that two can reach, 1 is no gain.

- "wall" is what a clock shows, and "allowed" what the machine has left at the time: two
  trainings at once in two processes, over two in a row in one.
- "CPU" is the CPU time of the busier worker and the calling process, over that of one
  process that does all: the ratio on two free cores, also if others use them now. It is
  read from /proc (Linux).

Starting the workers, printed first, is paid once.

    OMP_NUM_THREADS=1 python benchmarks/speed/parallel.py [--full]
"""

import argparse
import os
import time
from pathlib import Path
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


def worker(_):
    """Return the number of this process, in a while."""
    time.sleep(0.5)
    return os.getpid()


def processor_seconds(processes):
    """Return the CPU time of processes so far."""
    ticks = []
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks.append(int(fields[11]) + int(fields[12]))
    return np.array(ticks) / os.sysconf("SC_CLK_TCK")


def compare(detector_class, X, y, n_turns):
    """Return wall seconds of one process, and for each turn the three ratios."""
    for n_jobs in (1, 2):
        # Or the first turn would pay for imports, and seem to save what it did not.
        detector_class(n_jobs=n_jobs, max_epochs=1, random_state=0).fit(X, y)
    alone, ratios = [], []
    for _ in range(n_turns):
        processes = [os.getpid()]
        processes += sorted({*Parallel(2, mmap_mode="c")(map(delayed(worker), "abcd"))})
        if len(processes) != 3:
            raise RuntimeError(f"two workers were expected, not {len(processes) - 1}.")
        wall, busy, scores = [], [], []
        for n_jobs in (1, 2):
            before = processor_seconds(processes)
            detector = detector_class(n_jobs=n_jobs, random_state=0)
            took, fitted = seconds(detector.fit, X, y)
            here, *there = processor_seconds(processes) - before
            wall.append(took)
            busy.append(here + max(there))
            scores.append(fitted.noise_scores_)
        np.testing.assert_array_equal(*scores)
        alone.append(wall[0])
        ratios.append((wall[1] / wall[0], allowed(X, y), busy[1] / busy[0]))
    return median(alone), np.array(ratios)


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
    print(f"{'detector':18} {'rows x columns':>14} {'1 job':>8}  wall allowed   CPU")
    for n_rows, n_columns in FULL if args.full else SIZES:
        X, y = noisy_data(n_rows, n_columns)
        for detector_class in DETECTORS:
            name = detector_class.__name__
            if args.only not in (None, name):
                continue
            alone, ratios = compare(detector_class, X, y, args.turns)
            size = f"{n_rows:,} x {n_columns}"
            wall, floor, busy = np.median(ratios, axis=0)
            figures = f"{wall:5.2f} {floor:7.2f} {busy:5.2f}"
            print(f"{name:18} {size:>14} {alone:>6.1f} s {figures}", flush=True)


if __name__ == "__main__":
    main()
