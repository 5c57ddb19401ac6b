"""A race of settings of one network: the one that finds planted labels best is chosen.

All rounds are planted before the first, alike for all candidates. After each round the
candidates that lie behind are dropped, since a fit takes long, and in the end one is
chosen: the labels are scored from what its fits recorded, in the race and in the rounds
that it goes on with alone. A competition (`_competition`) plants by what its candidates
suggest, drops only those that fail, and weighs all.
"""

from contextlib import closing
from itertools import combinations, islice

import numpy as np

from sknoisy._planting._calibration import calibrate
from sknoisy._planting._gaps import fill_gaps
from sknoisy._planting._jobs import Jobs, result_of
from sknoisy._planting._rounds import (
    BROKEN_OFF,
    planted_auroc,
    tell_broken_off,
    tell_fit,
)
from sknoisy._progress import progress

__all__ = ["Candidate", "choose", "race", "race_then_repeat"]

# Largest AUROC difference to the best at which a candidate stays active.
SLACK = 0.03
# Rounds of a candidate are enough when its mean signal would correlate so much with
# that of as many other rounds.
ENOUGH_AGREEMENT = 0.98
# Rows that a correlation is computed from, at least.
_FEWEST_ROWS = 3


class Candidate:
    """A setting of the net, and the records of its fits, one for each round.

    Parameters
    ----------
    setting : dict
        Parameters of the net.
    planted : ndarray of shape (n_rounds, n_rows), dtype bool
        Where a label is planted in each of the planned rounds.
    n_samples : int
        The first rows, which are scored; any others are copies of them.

    Attributes
    ----------
    trajectories : list of ndarray of shape (n_rows, n_epochs), dtype float32
        One for each round so far, high for right labels.
    aurocs : list of float
        Of the mean signal in each round so far.
    net : skorch net
        That of the last round.
    """

    def __init__(self, setting, planted, n_samples):
        self.setting = setting
        self.n_samples = n_samples
        self.trajectories = []
        self.aurocs = []
        self.net = None
        self._planned = planted
        self._proba_sum = 0

    def add(self, trajectories, mean_proba, net):
        """Add the next round."""
        self.trajectories.append(trajectories)
        self._proba_sum = self._proba_sum + mean_proba * ~self.planted[-1][:, None]
        if self.planted.any():
            self.aurocs.append(self.auroc(-1))
        self.net = net

    @property
    def planted(self):
        """Where a label is planted in each round so far."""
        return self._planned[: len(self.trajectories)]

    @property
    def signal(self):
        """Mean over the epochs, shape (n_rounds_so_far, n_rows)."""
        return np.stack([t.mean(1, dtype=np.float64) for t in self.trajectories])

    @property
    def scores_all(self):
        """Whether each sample has been seen under its given label."""
        return bool((~self.planted[:, : self.n_samples]).any(0).all())

    @property
    def agreement(self):
        """Expected correlation of the mean signal with that of as many other rounds.

        By the formula of Spearman and Brown, from the mean correlation of two rounds.
        """
        signal, given, n_rounds = self.signal, ~self.planted, len(self.trajectories)
        mean = np.mean(
            [
                _correlation(*signal[[a, b]][:, given[a] & given[b]])
                for a, b in combinations(range(n_rounds), 2)
            ]
        )
        return float(n_rounds * mean / (1 + (n_rounds - 1) * mean))

    @property
    def given_signal(self):
        """Mean signal over the rounds with the given label, shape (n_samples,)."""
        return self._given_mean(self.signal)

    @property
    def given_trajectories(self):
        """Mean trajectory over these rounds, shape (n_samples, n_epochs)."""
        return self._given_mean(self._even_trajectories()).astype(np.float32)

    @property
    def given_proba(self):
        """Class probabilities, mean over these rounds, (n_samples, n_classes)."""
        total = self._proba_sum[: self.n_samples]
        # A row may have been left out of all incomplete batches.
        return total / np.maximum(total.sum(1, keepdims=True), 1e-12)

    @property
    def planted_trajectories(self):
        """Trajectories under planted labels, round after round."""
        return self._even_trajectories()[self.planted]

    def auroc(self, number, weights=None):
        """Return how well the planted labels of a round are separated from others."""
        signal = self.trajectories[number].mean(1)
        return planted_auroc(self.planted[number], -signal, weights)

    def calibrate(self, n_classes, noise_rate=None):
        """Learn P(wrong) from the signals of all rounds; see `calibrate`."""
        signal = self.signal
        return calibrate(
            signal[~self.planted], signal[self.planted], n_classes, noise_rate
        )

    def _given_mean(self, values):
        """Average values of shape (n_rounds, n_rows, ...) over the given labels."""
        given = ~self.planted[:, : self.n_samples]
        given = given.reshape(given.shape + (1,) * (values.ndim - 2))
        return np.where(given, values[:, : self.n_samples], 0).sum(0) / given.sum(0)

    def _even_trajectories(self):
        """Return all rounds as one array; a callback may have ended some early."""
        n_epochs = max(t.shape[1] for t in self.trajectories)
        padded = [
            np.pad(t, ((0, 0), (0, n_epochs - t.shape[1])), constant_values=np.nan)
            for t in self.trajectories
        ]
        return np.stack([fill_gaps(t) for t in padded])


