"""From a report to decisions, and from decisions to a table: methods of reports."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_scalar

from sknoisy._validation import check_consistent_length
from sknoisy._warning import warn_user
from sknoisy.cleaning._apply import (
    changed_table,
    changes_by_decisions,
    changes_by_score,
    check_labels_of,
    labelled_table,
    names_of_labels,
)
from sknoisy.cleaning._decision_files import read_decisions
from sknoisy.cleaning._decisions import check_rows
from sknoisy.cleaning._notebook import embedded, in_notebook, open_page
from sknoisy.cleaning._report_file import write_text
from sknoisy.cleaning._report_tables import ReportTables
from sknoisy.cleaning._review_content import reasons
from sknoisy.cleaning._review_neighbours import neighbours
from sknoisy.cleaning._review_page import review_page
from sknoisy.cleaning._review_rates import (
    NoiseRateInterval,
    StoppingPoint,
    noise_rate_interval,
    precision_by_score,
    stopping_point,
)
from sknoisy.cleaning._review_sample import review_sample
from sknoisy.cleaning._row_checksums import audit_id, row_checksums
from sknoisy.cleaning._teach import known_labels, taught_report
from sknoisy.cleaning._tools._hugging_face import (
    changed_dataset,
    is_dataset,
    values_by_name,
)

if TYPE_CHECKING:
    import pathlib

    from sknoisy._types import ArrayLike, Path, RandomState

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
        table : pandas or polars DataFrame or datasets.Dataset, default=None
            The table with the labels that were scored. None takes X with the labels as
            a last column if X is a frame, else that column alone; its index then says
            which rows of X are left.
        label : str, default=None
            The column of labels in ``table``.
        decisions : path, pandas DataFrame, list of dict or datasets.Dataset, \
                default=None
            What people decided, as the review page writes it: a CSV or JSON with the
            columns row, row_sha256, given_label, decision, new_label, sample,
            sample_probability and audit_id. Or what annotation tools write, see
            `sknoisy.cleaning.read_decisions`. The decisions are

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
        table : pandas or polars DataFrame or datasets.Dataset
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
        elif not is_dataset(table):
            check_labels_of(table, label, given)
        if is_dataset(table):
            names = values_by_name(table, label, given)
        else:
            names = names_of_labels(table[label], given)
        if action is not None:
            changes = changes_by_score(self, action, above, names)
        else:
            found = self._checked(decisions)
            changes = changes_by_decisions(found, names, allow_new=allow_new_labels)
        if is_dataset(table):
            return changed_dataset(table, label, changes, label_before=label_before)
        return changed_table(table, label, changes, label_before=label_before)

    def review(
        self,
        path: Path | None = None,
        *,
        X: ArrayLike | None = None,
        embeddings: ArrayLike | None = None,
        max_rows: int = 200,
        n_random: int = 100,
        random_state: RandomState = 0,
        name: str | None = None,
        overwrite: bool = False,
        show: bool | None = None,
    ) -> pathlib.Path | Any:
        """Write or show a page on which people decide about labels.

        They use the mouse or the keyboard. ``report.review()`` opens the page in the
        browser, or shows it in the notebook; with a path the page is only written.

        It is one HTML file that loads no other. It shows flagged rows, the most
        suspicious first, and rows drawn at random as by `sample_for_review`. Beside
        each are the nearest rows of the given and of the suggested class, and what is
        usual in these classes. Decisions stay in the browser, under the id of this
        audit, and are downloaded as CSV or JSON for `apply` and `noise_rate_interval`.
        Only the page's own script runs: a content policy holds its hash.

        Parameters
        ----------
        path : str, path-like or None, default=None
            Of the file to write. None is "review.html"; in a notebook that shows the
            page there is no file.
        X : array-like of shape (n_samples, ...), default=None
            What to show of each row, in the order of ``frame``: a frame, a matrix, a
            list of texts, or images of shape (n_samples, C, H, W), (n_samples, H, W, C)
            or (n_samples, H, W). None shows the X that was given to `label_report`, or
            the columns that `audit` read.
        embeddings : array-like of shape (n_samples, ...), default=None
            What to find the nearest rows by, such as features of a network. None takes
            what `audit` gave to the detector; else what is shown: columns and texts are
            encoded, images compared by their pixels.
        max_rows : int >= 0, default=200
            The largest number of flagged rows.
        n_random : int >= 0, default=100
            Number of rows drawn at random. The noise rate can be counted only if there
            are some.
        random_state : int, RandomState instance or None, default=0
            Draws them.
        name : str, default=None
            What was audited, for the title.
        overwrite : bool, default=False
            True replaces an existing file.
        show : bool or None, default=None
            Whether to show the page: in a notebook as the value of the cell, elsewhere
            in a new tab of the browser. None shows it if there is no path.

        Returns
        -------
        page : pathlib.Path or IPython.display.HTML
            The path of the file that was written; in a notebook that shows the page,
            the page in a frame, which the notebook keeps.

        Warns
        -----
        UserWarning
            If there is no browser in which to show the page.

        Raises
        ------
        FileExistsError
            If the file exists and ``overwrite`` is False. It is left unchanged.
        ValueError
            If X or ``embeddings`` have another number of rows, or a number is negative.
        """
        check_scalar(max_rows, "max_rows", Integral, min_val=0)
        check_scalar(n_random, "n_random", Integral, min_val=0)
        X, embeddings = self._for_review(X, embeddings)
        for rows in (X, embeddings):
            if rows is not None:
                check_consistent_length(rows, self.frame)
        is_open = self.frame["is_label_issue"].to_numpy(copy=True)
        is_open[[] if self.reviewed is None else self.reviewed] = False
        n_flagged = int(is_open.sum())
        n_ranked = min(max_rows, n_flagged)
        n_random = n_random if self.reviewed is None else 0
        sample = review_sample(self, n_ranked, n_random, random_state)
        page = review_page(self, sample, X, embeddings, name)
        return self._shown(page, path, overwrite, show)

    @staticmethod
    def _shown(page, path, overwrite, show):
        """Write a page or show it, or both."""
        show = path is None if show is None else show
        is_embedded = show and in_notebook()
        if path is not None or not is_embedded:
            path = write_text("review.html" if path is None else path, page, overwrite)
        if is_embedded:
            return embedded(page)
        if show:
            open_page(path)
        return path

    def _reasons(self, X):
        """Return for each row why it is flagged; "" if it is not."""
        frame = self.frame
        index = np.flatnonzero(frame["is_label_issue"].to_numpy())
        found = np.full(len(frame), "", dtype=object)
        found[index] = reasons(X, index, neighbours(self, index, None))
        found[self.unjudged] = "its label occurs once"
        return found

    def sample_for_review(
        self, n: int = 200, *, share_random: float = 0.5, random_state: RandomState = 0
    ) -> Any:
        """Return rows that people should look at, to correct labels and to count them.

        There are two parts. The first is the top of the ranking: there most labels are
        wrong, so that looking corrects most. But it says nothing of the noise rate,
        since it was chosen for its wrong labels: 90 % of it may be wrong in a table
        with 2 % of wrong labels. The second part is drawn at random from up to five
        strata, which are ranges of the ranking: two of the flagged rows, and the most
        suspicious 10 %, the next 30 % and the last 60 % of the others. From strata
        where wrong and right labels are mixed more rows are drawn. Only this part lets
        `noise_rate_interval` and `flag_precision` say something of all rows.

        Parameters
        ----------
        n : int >= 1, default=200
            Number of rows.
        share_random : float in [0, 1], default=0.5
            Share of rows that are drawn at random.
        random_state : int, RandomState instance or None, default=0
            Draws them.

        Returns
        -------
        sample : pandas DataFrame
            With the index of ``frame``, first the top of the ranking, then the rows
            that were drawn, in random order. A row of both parts is listed only in the
            second. Columns:

            - row: its position, from 0,
            - sample: "rank 3", its place in the ranking, or "stratum 2",
            - sample_probability: the share of the stratum that was drawn; NaN for the
              ranks,
            - given_label, suggested_label, and the score as in ``frame``.

        Raises
        ------
        ValueError
            If a parameter is out of range.
        """
        check_scalar(n, "n", Integral, min_val=1)
        check_scalar(share_random, "share_random", Real, min_val=0, max_val=1)
        n_random = round(n * share_random)
        return review_sample(self, n - n_random, n_random, random_state)

    def noise_rate_interval(
        self, decisions: Path | Any, *, confidence: float = 0.95
    ) -> NoiseRateInterval:
        """Return a confidence interval of the noise rate, from reviewed rows.

        It counts the rows that were drawn at random by `sample_for_review`, and the top
        of the ranking as far as it was reviewed without a gap. A label is wrong if the
        decision is relabel or exclude, right if it is keep. Rows with the decision
        unsure are taken to be wrong as often as the others of their stratum. The
        interval is right for any detector; for a good one it is narrower. It is about
        what the reviewers say: their mistakes are not part of it.

        Parameters
        ----------
        decisions : path, pandas DataFrame or list of dict
            As for `apply`, with the column sample.
        confidence : float in (0, 1), default=0.95
            Share of such intervals that contain the rate.

        Returns
        -------
        interval : NoiseRateInterval
            With the attributes estimate, low, high, confidence, n_reviewed, n_wrong
            and n_unsure.

        Warns
        -----
        UserWarning
            If rows of the random sample have no decision. If they were left out because
            they are difficult, the interval is wrong.

        Raises
        ------
        ValueError
            If no row was drawn at random, or none of a stratum was reviewed, or the
            decisions are not valid or are about another audit.

        References
        ----------
        .. [1] X. Yan, X. G. Su. Stratified Wilson and Newcombe confidence intervals for
           multiple binomial proportions. Statistics in Biopharmaceutical Research 2(3),
           2010.
        """
        self._check_confidence(confidence)
        found = self._of_this_audit(decisions)
        interval, n_missing = noise_rate_interval(self, found, confidence)
        if n_missing:
            warn_user(
                f"{n_missing} row(s) of the random sample have no decision. They are "
                "taken to be wrong as often as the others; review them too."
            )
        return interval

    def flag_precision(
        self,
        decisions: Path | Any,
        *,
        min_scores: ArrayLike | None = None,
        confidence: float = 0.95,
    ) -> Any:
        """Return the share of flagged labels that are wrong, by the least score.

        Parameters
        ----------
        decisions : path, pandas DataFrame or list of dict
            As for `noise_rate_interval`.
        min_scores : array-like of shape (n_levels,), default=None
            Scores from which flagged rows are counted. None takes ten, each of which
            adds a tenth of the flagged rows.
        confidence : float in (0, 1), default=0.95
            Of the intervals, each for itself.

        Returns
        -------
        table : pandas DataFrame
            A line for each score. Columns: min_score, n_flagged (flagged rows with at
            least this score), n_reviewed (those of them that count), precision (the
            share of wrong labels), and its interval low and high. NaN where none was
            reviewed. Rows that were all reviewed need no interval: both ends are the
            precision.

        Raises
        ------
        ValueError
            If the decisions are not valid or are about another audit.
        """
        self._check_confidence(confidence)
        if min_scores is not None:
            min_scores = np.asarray(min_scores, dtype=np.float64).ravel()
        found = self._of_this_audit(decisions)
        return precision_by_score(self, found, min_scores, confidence)

    def stopping_point(
        self, decisions: Path | Any, *, window: int = 50, worth: float = 0.1
    ) -> StoppingPoint:
        """Return how often the last reviewed labels of the ranking were wrong.

        Parameters
        ----------
        decisions : path, pandas DataFrame or list of dict
            As for `apply`. Those count that are about the top of the ranking, up to the
            first row without a decision.
        window : int >= 1, default=50
            How many rows are the last ones. Rows with the decision unsure do not count.
        worth : float in [0, 1], default=0.1
            Share of wrong labels up to which looking on is no longer worth the work.

        Returns
        -------
        point : StoppingPoint
            Its text is like "of the last 50, 3 were wrong; rank 180 was a point to
            stop". Attributes: n_reviewed, n_last, n_wrong, and rank: the first rank at
            which the share was no larger than ``worth``, or None.

        Raises
        ------
        ValueError
            If a parameter is out of range, or the decisions are not valid or are about
            another audit.
        """
        check_scalar(window, "window", Integral, min_val=1)
        check_scalar(worth, "worth", Real, min_val=0, max_val=1)
        return stopping_point(self, self._of_this_audit(decisions), window, worth)

    def teach(self, decisions: Path | Any) -> Any:
        """Return a report whose scores have learnt from decisions.

        Nothing is fitted again: what the detector knows of the reviewed rows tells
        which of the others are like those that were wrong.

        - Rows whose decision is relabel or exclude have the score 1 and a flag, and the
          new label as suggestion, if the data have it; with keep the score 0 and none.
        - The other scores follow the decisions: they rise if more of the reviewed
          labels were wrong than the detector said, and fall if fewer were. With fewer
          than 50 right or wrong labels their order stays.
        - From 50 on the other rows are ranked anew, which pays where wrong labels have
          a system that the detector cannot see.

        Parameters
        ----------
        decisions : path, pandas DataFrame or list of dict
            As for `apply`: all decisions so far, also those that a report before has
            learnt from. They may be about any rows. Those with unsure teach nothing.

        Returns
        -------
        report : LabelReport
            Another one. Its pages and samples leave out the rows with a decision, and
            have no random part: for the noise rate ask the report before. Its estimates
            of the rate are those of the detector.

        Raises
        ------
        ValueError
            If the decisions are not valid or are about other rows, or there is no
            detector.
        """
        return taught_report(self, self._checked(decisions))

    def verified(self, decisions: Path | Any) -> NDArray[np.float64]:
        """Return which labels are right or wrong, for ``fit(X, y, verified=...)``.

        Parameters
        ----------
        decisions : path, pandas DataFrame or list of dict
            As for `apply`.

        Returns
        -------
        verified : ndarray of shape (n_samples,), dtype float64
            1 where the decision is relabel or exclude, 0 where it is keep, NaN
            elsewhere.

        Raises
        ------
        ValueError
            If the decisions are not valid or are about other rows.
        """
        return known_labels(self._checked(decisions), len(self.frame))

    @staticmethod
    def _check_confidence(confidence):
        check_scalar(
            *(confidence, "confidence", Real),
            min_val=0,
            max_val=1,
            include_boundaries="neither",
        )

    def _of_this_audit(self, decisions):
        found = self._checked(decisions)
        own = self.audit_id
        for other in found["audit_id"].unique():
            if other not in ("", own):
                raise ValueError(
                    f"the decisions are from the audit {other}, but this report is "
                    f"{own}: its ranking and its strata may differ."
                )
        return found

    def _check_apply(self, table, label, decisions, action, above):
        if (decisions is None) == (action is None):
            raise ValueError("pass either decisions or action.")
        if action is not None and action not in _ACTIONS:
            raise ValueError(f"action must be 'drop' or 'relabel'; got {action!r}.")
        if above is not None and action is None:
            raise ValueError("above is for action='drop' or 'relabel', not decisions.")
        if (table is None) != (label is None):
            raise ValueError("pass both table and label, its column of labels.")

    def _for_review(self, X: Any, embeddings: Any) -> tuple[Any, Any]:
        """Return what to show of the rows, and what to compare them by."""
        audited = self.audited
        if X is None and audited is not None:
            X = audited.read
            embeddings = audited.encoded if embeddings is None else embeddings
        return self.X if X is None else X, embeddings

    def _contents(self) -> tuple[Any, Any]:
        """Return what the checksums are of: rows, and labels unless rows have them."""
        if self.table is not None:
            return self.table, None
        return self.X, self.frame["given_label"].to_numpy()

    def _checked(self, decisions):
        found = read_decisions(decisions, report=self)
        given = self.frame["given_label"].to_numpy()
        check_rows(found, *self._contents(), given, "the data")
        return found
