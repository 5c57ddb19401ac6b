"""Let any classifier predict rows that it was not fitted on."""

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.utils import get_tags
from sklearn.utils.validation import check_consistent_length, validate_data

from sknoisy._progress import progress
from sknoisy._rows import explained, refuse_odd_rows
from sknoisy._validation import (
    check_classes,
    encode_labels,
    refuse_dates,
    set_random_states,
)

__all__ = ["check_any_rows_and_labels", "predict_out_of_fold", "stratified_folds"]


def check_any_rows_and_labels(estimator, X, y):
    """Check the X and y of a detector whose classifier judges what X is.

    Parameters
    ----------
    estimator : estimator
        The detector. It gets ``n_features_in_`` and ``feature_names_in_`` if X has
        them.
    X : array-like
        Only counted: the classifier checks it.
    y : array-like of shape (n_samples,)

    Returns
    -------
    classes : ndarray of shape (n_classes,)
    codes : ndarray of shape (n_samples,), dtype int64

    Raises
    ------
    ValueError
        If y is missing or not labels, has another length than X, or if there are
        fewer than two classes, or fewer than two rows of one.
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    refuse_odd_rows(X)
    validate_data(estimator, X, skip_check_array=True)
    classes, codes = encode_labels(y)
    check_consistent_length(X, codes)
    check_classes(estimator, classes, codes, min_per_class=2)
    return classes, codes


def stratified_folds(codes, cv, seed):
    """Return folds with like shares of the classes, shuffled.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
        Each class has at least two rows.
    cv : int >= 2
        Folds; at most as many as the smallest class has rows.
    seed : int

    Returns
    -------
    folds : StratifiedKFold
    """
    n_folds = min(cv, int(np.bincount(codes).min()))
    return StratifiedKFold(n_folds, shuffle=True, random_state=seed)


def predict_out_of_fold(estimator, X, codes, folds, *, n_jobs=None, seed=0, bar=None):
    """Predict each fold with a classifier that was fitted on the others.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``
        Seeded in place where it has no ``random_state`` yet: hand in a clone.
    X : array-like
        Whatever the classifier takes.
    codes : ndarray of shape (n_samples,), dtype int64
    folds : cross-validator
    n_jobs : int or None, default=None
        Folds at a time.
    seed : int
    bar : Progress, default=None
        Counts the folds; all at once if several run at a time.

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes)

    Raises
    ------
    TypeError
        If X has dates or times, and no step before the classifier might take them.
    ValueError
        If a probability is infinite or NaN.
    """
    if not _has_steps(estimator):
        refuse_dates(X)
    set_random_states(estimator, seed)
    bar = progress(0, "folds", verbose=0) if bar is None else bar
    one_by_one = bar.is_shown and effective_n_jobs(n_jobs) == 1
    n_folds = folds.get_n_splits()
    if one_by_one:
        estimator = _Counted(estimator, bar)
    else:
        bar.begin(n_folds)
    with explained(X, f"estimator {type(estimator).__name__}"):
        proba = cross_val_predict(
            estimator, X, codes, cv=folds, n_jobs=n_jobs, method="predict_proba"
        )
    if not one_by_one:
        bar.advance(n_folds)
    _refuse_undefined(estimator, proba)
    return proba


def _has_steps(estimator):
    """Whether a step before the classifier may turn what X is into numbers."""
    while hasattr(estimator, "estimator"):
        estimator = estimator.estimator
    return hasattr(estimator, "steps")


def _refuse_undefined(estimator, proba):
    undefined = ~np.isfinite(proba).all(axis=1)
    if undefined.any():
        given = estimator.estimator if isinstance(estimator, _Counted) else estimator
        raise ValueError(
            f"estimator {type(given).__name__} predicts probabilities that are "
            f"infinite or NaN for {undefined.sum()} of {len(proba)} rows, first for "
            f"row {undefined.argmax()}; it must give numbers for all. Standardise X, "
            "or take another classifier."
        )


class _Counted(BaseEstimator):
    """A classifier that counts its predictions, and its clones theirs, in one bar."""

    def __init__(self, estimator, bar):
        self.estimator = estimator
        self.bar = bar

    def fit(self, X, y):
        self.estimator.fit(X, y)
        self.classes_ = self.estimator.classes_
        return self

    def predict(self, X):
        return self.estimator.predict(X)

    def predict_proba(self, X):
        proba = self.estimator.predict_proba(X)
        self.bar.advance()
        return proba

    def __sklearn_clone__(self):
        return _Counted(clone(self.estimator), self.bar)

    def __sklearn_tags__(self):
        return get_tags(self.estimator)
