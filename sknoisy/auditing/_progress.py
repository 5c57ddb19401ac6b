"""A progress bar on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sknoisy._progress import progress


@contextmanager
def step(text: str, verbose: int) -> Iterator[None]:
    """Show a progress bar while a step runs; fits within the step refine it.

    The bar is removed at the end. In a log, lines are printed instead, and only for
    long steps.

    Parameters
    ----------
    text : str
    verbose : int
        0 shows nothing.
    """
    with progress(1, text, verbose, leave=False) as bar:
        yield
        bar.advance()
