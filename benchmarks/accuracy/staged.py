"""Margins and losses along the stages of boosting and of SGD, in sample or out of fold.

A row is a data set and a classifier. Columns: `AUMDetector` in sample, the default; out
of fold (``cv=5``); with an extra class in sample (``percentile=99``);
`LossMixtureDetector` by the last stage out of fold, its default, and by the mean over
the stages, in sample. Each cell: AUROC of the scores, F1 of the flags, and CPU time as
a multiple of that of the last stage out of fold; means over the seeds.

A fifth of the labels of adult, drybean, letter and digits is changed, evenly ("sym")
or half of them to the next class ("cls"); music and jira have real noise. Data are read
from the folder ``shared/data`` beside the repository (or ``--data``).

    OMP_NUM_THREADS=1 python benchmarks/accuracy/staged.py
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import (
    AUMDetector,
    LossMixtureDetector,
    SymmetricNoiseInjector,
    TransitionNoiseInjector,
    pair_flip_matrix,
)

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def noisy(X, y, kind, seed):
    n_classes = y.max() + 1
    if kind == "sym":
        injector = SymmetricNoiseInjector(0.2, random_state=seed)
    else:
        matrix = pair_flip_matrix(n_classes, noise_rate=0.1)
        matrix += 0.1 / (n_classes - 1) - np.eye(n_classes) * 0.1 * n_classes / (
            n_classes - 1
        )
        injector = TransitionNoiseInjector(matrix, random_state=seed)
    return X, y, injector.fit_resample(X, y)[1]


def table(name, kind, folder, n_rows, seed):
    frame = pd.read_parquet(folder / f"uci_{name}.parquet")
    frame = frame.sample(n_rows, random_state=seed)
    y = np.unique(frame.pop("y"), return_inverse=True)[1]
    for column in frame.select_dtypes("category"):
        frame[column] = pd.factorize(frame[column], sort=True)[0]
    return noisy(frame.to_numpy(np.float64), y, kind, seed)


def digits(kind, folder, n_rows, seed):
    X, y = load_digits(return_X_y=True)
    return noisy(X[:n_rows], y[:n_rows], kind, seed)


def music(folder, n_rows, seed):
    data = np.load(folder / "crowd_music.npz")
    return data["X_train"].astype(np.float64), data["y_train"], data["y_one"]


def jira(release, folder, n_rows, seed):
    frame = pd.read_parquet(folder / "jira_defects.parquet")
    frame = frame[frame["release"] == release]
    X = frame.drop(columns=["y", "y_noisy", "release"]).to_numpy(np.float64)
    return X, frame["y"].to_numpy(), frame["y_noisy"].to_numpy()


DATA = {
    "adult sym": partial(table, "adult", "sym"),
    "adult cls": partial(table, "adult", "cls"),
    "jira activemq": partial(jira, "activemq-5.0.0"),
    "jira derby": partial(jira, "derby-10.2.1.6"),
    "jira lucene": partial(jira, "lucene-2.9.0"),
    "drybean sym": partial(table, "drybean", "sym"),
    "drybean cls": partial(table, "drybean", "cls"),
    "digits sym": partial(digits, "sym"),
    "music": music,
    "letter sym": partial(table, "letter", "sym"),
}
HELD_BACK = {"learning_rate": 0.05, "max_iter": 60, "max_leaf_nodes": 15}
MODELS = {
    "histogram boosting": HistGradientBoostingClassifier(
        **HELD_BACK, early_stopping=False
    ),
    "gradient boosting": GradientBoostingClassifier(
        n_estimators=60, max_features="sqrt"
    ),
    "SGD": make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", alpha=1e-3)),
}
METHODS = {
    "AUM": AUMDetector,
    "AUM cv=5": partial(AUMDetector, cv=5),
    "AUM extra class": partial(AUMDetector, percentile=99),
    "loss last": LossMixtureDetector,
    "loss mean cv=None": partial(LossMixtureDetector, stages="mean", cv=None),
}


def judge(method, model, X, y, y_noisy, seed):
    start = time.process_time()
    fitted = method(model, random_state=seed).fit(X, y_noisy)
    seconds = time.process_time() - start
    is_wrong = y != y_noisy
    return (
        roc_auc_score(is_wrong, fitted.noise_scores_),
        f1_score(is_wrong, fitted.noise_mask_),
        seconds,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default="", help="data sets whose name holds this")
    parser.add_argument("--model", default="", help="models whose name holds this")
    args = parser.parse_args()
    # A mixture without a second component is part of what is measured.
    warnings.simplefilter("ignore", UserWarning)
    print(f"{'':33s}" + " ".join(f"{title:18s}" for title in METHODS))
    print(f"{'':33s}" + " ".join(["AUROC    F1   CPU "] * len(METHODS)))
    for model_name, model in MODELS.items():
        for name, load in DATA.items():
            if args.only not in name or args.model not in model_name:
                continue
            sets = [load(args.data, args.rows, seed) for seed in range(args.seeds)]
            cells = np.mean(
                [
                    [judge(m, model, *data, seed) for m in METHODS.values()]
                    for seed, data in enumerate(sets)
                ],
                axis=0,
            )
            usual = cells[list(METHODS).index("loss last"), 2]
            row = [f"{a:5.3f} {f1:5.3f} {cpu / usual:5.2f}" for a, f1, cpu in cells]
            print(f"{name:13s} {model_name:19s}" + "  ".join(row), flush=True)


if __name__ == "__main__":
    main()
