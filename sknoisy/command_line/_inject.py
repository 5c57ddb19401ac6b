"""``sknoisy inject``: replace labels in a table by wrong ones, for tests."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sknoisy._regular_files import written_in_one_step
from sknoisy._user_errors import UserError, refusals, shown
from sknoisy.auditing._columns import read_columns
from sknoisy.auditing._labels import check_labels, similar_labels
from sknoisy.auditing._notation import Notation
from sknoisy.auditing._progress import step
from sknoisy.auditing._reading import check_columns, read_strings, read_table
from sknoisy.auditing._source import PARQUET, Source, check_input, opened_table
from sknoisy.auditing._tables import clean_name
from sknoisy.command_line._interruptible import interruptible
from sknoisy.command_line._outputs import check_outputs, write_strings, writing

_BY_FEATURES = ("instance", "margin")


def inject(args: argparse.Namespace) -> str:
    """Write a copy of a table with wrong labels, return the summary.

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
    with opened_table(path, delimiter=args.delimiter, encoding=args.encoding) as source:
        return _inject(source, out, args)


def _inject(source: Source, out: Path, args: argparse.Namespace) -> str:
    clean = clean_name(args.label)
    notation = Notation(
        args.decimal, args.thousands, args.dayfirst, frozenset(args.missing)
    )
    with step("reading the table", not args.quiet):
        frame = read_table(source, args.label, as_strings=notation.is_local)
        if clean in frame.columns:
            raise UserError(
                f"{source} already has a column {clean!r}: it was corrupted before"
            )
        check_columns(args.drop, frame.columns.drop(args.label), "drop")
        labels = check_labels(source, frame[args.label])
    with step(f"corrupting {len(labels):,} labels", not args.quiet):
        noisy, n_changed, notes = _corrupted(frame, labels, notation, args)
    with writing(out, "--out"):
        with written_in_one_step(out, overwrite=args.force) as draft:
            _write(draft, frame, labels, noisy, source, args.label)
    lines = [
        f"{shown(out)}: {n_changed:,} of {len(labels):,} labels changed, noise rate "
        f"{n_changed / len(labels):.4f}",
        f"the original labels are in column {clean!r}",
    ]
    every = [similar_labels(labels), *notes]
    return "\n".join(lines + [f"note: {note}" for note in every if note])


def _corrupted(
    frame: Any, labels: Any, notation: Notation, args: argparse.Namespace
) -> tuple[Any, int, list[str]]:
    """Return the noisy labels, how many changed, and notes on the columns."""
    features, notes = None, []
    if args.kind in _BY_FEATURES:
        kept = frame.drop(columns=[args.label, *args.drop])
        table = read_columns(kept, notation=notation)
        features, notes = table.to_numbers(args.random_state), table.notes
    injector = _injector(args.kind, args.noise_rate, args.random_state)
    failure = f"{args.kind} noise of rate {args.noise_rate} cannot be injected"
    with refusals(failure), interruptible():
        _, noisy = injector.fit_resample(features, labels.to_numpy())
    return noisy, int(injector.noise_mask_.sum()), notes


def _injector(kind: str, noise_rate: float, random_state: int) -> Any:
    import sknoisy

    if kind == "symmetric":
        return sknoisy.SymmetricNoiseInjector(noise_rate, random_state=random_state)
    if kind == "instance":
        return sknoisy.InstanceNoiseInjector(noise_rate, random_state=random_state)
    if kind == "margin":
        return sknoisy.MarginNoiseInjector(noise_rate, random_state=random_state)
    mapping = "pair_flip" if kind == "pair" else "random_partner"
    return sknoisy.AsymmetricNoiseInjector(
        noise_rate, mapping=mapping, random_state=random_state
    )


def _write(
    draft: Path, frame: Any, labels: Any, noisy: Any, source: Source, label: str
) -> None:
    clean = clean_name(label)
    if source.is_parquet:
        # Values of the table itself, so that categories and dates keep their type.
        row_of = dict(zip(labels, range(len(labels)), strict=True))
        changed = frame[label].iloc[[row_of[v] for v in noisy]].set_axis(frame.index)
        frame.assign(**{label: changed, clean: frame[label]}).to_parquet(draft)
        return
    # Read again as strings: 1.50 must not become 1.5 in other columns.
    rows = read_strings(source)
    place = rows.iloc[0].tolist().index(label)
    rows[rows.shape[1]] = [clean, *rows[place].iloc[1:]]
    rows[place] = [label, *noisy]
    write_strings(rows, source, draft)
