"""Versions of the packages that a stored file depends on."""

import functools
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

__all__ = ["differing_versions", "installed_versions"]

_PACKAGES = ("numpy", "scikit-learn", "sknoisy", "skorch", "torch")
_LONGEST = 40


def installed_versions() -> dict[str, str | None]:
    """Return the version of each relevant package, torch only if it was imported.

    Returns
    -------
    versions : dict of str to str or None
    """
    is_used = "torch" in sys.modules
    return {
        package: _version(package)
        for package in _PACKAGES
        if is_used or package not in ("skorch", "torch")
    }


def differing_versions(saved: Mapping[str, object]) -> str:
    """Return a text on the versions that differ from the installed ones.

    Parameters
    ----------
    saved : mapping of str to str or None
        Versions in a file, by package.

    Returns
    -------
    difference : str
        For example "numpy 2.0 (here 2.1)"; empty if all are the same.
    """
    return ", ".join(
        f"{package} {_shown(theirs)} (here {_version(package)})"
        for package, theirs in saved.items()
        if package in _PACKAGES and theirs != _version(package)
    )


@functools.cache
def _version(package: str) -> str | None:
    if package == "sknoisy":
        from sknoisy import __version__

        return __version__
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _shown(text: object) -> str:
    """Return a text from a file, shortened and without control characters."""
    shown = str(text)[:_LONGEST]
    return "".join(letter if letter.isprintable() else "?" for letter in shown)
