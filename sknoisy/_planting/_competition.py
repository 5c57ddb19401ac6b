"""A competition of detectors, weighted by how well they find planted labels.

The candidates score the given labels first, and what they suggest tells which labels
are planted in the rounds. Only one that fails is dropped: one that lies behind may see
what others miss, so all are weighed in the end. A race (`_race`) plants all rounds
before the first, drops those that lie behind after each, and chooses one.
"""

import time
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, clone

from sknoisy._codes import encode_labels
from sknoisy._groups import group_params
from sknoisy._interruption import interruptions
from sknoisy._planting._combination import combination_weights, normal_scores
from sknoisy._planting._corruption import planted_labels
from sknoisy._planting._rounds import (
    BROKEN_OFF,
    planted_auroc,
    tell_broken_off,
    tell_fit,
)
from sknoisy._random_states import set_random_states
from sknoisy._verdicts import scorer_of
from sknoisy.base import TrainingInterrupted

__all__ = ["Competition", "Verdict", "competes"]

# A candidate with less weight is not fitted on more rows.
_LEAST_WEIGHT = 0.01
# Share of the rows for flips that no candidate suggests.
_ANY_FLIP = 0.02


_competes: ContextVar[bool] = ContextVar("sknoisy_competes", default=False)


def competes():
    """Return whether the current fit is that of one of several candidates.

    It keeps to itself then what only those can act on who chose it.
    """
    return _competes.get()


@dataclass
class Verdict:
    """Scores, flags and suggestions of a candidate for the labels it was fitted on.

    Attributes
    ----------
    scores : ndarray of shape (n_samples,), dtype float64
    mask : ndarray of shape (n_samples,), dtype bool
    noise_rate : float
    suggested : ndarray of shape (n_samples,), dtype int64
        Codes.
    seconds : float
        Time of the fit.
    detector : estimator
        Fitted.
    """

    scores: np.ndarray
    mask: np.ndarray
    noise_rate: float
    suggested: np.ndarray
    seconds: float
    detector: BaseEstimator


class Competition:
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

    Attributes
    ----------
    names : list of str
    given : list of Verdict or None
        On the given labels; None for a candidate that was dropped.
    errors : list of Exception or None
        Why a candidate was dropped: the error that its fit ended with.
    aurocs : ndarray of shape (n_candidates, n_rounds), dtype float64
        How well planted labels are told from the others; NaN for who was dropped.
    """

    def __init__(self, candidates, classes, n_jobs, bar):
        self.names = [name for name, _ in candidates]
        self.given = [None] * len(candidates)
        self.errors = [None] * len(candidates)
        self._detectors = [detector for _, detector in candidates]
        self._classes = classes
        self._n_jobs = n_jobs
        self._bar = bar
        # For each complete round: where labels are planted, and the scores.
        self._rounds = []

    @property
    def active(self):
        """Positions of the candidates that were not dropped."""
        return [i for i, error in enumerate(self.errors) if error is None]

    @property
    def aurocs(self):
        """How well each candidate finds the planted labels of each round."""
        aurocs = np.full((len(self.names), len(self._rounds)), np.nan)
        for column, (planted, scores) in enumerate(self._rounds):
            for i in self.active:
                aurocs[i, column] = planted_auroc(planted, scores[i])
        return aurocs

    def score(self, X, codes, seed, among=None, groups=None):
        """Score the given labels with candidates.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        codes : ndarray of shape (n_samples,), dtype int64
        seed : int
        among : list of int, default=None
            Positions of the candidates; None takes all. The others lose their verdict.
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
        self.given = [verdicts.get(i) for i in range(len(self.names))]

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
        self._bar.total -= (len(self.names) - len(self.active)) * n_rounds
        try:
            for number in range(n_rounds):
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
                scores = {i: verdict.scores for i, verdict in verdicts.items()}
                self._rounds.append((planted, scores))
                n_dropped = n_before - len(self.active)
                self._bar.total -= n_dropped * (n_rounds - number - 1)
        except BROKEN_OFF as error:
            tell_broken_off(
                error,
                "the first round was complete",
                "candidates are weighted",
                self._bar,
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
        features = np.concatenate(
            [
                np.stack([normal_scores(scores[i], ~planted) for i in active], axis=1)
                for planted, scores in self._rounds
            ]
        )
        planted = np.concatenate([planted for planted, _ in self._rounds])
        weights[active] = combination_weights(features, planted)
        weights[weights < _LEAST_WEIGHT] = 0
        return weights / weights.sum()

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
        given = self._classes[codes]
        # Workers would get large arrays as read-only memory maps, of which torch warns.
        run = Parallel(self._n_jobs, return_as="generator", max_nbytes=None)
        results = run(
            delayed(_fit_candidate)(
                self._detectors[i], X, given, self._classes, seed, groups
            )
            for i in among
        )
        verdicts = {}
        for i in among:
            self._bar.begin(now=self.names[i])
            result = next(results)
            if isinstance(result, Verdict):
                verdicts[i] = result
                auroc = None
                if planted is not None:
                    auroc = planted_auroc(planted, result.scores)
                tell_fit(self._bar, place, self.names[i], auroc)
            else:
                self.errors[i] = result
                self._bar.advance()
        if not verdicts:
            raise self.errors[among[0]]
        return verdicts


def _fit_candidate(detector, X, y, classes, seed, groups):
    """Return a candidate's verdict, or the error that it raised."""
    detector = clone(detector)
    set_random_states(detector, seed)
    start = time.perf_counter()
    token = _competes.set(True)
    try:
        with interruptions("raise"):
            detector.fit(X, y, **group_params(detector, groups))
        scorer = scorer_of(detector, len(y))
    except TrainingInterrupted:
        raise
    except Exception as error:
        # A candidate that does not suit the data must not end the others.
        return error
    finally:
        _competes.reset(token)
    return Verdict(
        scores=np.asarray(scorer.noise_scores_, dtype=np.float64),
        mask=np.asarray(scorer.noise_mask_, dtype=bool),
        noise_rate=float(scorer.noise_rate_),
        suggested=encode_labels(scorer.suggested_labels_, classes)[1],
        seconds=time.perf_counter() - start,
        detector=detector,
    )
