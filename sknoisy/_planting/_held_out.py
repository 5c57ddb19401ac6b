"""A competition of classifiers, weighted by how they predict held-out given labels.

The rows are dealt out into folds; each candidate is fitted on the others and predicts
the labels of one. The labels held out are as noisy as the others, and yet rank the
candidates: under noise that is the same for all wrong labels, the accuracy on noisy
labels is a rising function of the true one. Where labels turn into certain other ones,
a classifier that takes one for the other has nearly the same accuracy as one that does
not; but its predictions tell less about the given labels. So half of the weight goes by
the accuracy, half by the mutual information.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone

from sknoisy._dates import refuse_dates_without_steps
from sknoisy._planting._corruption import rank_in_class
from sknoisy._planting._fits import CandidateFits, LeftOut, as_one_of_several
from sknoisy._planting._rounds import BROKEN_OFF, tell_broken_off, tell_fit
from sknoisy._random_states import set_random_states
from sknoisy._validation import safe_indexing
from sknoisy.base import TrainingInterrupted

__all__ = ["HeldOutCompetition", "class_proba", "deal_folds", "held_out_weights"]

# Standard errors that a candidate may lie behind, and how many go on in any case.
_DROP, _LEAST = 3.0, 4
# Standard errors behind the best that make a weight smaller by the factor e.
_SOFTNESS = 1.0
# Candidates with less of the largest weight are not worth their time.
_LEAST_WEIGHT = 0.05
# Of a difference between candidates, in standard deviations of a single row.
_LEAST_DEVIATION = 0.1


@dataclass
class FoldFit:
    """A candidate's probabilities of held-out rows.

    Attributes
    ----------
    proba : ndarray of shape (n_held_out, n_classes), dtype float64
    seconds : float
        Time of the fit.
    fitted : estimator
    """

    proba: np.ndarray
    seconds: float
    fitted: BaseEstimator


class HeldOutCompetition(CandidateFits):
    """Fits candidates on all folds but one each, and computes their weights.

    Parameters
    ----------
    candidates : list of (str, classifier) pairs
    classes : ndarray of shape (n_classes,)
        The sorted labels.
    n_jobs : int or None
    bar : Progress
        Counts the fits; its total falls with those that are dropped.
    **how : dict
        ``shares_steps`` and ``max_seconds``, as for `CandidateFits`.

    Attributes
    ----------
    proba : ndarray of shape (n_candidates, n_samples, n_classes), dtype float32
        Of held-out rows; NaN where a candidate has not predicted a row.
    is_held_out : ndarray of shape (n_samples,), dtype bool
        Rows that the candidates which were not dropped have predicted.
    fold_models : list of list of estimator
        Of each candidate, fitted without one fold.
    seconds : list of list of float
        Of these fits.
    n_folds_done : int
    """

    def __init__(self, candidates, classes, n_jobs, bar, **how):
        super().__init__(candidates, n_jobs, bar, **how)
        self._classes = classes
        self.fold_models = [[] for _ in candidates]
        self.seconds = [[] for _ in candidates]
        self.n_folds_done = 0

    @property
    def active(self):
        """Positions of the candidates that were not dropped."""
        return [i for i, error in enumerate(self.errors) if error is None]

    def play(self, X, codes, folds, seed):
        """Let the candidates predict every fold.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        codes : ndarray of shape (n_samples,), dtype int64
        folds : ndarray of shape (n_samples,), dtype int64
            Number of the fold in which a row is held out, -1 for none.
        seed : int

        Raises
        ------
        Exception
            That of the first candidate, if all fail.
        TrainingInterrupted
            If it is interrupted before the first fold is complete.
        """
        n_folds = int(folds.max()) + 1
        shape = len(self.names), len(codes), len(self._classes)
        self.proba = np.full(shape, np.nan, dtype=np.float32)
        self.is_held_out = np.zeros(len(codes), dtype=bool)
        self._codes = codes
        try:
            for number in range(n_folds):
                n_left = n_folds - number
                if number and self.is_over:
                    self.bar.total -= len(self.active) * n_left
                    self.is_cut = True
                    break
                n_before = len(self.active)
                self._hold_out(X, folds == number, seed, number, n_folds)
                self.is_held_out |= folds == number
                self.n_folds_done += 1
                self._drop()
                self.bar.total -= (n_before - len(self.active)) * (n_left - 1)
        except BROKEN_OFF as error:
            tell_broken_off(
                error,
                "the first fold was complete",
                "candidates are weighted",
                self.bar,
                self.n_folds_done,
                n_folds,
                "folds",
            )

    def accuracies(self):
        """Return each candidate's accuracy on held-out given labels, by row."""
        found = np.full(self.proba.shape[:2], np.nan)
        for i, proba in enumerate(self.proba):
            known = np.isfinite(proba[:, 0])
            found[i, known] = proba[known].argmax(1) == self._codes[known]
        return found

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
        active, rows = self.active, self.is_held_out
        predicted = self.proba[active][:, rows].argmax(2)
        codes = self._codes[rows]
        if strategy == "select":
            best = (predicted == codes).mean(1).argmax()
            weights[active[int(best)]] = 1
        else:
            weights[active] = held_out_weights(predicted, codes, len(self._classes))
        return weights

    def _hold_out(self, X, is_test, seed, number, n_folds):
        labels, place = self._classes[self._codes], f"fold {number + 1} of {n_folds}"
        args = labels, self._classes, np.flatnonzero(~is_test), np.flatnonzero(is_test)
        for i, found in self.fit(self.active, X, seed, _fit_fold, *args):
            self.proba[i, is_test] = found.proba
            self.seconds[i].append(found.seconds)
            self.fold_models[i].append(self.whole(i, found.fitted))
            right = found.proba.argmax(1) == self._codes[is_test]
            tell_fit(self.bar, place, self.names[i], right.mean(), "accuracy")

    def _drop(self):
        """Drop candidates that lie far behind the best one."""
        right = self.accuracies()[:, self.is_held_out]
        active = np.array(self.active)
        order = active[np.argsort(-right[active].mean(1), kind="stable")]
        best = right[order[0]]
        for i in order[_LEAST:]:
            behind = best - right[i]
            if behind.mean() > _DROP * _standard_error(behind):
                self.errors[i] = LeftOut(
                    f"{right[i].mean():.3f} of {len(best)} held-out labels are as "
                    f"predicted, {best.mean():.3f} by the best candidate"
                )


