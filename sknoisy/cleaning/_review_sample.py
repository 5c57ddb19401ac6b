"""Which rows people should look at: the top of the ranking, and a random sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from sknoisy.cleaning._report_tables import ReportTables, load_pandas

__all__ = ["review_order", "review_sample", "row_strata"]

# Flagged rows are divided in halves from so many on.
_MIN_HALVED = 40
# Shares of the rows that are not flagged, the most suspicious first.
_UNFLAGGED = (0.1, 0.3, 0.6)
# Rough shares of wrong labels by stratum, flagged rows first. They decide how many rows
# are drawn from each; an interval is right without them, but wider.
_GUESSED = {True: (0.7, 0.4), False: (0.15, 0.06, 0.03)}
_MIN_DRAWN = 5


def review_order(report: ReportTables) -> NDArray[np.int64]:
    """Return the rows in the order in which to correct them.

    Parameters
    ----------
    report : ReportTables

    Returns
    -------
    rows : ndarray of shape (n_samples,), dtype int64
        Flagged rows first, then by the score, the most suspicious first, ties by
        position.
    """
    flags = report.frame["is_label_issue"].to_numpy()
    scores = report.frame[report.score_name].to_numpy()
    return np.lexsort((-scores, ~flags)).astype(np.int64)


def row_strata(report: ReportTables) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return a stratum for each row, and a guess of its share of wrong labels.

    Parameters
    ----------
    report : ReportTables

    Returns
    -------
    strata : ndarray of shape (n_samples,), dtype int64
        Numbers from 1, the most suspicious first. They depend on the report alone.
    guessed : ndarray of shape (n_strata,), dtype float64
    """
    order = review_order(report)
    n_flagged = int(report.frame["is_label_issue"].sum())
    n_others = len(order) - n_flagged
    if n_flagged >= _MIN_HALVED:
        sizes = [n_flagged // 2, n_flagged - n_flagged // 2]
        guessed = list(_GUESSED[True])
    else:
        sizes, guessed = [n_flagged], [sum(_GUESSED[True]) / 2]
    ends = np.rint(np.cumsum(_UNFLAGGED) * n_others).astype(np.int64)
    sizes += np.diff(ends, prepend=0).tolist()
    guessed += _GUESSED[False]
    kept = [i for i, size in enumerate(sizes) if size]
    strata = np.empty(len(order), dtype=np.int64)
    strata[order] = np.repeat(np.arange(1, len(kept) + 1), [sizes[i] for i in kept])
    return strata, np.array([guessed[i] for i in kept])


def review_sample(
    report: ReportTables, n_ranked: int, n_random: int, random_state: Any
) -> Any:
    """Return the rows to look at.

    Parameters
    ----------
    report : ReportTables
    n_ranked : int
        Rows from the top of the ranking.
    n_random : int
        Rows drawn from the strata; none if the report has learnt from decisions.
    random_state : int, RandomState instance or None

    Returns
    -------
    sample : pandas DataFrame
        As `LabelReport.sample_for_review` describes it.
    """
    reviewed = report.reviewed
    if reviewed is not None:
        # The ranking depends on what was found, so a sample says nothing of the rate.
        n_ranked, n_random = n_ranked + n_random, 0
    strata, guessed = row_strata(report)
    sizes = np.bincount(strata)[1:]
    drawn = _allocation(sizes, guessed, n_random)
    random = check_random_state(random_state)
    rows = [
        random.choice(np.flatnonzero(strata == h), size=n, replace=False)
        for h, n in enumerate(drawn, start=1)
    ]
    at_random = random.permutation(np.concatenate(rows)).astype(np.int64)
    order = review_order(report)
    if reviewed is not None:
        order = order[~np.isin(order, reviewed)]
    ranks = np.zeros(len(strata), dtype=np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    ranked = order[:n_ranked]
    ranked = ranked[~np.isin(ranked, at_random)]
    all_rows = np.concatenate([ranked, at_random])
    numbers = strata[at_random]
    frame = report.frame.iloc[all_rows]
    names = [f"rank {ranks[row]}" for row in ranked]
    names += [f"stratum {number}" for number in numbers]
    pd = load_pandas()
    return pd.DataFrame(
        {
            "row": all_rows,
            "sample": pd.Series(names, dtype=object, index=frame.index),
            "sample_probability": np.concatenate(
                [np.full(len(ranked), np.nan), (drawn / sizes)[numbers - 1]]
            ),
            "given_label": frame["given_label"].to_numpy(),
            "suggested_label": frame["suggested_label"].to_numpy(),
            report.score_name: frame[report.score_name].to_numpy(),
        },
        index=frame.index,
    )


def _allocation(
    sizes: NDArray[np.int64], guessed: NDArray[np.float64], n_random: int
) -> NDArray[np.int64]:
    """Return how many rows to draw from each stratum, by Neyman's rule.

    That is in proportion to the size and the guessed standard deviation, but at least
    five from each.
    """
    if n_random == 0:
        return np.zeros(len(sizes), dtype=np.int64)
    n_random = min(n_random, int(sizes.sum()))
    drawn = np.minimum(sizes, min(_MIN_DRAWN, n_random // len(sizes)))
    wanted = sizes * np.sqrt(guessed * (1 - guessed))
    wanted = wanted / wanted.sum() * n_random
    while drawn.sum() < n_random:
        # One at a time to the stratum that is furthest behind.
        behind = np.where(drawn < sizes, wanted - drawn, -np.inf)
        drawn[np.argmax(behind)] += 1
    return drawn
