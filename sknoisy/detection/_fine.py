"""FINE: rows whose features are not aligned with the main direction of their class."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.mixture import GaussianMixture

from sknoisy._parameters import check_parameters
from sknoisy._progress import progress
from sknoisy._random_states import random_generator
from sknoisy._unjudged import Along
from sknoisy._validation import HasMethods, Interval, check_rows_and_labels
from sknoisy._verdicts import defined_scores, suggest_labels
from sknoisy.base import NoiseDetectorMixin
from sknoisy.detection._embeddings._features import FeaturesMixin
from sknoisy.mixture._gaussian import fit_mixture

if TYPE_CHECKING:
    from sknoisy._types import ArrayLike, Estimator, Labels, RandomState

__all__ = ["FINEDetector", "class_alignments"]

_MIXTURE = {"max_iter": 100, "tol": 1e-6}
# With fewer rows of a class, two components would fit single rows.
_MIN_ROWS = 10
_TIE_BREAK = 1e-6


def class_alignments(features, codes, n_classes):
    """Return the alignment of each row with the main direction of each class.

    Parameters
    ----------
    features : ndarray of shape (n_samples, n_features)
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.
    n_classes : int

    Returns
    -------
    alignments : ndarray of shape (n_samples, n_classes), dtype float64
        |⟨u_c, v⟩| / ‖v‖ with u_c the first eigenvector of Σ v vᵀ over the rows that are
        labelled c. From 0 to 1; 0 for a row of zeros and a class without rows.

    References
    ----------
    .. [1] T. Kim, J. Ko, S. Cho, J. Choi and S.-Y. Yun, "FINE Samples for Learning with
       Noisy Labels", NeurIPS 2021, arXiv:2102.11628, Algorithm 1.
    """
    length = np.linalg.norm(features, axis=1)
    directions = np.zeros((n_classes, features.shape[1]))
    for c in np.unique(codes):
        own = features[codes == c]
        if len(own) < features.shape[1]:
            # The same vector from the smaller of both Gram matrices.
            weights = np.linalg.eigh(own @ own.T)[1][:, -1]
            vector = weights @ own
            directions[c] = vector / max(np.linalg.norm(vector), 1e-300)
        else:
            directions[c] = np.linalg.eigh(own.T @ own)[1][:, -1]
    along = np.abs(features @ directions.T)
    return np.minimum(along / np.where(length > 0, length, 1)[:, None], 1)


class FINEDetector(FeaturesMixin, NoiseDetectorMixin, BaseEstimator):
    """Wrong-label detector by the main direction of each class's features.

    The features of rows with right labels are roughly aligned with the first
    eigenvector of their class. A mixture of two Gaussians splits the
    alignments of each class; the rows that are aligned less are flagged [1]_. On
    embeddings and tables nothing is trained.

    Parameters
    ----------
    estimator : transformer, default=None
        Computes features from X: it is cloned, fitted with the given labels, and its
        ``transform`` is used. A `NetClassifier`, or any robust classifier, gives its
        penultimate features. None takes X as the features.
    threshold : float in (0, 1), default=0.5
        ζ. Labels are kept whose alignment belongs to the larger component with at
        least this probability.
    verbose : int, default=0
        1 shows a bar.
    random_state : int, RandomState instance or None, default=None
        Start of the mixtures, and of the estimator.

    Attributes
    ----------
    alignments_ : ndarray of shape (n_samples, n_classes), dtype float64
        Of each row with the main direction of each class, from 0 to 1.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        Posterior of the component with the smaller alignments.
        Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 1 - threshold``.
    noise_rate_ : float
        Mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The other class that the row is aligned with most, where the given one is
        flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    estimator_ : transformer
        Fitted, if one was given.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    ConfidentLearningDetector : Needs a classifier, but no embedding.

    Notes
    -----
    Directions are those of the features from the origin, which are not centred: after
    a ReLU they are close to the class means. In standardised tables
    directions mean little; use embeddings, or an ``estimator``.

    Beyond the means of both components the log odds are continued linearly: those of
    two Gaussians of different width would reverse, and call the worst aligned rows
    clean.
    With fewer than 10 rows of a class nothing is split, and its labels are kept.

    References
    ----------
    .. [1] T. Kim, J. Ko, S. Cho, J. Choi and S.-Y. Yun, "FINE Samples for Learning with
       Noisy Labels", NeurIPS 2021, arXiv:2102.11628.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import FINEDetector, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.2, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X, y)
    >>> detector = FINEDetector(random_state=0).fit(X, y_noisy)
    >>> bool(injector.noise_mask_[detector.ranking()[:100]].mean() > 0.8)
    True
    """

    _instead_on_disk = "pass estimator=NetClassifier(), which reads batches"
    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "transform"]), None],
        "threshold": [Interval(Real, 0, 1, closed="neither")],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    _fitted_axes = {
        "alignments_": Along(("rows", "classes")),
    }

    def __init__(
        self,
        estimator: Estimator = None,
        *,
        threshold: float = 0.5,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.threshold = threshold
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Labels) -> Self:
        """Find the direction of each class, and score every given label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or what ``estimator`` takes
            Rows of a table.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.

        Returns
        -------
        self : FINEDetector
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
            self, X, y, min_per_class=2, on_disk=self.estimator is not None
        )
        seed = int(random_generator(self.random_state).integers(2**31))
        n_classes = len(self.classes_)
        # A network takes far longer than all that follows.
        before = 0 if self.estimator is None else 20 * n_classes
        total = before + n_classes
        with progress(total, type(self).__name__, self.verbose, unit=None) as bar:
            bar.begin(before, now="making features")
            features = self._features(rows, codes, seed)
            bar.advance(before, now="splitting classes")
            self._score(features, codes, seed, bar)
        return self

    def _score(self, features, codes, seed, bar):
        """Split each class by the alignments of its rows."""
        n_classes = len(self.classes_)
        self.alignments_ = class_alignments(features, codes, n_classes)
        own = self.alignments_[np.arange(len(codes)), codes]
        self.noise_scores_ = np.zeros(len(codes))
        for c in range(n_classes):
            of_class = codes == c
            self.noise_scores_[of_class] = _noisy_proba(own[of_class], seed)
            bar.advance()
        defined_scores(self, self.noise_scores_)
        self.noise_mask_ = self.noise_scores_ > 1 - self.threshold
        self.noise_rate_ = float(self.noise_scores_.mean())
        suggested = suggest_labels(self.alignments_, codes, self.noise_mask_)
        self.suggested_labels_ = self.classes_[suggested]


