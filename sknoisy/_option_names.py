"""How messages name parameters: as those of Python, or as options of a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["as_options", "option"]

_are_options: ContextVar[bool] = ContextVar("sknoisy_option_names", default=False)


@contextmanager
def as_options() -> Iterator[None]:
    """Name parameters as options of a command in a block, for this thread."""
    token = _are_options.set(True)
    try:
        yield
    finally:
        _are_options.reset(token)


def option(name: str, value: str | list[str] | bool | None = None) -> str:
    """Return how a user writes a parameter.

    Parameters
    ----------
    name : str
        Of the parameter in Python.
    value : str, list of one str, bool or None, default=None
        What to pass; None names the parameter alone.

    Returns
    -------
    text : str

    Examples
    --------
    >>> from sknoisy._option_names import as_options, option
    >>> option("image_size"), option("decimal", ",")
    ('image_size', "decimal=','")
    >>> with as_options():
    ...     option("image_size"), option("decimal", ","), option("dayfirst", True)
    ('--image-size', '--decimal ,', '--dayfirst')
    """
    if not _are_options.get():
        return name if value is None else f"{name}={value!r}"
    words = f"--{name.replace('_', '-')}"
    if value is None or value is True:
        return words
    if isinstance(value, str) and value.strip(" '") == value:
        return f"{words} {value}"
    return f"{words} {value[0]!r}" if isinstance(value, list) else f"{words} {value!r}"
