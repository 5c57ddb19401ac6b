"""Numbers and words that functions and losses are given, checked by their kind.

A comparison with a bound comes after it: of a list it would raise an error that does
not name the argument.
"""

from __future__ import annotations

from collections.abc import Container
from numbers import Integral, Real
from typing import Any

__all__ = ["check_counts", "check_reals", "check_shape", "is_one_of"]


def check_reals(**values: Any) -> None:
    """Refuse arguments that are no numbers.

    Parameters
    ----------
    **values : object
        The arguments, by their names.

    Raises
    ------
    TypeError
        If one is no number.
    ValueError
        If one is an integer that torch cannot hold.
    """
    for name, value in values.items():
        if not isinstance(value, Real):
            raise TypeError(f"{name} must be a number; got {value!r}.")
        if isinstance(value, Integral) and not -(2**63) <= value < 2**63:
            raise ValueError(
                f"{name} must be a float, or an integer below 2**63; got {value!r}."
            )


def check_counts(least: int = 1, **values: Any) -> None:
    """Refuse arguments that are no whole numbers, or too small ones.

    Parameters
    ----------
    least : int, default=1
        The smallest number that is right.
    **values : object
        The arguments, by their names.

    Raises
    ------
    TypeError
        If one is no whole number.
    ValueError
        If one is below ``least``.
    """
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"{name} must be a whole number; got {value!r}.")
        if value < least:
            raise ValueError(f"{name} must be at least {least}; got {value!r}.")


def check_shape(**values: Any) -> None:
    """Refuse arguments that are no shapes.

    Parameters
    ----------
    **values : object
        The arguments, by their names.

    Raises
    ------
    TypeError
        If one is no tuple of whole numbers.
    ValueError
        If a number is below 1.
    """
    for name, value in values.items():
        is_tuple = isinstance(value, tuple | list)
        if not is_tuple or not all(isinstance(size, Integral) for size in value):
            raise TypeError(
                f"{name} must be a tuple of whole numbers, the shape of a row of X; "
                f"got {value!r}."
            )
        if min(value, default=0) < 1:
            raise ValueError(f"{name} must hold numbers of at least 1; got {value!r}.")


def is_one_of(value: Any, words: Container[str]) -> bool:
    """Whether an argument is one of some words.

    Parameters
    ----------
    value : object
        Of any type: an array cannot be looked up among words.
    words : container of str

    Returns
    -------
    flag : bool
    """
    return isinstance(value, str) and value in words
