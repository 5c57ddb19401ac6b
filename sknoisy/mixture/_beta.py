"""A mixture of beta distributions."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import betaln, logsumexp
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted

from sknoisy._documentation import DOC_LINK_MODULE, DOC_LINK_TEMPLATE
from sknoisy._parameters import check_parameters
from sknoisy._random_states import random_generator
from sknoisy._validation import Interval, check_numbers, validate_data
from sknoisy._weights import check_weights
from sknoisy.mixture._binning import bin_linear, chunks, merge_inner

if TYPE_CHECKING:
    from sknoisy._types import (
        Array,
        ArrayLike,
        FloatArray,
        IntArray,
        Labels,
        RandomState,
    )

__all__ = ["BetaMixture"]

# Up to this many rows EM runs on the rows themselves, beyond it on counts in bins, most
# of which are merged by eight: posteriors then differ by 1e-5 to 1e-4.
_MAX_EXACT = 2**16
_N_BINS = 2**15
# Least weighted density of a component: rows that no component explains are shared.
_DENSITY_FLOOR = 1e-12
# Least variance, relative to the largest that a mean allows, and least share of rows:
# below them parameters would be infinite or undefined.
_SMALLEST_SPREAD = 1e-6
_SMALLEST_SHARE = 1e-6


class BetaMixture(DensityMixin, BaseEstimator):
    """Mixture of beta distributions for values in an interval.

    Fitted by expectation-maximisation with weighted moments [1]_. A beta distribution
    can have its mode at either end of its interval, like the losses of well-learnt
    samples. Several
    features are independent within a component.

    Parameters
    ----------
    support : tuple (low, high) or None, default=None
        The interval. None takes the range of each feature in ``fit``. Values outside a
        given interval are refused by ``fit`` and moved to its nearer end elsewhere.
    alphas_init, betas_init : tuple of float > 0, default=(1, 2) and (2, 1)
        Parameters at the start, one of each for every component; their number is the
        number of components. The default has means of 1/3 and 2/3.
    max_iter : int >= 1, default=10
        Iterations of EM, the value of [1]_.
    tol : float >= 0 or None, default=None
        EM stops when the mean log-likelihood rises by less. None, as in the authors'
        code, always runs ``max_iter`` iterations.
    clip : float in (0, 0.5), default=1e-4
        Values are kept this far, relative to the interval, from its ends, where
        densities may be infinite. Larger values reduce the influence of values at the
        ends.
    random_state : int, RandomState instance or None, default=None
        For `sample`.

    Attributes
    ----------
    alphas_, betas_ : ndarray of shape (n_components, n_features), dtype float64
        Both parameters of each beta distribution.
    weights_ : ndarray of shape (n_components,), dtype float64
        Shares of the components; they sum to 1.
    means_ : ndarray of shape (n_components, n_features), dtype float64
        Means of the components, in the units of X.
    support_ : ndarray of shape (2, n_features), dtype float64
        Lower and upper ends.
    n_iter_ : int
        Iterations run.
    converged_ : bool
        Whether the last iteration raised the mean log-likelihood by less than ``tol``
        (1e-3 if that is None).
    lower_bound_ : float
        Mean log-likelihood of a row on the interval scaled to [0, 1], before the last
        update.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If X had string column names.

    See Also
    --------
    BMMLossSplitter : Splits right and wrong labels by their losses with such a mixture.
    sklearn.mixture.GaussianMixture : For values without bounds.

    Notes
    -----
    With one feature and more than 65,536 rows, EM runs on counts in 7,680 bins, narrow
    ones near the ends, with separate counts for the lowest and the highest value, where
    clipped values pile up. An iteration then takes the same time for any number of
    rows, and posteriors differ by 1e-5 to 1e-4.

    A component whose variance or share vanishes would have infinite or undefined
    parameters. The variance is kept above a millionth of the largest possible one; EM
    stops, with the parameters it has, when a share falls below a millionth.

    References
    ----------
    .. [1] E. Arazo, D. Ortego, P. Albert, N. E. O'Connor, K. McGuinness, "Unsupervised
       label noise modeling and loss correction", ICML 2019. arXiv:1904.11238

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy import BetaMixture
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.beta(2, 8, 600), rng.beta(8, 2, 400)])[:, None]
    >>> mixture = BetaMixture(support=(0, 1), max_iter=100, tol=1e-5).fit(X)
    >>> mixture.weights_.round(1), mixture.means_.ravel().round(1)
    (array([0.6, 0.4]), array([0.2, 0.8]))
    """

    _doc_link_module = DOC_LINK_MODULE
    _doc_link_template = DOC_LINK_TEMPLATE

    _parameter_constraints = {
        "support": [tuple, list, None],
        "alphas_init": [tuple, list, np.ndarray],
        "betas_init": [tuple, list, np.ndarray],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "clip": [Interval(Real, 0, 0.5, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        support: tuple[float, float] | None = None,
        alphas_init: tuple[float, float] = (1.0, 2.0),
        betas_init: tuple[float, float] = (2.0, 1.0),
        max_iter: int = 10,
        tol: float | None = None,
        clip: float = 1e-4,
        random_state: RandomState = None,
    ) -> None:
        self.support = support
        self.alphas_init = alphas_init
        self.betas_init = betas_init
        self.max_iter = max_iter
        self.tol = tol
        self.clip = clip
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: Labels | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Estimate the parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            One row for each sample.
        y : ignored
            Not used; present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts, at least 0.

        Returns
        -------
        self : BetaMixture
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X or a weight is not as described, if X has fewer rows than
            there are components, or if a feature has one value only.
        """
        check_parameters(self)
        alphas, betas = self._initial_parameters()
        rows = check_numbers(
            self, X, dtype=[np.float64, np.float32], ensure_min_samples=len(alphas)
        )
        weights = check_weights(sample_weight, rows, dtype=np.float64)
        if weights is not None:
            rows, weights = rows[weights > 0], weights[weights > 0]
        self.support_ = self._find_support(rows)
        points, weights = self._points(rows, weights)
        shape = len(alphas), rows.shape[1]
        self.alphas_ = np.broadcast_to(alphas[:, None], shape).copy()
        self.betas_ = np.broadcast_to(betas[:, None], shape).copy()
        self.weights_ = np.full(len(alphas), 1 / len(alphas))
        self._run_em(points, weights)
        low, high = self.support_
        self.means_ = low + (high - low) * self.alphas_ / (self.alphas_ + self.betas_)
        return self

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the posterior probability of each component.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            One row for each sample.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_components), dtype float64
            Posterior probability of each component; rows sum to 1.
        """
        rows = self._check(X)
        proba = np.empty((len(rows), len(self.weights_)))
        for part in chunks(len(rows)):
            log_joint = self._log_joint(self._scale(rows[part]))
            log_joint -= log_joint.max(axis=0)
            joint = np.exp(log_joint, out=log_joint)
            np.divide(joint, joint.sum(axis=0), out=proba[part].T)
        return proba

    def predict(self, X: ArrayLike) -> Array:
        """Return the most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            One row for each sample.

        Returns
        -------
        labels : ndarray of shape (n_samples,), dtype int64
            The most probable component of each row.
        """
        return self.predict_proba(X).argmax(axis=1)

    def score_samples(self, X: ArrayLike) -> FloatArray:
        """Return the log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            One row for each sample.

        Returns
        -------
        log_density : ndarray of shape (n_samples,), dtype float64
            In the units of X. Values beyond an end of the interval, or nearer to it
            than ``clip``, are given the density where they are clipped.
        """
        rows = self._check(X)
        density = np.empty(len(rows))
        for part in chunks(len(rows)):
            log_joint = self._log_joint(self._scale(rows[part]))
            density[part] = logsumexp(log_joint, axis=0)
        low, high = self.support_
        return density - np.log(high - low).sum()

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-density of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        log_density : float
        """
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1) -> tuple[FloatArray, IntArray]:
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int >= 1, default=1
            Number of samples to draw.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), dtype float64
            The samples that were drawn.
        labels : ndarray of shape (n_samples,), dtype int64
            The component of each row, in ascending order.

        Raises
        ------
        ValueError
            If ``n_samples`` is below 1.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1; got {n_samples}.")
        rng = random_generator(self.random_state)
        labels = np.repeat(
            np.arange(len(self.weights_)), rng.multinomial(n_samples, self.weights_)
        )
        low, high = self.support_
        unit = rng.beta(self.alphas_[labels], self.betas_[labels])
        return low + (high - low) * unit, labels

    def aic(self, X: ArrayLike) -> float:
        """Return Akaike's information criterion on X: lower = better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            One row for each sample.

        Returns
        -------
        aic : float
            Lower is better.
        """
        return -2 * float(self.score_samples(X).sum()) + 2 * self._n_parameters()

    def bic(self, X: ArrayLike) -> float:
        """Return the Bayesian information criterion on X: lower = better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            One row for each sample.

        Returns
        -------
        bic : float
            Lower is better.
        """
        log_density = self.score_samples(X)
        penalty = self._n_parameters() * np.log(len(log_density))
        return -2 * float(log_density.sum()) + float(penalty)

    def _initial_parameters(self):
        alphas = np.asarray(self.alphas_init, dtype=np.float64)
        betas = np.asarray(self.betas_init, dtype=np.float64)
        if alphas.ndim != 1 or alphas.shape != betas.shape or not len(alphas):
            raise ValueError(
                "alphas_init and betas_init must have one number for each component; "
                f"got shapes {alphas.shape} and {betas.shape}."
            )
        smallest = min(alphas.min(), betas.min())
        if not (smallest > 0 and np.isfinite(alphas + betas).all()):
            raise ValueError(
                "alphas_init and betas_init must be positive and finite; got "
                f"{alphas.tolist()} and {betas.tolist()}."
            )
        return alphas, betas

    def _find_support(self, X):
        least, most = X.min(axis=0), X.max(axis=0)
        if self.support is None:
            if (least == most).any():
                raise ValueError(
                    f"feature {int((least == most).argmax())} of X has one value only, "
                    f"{least[(least == most).argmax()]}; a mixture needs at least two."
                )
            return np.array([least, most], dtype=np.float64)
        if (
            len(self.support) != 2
            or not all(isinstance(end, Real) for end in self.support)
            or not -np.inf < self.support[0] < self.support[1] < np.inf
        ):
            raise ValueError(
                "support must be (low, high), two finite numbers; got "
                f"{self.support!r}."
            )
        low, high = self.support
        if least.min() < low or most.max() > high:
            raise ValueError(
                f"X must lie in support, [{low}, {high}]; got values from "
                f"{least.min()} to {most.max()}."
            )
        return np.tile([[float(low)], [float(high)]], X.shape[1])

    def _points(self, X, weights):
        """Return values scaled to [0, 1], (n_features, n_points), and their weights."""
        n_samples, n_features = X.shape
        least, most = X.min(axis=0), X.max(axis=0)
        if n_features > 1 or n_samples <= _MAX_EXACT or least[0] == most[0]:
            if weights is None:
                weights = np.ones(n_samples)
            return self._scale(X), weights
        least, most = float(least[0]), float(most[0])
        values = np.ascontiguousarray(X[:, 0])
        bins = bin_linear(values, least, most, _N_BINS, weights)
        points, counts = merge_inner(*bins)
        points = least + (most - least) * points[counts > 0, None]
        return self._scale(points), counts[counts > 0]

    def _run_em(self, points, weights):
        log_x, log_1mx = np.log(points), np.log1p(-points)
        moments = np.concatenate([np.ones((1, points.shape[1])), points, points**2]).T
        total = weights.sum()
        tol = 1e-3 if self.tol is None else self.tol
        bound = -np.inf
        for n_iter in range(1, self.max_iter + 1):
            previous = bound
            responsibilities, bound = self._e_step(log_x, log_1mx, weights, total)
            self.n_iter_ = n_iter
            self.converged_ = bool(abs(bound - previous) < tol)
            if not self._m_step(responsibilities @ moments):
                break
            if self.converged_ and self.tol is not None:
                break
        self.lower_bound_ = float(bound)

    def _e_step(self, log_x, log_1mx, weights, total):
        """Return weighted responsibilities and the mean log-likelihood."""
        joint = np.exp(self._log_joint_of_logs(log_x, log_1mx))
        np.maximum(joint, _DENSITY_FLOOR, out=joint)
        density = joint.sum(axis=0)
        bound = weights @ np.log(density) / total
        joint *= weights / density
        return joint, bound

    def _m_step(self, moments):
        """Update the parameters from weighted moments; False if one cannot be.

        Equation 5 of [1]_: the moments of order 0, 1 and 2 of each component.
        """
        n_features = self.alphas_.shape[1]
        share = moments[:, :1]
        total = share.sum()
        if share.min() < _SMALLEST_SHARE * total:
            return False
        mean = moments[:, 1 : n_features + 1] / share
        spread = mean * (1 - mean)
        variance = moments[:, n_features + 1 :] / share - mean**2
        variance = np.maximum(variance, _SMALLEST_SPREAD * spread)
        self.alphas_ = mean * (spread / variance - 1)
        self.betas_ = self.alphas_ * (1 - mean) / mean
        self.weights_ = (share / total).ravel()
        return True

    def _log_joint(self, points):
        return self._log_joint_of_logs(np.log(points), np.log1p(-points))

    def _log_joint_of_logs(self, log_x, log_1mx):
        """Return log(weight * density) of each component, (n_components, n_points)."""
        constant = np.log(self.weights_) - betaln(self.alphas_, self.betas_).sum(axis=1)
        log_joint = (self.alphas_ - 1) @ log_x
        log_joint += (self.betas_ - 1) @ log_1mx
        log_joint += constant[:, None]
        return log_joint

    def _posterior_of(self, component, x):
        """Return the posterior of one of two components; overwrites x.

        For one feature scaled to [0, 1]. With half the passes of `predict_proba`.
        """
        np.clip(x, self.clip, 1 - self.clip, out=x)
        alphas, betas = self.alphas_.ravel(), self.betas_.ravel()
        constants = np.log(self.weights_) - betaln(alphas, betas)
        log_odds = np.log(x)
        log_odds *= alphas[1 - component] - alphas[component]
        log_1mx = np.log(np.subtract(1, x, out=x), out=x)
        log_1mx *= betas[1 - component] - betas[component]
        log_odds += log_1mx
        log_odds += constants[1 - component] - constants[component]
        with np.errstate(over="ignore"):
            odds = np.exp(log_odds, out=log_odds)
        odds += 1
        return np.divide(1, odds, out=odds)

    def _scale(self, X):
        """Return X scaled to [0, 1] and clipped, shape (n_features, n_points)."""
        low, high = self.support_
        unit = (X.T - low[:, None]) / (high - low)[:, None]
        return np.clip(unit, self.clip, 1 - self.clip)

    def _check(self, X):
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=[np.float64, np.float32])

    def _n_parameters(self):
        return 2 * self.alphas_.size + len(self.weights_) - 1
