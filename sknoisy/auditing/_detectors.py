"""The detector of an audit, by its short name or as the user made it."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

import sknoisy
from sknoisy._detector_choices import AIMS, DETECTORS, WITH_AIMS
from sknoisy._option_names import option
from sknoisy._user_errors import UserError, refusals

__all__ = ["by_batches", "check_detector", "fitted", "takes_frames"]

# Detectors that read batches, and those in whose place a network does.
_READS_BATCHES = ("dynacor", "aum", "loss-mixture", "small-loss", "cores")
_AS_NETWORK = ("auto", "confident-learning")
_ROWS_SEEN, _EPOCHS = 1_000_000, (3, 20)


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


def by_batches(detector: Any, aim: str | None, n_rows: int, random_state: Any) -> Any:
    """Return the detector for rows that are read in batches.

    Parameters
    ----------
    detector : str or detector
    aim : str or None
    n_rows : int
    random_state : int, RandomState instance or None

    Returns
    -------
    detector : str or detector
        The same, but for "auto" and "confident-learning" a network that predicts rows
        which it has not learnt.

    Raises
    ------
    UserError
        If it needs all rows at once, or there is an aim that it has not.
    """
    if not isinstance(detector, str) or detector in _READS_BATCHES:
        return detector
    if detector not in _AS_NETWORK:
        names = ", ".join((*_AS_NETWORK, *_READS_BATCHES))
        raise UserError(
            f"{option('detector', detector)} needs all rows in memory; with "
            f"{option('max_memory')} take {names}"
        )
    if aim is not None:
        raise UserError(
            f"with {option('max_memory')}, {option('aim')} is for "
            f"{option('detector', 'dynacor')}"
        )
    # Few passes teach enough where each has many rows.
    n_epochs = min(max(_ROWS_SEEN // n_rows, _EPOCHS[0]), _EPOCHS[1])
    network = sknoisy.NetClassifier(max_epochs=n_epochs, random_state=random_state)
    return sknoisy.ConfidentLearningDetector(network, cv=3, random_state=random_state)


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
