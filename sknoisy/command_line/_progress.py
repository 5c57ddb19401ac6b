"""A line on the terminal that says what is being done."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_CLEAR = "\r\x1b[K"


@contextmanager
def step(text: str, *, quiet: bool) -> Iterator[None]:
    """Show a line on stderr while something runs, and take it away again.

    Parameters
    ----------
    text : str
    quiet : bool
        True shows nothing. Neither is anything shown if stderr is no terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield
        return
    sys.stderr.write(f"{_CLEAR}sknoisy: {text} ...")
    sys.stderr.flush()
    try:
        yield
    finally:
        sys.stderr.write(_CLEAR)
        sys.stderr.flush()
