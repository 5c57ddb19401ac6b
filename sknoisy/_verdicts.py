"""Scores, flags and suggested labels: computed, and read from fitted estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

if TYPE_CHECKING:
    from sknoisy._types import (
        Array,
        ArrayLike,
        BoolArray,
        Estimator,
        FloatArray,
        IntArray,
    )

__all__ = [
    "VERDICT",
    "defined_scores",
    "may_be_probabilities",
    "scorer_of",
    "scores_are_probabilities",
    "suggest_labels",
    "tags_of_part",
    "unjudged_rows",
]

# Attributes of every fitted estimator that scores the given labels.
VERDICT = ("noise_scores_", "noise_mask_", "noise_rate_", "suggested_labels_")


def defined_scores(estimator: Estimator, scores: ArrayLike) -> FloatArray:
    """Return noise scores as an array, if all are finite.

    Parameters
    ----------
    estimator : estimator
        Named in the error.
    scores : array-like of shape (n_samples,)
        Scores, larger = more suspicious.

    Returns
    -------
    scores : ndarray of shape (n_samples,), dtype float64
        The same scores.

    Raises
    ------
    FloatingPointError
        If a score is infinite or NaN.
    """
    scores = np.asarray(scores, dtype=np.float64)
    undefined = ~np.isfinite(scores)
    if undefined.any():
        raise FloatingPointError(
            f"{type(estimator).__name__} has no score for {undefined.sum()} of "
            f"{len(scores)} rows, first for row {undefined.argmax()}: their values "
            "are infinite or NaN. Standardise X; lower lr if it trains a network."
        )
    return scores


def suggest_labels(proba: Array, codes: IntArray, mask: BoolArray) -> IntArray:
    """Return the suggested label code of each row.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Class probabilities, of any scale.
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.
    mask : ndarray of shape (n_samples,), dtype bool
        True where the label is flagged.

    Returns
    -------
    suggested : ndarray of shape (n_samples,), dtype int64
        The most probable other label where the given one is flagged, else the
        given one.
    """
    suggested = codes.copy()
    proba = proba[mask]
    proba[np.arange(len(proba)), codes[mask]] = -np.inf
    suggested[mask] = proba.argmax(1)
    return suggested


def scorer_of(detector: Estimator, n_samples: int) -> Estimator:
    """Return the part of a fitted detector that has the scores of the labels.

    Parameters
    ----------
    detector : estimator
        Fitted: a detector, a robust classifier, or a pipeline that ends in one.
    n_samples : int
        Number of rows given to ``fit``.

    Returns
    -------
    scorer : estimator
        The detector, or the last step of the pipeline.

    Raises
    ------
    TypeError
        If it does not score labels.
    ValueError
        If it scored another number of rows.
    FloatingPointError
        If a score is infinite or NaN.
    """
    scorer = detector[-1] if isinstance(detector, Pipeline) else detector
    absent = [name for name in VERDICT if not hasattr(scorer, name)]
    if absent:
        raise TypeError(
            f"detector must score the labels given to fit; {type(scorer).__name__} "
            f"does not set {', '.join(absent)}. Pass a detector or a robust classifier."
        )
    n_scored = len(scorer.noise_scores_)
    if n_scored != n_samples:
        raise ValueError(
            f"the detector scored {n_scored} rows, but {n_samples} were given; a step "
            "before it must not add or drop rows."
        )
    defined_scores(scorer, scorer.noise_scores_)
    return scorer


def unjudged_rows(scorer: Estimator) -> IntArray:
    """Return the numbers of the rows that a fitted detector could not score.

    Parameters
    ----------
    scorer : estimator
        As `scorer_of` returns it.

    Returns
    -------
    index : ndarray of shape (n_unjudged,), dtype int64
        Its ``unjudged_``; empty for a detector that has no such attribute.
    """
    return np.array(getattr(scorer, "unjudged_", ()), dtype=np.int64)


def scores_are_probabilities(scorer: Estimator) -> bool:
    """Return whether the noise scores of a fitted estimator are probabilities.

    Parameters
    ----------
    scorer : estimator
        Fitted: a detector, a robust classifier, or a pipeline that ends in one.

    Returns
    -------
    flag : bool
        False for estimators of other packages without this attribute.
    """
    scorer = scorer[-1] if isinstance(scorer, Pipeline) else scorer
    return bool(getattr(scorer, "scores_are_probabilities_", False))


def may_be_probabilities(detector: Estimator) -> bool:
    """Return whether the scores of a detector can be probabilities once it is fitted.

    Parameters
    ----------
    detector : estimator
        It need not be fitted. It may be a pipeline that ends in a detector.

    Returns
    -------
    may_be : bool
        True where only the fit tells, as for estimators of other packages, whose
        ``fit`` may set ``scores_are_probabilities_``. One of this package that
        calibrates under some parameters has a method ``_may_calibrate``.
    """
    scorer = detector.steps[-1][1] if isinstance(detector, Pipeline) else detector
    kind = type(scorer)
    if hasattr(kind, "_may_calibrate"):
        return bool(scorer._may_calibrate())
    is_ours = kind.__module__.startswith("sknoisy.")
    # Others do not score labels at all, which is another error.
    return not (is_ours and hasattr(kind, "scores_are_probabilities_"))


def tags_of_part(part: Any) -> Any:
    """Return the tags of a part of an estimator.

    Parameters
    ----------
    part : object
        An object that is not an estimator has the default tags, because tags are
        requested before ``fit`` can refuse the part.

    Returns
    -------
    tags : sklearn.utils.Tags
        Tags of the part.
    """
    is_estimator = hasattr(part, "__sklearn_tags__") and not isinstance(part, type)
    return get_tags(part if is_estimator else BaseEstimator())
