"""A report, and the answers of people in the files of annotation tools."""

import numpy as np
import pandas as pd
from known_detector import KnownDetector

from sknoisy import label_report

# What breaks files: separators, quotes, line ends, markup, formulas, other alphabets.
ODD = ["=1+2, or 'so'", 'two\nlines, "quoted" & <b>', "größer\u2028雪", "#1"]
SCORES = np.array([0.1, 0.95, 0.6, 0.25, 0.0, 0.7, 0.3, 0.4])
# The answers: by row the code of the label; None skips, and rows left out are open.
ANSWERS = {1: 2, 2: 2, 3: 3, 5: 1, 0: None}


def report_of(classes, X=None):
    """Return a report of eight rows, whose labels are the classes in turn."""
    y = np.array([classes[i % 4] for i in range(8)], dtype=np.array(classes).dtype)
    if X is None:
        X = pd.DataFrame({"size": SCORES, "id": ["=x", None, "a,b", 'q"'] * 2})
    return label_report(KnownDetector(SCORES), X, y)


def expected_of(report, classes):
    """Return the columns row, decision and new_label that the answers stand for."""
    found = []
    for row, code in sorted(ANSWERS.items()):
        kind = "unsure" if code is None else "keep" if code == row % 4 else "relabel"
        found.append([row, kind, str(classes[code]) if kind == "relabel" else ""])
    return found


def said(decisions):
    """Return what decisions say."""
    return decisions[["row", "decision", "new_label"]].to_numpy().tolist()


def row_of(row=5, **more):
    """Return what a task carries of a row."""
    return {"row": row, "row_sha256": "5f0c", "given_label": "ham"} | more
