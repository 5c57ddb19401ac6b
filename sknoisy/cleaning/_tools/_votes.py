"""What annotators said of rows, and the decisions that follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sknoisy.cleaning._decisions import COLUMNS, unquoted

__all__ = ["Vote", "carried_by", "decisions_of", "only_choice"]

_NEEDED = COLUMNS[:3]
_CARRIED = tuple(name for name in COLUMNS if name not in ("decision", "new_label"))


@dataclass(frozen=True)
class Vote:
    """The answer of one annotator about one row.

    Attributes
    ----------
    row : mapping
        What the task carried of the row, by the names of columns of decisions.
    answer : str or None
        A label; None if the row was looked at and skipped.
    by : str
        The annotator.
    order : tuple
        Of two answers of an annotator, the one with the larger order counts.
    is_truth : bool
        Whether it overrules the answers of others.
    """

    row: Mapping[str, Any]
    answer: str | None
    by: str = ""
    order: tuple[Any, ...] = ()
    is_truth: bool = False


def decisions_of(votes: Iterable[Vote], skipped: str) -> list[dict[str, Any]]:
    """Return a decision for each row that somebody looked at.

    The last answer of each annotator counts. Annotators who skipped the row do not
    count if others did not. More than half of the others must agree; else it is unsure.

    Parameters
    ----------
    votes : iterable of Vote
    skipped : str
        The decision about rows that all skipped.

    Returns
    -------
    decisions : list of dict
        With columns of decisions.
    """
    by_row: dict[str, list[Vote]] = {}
    for vote in votes:
        by_row.setdefault(str(vote.row["row"]), []).append(vote)
    return [_decision(votes_, skipped) for votes_ in by_row.values()]


def carried_by(record: Any, number: int, where: str) -> dict[str, Any]:
    """Return what a record of a tool carries of its row.

    Parameters
    ----------
    record : mapping
    number : int
        Of the record in its file, counted from 1.
    where : str
        Where in the record it should be, in messages.

    Returns
    -------
    row : dict

    Raises
    ------
    ValueError
        If something is missing.
    """
    record = record if isinstance(record, Mapping) else {}
    found = {n: record[n] for n in _CARRIED if record.get(n) is not None}
    for name in _NEEDED:
        if found.get(name, "") == "":
            raise ValueError(
                f"record {number} has no {name!r} in {where}: it does not say which "
                "row it is about. Let LabelReport.export write what annotators get, "
                "and keep all of its keys."
            )
    return found


def only_choice(choices: Sequence[Any], row: Mapping[str, Any]) -> str | None:
    """Return the only label that was chosen, None if there is none.

    Raises
    ------
    ValueError
        If there are several.
    """
    if len(choices) > 1:
        raise ValueError(
            f"row {row['row']} got {len(choices)} labels at once, "
            f"{', '.join(map(repr, choices))}; a row has one label."
        )
    return str(choices[0]) if choices else None


def _decision(votes: list[Vote], skipped: str) -> dict[str, Any]:
    row = votes[0].row
    for vote in votes:
        other = [name for name in _CARRIED if row.get(name) != vote.row.get(name)]
        if other:
            raise ValueError(
                f"there are two tasks about row {row['row']} that differ in "
                f"{other[0]!r}: they are of two exports."
            )
    if any(vote.is_truth for vote in votes):
        votes = [vote for vote in votes if vote.is_truth]
    last = {vote.by: vote for vote in sorted(votes, key=lambda vote: vote.order)}
    labels = Counter(v.answer for v in last.values() if v.answer is not None)
    if not labels:
        return {**row, "decision": skipped}
    label, count = labels.most_common(1)[0]
    if 2 * count <= labels.total():
        return {**row, "decision": "unsure"}
    if unquoted(label) == unquoted(str(row["given_label"])):
        return {**row, "decision": "keep"}
    return {**row, "decision": "relabel", "new_label": label}
