"""Drop the most suspicious rows, by a budget or a threshold."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted

from sknoisy._codes import encode_labels
from sknoisy._groups import group_params
from sknoisy._parameters import check_parameters
from sknoisy._validation import (
    HasMethods,
    Interval,
    RealNotInt,
    routes_metadata,
    validate_data,
)
from sknoisy._verdicts import (
    may_be_probabilities,
    scorer_of,
    scores_are_probabilities,
    tags_of_part,
    unjudged_rows,
)
from sknoisy.base import NoiseDetectorMixin

if TYPE_CHECKING:
    from sknoisy._types import ArrayLike, Estimator, FloatArray, Labels, Routing

__all__ = ["NoisyLabelFilter"]


class NoisyLabelFilter(MetaEstimatorMixin, NoiseDetectorMixin, BaseEstimator):
    """Sampler that drops the rows with the most suspicious labels.

    Set the number of rows to keep, or a threshold on the scores. It is a step of an
    imbalanced-learn pipeline, and itself a detector, so that it can be passed wherever
    a detector is expected.

    Parameters
    ----------
    detector : estimator
        Detector or robust classifier, or a scikit-learn pipeline that ends in one. It
        is cloned.
    keep : float in (0, 1] or int >= 1, default=None
        Rows to keep, the least suspicious ones: a share of them (rounded to the
        nearest number of rows) or their number. Of rows with equal scores, the first
        ones are dropped first, as in `ranking`. Rows in ``unjudged_`` are never
        dropped.
    threshold : float in [0, 1], default=None
        Rows with a larger noise score are dropped. A larger threshold drops fewer.
        Without ``keep`` and ``threshold`` the detector's own flags decide.

    Attributes
    ----------
    detector_ : estimator
        The fitted clone.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        Scores of the detector. Larger = more suspicious.
    scores_are_probabilities_ : bool
        Whether they are probabilities of a wrong label, according to the detector.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        True for the rows that are dropped.
    noise_rate_ : float
        The detector's estimate of the share of wrong labels, not the share that is
        dropped.
    suggested_labels_ : ndarray of shape (n_samples,)
        For the rows that are dropped, what the detector suggests; that is the given
        label where the detector does not flag the row. For the others the given label.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    label_proba_ : ndarray of shape (n_samples, n_classes)
        Probabilities of the labels, if the detector has them.
    sample_indices_ : ndarray of shape (n_kept,), dtype int64
        Numbers of the rows that are kept, in their order.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    CleanedClassifier : Drop, relabel or reweight, then fit a classifier.
    label_report : Look at the rows before they are dropped.

    Notes
    -----
    Every detector has a ``fit_resample`` that drops the rows it flags. Use this
    class to drop a given share of the rows, or only the most suspicious ones.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sknoisy import LossMixtureDetector, NoisyLabelFilter
    >>> from sknoisy import SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.2, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / 16, y)
    >>> detector = LossMixtureDetector(LogisticRegression(C=0.1), random_state=0)
    >>> sampler = NoisyLabelFilter(detector, keep=0.7)
    >>> X_kept, y_kept = sampler.fit_resample(X, y_noisy)
    >>> len(y), len(y_kept), int((y_kept != y[sampler.sample_indices_]).sum())
    (1797, 1258, 2)
    """

    # Depends on the detector.
    _mask_is_threshold = False
    _passes_verified = True

    _parameter_constraints = {
        "detector": [HasMethods(["fit"])],
        "keep": [
            Interval(RealNotInt, 0, 1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "threshold": [Interval(Real, 0, 1, closed="both"), None],
    }

    def __init__(
        self,
        detector: Estimator,
        *,
        keep: float | None = None,
        threshold: float | None = None,
    ) -> None:
        self.detector = detector
        self.keep = keep
        self.threshold = threshold

    def fit(self, X: ArrayLike, y: Labels, **fit_params: Any) -> Self:
        """Fit the detector and decide which rows to drop.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Any X that the detector accepts.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.
        **fit_params : dict
            Passed to the detector's ``fit``. ``groups`` also reach the detector at the
            end of a pipeline.

        Returns
        -------
        self : NoisyLabelFilter
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter is not as described, if both ``keep`` and ``threshold`` are
            given, if there are fewer rows than ``keep``, or more rows that are never
            dropped, or if the detector refuses X or y.
        TypeError
            If ``detector`` does not score labels.
        """
        check_parameters(self)
        if y is None:
            raise ValueError(
                "NoisyLabelFilter requires y to be passed, but the target y is None."
            )
        classes, codes = encode_labels(y)
        self._check_rule(len(codes))
        self.__dict__.pop("n_features_in_", None)
        if routes_metadata():
            params = process_routing(self, "fit", **fit_params).detector.fit
        else:
            groups = fit_params.pop("groups", None)
            params = {**fit_params, **group_params(self.detector, groups)}
        self.detector_ = clone(self.detector).fit(X, y, **params)
        if X is not None:
            validate_data(self, X, skip_check_array=True)
        self.classes_ = classes
        scorer = scorer_of(self.detector_, len(codes))
        self.noise_scores_ = np.asarray(scorer.noise_scores_, dtype=np.float64)
        self._unjudged = unjudged_rows(scorer)
        self.noise_mask_ = self._flag(scorer)
        self.noise_rate_ = float(scorer.noise_rate_)
        self.suggested_labels_ = self.classes_[codes]
        self.suggested_labels_[self.noise_mask_] = np.asarray(scorer.suggested_labels_)[
            self.noise_mask_
        ]
        return self

    @property
    def scores_are_probabilities_(self) -> bool:
        """Whether the detector's scores are probabilities of a wrong label, bool."""
        check_is_fitted(self, "noise_scores_")
        return scores_are_probabilities(self.detector_)

    @property
    def label_proba_(self) -> FloatArray:
        """Probabilities of the labels, ndarray of shape (n_samples, n_classes).

        Only there if the detector has it.
        """
        check_is_fitted(self, "noise_scores_")
        return scorer_of(self.detector_, len(self.noise_scores_)).label_proba_

    def _may_calibrate(self):
        return may_be_probabilities(self.detector)

    def get_metadata_routing(self) -> Routing:
        """Return what ``fit`` passes on to the detector.

        Returns
        -------
        routing : MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(detector=self.detector, method_mapping=mapping)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = tags_of_part(self.detector)
        tags.input_tags = inner.input_tags
        tags.non_deterministic = inner.non_deterministic
        return tags

    def _check_rule(self, n_samples):
        if self.keep is not None and self.threshold is not None:
            raise ValueError(
                f"keep and threshold exclude each other; got keep={self.keep!r} and "
                f"threshold={self.threshold!r}. Set one of them to None."
            )
        if isinstance(self.keep, Integral) and self.keep > n_samples:
            raise ValueError(
                f"keep={self.keep} is more than the number of rows, {n_samples}. "
                "Pass a smaller number, or the share of rows to keep as a float."
            )

    def _flag(self, scorer):
        is_judged = np.ones(len(self.noise_scores_), dtype=bool)
        is_judged[self._unjudged] = False
        if self.threshold is not None:
            return is_judged & (self.noise_scores_ > self.threshold)
        if self.keep is None:
            return is_judged & np.asarray(scorer.noise_mask_, dtype=bool)
        n_samples, n_unjudged = len(is_judged), len(self._unjudged)
        is_count = isinstance(self.keep, Integral)
        n_keep = self.keep if is_count else round(self.keep * n_samples)
        if n_keep < n_unjudged:
            raise ValueError(
                f"keep={self.keep!r} keeps {n_keep} rows, but {n_unjudged} rows have a "
                "label that occurs once and are never dropped. Keep more rows, or "
                "merge rare labels into common ones."
            )
        ranking = self.ranking()
        mask = np.zeros(n_samples, dtype=bool)
        mask[ranking[is_judged[ranking]][: n_samples - n_keep]] = True
        return mask
