"""The options, and the exit of a command."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn, TextIO

from sknoisy._detector_choices import AIMS, DETECTORS
from sknoisy._option_names import as_options
from sknoisy._user_errors import UserError, one_line, shown
from sknoisy._versions import version_report
from sknoisy.command_line._image_options import add_image_column, add_image_options

__all__ = ["main"]

_FAILED, _INTERRUPTED = 2, 130
# Annotation tools, as `sknoisy.cleaning` has them.
_EXPORTS = ("label-studio", "argilla", "prodigy", "doccano", "csv")
_DECISION_FORMATS = ("sknoisy", *_EXPORTS)
_FOLDER = "; or a folder with a folder of images for each label"
_KINDS = ("symmetric", "pair", "asymmetric", "instance", "margin")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments after ``sknoisy``; None uses those of the process.

    Returns
    -------
    status : int
        0 on success; 2 on failure, with the reason in one line on stderr; 130 if
        interrupted.

    Raises
    ------
    SystemExit
        With status 2 for unknown or invalid options, with 0 for
        ``--help`` and ``--version``.

    Examples
    --------
    >>> from sknoisy.command_line import main
    >>> main(["audit", "no_such_table.csv", "--label", "y"])
    2
    """
    try:
        args = _parser().parse_args(argv)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            status, text = _run(args)
        if not args.quiet and status != _INTERRUPTED:
            # Each once and in one line, without its place in the code.
            for message in dict.fromkeys(one_line(w.message) for w in caught):
                _say(f"sknoisy: warning: {message}", sys.stderr)
        return _show(status, text)
    except KeyboardInterrupt:
        return _show(_INTERRUPTED, "sknoisy: interrupted")


def _run(args: argparse.Namespace) -> tuple[int, str]:
    try:
        # Imported here, where an interruption of the slow import ends in one line.
        module = import_module(f"sknoisy.command_line._{args.command}")
        with as_options():
            return 0, getattr(module, args.command)(args)
    except (UserError, OSError) as error:
        return _FAILED, f"sknoisy: error: {one_line(error)}"
    except MemoryError:
        return _FAILED, "sknoisy: error: out of memory"
    except KeyboardInterrupt:
        return _INTERRUPTED, "sknoisy: interrupted"
    except Exception as error:
        if args.traceback:
            raise
        return _FAILED, (
            f"sknoisy: error: {type(error).__name__}: {one_line(error)} (an "
            "unexpected error: please report it with the output of --traceback)"
        )


def _show(status: int, text: str) -> int:
    stream = sys.stderr if status else sys.stdout
    try:
        _say(text, stream)
    except OSError as error:
        # Otherwise the flush at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        # A reader that closed the pipe needs no more output.
        if status == 0 and not isinstance(error, BrokenPipeError):
            reason = error.strerror or one_line(error)
            text = f"sknoisy: error: the summary cannot be written: {reason}"
            return _show(_FAILED, text)
    return status


def _say(text: str, stream: TextIO | None) -> None:
    # None if the stream is closed; print would then use stdout.
    if stream is not None:
        # Names of files and columns may hold control characters.
        text = "\n".join(map(shown, text.split("\n")))
        # A character that the terminal cannot show must not raise an error.
        encoding = getattr(stream, "encoding", None) or "utf-8"
        text = text.encode(encoding, "replace").decode(encoding)
        print(text, file=stream, flush=True)


class _Parser(argparse.ArgumentParser):
    """A parser that reports errors in one line."""

    def error(self, message: str) -> NoReturn:
        line = f"sknoisy: error: {shown(one_line(message))} (see {self.prog} --help)"
        self.exit(_FAILED, f"{line}\n")