def race(candidates, train, n_rounds, bar=None, jobs=None):
    """Fit every candidate in each round, and drop those that fall behind.

    A candidate falls behind when its mean AUROC is 0.03 below the best. One that
    diverges is dropped, unless it is the only one.

    Parameters
    ----------
    candidates : list of Candidate
    train : callable
        Takes a setting and the number of the round; returns a task for `Jobs` whose
        result is what `Candidate.add` takes.
    n_rounds : int
    bar : Progress, default=None
        Counts the fits; its total falls with those that are dropped. If its
        ``verbose`` is 2, a row is written for each fit.
    jobs : Jobs, default=None
        Runs the trainings of a round, of several if there are enough workers, or of a
        single candidate. None runs one at a time.

    Returns
    -------
    active : list of Candidate
        Those that were not dropped, in their order.

    Raises
    ------
    TrainingInterrupted
        If it is interrupted before any candidate has scored all samples.
    """
    active = list(candidates)
    bar = progress(len(active) * n_rounds, "race", 0) if bar is None else bar
    jobs = Jobs() if jobs is None else jobs
    try:
        number = 0
        while number < n_rounds and len(active) > 1:
            number = _compete(active, train, number, n_rounds, bar, jobs)
        if number < n_rounds:
            rest = range(number, n_rounds)
            _go_on(active[0], train, rest, n_rounds, bar, jobs)
    except BROKEN_OFF as error:
        active = _kept(active, n_rounds, error, bar)
    return active


def race_then_repeat(candidates, train, pick, rounds, bar, finalist=None, jobs=None):
    """Let candidates compete in a few rounds, and fit the best one in further ones.

    It is fitted until two such means of its signal would agree closely. If it diverges,
    the next best takes its place.

    Parameters
    ----------
    candidates : list of Candidate
    train : callable
        As in `race`.
    pick : callable
        Takes those that are active after the race; returns the best.
    rounds : tuple of int
        How many all compete in; how many the best one has at least, and at most.
    bar : Progress
        As in `race`.
    finalist : callable, default=None
        Takes a setting; returns a Candidate and the function that trains it. For a race
        on a part of the rows, after which the best setting starts again on all. None
        goes on with the best candidate.
    jobs : Jobs, default=None
        As in `race`. Rounds that may turn out not to be needed run beside one that is,
        and are then not counted.

    Returns
    -------
    best : Candidate

    Raises
    ------
    FloatingPointError
        If all candidates diverge.
    TrainingInterrupted
        If it is interrupted before any candidate has scored all samples.
    """
    n_shared, least, most = rounds
    # In the order of the candidates; an interruption keeps what scores all samples.
    active, final = list(candidates), None
    jobs = Jobs() if jobs is None else jobs
    try:
        number = 0
        while number < n_shared and len(active) > 1:
            number = _compete(active, train, number, n_shared, bar, jobs)
        while True:
            best = pick(active)
            final, fit = finalist(best.setting) if finalist else (best, train)
            try:
                _repeat(final, fit, least, most, bar, jobs)
            except FloatingPointError:
                if len(active) == 1:
                    raise
                active.remove(best)
                continue
            return final
    except BROKEN_OFF as error:
        if final is not None:
            return _kept([final], most, error, bar)[0]
        return pick(_kept([] if finalist else active, n_shared, error, bar))


