"""What ranks settings of a network truly without clean labels, and what a race gains.

First table: five settings learn from 40 % of the rows, and are ranked by what can be
known without a true label: accuracy, likelihood, mutual information and AUROC of the
given labels of the other rows, AUROC of labels planted among those that were learnt,
agreement of networks that learnt from two parts. The truth is the accuracy on clean
rows of networks that learnt from all rows. Spearman's correlation with it; how much
the setting with the best value is behind the best; how much it gains on the first,
the default. Means over the sets, and the worst.

Second table: clean accuracy with ``settings=None`` (in brackets: what "auto" adds), the
mean of the gains, the worst, and the CPU time as a multiple.

``--methods others`` races the other methods, ``--methods NAL,SSR`` some. Ctrl-C ends it
with the tables of the sets that are complete.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/settings_auto.py
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from _classification_data import SETS, load
from _features import BESIDE
from scipy.stats import spearmanr
from sklearn.metrics import mutual_info_score, roc_auc_score

import sknoisy
from sknoisy._planting._corruption import corrupted_labels
from sknoisy._planting._settings_race import deal_parts, places

NAMES = [
    *("cifar, worse", "letter, symmetric 0.3", "strong, symmetric 0.5"),
    *("adult, symmetric 0.3", "music, one worker", "sms", "jira, derby"),
    *("drybean, pair flip 0.3", "cifar, pair flip 0.4", "strong, worse"),
    *("cifar, aggre", "youtube"),
]
# From weak to strong regularisation, after the default.
SETTINGS = [
    {},
    {"module__dropout": 0.0, "optimizer__weight_decay": 5e-4, "lr": 0.1},
    {"module__dropout": 0.5, "optimizer__weight_decay": 5e-3},
    {"module__dropout": 0.5, "optimizer__weight_decay": 1e-2, "lr": 0.02},
    {
        "module__dropout": 0.5,
        "optimizer__weight_decay": 6e-2,
        "lr": 0.02,
        "max_epochs": 10,
    },
]
CRITERIA = ["accuracy", "likelihood", "information", "AUROC", "planted", "agreement"]
RANKED = ["Net", "ELR"]
RACED = ["Net", "ELR", "RobustLoss", "DynamicBootstrap"]
# Most take several times as long.
OTHERS = ["NAL", "CoTeaching", "SSR", "Flywheel", "CDR", "TransitionCorrection"]
OTHERS += ["JoCoR", "ELRPlus", "DivideMix"]
SHARE = 0.4


def criteria(make, X, noisy, seed):
    """Return the values of a setting by each criterion."""
    rng = np.random.default_rng(seed)
    codes = np.unique(noisy, return_inverse=True)[1]
    n_classes = codes.max() + 1
    learnt, rest = deal_parts(codes, SHARE, rng)
    second = rest[: len(learnt)]
    net = make().fit(X[learnt], codes[learnt])
    proba, given = net.predict_proba(X[rest]), codes[rest]
    predicted = proba.argmax(1)
    likely = np.log(proba[np.arange(len(rest)), given].clip(1e-7))
    twin = make().fit(X[second], codes[second])
    outside = rest[len(learnt) :]
    planted = corrupted_labels(codes[learnt], n_classes, 0.1, 1, rng)[0]
    found = make().fit(X[learnt], planted).predict_proba(X[learnt])
    suspicion = 1 - found[np.arange(len(learnt)), planted]
    return {
        "accuracy": (predicted == given).mean(),
        "likelihood": likely.mean(),
        "information": mutual_info_score(predicted, given),
        "AUROC": places(proba, given).mean(),
        "planted": roc_auc_score(planted != codes[learnt], suspicion),
        "agreement": (net.predict(X[outside]) == twin.predict(X[outside])).mean(),
    }


def rank(kind, data, seed):
    """Return correlation, regret and gain of each criterion on a data set."""
    X, _, noisy, X_test, y_test = data
    truth, values = [], []
    for setting in SETTINGS:

        def make(setting=setting):
            return getattr(sknoisy, kind + "Classifier")(**setting, random_state=seed)

        truth.append(make().fit(X, noisy).score(X_test, y_test))
        values.append(criteria(make, X, noisy, seed))
    truth = np.array(truth)
    found = []
    for name in CRITERIA:
        value = np.array([row[name] for row in values])
        varies = np.ptp(value) > 0 and np.ptp(truth) > 0
        rho = spearmanr(value, truth)[0] if varies else np.nan
        chosen = truth[value.argmax()]
        found.append((rho, truth.max() - chosen, chosen - truth[0]))
    return found


def race(kind, data, seed):
    """Return accuracy and CPU time without and with a race."""
    X, _, noisy, X_test, y_test = data
    found = []
    for settings in (None, "auto"):
        start = time.process_time()
        net = getattr(sknoisy, kind + "Classifier")(
            settings=settings, random_state=seed
        )
        net.fit(X, noisy)
        seconds = time.process_time() - start
        found.append((net.score(X_test, y_test), seconds))
    return found


def show_ranks(kind, found):
    print(f"\n{kind}, {len(found)} sets")
    print(f"{'':12s} Spearman   behind  worst    gain  worst")
    for name, values in zip(CRITERIA, np.moveaxis(found, 1, 0), strict=True):
        rho, behind, gain = values.T
        print(
            f"{name:12s} {np.nanmean(rho):8.2f} {behind.mean():8.3f} "
            f"{behind.max():6.3f} {gain.mean():+7.3f} {gain.min():+6.3f}"
        )


def show_races(kinds, names, found):
    """Print the table of gains; ``found`` has axes set, kind, with race, value."""
    found = np.array(found)
    accuracy, seconds = found[..., 0], found[..., 1]
    gains = accuracy[..., 1] - accuracy[..., 0]
    short = [kind[:14] for kind in kinds]
    print(f"\n{'':24s}" + " ".join(f"{name:>14s}" for name in short))
    for name, before, gain in zip(names, accuracy[..., 0], gains, strict=True):
        cells = [f"{a:.3f} ({g:+.3f})" for a, g in zip(before, gain, strict=True)]
        print(f"{name:24s}" + " ".join(f"{cell:>14s}" for cell in cells))
    total = seconds.sum(0)
    rows = {
        "mean gain": gains.mean(0),
        "worst": gains.min(0),
        "best": gains.max(0),
    }
    for name, row in rows.items():
        print(f"{name:24s}" + " ".join(f"{value:+14.3f}" for value in row))
    ratio = total[:, 1] / total[:, 0]
    print(f"{'CPU time, times':24s}" + " ".join(f"{value:14.2f}" for value in ratio))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="data sets whose name holds this")
    parser.add_argument("--methods", default="", help="first table out, these raced")
    args = parser.parse_args()
    args.clean = False
    torch.set_num_threads(1)
    names = [name for name in NAMES if args.only in name]
    kinds = args.methods.split(",") if args.methods else RACED
    kinds = OTHERS if args.methods == "others" else kinds
    ranked = [] if args.methods else RANKED
    ranks, races = {kind: [] for kind in ranked}, []
    print(f"at most {args.rows} rows, seed {args.seed}", flush=True)
    try:
        for name in names:
            data = load(*SETS[name], args, args.seed)
            for kind in ranked:
                ranks[kind].append(rank(kind, data, args.seed))
            races.append([race(kind, data, args.seed) for kind in kinds])
            gains = [f"{after[0] - before[0]:+.3f}" for before, after in races[-1]]
            print(f"{name:24s}", *gains, flush=True)
    except KeyboardInterrupt:
        print("interrupted: tables of what is complete")
    for kind in ranked:
        show_ranks(kind, ranks[kind][: len(races)])
    show_races(kinds, names[: len(races)], races)


if __name__ == "__main__":
    main()
