"""What cleaning the labels is worth to classifiers, beside cleanlab and mislabeled.

A row is a data set with real noise and a classifier: logistic regression, a random
forest, gradient boosting. Each cell is the accuracy on test rows with true labels. The
columns: trained on the noisy labels; `CleanedClassifier` with each of its actions;
cleanlab's `CleanLearning` of the same classifier; mislabeled's `FilterClassifier`;
trained on the true labels. Nothing but the last column sees a true training label.

"The cleaned model" is one detector and one action for all rows, as ``--detector`` and
``--action`` say. The last lines count the rows on which each action beats
`CleanLearning`; equal is not better. A detector judges a data set once, for all its
classifiers and actions, by ``memory=``.

Texts become 100 components of their TF-IDF; images of CIFAR-10, labelled by people, are
the first 100 of 512 frozen features, because boosting is slow on all. Crowd workers
labelled the music, one of them or the majority; rules labelled the texts.

Data are read from the folder ``shared/data`` beside the repository (or ``--data``);
what is not there is skipped and said. The cleanlab column needs ``pip install
cleanlab``. The mislabeled column needs ``pip install
git+https://github.com/orange-opensource/mislabeled``: margins of a logistic regression
along its training, split by a mixture of two Gaussians.

Default: 2,000 rows of CIFAR-10, 2,000 test rows and one seed, ten minutes of one core;
``--full``: 10,000 of both and three seeds, some hours. The seed also draws the rows of
CIFAR-10; the other sets are always taken whole.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/cleaning.py
"""

import argparse
import time
import warnings
from collections import Counter
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from _features import BESIDE, load
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sknoisy
from sknoisy import CleanedClassifier

N_COLUMNS = 100


def cifar(noise, folder, n_rows, seed):
    X, y, y_noisy, X_test, y_test = load(folder, noise, n_rows, n_rows, seed)
    return X[:, :N_COLUMNS], y, y_noisy, X_test[:, :N_COLUMNS], y_test


def music(noise, folder, n_rows, seed):
    data = np.load(folder / "crowd_music.npz")
    scaler = StandardScaler().fit(data["X_train"])
    X, X_test = scaler.transform(data["X_train"]), scaler.transform(data["X_test"])
    return X, data["y_train"], data[noise], X_test, data["y_test"]


def texts(name, folder, n_rows, seed):
    import pandas as pd

    # Where no rule fired or the truth is unknown, the label is -1.
    table = pd.read_parquet(folder / f"{name}.parquet").query("y != -1")
    train = table.query("split == 'train' and y_noisy != -1")
    test = table.query("split == 'test'")
    features = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, min_df=2),
        TruncatedSVD(N_COLUMNS, random_state=seed),
        StandardScaler(),
    )
    X, X_test = features.fit_transform(train["text"]), features.transform(test["text"])
    labels = train["y"].to_numpy(), train["y_noisy"].to_numpy()
    return X, *labels, X_test, test["y"].to_numpy()


DATA = {
    "cifar aggre": partial(cifar, "y_aggre"),
    "cifar worse": partial(cifar, "y_worse"),
    "cifar random1": partial(cifar, "y_random1"),
    "music, majority": partial(music, "y_majority"),
    "music, one worker": partial(music, "y_one"),
    "hausa topics": partial(texts, "hausa_topic"),
    "youtube spam": partial(texts, "wrench_youtube"),
    "sms spam": partial(texts, "wrench_sms"),
}
CLASSIFIERS = {
    "logistic": LogisticRegression(max_iter=1000),
    "forest": RandomForestClassifier(),
    "boosting": HistGradientBoostingClassifier(),
}
ACTIONS = ("drop", "relabel", "reweight")


def cleanlab(classifier, seed):
    from cleanlab.classification import CleanLearning

    return CleanLearning(classifier, seed=seed, find_label_issues_kwargs={"n_jobs": 1})


def mislabeled(classifier, seed, memory):
    from mislabeled.detect.detectors import AreaUnderMargin
    from mislabeled.handle import FilterClassifier
    from mislabeled.split import GMMSplitter

    splitter = GMMSplitter(GaussianMixture(2, random_state=seed))
    margins = AreaUnderMargin(LogisticRegression())
    return FilterClassifier(margins, splitter, classifier, memory=memory)


