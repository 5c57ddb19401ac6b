"""Robust classifiers at their defaults beside tuned baselines, on 28 sets.

Rows are data sets with real and planted noise, cells are accuracies on clean test rows
after the last epoch. The second table has for each method the mean of these; its
difference to the better of "regression" and "net" in each set, mean and worst; on how
many sets it is ahead of both; the mean accuracy after the best epoch, which nobody
knows who has no clean labels; the AUROC of ``noise_scores_``; ``noise_rate_`` minus the
true rate on the sets with symmetric noise; and CPU seconds. Figures of "auto" follow:
on how many rows it is first or nearly so, its worst row, its mean next to the best
single column, each baseline ahead of it, and its CPU time next to that of "net".

The baselines are chosen on a quarter of the given labels, and their seconds include
that: a logistic regression and cleanlab's CleanLearning around it by the penalty, a
network under cross-entropy by its regularisation, nearest neighbours by their number;
on tables with at most 130 columns also boosting by its length and a forest by its
leaves. CleanLearning needs ``pip install cleanlab``. ``--clean`` has seven sets with
their clean labels instead; "rate-" is then ``noise_rate_`` itself.

Needs the files of ``shared/data`` beside the repository, or of ``--data``. Default:
2,000 rows, 1,000 of the digits; one seed: 4,000 would take more than half an hour.
``--full``: 4,000 rows and three seeds, which takes hours.
``--only`` and ``--method`` hold parts of names of sets and methods, ``--json`` writes
all cells to a file.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/classifiers.py
"""

import json
import time
from functools import partial
from importlib.util import find_spec

import _baselines
import numpy as np
import torch
from _classification_data import CLEAN, N_TEST, SETS, load
from _features import TestAccuracy, parse
from sklearn.metrics import roc_auc_score

import sknoisy
from sknoisy import NetClassifier

BASELINES = {
    "regression": _baselines.regression,
    "net": _baselines.cross_entropy,
    "neighbours": _baselines.neighbours,
    "boosting": _baselines.boosting,
    "forest": _baselines.forest,
    "CleanLearning": _baselines.clean_learning,
}
# The two that every robust classifier is compared to, and those for tables alone.
BEST_OF, OF_TABLES, MOST_COLUMNS = ("regression", "net"), ("boosting", "forest"), 130
NAMES = (
    *("SSRClassifier", "DivideMixClassifier", "CoTeachingClassifier"),
    *("NALClassifier", "FlywheelClassifier", "DynamicBootstrapClassifier"),
    *("ELRPlusClassifier", "JoCoRClassifier", "ELRClassifier", "CDRClassifier"),
    *("CORESClassifier", "SELCClassifier", "PENCILClassifier", "SOPClassifier"),
    *("DISCClassifier", "CoTeachingPlusClassifier", "VolMinNetClassifier"),
    *("UNICONClassifier", "PESClassifier"),
)
METHODS = {"net, default": NetClassifier}
METHODS |= {name.removesuffix("Classifier"): getattr(sknoisy, name) for name in NAMES}
PUBLISHED = {
    "DivideMix, published lr": partial(sknoisy.DivideMixClassifier, lr=0.02),
    "NAL, published lam": partial(sknoisy.NALClassifier, lam=0.5),
}
AUTO = "auto"
CELLS = ("last", "best", "auroc", "rate", "seconds")


def fit_net(make, X, y, seed, test):
    scorer = TestAccuracy(*test)
    clf = make(random_state=seed, callbacks=[("test", scorer)]).fit(X, y)
    return clf, dict(clf.callbacks_)["test"].accuracies_


def fit_baseline(fit, X, y, seed, test):
    return fit(X, y, seed), []


def fit_auto(X, y, seed, test):
    return sknoisy.AutoRobustClassifier(random_state=seed).fit(X, y), []


def chosen_methods(args):
    fits = {name: partial(fit_baseline, fit) for name, fit in BASELINES.items()}
    if not find_spec("cleanlab"):
        print("NOT INSTALLED: cleanlab; left out: CleanLearning")
        del fits["CleanLearning"]
    nets = METHODS | (PUBLISHED if args.full else {})
    fits |= {name: partial(fit_net, make) for name, make in nets.items()}
    fits[AUTO] = fit_auto
    return {
        name: fit
        for name, fit in fits.items()
        if any(part in name for part in args.method.split(","))
    }


def judge(fit, data, seed):
    """Return the cells of a method on a set."""
    X, y, noisy, *test = data
    start = time.process_time()
    clf, accuracies = fit(X, noisy, seed, test)
    seconds = time.process_time() - start
    last = float((clf.predict(test[0]) == test[1]).mean())
    auroc = rate = np.nan
    is_wrong = y != noisy
    if hasattr(clf, "noise_scores_"):
        rate = clf.noise_rate_ - is_wrong.mean()
        if is_wrong.any():
            auroc = roc_auc_score(is_wrong, clf.noise_scores_)
    return last, max(accuracies, default=last), auroc, rate, seconds


