"""Type checks of the arguments of functions and losses.

They come before comparisons with bounds, which raise errors for a list that do not name
the argument.
"""

from __future__ import annotations

from collections.abc import Container
from numbers import Integral, Real
from typing import Any

__all__ = ["check_counts", "check_reals", "check_shape", "is_one_of"]


def check_reals(**values: Any) -> None:
    """Raise an error for arguments that are not numbers.

    Parameters
    ----------
    **values : object
        The arguments, by their names.

    Raises
    ------
    TypeError
        If one is not a number.
    ValueError
        If one is an integer that torch cannot represent.
    """
    for name, value in values.items():
        if not isinstance(value, Real):
            raise TypeError(f"{name} must be a number; got {value!r}.")
        if isinstance(value, Integral) and not -(2**63) <= int(value) < 2**63:
            raise ValueError(
                f"{name} must be a float, or an integer below 2**63; got {value!r}."
            )


def check_counts(least: int = 1, **values: Any) -> None:
    """Raise an error for arguments that are not integers, or are too small.

    Parameters
    ----------
    least : int, default=1
        The smallest allowed number.
    **values : object
        The arguments, by their names.

    Raises
    ------
    TypeError
        If one is not an integer.
    ValueError
        If one is below ``least``.
    """
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"{name} must be an integer; got {value!r}.")
        if value < least:
            raise ValueError(f"{name} must be at least {least}; got {value!r}.")


def check_shape(**values: Any) -> None:
    """Raise an error for arguments that are not shapes.

    Parameters
    ----------
    **values : object
        The arguments, by their names.

    Raises
    ------
    TypeError
        If one is not a tuple or list of integers.
    ValueError
        If a number is below 1.
    """
    for name, value in values.items():
        is_tuple = isinstance(value, tuple | list)
        if not is_tuple or not all(isinstance(size, Integral) for size in value):
            raise TypeError(
                f"{name} must be a tuple of integers, the shape of a row of X; "
                f"got {value!r}."
            )
        if min(value, default=0) < 1:
            raise ValueError(f"{name} must hold numbers of at least 1; got {value!r}.")


def is_one_of(value: Any, words: Container[str]) -> bool:
    """Return whether an argument is one of some words.

    Parameters
    ----------
    value : object
        Of any type; values that are not strings give False.
    words : container of str

    Returns
    -------
    flag : bool
    """
    return isinstance(value, str) and value in words
