"""A competition of detectors, weighted by how well they find planted labels.

The candidates score the given labels first, and what they suggest tells which labels
are planted in the rounds. One that lies behind is not dropped, since it may see what
others miss; all are weighed in the end. Slow candidates are tried in the first round
only, and take part if the others rank planted labels better with them. A race (`_race`)
plants all rounds before the first, drops those that lie behind after each, and chooses
one.
"""

import time

import numpy as np
from sklearn.base import clone

from sknoisy._codes import encode_labels
from sknoisy._groups import group_params
from sknoisy._planting._combination import (
    Verdict,
    combination_weights,
    combined_scores,
    normal_scores,
)
from sknoisy._planting._corruption import planted_labels
from sknoisy._planting._fits import CandidateFits, LeftOut, as_one_of_several
from sknoisy._planting._rounds import (
    BROKEN_OFF,
    planted_auroc,
    tell_broken_off,
    tell_fit,
)
from sknoisy._random_states import set_random_states
from sknoisy._verdicts import scorer_of
from sknoisy.base import TrainingInterrupted

__all__ = ["Competition"]

# A candidate with less weight is not fitted on more rows.
_LEAST_WEIGHT = 0.01
# Share of the rows for flips that no candidate suggests.
_ANY_FLIP = 0.02
# AUROC of planted labels that a slow candidate must add to the others.
_LEAST_GAIN = 0.001
# Attributes with the probabilities of the classes, where a candidate has them.
_PROBABILITIES = ("label_proba_", "pred_probs_", "votes_")