class _Versions(argparse.Action):
    """Prints versions; argparse's own action would reflow the lines."""

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        _say(version_report(), sys.stdout)
        sys.exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sknoisy",
        description="Find wrong labels in tables and images, correct or inject some.",
    )
    parser.add_argument(
        "--version",
        action=_Versions,
        nargs=0,
        help="show what a bug report should state: versions of sknoisy and of what it "
        "uses, and exit",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_audit(commands)
    _add_review(commands)
    _add_apply(commands)
    _add_inject(commands)
    return parser


def _add_audit(commands: argparse._SubParsersAction[Any]) -> None:
    help_ = "find wrong labels in a table or in images"
    parser = commands.add_parser("audit", help=help_, description=help_.capitalize())
    parser.set_defaults(command="audit")
    _add_table(parser, or_else=_FOLDER)
    add_image_options(parser)
    _add_max_memory(parser)
    _add_detector(parser)
    parser.add_argument(
        "--out", metavar="HTML", help="write an HTML report to this file"
    )
    parser.add_argument(
        "--issues",
        metavar="CSV",
        help="write all rows with scores, suggested labels, reasons and the columns "
        "of the table to this file, the most suspicious first",
    )
    parser.add_argument(
        "--no-escape-formulas",
        action="store_true",
        help="in --issues, do not put a ' before texts that a spreadsheet would run "
        "as formulas",
    )


def _add_max_memory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-memory",
        metavar="SIZE",
        help="read a table that would take more memory than this, such as 2GB, in "
        "blocks; --issues then has the flagged rows alone",
    )


def _add_detector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--detector",
        choices=list(DETECTORS),
        default="auto",
        help="auto runs several and combines their scores (default: auto)",
    )
    parser.add_argument(
        "--aim",
        choices=AIMS,
        help="what the flags of auto and dynacor are for: recall finds the most wrong "
        "labels, precision flags the least right ones, rate as many as are estimated "
        "to be wrong (default: f1 for auto, recall for dynacor)",
    )
    parser.add_argument(
        "--text",
        action="append",
        default=[],
        metavar="COLUMN",
        help="treat this column as text; may be given several times",
    )


def _add_review(commands: argparse._SubParsersAction[Any]) -> None:
    help_ = "find wrong labels, and write a page to decide on them"
    parser = commands.add_parser("review", help=help_, description=help_.capitalize())
    parser.set_defaults(command="review")
    _add_table(parser, or_else=_FOLDER)
    add_image_options(parser)
    _add_max_memory(parser)
    _add_detector(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="write the page, or the rows for a tool, to this file (default: beside "
        "the table or folder, for data.csv data.review.html)",
    )
    parser.add_argument(
        "--export",
        choices=_EXPORTS,
        help="write no page, but the same rows as a file that this annotation tool "
        "imports",
    )
    parser.add_argument(
        "--max-rows",
        type=_count,
        default=200,
        metavar="INT",
        help="the largest number of flagged rows (default: 200)",
    )
    parser.add_argument(
        "--random-rows",
        type=_count,
        default=100,
        metavar="INT",
        help="rows drawn at random, from which the noise rate is counted (default: "
        "100)",
    )
    parser.add_argument(
        "--decisions",
        metavar="FILE",
        help="write no page; print what these decisions say of the noise rate, of the "
        "flags, and whether to go on",
    )
    _add_decisions_format(parser)


def _add_apply(commands: argparse._SubParsersAction[Any]) -> None:
    help_ = "write a copy of a table or images with the labels that people decided on"
    parser = commands.add_parser("apply", help=help_, description=help_.capitalize())
    parser.set_defaults(command="apply")
    _add_source(parser, or_else=_FOLDER)
    add_image_column(parser)
    parser.add_argument(
        "--decisions",
        metavar="FILE",
        required=True,
        help="the decisions, as the review page or an annotation tool exports them: "
        "CSV, JSON or JSONL",
    )
    _add_decisions_format(parser)
    parser.add_argument(
        "--out",
        metavar="PATH",
        required=True,
        help="write the copy to this file, of the same format; for a folder of images, "
        "a .csv or .tsv file gets the paths and labels, and a new folder the images",
    )
    parser.add_argument(
        "--links",
        action="store_true",
        help="fill the new folder with symbolic links to the images instead of copies",
    )
    parser.add_argument(
        "--label",
        metavar="COLUMN",
        help="column of the given labels (default: the one that the decisions fit)",
    )
    parser.add_argument(
        "--label-before",
        action="store_true",
        help="add a last column sknoisy_label_before with the labels as they were",
    )
    parser.add_argument(
        "--new-labels",
        action="store_true",
        help="allow new labels that no row of the table has",
    )
    _add_run(parser)


