"""Whether noise scores are probabilities, of everything that judges labels.

Scores are probabilities of a wrong label if, of the rows with a score of 0.7, seven in
ten have a wrong label. Labels are planted at random in three data sets without noise
(digits, letters, dry beans), at two rates. For each estimator, with its defaults: the
calibration error, which is the gap between the mean score and the share of wrong labels
in each tenth of [0, 1], averaged over the rows; the largest such gap among the tenths
that hold a hundredth of the rows or more; and the share of wrong labels among the rows
with a score from 0.7 to 0.9, with their number.

``scores_are_probabilities_`` is True where the calibration error is at most 0.05 on all
six, and False elsewhere.

Data are read from the folder ``shared/data`` beside the repository (or ``--data``);
what is not there is skipped and said. 1,500 rows each; half an hour of one core.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/reliability.py
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _classification_data import SETS, load
from _features import BESIDE
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import LabelEncoder, StandardScaler

import sknoisy

N_ROWS = 1500
RATES = (0.1, 0.3)
REAL = ("cifar, worse", "strong, worse", "music, one worker", "youtube", "sms", "hausa")

PAPER = {
    "settings": "paper",
    "corruption": "copy",
    "copy_view": None,
    "decision": "cluster",
}
BY_LOGISTIC = {"estimator": LogisticRegression(C=0.1, max_iter=1000)}
ESTIMATORS = [
    ("DynaCorDetector", {}),
    ("DynaCorDetector", PAPER),
    ("AutoNoiseDetector", {}),
    ("AutoRobustClassifier", {}),
    ("AUMDetector", {}),
    ("LossMixtureDetector", {}),
    ("LossMixtureDetector", BY_LOGISTIC),
    ("SmallLossDetector", {}),
    ("CORESDetector", {}),
    ("ConfidentLearningDetector", {}),
    ("NeighborVoteDetector", {}),
    ("FINEDetector", {}),
    ("DynamicBootstrapClassifier", {}),
    ("FlywheelClassifier", {}),
    ("DivideMixClassifier", {}),
    ("SSRClassifier", {}),
    ("CoTeachingClassifier", {}),
    ("CDRClassifier", {}),
    ("NALClassifier", {}),
    ("ELRClassifier", {}),
    ("ELRPlusClassifier", {}),
    ("RobustLossClassifier", {}),
    ("TransitionCorrectionClassifier", {}),
]


def digits(folder):
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def table(name, folder):
    import pandas as pd

    frame = pd.read_parquet(folder / f"uci_{name}.parquet")
    frame = frame.sample(N_ROWS, random_state=0)
    X = StandardScaler().fit_transform(frame.drop(columns="y"))
    return X, LabelEncoder().fit_transform(frame["y"])


def sources(folder):
    """Yield the name, the rows and the true labels of each data set."""
    X, y = digits(folder)
    rows = np.random.default_rng(0).permutation(len(y))[:N_ROWS]
    yield "digits", X[rows], y[rows]
    for name in ("letter", "drybean"):
        try:
            yield (name, *table(name, folder))
        except FileNotFoundError as error:
            print(f"skipped {name}: {error}")


def planted(folder):
    """Yield the name, the rate, the rows, the given labels and which are wrong."""
    for name, X, y in sources(folder):
        for rate in RATES:
            injector = sknoisy.SymmetricNoiseInjector(rate, random_state=0)
            _, y_noisy = injector.fit_resample(X, y)
            yield name, rate, X, y_noisy, injector.noise_mask_


def real(folder):
    """Yield the same of data with labels of people or rules."""
    args = argparse.Namespace(data=folder, rows=N_ROWS, clean=False)
    for name in REAL:
        try:
            X, y, y_noisy, *_ = load(*SETS[name], args, 0)
        except FileNotFoundError as error:
            print(f"skipped {name}: {error}")
            continue
        yield name, (y != y_noisy).mean(), X, y_noisy, y != y_noisy


def reliability(scores, is_wrong):
    """Return the calibration error, the largest gap, and the rows from 0.7 to 0.9."""
    tenth = np.minimum((scores * 10).astype(int), 9)
    counts = np.bincount(tenth, minlength=10)
    sums = np.bincount(tenth, scores - is_wrong, minlength=10)
    error = np.abs(sums).sum() / len(scores)
    held = counts >= len(scores) / 100
    largest = np.abs(sums[held] / counts[held]).max()
    high = (scores >= 0.7) & (scores < 0.9)
    share = is_wrong[high].mean() if high.any() else np.nan
    return error, largest, share, int(high.sum())


def label_of(name, params):
    words = {"settings": ", paper", "estimator": ", logistic"}
    return name + "".join(words.get(key, "") for key in params)


def judgements(detector, y_noisy):
    """Yield names and scores: those of a detector, and one minus its p of the label."""
    yield "", detector.noise_scores_
    if hasattr(detector, "label_proba_"):
        codes = np.searchsorted(detector.classes_, y_noisy)
        rest = 1 - detector.label_proba_[np.arange(len(codes)), codes]
        yield ", 1 - p", np.where(np.isnan(rest), 0.5, rest)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--only", default="", help="part of an estimator's name")
    parser.add_argument("--real", action="store_true", help="no planted labels")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    head = f"{'estimator':38s}{'data':17s}rate  error  largest gap  wrong in 0.7-0.9"
    print(f"{head}  Brier", flush=True)
    data = list((real if args.real else planted)(args.data))
    for name, params in ESTIMATORS:
        if args.only not in name:
            continue
        errors, start = {}, time.process_time()
        for source, rate, X, y_noisy, is_wrong in data:
            detector = getattr(sknoisy, name)(random_state=0, **params)
            detector.fit(X, y_noisy)
            for which, scores in judgements(detector, y_noisy):
                error, gap, share, n = reliability(scores, is_wrong)
                errors.setdefault(which, []).append(error)
                print(
                    f"{label_of(name, params) + which:38s}{source:17s}{rate:4.2f}"
                    f"{error:7.3f}{gap:13.2f}{share:10.2f} of {n:5d}"
                    f"{np.mean((scores - is_wrong) ** 2):7.3f}",
                    flush=True,
                )
        seconds = time.process_time() - start
        for which, found in errors.items():
            print(
                f"{label_of(name, params) + which:38s}worst{max(found):23.3f}"
                f"{'':31s}{seconds:6.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
