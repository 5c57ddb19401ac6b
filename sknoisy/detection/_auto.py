"""Compare detectors on planted labels, and combine the good ones."""

from __future__ import annotations

from numbers import Integral, Real
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted

from sknoisy._parameters import N_JOBS, check_parameters
from sknoisy._planting._combination import normal_scores
from sknoisy._planting._competition import Competition
from sknoisy._planting._corruption import rank_in_class
from sknoisy._progress import progress
from sknoisy._random_states import random_generator
from sknoisy._validation import (
    HasMethods,
    Interval,
    NamedParts,
    StrOptions,
    check_consistent_length,
    check_numbers,
    check_rows_and_labels,
    safe_indexing,
)
from sknoisy._verdicts import scores_are_probabilities, tags_of_part
from sknoisy._warning import warn_user
from sknoisy.base import NoiseDetectorMixin
from sknoisy.detection._competitors import default_detectors
from sknoisy.detection._predictions._out_of_fold import check_any_rows_and_labels

if TYPE_CHECKING:
    from sknoisy._types import ArrayLike, Labels, RandomState, Rows

__all__ = ["AutoNoiseDetector"]

# A subset keeps at least so many rows of each class, if there are as many.
_MIN_PER_CLASS = 4
# Number of labels to plant on small data, and bounds on the number of rounds.
_PLANTED, _ROUNDS = 400, (2, 6)
# Kinds of X that are accepted if a candidate accepts them; the others are left out.
_ONE_TAKES = ("one_d_array", "sparse", "categorical", "string", "dict", "allow_nan")
# Weight of the class frequencies, smaller than that of any vote.
_LITTLE = 1e-6
# Number of characters of an error message shown in the table.
_LINE = 160


