"""``sknoisy audit``: find wrong labels in a table or a folder of images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from sknoisy._user_errors import shown
from sknoisy.auditing import audit as find_wrong_labels
from sknoisy.auditing._progress import step
from sknoisy.auditing._source import check_input
from sknoisy.cleaning._report_page import SCORE_HEAD
from sknoisy.cleaning._report_rates import CAVEAT, rate_in_words
from sknoisy.command_line._interruptible import interruptible
from sknoisy.command_line._outputs import check_outputs, writing

__all__ = ["audit", "audited", "summary"]

_N_SHOWN = 10
# Options that are parameters of the same name; `review` has fewer.
_PARAMETERS = (
    *("detector", "aim", "text", "drop", "random_state"),
    *("decimal", "thousands", "dayfirst", "missing", "delimiter", "encoding"),
    *("image", "encoder", "image_size", "weights", "cache", "max_memory"),
)


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
    path = Path(args.table)
    if not (path.is_dir() or args.image):
        check_input(path)
    outputs = _outputs(args)
    check_outputs(path, outputs, args.force)
    report = audited(args, keep_table=bool(args.issues))
    _write(report, args)
    written = [f"wrote {shown(path)}" for path, _ in outputs.values()]
    return "\n".join([*summary(report, args), *written])


def audited(args: argparse.Namespace, *, keep_table: bool) -> Any:
    """Score the labels, and return the report.

    Parameters
    ----------
    args : argparse.Namespace
        The options of the command.
    keep_table : bool
        Whether the report has the whole table, which checksums and ``--issues`` need.

    Returns
    -------
    report : LabelReport
    """
    given = {name: getattr(args, name) for name in _PARAMETERS if hasattr(args, name)}
    with interruptible():
        return find_wrong_labels(
            args.table,
            args.label,
            keep_table=keep_table,
            verbose=not args.quiet,
            **given,
        )


def summary(report: Any, args: argparse.Namespace) -> list[str]:
    """Return what an audit found, and notes.

    Parameters
    ----------
    report : LabelReport
    args : argparse.Namespace
        The options of the command.

    Returns
    -------
    lines : list of str
    """
    n_rows, frame = len(report.frame), report.frame
    n_flagged = int(frame["is_label_issue"].sum())
    audited, label = report.audited, args.label or "folder"
    return [
        f"{audited.source}: {n_rows:,} rows, {len(report.classes):,} classes in "
        f"{label!r}",
        *_about(audited),
        f"detector: {args.detector}{_shares(audited.detector)}",
        f"flagged: {n_flagged:,} labels ({n_flagged / n_rows:.1%})",
        *_not_scored(report),
        f"noise rate: {rate_in_words(report.noise_rate_estimates)}; {CAVEAT}",
        "",
        *_most_suspicious(report),
        *(f"note: {note}" for note in audited.notes),
    ]


def _write(report: Any, args: argparse.Namespace) -> None:
    if args.out:
        with writing(Path(args.out), "--out"):
            with step("writing the page", not args.quiet):
                report.to_html(args.out, overwrite=args.force)
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


def _outputs(args: argparse.Namespace) -> dict[str, tuple[Path, tuple[str, ...]]]:
    outputs: dict[str, tuple[Path, tuple[str, ...]]] = {}
    if args.out:
        outputs["--out"] = (Path(args.out), (".html", ".htm"))
    if args.issues:
        outputs["--issues"] = (Path(args.issues), (".csv",))
    return outputs


def _about(audited: Any) -> list[str]:
    """Return lines on the columns, or on the network for images."""
    if audited.encoder:
        return [f"encoder: {audited.encoder}"]
    columns = audited.columns.items()
    used = [f"{len(names)} {kind}" for kind, names in columns if names]
    left_out = audited.left_out.items()
    return [
        f"columns: {', '.join(used)}",
        *(f"left out: {column!r} ({why})" for column, why in left_out),
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
