"""From a signal to the probability that a label is wrong, by planted wrong labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

__all__ = ["Calibration", "calibrate"]

N_BINS = 200
N_STEPS = 300
# Of the densities, in bins.
SMOOTHING = 6
MAX_RATE = 0.95
TINY = 1e-12


@dataclass
class Calibration:
    """Probability of a wrong label as a function of the signal.

    Attributes
    ----------
    noise_rate : float
        η, the weight of the wrong labels.
    grid : ndarray of shape (n_bins,)
    proba : ndarray of shape (n_bins,)
        P(wrong) on the grid, falling.
    """

    noise_rate: float
    grid: NDArray[np.float64]
    proba: NDArray[np.float64]

    def __call__(self, values):
        """Return P(wrong) of some signals, same shape."""
        return np.interp(values, self.grid, self.proba)


def calibrate(given, planted, n_classes, noise_rate=None):
    """Model the signal of given labels as a mixture of right and wrong ones.

    The density of the wrong ones, w, is known: it is that of the planted labels, which
    are wrong but for a share η / (C − 1) that met the true label by chance. That of the
    right ones, r, is taken as normal, and expectation-maximisation finds its mean, its
    deviation and the weight η. Right labels of difficult rows make a longer tail than
    a normal one, so that P(wrong) is η w over the larger of the modelled density
    η w + (1 − η) r and the observed one; it is made to fall with the signal.

    Parameters
    ----------
    given : ndarray of shape (n_given,)
        Signal of rows under the given label, high for right ones.
    planted : ndarray of shape (n_planted,)
        Signal of rows under a planted label.
    n_classes : int
    noise_rate : float in [0, 1), default=None
        η if it is known, at most 0.95; None estimates it, as the mean of P(wrong).

    Returns
    -------
    calibration : Calibration

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._calibration import calibrate
    >>> rng = np.random.default_rng(0)
    >>> right, wrong = rng.normal(2, 1, 8000), rng.normal(-1, 1, 2000)
    >>> given = np.concatenate([right, wrong])
    >>> calibration = calibrate(given, rng.normal(-1, 1, 3000), n_classes=1000)
    >>> round(calibration.noise_rate, 1), calibration([-2, 4]).round(1).tolist()
    (0.2, [1.0, 0.0])
    """
    # If all labels were wrong, there would be no right ones to fit.
    rate = 0.2 if noise_rate is None else min(noise_rate, MAX_RATE)
    low, high = _bounds(np.concatenate([given, planted]))
    if not low < high:
        rate = 0.0 if noise_rate is None else rate
        return Calibration(rate, np.array([low]), np.array([rate]))
    given, planted = np.clip(given, low, high), np.clip(planted, low, high)
    edges = np.linspace(low, high, N_BINS + 1)
    centers = (edges[1:] + edges[:-1]) / 2
    share = _histogram(given, edges)
    smooth, planted_share = (
        gaussian_filter1d(values, SMOOTHING)
        for values in (share, _histogram(planted, edges))
    )
    # Most labels are right, and right labels have the higher signals.
    mean = np.median(given[given >= np.median(given)])
    deviation = max(0.7 * given.std(), edges[1] - edges[0])
    for _ in range(N_STEPS):
        right = norm.pdf(centers, mean, deviation) + TINY
        right /= right.sum()
        wrong = np.maximum(planted_share - rate / (n_classes - 1) * right, TINY)
        wrong /= wrong.sum()
        model = rate * wrong + (1 - rate) * right
        proba = rate * wrong / model
        if noise_rate is None:
            rate = min(float(share @ proba), MAX_RATE)
        weight = share * (1 - proba)
        mean = np.average(centers, weights=weight)
        variance = np.average((centers - mean) ** 2, weights=weight)
        deviation = max(np.sqrt(variance), edges[1] - edges[0])
    falling = IsotonicRegression(y_min=0, y_max=1, increasing=False)
    falling.fit(
        centers, rate * wrong / np.maximum(model, smooth), sample_weight=share + TINY
    )
    proba = falling.predict(centers)
    if noise_rate is None:
        rate = float(share @ proba)
    return Calibration(rate, centers, proba)


def _bounds(values):
    """Return the ends of the bins: a few far values must not stretch them."""
    least, low, high, most = np.quantile(values, [0.001, 0.05, 0.95, 0.999])
    # Of few values, these are nearly the extremes: far ones are cut off first, unless
    # most values are equal.
    reach = 2 * (high - low) or np.inf
    near = values[(values >= low - reach) & (values <= high + reach)]
    return max(least, near.min()), min(most, near.max())


def _histogram(values, edges):
    """Return the share of the values in each bin."""
    return np.histogram(values, edges)[0] / len(values)
