"""What reviewed rows say: the noise rate, the precision of the flags, when to stop.

Rows fall into groups: the top of the ranking, as far as it was reviewed without a gap,
and the strata of the random sample without those rows. The first group is counted; of
the others a part was drawn at random and counted. Which rows were drawn does not depend
on what was found at the top, so it does not matter when the reviewer stopped there.
Where too few rows of the sample would be left in a stratum, its rows stay together.
Strata that were reviewed whole are counted, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from sknoisy.cleaning._report_tables import ReportTables, load_pandas
from sknoisy.cleaning._review_sample import review_order, row_strata

__all__ = [
    "NoiseRateInterval",
    "StoppingPoint",
    "noise_rate_interval",
    "precision_by_score",
    "rate_interval",
    "stopping_point",
]

_N_LEVELS = 10
# Rows of the sample that must be expected in the rest of a stratum.
_MIN_LEFT = 10
_WRONG = ("relabel", "exclude")
_NO_STRATUM = (
    "the decisions have no rows that were drawn at random (no sample is 'stratum 1', "
    "...), and the most suspicious rows alone say nothing of the noise rate; review "
    "those of sample_for_review too."
)


@dataclass(frozen=True)
class NoiseRateInterval:
    """A confidence interval of the noise rate, from rows that people reviewed.

    Attributes
    ----------
    estimate, low, high : float
        Share of wrong labels among all rows, and the ends of its interval.
    confidence : float
        Share of such intervals that contain the true rate.
    n_reviewed : int
        Reviewed rows that count: of the random sample, and of the top of the ranking as
        far as it was reviewed without a gap.
    n_wrong : int
        Of those, rows with a wrong label.
    n_unsure : int
        Reviewed rows that were left undecided. Like rows of the sample that were not
        reviewed, they count as if their labels were wrong as often as the others.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    n_reviewed: int
    n_wrong: int
    n_unsure: int


@dataclass(frozen=True)
class StoppingPoint:
    """How often labels were wrong in the rows of the ranking that were reviewed last.

    Attributes
    ----------
    n_reviewed : int
        Rows of the ranking that were reviewed, from its top without a gap.
    n_last : int
        Rows that are counted: the last of them.
    n_wrong : int
        Of those, rows with a wrong label.
    rank : int or None
        The first rank at which no more of the last rows were wrong than is worth the
        work; None if there was none yet.
    """

    n_reviewed: int
    n_last: int
    n_wrong: int
    rank: int | None

    def __str__(self) -> str:
        """Return it as a sentence."""
        text = f"of the last {self.n_last}, {self.n_wrong} were wrong"
        if self.rank is None:
            return f"{text}; go on"
        return f"{text}; rank {self.rank} was a point to stop"


@dataclass(frozen=True)
class _Counts:
    """For each group the rows, those reviewed, and those found wrong."""

    sizes: NDArray[np.float64]
    reviewed: NDArray[np.float64]
    wrong: NDArray[np.float64]


def noise_rate_interval(
    report: ReportTables, decisions: Any, confidence: float
) -> tuple[NoiseRateInterval, int]:
    """Return the interval, and the number of rows drawn but not decided.

    Parameters
    ----------
    report : ReportTables
    decisions : pandas DataFrame
        Checked against the rows.
    confidence : float in (0, 1)

    Returns
    -------
    interval : NoiseRateInterval
    n_missing : int

    Raises
    ------
    ValueError
        If no row was drawn at random, a stratum has no reviewed row, or a sample is not
        one of this report.
    """
    strata, _ = row_strata(report)
    _check_strata(decisions, strata)
    everywhere = np.ones(len(strata), dtype=bool)
    counts = _counts(report, decisions, strata, everywhere)
    without = np.flatnonzero(counts.reviewed == 0)
    if len(without):
        if not _is_drawn(decisions).any():
            raise ValueError(_NO_STRATUM)
        raise ValueError(
            f"no row of the random sample was decided in {len(without)} of "
            f"{len(counts.sizes)} groups of rows, the largest with "
            f"{int(counts.sizes[without].max()):,} rows; review all rows of the sample."
        )
    estimate, low, high = rate_interval(
        counts.sizes, counts.reviewed, counts.wrong, confidence
    )
    is_unsure = decisions["decision"].to_numpy() == "unsure"
    interval = NoiseRateInterval(
        estimate,
        low,
        high,
        confidence,
        int(counts.reviewed.sum()),
        int(counts.wrong.sum()),
        int(is_unsure.sum()),
    )
    return interval, _n_missing(decisions, strata)


