"""A detector whose verdict is known: it reads the scores off the rows."""

import numpy as np
from sklearn.base import BaseEstimator

from sknoisy.base import NoiseDetectorMixin

# One entry for each fit: its X and y.
FITS = []


class KnownDetector(NoiseDetectorMixin, BaseEstimator):
    """Scores are the first column of X, or those given; the next class is suggested."""

    def __init__(self, scores=None, level=0.5, rate=None, calibrated=False):
        self.scores = scores
        self.level = level
        self.rate = rate
        self.calibrated = calibrated

    def fit(self, X, y):
        FITS.append((X, y))
        scores = np.asarray(X)[:, 0] if self.scores is None else self.scores
        self.noise_scores_ = np.array(scores, dtype=np.float64)
        if self.calibrated:
            self.scores_are_probabilities_ = True
        self.noise_mask_ = self.noise_scores_ > self.level
        mean = self.noise_scores_.mean() if self.rate is None else self.rate
        self.noise_rate_ = float(mean)
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        step = self.noise_mask_.astype(int)
        self.suggested_labels_ = self.classes_[(codes + step) % len(self.classes_)]
        return self
