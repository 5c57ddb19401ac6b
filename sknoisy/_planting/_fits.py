"""Fits of candidates: their order and time, what goes wrong, and the steps they share.

A competition lets *candidates* show what they can; how it judges them is its own
matter. A candidate that is *dropped* is fitted no more, and has an error that says why.
"""

import time
from contextlib import contextmanager
from contextvars import ContextVar
from textwrap import shorten

from joblib import Parallel, delayed
from joblib.parallel import get_active_backend
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sknoisy._interruption import interruptions
from sknoisy._random_states import set_random_states
from sknoisy._validation import HasMethods
from sknoisy._warning import warn_user

__all__ = [
    "CandidateFits",
    "LeftOut",
    "as_one_of_several",
    "check_candidates",
    "competes",
    "in_a_line",
    "returned_as",
]

# Number of characters of an error message shown in a table.
_LINE = 160

_competes: ContextVar[bool] = ContextVar("sknoisy_competes", default=False)


def competes():
    """Return whether the current fit is that of one of several candidates.

    It keeps to itself then what only those can act on who chose it.
    """
    return _competes.get()


def returned_as():
    """Return how joblib's workers hand back results: "generator" or "list".

    A list comes when all are done, as from ray's, which cannot do otherwise.
    """
    backend, _ = get_active_backend()
    return "generator" if backend.supports_return_generator else "list"


@contextmanager
def as_one_of_several():
    """Tell the fits in a block that they are those of candidates."""
    token = _competes.set(True)
    try:
        # One that is broken off would be judged by less than the others.
        with interruptions("raise"):
            yield
    finally:
        _competes.reset(token)


class LeftOut(Exception):
    """Why a candidate is not used, although it did not fail."""


