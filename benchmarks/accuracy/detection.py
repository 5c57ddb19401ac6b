"""How well the detectors find wrong labels, beside cleanlab and mislabeled.

Rows are data sets with real and planted noise, columns are detectors with their
defaults. Each cell: AUROC and average precision of the scores, F1 of the detector's own
decision, F1 if it were told the true noise rate, estimated minus true noise rate, the
largest gap between a score and the share of wrong labels among rows that have it (over
the tenths of [0, 1] that hold a hundredth of the rows or more), and seconds of CPU
time. A second table has data with no or one percent of wrong labels.

Data are read from the folder ``shared/data`` beside the repository (or ``--data``);
what is not there is skipped and said. The cleanlab columns need ``pip install
cleanlab``: self-confidence from out-of-fold probabilities, of a logistic regression
(the C of 1, 0.1, 0.01, 0.001 with the best out-of-fold log-loss on the noisy labels)
and of 50 nearest neighbours (20 below 3,000 rows). The mislabeled column needs
``pip install git+https://github.com/orange-opensource/mislabeled``: margins of a
logistic regression along its training, split by a mixture of two Gaussians.

Default: 2,000 rows at most and one seed; ``--full``: up to 10,000 rows and three seeds,
which takes about an hour.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/detection.py
"""

import argparse
import time
import warnings
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import LabelEncoder, StandardScaler

from sknoisy import (
    AUMDetector,
    AutoNoiseDetector,
    ConfidentLearningDetector,
    CORESDetector,
    DynaCorDetector,
    FINEDetector,
    InstanceNoiseInjector,
    LossMixtureDetector,
    NeighborVoteDetector,
    SmallLossDetector,
    SymmetricNoiseInjector,
    TransitionNoiseInjector,
    pair_flip_matrix,
)

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def symmetric(rate, seed):
    return SymmetricNoiseInjector(rate, random_state=seed)


def pair_flip(rate, seed):
    matrix = partial(pair_flip_matrix, noise_rate=rate)
    return TransitionNoiseInjector(matrix, random_state=seed)


def instance(rate, seed):
    return InstanceNoiseInjector(rate, feature_scaling="unit", random_state=seed)


def digits(make_injector, rate, folder, n_rows, seed):
    X, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(seed).permutation(len(y))[:n_rows]
    X, y = X[rows] / 16, y[rows]
    return X, y, make_injector(rate, seed).fit_resample(X, y)[1]


def cifar(noise, folder, n_rows, seed):
    data = np.load(folder / "cifar10_features.npz")
    rows = np.random.default_rng(seed).choice(50_000, n_rows, replace=False)
    X, y = data["X_train"][rows].astype(np.float32), data["y_train"][rows]
    # Full standardising blows up columns that hold little; this keeps their order.
    X /= np.sqrt(X.std(0))
    if isinstance(noise, str):
        return X, y, data[noise][rows]
    make_injector, rate = noise
    return X, y, make_injector(rate, seed).fit_resample(X, y)[1]


def letter(rate, folder, n_rows, seed):
    import pandas as pd

    table = pd.read_parquet(folder / "uci_letter.parquet")
    table = table.sample(min(n_rows, 5000), random_state=seed)
    X = StandardScaler().fit_transform(table.drop(columns="y"))
    y = LabelEncoder().fit_transform(table["y"])
    return X, y, symmetric(rate, seed).fit_resample(X, y)[1]


def music(folder, n_rows, seed):
    data = np.load(folder / "crowd_music.npz")
    X = StandardScaler().fit_transform(data["X_train"])
    return X, data["y_train"], data["y_one"]


def hausa(folder, n_rows, seed):
    import pandas as pd

    table = pd.read_parquet(folder / "hausa_topic.parquet")
    keep = (table["split"] == "train") & (table["y"] != -1) & (table["y_noisy"] != -1)
    table = table[keep]
    words = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(table["text"])
    X = TruncatedSVD(100, random_state=seed).fit_transform(words)
    X = StandardScaler().fit_transform(X)
    return X, table["y"].to_numpy(), table["y_noisy"].to_numpy()


DATA = {
    "digits symmetric .2": partial(digits, symmetric, 0.2),
    "digits symmetric .4": partial(digits, symmetric, 0.4),
    "cifar aggre": partial(cifar, "y_aggre"),
    "cifar worse": partial(cifar, "y_worse"),
    "cifar random1": partial(cifar, "y_random1"),
    "cifar symmetric .4": partial(cifar, (symmetric, 0.4)),
    "cifar pair flip .3": partial(cifar, (pair_flip, 0.3)),
    "cifar instance .4": partial(cifar, (instance, 0.4)),
    "letter symmetric .3": partial(letter, 0.3),
    "music, one worker": music,
    "hausa topics": hausa,
}
NEARLY_CLEAN = {
    "digits": partial(digits, symmetric, 0.0),
    "digits symmetric .01": partial(digits, symmetric, 0.01),
    "letter": partial(letter, 0.0),
    "letter symmetric .01": partial(letter, 0.01),
}
PAPER = {"settings": "paper", "corruption": "copy", "decision": "cluster"}


def detector(make, X, y, seed):
    fitted = make(random_state=seed).fit(X, y)
    return fitted.noise_scores_, fitted.noise_mask_, fitted.noise_rate_


