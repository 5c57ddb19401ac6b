"""From a report to decisions, and from decisions to a table: methods of reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sknoisy.cleaning._apply import (
    changed_table,
    changes_by_decisions,
    changes_by_score,
    check_labels_of,
    labelled_table,
    names_of_labels,
)
from sknoisy.cleaning._decisions import check_rows, read_decisions
from sknoisy.cleaning._report_tables import ReportTables
from sknoisy.cleaning._row_checksums import audit_id, row_checksums

if TYPE_CHECKING:
    from sknoisy._types import Path

__all__ = ["ReviewMethods"]

_ACTIONS = ("drop", "relabel")


class ReviewMethods(ReportTables):
    """Methods of `LabelReport` for the time after the audit."""

    @property
    def audit_id(self) -> str:
        """What tells this audit from others: 16 hexadecimal digits.

        They depend on the given labels, the scores and the flags.

        Returns
        -------
        id : str
        """
        frame = self.frame
        return audit_id(
            frame["given_label"].to_numpy(),
            frame[self.score_name].to_numpy(),
            frame["is_label_issue"].to_numpy(),
        )

    def row_checksums(self, index: NDArray[np.int64]) -> list[str]:
        """Return the checksums of some rows, as decisions have them.

        Parameters
        ----------
        index : ndarray of shape (n_rows,), dtype int64
            Positions of the rows.

        Returns
        -------
        checksums : list of str
            SHA-256 of the cells of each row, in 64 hexadecimal digits.
        """
        return row_checksums(*self._contents(), np.asarray(index, dtype=np.int64))

    def apply(
        self,
        table: Any = None,
        label: str | None = None,
        *,
        decisions: Path | Any = None,
        action: str | None = None,
        above: float | None = None,
        label_before: bool = False,
        allow_new_labels: bool = False,
    ) -> Any:
        """Return the table with changed labels, by decisions or by the scores.

        Nothing is changed in place. Columns and rows keep their order, and labels their
        kind.

        Parameters
        ----------
        table : pandas or polars DataFrame, default=None
            The table with the labels that were scored. None takes X with the labels as
            a last column if X is a frame, else that column alone; its index then says
            which rows of X are left.
        label : str, default=None
            The column of labels in ``table``.
        decisions : path, pandas DataFrame or list of dict, default=None
            What people decided, as the review page writes it: a CSV or JSON with the
            columns row, row_sha256, given_label, decision, new_label, sample,
            sample_probability and audit_id. The decisions are

            - keep, or unsure: the label stays,
            - relabel: the label becomes new_label,
            - exclude: the row is dropped.

            Rows are counted from 0. Each must still be the row that was reviewed.
        action : {"drop", "relabel"}, default=None
            Instead of decisions: drop flagged rows, or take the suggested labels.
        above : float, default=None
            With ``action``: only flagged rows with a score above it. None takes all
            flagged rows.
        label_before : bool, default=False
            True adds a last column "sknoisy_label_before" with the given labels.
        allow_new_labels : bool, default=False
            True lets decisions give a label that no row has; labels must be strings.

        Returns
        -------
        table : pandas or polars DataFrame
            A copy, of the same kind.

        Raises
        ------
        ValueError
            If there are both decisions and an action or neither, the decisions are not
            valid or are about other rows, or the table has other labels.
        OSError
            If the file of decisions cannot be read.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sknoisy import ConfidentLearningDetector, label_report
        >>> data = pd.DataFrame({"size": [1, 2, 1, 2, 1, 8, 9, 8, 9, 8] * 5})
        >>> data["kind"] = ["ant" if size < 5 else "bee" for size in data["size"]]
        >>> data.loc[3, "kind"] = "bee"
        >>> detector = ConfidentLearningDetector(LogisticRegression(), random_state=0)
        >>> report = label_report(detector, data[["size"]], data["kind"])
        >>> report.apply(action="relabel").loc[[2, 3, 5], "kind"].tolist()
        ['ant', 'ant', 'bee']
        """
        self._check_apply(table, label, decisions, action, above)
        given = self.frame["given_label"].to_numpy()
        if table is None or label is None:
            table, label = labelled_table(self)
        else:
            check_labels_of(table, label, given)
        names = names_of_labels(table[label], given)
        if action is not None:
            changes = changes_by_score(self, action, above, names)
        else:
            found = self._checked(decisions)
            changes = changes_by_decisions(found, names, allow_new=allow_new_labels)
        return changed_table(table, label, changes, label_before=label_before)

    def _check_apply(self, table, label, decisions, action, above):
        if (decisions is None) == (action is None):
            raise ValueError("pass either decisions or action.")
        if action is not None and action not in _ACTIONS:
            raise ValueError(f"action must be 'drop' or 'relabel'; got {action!r}.")
        if above is not None and action is None:
            raise ValueError("above is for action='drop' or 'relabel', not decisions.")
        if (table is None) != (label is None):
            raise ValueError("pass both table and label, its column of labels.")

    def _contents(self) -> tuple[Any, Any]:
        """Return what the checksums are of: rows, and labels unless rows have them."""
        if self.table is not None:
            return self.table, None
        return self.X, self.frame["given_label"].to_numpy()

    def _checked(self, decisions):
        found = read_decisions(decisions)
        given = self.frame["given_label"].to_numpy()
        check_rows(found, *self._contents(), given, "the data")
        return found
