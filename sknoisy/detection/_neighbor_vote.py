"""SimiFeat: the labels of a row's neighbours vote on its label."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from sknoisy._confident_joint import blocks, transition_from_joint
from sknoisy._parameters import N_JOBS, check_parameters
from sknoisy._progress import progress
from sknoisy._random_states import random_generator
from sknoisy._unjudged import Along
from sknoisy._validation import HasMethods, Interval, StrOptions, check_rows_and_labels
from sknoisy._verdicts import defined_scores, suggest_labels
from sknoisy.base import NoiseDetectorMixin
from sknoisy.detection._embeddings._consensus import (
    consensus_counts,
    estimate_by_consensus,
)
from sknoisy.detection._embeddings._features import FeaturesMixin

if TYPE_CHECKING:
    from sknoisy._types import ArrayLike, Estimator, Labels, RandomState

__all__ = ["NeighborVoteDetector", "neighbor_votes"]

# The consensus of neighbours takes memory proportional to the cube of the number of
# classes, and more time. With more classes than this, votes are counted.
_MOST_CLASSES = 100
# Up to so many columns a tree finds neighbours faster than all distances do.
_MOST_COLUMNS_OF_A_TREE = 5
# In each round a tenth of the rows is left out: spare neighbours replace them.
_SUBSAMPLE = 0.9
_SPARE = 8
# Duration of the parts of a fit, in rounds: with many rows the search dominates.
_FEATURES, _SEARCH, _MATRIX = 500, 500, 20
# The authors' code: step of the estimate in each round, and its bounds.
_JITTER = 0.05
_LEAST, _MOST = 0.05, 0.95
_LOG_FLOOR = 1e-8


def neighbor_votes(codes, distances, neighbors, n_classes):
    """Return the votes of a row and its neighbours for each class.

    Parameters
    ----------
    codes : ndarray of shape (n_all,), dtype int64
        The given labels.
    distances : ndarray of shape (n_samples, k)
        Cosine distances, ascending; the first is that of the row itself.
    neighbors : ndarray of shape (n_samples, k), dtype int64
        Row numbers; the first is the row itself.
    n_classes : int

    Returns
    -------
    votes : ndarray of shape (n_samples, n_classes), dtype float64
        Σ (1 − distance) over those with the label, scaled to length 1.
    """
    return _votes(codes[neighbors], 1 - distances, n_classes)


def _votes(labels, weights, n_classes):
    """Return the votes of labels with weights, both of shape (n_samples, k)."""
    n_samples = len(labels)
    cells = np.arange(n_samples)[:, None] * n_classes + labels
    votes = np.bincount(cells.ravel(), weights.ravel(), minlength=n_samples * n_classes)
    return normalize(votes.reshape(n_samples, n_classes))


class NeighborVoteDetector(FeaturesMixin, NoiseDetectorMixin, BaseEstimator):
    """Wrong-label detector by the labels of the nearest rows (SimiFeat).

    Rows with similar features mostly have the same true label, so neighbours with other
    labels are evidence against a label. Nothing is trained: give embeddings, or an
    ``estimator`` that computes them [1]_. The transition matrix is estimated from how
    often neighbours agree [2]_.

    Parameters
    ----------
    estimator : transformer, default=None
        Computes features from X: it is cloned, fitted with the given labels, and its
        ``transform`` is used. None takes X as the features.
    n_neighbors : int >= 3, default=10, the value of [1]_
        Rows that vote, the row itself included.
    method : {"vote", "rank"}, default="vote"
        "vote" flags rows whose label is not the one with the most votes. "rank" flags,
        of the rows with a label, as many as the transition matrix implies, those with
        the fewest votes for it.
    n_rounds : int >= 1, default=21, the value of [1]_
        In each round a tenth of the rows is left out; a label is flagged if it is
        flagged in more than half of its rounds.
    n_jobs : int or None, default=None
        Threads of the search. None leaves their number to scikit-learn: one with up to
        five columns, else all cores, or ``OMP_NUM_THREADS``.
    verbose : int, default=0
        1 shows a bar; the search of neighbours is one step.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same bits on the CPU.

    Attributes
    ----------
    votes_ : ndarray of shape (n_samples, n_classes), dtype float64
        Of all neighbours; each row has length 1. Computed on first access.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        From the share of rounds in which the label was flagged, then its lack of votes.
        Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``: flagged in more than half of the rounds.
    noise_rate_ : float
        By the transition matrix.
    suggested_labels_ : ndarray of shape (n_samples,)
        The other label with the most votes, where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    transition_matrix_ : ndarray of shape (n_classes, n_classes), dtype float64
        P(given label | true class); rows = true class. By the consensus of neighbours,
        or by counted votes if there are more than 100 classes; see Notes.
    class_prior_ : ndarray of shape (n_classes,), dtype float64
        Estimated shares of the true classes.
    estimator_ : transformer
        Fitted, if one was given.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    FINEDetector : By the main direction of each class.

    Notes
    -----
    Similarity is the cosine: 1 between rows of zeros, 0 between them and other rows.
    Neighbours are searched once, by :class:`sklearn.neighbors.NearestNeighbors`, in
    memory that grows with the number of rows; in a round the next ones replace those
    that are left out. [1]_ searches again in every round, with augmented images. A
    row's own vote counts as much as that of a neighbour which is a step
    nearer than the nearest two are apart, as in the authors' code.

    The estimate of [2]_ takes memory proportional to the cube of the number of classes,
    and more time: seconds for 50, minutes for 100. With more than 100 classes,
    the label with the most votes is taken for the true one, and the given labels are
    counted against it. For symmetric noise both agree; with 40 % of a class
    moved to one other, counting estimated 32 %. Memory then grows with
    ``n_samples * n_neighbors``, but for ``votes_`` and ``transition_matrix_``, which
    are computed on first access.

    References
    ----------
    .. [1] Z. Zhu, Z. Dong and Y. Liu, "Detecting Corrupted Labels Without Training a
       Model to Predict", ICML 2022, arXiv:2110.06283.
    .. [2] Z. Zhu, Y. Song and Y. Liu, "Clusterability as an Alternative to Anchor
       Points When Learning with Noisy Labels", ICML 2021, arXiv:2102.05291.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import NeighborVoteDetector, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.3, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X, y)
    >>> detector = NeighborVoteDetector(random_state=0).fit(X, y_noisy)
    >>> bool((detector.noise_mask_ == injector.noise_mask_).mean() > 0.95)
    True
    >>> round(detector.noise_rate_, 1)
    0.3
    """

    _instead_on_disk = "pass estimator=NetClassifier(), which reads batches"
    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "transform"]), None],
        "n_neighbors": [Interval(Integral, 3, None, closed="left")],
        "method": [StrOptions({"rank", "vote"})],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": N_JOBS,
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    _fitted_axes = {
        "_vote_labels": Along(("rows",), numbers_of="classes"),
        "_vote_weights": Along(("rows",)),
        "_counted": Along((), numbers_of="classes"),
        "transition_matrix_": Along(("classes", "classes")),
        "class_prior_": Along(("classes",)),
    }

    def __init__(
        self,
        estimator: Estimator = None,
        *,
        n_neighbors: int = 10,
        method: Literal["vote", "rank"] = "vote",
        n_rounds: int = 21,
        n_jobs: int | None = None,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.n_neighbors = n_neighbors
        self.method = method
        self.n_rounds = n_rounds
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Labels) -> Self:
        """Count the votes of neighbours, and score every given label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or what ``estimator`` takes
            Rows of a table.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.

        Returns
        -------
        self : NeighborVoteDetector
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X or y is not as described; if fewer than two labels
            occur more than once; if X has more than two
            dimensions and there is no ``estimator``.
        """
        check_parameters(self)
        rows, self.classes_, codes = check_rows_and_labels(
            self,
            X,
            y,
            min_samples=4,
            min_per_class=2,
            on_disk=self.estimator is not None,
        )
        rng = random_generator(self.random_state)
        before = 0 if self.estimator is None else _FEATURES
        total = before + _SEARCH + _MATRIX + self.n_rounds
        with progress(total, type(self).__name__, self.verbose, unit=None) as bar:
            bar.begin(before, now="making features")
            features = self._features(rows, codes, int(rng.integers(2**31)))
            bar.advance(before)
            self._vote(features, codes, rng, bar)
        return self

    @cached_property
    def votes_(self):
        """Votes for each class, ndarray of shape (n_samples, n_classes)."""
        labels, weights = self._vote_labels, self._vote_weights
        # Rows that were not scored have no neighbours.
        scored = ~np.isnan(weights[:, 0])
        votes = np.full((len(labels), len(self.classes_)), np.nan)
        votes[scored] = _votes(labels[scored], weights[scored], len(self.classes_))
        return votes

    @cached_property
    def transition_matrix_(self):
        """P(given label | true class), by counts of the labels with the most votes."""
        n_classes = len(self.classes_)
        given, voted = self._counted
        cells = np.bincount(given * n_classes + voted, minlength=n_classes**2)
        return transition_from_joint(cells.reshape(n_classes, n_classes))

    def _vote(self, features, codes, rng, bar):
        """Count the votes of the neighbours of each row."""
        for name in ("votes_", "transition_matrix_", "_counted"):
            vars(self).pop(name, None)
        bar.begin(_SEARCH, now="searching neighbours")
        distances, neighbors = self._search(features)
        k = min(self.n_neighbors, neighbors.shape[1])
        self._vote_labels = codes[neighbors[:, :k]]
        self._vote_weights = 1 - distances[:, :k]
        bar.advance(_SEARCH, now="estimating the transition matrix")
        right, given = self._estimate(codes, neighbors)
        self.noise_rate_ = float(1 - right.sum())
        bar.advance(_MATRIX, now="voting")
        wrong = np.zeros(len(codes))
        lack = np.zeros(len(codes))
        n_seen = np.zeros(len(codes))
        for _ in range(self.n_rounds):
            taken = rng.random(len(codes)) < _SUBSAMPLE
            taken = taken if self.n_rounds > 1 else np.ones_like(taken)
            best, own = self._round(codes, distances, neighbors, taken, k)
            if self.method == "vote":
                wrong[taken] += best != codes[taken]
            else:
                shares = right / np.maximum(given, 1e-12)
                wrong[taken] += _flag_by_rank(own, codes[taken], shares, rng)
            lack[taken] += 1 - own
            n_seen[taken] += 1
            bar.advance()
        self._conclude(codes, wrong, lack, n_seen)

    def _estimate(self, codes, neighbors):
        """Estimate noise rate, transition matrix and priors from the neighbours.

        Returns the shares of the labels that are right, and of those that are given,
        both of shape (n_classes,).
        """
        n_classes, n_samples = len(self.classes_), len(codes)
        if n_classes <= _MOST_CLASSES:
            counts = consensus_counts(*codes[neighbors[:, :3]].T, n_classes)
            T, prior = estimate_by_consensus(counts)
            self.transition_matrix_, self.class_prior_ = T, prior
            return prior * np.diag(T), prior @ T
        voted = np.empty(n_samples, dtype=np.int64)
        for part in blocks(n_samples, n_classes):
            labels, weights = self._vote_labels[part], self._vote_weights[part]
            voted[part] = _votes(labels, weights, n_classes).argmax(1)
        self._counted = np.stack([codes, voted])
        self.class_prior_ = np.bincount(voted, minlength=n_classes) / n_samples
        right = np.bincount(codes[voted == codes], minlength=n_classes)
        return right / n_samples, np.bincount(codes, minlength=n_classes) / n_samples

    def _search(self, features):
        """Find the nearest rows by the cosine, the row itself first."""
        rows = _directions(features)
        threads = None if self.n_jobs is None else effective_n_jobs(self.n_jobs)
        is_tree = rows.shape[1] <= _MOST_COLUMNS_OF_A_TREE
        search = NearestNeighbors(
            n_neighbors=min(self.n_neighbors + _SPARE, len(rows)) - 1,
            algorithm="kd_tree" if is_tree else "brute",
            n_jobs=threads,
        )
        limited = nullcontext()
        if threads is not None:
            limited = threadpool_limits(threads, user_api="openmp")
        with limited:
            distances, neighbors = search.fit(rows).kneighbors()
        # Of two vectors of length 1: |a - b|² = 2 - 2ab.
        distances = np.square(distances) / 2
        # Its own vote is that of a neighbour somewhat nearer than the nearest.
        nearer = 2 * distances[:, 0] - distances[:, 1]
        neighbors = np.column_stack([np.arange(len(rows)), neighbors])
        return np.column_stack([nearer, distances]), neighbors

    def _round(self, codes, distances, neighbors, taken, k):
        """Return the label with the most votes of each row that is not left out.

        And the votes for the given label; both of shape (n_taken,).
        """
        n_classes = len(self.classes_)
        rows = np.flatnonzero(taken)
        best, own = np.empty(len(rows), dtype=np.int64), np.empty(len(rows))
        for part in blocks(len(rows), max(n_classes, neighbors.shape[1])):
            near = neighbors[rows[part]]
            # Rows that are left out are moved to the end.
            absent = ~taken[near]
            order = np.argsort(absent, axis=1, kind="stable")[:, :k]
            far = np.where(absent, 1.0, distances[rows[part]])
            far = np.take_along_axis(far, order, 1)
            near = np.take_along_axis(near, order, 1)
            votes = neighbor_votes(codes, far, near, n_classes)
            best[part] = votes.argmax(1)
            own[part] = votes[np.arange(len(votes)), codes[rows[part]]]
        return best, own

    def _conclude(self, codes, wrong, lack, n_seen):
        self.noise_mask_ = wrong > n_seen / 2
        # Rows that were left out in every round are not flagged.
        n_seen = np.maximum(n_seen, 1)
        order = (wrong + lack / n_seen) / (n_seen + 1)
        scores = np.clip(order, 0, 1) / 2 + np.where(self.noise_mask_, 0.5, 0.0)
        self.noise_scores_ = defined_scores(self, scores)
        suggested = codes.copy()
        flagged, n_classes = np.flatnonzero(self.noise_mask_), len(self.classes_)
        for part in blocks(len(flagged), n_classes):
            rows = flagged[part]
            votes = _votes(self._vote_labels[rows], self._vote_weights[rows], n_classes)
            all_ = np.ones(len(rows), dtype=bool)
            suggested[rows] = suggest_labels(votes, codes[rows], all_)
        self.suggested_labels_ = self.classes_[suggested]


def _directions(features):
    """Return rows of length 1; those of zeros are at right angles to all others."""
    rows = normalize(features)
    zeros = np.einsum("ij,ij->i", rows, rows) < 0.5
    return np.column_stack([rows, zeros]) if zeros.any() else rows


def _flag_by_rank(own, codes, right, rng):
    """Return which of the rows of a round have too few votes for their label.

    Parameters
    ----------
    own : ndarray of shape (n_taken,)
        Votes for the given label.
    codes : ndarray of shape (n_taken,), dtype int64
    right : ndarray of shape (n_classes,)
        Shares of the rows with each label for which it is right.
    rng : numpy.random.Generator
    """
    # The vote of rows in opposite directions is negative.
    lack = -np.log(np.maximum(own, 0) + _LOG_FLOOR)
    flagged = np.zeros(len(codes), dtype=bool)
    by_class = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[by_class], return_index=True)
    for c, of_class in zip(present, np.split(by_class, starts[1:]), strict=True):
        share = right[c] + rng.uniform(-_JITTER, _JITTER)
        share = share if 0 < share < 1 else np.clip(share, _LEAST, _MOST)
        threshold = np.quantile(lack[of_class], share)
        flagged[of_class] = lack[of_class] >= threshold
    # A label that no neighbour contradicts is not suspicious.
    return flagged & (own < 1 - 1e-9)
