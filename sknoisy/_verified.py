"""``fit(X, y, verified=...)`` of detectors: labels that a person has looked at."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.utils import check_array

from sknoisy._codes import encode_labels
from sknoisy._evidence import evidence_of, numbers_of
from sknoisy._taught_scores import Findings, taught
from sknoisy._validation import check_consistent_length
from sknoisy._verdicts import unjudged_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from sknoisy._evidence import Evidence
    from sknoisy._types import ArrayLike, Estimator, FloatArray, IntArray, Labels

__all__ = [
    "check_verified",
    "evidence_for",
    "findings_of",
    "learns_verified",
    "taught_findings",
]

_LAX: dict[str, Any] = {
    "dtype": np.float64,
    "allow_nd": True,
    "ensure_all_finite": "allow-nan",
    "ensure_min_samples": 0,
    "input_name": "verified",
}
_DOCUMENTED = """\
        verified : array-like of shape (n_samples,), default=None
            What a person found of the labels: 1 where the label is wrong, 0 where it is
            right, -1 or NaN where nobody has looked. The scores learn from it.
"""


def learns_verified(fit: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``fit`` of a detector to learn from labels that a person has looked at.

    Parameters
    ----------
    fit : function

    Returns
    -------
    fit : function
        It has a keyword ``verified``. Without it nothing is different.
    """

    @functools.wraps(fit)
    def fit_and_learn(self, X, y, *args, verified=None, **params):
        vars(self).pop("_untaught", None)
        wrong = None if verified is None else check_verified(verified, y)
        fit(self, X, y, *args, **params)
        if wrong is not None:
            _learn(self, X, y, wrong)
        return self

    own = inspect.signature(fit)
    parameter = inspect.Parameter(
        "verified", inspect.Parameter.KEYWORD_ONLY, default=None
    )
    parameters = list(own.parameters.values())
    n_before = sum(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters)
    parameters.insert(n_before, parameter)
    # Metadata routing and the documentation read these.
    wrapped = cast("Any", fit_and_learn)
    wrapped.__signature__ = own.replace(parameters=parameters)
    head, returns, rest = (fit.__doc__ or "").partition("\n        Returns\n")
    wrapped.__doc__ = head + _DOCUMENTED + returns + rest
    return wrapped


def check_verified(verified: ArrayLike, y: Labels) -> FloatArray:
    """Return what is known of the labels: 1 wrong, 0 right, NaN unknown.

    Raises
    ------
    ValueError
        If there is not one number for each label, or another than -1, 0, 1 and NaN.
    """
    given = np.asarray(check_array(verified, ensure_2d=False, **_LAX), np.float64)
    if given.ndim != 1:
        raise ValueError(
            f"verified must have one number for each label; got shape {given.shape}. "
            "LabelReport.verified makes it of decisions."
        )
    if y is not None:
        check_consistent_length(given, y)
    odd = given[~(np.isin(given, [-1, 0, 1]) | np.isnan(given))]
    if len(odd):
        raise ValueError(
            "verified must be 1 for wrong labels, 0 for right ones, and -1 or NaN for "
            f"others; got {odd[0]:g}."
        )
    return np.where(given == -1, np.nan, given)


def findings_of(scorer: Estimator, codes: IntArray) -> Findings:
    """Return what a fitted detector said before it was taught, in codes.

    Parameters
    ----------
    scorer : estimator
        Fitted.
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.

    Returns
    -------
    found : Findings
    """
    untaught = vars(scorer).get("_untaught")
    if untaught is not None:
        return Findings(*untaught)
    _, suggested = encode_labels(scorer.suggested_labels_, scorer.classes_)
    scores = np.asarray(scorer.noise_scores_, dtype=np.float64)
    return Findings(scores, np.asarray(scorer.noise_mask_, dtype=bool), suggested)


def evidence_for(scorer: Estimator, X: Any, codes: IntArray) -> Evidence:
    """Return what a fitted detector knows of the rows that it was fitted on.

    Parameters
    ----------
    scorer : estimator
        Fitted. If it takes rows that are no numbers, its ``_numbers_of`` makes them.
    X : array-like
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.

    Returns
    -------
    evidence : Evidence
    """
    numbers = getattr(scorer, "_numbers_of", numbers_of)(X)
    return evidence_of(scorer, numbers, codes, findings_of(scorer, codes).suggested)


def taught_findings(
    scorer: Estimator, X: Any, codes: IntArray, wrong: FloatArray
) -> Findings:
    """Return what a fitted detector says once it has learnt from reviewed rows.

    Parameters
    ----------
    scorer : estimator
        Fitted; nothing of it changes.
    X : array-like
        The rows that it was fitted on.
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.
    wrong : ndarray of shape (n_samples,), dtype float64
        As `check_verified` returns it.

    Returns
    -------
    found : Findings
        In ``unjudged_`` rows nothing changes, unless they were reviewed.
    """
    found = findings_of(scorer, codes)
    is_known = ~np.isnan(wrong)
    if not is_known.any():
        return found
    new = taught(found, evidence_for(scorer, X, codes), wrong)
    unjudged = unjudged_rows(scorer)
    unjudged = unjudged[~is_known[unjudged]]
    for before, after in zip(found, new, strict=True):
        after[unjudged] = before[unjudged]
    return new


def _learn(detector: Estimator, X: Any, y: Labels, wrong: FloatArray) -> None:
    """Change the findings of a detector that has just been fitted."""
    _, codes = encode_labels(y, detector.classes_)
    found = findings_of(detector, codes)
    new = taught_findings(detector, X, codes, wrong)
    detector._untaught = tuple(found)
    detector.noise_scores_, detector.noise_mask_ = new.scores, new.mask
    detector.suggested_labels_ = detector.classes_[new.suggested]
