"""Progress of a fit: a bar, or lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sknoisy._progress_display import Display, make_display

__all__ = ["Progress", "current", "muted", "progress"]

_innermost: ContextVar[Progress | None] = ContextVar("sknoisy_progress", default=None)


def progress(
    total: int,
    description: str,
    verbose: int = 1,
    *,
    unit: str | None = "step",
    done: int = 0,
    leave: bool = True,
) -> Progress:
    """Return a progress bar, to be used in a ``with`` statement.

    While a bar is open, further bars of the same thread are not shown separately: they
    refine it. A detector that trains ten networks has one bar, which moves with every
    epoch of every network, whatever their ``verbose``.

    Parameters
    ----------
    total : int
        Number of steps.
    description : str
        What is running, for example the name of a class.
    verbose : int, default=1
        0 shows nothing, unless there is an open bar to refine.
    unit : str, default="step"
        Name of a step, such as "epoch" or "fold". None hides the count.
    done : int, default=0
        Steps that are already done.
    leave : bool, default=True
        Whether the bar stays when it is closed.

    Returns
    -------
    bar : Progress

    Examples
    --------
    >>> from sknoisy._progress import progress
    >>> with progress(3, "Counting", verbose=0) as bar:
    ...     for number in range(3):
    ...         bar.advance(loss=1 / (number + 1))
    """
    return Progress(total, description, verbose, unit, done, leave)


def current() -> Progress | None:
    """Return the innermost open bar of this thread, or None."""
    return _innermost.get()


@contextmanager
def muted() -> Iterator[None]:
    """Show no bar in a block, whatever the ``verbose`` of what is fitted there."""
    bar = progress(1, "", verbose=0)
    # It is open, so that others refine it; it has no display.
    bar.is_shown = True
    token = _innermost.set(bar)
    try:
        yield
    finally:
        _innermost.reset(token)


class Progress:
    """A bar that is shown on stderr, refines another one, or does nothing.

    On a terminal it is a live line, and in a notebook a widget (without ipywidgets a
    line of text). Elsewhere, for example in a log, it prints a line for every tenth of
    the work, at least ten seconds apart, and one at the end. Errors while showing it
    are ignored.

    Parameters
    ----------
    total, description, verbose, unit, done, leave
        As in `progress`.

    Attributes
    ----------
    total : int
        Number of steps; may be changed while the bar is open.
    done : int
        Steps that have been done.
    description : str
        What is running.
    verbose : int
        As passed to the constructor.
    is_shown : bool
        Whether the bar is open and not silent.
    """

    def __init__(
        self,
        total: int,
        description: str,
        verbose: int,
        unit: str | None,
        done: int,
        leave: bool,
    ) -> None:
        self.total = total
        self.is_shown = False
        self.description = description
        self.verbose = verbose
        self._unit = unit
        self.done = done
        self._leave = leave
        self._shown: dict[str, Any] = {}
        self._part, self._ahead = 0.0, 1
        self._outer: Progress | None = None
        self._inner: Progress | None = None
        self._display: Display | None = None

    def __enter__(self) -> Progress:
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close(failed=error[0] is not None)

    def open(self) -> None:
        """Show the bar."""
        self._outer = _innermost.get()
        self.is_shown = self._outer is not None or self.verbose > 0
        if not self.is_shown:
            return
        if self._outer is None:
            self._safely(self._make_display)
        else:
            self._outer._inner = self
        self._refresh()
        # Last, so that an earlier interruption does not leave an open bar.
        _innermost.set(self)

    def advance(self, n: int = 1, **shown: Any) -> None:
        """Record that steps are done.

        Parameters
        ----------
        n : int, default=1
            Number of steps; 0 only changes the shown values.
        **shown : number or str
            Values to show beside the bar until they are set again, such as
            ``loss=0.5``. ``now`` is the current activity, which is not shown once the
            bar is closed.
        """
        if not self.is_shown:
            return
        self.done += n
        self._shown.update(shown)
        if n:
            self._part, self._ahead = 0.0, 1
        self._refresh()

    def begin(self, n: int = 1, **shown: Any) -> None:
        """Set the number of steps of the next part, which inner bars refine.

        Parameters
        ----------
        n : int, default=1
            The argument of the call of `advance` at the end of the part.
        **shown : number or str
            As in `advance`.
        """
        self._ahead = n
        self.advance(0, **shown)

    def write(self, line: str, file: Any = None) -> None:
        """Write a line above the bar.

        Parameters
        ----------
        line : str
        file : stream, default=None
            None writes to the stream of the bar, if one is shown.
        """
        root = self._root()
        if self.is_shown and root._display is not None:
            root._safely(root._display.write, line, file)
        elif file is not None:
            print(line, file=file, flush=True)

    def close(self, failed: bool = False) -> None:
        """Close the bar.

        Parameters
        ----------
        failed : bool, default=False
            Whether an error is the reason, which notebooks show in red.
        """
        if not self.is_shown:
            return
        self._step_back()
        self.is_shown = False
        if self._outer is not None:
            self._outer._end_of_inner(self)
        elif self._display is not None:
            self._inner = None
            self._shown.pop("now", None)
            end = self._display.close
            self._safely(end, self._text, self._fraction(), self._leave, failed)
            self._display = None

    def _make_display(self) -> None:
        self._display = make_display(self.description, self._fraction())

    def _safely(self, act: Any, *args: Any) -> None:
        """Call a function of the display; stop showing the bar if it fails.

        A stream may be closed or full, and a replacement of stderr may raise any error.
        """
        try:
            act(*args)
        except Exception:
            if self._display is not None:
                self._display.give_up()
            self._display = None

    def _step_back(self) -> None:
        """Make the outer bar the innermost; bars inside this one end with it."""
        bar = _innermost.get()
        while bar is not None and bar is not self:
            bar = bar._outer
        if bar is self:
            _innermost.set(self._outer)

    def _end_of_inner(self, inner: Progress) -> None:
        if self._inner is inner:
            self._part = max(self._part, inner._fraction())
            self._inner = None

    def _root(self) -> Progress:
        bar = self
        while bar._outer is not None:
            bar = bar._outer
        return bar

    def _refresh(self) -> None:
        root = self._root()
        display = root._display
        if display is None:
            return
        now = time.monotonic()
        if display.may_be_due(now):
            root._safely(display.show, root._text, root._fraction(), now)

    def _fraction(self) -> float:
        """Return the share of the work that is done, including that of inner bars."""
        if self._inner is not None:
            # Several trainings may be part of one step: never move back.
            self._part = max(self._part, self._inner._fraction())
        done = self.done + self._part * self._ahead
        return min(done / max(self.total, 1), 1.0)

    def _text(self, room: int | None = None) -> str:
        """Return counts, then values; the last ones are dropped if there is no room."""
        counts: list[str] = []
        values: dict[str, str] = {}
        bar: Progress | None = self
        while bar is not None:
            if bar._unit == "epoch" or (bar._unit and bar.total > 1):
                number = min(bar.done + (bar._inner is not None), bar.total)
                counts.append(f"{bar._unit} {number}/{bar.total}")
            values |= {name: _format(name, v) for name, v in bar._shown.items()}
            bar = bar._inner
        parts = [*counts, *values.values()]
        while room is not None and parts and len(", ".join(parts)) > room:
            parts.pop()
        return ", ".join(parts)


def _format(name: str, value: Any) -> str:
    number = f"{value:.3g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {number}"
