"""How many labels to flag, by calibrated scores and by what classifiers contradict."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["AIMS", "Evidence", "best_f1_count", "flagged"]

AIMS = ("recall", "f1", "precision", "rate")
# Share of the contradicted labels that "f1" flags in any case. Systematic mistakes look
# like right labels of difficult rows, of which then as many are flagged: on clean data
# with overlapping classes (adult census income) 4 % of all labels.
_LEAST = 0.25
# Times the labels estimated to be wrong, the most that "f1" flags on top of these.
_MOST = 1.5


class Evidence:
    """What is known of the share of wrong labels, from three sources.

    Planted labels tell how many labels are as suspicious as those that are wrong for
    sure. They overlook mistakes that are harder to find than planted ones. Labels that
    classifiers contradict are too many where classes overlap. The confident joint
    counts only contradictions by confident predictions; it lies between.

    Parameters
    ----------
    planted : float in [0, 1]
        Noise rate by the planted labels.
    confident : float in [0, 1], default=0
        Noise rate by the confident joint.
    contradicted : float in [0, 1], default=1
        Share of labels that are not the most probable ones.

    Attributes
    ----------
    explained : float in [0, 1]
        Share of the contradicted labels that the planted ones explain: near 1 where
        labels are wrong at random.
    noise_rate : float in [0, 1]
        The estimate from all three: if everything is explained, that of the planted
        labels, which is somewhat too low otherwise; if nothing is, the confident joint.

    Examples
    --------
    >>> from sknoisy._planting._decision import Evidence
    >>> Evidence(0.2, 0.2, 0.2).noise_rate  # wrong at random, and easy to find
    0.2
    >>> Evidence(0.0, 0.06, 0.15).noise_rate  # classes that overlap
    0.06
    """

    def __init__(self, planted, confident=0.0, contradicted=1.0):
        self.contradicted = contradicted
        planted = min(planted, contradicted)
        self.explained = planted / contradicted if contradicted else 1.0
        unexplained = 1 - self.explained
        rate = planted * (1 + unexplained / 2)
        self.noise_rate = float(rate + unexplained**2 * max(0.0, confident - rate))

    def count_flags(self, proba, aim):
        """Return the number of labels to flag.

        Parameters
        ----------
        proba : ndarray of shape (n_samples,)
            Probabilities of a wrong label, calibrated with ``noise_rate``.
        aim : {"recall", "f1", "precision", "rate"}
            "recall": the contradicted ones. "f1": as many as lead to the largest
            expected F1, at most the contradicted ones, and moved towards their number
            as far as it is near and the planted labels do not explain them; not many
            more than are estimated to be wrong.
            "precision": those more probably wrong than right. "rate": as many as are
            estimated to be wrong.

        Returns
        -------
        n_flagged : int
        """
        if aim == "precision":
            return int((proba > 0.5).sum())
        if aim == "rate":
            return round(self.noise_rate * len(proba))
        contradicted = self.contradicted * len(proba)
        if aim == "recall" or not contradicted:
            return round(contradicted)
        # Where all probabilities are small and alike, all rows together are the best.
        share = min(1.0, best_f1_count(proba) / contradicted)
        if share:
            share **= 1 - share**2 * (1 - self.explained)
        # Where hardly any label is wrong, all are equally improbable.
        most = _LEAST * contradicted + _MOST * self.noise_rate * len(proba)
        return round(min(max(share, _LEAST) * contradicted, most))


def best_f1_count(proba: NDArray[np.float64]) -> int:
    """Return how many of the most probable rows have the largest expected F1.

    Of the k rows with the largest p, the sum of their p is expected to be wrong, which
    makes F1 = 2 Σ_k p / (k + Σ p) if the sums are near their expectations.

    Parameters
    ----------
    proba : ndarray of shape (n_samples,)

    Returns
    -------
    count : int
        0 if all are 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._decision import best_f1_count
    >>> best_f1_count(np.array([0.0, 0.9, 0.1, 0.9]))
    2
    """
    falling = np.sort(proba)[::-1]
    total = falling.sum()
    if not total > 0:
        return 0
    counts = np.arange(1, len(proba) + 1)
    return int((np.cumsum(falling) / (counts + total)).argmax()) + 1


def flagged(order: NDArray[np.float64], n_flagged: int) -> NDArray[np.bool_]:
    """Return a mask of so many rows, those with the largest values.

    Parameters
    ----------
    order : ndarray of shape (n_samples,)
    n_flagged : int

    Returns
    -------
    mask : ndarray of shape (n_samples,), dtype bool
        Of equal values, the first rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._decision import flagged
    >>> flagged(np.array([0.2, 0.9, 0.2]), 2).tolist()
    [True, True, False]
    """
    mask = np.zeros(len(order), dtype=bool)
    mask[np.argsort(-order, kind="stable")[:n_flagged]] = True
    return mask
