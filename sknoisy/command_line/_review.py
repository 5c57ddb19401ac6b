"""``sknoisy review``: a page to decide on labels, and what the decisions say."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from sknoisy._user_errors import UserError, one_line, refusals, shown
from sknoisy.auditing._progress import step
from sknoisy.auditing._source import check_input
from sknoisy.cleaning._exchange import EXPORTS
from sknoisy.command_line._apply import checked_decisions
from sknoisy.command_line._audit import audited, summary
from sknoisy.command_line._outputs import check_outputs, writing

__all__ = ["review"]


def review(args: argparse.Namespace) -> str:
    """Audit labels, write the page or count the decisions, return the summary.

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
    if args.decisions:
        for option in ("out", "export"):
            if getattr(args, option):
                raise UserError(
                    f"--{option} is for a file to write; --decisions writes none"
                )
        decisions = checked_decisions(args)
    else:
        out = _checked_out(path, args)
    report = audited(args, keep_table=True)
    if args.decisions:
        return "\n".join(_counted(report, decisions))
    _write(report, path, out, args)
    return "\n".join([*summary(report, args), *_next(path, out, args)])


def _checked_out(path: Path, args: argparse.Namespace) -> Path:
    """Return the file to write, by default beside the table."""
    if not args.export:
        out = Path(args.out) if args.out else _beside(path, ".review.html")
        check_outputs(path, {"--out": (out, (".html", ".htm"))}, args.force)
        return out
    endings = EXPORTS[args.export]
    name = "review" if args.export == "csv" else args.export
    out = Path(args.out or _beside(path, f".{name}{endings[0]}"))
    outputs = {"--out": (out, endings[:1])}
    for ending in endings[1:]:
        outputs["the file beside --out,"] = out.with_suffix(ending), (ending,)
    check_outputs(path, outputs, args.force)
    return out


def _write(report: Any, path: Path, out: Path, args: argparse.Namespace) -> None:
    options = {
        "max_rows": args.max_rows,
        "n_random": args.random_rows,
        "random_state": args.random_state,
        "overwrite": args.force,
    }
    what = "the rows" if args.export else "the page"
    with writing(out, "--out"), step(f"writing {what}", not args.quiet):
        if args.export:
            report.export(out, args.export, **options)
        else:
            report.review(out, name=_named(path).name, **options)


def _named(path: Path) -> Path:
    """Return a path whose last part is a name, also for the current folder."""
    return path if path.name not in ("", "..") else path.resolve()


def _beside(path: Path, ending: str) -> Path:
    """Return a path beside a table or folder: data.csv.gz becomes data.review.html."""
    path = _named(path)
    name = path.name if path.is_dir() else path.name.split(".")[0]
    return path.with_name(name + ending)


def _next(path: Path, out: Path, args: argparse.Namespace) -> list[str]:
    ending = "".join(path.suffixes[-2:-1] or path.suffixes)
    if path.suffix.lower() in (".csv", ".tsv", ".parquet", ".pq"):
        ending = path.suffix
    fixed = _beside(path, ".fixed" if path.is_dir() else f".fixed{ending}")
    parts = ["sknoisy", "apply", str(path)]
    if args.image:
        parts += ["--image", args.image]
    if args.label and not path.is_dir():
        parts += ["--label", args.label]
    if args.delimiter:
        parts += ["--delimiter", args.delimiter]
    if args.encoding:
        parts += ["--encoding", args.encoding]
    if args.export:
        answers = f"answers{EXPORTS[args.export][0]}"
        parts += ["--decisions", answers, "--decisions-format", args.export]
        parts += ["--out", str(fixed)]
        beside = [shown(out.with_suffix(e)) for e in EXPORTS[args.export][1:]]
        return [
            f"wrote {' and '.join([shown(out), *beside])}",
            "",
            f"Next, import it, decide, and export the answers as {answers}; then apply "
            "them:",
            f"  {shown(shlex.join(parts))}",
        ]
    parts += ["--decisions", "decisions.csv", "--out", str(fixed)]
    return [
        f"wrote {shown(out)}",
        "",
        "Next, open the page, decide, and download the decisions; then apply them:",
        f"  python -m webbrowser {shlex.quote(str(out.absolute().as_uri()))}",
        f"  {shown(shlex.join(parts))}",
    ]


def _counted(report: Any, decisions: Any) -> list[str]:
    """Return what the decisions say of all labels and of the flags."""
    with refusals("the decisions do not fit"):
        point = report.stopping_point(decisions)
        precision = report.flag_precision(decisions)
    lines = [f"{len(decisions):,} decisions"]
    try:
        rate = report.noise_rate_interval(decisions)
    except ValueError as error:
        lines.append(f"noise rate: not known, {one_line(error)}")
    else:
        lines.append(
            f"noise rate: {rate.estimate:.1%}, between {rate.low:.1%} and "
            f"{rate.high:.1%} with {rate.confidence:.0%} confidence, from "
            f"{rate.n_reviewed:,} reviewed rows"
        )
    if point.n_reviewed:
        lines.append(f"ranking: {point.n_reviewed:,} rows reviewed; {point}")
    known = precision[precision["precision"].notna()]
    if len(known):
        lines += ["", "Share of flagged labels that are wrong:"]
        lines.append("score from  flagged  reviewed  wrong")
    for line in known.itertuples():
        share = f"{line.precision:.0%}"
        if line.n_reviewed < line.n_flagged:
            share += f" ({line.low:.0%} to {line.high:.0%})"
        lines.append(
            f"{line.min_score:<10.3f}  {line.n_flagged:<7,}  {line.n_reviewed:<8,}  "
            f"{share}"
        )
    return lines
