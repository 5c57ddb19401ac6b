"""SimiFeat: the labels of a row's neighbours vote on its own."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from sknoisy._progress import progress
from sknoisy._unjudged import Along
from sknoisy._validation import (
    HasMethods,
    Interval,
    StrOptions,
    check_parameters,
    check_rows_and_labels,
    random_generator,
)
from sknoisy.base import NoiseDetectorMixin, defined_scores, suggest_labels
from sknoisy.detection._consensus import consensus_counts, estimate_by_consensus
from sknoisy.detection._features import FeaturesMixin

__all__ = ["NeighborVoteDetector", "neighbor_votes"]

# In each round a tenth of the rows sits out: spare neighbours take their places.
_SUBSAMPLE = 0.9
_SPARE = 8
# How long the parts of a fit take, in rounds: of many rows the search takes it all.
_FEATURES, _SEARCH, _MATRIX = 500, 500, 20
# The authors' code: what the estimate is moved by in each round, and its bounds.
_JITTER = 0.05
_LEAST, _MOST = 0.05, 0.95
_LOG_FLOOR = 1e-8


def neighbor_votes(codes, distances, neighbors, n_classes):
    """Return how strongly a row and its neighbours speak for each class.

    Parameters
    ----------
    codes : ndarray of shape (n_all,), dtype int64
        The given labels.
    distances : ndarray of shape (n_samples, k)
        Cosine distances, rising; the first one stands for the row itself.
    neighbors : ndarray of shape (n_samples, k), dtype int64
        Row numbers; the first is the row itself.
    n_classes : int

    Returns
    -------
    votes : ndarray of shape (n_samples, n_classes), dtype float64
        Σ (1 − distance) over those with the label, scaled to length 1.
    """
    n_samples = len(neighbors)
    cells = np.arange(n_samples)[:, None] * n_classes + codes[neighbors]
    votes = np.bincount(
        cells.ravel(), (1 - distances).ravel(), minlength=n_samples * n_classes
    )
    return normalize(votes.reshape(n_samples, n_classes))


class NeighborVoteDetector(FeaturesMixin, NoiseDetectorMixin, BaseEstimator):
    """Wrong-label detector by the labels of the nearest rows (SimiFeat).

    Rows with like features mostly have the same true label, so that neighbours with
    other labels speak against a label. Nothing is trained: give embeddings, or an
    ``estimator`` that makes them [1]_. How often neighbours agree also shows the
    transition matrix [2]_.

    Parameters
    ----------
    estimator : transformer, default=None
        Makes features from X: it is cloned, fitted with the given labels, and its
        ``transform`` is used. None takes X as the features.
    n_neighbors : int >= 3, default=10, the value of [1]_
        Rows that vote, the row itself included.
    method : {"vote", "rank"}, default="vote"
        "vote" flags rows whose label is not the one with the most votes. "rank" flags,
        of the rows with a label, as many as the transition matrix says, those with the
        least votes for it.
    n_rounds : int >= 1, default=21, the value of [1]_
        In each round a tenth of the rows sits out; a label is flagged that is flagged
        in more than half of its rounds.
    n_jobs : int or None, default=None
        For the search of neighbours.
    verbose : int, default=0
        1 shows a bar; the search of neighbours is one step.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    votes_ : ndarray of shape (n_samples, n_classes), dtype float64
        Of all neighbours; each row has length 1.
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
        The other label with the most votes, where the given one is judged wrong.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    transition_matrix_ : ndarray of shape (n_classes, n_classes), dtype float64
        P(given label | true class); rows = true class.
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
    Similarity is the cosine. Neighbours are searched once, block by block, in memory
    that grows with the number of rows; in a round the votes of those that sit out are
    taken over by the next ones. [1]_ searches anew in every round, with augmented
    images. A row's own vote counts as much as that of a neighbour which is a step
    nearer than the nearest two are apart, as in the authors' code.

    The transition matrix takes time and memory of the third power of the number of
    classes: seconds for 50, minutes for 100 or more.

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

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "transform"]), None],
        "n_neighbors": [Interval(Integral, 3, None, closed="left")],
        "method": [StrOptions({"rank", "vote"})],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    _fitted_axes = {
        "votes_": Along(("rows", "classes")),
        "transition_matrix_": Along(("classes", "classes")),
        "class_prior_": Along(("classes",)),
    }

    def __init__(
        self,
        estimator=None,
        *,
        n_neighbors=10,
        method="vote",
        n_rounds=21,
        n_jobs=None,
        verbose=0,
        random_state=None,
    ):
        self.estimator = estimator
        self.n_neighbors = n_neighbors
        self.method = method
        self.n_rounds = n_rounds
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X, y):
        """Let neighbours vote, and judge every given label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or what ``estimator`` takes
        y : array-like of shape (n_samples,)
            The given labels, of any kind.

        Returns
        -------
        self : NeighborVoteDetector

        Raises
        ------
        ValueError
            If a parameter, X or y is not as described; if fewer than two labels
            occur more than once; if X has more than two
            dimensions and there is no ``estimator``.
        """
        check_parameters(self)
        rng = random_generator(self.random_state)
        rows, self.classes_, codes = check_rows_and_labels(
            self, X, y, min_samples=4, min_per_class=2
        )
        before = 0 if self.estimator is None else _FEATURES
        total = before + _SEARCH + _MATRIX + self.n_rounds
        with progress(total, type(self).__name__, self.verbose, unit=None) as bar:
            bar.begin(before, now="making features")
            features = self._features(rows, codes, int(rng.integers(2**31)))
            bar.advance(before)
            self._vote(features, codes, rng, bar)
        return self

    def _vote(self, features, codes, rng, bar):
        """Let the neighbours of each row judge its label."""
        n_classes = len(self.classes_)
        bar.begin(_SEARCH, now="searching neighbours")
        distances, neighbors = self._search(features)
        k = min(self.n_neighbors, neighbors.shape[1])
        self.votes_ = neighbor_votes(
            codes, distances[:, :k], neighbors[:, :k], n_classes
        )
        bar.advance(_SEARCH, now="estimating the transition matrix")
        counts = consensus_counts(*codes[neighbors[:, :3]].T, n_classes)
        self.transition_matrix_, self.class_prior_ = estimate_by_consensus(counts)
        bar.advance(_MATRIX, now="voting")
        wrong = np.zeros(len(codes))
        lack = np.zeros(len(codes))
        n_seen = np.zeros(len(codes))
        for _ in range(self.n_rounds):
            taken = rng.random(len(codes)) < _SUBSAMPLE
            taken = taken if self.n_rounds > 1 else np.ones_like(taken)
            votes = self._votes_of_round(
                codes, distances, neighbors, taken, k, n_classes
            )
            own = votes[np.arange(len(votes)), codes[taken]]
            wrong[taken] += self._flag(votes, own, codes[taken], rng)
            lack[taken] += 1 - own
            n_seen[taken] += 1
            bar.advance()
        self._conclude(codes, wrong, lack, n_seen)

    def _search(self, features):
        """Find the nearest rows by the cosine, the row itself first."""
        n_found = min(self.n_neighbors + _SPARE, len(features))
        search = NearestNeighbors(
            n_neighbors=n_found, metric="cosine", algorithm="brute", n_jobs=self.n_jobs
        )
        distances, neighbors = search.fit(features).kneighbors(features)
        own = np.arange(len(features))
        # Of equal rows another may come first, or crowd the row out.
        place = np.where(neighbors == own[:, None], 0, 1)
        order = np.argsort(place, axis=1, kind="stable")
        distances = np.take_along_axis(distances, order, 1)
        neighbors = np.take_along_axis(neighbors, order, 1)
        neighbors[:, 0] = own
        # Its own vote is that of a neighbour somewhat nearer than the nearest.
        distances[:, 0] = 2 * distances[:, 1] - distances[:, 2]
        return distances, neighbors

    def _votes_of_round(self, codes, distances, neighbors, taken, k, n_classes):
        """Return the votes for the rows that take part, by those that do."""
        distances, neighbors = distances[taken], neighbors[taken]
        # Those that sit out go to the end of the line.
        absent = ~taken[neighbors]
        order = np.argsort(absent, axis=1, kind="stable")[:, :k]
        weight = np.take_along_axis(np.where(absent, 1.0, distances), order, 1)
        near = np.take_along_axis(neighbors, order, 1)
        return neighbor_votes(codes, weight, near, n_classes)

    def _flag(self, votes, own, codes, rng):
        """Return which of the rows of a round are judged wrong."""
        if self.method == "vote":
            return votes.argmax(1) != codes
        # Of rows in opposite directions the vote is negative.
        lack = -np.log(np.maximum(own, 0) + _LOG_FLOOR)
        flagged = np.zeros(len(codes), dtype=bool)
        given = self.class_prior_ @ self.transition_matrix_
        for c in np.unique(codes):
            right = self.class_prior_[c] * self.transition_matrix_[c, c]
            right = right / max(given[c], 1e-12) + rng.uniform(-_JITTER, _JITTER)
            right = right if 0 < right < 1 else np.clip(right, _LEAST, _MOST)
            of_class = codes == c
            threshold = np.quantile(lack[of_class], right)
            flagged[of_class] = lack[of_class] >= threshold
        # A label that no neighbour contradicts is not among the suspicious ones.
        return flagged & (own < 1 - 1e-9)

    def _conclude(self, codes, wrong, lack, n_seen):
        self.noise_mask_ = wrong > n_seen / 2
        # Rows that sat out in every round have no neighbour against them.
        n_seen = np.maximum(n_seen, 1)
        order = (wrong + lack / n_seen) / (n_seen + 1)
        scores = np.clip(order, 0, 1) / 2 + np.where(self.noise_mask_, 0.5, 0.0)
        self.noise_scores_ = defined_scores(self, scores)
        right = self.class_prior_ * np.diag(self.transition_matrix_)
        self.noise_rate_ = float(1 - right.sum())
        suggested = suggest_labels(self.votes_, codes, self.noise_mask_)
        self.suggested_labels_ = self.classes_[suggested]
