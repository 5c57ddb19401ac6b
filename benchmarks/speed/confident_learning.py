"""Time `find_label_issues` against cleanlab's, and compare their answers.

Probabilities are float32; 20 % of the labels are wrong. Both run in one process, in
turns; ratios are medians of the paired ratios of processor time. Memory is the peak
that is allocated beyond labels and probabilities, from tracemalloc, in a run of its
own. "same" is the share of rows on which both masks agree, and the number of rows on
which they do not.

Default: 200,000 rows, about half a minute; ``--full``: 1,000,000, which needs 2 GB of
memory and takes about four minutes. It needs ``pip install cleanlab``. ``--results
FILE`` keeps the ratios, cleanlab's over ours, and a run goes on with the file.

    OMP_NUM_THREADS=1 python benchmarks/speed/confident_learning.py [--full]
"""

import argparse
import sys
import time
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues as cleanlab_issues
from cleanlab.rank import get_label_quality_scores

from sknoisy import find_label_issues
from sknoisy.detection._confident._pruning import LabelIssues
from sknoisy.detection._confident._quality import label_quality

sys.path.append(str(Path(__file__).resolve().parents[1] / "accuracy"))

from _results import Results, command_of, origin

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


def compare(ours, theirs, n_rounds):
    """Return times, memory and agreement of two functions of no arguments."""
    ours_s, theirs_s = [], []
    for _ in range(n_rounds):
        seconds, mine = processor_time(ours)
        ours_s.append(seconds)
        seconds, other = processor_time(theirs)
        theirs_s.append(seconds)
    return {
        "ours_s": float(np.median(ours_s)),
        "theirs_s": float(np.median(theirs_s)),
        "time": float(np.median(np.array(theirs_s) / ours_s)),
        "ours_mb": extra_megabytes(ours),
        "theirs_mb": extra_megabytes(theirs),
        "n_differ": int(np.count_nonzero(mine != other)),
        "n": int(np.size(mine)),
    }


def show(name, found):
    """Print a line."""
    ours, theirs, n_differ = found["ours_mb"], found["theirs_mb"], found["n_differ"]
    print(
        f"  {name:27s} {found['ours_s']:6.3f} s {found['theirs_s']:6.3f} s "
        f"{found['time']:5.1f}x {ours:6.1f} MB {theirs:6.1f} MB {ours / theirs:6.1%}  "
        f"{1 - n_differ / found['n']:8.4%} {n_differ}",
        flush=True,
    )


def cases(labels, proba, n_rounds):
    """Yield name, our function, cleanlab's, and how often to time them."""
    yield (
        "confident joint",
        lambda: LabelIssues(labels, proba).joint,
        partial(compute_confident_joint, labels, proba, calibrate=True),
        n_rounds,
    )
    for rule in FILTERS:
        yield (
            rule,
            partial(find_label_issues, labels, proba, filter_by=rule),
            partial(cleanlab_issues, labels, proba, filter_by=rule, n_jobs=1),
            n_rounds if rule == FILTERS[0] else 1,
        )
    for method in (
        *("self_confidence", "normalized_margin"),
        "confidence_weighted_entropy",
    ):
        yield (
            method,
            partial(label_quality, labels, proba, method),
            partial(get_label_quality_scores, labels, proba, method=method),
            1,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="1,000,000 rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, help="JSON-lines file, gone on with")
    args = parser.parse_args()
    n_rows = 1_000_000 if args.full else 200_000
    results = Results(args.results)
    command = command_of("benchmarks/speed/confident_learning.py")
    for n_classes in (10, 100):
        labels, proba = noisy_predictions(n_rows, n_classes)
        print(f"{n_rows:,} x {n_classes}, float32: ours, cleanlab's, ratio; memory")
        for name, ours, theirs, n_rounds in cases(labels, proba, args.rounds):
            key = {"row": name, "column": f"{n_classes} classes", "rows": n_rows}
            record = results.find(key)
            if record is None:
                found = compare(ours, theirs, n_rounds)
                values = found | {"ratio": found["time"]}
                record = key | {"values": values} | origin(command, "cleanlab")
                results.add(record)
            show(name, record["values"])


if __name__ == "__main__":
    main()
