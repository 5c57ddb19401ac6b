"""The injector whose noise is strongest near the boundary between two classes."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Literal

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy._interruption import interruptions
from sknoisy._random_states import set_random_states
from sknoisy._validation import (
    HasMethods,
    Interval,
    StrOptions,
    check_rows,
    check_rows_and_labels,
)
from sknoisy.base import NoiseInjectorMixin
from sknoisy.noise._transition import empirical_transition_matrix

if TYPE_CHECKING:
    from sknoisy._types import Estimator, RandomState

__all__ = ["MarginNoiseInjector"]

# Rounding errors of sums over the rows are smaller; a rate exactly at the limit of the
# reachable ones is then still reached.
_RATE_ROUNDING = 1e-9
# With more, the forest would take gigabytes.
_MOST_CLASSES = 100


class MarginNoiseInjector(NoiseInjectorMixin, BaseEstimator):
    """Label noise at the boundaries between classes: polynomial margin diminishing.

    A classifier is fitted on the clean labels and gives each row its two most probable
    classes. The row gets the most probable, or, with a probability that grows as the
    margin between the two shrinks, the second. This is the feature-dependent noise of
    [1]_.

    Parameters
    ----------
    noise_rate : float in [0, 1], default=0.35, the lower rate of [1]_
        Expected share of wrong labels among the rows given to ``fit``. Not every rate
        can be reached; see Notes. Not used if ``factor`` is given.
    noise_type : {"I", "II", "III"}, default="I"
        How the probability ``1 - s / factor`` of the second class depends on the margin
        ``d``, the difference of the two probabilities.

        - "I": ``s = 1/2 + d ** 2 / 2``, the mildest dependence.
        - "II": ``s = d ** 3``: rows at a boundary always get the second class.
        - "III": ``s = (d ** 3 + d ** 2 + d) / 3``, in between.
    estimator : classifier with ``predict_proba``, default=None
        Cloned, then fitted on X and the clean labels. It gets X as float32 (or uint8
        images), of two or four dimensions as it was passed, without column names. Where
        its ``random_state`` is None it is seeded. One that is fitted already is used as
        it is in a `sklearn.frozen.FrozenEstimator`; its classes must be those of y.
        None takes the mean of a logistic regression on standardised features, which
        ranks every class of every row, and a random forest, which fits boundaries of
        any shape; with more than 100 classes the regression alone, since a forest
        keeps a number for each class in each node. Images are flattened for it; it is
        slow for many large ones.
    factor : float > 0, default=None
        Divides ``s``: more labels change when it grows. Below 1, rows with a margin
        wide enough for ``s >= factor`` always get the most probable class. None finds
        the smallest factor whose expected share of wrong labels is ``noise_rate``. With
        the networks of [1]_ on CIFAR-10 and type I, 1.43 gave 35 % noise and 3.40 gave
        70 %.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same noise model, and the same labels for the same rows.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted labels given to ``fit``.
    estimator_ : classifier
        The fitted clone of ``estimator``, or the default.
    factor_ : float
        The factor used; infinite if only that reaches ``noise_rate``.
    transition_matrix_ : ndarray of shape (n_classes, n_classes)
        Shares of the labels that ``fit_resample`` gave: rows = true class.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        True where ``fit_resample`` changed the label.
    noise_rate_ : float
        Share of labels that ``fit_resample`` changed.
    n_features_in_ : int
        Number of features, or of channels.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X has names that are all strings.

    Raises
    ------
    ValueError
        From ``fit``, if no factor reaches ``noise_rate``, or if the classes of the
        estimator are not those of y or its probabilities not finite.

    See Also
    --------
    InstanceNoiseInjector : Noise that depends on the features by chance.
    AsymmetricNoiseInjector : The wrong label depends on the class alone.
    SymmetricNoiseInjector : Put it after this one for hybrid noise.

    Notes
    -----
    The label that a row keeps is the most probable class, not the one in y. Where the
    two differ, the label is wrong even without a flip, so rates below the estimator's
    share of errors cannot be reached. Neither can rates above the share of rows whose
    second class is not that in y; only an infinite factor moves every row.

    Given the probabilities, the expected share of wrong labels is a sum over the rows,
    linear in ``1 / factor`` between two values of ``s``. The factor is thus solved for,
    not searched. An estimator is more confident on the rows it was fitted on, so
    ``corrupt`` makes a larger share than ``noise_rate`` wrong on new rows.

    If several classes share the highest or the second highest probability, the one that
    stands first in ``classes_`` is taken. Prefer estimators whose probabilities are
    seldom equal; a forest alone often gives one class a probability of 1, and has no
    second one.

    References
    ----------
    .. [1] Y. Zhang, S. Zheng, P. Wu, M. Goswami, C. Chen, "Learning with
       feature-dependent label noise: a progressive approach", ICLR 2021.
       arXiv:2103.07756

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sknoisy import MarginNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> posterior = LogisticRegression(C=0.01, max_iter=1000)
    >>> injector = MarginNoiseInjector(0.35, estimator=posterior, random_state=0)
    >>> X_train, y_noisy = injector.fit_resample(X[:1500] / 16, y[:1500])
    >>> bool(abs(injector.noise_rate_ - 0.35) < 0.03)
    True
    >>> y_noisy_test = injector.corrupt(X[1500:] / 16, y[1500:])
    """

    _parameter_constraints = {
        "noise_rate": [Interval(Real, 0, 1, closed="both")],
        "noise_type": [StrOptions({"I", "II", "III"})],
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "factor": [Interval(Real, 0, None, closed="neither"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        noise_rate: float = 0.35,
        *,
        noise_type: Literal["I", "II", "III"] = "I",
        estimator: Estimator = None,
        factor: float | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.noise_rate = noise_rate
        self.noise_type = noise_type
        self.estimator = estimator
        self.factor = factor
        self.random_state = random_state

    def _check_data(self, X, y):
        return check_rows_and_labels(self, X, y)

    def _check_rows(self, X):
        return check_rows(self, X)

    def _fit(self, X, y):
        rows, codes = super()._fit(X, y)
        with interruptions("raise"):
            self.estimator_.fit(self._shaped(rows), self.classes_[codes])
        found = getattr(self.estimator_, "classes_", None)
        if not np.array_equal(found, self.classes_):
            raise ValueError(
                f"estimator was fitted on the classes {np.asarray(found).tolist()}, "
                f"but y has {self.classes_.tolist()}; they must be the same."
            )
        if self.factor is not None:
            self.factor_ = float(self.factor)
        else:
            likeliest, second, keep_shares = self._choices(rows)
            self.factor_ = _solve_factor(
                self.noise_rate, keep_shares, likeliest != codes, second != codes
            )
        return rows, codes

    def _fit_model(self, X):
        self._flattens = self.estimator is None
        given = self.estimator
        self.estimator_ = (
            _default_estimator(len(self.classes_)) if given is None else clone(given)
        )
        set_random_states(self.estimator_, self._seed % 2**32)

    def _draw(self, X, codes):
        # The first rows distinguish data sets with the same labels.
        rng = self._generator(codes, X[:8])
        likeliest, second, keep_shares = self._choices(X)
        is_kept = rng.random(len(codes)) < keep_shares / self.factor_
        return np.where(is_kept, likeliest, second)

    def _choices(self, X):
        """Return the two most probable classes of each row and their share ``s``."""
        P = np.asarray(self.estimator_.predict_proba(self._shaped(X)))
        if P.shape != (len(X), len(self.classes_)) or not np.isfinite(P).all():
            raise ValueError(
                "predict_proba of estimator must give finite probabilities of shape "
                f"{(len(X), len(self.classes_))}; got shape {P.shape}, of which "
                f"{np.isfinite(P).sum()} are finite."
            )
        likeliest, second, margin = _two_likeliest(P)
        return likeliest, second, _keep_shares(margin, self.noise_type)

    def _shaped(self, X):
        return X.reshape(len(X), -1) if self._flattens else X

    def _record(self, codes, noisy):
        super()._record(codes, noisy)
        self.transition_matrix_ = empirical_transition_matrix(
            codes, noisy, len(self.classes_)
        )


def _default_estimator(n_classes):
    linear = make_pipeline(
        StandardScaler().set_output(transform="default"),
        LogisticRegression(max_iter=1000),
    )
    parts = [("linear", linear)]
    # Each node of a tree keeps a number for each class: 4 GB for 1,000 of 4 rows.
    if n_classes <= _MOST_CLASSES:
        parts.append(("forest", RandomForestClassifier()))
    return VotingClassifier(parts, voting="soft")


def _two_likeliest(P):
    """Return the two most probable classes of each row, and their difference."""
    P = P.astype(np.float64)  # a copy: the probabilities may be the estimator's own
    rows = np.arange(len(P))
    likeliest = P.argmax(axis=1)
    highest = P[rows, likeliest]
    P[rows, likeliest] = -np.inf
    second = P.argmax(axis=1)
    return likeliest, second, highest - P[rows, second]


def _keep_shares(margin, noise_type):
    """Return s, which is one minus the paper's tau, the flip probability."""
    if noise_type == "I":
        return 0.5 + 0.5 * margin**2
    if noise_type == "II":
        return margin**3
    return (margin**3 + margin**2 + margin) / 3


