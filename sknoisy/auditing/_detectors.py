"""The detector of an audit, by its short name or as the user made it."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

import sknoisy
from sknoisy._detector_choices import AIMS, DETECTORS, WITH_AIMS
from sknoisy._option_names import option
from sknoisy._user_errors import UserError, refusals

__all__ = ["check_detector", "fitted", "takes_frames"]


def check_detector(detector: Any, aim: str | None) -> None:
    """Refuse what is no detector, and an aim for one that has none.

    Parameters
    ----------
    detector : str or detector
    aim : str or None

    Raises
    ------
    UserError
    TypeError
        If it is an object without ``fit``.
    """
    if not isinstance(detector, str) and not hasattr(detector, "fit"):
        raise TypeError(
            f"detector must be a name or a detector; got {type(detector).__name__}."
        )
    if isinstance(detector, str) and detector not in DETECTORS:
        names = ", ".join(map(repr, DETECTORS))
        raise UserError(
            f"detector must be one of {names}, or a detector; got {detector!r}"
        )
    if aim is None:
        return
    if detector not in WITH_AIMS:
        names = " or ".join(WITH_AIMS)
        got = detector if isinstance(detector, str) else type(detector).__name__
        raise UserError(
            f"{option('aim')} is for {option('detector')} {names}; got {got}"
        )
    if aim not in AIMS:
        raise UserError(f"aim must be one of {', '.join(map(repr, AIMS))}; got {aim!r}")


def takes_frames(detector: Any) -> bool:
    """Return whether a detector gets the columns as they are, and encodes them."""
    if isinstance(detector, str):
        return DETECTORS[detector] == "AutoNoiseDetector"
    is_auto = isinstance(detector, sknoisy.AutoNoiseDetector)
    return is_auto and detector.detectors is None


def fitted(detector: Any, X: Any, labels: Any, params: dict[str, Any]) -> Any:
    """Return a detector that has scored labels.

    Parameters
    ----------
    detector : str or detector
        One that the user made is cloned.
    X : frame, ndarray or RowSource
    labels : pandas Series
    params : dict
        Parameters of a detector that is given by its name. None of them counts that is
        None; ``n_jobs`` counts where it has one.

    Returns
    -------
    detector : detector
    """
    if isinstance(detector, str):
        params = {name: value for name, value in params.items() if value is not None}
        n_jobs = params.pop("n_jobs", None)
        made = getattr(sknoisy, DETECTORS[detector])(**params)
        if n_jobs is not None and "n_jobs" in made.get_params(deep=False):
            made.set_params(n_jobs=n_jobs)
    else:
        made = clone(detector)
    with refusals(f"{type(made).__name__} cannot score these labels"):
        return made.fit(X, labels)