def main():
    args = parse(
        __doc__.split("\n")[0],
        rows=2_000,
        test=N_TEST,
        epochs=20,
        seeds=1,
        jobs=1,
        clean=False,
        json="",
    )
    if args.full and args.rows == 2_000:
        args.rows = 4_000
    torch.set_num_threads(1)
    fits = chosen_methods(args)
    found = {method: {} for method in fits}
    print(" " * 24 + "".join(f"{name[:10]:>11s}" for name in fits))
    for row, (name, noise) in (CLEAN if args.clean else SETS).items():
        if not any(part in row for part in args.only.split(";")):
            continue
        try:
            sets = [load(name, noise, args, seed) for seed in range(args.seeds)]
        except FileNotFoundError as error:
            print(f"{row:24s} skipped: {error.filename or error} is not there")
            continue
        for method, fit in fits.items():
            if method in OF_TABLES and sets[0][0].shape[1] > MOST_COLUMNS:
                continue
            for seed, data in enumerate(sets):
                found[method][row, seed] = judge(fit, data, seed)
        print(f"{row:24s}" + "".join(cell(f, row) for f in found.values()), flush=True)
        write(found, args.json)
    summarise(found)


def cell(cells, row):
    values = [value[0] for (name, _), value in cells.items() if name == row]
    return f"{np.mean(values):11.3f}" if values else f"{'-':>11s}"


def write(found, path):
    if path:
        records = [
            {"row": row, "seed": seed, "method": method}
            | {k: None if v != v else float(v) for k, v in zip(CELLS, c, strict=True)}
            for method, cells in found.items()
            for (row, seed), c in cells.items()
        ]
        with open(path, "w") as file:
            json.dump(records, file, indent=1)


def summarise(found):
    print(f"\n{'':24s}  mean  behind  worst  ahead   best  AUROC  rate-  CPU s")
    for method, cells in found.items():
        rows = list(cells)
        if not rows:
            continue
        of_all = np.array([*cells.values()], dtype=float)
        best = [[found[b][row][0] for row in rows] for b in BEST_OF if found.get(b)]
        behind = of_all[:, 0] - np.max(best, axis=0) if best else np.full(1, np.nan)
        rates = [
            v[3] for (row, _), v in cells.items() if "symmetric" in row or row in CLEAN
        ]
        auroc = np.nanmean(of_all[:, 2]) if np.isfinite(of_all[:, 2]).any() else np.nan
        print(
            f"{method:24s} {of_all[:, 0].mean():.3f}  {behind.mean():+.3f}  "
            f"{behind.min():+.3f}  {(behind > 0).sum():5d}  {of_all[:, 1].mean():.3f}  "
            f"{auroc:.3f}  {np.mean(rates) if rates else np.nan:+.3f}  "
            f"{of_all[:, 4].mean():5.1f}"
        )
    if len(found.get(AUTO, {})) and len(found) > 1:
        judge_auto(found)


def judge_auto(found):
    """Print how "auto" stands to the other columns, on means over the seeds."""
    rows = list(dict.fromkeys(row for row, _ in found[AUTO]))
    others = [name for name in found if name != AUTO and found[name]]
    table = {
        name: np.array([mean_of(found[name], r, 0) for r in rows]) for name in found
    }
    auto = table[AUTO]
    best = np.nanmax([table[name] for name in others], axis=0)
    complete = {n: table[n].mean() for n in others if np.isfinite(table[n]).all()}
    single = max(complete, key=complete.get)
    print(
        f'\n"auto" is first or within 0.005 on {np.mean(best - auto <= 0.005):.0%} of '
        f"{len(rows)} rows; worst: {(auto - best).min():+.3f} "
        f"({rows[(auto - best).argmin()]})\n"
        f"mean {auto.mean():.3f}, of the best single column {complete[single]:.3f} "
        f"({single})"
    )
    for name in others:
        ahead = table[name] - auto > 0.003
        if name in BASELINES and ahead.any():
            names = [row for row, is_ahead in zip(rows, ahead, strict=True) if is_ahead]
            print(f"{name} is ahead by more than 0.003 on: {'; '.join(names)}")
    if found.get("net"):
        times = [
            np.mean([mean_of(found[name], r, 4) for r in rows])
            for name in (AUTO, "net")
        ]
        print(f'CPU time {times[0] / times[1]:.1f} of the five fits of "net" and one')


def mean_of(cells, row, place):
    values = [cell[place] for (name, _), cell in cells.items() if name == row]
    return np.mean(values) if values else np.nan


if __name__ == "__main__":
    main()
