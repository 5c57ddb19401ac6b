"""Let robust classifiers compete on held-out labels, and combine the good ones."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.base import ClassifierMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sknoisy._codes import label_accuracy
from sknoisy._confident_joint import (
    confident_joint,
    transition_from_joint,
    true_class_proba,
)
from sknoisy._parameters import N_JOBS
from sknoisy._planting._competing_rows import check_data, check_more, competing_rows
from sknoisy._planting._decision import flagged
from sknoisy._planting._fits import (
    as_one_of_several,
    check_candidates,
    in_a_line,
)
from sknoisy._planting._held_out import HeldOutCompetition, class_proba, deal_folds
from sknoisy._progress import progress
from sknoisy._rows import explained
from sknoisy._validation import NamedParts, safe_indexing
from sknoisy._verdicts import tags_of_part
from sknoisy.base import TrainingInterrupted
from sknoisy.classification._contenders import default_contenders, distilled_net
from sknoisy.extending import (
    Interval,
    NoiseScoresMixin,
    StrOptions,
    check_parameters,
    random_generator,
    set_random_states,
)

if TYPE_CHECKING:
    from sknoisy._types import ArrayLike, FloatArray
    from sknoisy.extending import Array, Labels, RandomState, Rows

__all__ = ["AutoRobustClassifier"]

_N_FOLDS = {"fast": 3, "thorough": 5}
# Where the good candidates are fitted on more rows than compete.
_N_FOLDS_OF_SUBSET = {"fast": 2, "thorough": 3}
# Rows that compete, at least and at most, and their share between. More rank candidates
# better that are nearly alike, and judge labels better; they take as much longer.
_COMPETING = {"fast": (2_000, 4_000), "thorough": (10_000, 10_000)}
_SHARE = 0.4
# Steps from the probabilities of given labels towards those of the true classes. One
# more changes little; with two classes each made it worse.
_N_STEPS = 2
# Name of the network that predicts alone.
_DISTILLED = "distilled network"
# Kinds of X that are accepted if a candidate accepts them; the others are left out.
_ONE_TAKES = ("one_d_array", "sparse", "categorical", "string", "dict", "allow_nan")


class AutoRobustClassifier(NoiseScoresMixin, ClassifierMixin, NamedParts):
    """The robust classifier to take if you do not know which: the best ones together.

    Candidates predict given labels that were held out, and the good ones, fitted on all
    rows, predict together: means of their probabilities with weights that follow from
    these predictions. No true label is needed. What they predict for held-out rows also
    tells which of the given labels are wrong.

    Parameters
    ----------
    candidates : list of (str, classifier) pairs, default=None
        Classifiers with ``predict_proba``, by name; the same one with other settings is
        another candidate. They are cloned, and their parameters can be set as
        ``name__parameter``. None takes those that suit X: regressions, forests,
        regularised networks and robust ones for tables, embeddings and frames,
        regressions alone for sparse X, networks alone for images.
    strategy : {"combine", "select"}, default="combine"
        "select" takes the candidate alone that predicts most held-out labels.
    budget : {"fast", "thorough"} or int >= 3, default="fast"
        "thorough" takes more candidates, rows and folds. A number is how many fits
        there may be: as many of the candidates compete as it allows, the faster first,
        or the first of ``candidates``. None of this depends on a clock.
    n_folds : int >= 2 or "auto", default="auto"
        Each candidate is fitted as often, without one fold of the rows. "auto" takes 3
        folds, or 2 where a subset competes; with ``budget="thorough"`` 5, or 3.
    max_rows : int >= 100, "auto" or None, default="auto"
        Larger data compete on a random subset of as many rows, with the classes in
        proportion. "auto" takes 2,000, of more than 5,000 rows two fifths up to 4,000,
        with ``budget="thorough"`` 10,000; None takes all rows. The rows beside it are
        judged by models of the subset: more rows find more of the wrong labels.
    max_seconds : float > 0, default=None
        When it is over, no further candidate is fitted, and a warning tells what was
        left out. None takes the time that it needs. The result depends on the clock.
    distill : bool, default=False
        Whether a single network, trained on the combined probabilities, predicts: one
        model is smaller and faster than several. It is up to 0.02 less accurate on
        embeddings, and far less where forests are much better than networks. Not for
        sparse X.
    n_jobs : int or None, default=None
        Candidates that are fitted at a time, each in a process of its own.
    verbose : int, default=0
        1 shows a progress bar with the time left; 2 also a row for each fit.
    random_state : int, RandomState instance or None, default=None
        The folds, the subset, and the candidates where they have no ``random_state``
        yet.

    Attributes
    ----------
    candidates_ : dict of str to ndarray of shape (n_candidates,)
        The table of candidates, ready for ``pandas.DataFrame``: "name"; "accuracy" on
        held-out given labels, and "accuracy_std", its standard error; "weight";
        "seconds" of a fit, mean over the folds; "error", why it was left out, or "".
    best_name_ : str
        The candidate with the best accuracy on held-out given labels.
    estimators_ : list of (str, classifier) pairs
        What predicts: the candidates with a weight, fitted on all rows; or the
        distilled network alone.
    weights_ : ndarray of shape (n_estimators,), dtype float64
        Their weights.
    transition_matrix_ : ndarray of shape (n_classes, n_classes), dtype float64
        Estimate of how often each true class, a row, is given each label; rows sum to
        1. With more than two classes the combined probabilities are moved towards
        those of the true class by it.
    label_proba_ : ndarray of shape (n_samples, n_classes), dtype float64
        Probabilities of the classes for each row given to ``fit``, by models that did
        not see its label.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        Larger = more suspicious: the probability that the label is wrong, if labels
        turn into others by ``transition_matrix_``.
    scores_are_probabilities_ : bool
        False, as that holds for labels that are wrong at random only.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        The labels with the largest scores: halfway between as many as are estimated to
        be wrong, and as many as are not the most probable ones.
    noise_rate_ : float
        Mean of the scores.
    suggested_labels_ : ndarray of shape (n_samples,)
        Where the given label is flagged, the most probable other label.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    AutoNoiseDetector : Find the wrong labels by a competition of detectors.
    CoTeachingClassifier : The best single one on the mean over many data sets.
    SSRClassifier : The best single one on more of them than any other.

    Notes
    -----
    Half of a weight goes by the accuracy on held-out given labels, half by the mutual
    information of predicted and given labels (for two classes the whole by the
    accuracy): it falls by the factor e for each standard error behind the best. The
    accuracy ranks classifiers truly under noise that is the same for all wrong labels;
    where a class turns into a certain other one, mutual information does so rather, as
    in [1]_. On small sets of several kinds, weights by likelihood of given labels, with
    or without a transition matrix, and fitting again without suspicious labels gave a
    lower mean accuracy on clean rows. Combination by weights is that of stacking [2]_
    in a simple form.

    The transition matrix is estimated by the confident joint of held-out predictions.
    It corrects the combined prediction by two steps of expectation-maximisation, which
    matter where classes turn into certain others.

    References
    ----------
    .. [1] Y. Xu, P. Cao, Y. Kong and Y. Wang, "L_DMI: A Novel Information-theoretic
       Loss Function for Training Deep Nets Robust to Label Noise", NeurIPS 2019.
    .. [2] L. Breiman, "Stacked regressions", Machine Learning 24, 1996.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknoisy import AutoRobustClassifier, SymmetricNoiseInjector
    >>> X, y = load_iris(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.3, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X, y)
    >>> clf = AutoRobustClassifier(random_state=0).fit(X, y_noisy)
    >>> bool(clf.score(X, y) > 0.9)
    True
    >>> bool((clf.predict_noisy() == injector.noise_mask_).mean() > 0.9)
    True
    """

    _named_parts = "candidates"
    # Flags follow from numbers of labels.
    _mask_is_threshold = False

    _instead_on_disk = "take RobustLossClassifier, which reads batches"
    _parameter_constraints = {
        "candidates": [list, tuple, None],
        "strategy": [StrOptions({"combine", "select"})],
        "budget": [
            StrOptions({"fast", "thorough"}),
            Interval(Integral, 3, None, closed="left"),
        ],
        "n_folds": [Interval(Integral, 2, None, closed="left"), StrOptions({"auto"})],
        "max_rows": [
            Interval(Integral, 100, None, closed="left"),
            StrOptions({"auto"}),
            None,
        ],
        "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
        "distill": ["boolean"],
        "n_jobs": N_JOBS,
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        candidates: list[tuple[str, Any]] | None = None,
        *,
        strategy: Literal["combine", "select"] = "combine",
        budget: Literal["fast", "thorough"] | int = "fast",
        n_folds: Literal["auto"] | int = "auto",
        max_rows: Literal["auto"] | int | None = "auto",
        max_seconds: float | None = None,
        distill: bool = False,
        n_jobs: int | None = None,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.candidates = candidates
        self.strategy = strategy
        self.budget = budget
        self.n_folds = n_folds
        self.max_rows = max_rows
        self.max_seconds = max_seconds
        self.distill = distill
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Rows, y: Labels) -> Self:
        """Let the candidates compete, fit the good ones, and judge every given label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            A table, images, a sparse matrix or a frame. With ``candidates``, what these
            accept; the others are left out.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.

        Returns
        -------
        self : AutoRobustClassifier
            The fitted estimator.

        Raises
        ------
        RuntimeError
            If it is interrupted before the first fold is complete, or while the good
            candidates are fitted.
        ValueError
            If a parameter, X or y is not as described, or no label occurs twice. If all
            candidates fail, the error of the first.
        """
        check_parameters(self)
        is_own = self.candidates is not None
        if is_own:
            methods = "fit", "predict_proba"
            check_candidates(self, self.candidates, "candidate", methods)
        X, self.classes_, codes = check_data(self, X, y, is_own)
        if self.distill and issparse(X):
            raise ValueError(
                "distill=True needs dense X, and X is sparse. Leave it out, or put "
                "sklearn.decomposition.TruncatedSVD before this estimator."
            )
        rng = random_generator(self.random_state)
        rows = competing_rows(codes, self._count_competing(len(codes)), rng)
        candidates, n_folds = self._afford(X, is_subset=len(rows) < len(codes))
        folds = deal_folds(codes[rows], n_folds, rng)
        if folds.max() < 0:
            raise ValueError(
                "no label of y occurs twice, so none can be held out; "
                f"{type(self).__name__} needs at least one that does."
            )
        n_folds = int(folds.max()) + 1
        seed = int(rng.integers(2**31))
        n_fits = len(candidates) * (n_folds + 1) + self.distill
        with progress(n_fits, type(self).__name__, self.verbose, unit="fit") as bar:
            competition = HeldOutCompetition(
                candidates,
                self.classes_,
                self.n_jobs,
                bar,
                shares_steps=not is_own,
                max_seconds=self.max_seconds,
            )
            subset = X if len(rows) == len(codes) else safe_indexing(X, rows)
            with explained(X, f"each candidate of {type(self).__name__}"):
                competition.play(subset, codes[rows], folds, seed)
            self._tabulate(competition)
            self._fit_good_ones(competition, X, codes, seed)
            self.label_proba_ = self._held_out(competition, X, rows)
            joint = confident_joint(codes, self.label_proba_)
            self.transition_matrix_ = transition_from_joint(joint)
            self._judge(codes)
            if self.distill:
                self._distil(X, codes, seed, bar)
        competition.warn_of_failures(
            is_own, "candidates", competition.n_folds_done, n_folds
        )
        return self

    def predict_proba(self, X: Rows) -> FloatArray:
        """Return the combined probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of the kind that ``fit`` was given.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes), dtype float64
            Columns in the order of ``classes_``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self, "estimators_")
        X = check_more(self, X, self.candidates is not None)
        with explained(X, type(self).__name__):
            return self._combined(X)

    def predict(self, X: Rows) -> Array:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of the kind that ``fit`` was given.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Values of the labels given to ``fit``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(1)]

    def score(
        self, X: Rows, y: Labels, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the accuracy.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,)
            Labels, read as in ``fit``.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        accuracy : float
        """
        return label_accuracy(y, self.predict(X), sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = not self.distill
        if isinstance(self.candidates, list | tuple):
            # Anything else is refused by fit.
            inputs = [
                tags_of_part(pair[1]).input_tags
                for pair in self.candidates
                if isinstance(pair, tuple) and len(pair) == 2
            ]
            for name in _ONE_TAKES:
                setattr(tags.input_tags, name, any(getattr(t, name) for t in inputs))
        return tags

    def _count_competing(self, n_samples):
        if self.max_rows != "auto":
            return self.max_rows
        least, most = self._size(_COMPETING, "auto")
        return int(np.clip(_SHARE * n_samples, least, most))

    def _size(self, sizes, given):
        return sizes.get(self.budget, sizes["fast"]) if given == "auto" else given

    def _afford(self, X, is_subset):
        """Return as many candidates and folds as a number of fits allows."""
        thorough = self.budget == "thorough"
        candidates = self.candidates
        if candidates is None:
            candidates = default_contenders(X, thorough=thorough)
        sizes = _N_FOLDS_OF_SUBSET if is_subset else _N_FOLDS
        n_folds = self._size(sizes, self.n_folds)
        if not isinstance(self.budget, str):
            n_folds = min(n_folds, self.budget - 1)
            candidates = candidates[: max(1, self.budget // (n_folds + 1))]
        return list(candidates), n_folds

    def _tabulate(self, competition):
        """Set the attributes that describe the candidates."""
        right = competition.accuracies()
        n_rows = np.isfinite(right).sum(1)
        has_some = n_rows > 0
        accuracy = np.full(len(right), np.nan)
        accuracy[has_some] = np.nanmean(right[has_some], axis=1)
        error = np.sqrt(accuracy * (1 - accuracy) / np.maximum(n_rows, 1))
        self.candidates_ = {
            "name": np.array(competition.names),
            "accuracy": accuracy,
            "accuracy_std": error,
            "weight": competition.weigh(self.strategy),
            "seconds": np.array([np.mean(s or [np.nan]) for s in competition.seconds]),
            "error": np.array([in_a_line(error) for error in competition.errors]),
        }
        active = competition.active
        best = active[int(np.argmax(accuracy[active]))]
        self.best_name_ = competition.names[best]

    def _fit_good_ones(self, competition, X, codes, seed):
        """Fit the candidates with a weight on all rows."""
        weights = self.candidates_["weight"]
        # The most important first, if there is no time for all.
        among = np.argsort(-weights, kind="stable")[: np.count_nonzero(weights)]
        competition.bar.total += len(among) - len(weights)
        fitted = {}
        labels = self.classes_[codes]
        for i, found in competition.fit(among.tolist(), X, seed, _fit_whole, labels):
            fitted[i] = competition.whole(i, found)
            competition.bar.advance()
        weights[[i for i in among if i not in fitted]] = 0
        weights /= weights.sum()
        self.candidates_["error"] = np.array(
            [in_a_line(error) for error in competition.errors]
        )
        self.estimators_ = [(competition.names[i], fitted[i]) for i in sorted(fitted)]
        self.weights_ = weights[sorted(fitted)]

    def _combined(self, X):
        pairs = zip(self.weights_, self.estimators_, strict=True)
        proba = sum(w * class_proba(e, X, self.classes_) for w, (_, e) in pairs)
        # What is distilled is corrected already.
        is_corrected = self.estimators_[0][0] == _DISTILLED
        if is_corrected or len(self.classes_) == 2:
            return proba
        return true_class_proba(proba, self.transition_matrix_, _N_STEPS)

    def _held_out(self, competition, X, rows):
        """Return probabilities of all rows by models that did not see their labels."""
        weights = self.candidates_["weight"]
        among = np.flatnonzero(weights)
        proba = np.full((_length(X), len(self.classes_)), np.nan)
        proba[rows] = np.tensordot(weights[among], competition.proba[among], 1)
        # Rows that did not compete, and those that were never held out.
        others = np.flatnonzero(np.isnan(proba[:, 0]))
        if len(others):
            X = safe_indexing(X, others)
            total = 0.0
            for i in among:
                models = competition.fold_models[i]
                for model in models:
                    share = weights[i] / len(models)
                    total = total + share * class_proba(model, X, self.classes_)
            proba[others] = total
        return proba

    def _judge(self, codes):
        """Score the given labels by the probabilities of rows that were held out."""
        proba, index = self.label_proba_, np.arange(len(codes))
        is_lone = np.bincount(codes)[codes] == 1
        # How probable each class is once the given label is known, too.
        evidence = proba * self.transition_matrix_[:, codes].T
        total = evidence.sum(1)
        known = total > 0
        evidence[known] /= total[known, None]
        evidence[~known] = proba[~known]
        scores = np.clip(1 - evidence[index, codes], 0, 1)
        contradicted = (proba.argmax(1) != codes) & ~is_lone
        scores[is_lone] = 0.5
        n_flagged = (scores[~is_lone].sum() + contradicted.sum()) / 2
        order = np.where(is_lone, -1.0, scores)
        self.record_scores(scores, evidence, codes, flagged(order, round(n_flagged)))
        if not is_lone.all():
            self.noise_rate_ = float(scores[~is_lone].mean())
        self._unjudged = np.flatnonzero(is_lone)

    def _distil(self, X, codes, seed, bar):
        """Train one network on the combined probabilities, to predict alone."""
        bar.begin(now=_DISTILLED)
        targets = self._combined(X)
        model = clone(distilled_net(X))
        set_random_states(model, seed)
        step = f"{model.steps[-1][0]}__" if isinstance(model, Pipeline) else ""
        # The targets are given by the name of the step that takes them.
        with as_one_of_several(), config_context(enable_metadata_routing=False):
            model.fit(X, self.classes_[codes], **{f"{step}soft_targets": targets})
        self.estimators_, self.weights_ = [(_DISTILLED, model)], np.ones(1)
        bar.advance()


def _length(X):
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _fit_whole(classifier, X, seed, labels):
    """Return a candidate fitted on all rows, or the error that it raised."""
    classifier = clone(classifier)
    set_random_states(classifier, seed)
    try:
        with as_one_of_several():
            return classifier.fit(X, labels)
    except TrainingInterrupted:
        raise
    except Exception as error:
        return error
