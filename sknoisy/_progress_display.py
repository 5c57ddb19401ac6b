"""Displays of progress: on a terminal, in a notebook, in a log."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any, Protocol

__all__ = ["Display", "make_display"]

Text = Callable[..., str]

_MIN_SECONDS = 0.1
# Shortest and longest time between two lines in a log; in between, a line is printed
# for each tenth of the work.
_LOG_SECONDS = 10
_LOG_PATIENCE = 600
# Columns of a live bar besides its texts: percentage, times and some blocks.
_FURNITURE = 34
_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"


class Display(Protocol):
    """A display of the share of work done, with a text beside it.

    The text is a function of the number of columns, or of None. It is called only if
    the text will be shown.
    """

    def may_be_due(self, now: float) -> bool:
        """Return whether enough time has passed since the last update."""

    def show(self, text: Text, fraction: float, now: float) -> None:
        """Show the share of work done."""

    def write(self, line: str, file: Any) -> None:
        """Write a line above the bar, or to another stream."""

    def close(self, text: Text, fraction: float, leave: bool, failed: bool) -> None:
        """Show the final state, or remove the bar."""

    def give_up(self) -> None:
        """Stop showing anything, after an error of the stream."""
        return None


class _Live(Display):
    """A bar of tqdm: a line that is overwritten, or a widget in a notebook."""

    def __init__(self, description: str, fraction: float, kind: Any) -> None:
        options = {"desc": description, "initial": fraction, "bar_format": _FORMAT}
        if kind is _text_bar():
            # tqdm would use 0 x 0 for a terminal that does not know its size.
            size = {"ncols": _columns(sys.stderr), "nrows": 24}
            options |= {"file": sys.stderr, **size}
        self._bar = kind(total=1.0, **options)
        self._room = _FURNITURE + len(description)
        self._last = -float("inf")

    def may_be_due(self, now: float) -> bool:
        return now - self._last >= _MIN_SECONDS

    def show(self, text: Text, fraction: float, now: float) -> None:
        self._last = now
        self._draw(text, fraction)
        self._bar.refresh()

    def write(self, line: str, file: Any) -> None:
        self._bar.write(line, file=self._bar.fp if file is None else file)

    def close(self, text: Text, fraction: float, leave: bool, failed: bool) -> None:
        self._bar.leave, self._bar.is_failed = leave, failed
        self._draw(text, fraction)
        self._bar.close()

    def give_up(self) -> None:
        self._bar.disable = True

    def _draw(self, text: Text, fraction: float) -> None:
        room = None
        if not self._bar.gui:
            # The window may have been resized.
            self._bar.ncols = columns = _columns(self._bar.fp)
            room = max(columns - self._room, 0)
        self._bar.n = fraction
        self._bar.set_postfix_str(text(room), refresh=False)


class _Log(Display):
    """Lines in a log, from time to time."""

    def __init__(self, description: str, fraction: float) -> None:
        self._description = description
        self._first = fraction
        self._start = self._last = time.monotonic()
        self._tenth = -1
        self._stream = sys.stderr

    def may_be_due(self, now: float) -> bool:
        return now - self._last >= _LOG_SECONDS

    def show(self, text: Text, fraction: float, now: float) -> None:
        tenth = int(10 * fraction)
        is_new = tenth != self._tenth or now - self._last >= _LOG_PATIENCE
        # The end has its own line.
        if fraction == 1 or not is_new:
            return
        self._last, self._tenth = now, tenth
        elapsed, done = now - self._start, fraction - self._first
        times = [_clock(elapsed)]
        if done > 0:
            times.append(f"{_clock(elapsed * (1 - fraction) / done)} left")
        self._say(text, fraction, times)

    def write(self, line: str, file: Any) -> None:
        print(line, file=self._stream if file is None else file, flush=True)

    def close(self, text: Text, fraction: float, leave: bool, failed: bool) -> None:
        # No line for a short step whose bar is not to be kept.
        if leave or self._tenth >= 0:
            end = "took" if fraction == 1 else "stopped after"
            elapsed = _clock(time.monotonic() - self._start)
            self._say(text, fraction, [f"{end} {elapsed}"])

    def _say(self, text: Text, fraction: float, times: list[str]) -> None:
        parts = [f"{fraction:.0%}", text(), *times]
        line = ", ".join(part for part in parts if part)
        self.write(f"{self._description}: {line}", None)


def make_display(description: str, fraction: float) -> Display | None:
    """Return the display that fits stderr; None if there is no stderr."""
    if sys.stderr is None:
        return None
    if _is_notebook():
        return _Live(description, fraction, _notebook_bar() or _text_bar())
    # Several processes would overwrite each other's line.
    is_child = multiprocessing.parent_process() is not None
    if _is_terminal(sys.stderr) and not is_child:
        return _Live(description, fraction, _text_bar())
    return _Log(description, fraction)


def _is_terminal(stream: Any) -> bool:
    # A replacement of stderr may have a method write only.
    return hasattr(stream, "isatty") and stream.isatty()


def _is_notebook() -> bool:
    """Return whether output goes to cells of a notebook such as Jupyter or Colab."""
    if "IPython" not in sys.modules or any(k.startswith("SPYDER") for k in os.environ):
        return False
    shell = sys.modules["IPython"].get_ipython()
    kinds = {kind.__name__ for kind in type(shell).__mro__}
    return "ZMQInteractiveShell" in kinds


@cache
def _notebook_bar() -> Any:
    """Return tqdm's widget; None without ipywidgets, since tqdm would warn."""
    from tqdm import notebook

    if notebook.IProgress is None:
        return None

    class NotebookBar(notebook.tqdm):
        monitor_interval = 0
        is_failed = False

        def display(self, *args: Any, bar_style: Any = None, **kwargs: Any) -> None:
            # Red is for errors; an early stop is not one.
            is_fine = bar_style == "danger" and not self.is_failed
            style = "success" if is_fine else bar_style
            super().display(*args, bar_style=style, **kwargs)

    return NotebookBar


@cache
def _text_bar() -> Any:
    from tqdm.std import tqdm

    class TextBar(tqdm):
        # No monitor thread, since a process with threads should not fork.
        monitor_interval = 0

    return TextBar


def _columns(stream: Any) -> int:
    """Return the width of a terminal, 80 if it is unknown."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        columns = 0
    # Some terminals begin a new line after the last column.
    return columns - 1 if columns > 1 else 80


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
