"""Reports that have learnt from decisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from sknoisy._codes import encode_labels
from sknoisy._verdicts import scorer_of
from sknoisy._verified import taught_findings
from sknoisy.cleaning._decisions import class_named

__all__ = ["known_labels", "taught_report"]

_FOUND = {"keep": 0.0, "relabel": 1.0, "exclude": 1.0, "unsure": np.nan}


def known_labels(decisions: Any, n_samples: int) -> NDArray[np.float64]:
    """Return which labels are wrong according to decisions.

    Parameters
    ----------
    decisions : pandas DataFrame
        As `read_decisions` returns them.
    n_samples : int

    Returns
    -------
    wrong : ndarray of shape (n_samples,), dtype float64
        1 for relabel and exclude, 0 for keep, NaN for unsure and all other rows.
    """
    wrong = np.full(n_samples, np.nan)
    wrong[decisions["row"].to_numpy()] = decisions["decision"].map(_FOUND)
    return wrong


def taught_report(report: Any, decisions: Any) -> Any:
    """Return a report whose scores have learnt from decisions.

    Parameters
    ----------
    report : LabelReport
    decisions : pandas DataFrame
        Checked against the rows.

    Returns
    -------
    report : LabelReport

    Raises
    ------
    ValueError
        If the report has no detector.
    """
    if report.detector is None:
        raise ValueError(
            "the report has no fitted detector, from which the evidence about the rows "
            "comes; make it with label_report."
        )
    frame = report.frame.copy()
    _, codes = encode_labels(frame["given_label"], report.classes)
    detector, X = report.detector, report.X
    if report.audited is not None:
        X = report.audited.encoded
    if isinstance(detector, Pipeline) and X is not None:
        X = detector[:-1].transform(X) if len(detector) > 1 else X
    scorer = scorer_of(detector, len(codes))
    found = taught_findings(scorer, X, codes, known_labels(decisions, len(codes)))
    suggested = report.classes[found.suggested]
    names = {str(name): name for name in report.classes}
    for row, name in zip(decisions["row"], decisions["new_label"], strict=True):
        label = class_named(name, names)
        if label is not None:
            suggested[row] = label
    frame["is_label_issue"] = found.mask
    frame["label_quality"] = 1 - found.scores
    frame[report.score_name] = found.scores
    frame["suggested_label"] = suggested
    return replace(report, frame=frame, reviewed=decisions["row"].to_numpy())
