"""scikit-learn's Gaussian mixtures, whose number of iterations is set."""

from sklearn import config_context
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

__all__ = ["fit_mixture"]


def fit_mixture(mixture, points, **fit_params):
    """Fit a mixture in place, without a warning that its iterations ran out.

    Filters of warnings belong to the whole process: two threads that change them at
    once may leave them changed. Here no warning is issued to begin with.

    Parameters
    ----------
    mixture : estimator
        Not used elsewhere meanwhile: hand in a clone.
    points : ndarray of shape (n_samples, n_features)
    **fit_params : dict

    Returns
    -------
    mixture : estimator
        Fitted; ``converged_`` says whether its iterations were enough.
    """
    kind = type(mixture)
    if isinstance(mixture, GaussianMixture | BayesianGaussianMixture):
        mixture.__class__ = type(kind.__name__, (_Settled, kind), {})
    try:
        # scikit-learn's array dispatch has no k-means start; these are numpy arrays.
        with config_context(array_api_dispatch=False):
            return mixture.fit(points, **fit_params)
    finally:
        mixture.__class__ = kind


class _Settled:
    """A mixture that is told that it converged, and keeps whether it has."""

    @property
    def converged_(self):
        return True

    @converged_.setter
    def converged_(self, value):
        vars(self)["converged_"] = value