def _add_decisions_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decisions-format",
        choices=_DECISION_FORMATS,
        help="where the decisions are from: sknoisy is the review page (default: "
        "recognised by the names in the file)",
    )
    parser.add_argument(
        "--skipped",
        choices=("unsure", "exclude", "keep"),
        default="unsure",
        help="the decision about rows that annotators skipped (default: unsure)",
    )


def _add_inject(commands: argparse._SubParsersAction[Any]) -> None:
    help_ = "write a copy of a table with wrong labels, for tests"
    parser = commands.add_parser("inject", help=help_, description=help_.capitalize())
    parser.set_defaults(command="inject")
    _add_table(parser)
    parser.add_argument(
        "--noise-rate",
        type=_rate,
        required=True,
        help="share of labels to change, in [0, 1]",
    )
    parser.add_argument(
        "--kind",
        choices=_KINDS,
        default="symmetric",
        help="symmetric: to any other label; pair: to the next label; asymmetric: "
        "each label to one other, drawn at random; instance: depending on the "
        "columns; margin: near the boundary of two labels (default: symmetric)",
    )
    parser.add_argument(
        "--out",
        metavar="TABLE",
        required=True,
        help="write the copy to this file, of the same format; a last column "
        "LABEL_clean keeps the original labels",
    )


def _add_source(parser: argparse.ArgumentParser, or_else: str = "") -> None:
    parser.add_argument(
        "table",
        help="a .csv, .tsv, .parquet or .pq file; CSV may be compressed, as "
        f".csv.gz or .csv.zst{or_else}",
    )
    parser.add_argument(
        "--delimiter",
        type=_delimiter,
        help="separator of the columns in CSV (default: a comma, in .tsv a tab)",
    )
    parser.add_argument(
        "--encoding",
        type=_encoding,
        help="encoding of CSV (default: utf-8, or that of a byte order mark)",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--force", action="store_true", help="replace existing output files"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="show neither progress nor warnings"
    )
    parser.add_argument(
        "--traceback",
        action="store_true",
        help="show the traceback of an unexpected error",
    )


def _add_table(parser: argparse.ArgumentParser, or_else: str = "") -> None:
    _add_source(parser, or_else)
    parser.add_argument(
        "--label",
        # Without a table there may be no column.
        required=not or_else,
        metavar="COLUMN",
        help="column of the given labels",
    )
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="COLUMN",
        help="ignore this column, for example an id; may be given several times",
    )
    _add_notation(parser)
    parser.add_argument(
        "--random-state",
        type=_seed,
        default=0,
        metavar="INT",
        help="the same number gives the same result (default: 0)",
    )
    _add_run(parser)


def _add_notation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decimal",
        type=_mark,
        default=".",
        metavar="MARK",
        help="decimal mark of numbers (default: a point)",
    )
    parser.add_argument(
        "--thousands",
        type=_mark,
        metavar="MARK",
        help="separator of groups of digits, such as , or ' ' (default: none)",
    )
    parser.add_argument(
        "--dayfirst",
        action="store_true",
        help="read 03-04-2024 as a date in April, not in March",
    )
    parser.add_argument(
        "--missing",
        action="append",
        default=[],
        metavar="TEXT",
        help="treat cells with this text as missing; may be given several times",
    )


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1
    if not 0 <= rate <= 1:
        raise argparse.ArgumentTypeError(f"must be a number in [0, 1]; got {text!r}")
    return rate


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number; got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(
            f"must be an integer from 0 to {2**32 - 1}; got {text!r}"
        )
    return int(text)


def _delimiter(text: str) -> str:
    mark = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(mark) != 1:
        raise argparse.ArgumentTypeError(
            f"must be one character, or 'tab'; got {text!r}"
        )
    return mark


def _mark(text: str) -> str:
    from sknoisy.auditing._notation import is_mark

    if not is_mark(text):
        raise argparse.ArgumentTypeError(
            f"must be one character that is not a digit, letter or sign; got {text!r}"
        )
    return text


def _encoding(text: str) -> str:
    from sknoisy.auditing._source import text_encoding

    try:
        return text_encoding(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
