"""Confident learning, with any classifier or with given probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy._codes import check_classes, encode_labels
from sknoisy._confident_joint import transition_from_joint
from sknoisy._image_rows import refuse_images
from sknoisy._parameters import N_JOBS, check_parameters
from sknoisy._progress import progress
from sknoisy._random_states import random_generator
from sknoisy._rows import refuse_odd_rows
from sknoisy._rows_elsewhere import opened
from sknoisy._unjudged import Along
from sknoisy._validation import (
    HasMethods,
    StrOptions,
    check_consistent_length,
    check_numbers,
    validate_data,
)
from sknoisy._verdicts import tags_of_part
from sknoisy.base import NoiseDetectorMixin
from sknoisy.detection._confident._label_issues import check_pred_probs
from sknoisy.detection._confident._pruning import FILTERS, LabelIssues
from sknoisy.detection._confident._quality import QUALITIES, label_quality
from sknoisy.detection._order import keep_order
from sknoisy.detection._predictions._folds import FoldsMixin, folds_of
from sknoisy.detection._predictions._out_of_bag import predict_out_of_bag
from sknoisy.detection._predictions._out_of_fold import predict_out_of_fold

if TYPE_CHECKING:
    from sknoisy._types import ArrayLike, Estimator, FloatArray, Labels, RandomState

__all__ = ["ConfidentLearningDetector"]

# On noisy labels a strongly regularised model may predict far better.
_REGULARISATIONS = (1.0, 0.1, 0.01, 0.001)


class ConfidentLearningDetector(FoldsMixin, NoiseDetectorMixin, BaseEstimator):
    """Wrong-label detector by confident learning, with any classifier.

    The classifier predicts rows that it was not fitted on. Rows that are confidently
    predicted to be of another class than their label are counted for each pair of
    classes, and that many are flagged [1]_. No torch is needed.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``, default=None
        It is cloned, and fitted once for each fold. It may be a pipeline or a search,
        and X is anything that it accepts: texts, sparse matrices, frames. None takes a
        `StandardScaler` and a `LogisticRegression`, for numbers, dense or sparse, with
        the ``C`` out of 1, 0.1, 0.01 and 0.001 that predicts the given labels of the
        left-out rows best. Rows that do not fit in memory are learnt by networks, and
        block by block by classifiers with ``partial_fit``.
    filter_by : str, default="prune_by_noise_rate"
        Which labels are flagged: "prune_by_noise_rate", "prune_by_class", "both",
        "confident_learning", "predicted_neq_given", "low_normalized_margin" or
        "low_self_confidence", as `find_label_issues` describes them.
    quality : {"self_confidence", "normalized_margin", \
            "confidence_weighted_entropy"}, default="self_confidence"
        What labels are ranked by, see ``label_quality_``.
    cv : int >= 2, splitter, iterable of splits, None or "oob", default=5
        How the rows are split into those that are learnt and those that are predicted.
        An int is a number of stratified and shuffled folds, at most as many as the
        smallest class has rows (or groups); None takes 5. Any other splitter must
        predict every row; repeated predictions are averaged. More folds
        leave more rows to learn from, and take longer. "oob" fits the classifier once,
        for bagged ones with ``oob_score=True``, such as forests: a row is predicted by
        the trees whose sample left it out.
    n_jobs : int or None, default=None
        Folds at a time.
    verbose : int, default=0
        1 shows a bar that counts the folds.
    random_state : int, RandomState instance or None, default=None
        The folds, and the classifier where it has no ``random_state`` yet.

    Attributes
    ----------
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        ``1 - label_quality_``, but for last digits that keep qualities near 0 apart:
        in the order of the quality. Larger = more suspicious; no probability.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        What ``filter_by`` flags. It counts labels class by class, so that a flagged
        label may have a smaller score than one that is not flagged.
    noise_rate_ : float
        Share of the joint that is off its diagonal. It need not be the share of flagged
        rows.
    label_quality_ : ndarray of shape (n_samples,), dtype float
        Of the given label, in [0, 1], larger = better. "self_confidence": its
        probability. "normalized_margin": its distance to that of the most probable
        other label, moved to [0, 1]. "confidence_weighted_entropy": falls with the
        entropy of the row over the probability of its label.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag. None if
        ``pred_probs`` are given, which speak for or against such a label, too.
    confident_joint_ : ndarray of shape (n_classes, n_classes), dtype int64
        Estimated numbers of rows; rows = given label, columns = true one. Each row adds
        up to the number of rows with that label.
    transition_matrix_ : ndarray of shape (n_classes, n_classes), dtype float64
        Rows = true class, columns = given label; rows add up to 1. By the joint.
    thresholds_ : ndarray of shape (n_classes,)
        Probabilities from which on a row confidently belongs to a class: the mean among
        the rows that carry its label.
    pred_probs_ : ndarray of shape (n_samples, n_classes)
        The probabilities that all of this rests on.
    label_proba_ : ndarray of shape (n_samples, n_classes)
        The same, by the name that other detectors use.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    find_label_issues : The mask alone, from integer labels and probabilities.
    LossMixtureDetector : Scores of any classifier that are probabilities.
    DynaCorDetector : Finds more of the wrong labels, in more time.

    Notes
    -----
    Of [1]_, this has the counts of cleanlab 2.9: whole numbers, and a row that is
    confident of several classes counts for the most probable class of all.

    The counts take the mean probability of a class for what is confident. That makes up
    for a classifier that is unsure of one class and sure of another, not for one that
    has memorised wrong labels: regularise it. Systematic mistakes are
    learnt, too.

    References
    ----------
    .. [1] C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating
       Uncertainty in Dataset Labels", JAIR 70, 2021. arXiv:1911.00068

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import ConfidentLearningDetector, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.2, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X, y)
    >>> detector = ConfidentLearningDetector(random_state=0)
    >>> mask = detector.fit_predict_noisy(X, y_noisy)
    >>> bool((mask == injector.noise_mask_).mean() > 0.9)
    True

    With probabilities of your own, X is not needed:

    >>> probabilities = detector.pred_probs_
    >>> detector = ConfidentLearningDetector(filter_by="both")
    >>> mask = detector.fit_predict_noisy(None, y_noisy, pred_probs=probabilities)
    """

    # Nobody else takes them.
    __metadata_request__fit = {"pred_probs": True}

    # filter_by decides.
    _mask_is_threshold = False

    _instead_on_disk = (
        "pass an estimator that reads batches: NetClassifier(), or "
        'make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss"))'
    )
    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "filter_by": [StrOptions(set(FILTERS))],
        "quality": [StrOptions(set(QUALITIES))],
        "cv": ["cv_object", StrOptions({"oob"})],
        "n_jobs": N_JOBS,
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    _fitted_axes = {
        "label_quality_": Along(("rows",)),
        "confident_joint_": Along(("classes", "classes")),
        "transition_matrix_": Along(("classes", "classes")),
        "thresholds_": Along(("classes",), fill=np.nan),
        "pred_probs_": Along(("rows", "classes")),
    }

    def __init__(
        self,
        estimator: Estimator = None,
        *,
        filter_by: str = "prune_by_noise_rate",
        quality: Literal[
            "self_confidence", "normalized_margin", "confidence_weighted_entropy"
        ] = "self_confidence",
        cv: Any = 5,
        n_jobs: int | None = None,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.filter_by = filter_by
        self.quality = quality
        self.cv = cv
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: Labels,
        *,
        pred_probs: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        **fit_params: Any,
    ) -> Self:
        """Predict every row without having learnt it, and score the labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or None
            Whatever the classifier takes. None if ``pred_probs`` is given; else X is
            only counted then.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.
        pred_probs : array-like of shape (n_samples, n_classes), default=None
            Probabilities from a classifier of your own that was not fitted on the row
            which it predicts. Columns in the order of the sorted labels. They are kept
            as they are, not copied.
        groups : array-like of shape (n_samples,), default=None
            Groups of rows that belong together, such as a patient: no row is predicted
            by a classifier fitted on rows of its group. With an int as ``cv``, a class
            whose rows all belong to one group is not scored.
        **fit_params : dict
            With metadata routing enabled, further arguments of the splitter and of the
            estimator's ``fit``.

        Returns
        -------
        self : ConfidentLearningDetector
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X, y or ``pred_probs`` is not as described, or if fewer
            than two labels occur more than once and the classifier has to be fitted.
        """
        check_parameters(self)
        if pred_probs is not None and (fit_params or groups is not None):
            names = ["groups"] * (groups is not None) + list(fit_params)
            raise ValueError(
                f"{', '.join(names)} would have no effect beside pred_probs: no "
                "classifier is fitted."
            )
        if y is None:
            raise ValueError(
                "ConfidentLearningDetector requires y to be passed, but the target y "
                "is None."
            )
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        if X is not None:
            X = self._check_rows(X, pred_probs)
        elif pred_probs is None:
            raise ValueError("pass X, pred_probs or both; got None for both.")
        self.classes_, codes = encode_labels(y)
        if X is not None:
            check_consistent_length(X, codes)
        if pred_probs is None:
            check_classes(self, self.classes_, codes, min_per_class=2)
            if groups is not None and not self._splits_rows():
                raise ValueError(
                    "cv='oob' leaves out single rows, not groups; give cv a number of "
                    "folds."
                )
            routed = self._routed(groups, fit_params)
            name = type(self).__name__
            with progress(1, name, self.verbose, unit="fold") as bar:
                pred_probs = self._predict_out_of_fold(X, codes, bar, routed)
        else:
            check_classes(self, self.classes_, codes)
        self.pred_probs_ = check_pred_probs(pred_probs)
        self._check_fit(codes)
        self._find(codes)
        return self

    @property
    def label_proba_(self) -> FloatArray:
        """``pred_probs_``, ndarray of shape (n_samples, n_classes)."""
        return self.pred_probs_

    # A torch Dataset, which the base takes for other detectors, is refused here.
    def fit_resample(  # type: ignore[override]
        self, X: ArrayLike, y: Labels, **fit_params: Any
    ) -> tuple[Any, Any]:
        """Fit, then return the rows whose label is not flagged.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Not None.
        y : array-like of shape (n_samples,)
        **fit_params : dict
            Passed to ``fit``.

        Returns
        -------
        X_kept, y_kept : same types as X and y
            The kept rows in their order; ``sample_indices_`` are their row numbers.

        Raises
        ------
        ValueError
            As ``fit``; if X is None; or if every row of a class is flagged.
        """
        if X is None:
            raise ValueError(
                "fit_resample returns rows of X, which is None. Use fit(None, y, "
                "pred_probs=...) and sample_indices_, the numbers of the rows to keep."
            )
        return super().fit_resample(X, y, **fit_params)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if self.estimator is not None:
            tags.input_tags = tags_of_part(self.estimator).input_tags
        return tags

    def _check_rows(self, X, pred_probs):
        """Check what the default classifier learns; others check for themselves."""
        if self.estimator is not None or pred_probs is not None:
            X = opened(X)
            refuse_odd_rows(X)
            validate_data(self, X, skip_check_array=True)
            return X
        refuse_images(self, X)
        # The last digits of sums depend on the type and on the order in memory.
        return check_numbers(self, X, accept_sparse="csr", dtype=np.float64, order="C")

    def _predict_out_of_fold(self, X, codes, bar, routed):
        """Let the classifier predict each fold after fitting it on the others."""
        seed = int(random_generator(self.random_state).integers(2**31))
        if isinstance(self.cv, str):
            return self._predict_out_of_bag(X, codes, seed, bar, routed)
        splits = folds_of(self, X, codes, seed, routed.splitter.split)
        given = {"n_jobs": self.n_jobs, "seed": seed, "bar": bar}
        given["fit_params"] = routed.estimator.fit
        bar.total = len(splits)
        if self.estimator is not None:
            estimator = clone(self.estimator)
            return predict_out_of_fold(estimator, X, codes, splits, **given)
        bar.total *= len(_REGULARISATIONS)
        # Sparse columns would be sparse no more if their mean were taken off.
        scaler = StandardScaler(with_mean=not issparse(X))
        scaler.set_output(transform="default")
        best, least = None, np.inf
        for C in _REGULARISATIONS:
            model = make_pipeline(scaler, LogisticRegression(C=C, max_iter=1000))
            proba = predict_out_of_fold(model, X, codes, splits, **given)
            loss = log_loss(codes, proba, labels=np.arange(len(self.classes_)))
            if loss < least:
                best, least = proba, loss
        return best

    def _splits_rows(self):
        # "oob" is the only string.
        return not isinstance(self.cv, str)

    def _predict_out_of_bag(self, X, codes, seed, bar, routed):
        """Let each tree of a forest, or the like, predict what it was not fitted on."""
        if self.estimator is None:
            raise ValueError(
                "cv='oob' needs an estimator with out-of-bag probabilities, such as "
                "RandomForestClassifier(oob_score=True)."
            )
        fit_params = routed.estimator.fit
        proba = predict_out_of_bag(
            self.estimator, X, codes, fit_params=fit_params, seed=seed
        )
        bar.advance()
        return proba

    def _check_fit(self, codes):
        """Refuse probabilities of other rows or of other classes."""
        n_samples, n_classes = self.pred_probs_.shape
        if n_samples != len(codes):
            raise ValueError(
                f"pred_probs must have one row for each label, {len(codes)}; got "
                f"{n_samples}."
            )
        if n_classes != len(self.classes_):
            raise ValueError(
                f"pred_probs must have one column for each of the {len(self.classes_)} "
                f"labels that occur in y; got {n_classes}. For classes without rows, "
                "use find_label_issues with integer labels."
            )

    def _find(self, codes):
        issues = LabelIssues(codes, self.pred_probs_)
        self.thresholds_ = issues.thresholds
        self.confident_joint_ = issues.joint
        self.transition_matrix_ = transition_from_joint(issues.joint)
        quality = label_quality(codes, self.pred_probs_, self.quality)
        self.label_quality_ = np.clip(quality, 0, 1)
        # Qualities near 0 would all round to a score of 1.
        scores = keep_order(1 - self.label_quality_.astype(np.float64), -quality)
        mask = issues.flag(self.filter_by)
        self.record_scores(scores, self.pred_probs_, codes, mask)
        self.noise_rate_ = float(1 - np.trace(issues.joint) / len(codes))
