"""``sknoisy apply``: change a table or images by decisions about their labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknoisy._regular_files import written_in_one_step
from sknoisy._user_errors import UserError, one_line, shown
from sknoisy.auditing._labels import check_labels, label_is_needed
from sknoisy.auditing._progress import step
from sknoisy.auditing._reading import read_table, table_of_strings
from sknoisy.auditing._source import (
    PARQUET,
    Source,
    check_input,
    opened_table,
    reason,
)
from sknoisy.cleaning._apply import Changes, changed_table, changes_by_decisions
from sknoisy.cleaning._apply import names_of_labels as names_of
from sknoisy.cleaning._decision_files import read_decisions
from sknoisy.cleaning._decisions import check_rows, class_named
from sknoisy.command_line._apply_images import (
    check_folder_output,
    copy_folder,
    decisions_about_rows,
    folder_table,
    is_listing,
    write_listing,
)
from sknoisy.command_line._outputs import check_outputs, write_strings, writing

__all__ = ["apply", "checked_decisions"]


def apply(args: argparse.Namespace) -> str:
    """Write a copy of a table or a folder with changed labels, return the summary.

    Parameters
    ----------
    args : argparse.Namespace
        The options of the command.

    Returns
    -------
    summary : str
    """
    path, out = Path(args.table), Path(args.out)
    if path.is_dir():
        return _apply_to_folder(path, out, args)
    if args.links:
        raise UserError("--links is for a folder of images")
    ending = check_input(path)
    endings = PARQUET if ending in PARQUET else (ending,)
    check_outputs(path, {"--out": (out, endings)}, args.force)
    decisions = checked_decisions(args)
    with opened_table(path, delimiter=args.delimiter, encoding=args.encoding) as source:
        with step("reading the table", not args.quiet):
            table = _table(source)
        label = _label(source, table, decisions, args)
        given = _given(source, table, label)
        if args.image:
            decisions = decisions_about_rows(source, table, decisions, args)
        else:
            _check_rows(source, table, given, decisions)
        fixed, changes = _fixed(table, label, given, decisions, args)
        with writing(out, "--out"):
            with written_in_one_step(out, overwrite=args.force) as draft:
                _write(fixed, source, draft)
    return "\n".join(_summary(str(source), out, label, table, fixed, changes))


def _apply_to_folder(path: Path, out: Path, args: argparse.Namespace) -> str:
    """Write a corrected list of a folder of images, or a corrected copy of it."""
    check_folder_output(path, out, args)
    decisions = checked_decisions(args)
    table = folder_table(path, decisions, args)
    given = table["label"].to_numpy()
    fixed, changes = _fixed(table, "label", given, decisions, args)
    lines = _summary(shown(path), out, "label", table, fixed, changes)
    if is_listing(out):
        write_listing(fixed, path, out, args)
        return "\n".join(lines)
    n_renamed = copy_folder(fixed, path, out, args)
    if n_renamed:
        lines.append(f"renamed, because the name was taken: {n_renamed:,}")
    return "\n".join(lines)


def _table(source: Source) -> Any:
    if source.is_parquet:
        # No column of labels is known yet.
        return read_table(source, None)
    return table_of_strings(source)


def checked_decisions(args: argparse.Namespace) -> Any:
    """Return the decisions of a file.

    Parameters
    ----------
    args : argparse.Namespace
        The options of the command.

    Returns
    -------
    decisions : pandas DataFrame
        At least one.
    """
    path = Path(args.decisions)
    try:
        decisions = read_decisions(
            path, tool=args.decisions_format, skipped=args.skipped
        )
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise UserError(f"--decisions {shown(path)}: {one_line(error)}") from error
    if not len(decisions):
        raise UserError(f"--decisions {shown(path)} has no decisions")
    return decisions


def _label(source: Source, table: Any, decisions: Any, args: Any) -> str:
    if args.image and not args.label:
        # The rows of decisions are those of images that can be read.
        raise label_is_needed()
    return args.label or _label_column(source, table, decisions)


def _label_column(source: Source, table: Any, decisions: Any) -> str:
    """Return the column that has the given labels of the decisions."""
    rows = decisions["row"].to_numpy()
    known = rows < len(table)
    rows, names = rows[known], decisions["given_label"].to_numpy()[known]
    matches = []
    for place in range(table.shape[1]):
        cells = table.iloc[:, place].iloc[rows]
        pairs = zip(names, cells, strict=True)
        matches.append(
            sum(class_named(n, {str(c): True}) is not None for n, c in pairs)
        )
    most = max(matches, default=0)
    best = [str(table.columns[i]) for i, n in enumerate(matches) if n == most]
    if not most or len(best) > 1:
        which = "no column has" if not most else f"the columns {_listed(best)} have"
        raise UserError(
            f"{source}: {which} the given labels of the decisions; pass --label COLUMN"
        )
    return best[0]


def _listed(names: list[str]) -> str:
    return " and ".join(repr(name) for name in names[:5])


def _given(source: Source, table: Any, label: str) -> NDArray[Any]:
    names = [str(name) for name in table.columns]
    if names.count(label) != 1:
        raise UserError(
            f"--label: {source} has {names.count(label)} columns named {label!r}"
        )
    if source.is_parquet:
        return np.asarray(check_labels(source, table[label]))
    return table[label].to_numpy(dtype=object)


def _check_rows(
    source: Source, table: Any, given: NDArray[Any], decisions: Any
) -> None:
    try:
        check_rows(decisions, table, None, given, str(source))
    except ValueError as error:
        raise UserError(one_line(error)) from error


def _fixed(
    table: Any,
    label: str,
    given: NDArray[Any],
    decisions: Any,
    args: argparse.Namespace,
) -> tuple[Any, Changes]:
    try:
        names = names_of(table[label], given)
        changes = changes_by_decisions(decisions, names, allow_new=args.new_labels)
        fixed = changed_table(table, label, changes, label_before=args.label_before)
    except ValueError as error:
        message = one_line(error).replace("allow new labels", "pass --new-labels")
        raise UserError(message) from error
    return fixed, changes


def _write(fixed: Any, source: Source, draft: Path) -> None:
    if source.is_parquet:
        fixed.to_parquet(draft)
        return
    header = fixed.columns.to_frame().T.reset_index(drop=True)
    rows = type(fixed)(np.vstack([header.to_numpy(object), fixed.to_numpy(object)]))
    write_strings(rows, source, draft)


def _summary(
    source: str, out: Path, label: str, table: Any, fixed: Any, changes: Changes
) -> list[str]:
    counts = changes.counts
    lines = [
        f"{source}: {len(table):,} rows, {sum(counts.values()):,} decisions about "
        f"{label!r}",
        f"relabelled: {counts['relabel']:,}",
        f"excluded: {counts['exclude']:,}",
        f"kept: {counts['keep']:,}, unsure: {counts['unsure']:,}",
    ]
    moves: dict[tuple[str, str], int] = {}
    for row, new in changes.new_labels.items():
        pair = str(table[label].iloc[row]), str(new)
        moves[pair] = moves.get(pair, 0) + 1
    for (old, new), count in sorted(moves.items(), key=lambda item: -item[1])[:10]:
        lines.append(f"  {shown(old)} -> {shown(new)}: {count:,}")
    return [*lines, f"wrote {shown(out)}: {len(fixed):,} rows"]
