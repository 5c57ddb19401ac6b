"""Estimates of the share of wrong labels, and their range in words.

They have no confidence interval: one based on the number of rows would ignore the
larger error, that of the detector, and cover the truth far too rarely. The interval in
`_review_rates` counts rows that people reviewed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CAVEAT",
    "rate_estimates",
    "rate_in_words",
]

CAVEAT = (
    "people or rules that err in a systematic way make this too low, classes that are "
    "hard to tell apart can make it too high"
)


def rate_estimates(scorer: Any, codes: NDArray[np.int64]) -> dict[str, float]:
    """Return several estimates of the share of wrong labels.

    Parameters
    ----------
    scorer : estimator
        Fitted. If it holds a ``detector_``, that one is used, since the rows that it
        drops may depend on a budget.
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.

    Returns
    -------
    estimates : dict of str to float
        In [0, 1], by a name that says what is counted.
    """
    inner = getattr(scorer, "detector_", None)
    if inner is not None:
        return rate_estimates(_last_step(inner), codes)
    estimates = _own_estimates(scorer, codes)
    for name, part in getattr(scorer, "detectors_", ()):
        for words, rate in _own_estimates(_last_step(part), codes).items():
            estimates[f"{words}, {name}"] = rate
    return estimates


def _own_estimates(scorer: Any, codes: NDArray[np.int64]) -> dict[str, float]:
    estimates = {
        "flagged labels": float(np.mean(scorer.noise_mask_)),
        "the detector's estimate": float(scorer.noise_rate_),
    }
    proba = getattr(scorer, "pred_probs_", None)
    if proba is not None and len(proba) == len(codes):
        other = np.asarray(proba).argmax(axis=1) != codes
        estimates["labels predicted otherwise"] = float(other.mean())
    return {name: rate for name, rate in estimates.items() if np.isfinite(rate)}


def rate_in_words(estimates: Mapping[str, float]) -> str:
    """Return the range of some estimates as a phrase.

    Parameters
    ----------
    estimates : mapping of str to float
        At least one.

    Returns
    -------
    text : str
        Such as "between 4.8% (flagged labels) and 14% (the detector's estimate),
        depending on how it is estimated".
    """
    least = min(estimates, key=estimates.__getitem__)
    most = max(estimates, key=estimates.__getitem__)
    low, high = _percent(estimates[least]), _percent(estimates[most])
    if low == high:
        return f"about {low}, as the detector estimates it"
    return (
        f"between {low} ({least}) and {high} ({most}), depending on how it is estimated"
    )


def _percent(share: float) -> str:
    # More digits would suggest a precision that no estimate has.
    return f"{share:.0%}" if share >= 0.095 else f"{share:.1%}"


def _last_step(detector: Any) -> Any:
    steps = getattr(detector, "steps", None)
    return steps[-1][1] if steps else detector
