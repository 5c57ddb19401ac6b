"""Show a page where a person is: in a notebook, or in a browser."""

from __future__ import annotations

import html
import sys
import webbrowser
from importlib import import_module
from pathlib import Path
from typing import Any

from sknoisy._warning import warn_user

__all__ = ["embedded", "in_notebook", "open_page"]

# What a page needs: its script, its storage, and to save files.
_SANDBOX = "allow-scripts allow-same-origin allow-downloads"


def in_notebook() -> bool:
    """Return whether this code runs in a kernel of Jupyter, such as a notebook's.

    IPython is not imported for it: in a notebook it is there.
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def embedded(page: str) -> Any:
    """Return a page as a frame for a notebook.

    Parameters
    ----------
    page : str

    Returns
    -------
    frame : IPython.display.HTML
    """
    # In a div: IPython warns of HTML that begins with a frame.
    return import_module("IPython.display").HTML(
        f'<div><iframe title="Label review" sandbox="{_SANDBOX}" '
        'style="width: 100%; height: 45rem; border: 1px solid gray" '
        f'srcdoc="{html.escape(page)}"></iframe></div>'
    )


def open_page(path: Path) -> None:
    """Open a page in the browser.

    Parameters
    ----------
    path : Path

    Warns
    -----
    UserWarning
        If there is no browser.
    """
    try:
        is_open = webbrowser.open(path.absolute().as_uri())
    except webbrowser.Error:
        is_open = False
    if not is_open:
        warn_user(f"no browser could be opened; open {path} yourself.")
