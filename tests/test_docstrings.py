"""Public docstrings describe each parameter and each result."""

import importlib
import inspect
import pkgutil

import pytest

import sknoisy

validate = pytest.importorskip(
    "numpydoc.validate", reason="numpydoc is not there; it comes with the extra docs"
).validate

# numpydoc's names: parameters that are missing or not described, and results.
CODES = {"PR01", "PR07", "RT01", "RT03"}
EXTENDING = "sknoisy.extending"


def rooms():
    """Return the modules whose names are public."""
    found = [sknoisy, *map(importlib.import_module, ("sknoisy.base", EXTENDING))]
    for room in pkgutil.iter_modules(sknoisy.__path__, "sknoisy."):
        if room.ispkg and not room.name.rpartition(".")[2].startswith("_"):
            found.append(importlib.import_module(room.name))
    return found


def own_methods(kind):
    """Yield the methods of a class that no documented base has already.

    An override says what it does differently; its parameters are described in the
    base, ours or that of skorch or scikit-learn.
    """
    for name in dir(kind):
        method = inspect.getattr_static(kind, name)
        if isinstance(method, property):
            method = method.fget
        method = inspect.unwrap(getattr(method, "__func__", method))
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        if not method.__module__.startswith("sknoisy"):
            continue
        mro = list(kind.__mro__)
        owner = next(index for index, base in enumerate(mro) if name in vars(base))
        bases = [base for base in mro[owner + 1 :] if name in vars(base)]
        if all(base.__module__.startswith("torch") for base in bases):
            yield method


def documented():
    """Return all public names, as numpydoc looks them up."""
    found = {}
    for room in rooms():
        for name in room.__all__:
            value = getattr(room, name)
            if not callable(value) or not value.__module__.startswith("sknoisy"):
                continue
            parts = [value, *(own_methods(value) if inspect.isclass(value) else ())]
            for part in parts:
                found[f"{part.__module__}.{part.__qualname__}"] = part
    return sorted(found)


@pytest.mark.slow
def test_public_docstrings_describe_parameters_and_results():
    names = documented()
    assert len(names) > 200
    faults = [
        f"{name}: {code} {text}"
        for name in names
        for code, text in validate(name)["errors"]
        if code in CODES
    ]
    assert faults == []
