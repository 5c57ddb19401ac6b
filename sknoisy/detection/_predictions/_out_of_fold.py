"""Let any classifier predict rows that it was not fitted on."""

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from sknoisy._dates import refuse_dates_without_steps
from sknoisy._interruption import interruptions
from sknoisy._planting._fits import returned_as
from sknoisy._progress import progress
from sknoisy._random_states import set_random_states
from sknoisy._row_source import RowSource
from sknoisy._rows import explained
from sknoisy._selected_rows import params_of_rows, rows_for
from sknoisy._validation import indexable
from sknoisy.detection._predictions._by_blocks import suited_to

__all__ = [
    "predict_out_of_fold",
    "refuse_undefined",
    "run_folds",
]


def predict_out_of_fold(
    estimator, X, codes, splits, *, fit_params=None, n_jobs=None, seed=0, bar=None
):
    """Predict each fold with a classifier that was fitted on the others.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``
        Seeded in place where it has no ``random_state`` yet: hand in a clone.
    X : array-like
        Whatever the classifier takes.
    codes : ndarray of shape (n_samples,), dtype int64
    splits : list of (train, test) pairs of ndarray
        Row numbers, as `folds_of` returns them.
    fit_params : dict, default=None
        For the classifier's ``fit``; what has an entry for each row is cut.
    n_jobs : int or None, default=None
        Folds at a time.
    seed : int
    bar : Progress, default=None
        Counts the folds; all at once if several run at a time.

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes)
        Of rows that are predicted more than once, the mean.

    Raises
    ------
    TypeError
        If X has dates or times, and no step before the classifier might take them.
    ValueError
        If a probability is infinite or NaN.
    """
    n_classes = int(codes.max()) + 1
    given = {} if fit_params is None else fit_params
    how = {"n_jobs": n_jobs, "seed": seed, "bar": bar}
    parts = run_folds(
        _predict_fold, estimator, X, codes, splits, n_classes, given, **how
    )
    proba, counts = None, np.zeros(len(codes), dtype=np.int64)
    for (_, test), of_fold in zip(splits, parts, strict=True):
        if proba is None:
            dtype = of_fold.dtype if of_fold.dtype.kind == "f" else np.float64
            proba = np.zeros((len(codes), n_classes), dtype=dtype)
        proba[test] += of_fold
        counts[test] += 1
    if counts.max() > 1:
        proba /= counts[:, None]
    refuse_undefined(estimator, proba)
    return proba


def run_folds(run, estimator, X, codes, splits, *args, n_jobs=None, seed=0, bar=None):
    """Yield the result of each fold.

    Parameters
    ----------
    run : function
        Called as ``run(estimator, X, codes, split, *args)`` with a clone for each fold;
        fits it.
    estimator, X, codes, splits, n_jobs, seed, bar
        As in `predict_out_of_fold`. On a `RowSource`, a classifier with ``partial_fit``
        learns and predicts block by block.
    *args : tuple
        Further arguments of ``run``.

    Yields
    ------
    result : object
        What ``run`` returns, in the order of the splits.

    Raises
    ------
    TypeError
        If X has dates or times, and no step before the classifier might take them.
    """
    refuse_dates_without_steps(estimator, X)
    name = type(estimator).__name__
    estimator = suited_to(X, estimator)
    set_random_states(estimator, seed)
    bar = progress(0, "folds", verbose=0) if bar is None else bar
    one_by_one = effective_n_jobs(n_jobs) == 1
    if not one_by_one:
        bar.begin(len(splits))
    (X,) = indexable(X)
    if isinstance(X, RowSource):
        # Once, for all folds and processes.
        X.before_shuffling()
    results = Parallel(n_jobs, return_as=returned_as())(
        delayed(run)(clone(estimator), X, codes, split, *args) for split in splits
    )
    with explained(X, f"estimator {name}"):
        for result in results:
            yield result
            if one_by_one:
                bar.advance()
    if not one_by_one:
        bar.advance(len(splits))


def refuse_undefined(estimator, values):
    """Refuse probabilities, or other values, that are infinite or NaN.

    Raises
    ------
    ValueError
        With the number of rows and the first of them.
    """
    undefined = ~np.isfinite(values).all(axis=1)
    if undefined.any():
        raise ValueError(
            f"estimator {type(estimator).__name__} predicts values that are "
            f"infinite or NaN for {undefined.sum()} of {len(values)} rows, first for "
            f"row {undefined.argmax()}; it must give numbers for all. Standardise X, "
            "or take another classifier."
        )


def _predict_fold(estimator, X, codes, split, n_classes, fit_params):
    train, test = split
    params = params_of_rows(fit_params, X, train)
    # A fold of a training that was interrupted would be scored from less than others.
    with interruptions("raise"):
        estimator.fit(rows_for(estimator, X, train), codes[train], **params)
    proba = np.asarray(estimator.predict_proba(rows_for(estimator, X, test, train)))
    if proba.shape[1] == n_classes:
        return proba
    # A classifier with an encoding of its own may not know all classes of the others.
    full = np.zeros((len(test), n_classes), dtype=proba.dtype)
    full[:, estimator.classes_] = proba
    return full
