"""Warnings that point at the line in the user's code."""

import sys
import warnings

__all__ = ["warn_user"]

# Packages whose frames are skipped to find the user's line.
_BETWEEN = frozenset(
    {"contextlib", "functools", "imblearn", "joblib", "sklearn", "sknoisy", "skorch"}
)


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost frame that is not in one of the skipped packages.

    A fixed ``stacklevel`` would be wrong if an estimator is part of another one, or a
    function is wrapped.

    Parameters
    ----------
    message : str
        Text of the warning.
    category : class, default=UserWarning
        Category of the warning.
    """
    frame, level = sys._getframe(1), 2
    while _is_between(frame) and frame.f_back is not None:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_between(frame) -> bool:
    name = frame.f_globals.get("__name__") or ""
    return name.partition(".")[0] in _BETWEEN
