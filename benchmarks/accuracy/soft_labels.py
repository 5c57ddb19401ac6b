"""A classifier after each action of CleanedClassifier, "soften" among them.

Rows are data sets with 40 to 50 % of wrong labels, by a regularised regression or a
regularised network; columns are accuracies on clean test rows without cleaning and
after each action, all by the same fitted `DynaCorDetector`. A network learns soft
labels as they are; "copies" is "soften" by weighted copies of rows, the only way for
the regression. The last rows are the means.

Needs ``cifar10_features.npz`` and ``cifar10n_efficientnet.npz`` in ``shared/data``
beside the repository, or ``--data``. Default: 2,000 rows, 1,000 of the digits, two
seeds; it takes five minutes. ``--full``: three seeds.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/soft_labels.py
"""

from tempfile import TemporaryDirectory

import numpy as np
import torch
from _classification_data import N_TEST, SETS, load
from _features import parse
from sklearn.linear_model import LogisticRegression

from sknoisy import CleanedClassifier, DynaCorDetector, NetClassifier

ACTIONS = ("drop", "relabel", "reweight", "soften")
# C of the regression, which `_baselines.regression` chooses on held-out given labels.
ROWS = {
    "digits, symmetric 0.4": 1.0,
    "cifar, worse": 0.01,
    "cifar, symmetric 0.5": 0.01,
    "strong, worse": 0.03,
}
STRONG = {
    "module__dropout": 0.5,
    "optimizer__weight_decay": 0.02,
    "lr": 0.02,
    "max_epochs": 20,
}


class CopyingNet(NetClassifier):
    """A net without soft targets in its fit, which is given copies of rows."""

    def fit(self, X, y, sample_weight=None):
        """Train the network without soft targets."""
        return super().fit(X, y, sample_weight)


def accuracies(model, data, seed, folder):
    X, _, y_noisy, X_test, y_test = data
    detector = DynaCorDetector(random_state=seed)
    found = [model.fit(X, y_noisy).score(X_test, y_test)]
    for action in ACTIONS:
        cleaned = CleanedClassifier(detector, model, action=action, memory=folder)
        found.append(cleaned.fit(X, y_noisy).score(X_test, y_test))
    if isinstance(model, NetClassifier):
        copying = CopyingNet(**model.get_params(deep=False))
        cleaned.set_params(classifier=copying)
        found.append(cleaned.fit(X, y_noisy).score(X_test, y_test))
    else:
        found.append(found[-1])
    return found


def main():
    args = parse(
        __doc__.split("\n")[0],
        rows=2_000,
        test=N_TEST,
        epochs=20,
        seeds=2,
        jobs=1,
        clean=False,
    )
    torch.set_num_threads(1)
    print(" " * 38 + "".join(f"{name:>10s}" for name in ("none", *ACTIONS, "copies")))
    table = {"regression": [], "net": []}
    for row, C in ROWS.items():
        if args.only not in row:
            continue
        for seed in range(args.seeds):
            data = load(*SETS[row], args, seed)
            models = {
                "regression": LogisticRegression(C=C, max_iter=500),
                "net": NetClassifier(**STRONG, random_state=seed),
            }
            with TemporaryDirectory() as folder:
                for name, model in models.items():
                    found = accuracies(model, data, seed, folder)
                    line = "".join(f"{value:10.3f}" for value in found)
                    print(f"{row:22s} seed {seed} {name:10s}{line}", flush=True)
                    table[name].append(found)
    table["both"] = table["regression"] + table["net"]
    for name, rows in table.items():
        line = "".join(f"{value:10.3f}" for value in np.mean(rows, axis=0))
        print(f"{'mean':30s} {name:10s}".ljust(38) + line)


if __name__ == "__main__":
    main()
