"""What a report says of the noise rate, beside the truth.

Rows are the data sets of ``cleaning.py``, whose labels people, crowds or rules got
wrong; columns are detectors with their defaults. Each cell is the range of estimates
that ``label_report`` shows; a star marks those that hold the true noise rate.

Data are read from the folder ``shared/data`` beside the repository (or ``--data``);
what is not there is skipped and said. One seed, two minutes of one core.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/noise_rates.py
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from _features import BESIDE
from cleaning import DATA

import sknoisy

DETECTORS = ("ConfidentLearningDetector", "DynaCorDetector", "NeighborVoteDetector")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'labels':19s}truth " + "".join(f"{name:27s}" for name in DETECTORS))
    for name, load in DATA.items():
        try:
            X, y, y_noisy, *_ = load(args.data, 2000, 0)
        except FileNotFoundError as error:
            print(f"skipped {name}: {error}")
            continue
        truth, cells = float(np.mean(y != y_noisy)), []
        for detector in DETECTORS:
            judge = getattr(sknoisy, detector)(random_state=0).fit(X, y_noisy)
            rates = sknoisy.label_report(judge, X, y_noisy).noise_rate_estimates
            low, high = min(rates.values()), max(rates.values())
            star = " *" if low <= truth <= high else ""
            cells.append(f"{f'{low:.1%} to {high:.1%}{star}':27s}")
        print(f"{name:19s}{truth:5.1%} " + "".join(cells).rstrip(), flush=True)


if __name__ == "__main__":
    main()