def _solve_factor(noise_rate, keep_shares, is_wrong_kept, is_wrong_moved):
    """Return the smallest factor whose expected share of wrong labels is noise_rate.

    A row with share ``s`` keeps its most probable class with probability
    ``min(s / factor, 1)``. Between two neighbouring shares that sum is linear in
    ``1 / factor``, so its extremes lie at the shares and at infinity.
    """
    order = np.argsort(keep_shares)
    shares = keep_shares[order]
    # What keeping a row, rather than moving it, adds to the number of wrong labels.
    gains = is_wrong_kept[order].astype(np.int64) - is_wrong_moved[order]
    n_samples, n_moved = len(shares), is_wrong_moved.sum()
    # At factor f: sure rows, with s >= f, are kept; of the others a part of s / f is.
    partial = np.concatenate([[0.0], np.cumsum(shares * gains)])
    sure = np.concatenate([[0], np.cumsum(gains[::-1])])[::-1]

    # A share of 0 is never kept; one this small has no finite 1 / share.
    first = np.searchsorted(shares, np.finfo(np.float64).tiny)
    factors = np.append(shares[first:], np.inf)
    rates = (n_moved + partial[first:] / factors + sure[first:]) / n_samples
    low, high = rates.min(), rates.max()
    if not low - _RATE_ROUNDING <= noise_rate <= high + _RATE_ROUNDING:
        raise ValueError(
            f"noise_rate={noise_rate} cannot be reached: with this estimator and "
            f"noise_type the expected share of wrong labels lies between {low:.4g} and "
            f"{high:.4g}. Choose a rate in between, or set factor."
        )
    return _first_crossing(factors, rates, np.clip(noise_rate, low, high))


def _first_crossing(factors, rates, target):
    """Return the smallest factor of that rate; rates are linear in 1 / factor between.

    The factors ascend to infinity, and some rate is on the target or on either side.
    """
    # Where the rate is reached or, before the next factor, passed.
    reached = (rates[:-1] - target) * (rates[1:] - target) <= 0
    j = reached.argmax() if reached.any() else len(factors) - 1
    if rates[j] == target:
        return float(factors[j])
    part = (target - rates[j]) / (rates[j + 1] - rates[j])
    inverse = (1 - part) / factors[j] + part / factors[j + 1]
    return float(1 / inverse) if inverse > 0 else np.inf
