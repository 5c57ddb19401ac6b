"""Baselines whose settings are chosen on held-out given labels, without clean ones."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from sknoisy import NetClassifier

PENALTIES = (1e-4, 1e-3, 1e-2, 3e-2, 0.1, 1.0)
STRONG = {
    "module__dropout": 0.5,
    "optimizer__weight_decay": 0.02,
    "lr": 0.02,
    "max_epochs": 10,
}
# Of a hidden layer of 512: the library's defaults, and stronger regularisation.
NETS = (
    {},
    {**STRONG, "optimizer__weight_decay": 0.005, "lr": 0.05, "max_epochs": 20},
    STRONG,
    {**STRONG, "max_epochs": 20},
    {**STRONG, "optimizer__weight_decay": 0.06},
)


def chosen(candidates, X, y, seed):
    """Fit the candidate with the best accuracy on a quarter of the given labels.

    Parameters
    ----------
    candidates : list of classifiers
    X, y : ndarrays
        Rows and their given labels.
    seed : int
    """
    first, second, y_first, y_second = train_test_split(
        X, y, test_size=0.25, random_state=seed
    )
    scores = [c.fit(first, y_first).score(second, y_second) for c in candidates]
    return candidates[int(np.argmax(scores))].fit(X, y)


def regression(X, y, seed):
    """Return a fitted logistic regression with the best of six penalties."""
    candidates = [LogisticRegression(C=C, max_iter=500) for C in PENALTIES]
    return chosen(candidates, X, y, seed)


def cross_entropy(X, y, seed):
    """Return a fitted network with the best of five regularisations."""
    candidates = [NetClassifier(**params, random_state=seed) for params in NETS]
    return chosen(candidates, X, y, seed)
