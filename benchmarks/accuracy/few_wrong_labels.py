"""What `LossMixtureDetector` flags where few or many labels are wrong.

Rows are data sets of 1,000 rows with symmetric noise, one seed. Columns: flagged rows,
the share of them that are wrong, and the share of the wrong labels that are found; of a
`BMMLossSplitter` alone on the losses of a network and of a logistic regression (out of
fold, C=0.1), and of the detector.

Letters are read from the folder ``shared/data`` beside the repository (or ``--data``).
About two minutes.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/few_wrong_labels.py
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits, make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import LabelEncoder, StandardScaler

from sknoisy import BMMLossSplitter, LossMixtureDetector, SymmetricNoiseInjector

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
RATES = (0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


def digits(folder):
    X, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))[:1000]
    return X[rows] / 16, y[rows]


def letters(folder):
    table = pd.read_parquet(folder / "uci_letter.parquet").sample(1000, random_state=0)
    X = StandardScaler().fit_transform(table.drop(columns="y"))
    return X, LabelEncoder().fit_transform(table["y"])


def blobs(folder):
    return make_blobs(1000, 8, centers=4, cluster_std=2.0, random_state=0)


def cell(flagged, is_wrong):
    hits = (flagged & is_wrong).sum()
    if not is_wrong.any():
        return f"{flagged.sum():4d}          "
    precision, recall = hits / max(flagged.sum(), 1), hits / is_wrong.sum()
    return f"{flagged.sum():4d} {precision:.2f} {recall:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("data    wrong   network: alone, detector      regression: alone, detector")
    for name, load in {"digits": digits, "letters": letters, "blobs": blobs}.items():
        X, y = load(args.data)
        for rate in RATES:
            injector = SymmetricNoiseInjector(rate, selection="exact", random_state=0)
            noisy = injector.fit_resample(X, y)[1] if rate else y
            cells = []
            for estimator in (None, LogisticRegression(C=0.1, max_iter=300)):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)
                    detector = LossMixtureDetector(estimator, random_state=0)
                    detector.fit(X, noisy)
                alone = BMMLossSplitter().fit(detector.losses_)
                flagged = alone.transform(detector.losses_)[:, 0] > 0.5
                cells += [cell(flagged, noisy != y)]
                cells += [cell(detector.noise_mask_, noisy != y)]
            print(f"{name:7s} {rate:5.1%}  {'  '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
