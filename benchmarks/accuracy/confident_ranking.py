"""How well the order of `ConfidentLearningDetector` finds labels that are really wrong.

Rows are data sets whose wrong labels come from people, rules or heuristics. Columns:
rows, share of wrong labels, AUROC of ``noise_scores_`` with each quality, AUROC of the
probability of the given label (cleanlab's self-confidence, from the same
probabilities), AUROC if flagged rows were put first, as 0.1.0 did, and F1 of the flags.

Data are read from the folder ``shared/data`` beside the repository (or ``--data``);
what is not there is skipped and said. At most 2,000 rows, one seed; about a minute.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/confident_ranking.py
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import ConfidentLearningDetector

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
QUALITIES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def cifar(file, noise, folder):
    data = np.load(folder / file)
    X = data["X_train"].astype(np.float64)
    # Full standardising blows up columns that hold little; this keeps their order.
    return X / np.sqrt(X.std(0)), data["y_train"], data[noise], scaled_regression()


def workers(noise, folder):
    X = np.load(folder / "cifar10_features.npz")["X_test"].astype(np.float64)
    data = np.load(folder / "cifar10h.npz")
    return X / np.sqrt(X.std(0)), data["y"], data[noise], scaled_regression()


def music(noise, folder):
    data = np.load(folder / "crowd_music.npz")
    return data["X_train"], data["y_train"], data[noise], None


def texts(file, folder):
    table = pd.read_parquet(folder / file)
    keep = (table["split"] == "train") & (table["y"] != -1) & (table["y_noisy"] != -1)
    table = table[keep]
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10))
    X = table["text"].to_numpy(dtype=object)
    return X, table["y"].to_numpy(), table["y_noisy"].to_numpy(), model


def jira(folder):
    table = pd.read_parquet(folder / "jira_defects.parquet")
    X = table.drop(columns=["y", "y_noisy", "release"]).to_numpy(dtype=np.float64)
    return X, table["y"].to_numpy(), table["y_noisy"].to_numpy(), None


def scaled_regression():
    return make_pipeline(
        StandardScaler(with_std=False), LogisticRegression(C=0.001, max_iter=300)
    )


DATA = {
    **{
        f"CIFAR-10N {noise}": partial(cifar, "cifar10_features.npz", f"y_{noise}")
        for noise in ("aggre", "worse", "random1")
    },
    **{
        f"same, EfficientNet {noise}": partial(
            cifar, "cifar10n_efficientnet.npz", f"y_{noise}"
        )
        for noise in ("aggre", "worse", "random1")
    },
    "CIFAR-10H one worker": partial(workers, "y_one"),
    "CIFAR-10H majority": partial(workers, "y_majority"),
    "music one worker": partial(music, "y_one"),
    "music majority": partial(music, "y_majority"),
    "YouTube spam": partial(texts, "wrench_youtube.parquet"),
    "SMS spam": partial(texts, "wrench_sms.parquet"),
    "Hausa topics": partial(texts, "hausa_topic.parquet"),
    "Jira defects": jira,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--rows", type=int, default=2_000)
    args = parser.parse_args()
    print(
        f"{'':26s}  rows wrong  self margin entropy  p[y]  flagged first   F1 of flags"
    )
    for name, load in DATA.items():
        try:
            X, y, y_noisy, model = load(args.data)
        except FileNotFoundError as error:
            print(f"{name:26s} skipped: {error.filename or error} is not there")
            continue
        rows = np.random.default_rng(0).permutation(len(y))[: args.rows]
        X, y, y_noisy = X[rows], y[rows], y_noisy[rows]
        is_wrong = y != y_noisy
        detector = ConfidentLearningDetector(model, random_state=0).fit(X, y_noisy)
        proba = detector.pred_probs_
        codes = np.searchsorted(detector.classes_, y_noisy)
        own = proba[np.arange(len(codes)), codes]
        aucs = [
            roc_auc_score(
                is_wrong,
                ConfidentLearningDetector(quality=quality)
                .fit(None, y_noisy, pred_probs=proba)
                .noise_scores_,
            )
            for quality in QUALITIES
        ]
        first = roc_auc_score(is_wrong, detector.noise_mask_ + 1 - own)
        print(
            f"{name:26s} {len(y):5d} {is_wrong.mean():.3f} {aucs[0]:.3f}  {aucs[1]:.3f}"
            f"   {aucs[2]:.3f} {roc_auc_score(is_wrong, -own):.3f}          {first:.3f}"
            f"         {f1_score(is_wrong, detector.noise_mask_):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
