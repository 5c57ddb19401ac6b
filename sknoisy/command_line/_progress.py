"""A bar on stderr that says what is being done, and how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sknoisy._progress import progress


@contextmanager
def step(text: str, *, quiet: bool) -> Iterator[None]:
    """Show a bar while something runs, refined by what is fitted meanwhile.

    It is taken away at the end. In a log there are lines, of what takes long only.

    Parameters
    ----------
    text : str
    quiet : bool
        True shows nothing.
    """
    with progress(1, text, not quiet, leave=False) as bar:
        yield
        bar.advance()
