"""How often the interval of the noise rate from reviewed rows holds the truth.

Rows are the data sets of ``cleaning.py``, whose labels people, crowds or rules got
wrong; columns are detectors with their defaults. For each, an audit is simulated many
times: the rows of ``sample_for_review`` are drawn anew, decided by the true labels, and
``noise_rate_interval`` is computed. Half of the rows come from the top of the ranking,
none with ``--share-random 1``.
Cells are the share of the intervals that hold the true noise rate, their mean width,
and for comparison the width of Wilson's interval for as many rows drawn from all rows.

Data are read from the folder ``shared/data`` beside the repository (or ``--data``);
what is not there is skipped and said. Detectors have one seed. Eight minutes of one
core.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/review.py

``--teach`` asks another question: how many of all wrong labels are found by reviewing
2, 5 and 10 % of the rows. All real-noise sets of ``detection.py`` are judged by
`AutoNoiseDetector`. The rows are reviewed in rounds of 1 %, always the most suspicious
ones, and decided by the true labels. Untaught, the ranking stays; taught, it learns
from all decisions after each round. The third column is the ranking of cleanlab with a
random forest, of the first seed, the last one the most that can be found by so many
rows. The others are means of three seeds. A quarter of an hour of one core; ``--fits
FOLDER`` keeps what was judged there. ``--rank-from`` sets the number of decisions from
which on it ranks anew.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/review.py --teach
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _features import BESIDE
from _teaching import compare
from cleaning import DATA
from scipy.stats import norm

import sknoisy
from sknoisy import _taught_scores
from sknoisy.cleaning._review_rates import noise_rate_interval

DETECTORS = ("ConfidentLearningDetector", "DynaCorDetector", "NeighborVoteDetector")


def decided(sample, is_wrong):
    wrong = is_wrong[sample["row"].to_numpy()]
    decisions = sample[["row", "sample", "sample_probability"]].reset_index(drop=True)
    return decisions.assign(decision=np.where(wrong, "relabel", "keep"))


def simulated(report, is_wrong, n, share, n_audits):
    """Return which intervals hold the truth, and how wide they are."""
    truth, found = is_wrong.mean(), []
    for seed in range(n_audits):
        sample = report.sample_for_review(n, share_random=share, random_state=seed)
        decisions = decided(sample, is_wrong)
        interval, _ = noise_rate_interval(report, decisions, 0.95)
        holds = interval.low <= truth <= interval.high
        found.append((holds, interval.high - interval.low))
    return np.array(found).mean(axis=0)


def wilson_width(rate, n):
    z = norm.ppf(0.975)
    return 2 * z / (n + z**2) * np.sqrt(n * rate * (1 - rate) + z**2 / 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--rows", type=int, default=200, help="rows to look at")
    parser.add_argument("--share-random", type=float, default=0.5)
    parser.add_argument("--audits", type=int, default=1000)
    parser.add_argument("--teach", action="store_true", help="the other question")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--rank-from", type=int, help="decisions from which on to rank anew"
    )
    parser.add_argument("--fits", type=Path, help="folder to keep fits in")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.teach:
        if args.rank_from:
            _taught_scores.MIN_TO_RANK = args.rank_from
        compare(args.data, args.seeds, args.fits)
        return
    heads = "".join(f"{name.removesuffix('Detector'):20s}" for name in DETECTORS)
    print(f"{'labels':19s}truth {heads}Wilson")
    lines = []
    for name, load in DATA.items():
        try:
            X, y, y_noisy, *_ = load(args.data, 2000, 0)
        except FileNotFoundError as error:
            print(f"skipped {name}: {error}")
            continue
        is_wrong = np.asarray(y != y_noisy)
        line = []
        for detector in DETECTORS:
            judge = getattr(sknoisy, detector)(random_state=0).fit(X, y_noisy)
            report = sknoisy.label_report(judge, X, y_noisy)
            line.append(
                simulated(report, is_wrong, args.rows, args.share_random, args.audits)
            )
        cells = "".join(f"{f'{c:.1%}, {w:.3f}':20s}" for c, w in line)
        width = wilson_width(is_wrong.mean(), args.rows)
        print(f"{name:19s}{is_wrong.mean():5.1%} {cells}{width:.3f}", flush=True)
        lines.append(line)
    means = pd.DataFrame(np.mean(lines, axis=0), index=DETECTORS)
    print(means.set_axis(["holds", "width"], axis=1).to_string())


if __name__ == "__main__":
    main()
