"""Verdicts on labels: made from scores, and read off an estimator of any origin."""

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
    "scorer_of",
    "scores_are_probabilities",
    "suggest_labels",
    "tags_of_part",
    "unjudged_rows",
]

# What every estimator sets that scores the labels it was given.
VERDICT = ("noise_scores_", "noise_mask_", "noise_rate_", "suggested_labels_")


def defined_scores(estimator: Estimator, scores: ArrayLike) -> FloatArray:
    """Return noise scores as an array, if they are all numbers.

    Parameters
    ----------
    estimator : estimator
        Whose scores they are, to name it.
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
            f"{len(scores)} rows, first for row {undefined.argmax()}: what it goes by "
            "is infinite or NaN there. Standardise X; lower lr if it trains a network."
        )
    return scores


def suggest_labels(proba: Array, codes: IntArray, mask: BoolArray) -> IntArray:
    """Return the label code that each row should have.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Class probabilities, of any scale.
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.
    mask : ndarray of shape (n_samples,), dtype bool
        Flagged.

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
    """Return the part of a fitted detector that holds its verdict on the labels.

    Parameters
    ----------
    detector : estimator
        Fitted: a detector, a robust classifier, or a pipeline that ends in one.
    n_samples : int
        Rows that were given to ``fit``.

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
    """Return whether the scores of what scored labels are probabilities.

    Parameters
    ----------
    scorer : estimator
        Fitted: a detector, a robust classifier, or a pipeline that ends in one.

    Returns
    -------
    flag : bool
        False for an estimator of another origin that does not say.
    """
    scorer = scorer[-1] if isinstance(scorer, Pipeline) else scorer
    return bool(getattr(scorer, "scores_are_probabilities_", False))


def tags_of_part(part: Any) -> Any:
    """Return the tags of an estimator that another one holds.

    Parameters
    ----------
    part : object
        What is no estimator has the tags of one that promises nothing: the owner is
        asked for its tags before its ``fit`` can refuse the part.

    Returns
    -------
    tags : sklearn.utils.Tags
        Those of the part.
    """
    is_estimator = hasattr(part, "__sklearn_tags__") and not isinstance(part, type)
    return get_tags(part if is_estimator else BaseEstimator())