class Competition(CandidateFits):
    """Fits candidates on given and on planted labels, and computes their weights.

    Parameters
    ----------
    candidates : list of (str, detector) pairs
    classes : ndarray of shape (n_classes,)
        The sorted labels.
    n_jobs : int or None
    bar : Progress
        Counts the fits; its total falls with those that are dropped. If its
        ``verbose`` is 2, a row is written for each fit.
    slow : list of (str, detector) pairs, default=()
        Further candidates, which have to pay.
    settle : callable, default=None
        Makes of a slow candidate, fitted in the first round, what is fitted later on.
    **how : dict
        ``shares_steps`` and ``max_seconds``, as for `CandidateFits`.

    Attributes
    ----------
    given : list of Verdict or None
        On the given labels; None for a candidate that was dropped.
    aurocs : ndarray of shape (n_candidates, n_rounds), dtype float64
        How well planted labels are told from the others; NaN for who was dropped
        before.
    """

    def __init__(
        self, candidates, classes, n_jobs, bar, *, slow=(), settle=None, **how
    ):
        everyone = [*candidates, *slow]
        super().__init__(everyone, n_jobs, bar, **how)
        self.given = [None] * len(everyone)
        self._waiting = list(range(len(candidates), len(everyone)))
        self._settle = settle
        self._classes = classes
        # For each complete round: the labels, where they are planted, and the verdicts.
        self._rounds = []

    @property
    def active(self):
        """Positions of the candidates that were not dropped, and need not wait."""
        return [
            i
            for i, error in enumerate(self.errors)
            if error is None and i not in self._waiting
        ]

    @property
    def unscored(self):
        """Positions of those among them that have not scored the given labels."""
        return [i for i in self.active if self.given[i] is None]

    @property
    def aurocs(self):
        """How well each candidate finds the planted labels of each round."""
        aurocs = np.full((len(self.names), len(self._rounds)), np.nan)
        for column, (_, planted, verdicts) in enumerate(self._rounds):
            for i, verdict in verdicts.items():
                aurocs[i, column] = planted_auroc(planted, verdict.scores)
        return aurocs

    def score(self, X, codes, seed, among=None, groups=None):
        """Score the given labels with candidates.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        codes : ndarray of shape (n_samples,), dtype int64
        seed : int
        among : list of int, default=None
            Positions of the candidates; None takes all.
        groups : array-like of shape (n_samples,), default=None
            For candidates that predict left-out rows.

        Raises
        ------
        Exception
            That of the first candidate, if all fail.
        TrainingInterrupted
            If it is interrupted.
        """
        among = self.active if among is None else among
        try:
            verdicts = self._fit(among, X, codes, seed, groups, "given labels")
        except BROKEN_OFF as error:
            message = "fit was interrupted before all candidates had scored the labels."
            raise TrainingInterrupted(message) from error
        for i in among:
            self.given[i] = verdicts.get(i)

    def play(self, X, codes, corruption_rate, n_rounds, rng, groups=None):
        """Plant labels in several rounds, and score them with all candidates.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        codes : ndarray of shape (n_samples,), dtype int64
        corruption_rate : float
        n_rounds : int
        rng : numpy.random.Generator
        groups : array-like of shape (n_samples,), default=None
            As for `score`.

        Raises
        ------
        TrainingInterrupted
            If it is interrupted before the first round is complete.
        ValueError
            If there is no row to plant a label at.
        """
        flips = self._flips(codes)
        n_failed = sum(error is not None for error in self.errors)
        self.bar.total -= n_failed * n_rounds
        try:
            for number in range(n_rounds):
                if number and self.is_over:
                    self.bar.total -= len(self.active) * (n_rounds - number)
                    self.is_cut = True
                    break
                n_before = len(self.active)
                labels = planted_labels(codes, flips, corruption_rate, rng)
                planted = labels != codes
                if not planted.any():
                    raise ValueError(
                        f"n_samples = {len(codes)} rows leave none to plant a wrong "
                        "label at; at least one class needs three rows."
                    )
                seed = int(rng.integers(2**31))
                place = f"round {number + 1} of {n_rounds}"
                verdicts = self._fit(
                    self.active, X, labels, seed, groups, place, planted
                )
                n_dropped = n_before - len(self.active)
                self.bar.total -= n_dropped * (n_rounds - number - 1)
                for i in list(self._waiting):
                    found = self._try(i, X, labels, seed, groups, place, planted)
                    verdicts |= self._admit(i, found, verdicts, planted)
                    self.bar.total += (i in self.active) * (n_rounds - 1)
                for verdict in verdicts.values():
                    verdict.detector = None
                self._rounds.append((labels, planted, verdicts))
        except BROKEN_OFF as error:
            tell_broken_off(
                error,
                "the first round was complete",
                "candidates are weighted",
                self.bar,
                len(self._rounds),
                n_rounds,
                "rounds",
            )

    def weigh(self, strategy):
        """Return the weight of each candidate.

        Parameters
        ----------
        strategy : {"combine", "select"}

        Returns
        -------
        weights : ndarray of shape (n_candidates,), dtype float64
            They add up to 1.
        """
        weights = np.zeros(len(self.names))
        if strategy == "select":
            weights[np.nanargmax(self.aurocs.mean(1))] = 1
            return weights
        active = self.active
        rounds = [_features(found, p, active) for _, p, found in self._rounds]
        planted = np.concatenate([planted for _, planted, _ in self._rounds])
        weights[active] = combination_weights(np.concatenate(rounds), planted)
        weights[weights < _LEAST_WEIGHT] = 0
        return weights / weights.sum()

    def combined(self, weights):
        """Return the combined scores of the rows in all rounds.

        Parameters
        ----------
        weights : ndarray of shape (n_candidates,)

        Returns
        -------
        given, planted : ndarrays of shape (n_given,) and (n_planted,)
            Of rows under their given label, and under a planted one.
        """
        among = np.flatnonzero(weights).tolist()
        given, found = [], []
        for labels, planted, verdicts in self._rounds:
            voters = [(weights[i], verdicts[i]) for i in among]
            scores = combined_scores(voters, labels, ~planted)
            given.append(scores[~planted])
            found.append(scores[planted])
        return np.concatenate(given), np.concatenate(found)

    def _try(self, i, X, labels, seed, groups, place, planted):
        """Fit a slow candidate in the first round; return its verdict or None."""
        if self.is_over:
            self.errors[i] = self.no_time()
            self._waiting.remove(i)
            self.bar.advance()
            return None
        try:
            return self._fit([i], X, labels, seed, groups, place, planted)[i]
        except TrainingInterrupted:
            raise
        except Exception as error:
            if error is not self.errors[i]:
                raise
            self._waiting.remove(i)
            return None

    def _admit(self, i, verdict, verdicts, planted):
        """Let a slow candidate take part if it adds to the others.

        Returns its verdict of the round, to be added to those of the others, a dict.
        """
        if verdict is None:
            return {}
        self._waiting.remove(i)
        among, new = list(verdicts), verdicts | {i: verdict}
        without = _combination_auroc(verdicts, planted, among)
        gain = _combination_auroc(new, planted, [*among, i]) - without
        if gain < _LEAST_GAIN:
            self.errors[i] = LeftOut(
                f"it adds {max(gain, 0):.4f} to the AUROC of the faster ones"
            )
            return {i: verdict}
        if self._settle is not None:
            self.estimators[i] = self._settle(verdict.detector)
        return {i: verdict}

    def _flips(self, codes):
        """Count how often another label is suggested for each given one.

        Rows are the suggested labels, columns the given ones, mean of the candidates.
        """
        n_classes = len(self._classes)
        flips = np.full((n_classes, n_classes), _ANY_FLIP * len(codes) / n_classes**2)
        verdicts = [verdict for verdict in self.given if verdict is not None]
        for verdict in verdicts:
            np.add.at(flips, (verdict.suggested, codes), 1 / len(verdicts))
        return flips

    def _fit(self, among, X, codes, seed, groups, place, planted=None):
        """Fit candidates; return the verdicts of those that do not fail."""
        args = self._classes[codes], self._classes, groups
        verdicts = {}
        for i, verdict in self.fit(among, X, seed, _fit_candidate, *args):
            verdict.detector = self.whole(i, verdict.detector)
            verdicts[i] = verdict
            auroc = None
            if planted is not None:
                auroc = planted_auroc(planted, verdict.scores)
            tell_fit(self.bar, place, self.names[i], auroc)
        return verdicts