def cleanlab_regression(X, y, seed):
    candidates = []
    for C in (1, 0.1, 0.01, 0.001):
        proba = out_of_fold(LogisticRegression(C=C, max_iter=300), X, y)
        candidates.append((log_loss(y, proba, labels=np.arange(y.max() + 1)), proba))
    return cleanlab(y, min(candidates, key=lambda pair: pair[0])[1])


def cleanlab_neighbours(X, y, seed):
    k = 50 if len(y) >= 3000 else 20
    return cleanlab(y, out_of_fold(KNeighborsClassifier(k), X, y))


def out_of_fold(model, X, y):
    with warnings.catch_warnings():
        # Small classes may be missing from a fold, and C=1 may want more steps.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        return cross_val_predict(model, X, y, method="predict_proba")


def cleanlab(y, proba):
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    mask = find_label_issues(y, proba, n_jobs=1)
    return 1 - get_label_quality_scores(y, proba), mask, mask.mean()


def mislabeled(X, y, seed):
    from mislabeled.detect.detectors import AreaUnderMargin
    from mislabeled.split import GMMSplitter

    with warnings.catch_warnings():
        # It stops the regression after each step, and each time that is a warning.
        warnings.simplefilter("ignore")
        trust = AreaUnderMargin(LogisticRegression()).trust_score(X, y)
        mixture = GaussianMixture(2, random_state=seed)
        mask = ~GMMSplitter(mixture).split(X, y, trust)
    return -trust, mask, mask.mean()


METHODS = {
    "auto": partial(detector, AutoNoiseDetector),
    "DynaCor": partial(detector, DynaCorDetector),
    "DynaCor paper": partial(detector, partial(DynaCorDetector, **PAPER)),
    "AUM": partial(detector, AUMDetector),
    "loss mixture": partial(detector, LossMixtureDetector),
    "confident LR": partial(detector, ConfidentLearningDetector),
    "neighbours": partial(detector, NeighborVoteDetector),
    "FINE": partial(detector, FINEDetector),
    "CORES": partial(detector, CORESDetector),
    "small loss": partial(detector, SmallLossDetector),
}
PEERS = {
    "cleanlab LR": ("cleanlab", cleanlab_regression),
    "cleanlab kNN": ("cleanlab", cleanlab_neighbours),
    "mislabeled": ("mislabeled", mislabeled),
}


def judge(method, X, y_noisy, is_wrong, seed):
    """Return the cells of a data set and a method, and the share that is flagged."""
    start = time.process_time()
    scores, mask, rate = method(X, y_noisy, seed)
    seconds = time.process_time() - start
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
    if scores.min() < 0:
        return np.nan
    tenth = np.minimum((scores * 10).astype(int), 9)
    gaps = [
        abs(is_wrong[tenth == k].mean() - scores[tenth == k].mean())
        for k in range(10)
        if (tenth == k).sum() >= 0.01 * len(scores)
    ]
    return max(gaps)


def cells(data, methods, args, n_rows, n_seeds):
    """Yield the head of each row, and its cells' means over the seeds."""
    for name, load in data.items():
        if args.only not in name:
            continue
        try:
            sets = [load(args.data, n_rows, seed) for seed in range(n_seeds)]
        except FileNotFoundError as error:
            # pandas gives no file name, but a message with it.
            print(f"{name:20s} skipped: {error.filename or error} is not there")
            continue
        rate = np.mean([(y != y_noisy).mean() for _, y, y_noisy in sets])
        for title, method in methods.items():
            judged = [
                judge(method, X, y_noisy, y != y_noisy, seed)
                for seed, (X, y, y_noisy) in enumerate(sets)
            ]
            yield f"{name:20s} {rate:5.3f} {title:13s}", np.mean(judged, axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="10,000 rows, three seeds")
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--only", default="", help="data sets whose name holds this")
    parser.add_argument("--method", default="", help="methods whose name holds this")
    args = parser.parse_args()
    torch.set_num_threads(1)
    n_rows, seeds = (10_000, 3) if args.full else (2_000, 1)
    methods = dict(METHODS)
    for title, (package, peer) in PEERS.items():
        if find_spec(package):
            methods[title] = peer
        else:
            print(f"{package} is not installed: {title} is left out")
    methods = {title: m for title, m in methods.items() if args.method in title}
    print(f"at most {n_rows} rows, {seeds} seed(s)")
    print(
        f"{'':20s} {'rate':>5s} {'':13s} AUROC    AP    F1 F1@rate   rate-  gap  CPU s"
    )
    for row, (auc, ap, f1, at_rate, off, gap, cpu, _) in cells(
        DATA, methods, args, n_rows, seeds
    ):
        print(
            f"{row} {auc:.3f} {ap:.3f} {f1:.3f}   {at_rate:.3f}  {off:+.3f}  {gap:.2f}"
            f" {cpu:6.1f}",
            flush=True,
        )
    print(f"\n{'':20s} {'rate':>5s} {'':13s} flagged  rate- AUROC    F1")
    for row, (auc, _, f1, _, off, _, _, flagged) in cells(
        NEARLY_CLEAN, methods, args, n_rows, seeds
    ):
        print(f"{row}   {flagged:.3f} {off:+.3f} {auc:.3f} {f1:.3f}", flush=True)


if __name__ == "__main__":
    main()