class AutoNoiseDetector(NoiseDetectorMixin, NamedParts):
    """Wrong-label detector that compares other detectors and combines the good ones.

    Labels that are almost certainly wrong are planted among the given ones, and each
    candidate is rated by how well it finds them; no true label is needed. The final
    score is a weighted sum of the candidates' scores, with the weights that separate
    planted from other labels best.

    Parameters
    ----------
    detectors : list of (str, detector) pairs, default=None
        The candidates, by name: detectors, robust classifiers, or pipelines that end in
        one; the same one with other settings is another candidate. They are cloned, and
        their parameters can be set as ``name__parameter``. None takes those that suit
        X: networks, classifiers and neighbours for a table or embeddings, classifiers
        alone for sparse X, networks alone for images.
    strategy : {"combine", "select"}, default="combine"
        "select" uses the scores and flags of the best candidate alone.
    corruption_rate : float in (0, 0.5], default=0.1
        Share of rows that get a planted label in a round. A class keeps half of its
        rows and at least two.
    n_rounds : int >= 1 or "auto", default="auto"
        How often labels are planted, in other places each time. More rounds make the
        weights more precise; each takes as long as fitting all candidates. "auto"
        plants 400 labels or more, in 2 to 6 rounds.
    max_rows : int >= 100 or None, default=10_000
        Larger data compete on a random subset of as many rows, with the classes in
        proportion; only candidates that count are then fitted on all rows. None
        takes all rows for all.
    n_jobs : int or None, default=None
        Candidates that are fitted at a time, each in a process of its own.
    verbose : int, default=0
        1 shows a progress bar with the time left; 2 also a row for each fit.
    random_state : int, RandomState instance or None, default=None
        The planted labels, the subset, and the candidates where they have no
        ``random_state`` yet.

    Attributes
    ----------
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 / (1 + exp(t − s)), with s the weighted sum of the candidates' scores, each as
        the normal quantile of its rank, and t the threshold. Larger = more suspicious;
        not a probability. With "select", the scores of the best candidate.
    scores_are_probabilities_ : bool
        False, as they are an order. With "select", that of the best candidate.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``: as many rows as the candidates flag, in their weighted
        geometric mean. With "select", the flags of the best candidate.
    noise_rate_ : float
        Share of flagged rows. With "select", that of the best candidate.
    suggested_labels_ : ndarray of shape (n_samples,)
        Where the given label is flagged, the other label with the largest weighted
        vote.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    candidates_ : dict of str to ndarray of shape (n_candidates,)
        The table of candidates, ready for ``pandas.DataFrame``: "name"; "auroc", how
        well it finds planted labels, mean over the rounds, and "auroc_std"; "weight";
        "noise_rate" and "flagged", its estimate and the share of rows that it flags;
        "seconds" of a fit; "error", why it was left out, or "".
    aurocs_ : ndarray of shape (n_candidates, n_rounds), dtype float64
        NaN for candidates that were left out.
    best_name_ : str
        The candidate with the best mean AUROC.
    detectors_ : list of (str, detector) pairs
        The candidates with a weight, fitted on the given labels, without the rows in
        ``unjudged_``.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    DynaCorDetector : The best single detector on most data; it chooses its own
    settings.
    NoisyLabelFilter : Another number of rows to drop.

    Notes
    -----
    Choosing by planted labels is the idea of [1]_, used there for the epoch at which to
    stop. Here they follow the suggestions of the candidates: if many 4s seem to be
    labelled 9, many 4s get a 9. Labels planted evenly would favour detectors of
    mistakes that people rarely make.

    The weights are those of a logistic regression without negative ones, that of
    stacking [2]_: similar candidates share their weight, and a candidate with
    additional information gets some weight even if it is not good alone. Wrong labels
    among the given ones count as not planted, which lowers the AUROC of all candidates
    equally.

    References
    ----------
    .. [1] S. Kim, D. Lee, S. Kang, S. Chae, S. Jang and H. Yu, "Learning
       Discriminative Dynamics with Label Corruption for Noisy Label Detection", CVPR
       2024.
    .. [2] L. Breiman, "Stacked regressions", Machine Learning 24, 1996.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sknoisy import AutoNoiseDetector, ConfidentLearningDetector
    >>> from sknoisy import NeighborVoteDetector, SymmetricNoiseInjector
    >>> X, y = load_iris(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.2, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X, y)
    >>> detector = AutoNoiseDetector(
    ...     [
    ...         ("regression", ConfidentLearningDetector()),
    ...         ("nearest", ConfidentLearningDetector(KNeighborsClassifier(20))),
    ...         ("votes", NeighborVoteDetector()),
    ...     ],
    ...     n_rounds=2,
    ...     random_state=0,
    ... )
    >>> mask = detector.fit_predict_noisy(X, y_noisy)
    >>> bool((mask == injector.noise_mask_).mean() > 0.9)
    True
    >>> detector.candidates_["name"].tolist()
    ['regression', 'nearest', 'votes']
    """

    _named_parts = "detectors"
    # Other estimators may pass groups to it.
    __metadata_request__fit = {"groups": True}

    _parameter_constraints = {
        "detectors": [list, tuple, None],
        "strategy": [StrOptions({"combine", "select"})],
        "corruption_rate": [Interval(Real, 0, 0.5, closed="right")],
        "n_rounds": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_rows": [Interval(Integral, 100, None, closed="left"), None],
        "n_jobs": N_JOBS,
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        detectors: list[tuple[str, Any]] | None = None,
        *,
        strategy: Literal["combine", "select"] = "combine",
        corruption_rate: float = 0.1,
        n_rounds: Literal["auto"] | int = "auto",
        max_rows: int | None = 10_000,
        n_jobs: int | None = None,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.detectors = detectors
        self.strategy = strategy
        self.corruption_rate = corruption_rate
        self.n_rounds = n_rounds
        self.max_rows = max_rows
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    @property
    def _mask_is_threshold(self):
        # The best candidate may have a rule of its own.
        return self.strategy == "combine"

    def fit(self, X: Rows, y: Labels, *, groups: ArrayLike | None = None) -> Self:
        """Compare the candidates, and score every given label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            With ``detectors``, what these accept; the others are left out.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.
        groups : array-like of shape (n_samples,), default=None
            Groups of rows that belong together, such as a patient. Candidates that
            predict held-out rows never fit rows of a group to predict others of it; the
            other candidates ignore the groups.

        Returns
        -------
        self : AutoNoiseDetector
            The fitted estimator.

        Raises
        ------
        RuntimeError
            If it is interrupted before a round is complete. Later interruptions keep
            the complete rounds.
        ValueError
            If a parameter, X or y is not as described; if fewer than two labels
            occur more than once; if no class has a row to
            spare for a planted label. If all candidates fail, the error of the first.
        """
        check_parameters(self)
        self._check_detectors()
        X, codes = self._check_data(X, y)
        if groups is not None:
            groups = column_or_1d(groups)
            check_consistent_length(codes, groups)
        candidates = self.detectors or default_detectors(X)
        rng = random_generator(self.random_state)
        rows = self._competing_rows(codes, rng)
        all_compete = len(rows) == len(codes)
        n_rounds = self._count_rounds(len(rows))
        n_fits = len(candidates) * (1 + n_rounds + (not all_compete))
        with progress(n_fits, type(self).__name__, self.verbose, unit="fit") as bar:
            competition = Competition(candidates, self.classes_, self.n_jobs, bar)
            seed = int(rng.integers(2**31))
            subset = X if all_compete else safe_indexing(X, rows)
            of_rows = None if groups is None else safe_indexing(groups, rows)
            competition.score(subset, codes[rows], seed, groups=of_rows)
            competition.play(
                subset, codes[rows], self.corruption_rate, n_rounds, rng, of_rows
            )
            self._tabulate(competition)
            if not all_compete:
                bar.total -= int((self.candidates_["weight"] == 0).sum())
                self._score_all(competition, X, codes, seed, groups)
        self._warn_of_failures()
        self._conclude(competition.given, codes)
        return self

    @property
    def scores_are_probabilities_(self) -> bool:
        """Whether the scores are a single candidate's probabilities, bool."""
        check_is_fitted(self, "noise_scores_")
        # The scores of a selected candidate are used unchanged.
        detectors = [detector for _, detector in self.detectors_]
        return self.strategy == "select" and scores_are_probabilities(detectors[0])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if isinstance(self.detectors, list | tuple):
            # Anything else is refused by fit.
            inputs = [
                tags_of_part(pair[1]).input_tags
                for pair in self.detectors
                if isinstance(pair, tuple) and len(pair) == 2
            ]
            for name in _ONE_TAKES:
                setattr(tags.input_tags, name, any(getattr(t, name) for t in inputs))
        return tags

    def _check_data(self, X, y):
        """Check what the default candidates take; others check for themselves."""
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
        if self.detectors is None and not issparse(X):
            X, self.classes_, codes = check_rows_and_labels(self, X, y, min_per_class=2)
            return X, codes
        self.classes_, codes = check_any_rows_and_labels(self, X, y)
        if self.detectors is None:
            X = check_numbers(self, X, accept_sparse="csr", dtype=np.float64)
        if issparse(X):
            X = X.tocsr()
        return X if hasattr(X, "__getitem__") else np.asarray(X), codes

    def _check_detectors(self):
        """Refuse anything but a list of named detectors."""
        if self.detectors is None:
            return
        pairs = self.detectors
        if not pairs or not all(isinstance(p, tuple) and len(p) == 2 for p in pairs):
            raise ValueError(
                "detectors must be a list of (name, detector) pairs, at least one; got "
                f"{self.detectors!r}."
            )
        for name, detector in pairs:
            if not HasMethods(["fit"]).is_satisfied_by(detector):
                raise TypeError(
                    f"detector {name!r} must have a method fit; got {detector!r}."
                )
        self.check_part_names([name for name, _ in pairs])

    def _competing_rows(self, codes, rng):
        """Return the rows on which the candidates compete, in their order."""
        n_samples = len(codes)
        if self.max_rows is None or n_samples <= self.max_rows:
            return np.arange(n_samples)
        counts = np.bincount(codes)
        taken = np.maximum(counts * self.max_rows // n_samples, _MIN_PER_CLASS)
        order = rng.permutation(n_samples)
        return np.sort(order[rank_in_class(codes[order]) < taken[codes[order]]])

    def _count_rounds(self, n_rows):
        if self.n_rounds != "auto":
            return self.n_rounds
        wanted = np.ceil(_PLANTED / (self.corruption_rate * n_rows))
        return int(np.clip(wanted, *_ROUNDS))

    def _tabulate(self, competition):
        """Set the attributes that describe the candidates."""
        verdicts = competition.given
        self.aurocs_ = competition.aurocs
        self.candidates_ = {
            "name": np.array(competition.names),
            "auroc": self.aurocs_.mean(1),
            "auroc_std": self.aurocs_.std(1),
            "weight": competition.weigh(self.strategy),
            "noise_rate": np.array([v.noise_rate if v else np.nan for v in verdicts]),
            "flagged": np.array([v.mask.mean() if v else np.nan for v in verdicts]),
            "seconds": np.array([v.seconds if v else np.nan for v in verdicts]),
            "error": np.array([_in_a_line(error) for error in competition.errors]),
        }
        best = int(np.nanargmax(self.candidates_["auroc"]))
        self.best_name_ = competition.names[best]

    def _score_all(self, competition, X, codes, seed, groups):
        """Let the candidates that count score all rows."""
        weights = self.candidates_["weight"]
        among = np.flatnonzero(weights).tolist()
        competition.score(X, codes, seed, among, groups)
        failed = [verdict is None for verdict in competition.given]
        weights[failed] = 0
        weights /= weights.sum()
        self.candidates_["error"] = np.array(
            [_in_a_line(error) for error in competition.errors]
        )

    def _warn_of_failures(self):
        """Warn of the user's candidates that were left out."""
        if self.detectors is None:
            return
        table = zip(self.candidates_["name"], self.candidates_["error"], strict=True)
        failed = [f"{name} ({error})" for name, error in table if error]
        if failed:
            warn_user(
                f"candidates that failed are left out: {'; '.join(failed)}.",
                UserWarning,
            )

    def _conclude(self, verdicts, codes):
        """Combine the results of the weighted candidates."""
        weights = self.candidates_["weight"]
        voters = [(w, v) for w, v in zip(weights, verdicts, strict=True) if w]
        names = self.candidates_["name"][weights > 0].tolist()
        self.detectors_ = [
            (name, v.detector) for name, (_, v) in zip(names, voters, strict=True)
        ]
        if self.strategy == "select":
            ((_, best),) = voters
            self.noise_scores_, self.noise_mask_ = best.scores, best.mask
            self.noise_rate_ = best.noise_rate
            self.suggested_labels_ = self.classes_[best.suggested]
            return
        everyone = np.ones(len(codes), dtype=bool)
        total = sum(w * normal_scores(v.scores, everyone) for w, v in voters)
        # The geometric mean limits the effect of a candidate that flags many clean
        # rows.
        logs = [w * np.log(max(v.mask.sum(), 0.5)) for w, v in voters]
        n_flagged = round(np.exp(sum(logs)))
        scores = expit(total - _threshold(total, n_flagged))
        self.record_scores(scores, _votes(voters, codes, len(self.classes_)), codes)
        self.noise_rate_ = float(self.noise_mask_.mean())


def _threshold(values, n_above):
    """Return a number that so many values are above, fewer where some are equal."""
    ordered = np.sort(values)[::-1]
    if n_above == 0:
        return ordered[0] + 1
    if n_above == len(ordered):
        return ordered[-1] - 1
    return (ordered[n_above - 1] + ordered[n_above]) / 2


def _votes(voters, codes, n_classes):
    """Return the weighted votes for each class, shape (n_samples, n_classes)."""
    votes = np.zeros((len(codes), n_classes))
    for weight, verdict in voters:
        rows = np.flatnonzero(verdict.suggested != codes)
        votes[rows, verdict.suggested[rows]] += weight
    # Where no candidate suggests another label, the suggestions for the class are used.
    usual = np.zeros((n_classes, n_classes))
    np.add.at(usual, codes, votes)
    usual += np.bincount(codes, minlength=n_classes) / len(codes)
    usual /= usual.sum(1, keepdims=True)
    return votes + _LITTLE * usual[codes]


def _in_a_line(error):
    if error is None:
        return ""
    return shorten(f"{type(error).__name__}: {error}", _LINE, placeholder=" …")
