"""What a fitted detector knows of a row, as numbers to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.decomposition import PCA, TruncatedSVD

from sknoisy._row_source import is_row_source
from sknoisy._rows import is_frame

if TYPE_CHECKING:
    from sknoisy._types import Array, Estimator, FloatArray, IntArray

__all__ = ["Evidence", "evidence_of", "likely_labels", "numbers_of", "similarities"]

# Directions of X, and the rows by which they are found.
_N_DIRECTIONS, _N_ROWS = 100, 10_000
# With more columns their covariances take too long.
_WIDE = 2_000


class Evidence(NamedTuple):
    """What is known of the rows.

    Attributes
    ----------
    given, likely : ndarray of shape (n_samples,), dtype int64
        The given label, and the other one that is the most probable.
    directions : ndarray of shape (n_samples, n_directions) or None
        X, reduced; the mean of the squared lengths is 1.
    """

    given: IntArray
    likely: IntArray
    directions: FloatArray | None


def evidence_of(
    scorer: Estimator, numbers: Array | None, given: IntArray, suggested: IntArray
) -> Evidence:
    """Return what a fitted detector knows of the rows.

    Parameters
    ----------
    scorer : estimator
    numbers : ndarray or sparse of shape (n_samples, n_features) or None
        X, as numbers.
    given, suggested : ndarray of shape (n_samples,), dtype int64
        The given labels, and those that it suggests.

    Returns
    -------
    evidence : Evidence
    """
    likely = likely_labels(scorer, given, suggested, len(scorer.classes_))
    directions = None if numbers is None else _directions(numbers)
    return Evidence(given, likely, directions)


def similarities(evidence: Evidence, rows: IntArray, others: IntArray) -> FloatArray:
    """Return how similar rows are to others, as products of features.

    The features are: the directions of X; the given label, the likely label, the pair
    of them; the directions for each given label.

    Parameters
    ----------
    evidence : Evidence
    rows : ndarray of shape (n_rows,), dtype int64
    others : ndarray of shape (n_others,), dtype int64

    Returns
    -------
    similar : ndarray of shape (n_rows, n_others), dtype float64
    """
    given = evidence.given[rows][:, None] == evidence.given[others]
    likely = evidence.likely[rows][:, None] == evidence.likely[others]
    similar = given + likely + (given & likely).astype(np.float64)
    if evidence.directions is not None:
        products = evidence.directions[rows] @ evidence.directions[others].T
        similar += (1 + given) * products
    return similar


def likely_labels(
    scorer: Estimator, codes: IntArray, suggested: IntArray, n_classes: int
) -> IntArray:
    """Return for each row the other label that is the most probable.

    Parameters
    ----------
    scorer : estimator
        Fitted.
    codes, suggested : ndarray of shape (n_samples,), dtype int64
        The given labels, and those that it suggests.
    n_classes : int

    Returns
    -------
    likely : ndarray of shape (n_samples,), dtype int64
        By the probabilities of the labels if it has them. Else the suggested label, and
        where there is none, what is suggested most often for the class.
    """
    proba = _class_probabilities(scorer, len(codes))
    if proba is None:
        counts = np.zeros((n_classes, n_classes))
        np.add.at(counts, (codes, suggested), 1.0)
        # Frequent classes, where nothing is suggested for a class.
        counts += np.bincount(codes, minlength=n_classes) / (len(codes) + 1)
        proba = counts[codes]
        proba[np.arange(len(codes)), suggested] = np.inf
    else:
        proba = proba.copy()
    proba[np.arange(len(codes)), codes] = -1
    return proba.argmax(axis=1)


def _class_probabilities(scorer: Estimator, n_samples: int) -> FloatArray | None:
    """Return the probabilities of the labels, 0 where a row has none, or None."""
    proba = getattr(scorer, "label_proba_", None)
    if proba is None or len(proba) != n_samples:
        return None
    return np.nan_to_num(np.asarray(proba, dtype=np.float64))


def numbers_of(X: Any) -> Array | None:
    """Return X as a matrix of numbers, or None if it is none.

    Parameters
    ----------
    X : array-like or None

    Returns
    -------
    numbers : ndarray or sparse of shape (n_samples, n_features) or None
        None for images, texts, rows on disk, and frames with other columns than
        numbers.
    """
    if X is None or is_row_source(X):
        return None
    if issparse(X):
        return X
    if is_frame(X):
        X = X.to_numpy()
    X = np.asarray(X)
    if X.ndim != 2 or X.dtype.kind not in "biuf":
        return None
    return X if np.isfinite(X).all() else None


def _directions(numbers: Array) -> FloatArray:
    """Return the first principal components, found by at most 10,000 rows."""
    some = numbers[:: -(-numbers.shape[0] // _N_ROWS)]
    n_directions = min(_N_DIRECTIONS, *some.shape)
    if issparse(numbers):
        n_directions = max(min(n_directions, numbers.shape[1] - 1), 1)
        model = TruncatedSVD(n_directions, random_state=0).fit(some)
        found = model.transform(numbers)
    else:
        # Columns of a table have units: the widest would hide the others. Of
        # embeddings the widest tell most. The root is between them.
        scale = np.sqrt(some.std(axis=0, dtype=np.float64))
        scale[scale == 0] = 1
        solver = "covariance_eigh" if some.shape[1] <= _WIDE else "randomized"
        model = PCA(n_directions, svd_solver=solver, random_state=0).fit(some / scale)
        found = model.transform(numbers / scale)
    return found / max(np.sqrt((found**2).sum(axis=1).mean()), 1e-12)
