"""The default candidates of AutoNoiseDetector."""

import numpy as np
from scipy.sparse import issparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from sknoisy.detection._confident_learning import ConfidentLearningDetector
from sknoisy.detection._neighbor_vote import NeighborVoteDetector

__all__ = ["default_detectors"]

# Columns of a table may have different units, so that one or two dominate the others;
# networks and neighbours then need standardised columns. Embeddings, whose first
# columns often have the largest variance, and rare indicators get worse by it.
_MAX_SHARE, _N_WIDEST, _MIN_COLUMNS = 0.9, 2, 5


def default_detectors(X):
    """Return the candidates that suit the kind of X.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features) or (n_samples, C, H, W), or sparse
        Checked.

    Returns
    -------
    candidates : list of (str, detector) pairs

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from sknoisy.detection._competitors import default_detectors
    >>> [name for name, _ in default_detectors(csr_array((3, 2)))]
    ['regression', 'unit rows, C=1', 'unit rows, C=10']
    """
    if issparse(X):
        return _of_sparse_rows()
    if X.ndim > 2:
        return _of_images()
    candidates = _of_rows()
    if _has_units(X):
        return [(n, _pipeline(StandardScaler(), d)) for n, d in candidates]
    return candidates


def _has_units(X):
    """Return whether two columns of at least five hold nearly all variance."""
    variance = np.sort(X.var(0, dtype=np.float64))[::-1]
    if np.count_nonzero(variance) < _MIN_COLUMNS:
        return False
    return variance[:_N_WIDEST].sum() > _MAX_SHARE * variance.sum()


def _of_rows():
    # Imported here so that other candidates need no torch.
    from sknoisy._planting._settings import AUTO
    from sknoisy.detection._dynacor import DynaCorDetector
    from sknoisy.detection._loss_mixture import LossMixtureDetector

    return [
        ("regression", ConfidentLearningDetector()),
        ("regression C=0.001", ConfidentLearningDetector(_regression(0.001))),
        ("neighbors 10", NeighborVoteDetector()),
        ("neighbors 30", NeighborVoteDetector(n_neighbors=30)),
        ("losses", LossMixtureDetector(**AUTO[1])),
        ("DynaCor", DynaCorDetector()),
    ]


def _of_sparse_rows():
    # Word counts and frequencies are not standardised but scaled to rows of length 1.
    unit_rows = [
        (f"unit rows, C={C}", _pipeline(Normalizer(), _regression(C))) for C in (1, 10)
    ]
    return [("regression", ConfidentLearningDetector())] + [
        (name, ConfidentLearningDetector(model)) for name, model in unit_rows
    ]


def _pipeline(scaler, last):
    """Return a pipeline whose output does not follow ``set_config``."""
    return make_pipeline(scaler.set_output(transform="default"), last)


def _regression(C):
    return LogisticRegression(C=C, max_iter=1000)


def _of_images():
    from sknoisy._planting._settings import IMAGES
    from sknoisy.detection._aum import AUMDetector
    from sknoisy.detection._dynacor import DynaCorDetector
    from sknoisy.detection._loss_mixture import LossMixtureDetector

    return [
        ("losses", LossMixtureDetector()),
        ("AUM", AUMDetector()),
        ("DynaCor", DynaCorDetector(settings=IMAGES[1:])),
    ]
