"""The findings of a detector as tables, of which the report page is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array

from sknoisy._codes import encode_labels
from sknoisy.cleaning._audited import Audited

__all__ = ["SCORE_NAMES", "ReportTables", "load_pandas"]

# The column of the scores, by whether they are probabilities.
SCORE_NAMES = {True: "noise_probability", False: "suspicion"}


@dataclass(frozen=True, eq=False, repr=False)
class ReportTables:
    """The findings of a report and the tables derived from them.

    The fields are described in `LabelReport`, which derives from it.
    """

    frame: Any
    classes: np.ndarray
    noise_rate: float
    noise_rate_estimates: dict[str, float]
    scores_are_probabilities: bool
    detector_name: str
    X: Any = None
    y: Any = None
    table: Any = None
    label: str | None = None
    audited: Audited | None = None
    detector: Any = None
    reviewed: np.ndarray | None = None

    @property
    def score_name(self) -> str:
        """Name of the column of scores: "noise_probability" or "suspicion"."""
        return SCORE_NAMES[self.scores_are_probabilities]

    @property
    def confusion(self) -> Any:
        """Counts of given (rows) and suggested labels (columns), a DataFrame."""
        pd = load_pandas()
        return pd.DataFrame(
            self._counts().toarray(),
            index=pd.Index(self.classes, name="given_label"),
            columns=pd.Index(self.classes, name="suggested_label"),
        )

    @property
    def unjudged(self) -> Any:
        """Numbers of the rows whose label occurs once, ndarray of dtype int64."""
        return np.flatnonzero(~self.frame["is_judged"].to_numpy())

    @property
    def by_class(self) -> Any:
        """Rows and flagged rows of each given label, a DataFrame.

        Columns: n_rows, n_flagged, share_flagged, mean_noise_probability or
        mean_suspicion, and top_suggestion, the other label suggested most often (None
        without any).
        """
        pd = load_pandas()
        _, given = encode_labels(self.frame["given_label"], self.classes)
        n_classes = len(self.classes)
        n_rows = np.bincount(given, minlength=n_classes)
        n_flagged = np.bincount(
            given[self.frame["is_label_issue"]], minlength=n_classes
        )
        scores = np.bincount(given, self.frame[self.score_name], n_classes)
        others = self._counts()
        others.setdiag(0)
        has_other, best = others.sum(axis=1) > 0, others.argmax(axis=1)
        names = self.classes.tolist()
        top = [
            names[c] if any_ else None for c, any_ in zip(best, has_other, strict=True)
        ]
        index = pd.Index(self.classes, name="given_label")
        return pd.DataFrame(
            {
                "n_rows": n_rows,
                "n_flagged": n_flagged,
                "share_flagged": n_flagged / n_rows,
                f"mean_{self.score_name}": scores / n_rows,
                # As objects, or numbers beside None turn into floats.
                "top_suggestion": pd.Series(top, index=index, dtype=object),
            },
            index=index,
        )

    def _counts(self):
        """Rows by given and suggested label, sparse: there may be many classes."""
        _, given = encode_labels(self.frame["given_label"], self.classes)
        _, suggested = encode_labels(self.frame["suggested_label"], self.classes)
        ones = np.ones(len(given), dtype=np.int64)
        shape = (len(self.classes), len(self.classes))
        return coo_array((ones, (given, suggested)), shape=shape).tocsr()


def load_pandas():
    """Return the module, or raise an error that says how to install it."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "label_report needs pandas: pip install 'sknoisy[report]'."
        ) from error
    return pd
