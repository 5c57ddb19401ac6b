"""CPU seconds of `AutoNoiseDetector` and of cleanlab with three models, by size.

Synthetic data with four classes and 20 % of wrong labels: 1,000 to 30,000 rows with 16
columns (``--full``: to 100,000), and 4 to 512 columns with 2,000 rows. The three models
are those of "cleanlab mean" in ``benchmarks/accuracy/detection.py``: out-of-fold
probabilities of a logistic regression with four values of C, of gradient boosting and
of a forest, their mean, and its label issues. Without ``pip install cleanlab`` the
label issues are left out, which take far less than a second. Both sides run in one
process, in turns; ratios are medians of the paired ratios.

    OMP_NUM_THREADS=1 python benchmarks/speed/auto.py [--full]
"""

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import make_classification

from sknoisy import AutoNoiseDetector, SymmetricNoiseInjector

sys.path.append(str(Path(__file__).resolve().parents[1] / "accuracy"))
from _peers import boosting, forest, regression

ROWS = (1_000, 3_162, 10_000, 30_000)
COLUMNS = (4, 16, 64, 256, 512)


def noisy_data(n_rows, n_columns):
    """Return rows of four classes, and labels of which a fifth are wrong."""
    X, y = make_classification(
        n_rows,
        n_columns,
        n_informative=max(4, n_columns // 4),
        n_redundant=0,
        n_classes=4,
        random_state=0,
    )
    return SymmetricNoiseInjector(0.2, random_state=0).fit_resample(X, y)


def auto(X, y):
    AutoNoiseDetector(random_state=0).fit(X, y)


def three_models(X, y):
    proba = np.mean(
        [model(X, y, 0) for model in (regression, boosting, forest)], axis=0
    )
    if find_spec("cleanlab"):
        from cleanlab.filter import find_label_issues

        find_label_issues(y, proba, n_jobs=1)


def processor_time(function, *args):
    start = time.process_time()
    function(*args)
    return time.process_time() - start


def compare(n_rows, n_columns, n_rounds):
    data = noisy_data(n_rows, n_columns)
    seconds = np.array(
        [
            [processor_time(side, *data) for side in (auto, three_models)]
            for _ in range(n_rounds)
        ]
    )
    ours, theirs = np.median(seconds, axis=0)
    ratio = np.median(seconds[:, 0] / seconds[:, 1])
    print(
        f"{n_rows:7,d} x {n_columns:3d} {ours:8.1f} s {theirs:12.1f} s {ratio:6.2f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="up to 100,000 rows")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--part", choices=("rows", "columns"), help="one part only")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if not find_spec("cleanlab"):
        print("cleanlab is not installed: the models are timed without it")
    # What is imported or allocated on first use.
    for side in (auto, three_models):
        side(*noisy_data(200, 16))
    print(f"{'rows x columns':13s} {'auto':>8s} {'three models':>15s}  ratio")
    if args.part != "columns":
        for n_rows in (*ROWS, 100_000) if args.full else ROWS:
            compare(n_rows, 16, args.rounds)
    if args.part != "rows":
        for n_columns in COLUMNS:
            compare(2_000, n_columns, args.rounds)


if __name__ == "__main__":
    main()
