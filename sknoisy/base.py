"""The contracts that detectors, robust classifiers and injectors share."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknoisy._codes import encode_labels
from sknoisy._documentation import DOC_LINK_MODULE, DOC_LINK_TEMPLATE
from sknoisy._label_kinds import labels_like
from sknoisy._parameters import check_parameters
from sknoisy._random_states import random_generator
from sknoisy._selected_rows import rows_of
from sknoisy._unjudged import scores_the_rest
from sknoisy._validation import check_consistent_length
from sknoisy._verdicts import (
    VERDICT,
    defined_scores,
    scorer_of,
    scores_are_probabilities,
    suggest_labels,
    tags_of_part,
    unjudged_rows,
)
from sknoisy._verified import learns_verified

if TYPE_CHECKING:
    from collections.abc import Callable

    from sknoisy._types import (
        Array,
        ArrayLike,
        BoolArray,
        Estimator,
        Fitted,
        FloatArray,
        IntArray,
        Labels,
        Rows,
    )

__all__ = [
    "VERDICT",
    "NoiseDetectorMixin",
    "NoiseInjectorMixin",
    "NoiseScoresMixin",
    "TrainingInterrupted",
    "TrainingInterruptedWarning",
    "defined_scores",
    "scorer_of",
    "scores_are_probabilities",
    "suggest_labels",
    "tags_of_part",
    "unjudged_rows",
]


class TrainingInterrupted(RuntimeError):
    """Training was interrupted too early to be of use."""


class TrainingInterruptedWarning(UserWarning):
    """Training was interrupted, and its result so far was kept.

    It is given when a fit returns after Ctrl-C, with the number of completed epochs,
    trainings or rounds. To accept complete fits only, turn it into an error:
    ``warnings.simplefilter("error", TrainingInterruptedWarning)``.
    """


class _OrderOnly:
    """False once fitted: for scores that are an order and not probabilities.

    Not a data descriptor, so that a class may define a property of this name, and
    ``fit`` may set an attribute. It is also False for files saved before it existed.
    """

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        check_is_fitted(instance, "noise_scores_")
        return False


class NoiseScoresMixin:
    """Noise scores, flags and suggested labels for the labels given to ``fit``.

    Attributes
    ----------
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        In [0, 1], larger = more suspicious; where ``scores_are_probabilities_``, the
        estimated probability that the given label is wrong.
    scores_are_probabilities_ : bool
        Whether the scores are probabilities: of the rows with a score of 0.7, seven in
        ten have a wrong label, if labels are wrong at random. Else they are an order
        only. False for a class that does not define it.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        True where the label is flagged.
    noise_rate_ : float
        Estimated share of wrong labels.
    suggested_labels_ : ndarray of shape (n_samples,)
        The suggested labels, as values of y.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Numbers of the rows that were not scored, since no other row has their label, or
        none of another group where groups were given. They have the score 0.5 and no
        flag.
    label_proba_ : ndarray of shape (n_samples, n_classes)
        Where it is known: the probability of each label, columns as in ``classes_``.
    classes_ : ndarray of shape (n_classes,)
    """

    scores_are_probabilities_ = _OrderOnly()
    # Set by fit; for type checkers.
    noise_scores_: FloatArray
    noise_mask_: BoolArray
    noise_rate_: float
    suggested_labels_: Array
    classes_: Array
    _doc_link_module = DOC_LINK_MODULE
    _doc_link_template = DOC_LINK_TEMPLATE

    # Whether noise_mask_ is noise_scores_ > 0.5, whatever the data. With another rule,
    # flagged rows need not come first in the ranking.
    _mask_is_threshold = True

    @property
    def unjudged_(self) -> IntArray:
        """Numbers of the rows whose label occurs once, ndarray of dtype int64.

        There is no evidence about such a label, so it is not scored: the score of the
        row is 0.5, it is not flagged, and its suggested label is the given one.
        """
        if "noise_scores_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no unjudged_ before fit.")
        # Estimators saved by 0.1.0 have no such attribute; they scored every row.
        return vars(self).get("_unjudged", np.empty(0, dtype=np.int64))

    def predict_noisy(self) -> BoolArray:
        """Return which of the labels given to ``fit`` are flagged.

        Returns
        -------
        mask : ndarray of shape (n_samples,), dtype bool
            In the order of the rows given to ``fit``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self, "noise_mask_")
        return self.noise_mask_.copy()

    def fit_predict_noisy(self, X: Rows, y: Labels, **fit_params: Any) -> BoolArray:
        """Fit, then return which labels are flagged.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            Rows of a table, or images.
        y : array-like of shape (n_samples,)
            Given labels.
        **fit_params : dict
            Passed to ``fit``.

        Returns
        -------
        mask : ndarray of shape (n_samples,), dtype bool
            True where the label is flagged.
        """
        return cast("Estimator", self).fit(X, y, **fit_params).predict_noisy()

    def ranking(self) -> IntArray:
        """Return the row numbers, the most suspicious label first.

        Returns
        -------
        index : ndarray of shape (n_samples,), dtype int64
            Equal scores keep the order of the rows.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self, "noise_scores_")
        return np.argsort(-self.noise_scores_, kind="stable")

    def record_scores(
        self,
        scores: ArrayLike,
        proba: Array,
        codes: IntArray,
        mask: BoolArray | None = None,
    ) -> None:
        """Set scores, mask, noise rate and suggested labels.

        ``fit`` calls it once ``classes_`` is known.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            One for each given label, in [0, 1]; larger = more suspicious.
        proba : ndarray of shape (n_samples, n_classes)
            Class probabilities, for the suggested labels.
        codes : ndarray of shape (n_samples,), dtype int64
            The given labels.
        mask : ndarray of shape (n_samples,), dtype bool, default=None
            Which labels are flagged; None flags scores above 0.5.

        Raises
        ------
        FloatingPointError
            If a score is infinite or NaN.
        """
        self.noise_scores_ = defined_scores(self, scores)
        self.noise_mask_ = self.noise_scores_ > 0.5 if mask is None else mask
        self.noise_rate_ = float(self.noise_scores_.mean())
        suggested = suggest_labels(proba, codes, self.noise_mask_)
        self.suggested_labels_ = self.classes_[suggested]


class NoiseDetectorMixin(NoiseScoresMixin):
    """A detector: noise scores, and a sampler that drops the flagged rows.

    A subclass whose ``fit`` refuses classes of one row, through ``min_per_class=2`` of
    the checks in ``_validation``, scores all other rows instead, because ``fit`` is
    wrapped. ``_fitted_axes`` names its fitted arrays with an entry for each row or
    class. The wrapped ``fit`` also takes ``verified``, labels that a person has found
    right or wrong, and learns from them.
    """

    # The axes of fitted arrays, by name.
    _fitted_axes: dict[str, Any] = {}
    # Whether a detector within learns from reviewed rows.
    _passes_verified = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "fit" in vars(cls):
            fit = scores_the_rest(cast("Estimator", cls).fit)
            fit = fit if cls._passes_verified else learns_verified(fit)
            # Editors that read an assignment take it for the only definition of fit.
            setattr(cls, "fit", fit)  # noqa: B010
        # The base of scikit-learn reads what ``fit`` takes.
        super().__init_subclass__(**kwargs)

    def fit_resample(self, X: Rows, y: Labels, **fit_params: Any) -> tuple[Any, Any]:
        """Fit, then return the rows whose label is not flagged.

        This makes a detector a step of an imbalanced-learn pipeline. Rows in
        ``unjudged_`` are kept: dropping one would drop its class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            Rows of a table, or images.
        y : array-like of shape (n_samples,)
            Given labels.
        **fit_params : dict
            Passed to ``fit``.

        Returns
        -------
        X_kept, y_kept : same types as X and y
            The kept rows in their order; ``sample_indices_`` are their row numbers.

        Raises
        ------
        ValueError
            If every row of a class is flagged: a classifier fitted on the rest would
            not know that class.
        """
        cast("Estimator", self).fit(X, y, **fit_params)
        kept = self.sample_indices_
        _, codes = encode_labels(y, self.classes_)
        lost = np.setdiff1d(codes, codes[kept])
        if len(lost):
            raise ValueError(
                f"every row of class {self.classes_[lost].tolist()} was flagged as "
                "wrongly labelled; use noise_scores_ to drop rows yourself, or "
                "merge the class."
            )
        return rows_of(X, kept), rows_of(y, kept)

    @property
    def sample_indices_(self) -> IntArray:
        """Numbers of the rows that are not flagged, ndarray of dtype int64."""
        return np.flatnonzero(~self.noise_mask_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class NoiseInjectorMixin:
    """An injector: ``fit`` draws the noise model, ``corrupt`` draws labels from it.

    A subclass implements three steps: ``_check_data(X, y)`` for ``fit`` and
    ``_check_rows(X)`` for ``corrupt``; ``_fit_model(X)``, which may use ``_seed``; and
    ``_draw(X, codes) -> noisy codes``, which takes its numbers from ``_generator``.

    Attributes
    ----------
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        True where `fit_resample` changed the label.
    noise_rate_ : float
        Share of labels that `fit_resample` changed.
    transition_matrix_ : ndarray of shape (n_classes, n_classes)
        Rows = true class, columns = given class; rows sum to 1.
    classes_ : ndarray of shape (n_classes,)
        The sorted labels given to ``fit``.
    """

    _doc_link_module = DOC_LINK_MODULE
    _doc_link_template = DOC_LINK_TEMPLATE

    # What a subclass implements.
    _check_data: Callable[..., Any]
    _check_rows: Callable[..., Any]
    _fit_model: Callable[..., Any]
    _draw: Callable[..., Any]

    def fit(self: Fitted, X: Rows, y: Labels) -> Fitted:
        """Draw the noise model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            Rows of a table, or images.
        y : array-like of shape (n_samples,)
            Clean labels, at least two classes.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X or y is invalid.
        """
        self._fit(X, y)
        return self

    def corrupt(self, X: Rows, y: Labels) -> Any:
        """Draw noisy labels from the fitted noise model, for any rows.

        Nothing is stored. The random numbers depend on the fitted model and on the
        rows: the same rows get the same labels again, other rows get independent draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            Rows of a table, or images.
        y : array-like of shape (n_samples,)
            Clean labels, all of them among ``classes_``.

        Returns
        -------
        y_noisy : same type as y
            Array, list, tensor, Series, Categorical or frame with one column, with the
            dtype, categories, name and index of y.

        Raises
        ------
        ValueError
            If y has a label that ``fit`` did not see, X does not match it, or the dtype
            of y cannot hold a drawn label.
        TypeError
            If y has values that cannot be labels, such as bytes or tuples, or labels of
            mixed kinds.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self, "classes_")
        rows = self._check_rows(X)
        _, codes = encode_labels(y, self.classes_)
        check_consistent_length(rows, codes)
        return labels_like(y, self.classes_, codes, self._draw(rows, codes))

    def fit_resample(self, X: Rows, y: Labels) -> tuple[Any, Any]:
        """Fit, then return X and the noisy labels.

        This makes an injector a step of an imbalanced-learn pipeline: training folds
        get noise, validation folds stay clean.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            Rows of a table, or images.
        y : array-like of shape (n_samples,)
            Clean labels, at least two classes.

        Returns
        -------
        X : the object that was passed
            The rows, unchanged.
        y_noisy : same type as y
            The same labels as ``corrupt`` returns for the same rows.

        Raises
        ------
        ValueError, TypeError
            As in ``fit``.
        """
        rows, codes = self._fit(X, y)
        noisy = self._draw(rows, codes)
        self._record(codes, noisy)
        return X, labels_like(y, self.classes_, codes, noisy)

    def _fit(self, X, y):
        check_parameters(self)
        # Remove all attributes of an earlier fit, also those that this one does not
        # set.
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        rows, self.classes_, codes = self._check_data(X, y)
        self._seed = int(random_generator(self.random_state).integers(2**63))
        self._fit_model(rows)
        return rows, codes

    def _record(self, codes, noisy):
        self.noise_mask_ = noisy != codes
        self.noise_rate_ = float(self.noise_mask_.mean())

    def _generator(self, *arrays):
        """Return a generator that depends on the fitted model and on the arrays.

        With the seed alone, row i of a test set would get the random numbers of row i
        of the training set.
        """
        digest = hashlib.blake2b(digest_size=16)
        for array in arrays:
            digest.update(array.tobytes())
        key = int.from_bytes(digest.digest(), "little")
        return np.random.default_rng([self._seed, key])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
