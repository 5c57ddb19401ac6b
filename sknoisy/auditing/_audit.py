"""Find wrong labels in a frame, a table on disk, or images."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import sknoisy
from sknoisy._frame_on_disk import ChangedFrame
from sknoisy._option_names import option
from sknoisy._user_errors import UserError, shown
from sknoisy.auditing._big_tables import (
    BigTable,
    EncodedRows,
    big_table,
    in_bytes,
    opened_if_big,
    warn_if_large,
)
from sknoisy.auditing._detectors import (
    by_batches,
    check_detector,
    fitted,
    takes_frames,
)
from sknoisy.auditing._images import load_images
from sknoisy.auditing._labels import label_is_needed, similar_labels
from sknoisy.auditing._notation import Notation
from sknoisy.auditing._progress import step
from sknoisy.auditing._source import Source, opened_table, text_encoding
from sknoisy.auditing._table_file import TableFile
from sknoisy.auditing._tables import Choices, rows_of_file, rows_of_frame
from sknoisy.cleaning import LabelReport, label_report
from sknoisy.cleaning._audited import Audited

if TYPE_CHECKING:
    from sknoisy._types import ArrayLike, Estimator, RandomState
    from sknoisy._types import Path as PathLike

__all__ = ["audit"]


def audit(
    data: PathLike | ArrayLike,
    label: str | None = None,
    *,
    detector: str | Estimator = "auto",
    aim: Literal["recall", "f1", "precision", "rate"] | None = None,
    text: str | Collection[str] = (),
    drop: str | Collection[str] = (),
    decimal: str = ".",
    thousands: str | None = None,
    dayfirst: bool = False,
    missing: str | Collection[str] = (),
    delimiter: str | None = None,
    encoding: str | None = None,
    image: str | None = None,
    encoder: Any = None,
    image_size: int | None = None,
    weights: PathLike | None = None,
    cache: PathLike | None = None,
    keep_table: bool = True,
    max_memory: int | str | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    random_state: RandomState = 0,
) -> LabelReport:
    """Find wrong labels in a frame, a table on disk, or images.

    It does what the command ``sknoisy audit`` does: it reads the columns, encodes
    them for the detector, and scores each label.

    Parameters
    ----------
    data : DataFrame or path
        A pandas or polars frame; a .csv, .tsv, .parquet or .pq file, CSV also
        compressed; or a folder with a folder of images for each label.
    label : str, default=None
        The column of the given labels. Only a folder of images needs none.
    detector : str or detector, default="auto"
        "auto", several that are combined; "dynacor", "aum", "loss-mixture",
        "confident-learning", "neighbors", "fine", "small-loss" or "cores". Or one that
        you made, of which a clone is fitted to rows of numbers; `AutoNoiseDetector`
        without ``detectors`` gets the columns and encodes them.
    aim : {"recall", "f1", "precision", "rate"}, default=None
        What the flags of "auto" and "dynacor" are for. None: "f1" for "auto", "recall"
        for "dynacor".
    text : str or collection of str, default=()
        Columns that are texts in any case.
    drop : str or collection of str, default=()
        Columns to ignore, such as an id, or one derived from the labels.
    decimal : str, default="."
        Decimal mark of numbers that are written as text.
    thousands : str, default=None
        Mark between groups of their digits.
    dayfirst : bool, default=False
        True reads the text 03-04-2024 as a date in April.
    missing : str or collection of str, default=()
        Texts that stand for a missing value.
    delimiter : str, default=None
        Separator of the columns in CSV. None: a comma, in .tsv a tab.
    encoding : str, default=None
        Encoding of CSV. None: that of a byte order mark, else UTF-8.
    image : str, default=None
        The column of a CSV that has paths of images, relative to its folder. The images
        are scored, not the columns.
    encoder : str or callable, default=None
        Network that turns images into numbers, as in `ImageEncoder`. None takes
        "efficientnet-lite0".
    image_size : int, default=None
        Side to which images are resized. None takes that of the network.
    weights : path, default=None
        Weights of the network, instead of those in the cache of its library.
    cache : path, default=None
        A folder that keeps the numbers of images for the next time.
    keep_table : bool, default=True
        False keeps no copy of a file in ``report.table``. It saves memory, but
        ``report.apply`` then needs the table, and the checksums of decisions are those
        of the columns without the labels.
    max_memory : int or str, default=None
        Bytes, or a text such as "2GB". A file that would take more is read in blocks,
        and "auto" and "confident-learning" become a network that predicts labels which
        it has not learnt; "neighbors" and "fine" are refused. None reads all rows.
    n_jobs : int, default=None
        Fits at a time, of detectors that have the parameter.
    verbose : int, default=0
        1 shows a progress bar.
    random_state : int, RandomState instance or None, default=0
        The same number gives the same result on a CPU. Not for a detector that you
        made, which has its own.

    Returns
    -------
    report : LabelReport
        ``report.frame`` has the scores, ``report.to_html()`` and ``report.review()``
        write pages, ``report.apply(decisions=...)`` returns the corrected table.
        ``report.audited`` says which columns were used and why others were not.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If a package for this kind of data is not installed.
    TypeError
        If ``data`` is neither a frame nor a path, or ``detector`` is no detector.
    ValueError
        If a parameter is not as described, a column does not exist, labels are missing,
        there is a single class, no column is of use, or the file cannot be read.

    See Also
    --------
    label_report : The report of a detector on X and y.
    AutoNoiseDetector : What "auto" is.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import sknoisy
    >>> rng = np.random.default_rng(0)
    >>> kind = np.array(["ant", "bee"])[np.arange(120) % 2]
    >>> size = np.where(kind == "ant", 3.0, 9.0) + rng.normal(size=120)
    >>> table = pd.DataFrame({"id": np.arange(120), "size": size, "kind": kind})
    >>> table.loc[[5, 40], "kind"] = ["ant", "bee"]
    >>> report = sknoisy.audit(table, "kind", detector="confident-learning")
    >>> report.frame.index[report.frame["is_label_issue"]].tolist()
    [5, 40]
    >>> report.audited.left_out
    {'id': 'numbers the rows'}
    >>> report.apply(action="relabel").loc[[5, 40], "kind"].tolist()
    ['bee', 'ant']
    """
    check_detector(detector, aim)
    is_path = isinstance(data, str | os.PathLike)
    of_images = {
        "encoder": encoder,
        "image_size": image_size,
        "weights": weights,
        "cache": cache,
    }
    params = {"random_state": random_state, "aim": aim, "n_jobs": n_jobs}
    given = {name: value for name, value in of_images.items() if value is not None}
    for_tables = {"text": text, "drop": drop, "max_memory": max_memory}
    if _are_images(data, image, for_tables, given):
        if not is_path:
            raise UserError(f"{option('image')} is for a file that names images")
        return _of_images(data, label, image, given, detector, params, verbose)
    if label is None:
        raise label_is_needed()
    choices = Choices(
        str(label),
        _names(text),
        _names(drop),
        Notation(decimal, thousands, dayfirst, frozenset(_names(missing))),
    )
    if not is_path:
        if max_memory is not None:
            raise UserError(f"{option('max_memory')} is for a file, not for a frame")
        return _of_table(data, choices, detector, params, verbose, label)
    codec = None if encoding is None else text_encoding(encoding)
    options = {"delimiter": delimiter, "encoding": codec}
    with opened_table(Path(cast("str", data)), **options) as file:
        if max_memory is None:
            warn_if_large(file)
        elif table := opened_if_big(file, in_bytes(max_memory)):
            limit = in_bytes(max_memory)
            return _of_big_table(table, choices, limit, detector, params, verbose)
        return _of_table(file, choices, detector, params, verbose, label, keep_table)


def _names(names: str | Collection[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _are_images(
    data: Any, image: str | None, for_tables: dict[str, Any], given: dict[str, Any]
) -> bool:
    """Return whether images are asked for; refuse parameters of the other kind."""
    is_folder = isinstance(data, str | os.PathLike) and os.path.isdir(data)
    if is_folder and image is not None:
        raise UserError(
            f"{option('image')} names the column of a table; a folder has the labels "
            "in the names of its folders"
        )
    if is_folder or image is not None:
        for name, value in for_tables.items():
            if value:
                raise UserError(f"{option(name)} is for tables, not for images")
        return True
    for name in given:
        raise UserError(
            f"{option(name)} is for a folder of images, or a table with "
            f"{option('image')}"
        )
    return False


def _of_table(
    data: Any,
    choices: Choices,
    detector: Any,
    params: dict[str, Any],
    verbose: int,
    label: Any,
    keep_table: bool = True,
) -> LabelReport:
    """Audit a frame, or a file that fits in memory."""
    is_file = isinstance(data, Source)
    name = str(data) if is_file else "the frame"
    with step("reading the table", verbose):
        if is_file:
            rows = rows_of_file(data, choices, keep_table=keep_table)
        else:
            rows = rows_of_frame(name, data, choices)
        encode = rows.features.to_numbers
        if takes_frames(detector):
            encode = rows.features.to_frame
        X = encode(params["random_state"])
    used = rows.features.kinds, rows.left_out, rows.notes
    found = Audited(name, *used, X, read=rows.for_people)
    report = _judged(found, rows.labels, detector, params, verbose)
    return replace(report, X=rows.shown, table=rows.table, label=label)


def _of_big_table(
    table: TableFile,
    choices: Choices,
    max_memory: int,
    detector: Any,
    params: dict[str, Any],
    verbose: int,
) -> LabelReport:
    """Audit a file that does not fit in memory."""
    try:
        return _by_blocks(table, choices, max_memory, detector, params, verbose)
    except BaseException:
        # Also after Ctrl-C: a traceback would keep the table, and so its copy.
        table.close()
        raise


def _by_blocks(
    table: TableFile,
    choices: Choices,
    max_memory: int,
    detector: Any,
    params: dict[str, Any],
    verbose: int,
) -> LabelReport:
    seed = params["random_state"]
    by = by_batches(detector, params["aim"], len(table), seed)
    with step("reading the table", verbose):
        big = big_table(table, choices, max_memory, seed)
        X = EncodedRows(big, max_memory, seed)
    similar = similar_labels(big.labels)
    notes = [
        *([similar] if similar else []),
        *big.features.notes,
        _on_blocks(table, big, by),
    ]
    used = big.features.kinds, big.left_out, notes
    found = Audited(str(table.source), *used, X)
    # Processes cannot share an open file.
    params = {**params, "n_jobs": None}
    with closing(X):
        report = _judged(found, big.labels, by, params, verbose)
    audited = replace(cast("Audited", report.audited), encoded=None)
    shown = ChangedFrame(table, big.for_people)
    return replace(report, X=shown, table=table, label=choices.label, audited=audited)


def _on_blocks(table: TableFile, big: BigTable, detector: Any) -> str:
    size = len(table) * table.row_bytes
    how = (
        "" if isinstance(detector, str) else f"; {type(detector).__name__} judges them"
    )
    if isinstance(getattr(detector, "estimator", None), sknoisy.NetClassifier):
        how = (
            f"; a network of {detector.estimator.max_epochs} epochs predicts labels "
            "that it has not learnt (ConfidentLearningDetector)"
        )
    return (
        f"the table takes about {size / 1e6:,.1f} MB in memory and was read in blocks; "
        f"its columns were learnt from {big.n_sample:,} rows{how}"
    )


def _of_images(
    path: Any,
    label: str | None,
    column: str | None,
    encoder: dict[str, Any],
    detector: Any,
    params: dict[str, Any],
    verbose: int,
) -> LabelReport:
    images = load_images(path, label, column, encoder, verbose)
    similar = similar_labels(images.labels)
    notes = [*([similar] if similar else []), *images.notes]
    found = Audited(shown(path), {}, {}, notes, images.X, encoder=images.encoder)
    report = _judged(found, images.labels, detector, params, verbose)
    return replace(report, X=images.pictures)


def _judged(
    found: Audited, labels: Any, detector: Any, params: dict[str, Any], verbose: int
) -> LabelReport:
    """Score labels, and return the report."""
    with step(f"scoring {len(labels):,} labels", verbose):
        scored = fitted(detector, found.encoded, labels, params)
    report = label_report(scored, found.encoded, labels)
    return replace(report, audited=replace(found, detector=scored))
