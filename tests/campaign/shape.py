"""Print the shape of the nets: classes, overridden names, frames to a gradient, lines.

``python tests/campaign/shape.py`` looks at the sknoisy that is imported: with
PYTHONPATH set to another checkout it prints that one's, to compare two commits.
"""

import inspect
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch
from skorch import NeuralNet, NeuralNetClassifier

import sknoisy
import sknoisy.classification
from sknoisy import DynaCorDetector, FlywheelClassifier, NetClassifier

ROOT = Path(sknoisy.__file__).parents[1]
SKORCH = (NeuralNetClassifier, NeuralNet)
_NET = NetClassifier.__mro__
_QUICK = {"max_epochs": 2, "random_state": 0}


class Reached(Exception):
    """The first gradient is about to be computed."""


def is_member(value):
    """Return whether a class's entry is a method or a property, no plain value."""
    return inspect.isfunction(value) or isinstance(value, property)


def ours(cls):
    """Return the classes of sknoisy among those that a class derives from."""
    return [kind for kind in cls.__mro__ if kind.__module__.startswith("sknoisy")]


def overridden_skorch_members():
    """Return the names of skorch's methods and properties that our net defines anew."""
    theirs = {n for kind in SKORCH for n, v in vars(kind).items() if is_member(v)}
    found = {n for kind in ours(NetClassifier) for n, v in vars(kind).items()}
    return sorted(theirs & found)


def overridden_names(cls):
    """Return what a method defines anew of all that a net has."""
    own = {n for kind in cls.__mro__ if kind not in _NET for n in vars(kind)}
    known = {n for kind in _NET if kind is not object for n in vars(kind)}
    return sorted(
        name
        for name in own & known
        if not _is_automatic(name)
        # The link to the documentation is the same for all.
        and inspect.getattr_static(cls, name)
        is not inspect.getattr_static(NetClassifier, name)
    )


def stack_at_the_gradient(estimator):
    """Return the frames from ``fit`` to the first gradient, without this file's."""
    stacks, backward = [], torch.Tensor.backward

    def stop(self, *args, **kwargs):
        stacks.append(traceback.extract_stack()[:-1])
        raise Reached

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3
    torch.Tensor.backward = stop
    try:
        estimator.fit(X, y)
    except Reached:
        pass
    finally:
        torch.Tensor.backward = backward
    here = Path(__file__).name
    return [frame for frame in stacks[0] if Path(frame.filename).name != here]


def lines_of(room):
    """Return the number of lines of Python in a folder."""
    return sum(
        len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / room).rglob("*.py")
    )


def report_classes():
    """Print the classes of each net, and what methods override."""
    print(f"overridden members of skorch: {len(overridden_skorch_members())}")
    print("   ", ", ".join(overridden_skorch_members()))
    names = sknoisy.classification.__all__
    values = [getattr(sknoisy.classification, name) for name in names]
    methods = [cls for cls in values if inspect.isclass(cls)]
    methods = [cls for cls in methods if issubclass(cls, NetClassifier)]
    for cls in (NetClassifier, *methods):
        kinds = [kind.__name__ for kind in ours(cls)]
        print(f"{cls.__name__}: {len(kinds)} classes of ours ({', '.join(kinds)})")
        if cls is not NetClassifier:
            own = overridden_names(cls)
            print(f"    overrides {len(own)}: {', '.join(own)}")
    everything = {name for cls in methods for name in overridden_names(cls)}
    print(f"names that methods override, all together: {len(everything)}")
    print("   ", ", ".join(sorted(everything)))


def report_frames():
    """Print how far it is from a fit to the gradient."""
    for estimator in (DynaCorDetector(**_QUICK), FlywheelClassifier(**_QUICK)):
        stack = stack_at_the_gradient(estimator)
        own = [f for f in stack if Path(f.filename).is_relative_to(ROOT / "sknoisy")]
        files = len({frame.filename for frame in stack})
        own_files = len({frame.filename for frame in own})
        print(
            f"{type(estimator).__name__}().fit to the gradient: {len(stack)} frames in "
            f"{files} files, of them ours {len(own)} in {own_files}"
        )
        for frame in stack:
            print(f"    {'/'.join(Path(frame.filename).parts[-3:])}: {frame.name}")


def report_lines():
    """Print the lines of library and tests, and the longest files of the nets."""
    print(f"lines: library {lines_of('sknoisy')}, tests {lines_of('tests')}")
    rooms = ("nets", "losses", "classification")
    paths = [path for room in rooms for path in (ROOT / "sknoisy" / room).glob("*.py")]
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    for path in sorted(sizes, key=sizes.get, reverse=True)[:6]:
        print(f"    {sizes[path]} {path.relative_to(ROOT)}")


def _is_automatic(name):
    is_dunder = name.startswith("__") and name not in ("__init__", "__getstate__")
    return is_dunder or name == "_sklearn_auto_wrap_output_keys" or "_request" in name


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(f"sknoisy of {ROOT}, Python {sys.version.split()[0]}")
    report_classes()
    report_frames()
    report_lines()
