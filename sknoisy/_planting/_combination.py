"""Weigh detectors by how well they find planted labels, and add up their scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.base import BaseEstimator

from sknoisy._planting._posterior import guessed_transition, wrong_given_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    Voters = Sequence[tuple[float, "Verdict"]]

__all__ = [
    "Verdict",
    "combination_weights",
    "combined_scores",
    "mean_probabilities",
    "normal_scores",
]

# Penalty on the squared weights: two identical detectors share the weight.
_PENALTY = 1e-3
# Weight of what the noise rates of the classes tell, next to all detectors together.
_CLASS_WEIGHT = 0.5


@dataclass
class Verdict:
    """Scores, flags and suggestions of a candidate for the labels it was fitted on.

    Attributes
    ----------
    scores : ndarray of shape (n_samples,), dtype float64
    mask : ndarray of shape (n_samples,), dtype bool
    noise_rate : float
    suggested : ndarray of shape (n_samples,), dtype int64
        Codes.
    seconds : float
        Time of the fit.
    proba : ndarray of shape (n_samples, n_classes) or None
        Probabilities or votes for the classes, of rows that were held out, if any.
    detector : estimator or None
        Fitted; None in a round.
    """

    scores: NDArray[np.float64]
    mask: NDArray[np.bool_]
    noise_rate: float
    suggested: NDArray[np.int64]
    seconds: float
    proba: NDArray[np.floating] | None
    detector: BaseEstimator | None


def normal_scores(
    scores: NDArray[np.float64], reference: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Replace scores by the normal quantiles of their ranks among some rows.

    Scores of different detectors have nothing in common but their order.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
    reference : ndarray of shape (n_samples,), dtype bool
        The rows to be ranked among, at least one. Other rows get the place that they
        would have among them.

    Returns
    -------
    quantiles : ndarray of shape (n_samples,), dtype float64
        Equal scores share a place.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._combination import normal_scores
    >>> scores = np.array([0.1, 0.2, 0.9, 0.2])
    >>> normal_scores(scores, np.array([True, True, True, False])).round(2).tolist()
    [-0.67, 0.0, 0.67, 0.0]
    """
    ordered = np.sort(scores[reference])
    below = np.searchsorted(ordered, scores, "left")
    up_to = np.searchsorted(ordered, scores, "right")
    place = (below + up_to + 1) / (2 * (len(ordered) + 1))
    return norm.ppf(place)


def combination_weights(
    features: NDArray[np.float64],
    planted: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the weights of the detectors, by a non-negative logistic regression.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_detectors)
        Scores on a common scale, larger = more suspicious.
    planted : ndarray of shape (n_rows,), dtype bool
        What they should tell; some rows are, some are not.

    Returns
    -------
    weights : ndarray of shape (n_detectors,), dtype float64
        They add up to 1. All alike if no detector tells anything.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._combination import combination_weights
    >>> rng = np.random.default_rng(0)
    >>> planted = np.arange(9000) < 900
    >>> good, poor = 2 * planted + rng.normal(size=(2, 9000))
    >>> useless = rng.normal(size=9000)
    >>> features = np.stack([good, poor, useless, -good], axis=1)
    >>> combination_weights(features, planted).round(1).tolist()
    [0.5, 0.5, 0.0, 0.0]
    """
    n_rows, n_detectors = features.shape

    def loss_and_gradient(
        point: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64]]:
        weights, intercept = point[:-1], point[-1]
        margin = features @ weights + intercept
        loss = np.mean(np.logaddexp(0, margin) - planted * margin)
        residual = (expit(margin) - planted) / n_rows
        gradient = features.T @ residual + _PENALTY * weights
        penalty = _PENALTY / 2 * weights @ weights
        return float(loss + penalty), np.append(gradient, residual.sum())

    start = np.append(np.full(n_detectors, 1 / n_detectors), logit(planted.mean()))
    bounds = [(0, None)] * n_detectors + [(None, None)]
    found = minimize(loss_and_gradient, start, jac=True, bounds=bounds)
    weights = found.x[:-1]
    if weights.sum() < 1e-6:
        return np.full(n_detectors, 1 / n_detectors)
    return weights / weights.sum()


def combined_scores(
    voters: Voters,
    codes: NDArray[np.int64],
    reference: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Add up the scores of detectors, and what the noise rates of the classes tell.

    Parameters
    ----------
    voters : list of (float, Verdict) pairs
        The weights and verdicts of detectors.
    codes : ndarray of shape (n_samples,), dtype int64
        The labels that were scored.
    reference : ndarray of shape (n_samples,), dtype bool
        The rows to be ranked among.

    Returns
    -------
    total : ndarray of shape (n_samples,), dtype float64
        Normal scores, of no particular scale.
    """
    total = np.zeros(len(codes))
    for weight, verdict in voters:
        total += weight * normal_scores(verdict.scores, reference)
    proba = mean_probabilities(voters)
    if proba is None:
        return total
    wrong = wrong_given_class(proba, codes, guessed_transition(proba, codes))
    return total + _CLASS_WEIGHT * normal_scores(wrong, reference)


def mean_probabilities(voters: Voters) -> NDArray[np.float64] | None:
    """Return the weighted mean of the probabilities of the classes.

    Parameters
    ----------
    voters : list of (float, Verdict) pairs

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes), dtype float64, or None
        None if nobody has any.
    """
    total, all_weights = None, 0.0
    for weight, verdict in voters:
        if verdict.proba is not None:
            proba = np.maximum(np.nan_to_num(verdict.proba), 1e-12)
            proba = weight * (proba / proba.sum(1, keepdims=True))
            total = proba if total is None else total + proba
            all_weights += weight
    return None if total is None else total / all_weights
