"""Robust classifiers at their defaults beside tuned baselines, on sixteen small sets.

Columns are the mean test accuracy over the sets; its difference to the better of both
baselines in each set, mean and worst; on how many sets the method is ahead of both; the
mean AUROC of ``noise_scores_``; ``noise_rate_`` minus the true rate on the rows with
symmetric noise; and CPU seconds. The baselines are chosen on a quarter of the given
labels: a logistic regression by its penalty, a network under cross-entropy by its
regularisation. ``--clean`` has clean labels instead, where noise is planted.

Needs the files of ``shared/data`` beside the repository, or of ``--data``. Default:
2,000 rows, 1,000 of the digits; one seed. ``--only`` and ``--method`` hold parts of
names of sets and methods.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/defaults.py
"""

import time
from functools import partial

import numpy as np
import pandas as pd
import torch
from _baselines import cross_entropy, regression
from _features import pair_flip, parse, symmetric
from sklearn.datasets import load_digits
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import LabelEncoder, StandardScaler

import sknoisy
from sknoisy import NetClassifier

SYMMETRIC = {rate: symmetric(rate, "exclude") for rate in (0.3, 0.4, 0.5)}
SETS = {
    "digits, symmetric 0.4": ("digits", SYMMETRIC[0.4]),
    "digits, pair flip 0.4": ("digits", pair_flip(0.4)),
    "strong, worse": ("cifar10n_efficientnet", "y_worse"),
    "strong, aggre": ("cifar10n_efficientnet", "y_aggre"),
    "strong, symmetric 0.5": ("cifar10n_efficientnet", SYMMETRIC[0.5]),
    "strong, pair flip 0.4": ("cifar10n_efficientnet", pair_flip(0.4)),
    "cifar, worse": ("cifar10_features", "y_worse"),
    "cifar, aggre": ("cifar10_features", "y_aggre"),
    "cifar, symmetric 0.5": ("cifar10_features", SYMMETRIC[0.5]),
    "cifar, pair flip 0.4": ("cifar10_features", pair_flip(0.4)),
    "letter, symmetric 0.3": ("uci_letter", SYMMETRIC[0.3]),
    "letter, pair flip 0.3": ("uci_letter", pair_flip(0.3)),
    "drybean, symmetric 0.3": ("uci_drybean", SYMMETRIC[0.3]),
    "adult, symmetric 0.3": ("uci_adult", SYMMETRIC[0.3]),
    "youtube": ("wrench_youtube", "y_noisy"),
    "sms": ("wrench_sms", "y_noisy"),
}
BASELINES = {"regression, chosen": regression, "net, chosen": cross_entropy}
NAMES = (
    *("SSRClassifier", "DivideMixClassifier", "CoTeachingClassifier"),
    *("NALClassifier", "FlywheelClassifier", "DynamicBootstrapClassifier"),
    *("ELRPlusClassifier", "JoCoRClassifier", "ELRClassifier"),
)
METHODS = {"net, default": NetClassifier}
METHODS |= {name: getattr(sknoisy, name) for name in NAMES}
METHODS |= {
    "DivideMix, published lr": partial(sknoisy.DivideMixClassifier, lr=0.02),
    "NAL, published lam": partial(sknoisy.NALClassifier, lam=0.5),
}
N_TEST = 4_000


def features(path, noise, n_rows, seed):
    data = np.load(path.with_suffix(".npz"))
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(data["y_train"]), n_rows, replace=False)
    X, y = data["X_train"][rows].astype(np.float32), data["y_train"][rows].astype(int)
    X_test = data["X_test"][:N_TEST].astype(np.float32)
    scale = np.sqrt(X.std(0))
    scale = scale * (X / scale).std()
    noisy = data[noise][rows].astype(int) if isinstance(noise, str) else None
    return X / scale, y, noisy, X_test / scale, data["y_test"][:N_TEST].astype(int)


def texts(path, noise, n_rows, seed):
    table = pd.read_parquet(path.with_suffix(".parquet"))
    table = table[table["y"] != -1]
    train = table[(table["split"] == "train") & (table[noise] != -1)]
    test = table[table["split"] != "train"]
    train = train.sample(min(n_rows, len(train)), random_state=seed)
    words = TfidfVectorizer(sublinear_tf=True, min_df=2).fit(train["text"])
    topics = TruncatedSVD(100, random_state=seed)
    X = topics.fit_transform(words.transform(train["text"])).astype(np.float32)
    X_test = topics.transform(words.transform(test["text"])).astype(np.float32)
    noisy, scale = train[noise].to_numpy(int), X.std()
    y, y_test = train["y"].to_numpy(int), test["y"].to_numpy(int)
    return X / scale, y, noisy, X_test / scale, y_test


