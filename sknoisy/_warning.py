"""Warnings that point at the line of the user that led to them."""

import sys
import warnings

__all__ = ["warn_user"]

# Packages whose functions stand between a call of the user's and a warning of ours.
_BETWEEN = frozenset(
    {"contextlib", "functools", "imblearn", "joblib", "sklearn", "sknoisy", "skorch"}
)


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn with the place of the innermost call that is not in a library between.

    A number of frames as ``stacklevel`` would be wrong as soon as an estimator is held
    by another one, or a function is wrapped.

    Parameters
    ----------
    message : str
        What the user is told.
    category : class, default=UserWarning
        Kind of the warning.
    """
    frame, level = sys._getframe(1), 2
    while _is_between(frame) and frame.f_back is not None:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_between(frame) -> bool:
    name = frame.f_globals.get("__name__") or ""
    return name.partition(".")[0] in _BETWEEN
