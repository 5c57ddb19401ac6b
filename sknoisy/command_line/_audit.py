"""``sknoisy audit``: find wrong labels in a table or a folder of images."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sknoisy.cleaning._report_page import SCORE_HEAD
from sknoisy.cleaning._report_rates import CAVEAT, rate_in_words
from sknoisy.command_line._choices import DETECTORS, WITH_AIMS
from sknoisy.command_line._columns import ReadTable, read_columns
from sknoisy.command_line._errors import CommandError, interruptible, refusals, shown
from sknoisy.command_line._files import (
    check_columns,
    check_outputs,
    read_table,
    table_of_strings,
    writing,
)
from sknoisy.command_line._image_audit import load_images
from sknoisy.command_line._image_options import is_of_images
from sknoisy.command_line._labels import check_labels, similar_labels
from sknoisy.command_line._progress import step
from sknoisy.command_line._source import Source, check_input, opened_table

__all__ = ["DETECTORS", "Audit", "audit", "audited", "check_aim", "clean_name"]

_N_SHOWN = 10


def audit(args: argparse.Namespace) -> str:
    """Score the labels of a table or of images, write the outputs, return the summary.

    Parameters
    ----------
    args : argparse.Namespace
        The options of the command.

    Returns
    -------
    summary : str
    """
    check_aim(args)
    path = Path(args.table)
    outputs = _outputs(args)
    if is_of_images(args):
        check_outputs(path, outputs, args.force)
        return _written(_audited_images(args), outputs, args)
    if args.label is None:
        raise CommandError("--label is needed: the column of the given labels")
    check_input(path)
    check_outputs(path, outputs, args.force)
    with opened_table(path, delimiter=args.delimiter, encoding=args.encoding) as source:
        audit = audited(source, args, keep_table=bool(args.issues))
    return _written(audit, outputs, args)


@dataclass(frozen=True)
class Audit:
    """What an audit read and found.

    Attributes
    ----------
    report : LabelReport
        With the whole table as it is in the file, if that was asked for.
    shown : pandas DataFrame or RowSource
        All columns but the labels; or small pictures.
    read : ReadTable or None
        The columns that were used, as they were read; None for images.
    encoded : frame or ndarray
        What the detector got.
    lines : list of str
        The summary and the notes.
    """

    report: Any
    shown: Any
    read: ReadTable | None
    encoded: Any
    lines: list[str]


def audited(source: Source, args: argparse.Namespace, *, keep_table: bool) -> Audit:
    """Score the labels of a table.

    Parameters
    ----------
    source : Source
    args : argparse.Namespace
        The options of the command.
    keep_table : bool
        Whether the report has the whole table, which checksums and ``--issues`` need.

    Returns
    -------
    audit : Audit
    """
    notation = args.notation
    with step("reading the table", quiet=args.quiet):
        frame = read_table(source, args.label, as_strings=notation.is_local)
        labels = check_labels(source, frame[args.label])
        features, left_out = _features(frame, args)
        table = read_columns(features, text=args.text, notation=notation)
        takes_frames = DETECTORS[args.detector] == "AutoNoiseDetector"
        encode = table.to_frame if takes_frames else table.to_numbers
        X = encode(args.random_state)
    used = [f"{len(names)} {kind}" for kind, names in table.kinds.items() if names]
    about = [f"columns: {', '.join(used)}"]
    for column, why in (left_out | table.dropped).items():
        about.append(f"left out: {column!r} ({why})")
    notes = [similar_labels(labels), *table.notes]
    report, lines = _judged(str(source), X, labels, about, notes, args)
    if keep_table:
        # Read again as strings: 1.50 must not become 1.5.
        whole = frame if source.is_parquet else table_of_strings(source)
        report = replace(report, table=whole, label=args.label)
    return Audit(report, frame.drop(columns=[args.label]), table, X, lines)


def check_aim(args: argparse.Namespace) -> None:
    """Refuse an aim for a detector that has none."""
    if args.aim and args.detector not in WITH_AIMS:
        names = " or ".join(WITH_AIMS)
        raise CommandError(f"--aim is for --detector {names}; got {args.detector}")


def _audited_images(args: argparse.Namespace) -> Audit:
    images = load_images(args)
    notes = [similar_labels(images.labels), *images.notes]
    found = images.X, images.labels, [images.line], notes
    report, lines = _judged(shown(args.table), *found, args)
    return Audit(report, images.pictures, None, images.X, lines)


def _judged(
    source: str,
    X: Any,
    labels: Any,
    about: list[str],
    notes: list[str | None],
    args: argparse.Namespace,
) -> tuple[Any, list[str]]:
    """Score labels, and return the report and the summary."""
    with step(f"scoring {len(labels):,} labels", quiet=args.quiet):
        params = {"random_state": args.random_state}
        if args.aim:
            params["aim"] = args.aim
        detector = _fitted(DETECTORS[args.detector], X, labels, params)
    report = _report(detector, X, labels)
    lines = _summary(source, labels.name, args.detector, report, about, detector)
    return report, lines + [f"note: {note}" for note in notes if note]


def _written(
    audit: Audit,
    outputs: dict[str, tuple[Path, tuple[str, ...]]],
    args: argparse.Namespace,
) -> str:
    """Write the outputs, and return the summary."""
    report = audit.report
    if args.out:
        with writing(Path(args.out), "--out"):
            with step("writing the page", quiet=args.quiet):
                report.to_html(args.out, X=audit.shown, overwrite=args.force)
    if args.issues:
        columns = report.table
        if columns is not None:
            columns = columns.drop(columns=[args.label])
        with writing(Path(args.issues), "--issues"):
            report.to_csv(
                args.issues,
                X=columns,
                escape_formulas=not args.no_escape_formulas,
                overwrite=args.force,
            )
    written = [f"wrote {shown(path)}" for path, _ in outputs.values()]
    return "\n".join([*audit.lines, *written])


def _outputs(args: argparse.Namespace) -> dict[str, tuple[Path, tuple[str, ...]]]:
    outputs: dict[str, tuple[Path, tuple[str, ...]]] = {}
    if args.out:
        outputs["--out"] = (Path(args.out), (".html", ".htm"))
    if args.issues:
        outputs["--issues"] = (Path(args.issues), (".csv",))
    return outputs


def _features(frame: Any, args: argparse.Namespace) -> tuple[Any, dict[str, str]]:
    """Return the columns to use, and why others are left out."""
    known = [name for name in frame.columns if name != args.label]
    check_columns(args.drop, known, "--drop")
    check_columns(args.text, known, "--text")
    both = sorted(set(args.drop) & set(args.text))
    if both:
        raise CommandError(f"--text and --drop both name {both[0]!r}")
    left_out = dict.fromkeys(args.drop, "--drop")
    clean = clean_name(args.label)
    if clean in known and clean not in args.text:
        # It would reveal the true labels to the detector.
        left_out.setdefault(clean, "the true labels kept by sknoisy inject")
    used = [name for name in known if name not in left_out]
    return frame[used], left_out


def clean_name(label: str) -> str:
    """Return the name of the column where ``sknoisy inject`` keeps the true labels."""
    return f"{label}_clean"


def _fitted(name: str, X: Any, labels: Any, params: dict[str, Any]) -> Any:
    import sknoisy

    detector = getattr(sknoisy, name)(**params)
    with refusals(f"{name} cannot score these labels"), interruptible():
        return detector.fit(X, labels)


def _report(detector: Any, X: Any, labels: Any) -> Any:
    import sknoisy

    return sknoisy.label_report(detector, X, labels)


def _summary(
    source: str,
    label: object,
    detector_name: str,
    report: Any,
    about: list[str],
    detector: Any,
) -> list[str]:
    n_rows, frame = len(report.frame), report.frame
    n_flagged = int(frame["is_label_issue"].sum())
    return [
        f"{source}: {n_rows:,} rows, {len(report.classes):,} classes in {label!r}",
        *about,
        f"detector: {detector_name}{_shares(detector)}",
        f"flagged: {n_flagged:,} labels ({n_flagged / n_rows:.1%})",
        *_not_scored(report),
        f"noise rate: {rate_in_words(report.noise_rate_estimates)}; {CAVEAT}",
        "",
        *_most_suspicious(report),
    ]


def _not_scored(report: Any) -> list[str]:
    """Return a line about the labels that occur once, if there are any."""
    index = report.unjudged
    if not len(index):
        return []
    names = report.frame["given_label"].iloc[index[:_N_SHOWN]]
    shown = ", ".join(_short(name) for name in names)
    more = ", ..." if len(index) > _N_SHOWN else ""
    return [f"not scored: {len(index):,} labels that occur once ({shown}{more})"]


def _shares(detector: Any) -> str:
    """Return the weight of each detector, if there are several."""
    table = getattr(detector, "candidates_", None)
    if table is None:
        return ""
    order = np.argsort(-table["weight"], kind="stable")
    shares = [
        f"{table['name'][i]} {table['weight'][i]:.0%}"
        for i in order
        if table["weight"][i] > 0
    ]
    return f" ({', '.join(shares)})"


def _most_suspicious(report: Any) -> list[str]:
    frame, scores = report.frame, report.frame[report.score_name].to_numpy()
    order = np.argsort(-scores, kind="stable")
    head = SCORE_HEAD[report.scores_are_probabilities]
    cells = [("row", "given", "suggested", head, "flagged")]
    for place in order[:_N_SHOWN]:
        row = frame.iloc[place]
        cells.append(
            (
                _short(frame.index[place]),
                _short(row["given_label"]),
                _short(row["suggested_label"]),
                f"{scores[place]:.3f}",
                "yes" if row["is_label_issue"] else "no",
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["The most suspicious rows:"] + [
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _short(value: object) -> str:
    text = shown(value)
    return text if len(text) <= 30 else text[:29] + "…"