def held_out_weights(
    predicted: NDArray[np.int64], codes: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """Return weights of candidates by their predictions of held-out labels.

    A weight falls by the factor e for every standard error that a candidate lies behind
    the best one; it is the mean of a weight by the accuracy and one by the
    mutual information of predicted and given labels, which for two classes is no more
    than the accuracy tells.

    Parameters
    ----------
    predicted : ndarray of shape (n_candidates, n_rows), dtype int64
    codes : ndarray of shape (n_rows,), dtype int64
        The given labels.
    n_classes : int

    Returns
    -------
    weights : ndarray of shape (n_candidates,), dtype float64
        They add up to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._held_out import held_out_weights
    >>> codes = np.arange(900) % 3
    >>> good, bad = codes.copy(), codes.copy()
    >>> good[:90], bad[:300] = 0, 0
    >>> held_out_weights(np.stack([good, good, bad]), codes, 3).tolist()
    [0.5, 0.5, 0.0]
    """
    right = (predicted == codes).astype(np.float64)
    weights = _soft(right)
    if n_classes > 2:
        told = [_pointwise_information(row, codes, n_classes) for row in predicted]
        weights = (weights + _soft(np.stack(told))) / 2
    weights[weights < _LEAST_WEIGHT * weights.max()] = 0
    return weights / weights.sum()


def _soft(values):
    """Return weights by the mean values of candidates, which add up to 1."""
    best = values[values.mean(1).argmax()]
    behind = best - values
    error = np.array([_standard_error(row) for row in behind])
    # Equal candidates are not behind by anything.
    weights = np.exp(-behind.mean(1) / np.maximum(_SOFTNESS * error, 1e-12))
    return weights / weights.sum()


def _standard_error(differences):
    spread = max(differences.std(), _LEAST_DEVIATION)
    return spread / np.sqrt(len(differences))


def _pointwise_information(predicted, codes, n_classes):
    """Return ln p(f, y) / (p(f) p(y)) of each row, whose mean is the information."""
    table = np.zeros((n_classes, n_classes))
    np.add.at(table, (predicted, codes), 1 / len(codes))
    of_row, of_column = table.sum(1), table.sum(0)
    joint = table[predicted, codes]
    return np.log(joint / (of_row[predicted] * of_column[codes]))


def deal_folds(codes, n_folds, rng):
    """Return the number of the fold in which each row is held out.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
    n_folds : int
    rng : numpy.random.Generator

    Returns
    -------
    folds : ndarray of shape (n_samples,), dtype int64
        The classes in proportion. -1, for never, where no other row has the label.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._held_out import deal_folds
    >>> codes = np.array([0, 0, 0, 0, 1, 1, 2])
    >>> folds = deal_folds(codes, 2, np.random.default_rng(0))
    >>> sorted(folds[:4].tolist()), sorted(folds[4:6].tolist()), int(folds[6])
    ([0, 0, 1, 1], [0, 1], -1)
    """
    order = rng.permutation(len(codes))
    folds = np.empty(len(codes), dtype=np.int64)
    folds[order] = rank_in_class(codes[order])
    counts = np.bincount(codes)
    # Classes begin at different folds, or small ones would fill the first folds.
    folds = (folds + (np.cumsum(counts) - counts)[codes]) % n_folds
    folds[counts[codes] == 1] = -1
    # Of few rows some folds may be empty.
    folds[folds >= 0] = np.unique(folds[folds >= 0], return_inverse=True)[1]
    return folds


def class_proba(fitted, X, classes):
    """Return probabilities with a column for each class.

    Parameters
    ----------
    fitted : classifier
    X : array-like of shape (n_samples, ...)
    classes : ndarray of shape (n_classes,)
        The sorted labels; those that the classifier does not know get 0.

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes), dtype float64

    Raises
    ------
    FloatingPointError
        If a probability is infinite or NaN.
    """
    found = np.asarray(fitted.predict_proba(X), dtype=np.float64)
    if not np.isfinite(found).all():
        raise FloatingPointError("it predicts values that are infinite or NaN")
    if found.shape[1] == len(classes):
        return found
    proba = np.zeros((len(found), len(classes)))
    proba[:, np.searchsorted(classes, fitted.classes_)] = found
    return proba


def _fit_fold(classifier, X, seed, labels, classes, train, test):
    """Return a candidate's predictions of a fold, or the error that it raised."""
    classifier = clone(classifier)
    set_random_states(classifier, seed)
    start = time.perf_counter()
    try:
        refuse_dates_without_steps(classifier, X)
        with as_one_of_several():
            classifier.fit(safe_indexing(X, train), labels[train])
        proba = class_proba(classifier, safe_indexing(X, test), classes)
    except TrainingInterrupted:
        raise
    except Exception as error:
        # A candidate that does not suit the data must not end the others.
        return error
    return FoldFit(proba, time.perf_counter() - start, classifier)
