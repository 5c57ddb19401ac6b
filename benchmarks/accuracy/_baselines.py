"""Baselines whose settings are chosen on held-out given labels, without clean ones."""

import time
from functools import partial

import numpy as np
from _features import load, named
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

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


def neighbours(X, y, seed):
    """Return fitted nearest neighbours with the best of four numbers."""
    return chosen([KNeighborsClassifier(k) for k in (10, 30, 60, 100)], X, y, seed)


def boosting(X, y, seed):
    """Return fitted gradient boosting with the best of three lengths."""
    candidates = [
        HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_iter=n_stages,
            max_leaf_nodes=15,
            early_stopping=False,
            random_state=seed,
        )
        for n_stages in (30, 60, 120)
    ]
    return chosen(candidates, X, y, seed)


def forest(X, y, seed):
    """Return a fitted forest with the best of three sizes of its leaves."""
    candidates = [
        RandomForestClassifier(200, min_samples_leaf=n_rows, random_state=seed)
        for n_rows in (3, 10, 30)
    ]
    return chosen(candidates, X, y, seed)


def clean_learning(X, y, seed):
    """Return cleanlab's CleanLearning around the regression with the best penalty."""
    from cleanlab.classification import CleanLearning

    model = LogisticRegression(C=regression(X, y, seed).C, max_iter=500)
    # It wants labels from 0 on, without gaps.
    return CleanLearning(model, seed=seed, verbose=False).fit(X, y)


def show_tuned(noises, args, keep=None, load=load):
    """Print what a tuned regression and a tuned network reach on image features.

    They belong below each table of methods on these features: what a method gains over
    them it does not owe to regularisation alone.

    Parameters
    ----------
    noises : dict of str to str or callable
        As `load` takes them.
    args : Namespace
    keep : callable or None
        From the name of a noise, that of a baseline and a function that measures it to
        the array of its cells, a row for each seed: accuracy, AUROC and seconds. None
        measures all.
    load : callable, default=load
        Of features, or a function like it.
    """
    print(f"\n{'tuned on given labels':34s} last          AUROC  CPU s")
    for noise in (name for name in noises if named(name, args.only)):
        for name, fit in {"regression": regression, "net": cross_entropy}.items():
            measure = partial(_of_seeds, fit, noises[noise], args, load)
            cells = measure() if keep is None else keep(noise, name, measure)
            last, auroc, seconds = cells.mean(0)
            spread = f"+-{cells[:, 0].std():.3f}" if args.seeds > 1 else ""
            print(
                f"{noise:16s} {name:17s} {last:.3f} {spread:7s}  {auroc:.3f}  "
                f"{seconds:5.1f}",
                flush=True,
            )


def _of_seeds(fit, noise, args, load):
    seeds = range(args.seeds)
    return np.array([_tuned(fit, noise, args, seed, load) for seed in seeds])


def _tuned(fit, noise, args, seed, load):
    X, y, noisy, X_test, y_test = load(args.data, noise, args.rows, args.test, seed)
    start = time.process_time()
    model = fit(X, noisy, seed)
    seconds = time.process_time() - start
    given = model.predict_proba(X)[np.arange(len(y)), noisy]
    return model.score(X_test, y_test), roc_auc_score(y != noisy, 1 - given), seconds
