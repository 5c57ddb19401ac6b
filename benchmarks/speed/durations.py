"""How long detectors take: the one source of every duration in README and guide.

CPU seconds of one fit with defaults, on one thread, for tables of several shapes: ten
classes, 30 % of the labels wrong at random. The second line of the output says on what
it was measured. More threads shorten the larger shapes; a GPU is not used.

``--only NAME`` runs one detector; all of them take about half an hour of one core.

    OMP_NUM_THREADS=1 python benchmarks/speed/durations.py
"""

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import sklearn
import torch

import sknoisy
from sknoisy import SymmetricNoiseInjector

SHAPES = ((2_000, 30), (10_000, 30), (10_000, 512))
DETECTORS = (
    "NeighborVoteDetector",
    "FINEDetector",
    "ConfidentLearningDetector",
    "SmallLossDetector",
    "LossMixtureDetector",
    "CORESDetector",
    "AUMDetector",
    "DynaCorDetector",
    "AutoNoiseDetector",
)


def table(n_rows, n_columns, n_classes=10):
    """Return rows around ten centres, and labels of which 30 % are wrong."""
    rng = np.random.default_rng(0)
    y = rng.integers(n_classes, size=n_rows)
    centers = rng.standard_normal((n_classes, n_columns), dtype=np.float32)
    X = rng.standard_normal((n_rows, n_columns), dtype=np.float32)
    # As hard to tell apart whatever the number of columns.
    X += np.float32(2 / n_columns**0.5) * centers[y]
    return X, SymmetricNoiseInjector(0.3, random_state=0).fit_resample(X, y)[1]


def processor():
    """Return what the operating system calls the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=DETECTORS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    sknoisy.DynaCorDetector(max_epochs=1).fit(*table(500, 30))
    print(
        f"{processor()}, one thread, torch {torch.__version__}, "
        f"scikit-learn {sklearn.__version__}, Python {platform.python_version()}"
    )
    print(f"{'CPU seconds':26s}" + "".join(f"{n:>8,} x {d:<4d}" for n, d in SHAPES))
    for name in [args.only] if args.only else DETECTORS:
        print(f"{name:26s}", end="", flush=True)
        for shape in SHAPES:
            X, y = table(*shape)
            detector = getattr(sknoisy, name)(random_state=0)
            start = time.process_time()
            detector.fit(X, y)
            print(f"{time.process_time() - start:13.1f}  ", end="", flush=True)
        print(flush=True)


if __name__ == "__main__":
    main()
