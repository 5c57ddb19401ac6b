"""Groups of rows that belong together, passed to ``fit`` of detectors."""

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from sknoisy._validation import routes_metadata

__all__ = ["group_params"]


def group_params(detector, groups):
    """Return the parameters that pass groups to ``fit`` of a detector.

    Parameters
    ----------
    detector : estimator
        A detector, a pipeline that ends in one, or one that holds one.
    groups : array-like of shape (n_samples,) or None

    Returns
    -------
    params : dict
        Empty if there are no groups, or the detector does not predict held-out rows.
    """
    if groups is None or not _takes_groups(detector):
        return {}
    if isinstance(detector, Pipeline) and not routes_metadata():
        return {f"{detector.steps[-1][0]}__groups": groups}
    return {"groups": groups}


def _takes_groups(detector):
    if isinstance(detector, Pipeline):
        return _takes_groups(detector.steps[-1][1])
    if hasattr(detector, "_splits_rows"):
        return detector._splits_rows()
    if hasattr(detector, "detector"):
        return _takes_groups(detector.detector)
    return has_fit_parameter(detector, "groups")