class CandidateFits:
    """Fits candidates, some at a time, as long as there is time.

    Parameters
    ----------
    candidates : list of (str, estimator) pairs
    n_jobs : int or None
    bar : Progress
        Counts the fits.
    shares_steps : bool, default=False
        Whether steps before an estimator, in a pipeline, look at no labels: one that
        several pipelines hold is then fitted once for all of them.
    max_seconds : float, default=None
        No candidate begins a fit later than this, but the first of each set of labels.

    Attributes
    ----------
    names : list of str
    errors : list of Exception or None
        Why a candidate was dropped: the error that its fit ended with, or `LeftOut`.
    is_cut : bool
        Whether anything was left out for want of time.
    """

    def __init__(
        self, candidates, n_jobs, bar, *, shares_steps=False, max_seconds=None
    ):
        self.names = [name for name, _ in candidates]
        self.errors = [None] * len(candidates)
        self.estimators = [estimator for _, estimator in candidates]
        self._shares_steps = shares_steps
        # By step: what it was fitted on, itself fitted, and what it makes of the rows.
        self._prepared = {}
        self._n_jobs = n_jobs
        self.bar = bar
        self._max_seconds = max_seconds
        self._start = time.monotonic()
        self.is_cut = False

    @property
    def is_over(self):
        """Whether the time is over."""
        if self._max_seconds is None:
            return False
        return time.monotonic() - self._start > self._max_seconds

    def no_time(self):
        """Return the reason of a candidate that comes too late."""
        self.is_cut = True
        return LeftOut(f"max_seconds={self._max_seconds:g} were over")

    def fit(self, among, X, seed, run, *args):
        """Fit candidates; yield the results of those that do not fail.

        Parameters
        ----------
        among : list of int
            Positions of the candidates.
        X : array-like of shape (n_samples, ...)
        seed : int
            Of shared steps.
        run : function
            Called as ``run(estimator, X, seed, *args)``, with the rows as the shared
            step before the estimator leaves them. Returns a result, or the error.
        *args : tuple
            Further arguments of ``run``.

        Yields
        ------
        i : int
            Position of a candidate. The caller advances the bar.
        result : object

        Raises
        ------
        Exception
            That of the first candidate, if all fail.
        """
        prepared = {i: self._prepare(self.estimators[i], X, seed) for i in among}
        # Workers would get large arrays as read-only memory maps, of which torch warns.
        parallel = Parallel(self._n_jobs, return_as=returned_as(), max_nbytes=None)
        results = iter(
            parallel(
                delayed(run)(*prepared[i], seed, *args)
                for i in among
                if i == among[0] or not self.is_over
            )
        )
        all_fail = True
        for i in among:
            self.bar.begin(now=self.names[i])
            # Those that are not begun in time are the last ones.
            result = next(results, None) or self.no_time()
            if isinstance(result, Exception):
                self.errors[i] = result
                self.bar.advance()
            else:
                all_fail = False
                yield i, result
        if all_fail:
            raise self.errors[among[0]]

    def whole(self, i, fitted):
        """Return a fitted estimator with the step before it, if that is shared.

        Parameters
        ----------
        i : int
            Position of the candidate.
        fitted : estimator

        Returns
        -------
        fitted : estimator or Pipeline
        """
        estimator = self.estimators[i]
        if not self._is_shared(estimator):
            return fitted
        (first, step), (last, _) = estimator.steps
        return Pipeline([(first, self._prepared[id(step)][1]), (last, fitted)])

    def _prepare(self, estimator, X, seed):
        """Return what is left to fit of an estimator, and on what rows."""
        if not self._is_shared(estimator):
            return estimator, X
        step = estimator[0]
        if self._prepared.get(id(step), (None,))[0] is not X:
            fitted = clone(step)
            set_random_states(fitted, seed)
            self._prepared[id(step)] = X, fitted, fitted.fit_transform(X)
        return estimator[-1], self._prepared[id(step)][2]

    def _is_shared(self, estimator):
        return self._shares_steps and isinstance(estimator, Pipeline)

    def warn_of_failures(self, are_own, what, n_done, n_planned):
        """Warn of the user's candidates that failed, and of those without time.

        Parameters
        ----------
        are_own : bool
            Whether the candidates are the user's.
        what : str
            What the rounds are called.
        n_done, n_planned : int
            How many rounds are complete, and of how many.
        """
        table = list(zip(self.names, self.errors, strict=True))
        failed = [
            f"{name} ({in_a_line(error)})"
            for name, error in table
            if error is not None and not isinstance(error, LeftOut)
        ]
        if failed and are_own:
            warn_user(
                f"candidates that failed are left out: {'; '.join(failed)}.",
                UserWarning,
            )
        if self.is_cut:
            absent = [name for name, error in table if isinstance(error, LeftOut)]
            warn_user(
                f"max_seconds={self._max_seconds:g} were over after "
                f"{n_done} of {n_planned} rounds; left out: "
                f"{', '.join(absent) or 'no candidate'}. Give more time, or fewer "
                f"{what}.",
                UserWarning,
            )


def check_candidates(estimator, pairs, what, methods=("fit",)):
    """Refuse anything but a list of named candidates.

    Parameters
    ----------
    estimator : NamedParts
        Checks the names.
    pairs : list of (str, estimator) pairs
    what : str
        Name of a candidate; the parameter has an "s" more.
    methods : tuple of str, default=("fit",)
        What a candidate must have.

    Raises
    ------
    TypeError
        If a candidate has not the methods.
    ValueError
        If it is no such list, or a name is not allowed.
    """
    if not pairs or not all(isinstance(p, tuple) and len(p) == 2 for p in pairs):
        raise ValueError(
            f"{what}s must be a list of (name, {what}) pairs, at least one; got "
            f"{pairs!r}."
        )
    for name, part in pairs:
        for method in methods:
            if not HasMethods([method]).is_satisfied_by(part):
                raise TypeError(
                    f"{what} {name!r} must have a method {method}; got {part!r}."
                )
    estimator.check_part_names([name for name, _ in pairs])


def in_a_line(error):
    """Return an error as a short text, "" for None."""
    if error is None:
        return ""
    return shorten(f"{type(error).__name__}: {error}", _LINE, placeholder=" …")
