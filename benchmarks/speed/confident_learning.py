"""Time `find_label_issues` against cleanlab's, and compare their answers.

Probabilities are float32; 20 % of the labels are wrong. Both run in one process, in
turns; ratios are medians of the paired ratios of processor time. Memory is the peak
that is allocated beyond labels and probabilities, from tracemalloc, in a run of its
own. "same" is the share of rows on which both masks agree, and the number of rows on
which they do not.

Default: 200,000 rows, about half a minute; ``--full``: 1,000,000, which needs 2 GB of
memory and takes about four minutes. It needs ``pip install cleanlab``.

    OMP_NUM_THREADS=1 python benchmarks/speed/confident_learning.py [--full]
"""

import argparse
import time
import tracemalloc

import numpy as np
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues as cleanlab_issues
from cleanlab.rank import get_label_quality_scores

from sknoisy import find_label_issues
from sknoisy.detection._confident._pruning import LabelIssues
from sknoisy.detection._confident._quality import label_quality

FILTERS = (
    "prune_by_noise_rate",
    "prune_by_class",
    "both",
    "confident_learning",
    "predicted_neq_given",
    "low_normalized_margin",
    "low_self_confidence",
)


def noisy_predictions(n_rows, n_classes, seed=0):
    """Return labels of which a fifth are wrong, and float32 probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(n_classes, size=n_rows)
    proba = rng.standard_exponential((n_rows, n_classes), dtype=np.float32)
    # Some rows are easy, some are not.
    proba[np.arange(n_rows), truth] += 0.6 * n_classes * rng.random(n_rows)
    proba /= proba.sum(1, keepdims=True)
    other = (truth + rng.integers(1, n_classes, n_rows)) % n_classes
    return np.where(rng.random(n_rows) < 0.2, other, truth), proba


def processor_time(function):
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def extra_megabytes(function):
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def compare(name, ours, theirs, n_rounds):
    """Print times, memory and agreement of two functions of no arguments."""
    ours_s, theirs_s = [], []
    for _ in range(n_rounds):
        seconds, mine = processor_time(ours)
        ours_s.append(seconds)
        seconds, other = processor_time(theirs)
        theirs_s.append(seconds)
    ratio = np.median(np.array(theirs_s) / ours_s)
    ours_mb, theirs_mb = extra_megabytes(ours), extra_megabytes(theirs)
    n_differ = np.count_nonzero(mine != other)
    print(
        f"  {name:27s} {np.median(ours_s):6.3f} s {np.median(theirs_s):6.3f} s "
        f"{ratio:5.1f}x {ours_mb:6.1f} MB {theirs_mb:6.1f} MB "
        f"{ours_mb / theirs_mb:6.1%}  {1 - n_differ / np.size(mine):8.4%} {n_differ}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="1,000,000 rows")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    n_rows = 1_000_000 if args.full else 200_000
    for n_classes in (10, 100):
        labels, proba = noisy_predictions(n_rows, n_classes)
        print(f"{n_rows:,} x {n_classes}, float32: ours, cleanlab's, ratio; memory")
        compare(
            "confident joint",
            lambda labels=labels, proba=proba: LabelIssues(labels, proba).joint,
            lambda labels=labels, proba=proba: compute_confident_joint(
                labels, proba, calibrate=True
            ),
            args.rounds,
        )
        for rule in FILTERS:
            compare(
                rule,
                lambda labels=labels, proba=proba, rule=rule: find_label_issues(
                    labels, proba, filter_by=rule
                ),
                lambda labels=labels, proba=proba, rule=rule: cleanlab_issues(
                    labels, proba, filter_by=rule, n_jobs=1
                ),
                args.rounds if rule == FILTERS[0] else 1,
            )
        for method in (
            "self_confidence",
            "normalized_margin",
            "confidence_weighted_entropy",
        ):
            compare(
                method,
                lambda labels=labels, proba=proba, m=method: label_quality(
                    labels, proba, m
                ),
                lambda labels=labels, proba=proba, m=method: get_label_quality_scores(
                    labels, proba, method=m
                ),
                1,
            )


if __name__ == "__main__":
    main()
