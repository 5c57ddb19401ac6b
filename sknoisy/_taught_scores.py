"""Scores that have learnt from rows whose labels a person has looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import rankdata

from sknoisy._evidence import similarities

if TYPE_CHECKING:
    from sknoisy._evidence import Evidence
    from sknoisy._types import BoolArray, FloatArray, IntArray

__all__ = ["MIN_TO_RANK", "Findings", "taught", "taught_scores"]

# Decisions from which on the other rows are ranked anew; benchmarks/accuracy/review.py
# has the measurements.
MIN_TO_RANK = 50
# What is learnt about rows counts by half with so many decisions, and more with more.
_HALF_TRUST = 50
# Log odds of the detector's scores are bounded.
_LEAST = 1e-4
# Before any decision is seen: deviations of the shift and the stretch of these log odds
# from 0 and 1, and variance of what is learnt about rows. Few decisions change little.
_SHIFT, _STRETCH, _VARIANCE = 1.5, 0.5, 0.5
_LEAST_STRETCH = 0.1
# Share of the untaught order: equal or saturated probabilities keep it.
_ORDER = 1e-6
# Rows whose similarities are computed at a time.
_BLOCK = 10_000


class Findings(NamedTuple):
    """What a detector says of the given labels.

    Attributes
    ----------
    scores : ndarray of shape (n_samples,), dtype float64
    mask : ndarray of shape (n_samples,), dtype bool
    suggested : ndarray of shape (n_samples,), dtype int64
        Codes of labels; the given one where it is not flagged.
    """

    scores: FloatArray
    mask: BoolArray
    suggested: IntArray


def taught(found: Findings, evidence: Evidence, wrong: FloatArray) -> Findings:
    """Return what a detector says once it has learnt from reviewed rows.

    Parameters
    ----------
    found : Findings
        Before.
    evidence : Evidence
    wrong : ndarray of shape (n_samples,), dtype float64
        1 where the label is known to be wrong, 0 where it is known to be right, NaN
        elsewhere.

    Returns
    -------
    found : Findings
        Rows that are known to be wrong have the score 1 and a flag, those that are
        known to be right the score 0 and none. Of the others those are flagged whose
        score is above the one from which on the detector flags as many as it does.
    """
    rows = np.flatnonzero(~np.isnan(wrong))
    is_wrong = wrong[rows] == 1
    scores = taught_scores(found.scores, evidence, rows, is_wrong)
    mask = scores > _cut(found)
    mask[rows] = is_wrong
    has_other = found.suggested != evidence.given
    suggested = np.where(has_other, found.suggested, evidence.likely)
    return Findings(scores, mask, np.where(mask, suggested, evidence.given))


def taught_scores(
    scores: FloatArray, evidence: Evidence, rows: IntArray, wrong: BoolArray
) -> FloatArray:
    """Return scores that follow the decisions on some of the rows.

    It is the most probable logistic regression if its coefficients are normally
    distributed: around 1 for the log odds of the detector's scores, around 0 for
    everything else. With the kernel of `similarities` that is a Gaussian process [1]_
    whose mean is what the detector says. Selection by the ranking needs no weights,
    since the model knows what the rows were selected by.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,), dtype float64
        Of the detector, in [0, 1].
    evidence : Evidence
    rows : ndarray of shape (n_reviewed,), dtype int64
        The reviewed rows.
    wrong : ndarray of shape (n_reviewed,), dtype bool
        Which of their labels are wrong.

    Returns
    -------
    scores : ndarray of shape (n_samples,), dtype float64
        0 and 1 for reviewed rows. With fewer than ``MIN_TO_RANK`` of them, or if all
        are wrong, or all right, the others keep their order.

    References
    ----------
    .. [1] C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine
       Learning", MIT Press, 2006, Section 3.4.
    """
    own = logit(np.clip(scores, _LEAST, 1 - _LEAST))
    columns = np.stack([np.ones(len(rows)), own[rows]], axis=1)
    basis: FloatArray = np.empty((len(rows), 0))
    if len(rows) >= MIN_TO_RANK and 0 < wrong.sum() < len(wrong):
        similar = _VARIANCE * similarities(evidence, rows, rows)
        basis = _basis(similar)
        columns = np.hstack([columns, similar @ basis])
    point = _most_probable(columns, wrong)
    log_odds = point[0] + point[1] * own
    if basis.size:
        trust = len(rows) / (len(rows) + _HALF_TRUST)
        weights = trust * _VARIANCE * basis @ point[2:]
        log_odds = log_odds + _products(evidence, rows, weights)
    place = rankdata(scores) / (len(scores) + 1)
    new = (1 - _ORDER) * expit(log_odds) + _ORDER * place
    new[rows] = wrong
    return new


def _most_probable(columns: FloatArray, wrong: BoolArray) -> FloatArray:
    """Return the coefficients of the regression on the reviewed rows."""
    prior = np.zeros(columns.shape[1])
    prior[1] = 1
    deviation = np.ones_like(prior)
    deviation[:2] = _SHIFT, _STRETCH

    def loss(point: FloatArray) -> tuple[float, FloatArray]:
        margin = columns @ point
        off = (point - prior) / deviation
        value = np.sum(np.logaddexp(0, margin) - wrong * margin) + off @ off / 2
        return float(value), columns.T @ (expit(margin) - wrong) + off / deviation

    bounds: list[tuple[float | None, float | None]] = [(None, None)] * len(prior)
    bounds[1] = (_LEAST_STRETCH, None)
    return minimize(loss, prior, jac=True, bounds=bounds).x


def _basis(similar: FloatArray) -> FloatArray:
    """Return how to make features of similarities to the reviewed rows.

    The products of ``similar @ basis`` are the similarities again.
    """
    values, vectors = np.linalg.eigh(similar)
    is_large = values > 1e-8 * values[-1]
    return vectors[:, is_large] / np.sqrt(values[is_large])


def _products(evidence: Evidence, rows: IntArray, weights: FloatArray) -> FloatArray:
    """Return the sums of weighted similarities to some rows, for all rows."""
    n_rows = len(evidence.given)
    parts = [
        similarities(evidence, np.arange(first, min(first + _BLOCK, n_rows)), rows)
        @ weights
        for first in range(0, n_rows, _BLOCK)
    ]
    return np.concatenate(parts)


def _cut(found: Findings) -> float:
    """Return the score above which there are as many rows as the detector flags."""
    n_flagged = int(found.mask.sum())
    if n_flagged == np.count_nonzero(found.scores > 0.5):
        return 0.5
    ordered = np.sort(found.scores)[::-1]
    above = ordered[n_flagged - 1] if n_flagged else 1.0
    below = ordered[n_flagged] if n_flagged < len(ordered) else 0.0
    return float((above + below) / 2)
