"""From losses to the probability that a label is wrong."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)
from sklearn.mixture import GaussianMixture
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sknoisy._documentation import DOC_LINK_MODULE, DOC_LINK_TEMPLATE
from sknoisy._parameters import check_parameters
from sknoisy._random_states import random_generator, set_random_states
from sknoisy._rows import explained, plain_rows
from sknoisy._validation import HasMethods, Interval, StrOptions, check_numbers
from sknoisy._warning import warn_user
from sknoisy.mixture._beta import BetaMixture
from sknoisy.mixture._binning import (
    GrowingSample,
    bin_linear,
    chunks,
    merge_inner,
    quantiles,
    trim,
)
from sknoisy.mixture._dask import blocks, is_dask, map_blocks
from sknoisy.mixture._gaussian import fit_mixture

if TYPE_CHECKING:
    from sknoisy._types import Array, ArrayLike, Labels, RandomState

__all__ = ["BMMLossSplitter"]

# With fewer losses the shapes of two distributions cannot be estimated.
_MIN_LOSSES = 50
# As in BetaMixture: EM runs on the losses themselves up to here, beyond it on bins.
_MAX_EXACT = 2**16
_N_BINS = 2**15
_LARGEST = float(np.finfo(np.float32).max)
# Offsets of the authors' code to the lower percentile and to the range.
_LOW_OFFSET = 1e-5
_WIDTH_OFFSET = 1e-6
# Entries of the look-up table, and what its posteriors add to their denominators.
_TABLE_SIZE = 100
_TABLE_EPSILON = 1e-12


class BMMLossSplitter(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Posterior probability of a wrong label, from the losses of all samples.

    Wrong labels are learnt later than right ones, so that their losses are larger for
    a while. A mixture of two beta distributions is fitted to the losses; the component
    with the larger mean stands for the wrong labels [1]_. The losses may come from
    anywhere: a torch loop, scikit-learn, a file.

    Parameters
    ----------
    mixture : {"beta", "gaussian"} or mixture with two components, default="beta"
        What is fitted to the scaled losses. "beta" is ``BetaMixture()``, "gaussian"
        ``GaussianMixture(2, max_iter=10)``. An estimator is cloned; it needs
        ``fit``, ``predict_proba`` and ``means_``. The ``support`` of a `BetaMixture`
        becomes (0, 1).
    trim : tuple (low, high) of percentiles or None, default=(5, 95)
        Losses are scaled to [0, 1] between these percentiles, and those outside are
        left out of the fit. None scales from the smallest to the largest.
    clip : float in [0, 0.5), default=1e-3
        Scaled losses up to 0 become ``clip``, those from 1 on ``1 - clip``. [1]_ prints
        1e-4, the authors' code has 1e-3.
    identify : {"means", "fixed"}, default="means"
        Which component is the noisy one: that with the larger mean after the fit [2]_,
        or always the second, as in the code of [1]_.
    posterior : {"exact", "lookup"}, default="exact"
        "lookup" reads the posterior off a table of 100 entries, as the authors' code.
    monotone_right : bool, default=True
        From the loss on at which the table is largest, the posterior stays there. A
        mixture's posterior may fall again for very large losses.
    monotone_left : bool, default=True
        Up to the loss at which the table is smallest, the posterior stays there. False
        as in the authors' code: the posterior may then be large for tiny losses.
    random_state : int, RandomState instance or None, default=None
        Start of the Gaussian mixture; the beta mixture draws nothing.

    Attributes
    ----------
    mixture_ : fitted mixture or None
        Of the scaled losses. None if a fallback is used.
    lo_, hi_ : float
        Losses that are scaled to 0 and 1.
    noisy_component_ : int or None
        Component of ``mixture_`` that stands for wrong labels.
    noise_rate_ : float
        Weight of that component; 0.5 if a fallback is used.
    posterior_table_ : ndarray of shape (100,), dtype float64
        Posterior at equally spaced scaled losses, from 0 to 1.
    fallback_ : {"constant", "rank"} or None
        Replacement of a mixture that cannot be fitted; see Notes.
    n_features_in_ : int
        Number of columns given to ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If the losses were a frame with string column names.

    See Also
    --------
    BetaMixture : The mixture alone.
    LossMixtureDetector : Computes the losses, too.

    Notes
    -----
    If all losses are equal, or the percentiles of ``trim`` coincide, nothing can be
    split: a warning says so and every posterior is 0.5 (``fallback_ = "constant"``).
    With fewer than 50 losses a warning is given, and the posterior of a loss is its
    rank among those given to ``fit``, as a share: the upper half counts as noisy
    (``fallback_ = "rank"``).

    With more than 65,536 losses, EM runs on counts in 7,680 bins, on which it takes a
    few milliseconds; posteriors differ by 1e-5 to 1e-4. `partial_fit` counts on a
    logarithmic grid that is the same for all data, so that counts of pieces add up; on
    it all losses below 1e-10 are equal.

    DivideMix [3]_ splits by ``mixture=GaussianMixture(2, max_iter=10, tol=1e-2,
    reg_covar=5e-4), trim=None, clip=0, monotone_right=False, monotone_left=False``.

    References
    ----------
    .. [1] E. Arazo, D. Ortego, P. Albert, N. E. O'Connor, K. McGuinness, "Unsupervised
       label noise modeling and loss correction", ICML 2019. arXiv:1904.11238
    .. [2] L. Huang, L. Tang, "Label noise correction: reproduction and extensions".
    .. [3] J. Li, R. Socher, S. C. H. Hoi, "DivideMix: Learning with noisy labels as
       semi-supervised learning", ICLR 2020. arXiv:2002.07394

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy import BMMLossSplitter
    >>> rng = np.random.default_rng(0)
    >>> losses = np.concatenate([rng.gamma(2, 0.2, 700), rng.normal(4, 0.5, 300)])
    >>> splitter = BMMLossSplitter().fit(losses)
    >>> p_noisy = splitter.predict_proba(losses)[:, 1]
    >>> int((p_noisy > 0.5).sum()), round(splitter.noise_rate_, 2)
    (300, 0.28)
    """

    _doc_link_module = DOC_LINK_MODULE
    _doc_link_template = DOC_LINK_TEMPLATE

    # The losses of `partial_fit` so far.
    _sample: GrowingSample | None

    _parameter_constraints = {
        "mixture": [
            StrOptions({"beta", "gaussian"}),
            HasMethods(["fit", "predict_proba"]),
        ],
        "trim": [tuple, list, None],
        "clip": [Interval(Real, 0, 0.5, closed="left")],
        "identify": [StrOptions({"means", "fixed"})],
        "posterior": [StrOptions({"exact", "lookup"})],
        "monotone_right": ["boolean"],
        "monotone_left": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        mixture: Any = "beta",
        *,
        trim: tuple[float, float] | None = (5, 95),
        clip: float = 1e-3,
        identify: Literal["means", "fixed"] = "means",
        posterior: Literal["exact", "lookup"] = "exact",
        monotone_right: bool = True,
        monotone_left: bool = True,
        random_state: RandomState = None,
    ) -> None:
        self.mixture = mixture
        self.trim = trim
        self.clip = clip
        self.identify = identify
        self.posterior = posterior
        self.monotone_right = monotone_right
        self.monotone_left = monotone_left
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Labels | None = None) -> Self:
        """Fit the mixture to losses.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_epochs)
            Losses, not negative. Several columns are averaged. A dask array is read
            block by block.
        y : ignored
            Not used; present for API consistency.

        Returns
        -------
        self : BMMLossSplitter
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter is not as described, or a loss is negative, NaN, infinite or
            beyond the range of float32; or if a dask array is given to a mixture that
            takes no weights.
        """
        self._check_parameters()
        self._sample = None
        if is_dask(X):
            self._take_in_blocks(X)
            sample, self._sample = cast("GrowingSample", self._sample), None
            return self._fit_losses(*sample.summary(self._levels()))
        losses = self._check_losses(X, reset=True)
        return self._fit_losses(losses, None, quantiles(losses, self._levels()))

    @available_if(lambda self: self._takes_weights())
    def partial_fit(self, X: ArrayLike, y: Labels | None = None) -> Self:
        """Add more losses, and fit the mixture to all of them.

        Up to a million losses are kept, and the result is that of ``fit``; beyond
        it they are only counted. Needs a `BetaMixture`, which takes weights.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_epochs)
            Losses, not negative. Several columns are averaged. A dask array is read
            block by block.
        y : ignored
            Not used; present for API consistency.

        Returns
        -------
        self : BMMLossSplitter
            The fitted estimator.

        Raises
        ------
        ValueError
            As ``fit``.
        """
        self._check_parameters()
        if is_dask(X):
            self._take_in_blocks(X)
        else:
            self._take_in(X)
        sample = cast("GrowingSample", self._sample)
        return self._fit_losses(*sample.summary(self._levels()))

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the posterior probabilities of a right and of a wrong label.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_epochs)
            Losses, with as many columns as given to ``fit``.

        Returns
        -------
        proba : ndarray of shape (n_samples, 2), dtype float64
            Columns: right (clean), wrong (noisy). Of a dask array a dask array.
        """
        check_is_fitted(self)
        if is_dask(X):
            return map_blocks(self.predict_proba, X, 2)
        losses = self._check_losses(X, reset=False)
        proba = np.empty((len(losses), 2))
        for part in chunks(len(losses)):
            proba[part, 1] = self._posterior(losses[part])
            np.subtract(1, proba[part, 1], out=proba[part, 0])
        return proba

    def predict(self, X: ArrayLike) -> Array:
        """Return 1 where the label is more likely wrong than right, else 0.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_epochs)
            Losses, one for each sample or one for each sample and epoch.

        Returns
        -------
        is_noisy : ndarray of shape (n_samples,), dtype int64
            1 where the label is more likely wrong than right.
        """
        return (self._p_noisy(X)[:, 0] > 0.5).astype(np.int64)

    def transform(self, X: ArrayLike) -> Array:
        """Return the posterior probability of a wrong label.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_epochs)
            Losses, one for each sample or one for each sample and epoch.

        Returns
        -------
        p_noisy : ndarray of shape (n_samples, 1), dtype float64
            Probability that each label is wrong.
        """
        return self._p_noisy(X)

    def _p_noisy(self, X):
        """Return what `transform` does, as an array regardless of ``set_output``."""
        check_is_fitted(self)
        if is_dask(X):
            return map_blocks(self._p_noisy, X, 1)
        losses = self._check_losses(X, reset=False)
        p_noisy = np.empty((len(losses), 1))
        for part in chunks(len(losses)):
            p_noisy[part, 0] = self._posterior(losses[part])
        return p_noisy

    @property
    def _n_features_out(self):
        return 1

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "posterior_table_")

    def _check_parameters(self):
        check_parameters(self)
        if self.trim is not None:
            if len(self.trim) != 2 or not 0 <= self.trim[0] < self.trim[1] <= 100:
                raise ValueError(
                    "trim must be two percentiles, 0 <= low < high <= 100; got "
                    f"{self.trim!r}."
                )

    def _check_losses(self, X, reset):
        """Return losses of shape (n_samples,) as float64 or float32."""
        X = plain_rows(X)
        if not hasattr(X, "columns") and not hasattr(X, "toarray"):
            with explained(X, type(self).__name__):
                X = np.asarray(X)
            takes_vector = reset or self.n_features_in_ == 1
            if X.ndim == 1 and takes_vector:
                X = X[:, None]
        X = check_numbers(self, X, reset=reset, dtype=[np.float64, np.float32])
        if X.min() < 0:
            row = int((X < 0).any(axis=1).argmax())
            raise ValueError(
                f"Negative values in data: row {row} has {X[row].min():.6g}. Losses "
                "cannot be negative; give the cross-entropy of the given labels, not "
                "log-probabilities."
            )
        if X.max() > _LARGEST:
            raise ValueError(
                f"losses must be at most {_LARGEST:.6g}; got {X.max():.6g}."
            )
        if X.shape[1] > 1:
            return X.mean(axis=1)
        return np.ascontiguousarray(X[:, 0])

    def _take_in_blocks(self, X):
        """Take in a dask array, one block after the other."""
        if not self._takes_weights():
            raise ValueError(
                "losses in pieces need a BetaMixture, which takes weights; got mixture="
                f"{self.mixture!r}. Give all losses as one array."
            )
        for block in blocks(X):
            self._take_in(block)

    def _take_in(self, X):
        # fit keeps no losses to which more could be added.
        is_first = getattr(self, "_sample", None) is None
        losses = self._check_losses(X, reset=is_first)
        if is_first:
            self._sample = GrowingSample()
        self._sample.add(losses)

    def _levels(self):
        low, high = (0, 100) if self.trim is None else self.trim
        return low / 100, high / 100

    def _fit_losses(self, losses, counts, bounds):
        """Fit to losses, each of which may count several times."""
        low, high = bounds
        self.lo_ = low.value + (0 if self.trim is None else _LOW_OFFSET)
        self.hi_ = high.value
        self.fallback_ = self._find_fallback(losses, counts)
        self.mixture_ = self.noisy_component_ = None
        self.noise_rate_ = 0.5
        if self.fallback_ is None:
            self._fit_mixture(*self._points(losses, counts, low, high))
        elif self.fallback_ == "rank":
            self._ranked = np.sort(losses)
        self._fill_table()
        return self

    def _find_fallback(self, losses, counts):
        if not self.lo_ < self.hi_:
            between = "" if self.trim is None else f", percentiles {self.trim},"
            warn_user(
                f"the losses cannot be split: from {self.lo_:.6g} to {self.hi_:.6g}"
                f"{between} they are all but equal. Every posterior is 0.5.",
            )
            return "constant"
        if counts is None and len(losses) < _MIN_LOSSES:
            warn_user(
                f"{len(losses)} losses are too few for a mixture, which needs at least "
                f"{_MIN_LOSSES}: the posterior of a loss is its rank.",
            )
            return "rank"
        return None

    def _points(self, losses, counts, low, high):
        """Return scaled losses between the percentiles, and their weights."""
        few = counts is None and len(losses) <= _MAX_EXACT
        if few or not self._takes_weights():
            inside = (losses >= low.value) & (losses <= high.value)
            return self._scale(losses[inside]), None
        end = self.lo_ + self._width()
        bins = bin_linear(losses, self.lo_, end, _N_BINS, counts)
        points, counts = merge_inner(*bins)
        weights = trim(counts, low.n_below, high.n_above)
        points[[0, -1]] = self.clip, 1 - self.clip
        return points[weights > 0], weights[weights > 0]

    def _fit_mixture(self, points, weights):
        self.mixture_ = self._make_mixture()
        keywords = {} if weights is None else {"sample_weight": weights}
        # A set number of iterations is the method, not a failure.
        fit_mixture(self.mixture_, points[:, None], **keywords)
        means = np.ravel(self.mixture_.means_)
        if len(means) != 2:
            raise ValueError(
                f"mixture must have two components; {self.mixture!r} has {len(means)}."
            )
        self.noisy_component_ = int(means.argmax()) if self.identify == "means" else 1
        self.noise_rate_ = float(self.mixture_.weights_[self.noisy_component_])

    def _make_mixture(self):
        if self.mixture == "beta":
            return BetaMixture(support=(0, 1))
        seed = int(random_generator(self.random_state).integers(2**31))
        if self.mixture == "gaussian":
            return GaussianMixture(2, max_iter=10, random_state=seed)
        mixture = clone(self.mixture)
        if isinstance(mixture, BetaMixture):
            mixture.set_params(support=(0, 1))
        set_random_states(mixture, seed)
        return mixture

    def _takes_weights(self):
        return self.mixture == "beta" or isinstance(self.mixture, BetaMixture)

    def _fill_table(self):
        """Compute the look-up table, and between which values the posterior moves."""
        self._moves = [0.0, 1.0]
        grid = np.linspace(_TABLE_EPSILON, 1 - _TABLE_EPSILON, _TABLE_SIZE)
        if self.fallback_ is not None:
            self.posterior_table_ = self._posterior(self.lo_ + grid * self._width())
            return
        if self._takes_weights():
            joint = np.exp(self.mixture_._log_joint(grid[None]))
            table = joint[self.noisy_component_] / (joint.sum(axis=0) + _TABLE_EPSILON)
        else:
            table = self.mixture_.predict_proba(grid[:, None])[:, self.noisy_component_]
        # A peak below both means is not the top of the rise towards large losses.
        start = np.searchsorted(grid, np.min(self.mixture_.means_))
        peak = start + table[start:].argmax()
        if self.monotone_right:
            table[peak:] = table[peak]
            self._moves[1] = grid[peak]
        if self.monotone_left:
            trough = table[: peak + 1].argmin()
            table[:trough] = table[trough]
            self._moves[0] = grid[trough]
        self.posterior_table_ = table

    def _posterior(self, losses):
        """Return the probability of a wrong label for each loss."""
        if self.fallback_ == "constant":
            return np.full(len(losses), 0.5)
        if self.fallback_ == "rank":
            left = np.searchsorted(self._ranked, losses, "left")
            right = np.searchsorted(self._ranked, losses, "right")
            return (left + right) / (2 * len(self._ranked))
        x = self._scale(losses)
        if self.posterior == "lookup":
            place = (x * _TABLE_SIZE).astype(np.intp)
            return self.posterior_table_[np.clip(place, 0, _TABLE_SIZE - 1)]
        np.clip(x, *self._moves, out=x)
        if self._takes_weights():
            return self.mixture_._posterior_of(self.noisy_component_, x)
        return self.mixture_.predict_proba(x[:, None])[:, self.noisy_component_]

    def _scale(self, losses):
        """Return losses on [0, 1], as float64, clipped to the interval."""
        x = np.subtract(losses, self.lo_, dtype=np.float64)
        x *= 1 / self._width()
        np.copyto(x, self.clip, where=x <= 0)
        np.copyto(x, 1 - self.clip, where=x >= 1)
        return x

    def _width(self):
        return self.hi_ - self.lo_ + _WIDTH_OFFSET
