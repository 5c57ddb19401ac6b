"""Which argument of a classifier's ``fit`` takes weights, or soft targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

if TYPE_CHECKING:
    from sknoisy._types import Estimator

__all__ = ["soft_targets_name", "weight_name"]


def weight_name(classifier: Estimator) -> str | None:
    """Return the argument of ``fit`` that takes sample weights.

    Parameters
    ----------
    classifier : estimator
        Not fitted. In a pipeline and in a search, that of the classifier within.

    Returns
    -------
    name : str or None
        Such as "sample_weight" or "svc__sample_weight"; None without one.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> from sknoisy.cleaning._fit_arguments import weight_name
    >>> weight_name(make_pipeline(StandardScaler(), SVC()))
    'svc__sample_weight'
    """
    return _name_of("sample_weight", classifier, _has)


def soft_targets_name(classifier: Estimator) -> str | None:
    """Return the argument of ``fit`` that takes a distribution for each row.

    Parameters
    ----------
    classifier : estimator
        As in `weight_name`.

    Returns
    -------
    name : str or None
        None too for nets that have the argument, and refuse or might refuse it.

    Examples
    --------
    >>> from sknoisy import FlywheelClassifier, NetClassifier
    >>> from sknoisy.cleaning._fit_arguments import soft_targets_name
    >>> soft_targets_name(NetClassifier()), soft_targets_name(FlywheelClassifier())
    ('soft_targets', None)
    """
    return _name_of("soft_targets", classifier, _learns)


def _name_of(
    argument: str, classifier: Estimator, takes: Callable[[str, Estimator], bool]
) -> str | None:
    if isinstance(classifier, Pipeline):
        step, last = classifier.steps[-1]
        inner = _name_of(argument, last, takes)
        return None if inner is None else f"{step}__{inner}"
    if isinstance(classifier, GridSearchCV | RandomizedSearchCV):
        return _name_of(argument, classifier.estimator, takes)
    return argument if takes(argument, classifier) else None


def _has(argument: str, classifier: Estimator) -> bool:
    return has_fit_parameter(classifier, argument)


def _learns(argument: str, classifier: Estimator) -> bool:
    if not _has(argument, classifier):
        return False
    # Here, since it loads torch, and most classifiers do not get this far.
    from sknoisy.nets._net import NetClassifier
    from sknoisy.nets._soft_targets import learns_soft_targets

    return not isinstance(classifier, NetClassifier) or learns_soft_targets(classifier)