def _features(verdicts, planted, among):
    """Return the normal scores of candidates in a round, a column for each."""
    columns = [normal_scores(verdicts[i].scores, ~planted) for i in among]
    return np.stack(columns, axis=1)


def _combination_auroc(verdicts, planted, among):
    """Return how well candidates together find the planted labels of a round."""
    features = _features(verdicts, planted, among)
    return planted_auroc(planted, features @ combination_weights(features, planted))


def _fit_candidate(detector, X, seed, y, classes, groups):
    """Return a candidate's verdict, or the error that it raised."""
    detector = clone(detector)
    set_random_states(detector, seed)
    start = time.perf_counter()
    try:
        with as_one_of_several():
            detector.fit(X, y, **group_params(detector, groups))
        scorer = scorer_of(detector, len(y))
    except TrainingInterrupted:
        raise
    except Exception as error:
        # A candidate that does not suit the data must not end the others.
        return error
    return Verdict(
        scores=np.asarray(scorer.noise_scores_, dtype=np.float64),
        mask=np.asarray(scorer.noise_mask_, dtype=bool),
        noise_rate=float(scorer.noise_rate_),
        suggested=encode_labels(scorer.suggested_labels_, classes)[1],
        seconds=time.perf_counter() - start,
        proba=_probabilities(scorer, len(classes)),
        detector=detector,
    )


def _probabilities(scorer, n_classes):
    """Return what a detector says of the classes, or None."""
    values = (getattr(scorer, name, None) for name in _PROBABILITIES)
    return next((v for v in values if np.shape(v)[1:] == (n_classes,)), None)
