"""Predictions of a bagged classifier by those of its parts that did not fit the row."""

import numpy as np
from sklearn.base import clone

from sknoisy._random_states import set_random_states

__all__ = ["predict_out_of_bag"]


def predict_out_of_bag(estimator, X, codes, *, fit_params=None, seed=0):
    """Fit a bagged classifier once, and return its out-of-bag probabilities.

    Parameters
    ----------
    estimator : classifier, or pipeline that ends in one
        With ``oob_score=True``. It is cloned.
    X : array-like
        Whatever it takes.
    codes : ndarray of shape (n_samples,), dtype int64
    fit_params : dict, default=None
        For its ``fit``.
    seed : int
        For where it has no ``random_state`` yet.

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes)
        Of a row that each part was fitted on, the shares of the classes.

    Raises
    ------
    TypeError
        If it has no out-of-bag probabilities after its fit.
    """
    estimator = clone(estimator)
    set_random_states(estimator, seed)
    estimator.fit(X, codes, **(fit_params or {}))
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    proba = getattr(last, "oob_decision_function_", None)
    if proba is None:
        raise TypeError(
            f"cv='oob' reads the out-of-bag probabilities of a bagged classifier; "
            f"{type(last).__name__} has none. Set oob_score=True (and bootstrap=True), "
            "or give cv a number of folds."
        )
    shares = np.bincount(codes) / len(codes)
    # Without a part that left it out, a row is NaN, or 0 everywhere.
    known = np.isfinite(proba).all(axis=1) & (proba.sum(axis=1) > 0)
    return np.where(known[:, None], proba, shares)