def precision_by_score(
    report: ReportTables,
    decisions: Any,
    min_scores: NDArray[np.float64] | None,
    confidence: float,
) -> Any:
    """Return the share of wrong labels among flagged rows, by the least score.

    Parameters
    ----------
    report : ReportTables
    decisions : pandas DataFrame
    min_scores : ndarray of shape (n_levels,) or None
        None takes ten levels, between which there are equally many flagged rows.
    confidence : float in (0, 1)

    Returns
    -------
    table : pandas DataFrame
    """
    strata, _ = row_strata(report)
    _check_strata(decisions, strata)
    flags = report.frame["is_label_issue"].to_numpy()
    scores = report.frame[report.score_name].to_numpy()
    if min_scores is None:
        min_scores = _levels(np.sort(scores[flags])[::-1])
    lines = []
    for least in min_scores:
        where = flags & (scores >= least)
        counts = _counts(report, decisions, strata, where)
        shares = (np.nan, np.nan, np.nan)
        if where.any() and (counts.reviewed > 0).all():
            shares = rate_interval(
                counts.sizes, counts.reviewed, counts.wrong, confidence
            )
        reviewed = int(counts.reviewed.sum())
        lines.append((float(least), int(where.sum()), reviewed, *shares))
    names = ["min_score", "n_flagged", "n_reviewed", "precision", "low", "high"]
    return load_pandas().DataFrame(lines, columns=names)


def stopping_point(
    report: ReportTables, decisions: Any, window: int, worth: float
) -> StoppingPoint:
    """Return how the ranking did at its end, and the first point to stop.

    Parameters
    ----------
    report : ReportTables
    decisions : pandas DataFrame
    window : int
        Rows that are counted.
    worth : float in [0, 1]
        Share of wrong labels in the window from which looking is worth the work.

    Returns
    -------
    point : StoppingPoint
    """
    top = _reviewed_top(report, decisions)
    is_wrong, is_known = _found(decisions, len(report.frame))
    known = is_known[top]
    wrong = is_wrong[top][known]
    sums = np.concatenate([[0], np.cumsum(wrong)])
    rank = None
    if len(wrong) >= window:
        in_window = sums[window:] - sums[:-window]
        enough = np.flatnonzero(in_window <= worth * window)
        if len(enough):
            # Ranks count rows that were left undecided too.
            rank = int(np.flatnonzero(known)[enough[0] + window - 1]) + 1
    n_last = min(window, len(wrong))
    return StoppingPoint(len(top), n_last, int(wrong[-n_last:].sum()), rank)


def rate_interval(
    sizes: NDArray[np.float64],
    reviewed: NDArray[np.float64],
    wrong: NDArray[np.float64],
    confidence: float,
) -> tuple[float, float, float]:
    """Return a stratified share and its confidence interval.

    It is the stratified Wilson interval of [1]_: the weighted mean of the ends of an
    interval of Wilson for each group, whose level is lowered such that the mean has the
    level asked for. Unlike there, the weights are the shares of the rows; distances to
    the ends shrink with the part of a group that was reviewed; deviations are estimated
    with two more wrong and two more right labels, so that a group without a wrong label
    does not count as certain; and groups whose share is 0 or 1 do not lower the level
    of the end that they cannot move.

    Parameters
    ----------
    sizes : ndarray of shape (n_groups,), dtype float64
        Rows in each group.
    reviewed : ndarray of shape (n_groups,), dtype float64
        Rows of each that were drawn at random and reviewed, at least one.
    wrong : ndarray of shape (n_groups,), dtype float64
        Of those, rows with a wrong label.
    confidence : float in (0, 1)

    Returns
    -------
    estimate, low, high : float
        In [0, 1].

    References
    ----------
    .. [1] X. Yan, X. G. Su. Stratified Wilson and Newcombe confidence intervals for
       multiple binomial proportions. Statistics in Biopharmaceutical Research 2(3),
       2010.
    """
    weight, share = sizes / sizes.sum(), wrong / reviewed
    estimate = float(np.sum(weight * share))
    shrunk = (wrong + 2) / (reviewed + 4)
    unseen = np.sqrt(1 - reviewed / sizes)
    deviation = weight * unseen * np.sqrt(shrunk * (1 - shrunk) / reviewed)
    z = norm.ppf((1 + confidence) / 2)
    below = _distances(wrong, reviewed, z * _lowering(deviation * (wrong > 0)))
    above = _distances(
        reviewed - wrong, reviewed, z * _lowering(deviation * (wrong < reviewed))
    )
    low = estimate - float(np.sum(weight * unseen * below))
    high = estimate + float(np.sum(weight * unseen * above))
    return estimate, max(0.0, low), min(1.0, high)


def _lowering(deviation: NDArray[np.float64]) -> float:
    """Return by what to multiply z, so that the mean of the ends has the level."""
    total = float(deviation.sum())
    return float(np.sqrt(np.sum(deviation**2))) / total if total else 1.0