def _compete(active, train, number, n_rounds, bar, jobs):
    """Fit all that are active in a round, and remove those that fall behind.

    If there are workers for it, further rounds run beside it: they count for those only
    that are still active then, and not if a single one is left. Returns the number of
    the next round.
    """
    contest = list(active)
    n_ahead = max(1, jobs.n // len(contest))
    numbers = range(number, min(n_rounds, number + n_ahead))
    tasks = [train(c.setting, number) for number in numbers for c in contest]
    with closing(jobs.results(tasks)) as results:
        for number in numbers:
            of_round = zip(contest, islice(results, len(contest)), strict=True)
            _judge_round(active, of_round, number, n_rounds, bar)
            if len(active) == 1:
                break
    return number + 1


def _judge_round(active, results, number, n_rounds, bar):
    """Add the results of a round to those that are active, and remove some of them."""
    n_before = len(active)
    for candidate, result in results:
        if candidate not in active:
            continue
        if isinstance(result, FloatingPointError):
            if len(active) == 1:
                raise result
            active.remove(candidate)
            bar.advance()
        else:
            candidate.add(*result)
            _tell(candidate, number, n_rounds, bar)
    if len(active) > 1:
        means = [np.mean(candidate.aurocs) for candidate in active]
        near = np.array(means) >= max(means) - SLACK
        active[:] = [c for c, keep in zip(active, near, strict=True) if keep]
    bar.total -= (n_before - len(active)) * (n_rounds - number - 1)


def _repeat(candidate, train, least, most, bar, jobs):
    """Fit a candidate in further rounds, until they are enough."""

    def enough(number):
        return number >= least and candidate.agreement >= ENOUGH_AGREEMENT

    done = len(candidate.trajectories)
    bar.total = bar.done + most - done
    while done < most and not enough(done):
        numbers = range(done, min(most, max(least, done + jobs.n)))
        done = numbers.stop
        if not _go_on(candidate, train, numbers, most, bar, jobs, enough):
            break
    bar.total = bar.done


def _go_on(candidate, train, numbers, n_rounds, bar, jobs, enough=None):
    """Fit a candidate in some rounds; return whether none was one too many."""
    tasks = [train(candidate.setting, number) for number in numbers]
    is_over = False
    with closing(jobs.results(tasks)) as results:
        for number, result in zip(numbers, results, strict=True):
            is_over = is_over or (enough is not None and enough(number))
            if not is_over:
                candidate.add(*result_of(result))
                _tell(candidate, number, n_rounds, bar)
    return not is_over


def _kept(active, n_rounds, error, bar):
    """Return those that have scored all samples when rounds are broken off."""
    active = [c for c in active if c.trajectories and c.scores_all]
    tell_broken_off(
        error,
        "every row had been scored once",
        "labels are scored",
        bar,
        sum(len(candidate.trajectories) for candidate in active),
        len(active) * n_rounds,
        "trainings",
    )
    return active


def _tell(candidate, number, n_rounds, bar):
    """Show a fit."""
    auroc = candidate.aurocs[-1] if candidate.aurocs else None
    tell_fit(bar, f"round {number + 1} of {n_rounds}", candidate.setting, auroc)


def choose(candidates, origin, n_classes):
    """Return the candidate that finds planted labels best among trusted rows.

    Rows whose own label any candidate suspects do not count: a planted label may be
    right there, and a candidate that finds more of the wrong labels would be blamed
    for it. A tie, within one standard error over the rounds, goes to the first.

    Parameters
    ----------
    candidates : list of Candidate
        Those that are active at the end, the simplest first.
    origin : ndarray of shape (n_rows,), dtype int64
        The sample behind each row.
    n_classes : int

    Returns
    -------
    best : Candidate
    """
    if len(candidates) == 1:
        return candidates[0]
    suspicion = [c.calibrate(n_classes)(c.given_signal) for c in candidates]
    # Each row keeps some weight, since candidates may trust no row in common.
    trust = np.maximum(1 - np.max(suspicion, axis=0), 1e-3)[origin]
    # After an interruption some have one round more.
    n_rounds = min(len(c.trajectories) for c in candidates)
    aurocs = np.array(
        [[c.auroc(number, trust) for number in range(n_rounds)] for c in candidates]
    )
    best = int(aurocs.mean(1).argmax())
    lead = aurocs[best] - aurocs[0]
    if n_rounds > 1 and lead.mean() <= lead.std(ddof=1) / np.sqrt(n_rounds):
        best = 0
    return candidates[best]


def _correlation(first, second):
    """Return the correlation if it is positive, else 0; also 0 for too few rows."""
    if len(first) < _FEWEST_ROWS or not (np.ptp(first) and np.ptp(second)):
        return 0.0
    return max(0.0, float(np.corrcoef(first, second)[0, 1]))