def _noisy_proba(alignments, seed):
    """Return the posterior of the component with the smaller alignments."""
    proba = expit(_log_odds(alignments, seed))
    # Keeps the order of rows with a probability close to 1.
    return (1 - _TIE_BREAK) * proba + _TIE_BREAK * (1 - alignments)


def _log_odds(alignments, seed):
    """Return the log odds of the smaller component; −inf where nothing is split."""
    spread = alignments.max() - alignments.min()
    if len(alignments) < _MIN_ROWS or spread <= 1e-9:
        return np.full(len(alignments), -np.inf)
    values = alignments[:, None]
    mixture = GaussianMixture(2, random_state=seed, **_MIXTURE)
    # A change by a thousandth moves no label.
    fit_mixture(mixture, values)
    low, high = np.argsort(mixture.means_[:, 0])
    means, variances = mixture.means_[:, 0], mixture.covariances_[:, 0, 0]
    m_low, m_high = means[low], means[high]
    inside = np.clip(alignments, m_low, m_high)
    log_odds = (
        np.log(mixture.weights_[low] / mixture.weights_[high])
        + (np.log(variances[high]) - np.log(variances[low])) / 2
        + (inside - m_high) ** 2 / (2 * variances[high])
        - (inside - m_low) ** 2 / (2 * variances[low])
    )
    # The slopes at the means.
    gap = m_high - m_low
    log_odds += (m_low - np.minimum(alignments, m_low)) * gap / variances[high]
    return log_odds - (np.maximum(alignments, m_high) - m_high) * gap / variances[low]
