"""``sknoisy apply``: change a table by decisions about its labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknoisy._regular_files import written_in_one_step
from sknoisy._user_errors import UserError, one_line, shown
from sknoisy.auditing._labels import check_labels
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
from sknoisy.command_line._outputs import check_outputs, write_strings, writing

__all__ = ["apply", "checked_decisions"]


def apply(args: argparse.Namespace) -> str:
    """Write a copy of a table with changed labels, return the summary.

    Parameters
    ----------
    args : argparse.Namespace
        The options of the command.

    Returns
    -------
    summary : str
    """
    path, out = Path(args.table), Path(args.out)
    ending = check_input(path)
    endings = PARQUET if ending in PARQUET else (ending,)
    check_outputs(path, {"--out": (out, endings)}, args.force)
    decisions = checked_decisions(args)
    with opened_table(path, delimiter=args.delimiter, encoding=args.encoding) as source:
        with step("reading the table", not args.quiet):
            table = _table(source)
        label = args.label or _label_column(source, table, decisions)
        given = _given(source, table, label)
        fixed, changes = _fixed(source, table, label, given, decisions, args)
        with writing(out, "--out"):
            with written_in_one_step(out, overwrite=args.force) as draft:
                _write(fixed, source, draft)
    return "\n".join(_summary(source, out, label, table, fixed, changes))


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


def _fixed(
    source: Source,
    table: Any,
    label: str,
    given: NDArray[Any],
    decisions: Any,
    args: argparse.Namespace,
) -> tuple[Any, Changes]:
    try:
        check_rows(decisions, table, None, given, str(source))
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
    source: Source, out: Path, label: str, table: Any, fixed: Any, changes: Changes
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
