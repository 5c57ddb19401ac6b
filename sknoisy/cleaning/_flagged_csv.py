"""CSV of the flagged rows of a table that stays on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sknoisy._frame_on_disk import FrameOnDisk
from sknoisy._regular_files import written_in_one_step
from sknoisy.cleaning._report_csv import (
    named_index,
    original_columns,
    without_formulas,
)
from sknoisy.cleaning._report_file import exists_already
from sknoisy.cleaning._report_tables import ReportTables, load_pandas
from sknoisy.cleaning._review_content import reasons
from sknoisy.cleaning._review_neighbours import Neighbours, codes_of, usual_rows

__all__ = ["write_flagged"]

# It has a carriage return, so that cells which hold one are quoted.
_LINE_END = "\r\x1e\n"


def write_flagged(
    report: ReportTables, X: FrameOnDisk, path: Path, escape: bool, overwrite: bool
) -> Path:
    """Write the flagged rows, the most suspicious first.

    The table is read once, block by block. The lines of its flagged rows go to a
    temporary file, and from there, in their order, to the CSV.

    Parameters
    ----------
    report : ReportTables
    X : FrameOnDisk
        Columns to add.
    path : path
    escape : bool
        Whether to quote what a spreadsheet would run as a formula.
    overwrite : bool

    Returns
    -------
    path : Path
    """
    path = Path(path)
    scores = report.frame[report.score_name].to_numpy()
    flagged = np.flatnonzero(report.frame["is_label_issue"].to_numpy())
    order = flagged[np.argsort(-scores[flagged], kind="stable")]
    try:
        with written_in_one_step(path, overwrite=overwrite) as draft:
            with tempfile.TemporaryFile() as lines, draft.open("wb") as file:
                header, places = _lines_of(report, X, flagged, escape, lines)
                file.write(header)
                for row in np.searchsorted(flagged, order).tolist():
                    lines.seek(places[row])
                    file.write(lines.read(places[row + 1] - places[row]))
    except FileExistsError as error:
        raise exists_already(path) from error
    return path


def _lines_of(
    report: ReportTables,
    X: FrameOnDisk,
    flagged: NDArray[np.int64],
    escape: bool,
    lines: IO[bytes],
) -> tuple[bytes, NDArray[np.int64]]:
    """Write a line for each flagged row; return the header, and where lines begin."""
    reasons_of = _Reasons(report, X)
    header = b""
    lengths: list[int] = []
    for start, stop in zip(X.bounds[:-1], X.bounds[1:], strict=True):
        index = flagged[(flagged >= start) & (flagged < stop)]
        if len(index) or not header:
            frame = X.take(index)
            texts = _as_csv(report, frame, index, reasons_of(frame, index), escape)
            header = header or texts[0]
            lines.write(b"".join(texts[1:]))
            lengths += map(len, texts[1:])
    return header, np.cumsum([0, *lengths])


def _as_csv(
    report: ReportTables,
    frame: Any,
    index: NDArray[np.int64],
    why: NDArray[Any],
    escape: bool,
) -> list[bytes]:
    """Return the header and a line for each row."""
    rows = named_index(report.frame.iloc[index])
    parts = [rows.index.to_frame(index=False), rows.reset_index(drop=True)]
    taken = {str(name) for part in parts for name in part.columns}
    parts += original_columns(frame, why, np.arange(len(index)), taken)
    table = load_pandas().concat(parts, axis=1)
    table = without_formulas(table) if escape else table
    text = table.to_csv(index=False, lineterminator=_LINE_END)
    texts = text.split(_LINE_END)[:-1]
    if len(texts) != len(index) + 1:
        # A cell holds the end of a line.
        each = (table.iloc[[row]] for row in range(len(table)))
        texts = [
            texts[0],
            *(row.to_csv(index=False, header=False)[:-1] for row in each),
        ]
    return [f"{line}\n".encode("utf-8", "replace") for line in texts]


class _Reasons:
    """Why rows are flagged, by what is usual in the classes of the whole table."""

    def __init__(self, report: ReportTables, X: FrameOnDisk) -> None:
        self.codes = codes_of(report)
        flags = report.frame["is_label_issue"].to_numpy()
        usual = usual_rows(self.codes[0], flags, self.codes[:, flags].ravel())
        rows = [row for rows in usual.values() for row in rows.tolist()]
        ends = np.cumsum([len(rows) for rows in usual.values()])
        self.frame = X.take(np.array(rows, dtype=np.int64))
        places = np.split(np.arange(len(rows)), ends[:-1]) if len(ends) else []
        self.usual = dict(zip(usual, places, strict=True))
        self.names = [str(name) for name in report.classes]

    def __call__(self, frame: Any, index: NDArray[np.int64]) -> NDArray[Any]:
        """Return the reasons of some rows."""
        pairs = self.codes[:, index].T.tolist()
        names = [(self.names[g], self.names[s] if g != s else "") for g, s in pairs]
        codes = [(g, s) for g, s in pairs]
        beside = Neighbours(names, codes, [], self.usual)
        both = load_pandas().concat([self.frame, frame], ignore_index=True)
        places = np.arange(len(self.frame), len(both))
        return np.array(reasons(both, places, beside), dtype=object)