def tables(path, noise, n_rows, seed):
    table = pd.read_parquet(path.with_suffix(".parquet"))
    y = LabelEncoder().fit_transform(table.pop("y"))
    X = pd.get_dummies(table, dtype=float).to_numpy()
    order = np.random.default_rng(seed).permutation(len(y))
    rows, test = order[:n_rows], order[n_rows : n_rows + N_TEST]
    scaler = StandardScaler().fit(X[rows])
    X, X_test = (scaler.transform(X[part]) for part in (rows, test))
    # Rare categories.
    X, X_test = (part.clip(-10, 10).astype(np.float32) for part in (X, X_test))
    return X, y[rows], None, X_test, y[test]


def digits(path, noise, n_rows, seed):
    X, y = load_digits(return_X_y=True)
    X = (X / X.std()).astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(y))
    rows, test = order[:1_000], order[1_000:]
    return X[rows], y[rows], None, X[test], y[test]


LOADERS = {"digits": digits, "cifar": features, "uci": tables, "wrench": texts}


def load(name, noise, args, seed):
    """Return X, y, noisy y, and the X and y of the test."""
    make = next(make for key, make in LOADERS.items() if name.startswith(key))
    X, y, noisy, *test = make(args.data / name, noise, args.rows, seed)
    if args.clean:
        noisy = y
    elif noisy is None:
        noisy = noise(seed).fit_resample(X, y)[1]
    return X, y, noisy, *test


def cells(fit, data):
    X, y, noisy, X_test, y_test = data
    start = time.process_time()
    clf = fit(X, noisy)
    seconds = time.process_time() - start
    auroc = rate = np.nan
    is_wrong = y != noisy
    if hasattr(clf, "noise_scores_"):
        rate = clf.noise_rate_ - is_wrong.mean()
        if is_wrong.any():
            auroc = roc_auc_score(is_wrong, clf.noise_scores_)
    return clf.score(X_test, y_test), auroc, rate, seconds


def main():
    args = parse(
        __doc__.split("\n")[0],
        rows=2_000,
        test=N_TEST,
        epochs=20,
        seeds=1,
        jobs=1,
        clean=False,
    )
    torch.set_num_threads(1)
    methods = {k: m for k, m in METHODS.items() if args.method in k}
    found = {}
    for row, (name, noise) in SETS.items():
        if args.only not in row:
            continue
        for seed in range(args.seeds):
            data = load(name, noise, args, seed)
            fits = {k: partial(fit, seed=seed) for k, fit in BASELINES.items()}
            fits |= {k: make(random_state=seed).fit for k, make in methods.items()}
            for method, fit in fits.items():
                found.setdefault(method, {})[row, seed] = cells(fit, data)
        line = [
            np.mean([v[0] for k, v in f.items() if k[0] == row]) for f in found.values()
        ]
        print(f"{row:24s}" + "".join(f"{value:6.3f}" for value in line), flush=True)
    summarise(found)


def summarise(found):
    accuracy = {
        method: np.array([*cells.values()])[:, 0] for method, cells in found.items()
    }
    best = np.maximum(*(accuracy[name] for name in BASELINES))
    print(f"\n{'':28s}  mean  behind  worst  ahead  AUROC  rate-  CPU s")
    for method, rows in found.items():
        behind = accuracy[method] - best
        of_all = np.array([*rows.values()])
        rates = [v[2] for (row, _), v in rows.items() if "symmetric" in row]
        print(
            f"{method:28s} {accuracy[method].mean():.3f}  {behind.mean():+.3f}  "
            f"{behind.min():+.3f}  {(behind > 0).sum():5d}  "
            f"{np.nanmean(of_all[:, 1]) if rates[0] == rates[0] else np.nan:.3f}  "
            f"{np.mean(rates):+.3f}  {of_all[:, 3].mean():.1f}"
        )


if __name__ == "__main__":
    main()
