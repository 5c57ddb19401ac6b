"""Find wrong labels, then fit any classifier without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, check_memory

from sknoisy._codes import check_classes, encode_labels, label_accuracy
from sknoisy._groups import group_params
from sknoisy._interruption import interruptions
from sknoisy._parameters import check_parameters
from sknoisy._progress import progress
from sknoisy._rows import explained, refuse_odd_rows
from sknoisy._rows_elsewhere import opened
from sknoisy._selected_rows import params_of_rows
from sknoisy._validation import (
    HasMethods,
    StrOptions,
    check_consistent_length,
    refuse_params_unless_routed,
    routes_metadata,
    safe_indexing,
    validate_data,
)
from sknoisy._verdicts import (
    may_be_probabilities,
    scorer_of,
    scores_are_probabilities,
    tags_of_part,
    unjudged_rows,
)
from sknoisy.base import NoiseScoresMixin
from sknoisy.cleaning._fit_arguments import soft_targets_name, weight_name
from sknoisy.cleaning._soft_labels import soft_labels, weighted_copies

if TYPE_CHECKING:
    from sknoisy._types import Array, ArrayLike, Estimator, Labels, Routing

__all__ = ["CleanedClassifier"]

# Relative duration of detector and classifier: detectors train several models.
_DETECT, _FIT = 5, 1

# The actions that give the classifier weights, or soft targets.
_WEIGHING = ("reweight", "soften")
# Kinds of X that this takes if both parts take them.
_BOTH_TAKE = (
    *("one_d_array", "two_d_array", "three_d_array", "sparse"),
    *("categorical", "string", "dict", "allow_nan"),
)


def _classifier_has(method):
    """Whether the classifier, fitted or not, has the method."""

    def check(self):
        getattr(getattr(self, "classifier_", self.classifier), method)
        return True

    return check


class CleanedClassifier(
    MetaEstimatorMixin, NoiseScoresMixin, ClassifierMixin, BaseEstimator
):
    """Classifier that is fitted on labels cleaned by a detector.

    The detector scores the labels given to ``fit``. The classifier is then fitted
    without the flagged rows, with other labels for them, with smaller weights, or with
    soft labels.

    Parameters
    ----------
    detector : estimator
        Detector or robust classifier, or a scikit-learn pipeline that ends in one. It
        is cloned.
    classifier : classifier
        Any scikit-learn classifier. It is cloned.
    action : {"drop", "relabel", "reweight", "soften"}, default="drop"
        How the classifier is fitted:

        - "drop": on the rows that are not flagged,
        - "relabel": on all rows, the flagged ones with the suggested label,
        - "reweight": on all rows with the given label, and ``1 - noise_scores_`` as
          sample weight,
        - "soften": on soft labels. The given label has the share ``1 - noise_scores_``,
          the others have the rest, in proportion to the detector's ``label_proba_``, or
          the suggested label has it. Networks, and pipelines that end in one, learn
          these distributions (``soft_targets`` of `NetClassifier`); for others a row is
          repeated for each of its labels, with their shares as sample weights. The
          detector's scores must be probabilities, such as those of `DynaCorDetector`.
    memory : str, object with the joblib.Memory interface, or None, default=None
        Cache of fitted detectors: a folder or a `joblib.Memory`. With it, a grid
        search over ``action`` or over parameters of the classifier fits the detector
        once for each set of rows. The detector's ``random_state`` should be an int:
        with None, the first random result is reused.
    verbose : int, default=0
        1 shows one progress bar for both parts, whatever their own ``verbose``.

    Attributes
    ----------
    detector_ : estimator
        The fitted clone.
    classifier_ : classifier
        The fitted clone.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        Scores of the detector. Larger = more suspicious.
    scores_are_probabilities_ : bool
        Whether they are probabilities of a wrong label, according to the detector.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        True where the detector flags the label.
    noise_rate_ : float
        The detector's estimate of the share of wrong labels.
    suggested_labels_ : ndarray of shape (n_samples,)
        The detector's suggestion for each label.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    NoisyLabelFilter : A detector with a budget or a threshold, also for this class.
    label_report : Look at the flagged rows.
    FlywheelClassifier : A network that corrects labels during training.

    Notes
    -----
    ``predict_proba``, ``predict_log_proba``, ``decision_function`` and ``transform``
    are available if the classifier has them.

    Evaluate on labels that you trust: a right prediction counts as a mistake where the
    test label is wrong.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sknoisy import CleanedClassifier, LossMixtureDetector
    >>> from sknoisy import SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> X, X_test, y, y_test = X[:1200] / 16, X[1200:] / 16, y[:1200], y[1200:]
    >>> _, y_noisy = SymmetricNoiseInjector(0.3, random_state=0).fit_resample(X, y)
    >>> detector = LossMixtureDetector(LogisticRegression(C=0.1), random_state=0)
    >>> nearest = KNeighborsClassifier(1)
    >>> round(nearest.fit(X, y_noisy).score(X_test, y_test), 2)
    0.7
    >>> cleaned = CleanedClassifier(detector, nearest).fit(X, y_noisy)
    >>> round(cleaned.score(X_test, y_test), 2)
    0.95
    """

    # The detector and the classifier ask for them.
    __metadata_request__fit = {"groups": UNUSED}

    # Depends on the detector.
    _mask_is_threshold = False

    _parameter_constraints = {
        "detector": [HasMethods(["fit"])],
        "classifier": [HasMethods(["fit", "predict"])],
        "action": [StrOptions({"drop", "relabel", "reweight", "soften"})],
        "memory": [str, HasMethods(["cache"]), None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        detector: Estimator,
        classifier: Estimator,
        *,
        action: Literal["drop", "relabel", "reweight", "soften"] = "drop",
        memory: Any = None,
        verbose: int = 0,
    ) -> None:
        self.detector = detector
        self.classifier = classifier
        self.action = action
        self.memory = memory
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike,
        y: Labels,
        *,
        groups: ArrayLike | None = None,
        **fit_params: Any,
    ) -> Self:
        """Fit the detector on the given labels, then the classifier on cleaned ones.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Any X that both the detector and the classifier accept.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.
        groups : array-like of shape (n_samples,), default=None
            Groups of rows that belong together, such as a patient. Passed to the
            detector if it predicts held-out rows.
        **fit_params : dict
            With metadata routing enabled, further arguments of the detector's and the
            classifier's ``fit``; for the latter, entries of dropped rows are dropped.

        Returns
        -------
        self : CleanedClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X or y is not as described, if weights are needed and the
            classifier takes none, if probabilities are needed and the detector's scores
            are none, before it is fitted where that is known, or if no row of a class
            is left.
        TypeError
            If ``detector`` does not score labels.
        """
        check_parameters(self)
        argument = self._check_argument()
        if self.action == "soften" and not may_be_probabilities(self.detector):
            self._refuse_order()
        for name in ("n_features_in_", "classifier_"):
            self.__dict__.pop(name, None)
        if y is None:
            raise ValueError(
                "CleanedClassifier requires y to be passed, but the target y is None."
            )
        X = opened(X)
        refuse_odd_rows(X)
        validate_data(self, X, skip_check_array=True)
        self.classes_, codes = encode_labels(y)
        check_consistent_length(X, codes)
        check_classes(self, self.classes_, codes)
        for_detector, for_classifier = self._routed(groups, fit_params)
        total, name = _DETECT + _FIT, type(self).__name__
        with progress(total, name, self.verbose, unit=None) as bar:
            bar.begin(_DETECT, now=f"detecting by {type(self.detector).__name__}")
            self._detect(X, self.classes_[codes], for_detector)
            bar.advance(_DETECT, now=f"fitting {type(self.classifier).__name__}")
            self._fit_classifier(X, codes, argument, for_classifier)
            bar.advance(_FIT)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Predict the class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows to predict, of the kind that ``fit`` was given.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Predicted labels.
        """
        return self._ask_classifier("predict", X)

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the share of rows whose label is predicted.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,)
            Labels of any kind that ``fit`` takes.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        accuracy : float
        """
        return label_accuracy(y, self.predict(X), sample_weight)

    @available_if(_classifier_has("predict_proba"))
    def predict_proba(self, X: ArrayLike) -> Array:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows to predict, of the kind that ``fit`` was given.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return self._ask_classifier("predict_proba", X)

    @available_if(_classifier_has("predict_log_proba"))
    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Predict the log of the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows to predict, of the kind that ``fit`` was given.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return self._ask_classifier("predict_log_proba", X)

    @available_if(_classifier_has("decision_function"))
    def decision_function(self, X: ArrayLike) -> Array:
        """Return the classifier's decision function.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows to predict, of the kind that ``fit`` was given.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Decision values of the classifier.
        """
        return self._ask_classifier("decision_function", X)

    @available_if(_classifier_has("transform"))
    def transform(self, X: ArrayLike) -> Array:
        """Return the classifier's features of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows to predict, of the kind that ``fit`` was given.

        Returns
        -------
        features : array of shape (n_samples, n_features_out)
            Output of the classifier's ``transform``.
        """
        return self._ask_classifier("transform", X)

    @property
    def scores_are_probabilities_(self) -> bool:
        """Whether the detector's scores are probabilities of a wrong label, bool."""
        check_is_fitted(self, "noise_scores_")
        return scores_are_probabilities(self.detector_)

    def get_metadata_routing(self) -> Routing:
        """Return what ``fit`` passes on to the detector and to the classifier.

        Returns
        -------
        routing : MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        router.add(detector=self.detector, method_mapping=mapping)
        return router.add(classifier=self.classifier, method_mapping=mapping)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        detector = tags_of_part(self.detector)
        classifier = tags_of_part(self.classifier)
        inputs = detector.input_tags, classifier.input_tags
        for name in _BOTH_TAKE:
            setattr(tags.input_tags, name, all(getattr(t, name) for t in inputs))
        tags.input_tags.positive_only = any(t.positive_only for t in inputs)
        if classifier.classifier_tags is not None:
            tags.classifier_tags = classifier.classifier_tags
        tags.non_deterministic = (
            detector.non_deterministic or classifier.non_deterministic
        )
        return tags

    def _ask_classifier(self, method, X):
        check_is_fitted(self, "classifier_")
        X = opened(X)
        refuse_odd_rows(X)
        with explained(X, type(self.classifier).__name__):
            return getattr(self.classifier_, method)(X)

    def _may_calibrate(self):
        return may_be_probabilities(self.detector)

    def _check_argument(self):
        """Return which argument of the classifier's fit is set; None if none is."""
        if self.action not in _WEIGHING:
            return None
        if self.action == "soften":
            name = soft_targets_name(self.classifier)
            if name is not None:
                return name
        name = weight_name(self.classifier)
        if name is None:
            raise ValueError(
                f"action={self.action!r} needs sample weights, but "
                f"{type(self.classifier).__name__} takes none in fit. Use "
                "action='drop' or 'relabel', or another classifier."
            )
        return name

    def _routed(self, groups, fit_params):
        """Return what ``fit`` of the detector and of the classifier is given."""
        if routes_metadata():
            given = {} if groups is None else {"groups": groups}
            routed = process_routing(self, "fit", **given, **fit_params)
            return routed.detector.fit, routed.classifier.fit
        refuse_params_unless_routed(fit_params, self, "fit")
        return group_params(self.detector, groups), {}

    def _detect(self, X, y, fit_params):
        fit_detector = check_memory(self.memory).cache(_fit_detector)
        # An interrupted detector must be neither cached nor used.
        with interruptions("raise"):
            self.detector_ = fit_detector(clone(self.detector), X, y, fit_params)
        scorer = scorer_of(self.detector_, len(y))
        self.noise_scores_ = np.array(scorer.noise_scores_, dtype=np.float64)
        self.noise_mask_ = np.array(scorer.noise_mask_, dtype=bool)
        self.noise_rate_ = float(scorer.noise_rate_)
        self.suggested_labels_ = np.array(scorer.suggested_labels_)
        self._unjudged = unjudged_rows(scorer)

    def _fit_classifier(self, X, codes, argument, fit_params):
        if argument in fit_params:
            raise ValueError(
                f"action={self.action!r} sets the classifier's {argument}; leave "
                f"{argument} out, or use another action."
            )
        kept, codes, left, values = self._cleaned(codes, argument)
        if kept is not None:
            fit_params = params_of_rows(fit_params, X, kept)
            X = safe_indexing(_indexable(X), kept)
        if argument is not None:
            fit_params = {**fit_params, argument: values}
        self._refuse_lost_classes(left)
        self.classifier_ = clone(self.classifier)
        # The argument has the name of the step that takes it.
        routes = routes_metadata() and argument is None
        with config_context(enable_metadata_routing=routes):
            self.classifier_.fit(X, self.classes_[codes], **fit_params)

    def _cleaned(self, codes, argument):
        """Return rows or None for all, their labels, labels left, and the argument."""
        if self.action == "relabel":
            _, codes = encode_labels(self.suggested_labels_, self.classes_)
            return None, codes, codes, None
        if self.action == "drop":
            kept = np.flatnonzero(~self.noise_mask_)
            return kept, codes[kept], codes[kept], None
        if self.action == "reweight":
            weights = 1 - self.noise_scores_
            return None, codes, codes[weights > 0], weights
        targets = self._soft_labels(codes)
        if argument == soft_targets_name(self.classifier):
            return None, codes, np.flatnonzero(targets.any(0)), targets
        kept, codes, weights = weighted_copies(targets)
        return kept, codes, codes, weights

    def _refuse_order(self):
        raise ValueError(
            "action='soften' needs probabilities of a wrong label, but the scores "
            f"of {type(self.detector).__name__} are an order. Use "
            "DynaCorDetector, or action='reweight'."
        )

    def _soft_labels(self, codes):
        """Return the probabilities of the labels of each row."""
        if not self.scores_are_probabilities_:
            self._refuse_order()
        scorer = scorer_of(self.detector_, len(codes))
        _, suggested = encode_labels(self.suggested_labels_, self.classes_)
        proba = getattr(scorer, "label_proba_", None)
        targets = soft_labels(
            codes, self.noise_scores_, suggested, proba, len(self.classes_)
        )
        # Nothing is known of a label that occurs once.
        targets[self._unjudged] = np.eye(len(self.classes_))[codes[self._unjudged]]
        return targets

    def _refuse_lost_classes(self, codes):
        lost = np.setdiff1d(np.arange(len(self.classes_)), codes)
        if len(lost):
            raise ValueError(
                f"no row of class {self.classes_[lost].tolist()} is left after "
                f"action={self.action!r}, so the classifier would never see it. Use a "
                "detector that flags fewer rows, such as NoisyLabelFilter(detector, "
                "threshold=...), or merge the class."
            )


def _fit_detector(detector, X, y, fit_params):
    """Fit the detector; cached by joblib."""
    return detector.fit(X, y, **fit_params)


def _indexable(X):
    """Return X in a form whose rows can be indexed."""
    if issparse(X):
        return X.tocsr()
    return X if hasattr(X, "__getitem__") else np.asarray(X)
