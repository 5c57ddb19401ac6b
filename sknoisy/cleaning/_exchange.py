"""From a report to annotation tools: methods of reports."""

from __future__ import annotations

from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_scalar

from sknoisy._validation import check_consistent_length
from sknoisy.cleaning._report_file import write_text
from sknoisy.cleaning._review import ReviewMethods
from sknoisy.cleaning._review_sample import review_sample
from sknoisy.cleaning._tools._argilla import argilla_files
from sknoisy.cleaning._tools._hugging_face import (
    REVIEWED,
    dataset_with_columns,
    is_dataset,
)
from sknoisy.cleaning._tools._json_lines import doccano_files, prodigy_files
from sknoisy.cleaning._tools._label_studio import label_studio_files
from sknoisy.cleaning._tools._plain_csv import csv_files
from sknoisy.cleaning._tools._tasks import tasks_of

if TYPE_CHECKING:
    import pathlib

    from sknoisy._types import ArrayLike, RandomState
    from sknoisy._types import Path as PathLike

__all__ = ["EXPORTS", "ExchangeMethods"]

# The endings of the files, the first of which is the one with the rows.
EXPORTS = {
    "label-studio": (".json", ".xml"),
    "argilla": (".json",),
    "prodigy": (".jsonl",),
    "doccano": (".jsonl",),
    "csv": (".csv",),
}
_FILES = {
    "label-studio": label_studio_files,
    "argilla": argilla_files,
    "prodigy": prodigy_files,
    "doccano": doccano_files,
    "csv": csv_files,
}


class ExchangeMethods(ReviewMethods):
    """Methods of `LabelReport` for those who review labels with another tool."""

    def export(
        self,
        path: PathLike,
        tool: str,
        *,
        X: ArrayLike | None = None,
        max_rows: int = 200,
        n_random: int = 100,
        random_state: RandomState = 0,
        overwrite: bool = False,
    ) -> pathlib.Path:
        """Write rows to look at as a file that an annotation tool imports.

        The rows are those of `review`: the flagged ones, the most suspicious first, and
        rows drawn at random. Each has its contents, the given label, the suggestion
        with the score of ``frame``, and its number and checksum, by which
        `sknoisy.cleaning.read_decisions` matches what comes back.

        Parameters
        ----------
        path : str or path-like
            Of the file to write, with the ending of the tool.
        tool : {"label-studio", "argilla", "prodigy", "doccano", "csv"}
            What to write:

            - label-studio: tasks with predictions (.json), and beside them the
              labelling config of the project, with the same name and the ending .xml,
            - argilla: records with suggestions (.json), of the question "label" and
              the field "text" or "image",
            - prodigy: tasks of the interface "choice" (.jsonl),
            - doccano: texts without labels (.jsonl),
            - csv: a table whose column "label" is to be filled in (.csv). Texts that
              a spreadsheet would run as formulas get a ``'`` in front.
        X : array-like of shape (n_samples, ...), default=None
            What to show of each row, in the order of ``frame``: a frame, a matrix, a
            list of texts, or images, which are made smaller than 129 pixels. None shows
            the X that was given to `label_report`, or the columns that `audit` read.
        max_rows : int >= 0, default=200
            The largest number of flagged rows.
        n_random : int >= 0, default=100
            Number of rows drawn at random. The noise rate can be counted only if there
            are some.
        random_state : int, RandomState instance or None, default=0
            Draws them.
        overwrite : bool, default=False
            True replaces existing files.

        Returns
        -------
        path : pathlib.Path
            Of the file with the rows.

        Raises
        ------
        FileExistsError
            If a file exists and ``overwrite`` is False. Nothing is written then.
        ValueError
            If the tool is unknown, the path has another ending, X has another number of
            rows, a number is negative, or the tool cannot show the rows or classes.
        """
        path = Path(path)
        if tool not in EXPORTS:
            names = ", ".join(map(repr, EXPORTS))
            raise ValueError(f"tool must be one of {names}; got {tool!r}.")
        if path.suffix.lower() != EXPORTS[tool][0]:
            raise ValueError(
                f"the file for {tool} must end in {EXPORTS[tool][0]}; got "
                f"{path.name!r}."
            )
        X, _ = self._for_review(X, None)
        sample = self._sample(X, max_rows, n_random, random_state)
        texts = _FILES[tool](tasks_of(self, sample, X))
        files = {
            path if ending == EXPORTS[tool][0] else path.with_suffix(ending): text
            for ending, text in texts.items()
        }
        for file in files:
            if file.exists() and not overwrite:
                raise FileExistsError(
                    f"{file} exists already; pass overwrite=True to replace it, or "
                    "another path."
                )
        for file, text in files.items():
            write_text(file, text, overwrite)
        return path

    def to_dataset(
        self,
        dataset: Any,
        label: str = "label",
        *,
        max_rows: int = 200,
        n_random: int = 100,
        random_state: RandomState = 0,
    ) -> Any:
        """Return a Hugging Face dataset with the findings as more columns.

        The columns are is_label_issue, the score by its name in ``frame``,
        suggested_label, and those by which `sknoisy.cleaning.read_decisions` matches
        answers: row, row_sha256, given_label, sample and sample_probability, which are
        filled for rows to look at as in `export`, and reviewed_label, which is empty.
        Labels have the feature of the column of labels, also a ClassLabel with its
        names.

        Parameters
        ----------
        dataset : datasets.Dataset
            The rows that were scored, in their order.
        label : str, default="label"
            Its column of labels. The scored labels were its values, or the names of
            its ClassLabel.
        max_rows : int >= 0, default=200
            The largest number of flagged rows to look at.
        n_random : int >= 0, default=100
            Number of rows drawn at random to look at.
        random_state : int, RandomState instance or None, default=0
            Draws them.

        Returns
        -------
        dataset : datasets.Dataset
            A new one.

        Raises
        ------
        TypeError
            If it is no datasets.Dataset.
        ValueError
            If it has other labels than those scored, or a column of these names.
        """
        if not is_dataset(dataset):
            raise TypeError(
                f"dataset must be a datasets.Dataset; got {type(dataset).__name__}."
            )
        chosen = self._sample(None, max_rows, n_random, random_state)
        n_rows = len(self.frame)
        samples = [""] * n_rows
        chances: list[float | None] = [None] * n_rows
        for row, sample, chance in zip(
            *(chosen[c] for c in ("row", "sample", "sample_probability")), strict=True
        ):
            samples[row] = sample
            chances[row] = None if np.isnan(chance) else float(chance)
        given = self.frame["given_label"].tolist()
        columns = {
            "is_label_issue": self.frame["is_label_issue"].tolist(),
            self.score_name: self.frame[self.score_name].tolist(),
            "suggested_label": self.frame["suggested_label"].tolist(),
            "row": list(range(n_rows)),
            "row_sha256": self.row_checksums(np.arange(n_rows)),
            "given_label": given,
            "sample": samples,
            "sample_probability": chances,
            REVIEWED: [None] * n_rows,
        }
        return dataset_with_columns(dataset, label, given, columns)

    def _sample(self, X, max_rows, n_random, random_state):
        """Return the rows to look at."""
        check_scalar(max_rows, "max_rows", Integral, min_val=0)
        check_scalar(n_random, "n_random", Integral, min_val=0)
        if X is not None:
            check_consistent_length(X, self.frame)
        n_flagged = int(self.frame["is_label_issue"].sum())
        return review_sample(self, min(max_rows, n_flagged), n_random, random_state)
