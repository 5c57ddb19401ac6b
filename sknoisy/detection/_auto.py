"""Compare detectors on planted labels, and combine the good ones."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted

from sknoisy._confident_joint import confident_joint
from sknoisy._evidence import numbers_of
from sknoisy._parameters import N_JOBS, check_parameters
from sknoisy._planting._calibration import calibrate
from sknoisy._planting._combination import combined_scores, mean_probabilities
from sknoisy._planting._competing_rows import check_data, competing_rows, holds_numbers
from sknoisy._planting._competition import Competition
from sknoisy._planting._decision import AIMS, Evidence, flagged
from sknoisy._planting._fits import check_candidates, in_a_line
from sknoisy._progress import progress
from sknoisy._random_states import random_generator
from sknoisy._rows import is_frame
from sknoisy._unjudged import Along
from sknoisy._validation import (
    Interval,
    NamedParts,
    StrOptions,
    check_consistent_length,
    safe_indexing,
)
from sknoisy._verdicts import scores_are_probabilities, tags_of_part
from sknoisy.base import NoiseDetectorMixin
from sknoisy.detection._competitors import Candidates, default_candidates, settle

if TYPE_CHECKING:
    from sknoisy._types import ArrayLike, Labels, RandomState, Rows

__all__ = ["AutoNoiseDetector"]

# Number of labels to plant on small data, and bounds on the number of rounds.
_PLANTED = 400
_ROUNDS = {"fast": (2, 3), "thorough": (2, 6)}
# Rows that compete. More make the weights more precise, but by little.
_COMPETING = {"fast": 2_000, "thorough": 10_000}
# Kinds of X that are accepted if a candidate accepts them; the others are left out.
_ONE_TAKES = ("one_d_array", "sparse", "categorical", "string", "dict", "allow_nan")
# Directions of each column of texts, for what it learns from reviewed rows.
_N_TEXT_FEATURES = 100
# Weight of the class frequencies, smaller than that of any vote.
_LITTLE = 1e-6


class AutoNoiseDetector(NoiseDetectorMixin, NamedParts):
    """Wrong-label detector that compares other detectors and combines the good ones.

    Labels that are almost certainly wrong are planted among the given ones, and each
    candidate is rated by how well it finds them; no true label is needed. The final
    score is a weighted sum of the candidates' scores, with the weights that separate
    planted from other labels best, and of what the noise rates of the classes tell.

    Parameters
    ----------
    detectors : list of (str, detector) pairs, default=None
        The candidates, by name: detectors, robust classifiers, or pipelines that end in
        one; the same one with other settings is another candidate. They are cloned, and
        their parameters can be set as ``name__parameter``. None takes those that suit
        X: regressions, boosting, forests, neighbours and networks for a frame, a table
        or embeddings, regressions alone for sparse X, networks alone for images.
    budget : {"fast", "thorough"} or int >= 2, default="fast"
        "fast" begins with what takes seconds, and tries networks once: they take part
        if the others find more planted labels with them. "thorough" lets all compete
        in every round, more networks among them. A number is how many fits there may
        be: as many of the candidates compete as it allows, the faster first, or the
        first of ``detectors``. None of this depends on a clock.
    max_seconds : float > 0, default=None
        When it is over, no further candidate is fitted, and a warning tells what was
        left out. None takes the time that it needs. The result depends on the clock.
    strategy : {"combine", "select"}, default="combine"
        "select" uses the scores and flags of the best candidate alone.
    corruption_rate : float in (0, 0.5], default=0.1
        Share of rows that get a planted label in a round. A class keeps half of its
        rows and at least two.
    n_rounds : int >= 1 or "auto", default="auto"
        How often labels are planted, in other places each time. More rounds make the
        weights more precise; each takes as long as fitting all candidates. "auto"
        plants about 400 labels, in 2 or 3 rounds, with ``budget="thorough"`` in up to
        6.
    max_rows : int >= 100, "auto" or None, default="auto"
        Larger data compete on a random subset of as many rows, with the classes in
        proportion; only candidates that count are then fitted on all rows. "auto" takes
        2,000, with ``budget="thorough"`` 10,000; None takes all rows for all.
    aim : {"recall", "f1", "precision", "rate"}, default="f1"
        What the flags are for. "recall": as many labels as the candidates contradict.
        "f1": of these only as many as the planted labels give reason for, hardly any
        if the labels are clean. "precision": labels that are more probably wrong than
        right. "rate": as many as are estimated to be wrong, ``noise_rate_``. Not with
        ``strategy="select"``, which has the flags of the best candidate.
    threshold : float in [0, 1], default=None
        Flags the labels with a larger score instead, whatever the aim.
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
        Larger = more suspicious. Calibrated as the probability that the label is wrong,
        if wrong labels are as easy to find as planted ones, and the noise rate is
        ``noise_rate_``. With "select", the scores of the best candidate.
    scores_are_probabilities_ : bool
        False: the scores are an order, since even of labels that are wrong at random
        more are wrong than they say. With "select", that of the best candidate.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        The labels with the largest scores, as many as suit the ``aim``. With "select",
        the flags of the best candidate.
    noise_rate_ : float
        Estimated share of wrong labels, by the planted labels and by the confident
        joint of the candidates' predictions. With "select", that of the best candidate.
    suggested_labels_ : ndarray of shape (n_samples,)
        Where the given label is flagged, the other label with the largest weighted
        vote.
    label_proba_ : ndarray of shape (n_samples, n_classes), dtype float64
        Weighted mean of the candidates' probabilities of the labels, NaN for rows in
        ``unjudged_``. Not there if no candidate with a weight has any.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    candidates_ : dict of str to ndarray of shape (n_candidates,)
        The table of candidates, ready for ``pandas.DataFrame``: "name"; "auroc", how
        well it finds planted labels, mean over its rounds, and "auroc_std"; "weight";
        "noise_rate" and "flagged", its estimate and the share of rows that it flags;
        "seconds" of a fit; "error", why it was left out, or "".
    aurocs_ : ndarray of shape (n_candidates, n_rounds), dtype float64
        NaN after candidates were left out.
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

    Planted labels cannot tell that one class is mislabelled more often than another.
    The mean probabilities of the candidates can: those of the surest rows of a class
    are the rates at which it gets each label [3]_. By these rates, shrunk by half since
    no row is quite sure, Bayes' rule gives the probability that a label is wrong; its
    normal scores are added with half the weight of all candidates.

    References
    ----------
    .. [1] S. Kim, D. Lee, S. Kang, S. Chae, S. Jang and H. Yu, "Learning
       Discriminative Dynamics with Label Corruption for Noisy Label Detection", CVPR
       2024.
    .. [2] L. Breiman, "Stacked regressions", Machine Learning 24, 1996.
    .. [3] G. Patrini, A. Rozza, A. K. Menon, R. Nock and L. Qu, "Making Deep Neural
       Networks Robust to Label Noise: A Loss Correction Approach", CVPR 2017,
       Equation 12.

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

    _instead_on_disk = "take LossMixtureDetector or DynaCorDetector, which read batches"
    _parameter_constraints = {
        "detectors": [list, tuple, None],
        "strategy": [StrOptions({"combine", "select"})],
        "corruption_rate": [Interval(Real, 0, 0.5, closed="right")],
        "n_rounds": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "budget": [
            StrOptions({"fast", "thorough"}),
            Interval(Integral, 2, None, closed="left"),
        ],
        "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
        "max_rows": [
            Interval(Integral, 100, None, closed="left"),
            StrOptions({"auto"}),
            None,
        ],
        "aim": [StrOptions(set(AIMS))],
        "threshold": [Interval(Real, 0, 1, closed="both"), None],
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
        budget: Literal["fast", "thorough"] | int = "fast",
        max_seconds: float | None = None,
        max_rows: Literal["auto"] | int | None = "auto",
        aim: Literal["recall", "f1", "precision", "rate"] = "f1",
        threshold: float | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.detectors = detectors
        self.strategy = strategy
        self.corruption_rate = corruption_rate
        self.n_rounds = n_rounds
        self.budget = budget
        self.max_seconds = max_seconds
        self.max_rows = max_rows
        self.aim = aim
        self.threshold = threshold
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    # The aim decides, or the best candidate.
    _mask_is_threshold = False
    _fitted_axes = {"label_proba_": Along(("rows", "classes"))}

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
        if self.detectors is not None:
            check_candidates(self, self.detectors, "detector")
        X, codes = self._check_data(X, y)
        if groups is not None:
            groups = column_or_1d(groups)
            check_consistent_length(codes, groups)
        rng = random_generator(self.random_state)
        rows = self._competing_rows(codes, rng)
        all_compete = len(rows) == len(codes)
        candidates = self._candidates(X, has_groups=groups is not None)
        n_rounds = self._count_rounds(len(rows))
        candidates, n_rounds = self._afford(candidates, n_rounds, all_compete)
        n_fits = len(candidates.quick) * (1 + n_rounds) + len(candidates.slow)
        with progress(n_fits, type(self).__name__, self.verbose, unit="fit") as bar:
            competition = Competition(
                candidates.quick,
                self.classes_,
                self.n_jobs,
                bar,
                slow=candidates.slow,
                settle=settle,
                shares_steps=self.detectors is None,
                max_seconds=self.max_seconds,
            )
            seed = int(rng.integers(2**31))
            subset = X if all_compete else safe_indexing(X, rows)
            of_rows = None if groups is None else safe_indexing(groups, rows)
            competition.score(subset, codes[rows], seed, groups=of_rows)
            competition.play(
                subset, codes[rows], self.corruption_rate, n_rounds, rng, of_rows
            )
            if competition.unscored:
                bar.total += len(competition.unscored)
                among = competition.unscored
                competition.score(subset, codes[rows], seed, among, of_rows)
            self._tabulate(competition)
            if not all_compete:
                self._score_all(competition, X, codes, seed, groups, bar)
        is_own = self.detectors is not None
        n_done = self.aurocs_.shape[1]
        competition.warn_of_failures(is_own, "detectors", n_done, n_rounds)
        self._conclude(competition, codes)
        return self

    @property
    def scores_are_probabilities_(self) -> bool:
        """Whether the scores are a single candidate's probabilities, bool."""
        check_is_fitted(self, "noise_scores_")
        # The scores of a selected candidate are used unchanged.
        detectors = [detector for _, detector in self.detectors_]
        return self.strategy == "select" and scores_are_probabilities(detectors[0])

    def _numbers_of(self, X):
        """Return X as a matrix of numbers for what it learns from reviewed rows."""
        if not is_frame(X) or holds_numbers(X):
            return numbers_of(X)
        from sknoisy._tables._encoder import TableEncoder

        encoder = TableEncoder(n_text_features=_N_TEXT_FEATURES, random_state=0)
        return encoder.fit_transform(X)

    def _may_calibrate(self):
        return self.strategy != "combine"

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
        is_own = self.detectors is not None
        X, self.classes_, codes = check_data(self, X, y, is_own, min_per_class=2)
        return X, codes

    def _competing_rows(self, codes, rng):
        """Return the rows on which the candidates compete, in their order."""
        max_rows = self.max_rows
        if max_rows == "auto":
            max_rows = _COMPETING.get(self.budget, _COMPETING["fast"])
        return competing_rows(codes, max_rows, rng)

    def _candidates(self, X, has_groups):
        """Return the candidates, the faster ones first."""
        if self.detectors is not None:
            return Candidates(list(self.detectors))
        return default_candidates(
            X,
            len(self.classes_),
            thorough=self.budget == "thorough",
            has_groups=has_groups,
        )

    def _afford(self, candidates, n_rounds, all_compete):
        """Return as many candidates and rounds as a number of fits allows."""
        if isinstance(self.budget, str):
            return candidates, n_rounds
        others = 1 if all_compete else 2
        n_rounds = max(1, min(n_rounds, self.budget - others))
        n_candidates = max(1, self.budget // (n_rounds + others))
        everyone = [*candidates.quick, *candidates.slow]
        return Candidates(everyone[:n_candidates]), n_rounds

    def _count_rounds(self, n_rows):
        if self.n_rounds != "auto":
            return self.n_rounds
        wanted = round(_PLANTED / (self.corruption_rate * n_rows))
        bounds = _ROUNDS.get(self.budget, _ROUNDS["fast"])
        return int(np.clip(wanted, *bounds))

    def _tabulate(self, competition):
        """Set the attributes that describe the candidates."""
        verdicts = competition.given
        self.aurocs_ = aurocs = competition.aurocs
        # Candidates that failed on the given labels have none.
        n_scored = np.maximum(np.isfinite(aurocs).sum(1), 1)
        mean = np.where(np.isfinite(aurocs).any(1), np.nansum(aurocs, 1), np.nan)
        mean /= n_scored
        spread = np.sqrt(np.nansum((aurocs - mean[:, None]) ** 2, 1) / n_scored)
        self.candidates_ = {
            "name": np.array(competition.names),
            "auroc": mean,
            "auroc_std": np.where(np.isnan(mean), np.nan, spread),
            "weight": competition.weigh(self.strategy),
            "noise_rate": np.array([v.noise_rate if v else np.nan for v in verdicts]),
            "flagged": np.array([v.mask.mean() if v else np.nan for v in verdicts]),
            "seconds": np.array([v.seconds if v else np.nan for v in verdicts]),
            "error": np.array([in_a_line(error) for error in competition.errors]),
        }
        best = int(np.nanargmax(self.candidates_["auroc"]))
        self.best_name_ = competition.names[best]

    def _score_all(self, competition, X, codes, seed, groups, bar):
        """Let the candidates that count score all rows."""
        weights = self.candidates_["weight"]
        among = np.flatnonzero(weights).tolist()
        bar.total += len(among)
        competition.given = [None] * len(weights)
        competition.score(X, codes, seed, among, groups)
        failed = [verdict is None for verdict in competition.given]
        weights[failed] = 0
        weights /= weights.sum()
        self.candidates_["error"] = np.array(
            [in_a_line(error) for error in competition.errors]
        )

    def _conclude(self, competition, codes):
        """Combine the results of the weighted candidates."""
        weights, verdicts = self.candidates_["weight"], competition.given
        voters = [(w, v) for w, v in zip(weights, verdicts, strict=True) if w]
        names = self.candidates_["name"][weights > 0].tolist()
        self.detectors_ = [
            (name, v.detector) for name, (_, v) in zip(names, voters, strict=True)
        ]
        vars(self).pop("label_proba_", None)
        proba = mean_probabilities(voters)
        if proba is not None:
            self.label_proba_ = proba
        if self.strategy == "select":
            ((_, best),) = voters
            self.noise_scores_, self.noise_mask_ = best.scores, best.mask
            self.noise_rate_ = best.noise_rate
            self.suggested_labels_ = self.classes_[best.suggested]
            return
        everyone = np.ones(len(codes), dtype=bool)
        total = combined_scores(voters, codes, everyone)
        given, planted = competition.combined(weights)
        scores, evidence = _calibrated(total, given, planted, voters, codes, proba)
        if self.threshold is None:
            mask = flagged(total, evidence.count_flags(scores, self.aim))
        else:
            mask = scores > self.threshold
        votes = _votes(voters, codes, len(self.classes_))
        self.record_scores(scores, votes, codes, mask)
        self.noise_rate_ = evidence.noise_rate


def _calibrated(total, given, planted, voters, codes, proba):
    """Return probabilities of a wrong label, and the evidence behind them.

    Parameters
    ----------
    total : ndarray of shape (n_samples,)
        Combined scores.
    given, planted : ndarrays
        Combined scores in the rounds, of given and of planted labels.
    voters : list of (weight, Verdict) pairs
    codes : ndarray of shape (n_samples,), dtype int64
    proba : ndarray of shape (n_samples, n_classes) or None
        Mean probabilities of the labels.
    """
    n_classes = int(codes.max()) + 1
    # The calibration takes signals that are high for right labels.
    rate = calibrate(-given, -planted, n_classes).noise_rate
    if proba is None:
        suspected = [
            w * np.log(max(v.mask.mean(), 0.5 / len(codes))) for w, v in voters
        ]
        evidence = Evidence(rate, contradicted=float(np.exp(sum(suspected))))
    else:
        confident = 1 - np.trace(confident_joint(codes, proba))
        contradicted = float((proba.argmax(1) != codes).mean())
        evidence = Evidence(rate, confident, contradicted)
    calibration = calibrate(-given, -planted, n_classes, evidence.noise_rate)
    # Equal probabilities keep the order of the combined scores.
    place = np.empty(len(codes))
    place[np.argsort(total, kind="stable")] = np.linspace(0, 1, len(codes))
    return 0.999 * calibration(-total) + 0.001 * place, evidence


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
