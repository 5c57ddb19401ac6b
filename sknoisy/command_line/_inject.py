"""``sknoisy inject``: plant wrong labels in a table, for a trial."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sknoisy.command_line._audit import clean_name
from sknoisy.command_line._columns import to_numbers
from sknoisy.command_line._errors import CommandError, refusals
from sknoisy.command_line._files import (
    PARQUET,
    check_columns,
    check_input,
    check_outputs,
    is_parquet,
    read_strings,
    read_table,
    write_strings,
    written_in_one_step,
)
from sknoisy.command_line._labels import check_labels
from sknoisy.command_line._progress import step

KINDS = ("symmetric", "pair", "asymmetric", "instance", "margin")
_BY_FEATURES = ("instance", "margin")


def inject(args: argparse.Namespace) -> str:
    """Write a copy of a table with wrong labels, return what was done.

    Parameters
    ----------
    args : argparse.Namespace
        The options of the command.

    Returns
    -------
    summary : str
    """
    path, out = Path(args.table), Path(args.out)
    check_input(path)
    endings = PARQUET if is_parquet(path) else (path.suffix.lower(),)
    check_outputs(path, {"--out": (out, endings)}, args.force)
    with step("reading the table", quiet=args.quiet):
        frame = read_table(
            path, args.label, delimiter=args.delimiter, encoding=args.encoding
        )
        if clean_name(args.label) in frame.columns:
            raise CommandError(
                f"{path} has a column {clean_name(args.label)!r} already: it was "
                "corrupted before"
            )
        check_columns(args.drop, frame.columns.drop(args.label), "--drop")
        labels = check_labels(path, frame[args.label])
    with step(f"corrupting {len(labels):,} labels", quiet=args.quiet):
        noisy, n_changed = _corrupted(frame, labels, args)
    with written_in_one_step(out, args.force, "--out") as draft:
        _write(draft, frame, labels, noisy, args)
    return (
        f"{out}: {n_changed:,} of {len(labels):,} labels changed, noise rate "
        f"{n_changed / len(labels):.4f}\n"
        f"the labels as they were: column {clean_name(args.label)!r}"
    )


def _corrupted(frame: Any, labels: Any, args: argparse.Namespace) -> tuple[Any, int]:
    """Return the labels with noise, and how many changed."""
    features = None
    if args.kind in _BY_FEATURES:
        features = to_numbers(
            frame.drop(columns=[args.label, *args.drop]), random_state=args.random_state
        ).values
    injector = _injector(args.kind, args.noise_rate, args.random_state)
    with refusals(f"{args.kind} noise of rate {args.noise_rate} cannot be made"):
        _, noisy = injector.fit_resample(features, labels.to_numpy())
    return noisy, int(injector.noise_mask_.sum())


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
    draft: Path, frame: Any, labels: Any, noisy: Any, args: argparse.Namespace
) -> None:
    path, label, clean = Path(args.table), args.label, clean_name(args.label)
    if is_parquet(path):
        # Each label as it stood in the table: a category stays one, a date too.
        row_of = dict(zip(labels, range(len(labels)), strict=True))
        changed = frame[label].iloc[[row_of[v] for v in noisy]].set_axis(frame.index)
        frame.assign(**{label: changed, clean: frame[label]}).to_parquet(draft)
        return
    # Read once more, as strings: 1.50 must not become 1.5 in other columns.
    rows = read_strings(path, args.delimiter, args.encoding)
    place = rows.iloc[0].tolist().index(label)
    rows[rows.shape[1]] = [clean, *rows[place].iloc[1:]]
    rows[place] = [label, *noisy]
    write_strings(rows, path, draft, args.delimiter, args.encoding)
