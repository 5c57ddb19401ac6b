"""The peers of ``detection.py``: cleanlab with four models, and mislabeled with two.

A peer takes X, the codes of the noisy labels and a seed, and returns `Found`.
"""

import time
import warnings
from typing import NamedTuple

import numpy as np
from _detection_data import as_codes, as_dense, as_numbers
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

N_NARROW = 100


class Found(NamedTuple):
    """What a method says of a data set; the seconds come on top of its own."""

    scores: np.ndarray
    mask: np.ndarray
    rate: float
    seconds: float = 0.0


class Known:
    """The out-of-fold probabilities of the latest data set, and their seconds."""

    data, models = None, {}


def regression(X, y, seed):
    X, candidates = as_numbers(X), []
    for C in (1, 0.1, 0.01, 0.001):
        proba = out_of_fold(LogisticRegression(C=C, max_iter=300), X, y)
        candidates.append((log_loss(y, proba, labels=np.arange(y.max() + 1)), proba))
    return min(candidates, key=lambda pair: pair[0])[1]


def neighbours(X, y, seed):
    k = 50 if len(y) >= 3000 else 20
    return out_of_fold(KNeighborsClassifier(k), as_numbers(X), y)


def boosting(X, y, seed):
    X = as_dense(X)
    return out_of_fold(held_back(X, seed), X, y)


def held_back(X, seed):
    """Return boosting that stops before it learns single labels.

    Wide data get fewer bins: on 2,000 rows of 512 columns that takes 34 CPU seconds
    instead of 116, and the AUROC is 0.748 instead of 0.741.
    """
    return HistGradientBoostingClassifier(
        max_bins=255 if X.shape[1] <= N_NARROW else 32,
        learning_rate=0.05,
        max_iter=60,
        max_leaf_nodes=15,
        early_stopping=False,
        random_state=seed,
    )


def forest(X, y, seed):
    model = RandomForestClassifier(100, min_samples_leaf=5, random_state=seed)
    return out_of_fold(model, as_codes(X), y)


def out_of_fold(model, X, y):
    with warnings.catch_warnings():
        # Small classes may be missing from a fold, and C=1 may want more steps.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        return cross_val_predict(model, X, y, method="predict_proba")


class Cleanlab:
    """Self-confidence and flags from the mean of the models' probabilities."""

    def __init__(self, *models):
        self.models = models

    def __call__(self, X, y, seed):
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores

        if Known.data is not y:
            Known.data, Known.models = y, {}
        before = sum(Known.models.get(model, (0, 0))[1] for model in self.models)
        for model in self.models:
            if model not in Known.models:
                start = time.process_time()
                proba = model(X, y, seed)
                Known.models[model] = proba, time.process_time() - start
        proba = np.mean([Known.models[model][0] for model in self.models], axis=0)
        mask = find_label_issues(y, proba, n_jobs=1)
        scores = 1 - get_label_quality_scores(y, proba)
        return Found(scores, mask, mask.mean(), before)


def mislabeled(X, y, seed):
    return margins(LogisticRegression(), as_numbers(X), y, seed)


def mislabeled_boosting(X, y, seed):
    X = as_dense(X)
    return margins(held_back(X, seed), X, y, seed, staging="predict")


def margins(model, X, y, seed, **options):
    from mislabeled.detect.detectors import AreaUnderMargin
    from mislabeled.split import GMMSplitter

    with warnings.catch_warnings():
        # It stops the regression after each step, and each time that is a warning.
        warnings.simplefilter("ignore")
        trust = AreaUnderMargin(model, **options).trust_score(X, y)
        mixture = GaussianMixture(2, random_state=seed)
        mask = ~GMMSplitter(mixture).split(X, y, trust)
    return Found(-trust, mask, mask.mean())


PEERS = {
    "cleanlab LR": ("cleanlab", Cleanlab(regression)),
    "cleanlab kNN": ("cleanlab", Cleanlab(neighbours)),
    "cleanlab boosting": ("cleanlab", Cleanlab(boosting)),
    "cleanlab forest": ("cleanlab", Cleanlab(forest)),
    "cleanlab mean": ("cleanlab", Cleanlab(regression, boosting, forest)),
    "mislabeled": ("mislabeled", mislabeled),
    "mislabeled boosting": ("mislabeled", mislabeled_boosting),
}