def models(classifier, args, seed, memory):
    """Return what is trained on the noisy labels, by the name of its column."""
    detector = args.detector(random_state=seed)
    columns = {"noisy": classifier}
    for action in ACTIONS:
        columns[action] = CleanedClassifier(
            detector, classifier, action=action, memory=memory
        )
    if find_spec("cleanlab"):
        columns["CleanLearning"] = cleanlab(clone(classifier), seed)
    if find_spec("mislabeled"):
        columns["mislabeled"] = mislabeled(classifier, seed, memory)
    return columns


def accuracies(data, classifier, args, seed, memory, seconds):
    """Return the accuracy of each column, and add what it took to ``seconds``."""
    X, y, y_noisy, X_test, y_test = data
    classifier = clone(classifier).set_params(random_state=seed)
    row = {}
    for name, model in models(classifier, args, seed, memory).items():
        start = time.process_time()
        try:
            with warnings.catch_warnings():
                # mislabeled stops the regression after each step: a warning each time.
                warnings.simplefilter("ignore")
                predicted = model.fit(X, y_noisy).predict(X_test)
        except ValueError as error:
            # A class may be lost with the rows that are dropped.
            print(f"  {name} stopped: {error}")
            row[name] = 0.0
            continue
        row[name] = float((predicted == y_test).mean())
        seconds[name] += time.process_time() - start
    row["clean"] = classifier.fit(X, y).score(X_test, y_test)
    return row


def rows(args, n_rows, n_seeds, seconds):
    """Yield name, noise rate, classifier and mean accuracies of each row."""
    for name, load_set in DATA.items():
        if args.only not in name:
            continue
        try:
            sets = [load_set(args.data, n_rows, seed) for seed in range(n_seeds)]
        except FileNotFoundError as error:
            # pandas gives no file name, but a message with it.
            print(f"{name:18s} skipped: {error.filename or error} is not there")
            continue
        rate = np.mean([(y != y_noisy).mean() for _, y, y_noisy, *_ in sets])
        with TemporaryDirectory() as memory:
            for title, classifier in CLASSIFIERS.items():
                each = [
                    accuracies(data, classifier, args, seed, memory, seconds)
                    for seed, data in enumerate(sets)
                ]
                means = {key: np.mean([row[key] for row in each]) for key in each[0]}
                yield name, rate, title, means


def count(table, args):
    """Print on how many rows each column beats CleanLearning, and by how much."""
    if "CleanLearning" not in table[0]:
        return
    print(f"\nBetter than CleanLearning, of {len(table)} rows (mean difference):")
    for column in table[0]:
        if column in ("CleanLearning", "clean"):
            continue
        gains = np.array([row[column] - row["CleanLearning"] for row in table])
        note = "  <- the cleaned model" if column == args.action else ""
        print(f"{column:12s} {(gains > 0).sum():3d}  ({gains.mean():+.3f}){note}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="10,000 rows, three seeds")
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--only", default="", help="data sets whose name holds this")
    parser.add_argument("--detector", default="DynaCorDetector", help="its class name")
    parser.add_argument("--action", default="reweight", choices=ACTIONS)
    args = parser.parse_args()
    if args.detector not in sknoisy.__all__ or "Detector" not in args.detector:
        parser.error(f"sknoisy has no detector {args.detector!r}")
    args.detector = getattr(sknoisy, args.detector)
    return args


def main():
    args = parse()
    torch.set_num_threads(1)
    n_rows, n_seeds = (10_000, 3) if args.full else (2_000, 1)
    for package in ("cleanlab", "mislabeled"):
        if not find_spec(package):
            print(f"{package} is not installed: its column is left out")
    print(
        f"{n_rows} rows of CIFAR-10, {n_seeds} seed(s); the cleaned model is "
        f"{args.detector.__name__}, {args.action}"
    )
    table, seconds = [], Counter()
    for name, rate, title, means in rows(args, n_rows, n_seeds, seconds):
        if not table:
            head = " ".join(f"{key:>13s}" for key in means)
            print(f"{'':18s} {'rate':>5s} {'':9s}{head}")
        table.append(means)
        cells = " ".join(f"{value:13.3f}" for value in means.values())
        print(f"{name:18s} {rate:5.3f} {title:9s}{cells}", flush=True)
    if not table:
        return
    print("\nCPU seconds:", ", ".join(f"{k} {v:.0f}" for k, v in seconds.items()))
    print("(the detector's are in the first of its columns)")
    count(table, args)


if __name__ == "__main__":
    main()