def _distances(
    count: NDArray[np.float64], n: NDArray[np.float64], z: float
) -> NDArray[np.float64]:
    """Return how far the lower ends of intervals of Wilson are below the shares."""
    share = count / n
    middle = (count + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(count * (1 - share) + z**2 / 4)
    return share - middle + half


def _counts(
    report: ReportTables,
    decisions: Any,
    strata: NDArray[np.int64],
    where: NDArray[np.bool_],
) -> _Counts:
    """Return the counts of the groups, of the rows in ``where``."""
    n_rows = len(strata)
    is_wrong, is_known = _found(decisions, n_rows)
    group, is_drawn = strata.copy(), np.zeros(n_rows, dtype=bool)
    is_drawn[decisions["row"].to_numpy()[_is_drawn(decisions)]] = True
    top = _reviewed_top(report, decisions)
    # It ends with a row that was not drawn: else it would be longer the more rows were
    # drawn behind it.
    others = np.flatnonzero(~is_drawn[top])
    top = top[: others[-1] + 1] if len(others) else top[:0]
    top = top[_is_apart(strata, top, is_drawn)[strata[top]]]
    is_counted_all = _is_whole(decisions, strata)[strata]
    is_counted_all[top] = True
    group[is_counted_all], is_drawn[is_counted_all] = 0, True
    is_counted = where & is_known & is_drawn
    n_groups = int(strata.max()) + 1
    sizes = np.bincount(group[where], minlength=n_groups)
    reviewed = np.bincount(group[is_counted], minlength=n_groups)
    wrong = np.bincount(group[is_counted & is_wrong], minlength=n_groups)
    kept = sizes > 0
    parts = (array[kept].astype(np.float64) for array in (sizes, reviewed, wrong))
    return _Counts(*parts)


def _is_whole(decisions: Any, strata: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each stratum whether all of its rows were reviewed."""
    n_strata = int(strata.max()) + 1
    decided = np.bincount(strata[decisions["row"].to_numpy()], minlength=n_strata)
    return decided == np.bincount(strata, minlength=n_strata)


def _is_apart(
    strata: NDArray[np.int64], top: NDArray[np.int64], is_drawn: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return for each stratum whether its rows at the top are a group of their own.

    It does not depend on where in the stratum the drawn rows are, unless none at all is
    in the rest, which is next to impossible: that would make the estimate wrong on
    average.
    """
    n_strata = int(strata.max()) + 1
    sizes, drawn, at_top, drawn_at_top = (
        np.bincount(rows, minlength=n_strata)
        for rows in (strata, strata[is_drawn], strata[top], strata[top[is_drawn[top]]])
    )
    left = sizes - at_top
    is_enough = (drawn * left >= _MIN_LEFT * sizes) & (drawn > drawn_at_top)
    return (left == 0) | (drawn == 0) | is_enough


def _reviewed_top(report: ReportTables, decisions: Any) -> NDArray[np.int64]:
    """Return the first rows of the ranking, up to the first one without a decision."""
    order = review_order(report)
    is_decided = np.zeros(len(order), dtype=bool)
    is_decided[decisions["row"].to_numpy()] = True
    gaps = np.flatnonzero(~is_decided[order])
    return order[: gaps[0]] if len(gaps) else order


def _found(decisions: Any, n_rows: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows are wrong, and of which it is known."""
    kinds, rows = decisions["decision"].to_numpy(), decisions["row"].to_numpy()
    is_wrong, is_known = np.zeros((2, n_rows), dtype=bool)
    is_wrong[rows[np.isin(kinds, _WRONG)]] = True
    is_known[rows[kinds != "unsure"]] = True
    return is_wrong, is_known


def _is_drawn(decisions: Any) -> NDArray[np.bool_]:
    return np.array([s.startswith("stratum") for s in decisions["sample"]], dtype=bool)


def _check_strata(decisions: Any, strata: NDArray[np.int64]) -> None:
    for row, sample in zip(decisions["row"], decisions["sample"], strict=True):
        if sample.startswith("stratum") and sample != f"stratum {strata[row]}":
            raise ValueError(
                f"the decision about row {row} has the sample {sample!r}, but in this "
                f"report it is in stratum {strata[row]}: it is from another audit."
            )


def _n_missing(decisions: Any, strata: NDArray[np.int64]) -> int:
    """Return how many rows of the sample have no decision."""
    is_drawn = _is_drawn(decisions)
    groups = strata[decisions["row"].to_numpy()[is_drawn]]
    probability = decisions["sample_probability"].to_numpy()[is_drawn]
    sizes, decided = np.bincount(strata), np.bincount(groups)
    drawn = np.zeros(len(sizes))
    drawn[groups] = np.rint(probability * sizes[groups])
    return int(np.maximum(drawn[: len(decided)] - decided, 0).sum())


def _levels(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores of flagged rows, sorted from the largest, at ten ranks."""
    if not len(scores):
        return scores
    ranks = np.ceil(np.arange(1, _N_LEVELS + 1) / _N_LEVELS * len(scores)).astype(int)
    return np.unique(scores[ranks - 1])[::-1]
