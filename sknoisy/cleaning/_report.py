"""The findings of a detector, as a table and as an HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_scalar

from sknoisy._codes import encode_labels
from sknoisy._frame_on_disk import FrameOnDisk
from sknoisy._rows import refuse_no_rows
from sknoisy._validation import check_consistent_length
from sknoisy._verdicts import scorer_of, scores_are_probabilities, unjudged_rows
from sknoisy._warning import warn_user
from sknoisy.cleaning._exchange import ExchangeMethods
from sknoisy.cleaning._flagged_csv import write_flagged
from sknoisy.cleaning._report_csv import (
    csv_text,
    named_index,
    original_columns,
    without_formulas,
)
from sknoisy.cleaning._report_file import write_text
from sknoisy.cleaning._report_page import full_page, notebook_fragment
from sknoisy.cleaning._report_rates import rate_estimates
from sknoisy.cleaning._report_tables import SCORE_NAMES, load_pandas

if TYPE_CHECKING:
    import pathlib

    from sknoisy._types import ArrayLike, Estimator, Labels, Path

__all__ = ["LabelReport", "label_report"]


def label_report(
    detector: Estimator, X: ArrayLike, y: Labels, *, confidence: Any = "deprecated"
) -> LabelReport:
    """Return a report of the labels that a detector finds suspicious.

    Parameters
    ----------
    detector : estimator
        Detector or robust classifier, or a scikit-learn pipeline that ends in one.
        If it is fitted on these rows, it is used as it is. Otherwise a clone is fitted.
        It counts as fitted on these rows if it has scored as many rows, and the labels
        that it did not flag are those of y.
    X : array-like of shape (n_samples, ...)
        Any X that the detector accepts. None if the detector is fitted and the page
        should show no features.
    y : array-like of shape (n_samples,)
        The given labels, of any kind.
    confidence : float, default="deprecated"
        Has no effect: the report no longer has an interval of the noise rate.

        .. deprecated:: 0.2
            It will be removed in 0.3.

    Returns
    -------
    report : LabelReport
        With a row for each row of X.

    Raises
    ------
    ValueError
        If X and y differ in length, a label is missing, or X is None although the
        detector must be fitted.
    TypeError
        If ``detector`` does not score labels.
    ImportError
        If pandas is not installed.

    See Also
    --------
    CleanedClassifier : Clean the labels, then fit a classifier.
    noise_report : Table of wrong labels where the true ones are known.

    Notes
    -----
    A detector alone gives no confidence interval of the noise rate, because one based
    on the number of rows would ignore the larger error, that of the detector. The
    report gives the range of several estimates instead. With systematic mistakes by
    people or rules, all of them are too low. To measure the rate, review the rows of
    `LabelReport.sample_for_review`; `LabelReport.noise_rate_interval` counts them.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sknoisy import LossMixtureDetector, SymmetricNoiseInjector, label_report
    >>> X, y = load_digits(return_X_y=True)
    >>> X, y_noisy = SymmetricNoiseInjector(0.2, random_state=0).fit_resample(X / 16, y)
    >>> detector = LossMixtureDetector(LogisticRegression(C=0.1), random_state=0)
    >>> report = label_report(detector, X, y_noisy)
    >>> report
    LabelReport(1797 rows, 10 classes, 444 flagged, noise rate between 0.25 and 0.28)
    >>> report.frame.loc[0, ["given_label", "suggested_label"]].tolist()
    [0, 0]
    """
    pd = load_pandas()
    if confidence != "deprecated":
        warn_user(
            "confidence has no effect and will be removed in 0.3: the report has no "
            "interval of the noise rate any more.",
            FutureWarning,
        )
    classes, codes = encode_labels(y)
    if not len(codes):
        raise ValueError("y is empty; a report needs at least one row.")
    given = classes[codes]
    if X is not None:
        refuse_no_rows(X)
        check_consistent_length(X, codes)
    if not _is_fitted_on(detector, given):
        if X is None:
            raise ValueError(
                "X is None, but the detector must be fitted: it has not scored these "
                "labels yet. Pass X, or fit the detector first."
            )
        detector = clone(detector).fit(X, y)
    scorer = scorer_of(detector, len(given))
    scores = np.array(scorer.noise_scores_, dtype=np.float64)
    suggested = np.array(scorer.suggested_labels_)
    is_judged = np.ones(len(given), dtype=bool)
    is_judged[unjudged_rows(scorer)] = False
    frame = pd.DataFrame(
        {
            "is_label_issue": np.array(scorer.noise_mask_, dtype=bool),
            "label_quality": 1 - scores,
            "given_label": given,
            "predicted_label": _predicted(scorer, suggested, is_judged),
            SCORE_NAMES[scores_are_probabilities(scorer)]: scores,
            "suggested_label": suggested,
            "is_judged": is_judged,
        },
        index=_index_of(X, y),
    )
    return LabelReport(
        frame=frame,
        classes=classes,
        noise_rate=float(scorer.noise_rate_),
        noise_rate_estimates=rate_estimates(scorer, codes),
        scores_are_probabilities=scores_are_probabilities(scorer),
        detector_name=type(scorer).__name__,
        X=X,
        y=y,
        detector=detector,
    )


@dataclass(frozen=True, eq=False, repr=False)
class LabelReport(ExchangeMethods):
    """The findings of a detector, as returned by `label_report`.

    A notebook shows its summary, its classes and the ten most suspicious rows.

    Parameters
    ----------
    frame : pandas DataFrame of shape (n_samples, 7)
        One row for each row of X, in its order, with the index of X, or else of y, if
        it has one. Columns, the first four as in cleanlab:

        - is_label_issue: whether the label is flagged as wrong,
        - label_quality: 1 minus the score, larger = better,
        - given_label: the label in y,
        - predicted_label: the most probable class where the detector keeps class
          probabilities (``pred_probs_``), else as suggested_label,
        - noise_probability, or suspicion: the score, which is the detector's
          ``noise_scores_``, larger = more suspicious. It is called a probability if
          ``scores_are_probabilities_`` of the detector is True; a suspicion is only an
          order,
        - suggested_label: the detector's suggestion; the given label where it is not
          flagged,
        - is_judged: False where the label occurs only once, so that it could not be
          scored.
    classes : ndarray of shape (n_classes,)
        The sorted labels.
    noise_rate : float
        The detector's estimate of the share of wrong labels.
    noise_rate_estimates : dict of str to float
        That estimate and others, by what was counted: the flagged labels, those that
        the detector's class probabilities contradict, and the same for each detector of
        a combination.
    scores_are_probabilities : bool
        Whether the scores are probabilities of a wrong label.
    detector_name : str
        The class of the detector.
    X : array-like of shape (n_samples, ...) or None
        The X given to `label_report`, not copied.
    y : array-like of shape (n_samples,) or None, default=None
        The y given to `label_report`, not copied.
    table : DataFrame or None, default=None
        The whole table that was audited, with its labels; None if there is only X and
        y. Set by `audit`.
    label : str or None, default=None
        The column of labels of ``table``.
    audited : object or None, default=None
        What `audit` read and used: ``source``; ``columns``, the names of those of each
        kind; ``left_out``, why others are not used; ``notes``; ``encoded``, what the
        detector got; ``detector``, fitted. None if the report is of `label_report`.
    detector : estimator or None, default=None
        The fitted detector, or the pipeline that ends in it.
    reviewed : ndarray of shape (n_reviewed,), dtype int64, or None, default=None
        The rows with a decision, of a report that has learnt from decisions by
        `LabelReport.teach`.

    See Also
    --------
    label_report : Make one from a detector, X and y.
    audit : Make one from a table, a file or images.
    """

    def to_html(
        self,
        path: Path,
        *,
        X: ArrayLike | None = None,
        max_rows: int = 50,
        overwrite: bool = False,
    ) -> pathlib.Path:
        """Write one self-contained HTML page.

        It has a summary, the counts of given and suggested labels, a table of the
        classes, and the most suspicious rows with their features, texts or images.
        It loads no other file and runs no script.

        Parameters
        ----------
        path : str or path-like
            Of the file to write, such as "report.html".
        X : array-like of shape (n_samples, ...), default=None
            What to show of each row, in the order of ``frame``: a frame, a matrix, a
            list of texts, or images of shape (n_samples, C, H, W), (n_samples, H, W, C)
            or (n_samples, H, W). None shows the X that was given to `label_report`;
            pass texts or unscaled columns if the detector saw something else.
        max_rows : int >= 0, default=50
            Suspicious rows to show.
        overwrite : bool, default=False
            True replaces an existing file.

        Returns
        -------
        path : pathlib.Path
            Of the file that was written.

        Raises
        ------
        FileExistsError
            If the file exists and ``overwrite`` is False. It is left unchanged.
        ValueError
            If X has another number of rows, ``max_rows`` is negative, or the path is
            that of a device, a FIFO or a folder.
        """
        check_scalar(max_rows, "max_rows", Integral, min_val=0)
        X = self.X if X is None else X
        if X is not None:
            check_consistent_length(X, self.frame)
        return write_text(path, full_page(self, self._counts(), X, max_rows), overwrite)

    def to_csv(
        self,
        path: Path,
        *,
        X: ArrayLike | None = None,
        escape_formulas: bool = True,
        overwrite: bool = False,
    ) -> pathlib.Path:
        """Write all rows as CSV in UTF-8, the most suspicious first.

        The index of ``frame`` comes first, as "row" if it has no name.

        Parameters
        ----------
        path : str or path-like
            Of the file to write, such as "issues.csv".
        X : pandas or polars DataFrame of shape (n_samples, n_columns), default=None
            Adds a column "reason", which says what is unusual in flagged rows, and
            these columns. A column whose name is taken gets the ending "_in_table".
            Of a table that `audit` left on disk, the flagged rows alone are written.
        escape_formulas : bool, default=True
            True writes a ``'`` in front of texts that begin with ``=``, ``+``, ``-``,
            ``@``, a tab or a carriage return, and of such names of columns: a
            spreadsheet would run them as formulas. Numbers stay as they are, those
            that are written as text too. False writes every text unchanged.
        overwrite : bool, default=False
            True replaces an existing file.

        Returns
        -------
        path : pathlib.Path
            Of the file that was written.

        Raises
        ------
        FileExistsError
            If the file exists and ``overwrite`` is False. It is left unchanged.
        ValueError
            If X has another number of rows.
        TypeError
            If X is no frame.
        """
        if isinstance(X, FrameOnDisk):
            check_consistent_length(X, self.frame)
            return write_flagged(self, X, path, escape_formulas, overwrite)
        order = np.argsort(-self.frame[self.score_name].to_numpy(), kind="stable")
        rows = named_index(self.frame.iloc[order])
        # Not reset_index: a level may have the name of a column.
        levels = rows.index.to_frame(index=False)
        parts = [levels, rows.reset_index(drop=True)]
        if X is not None:
            check_consistent_length(X, self.frame)
            taken = {str(name) for part in parts for name in part.columns}
            parts += original_columns(X, self._reasons(X), order, taken)
        rows = load_pandas().concat(parts, axis=1)
        rows = without_formulas(rows) if escape_formulas else rows
        return write_text(path, csv_text(rows), overwrite)

    def __repr__(self):
        rates = self.noise_rate_estimates.values()
        low, high = f"{min(rates):.2f}", f"{max(rates):.2f}"
        rate = f"about {low}" if low == high else f"between {low} and {high}"
        return (
            f"LabelReport({len(self.frame)} rows, {len(self.classes)} classes, "
            f"{self.frame['is_label_issue'].sum()} flagged, noise rate {rate})"
        )

    def _repr_html_(self):
        return notebook_fragment(self, self.X)


def _is_fitted_on(detector, given):
    """Whether the detector has scored as many rows, with these labels."""
    scorer = detector[-1] if isinstance(detector, Pipeline) else detector
    if len(getattr(scorer, "noise_scores_", ())) != len(given):
        return False
    scorer = scorer_of(detector, len(given))
    kept = ~np.asarray(scorer.noise_mask_, dtype=bool)
    return np.array_equal(np.asarray(scorer.suggested_labels_)[kept], given[kept])


def _predicted(scorer, suggested, is_judged):
    proba = getattr(scorer, "pred_probs_", None)
    if proba is None:
        return suggested.copy()
    predicted = np.asarray(scorer.classes_)[np.asarray(proba).argmax(axis=1)]
    return np.where(is_judged, predicted, suggested)


def _index_of(X, y):
    """Return the index of a pandas X, else of a pandas y, else None."""
    for data in (X, y):
        if hasattr(data, "iloc"):
            return data.index
    return None
