"""The order of dependence of the rooms, read from the import statements."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn.base
import sklearn.utils.metaestimators
from skorch import NeuralNet

import sknoisy

ROOT = Path(sknoisy.__file__).parent

# A room imports rooms of earlier lines and itself, none of its own line.
ORDER = (
    ("foundation",),
    ("noise", "mixture", "_tables"),
    ("_planting",),
    ("losses",),
    ("nets",),
    ("extending",),
    ("classification",),
    ("detection",),
    ("encoders", "cleaning", "inspection", "persistence", "datasets"),
    ("auditing",),
    ("command_line",),
)
# It loads what it names when it is asked for it; the other one runs the command line.
NO_ROOM = {"sknoisy", "sknoisy.__main__"}
# A quick audit loads no torch: no module of these rooms does, ...
ROOMS_WITHOUT_TORCH = (
    *("foundation", "noise", "mixture", "_tables", "_planting"),
    *("encoders", "cleaning", "datasets", "auditing", "command_line"),
)
# ... and of other rooms none of these modules and of those in them.
WITHOUT_TORCH = (
    "sknoisy.detection._auto",
    "sknoisy.detection._competitors",
    "sknoisy.detection._confident",
    "sknoisy.detection._confident_learning",
    "sknoisy.detection._embeddings",
    "sknoisy.detection._fine",
    "sknoisy.detection._neighbor_vote",
    "sknoisy.persistence._saving",
)
# Hooks that scikit-learn's guide for developers names, or that IPython calls.
HOOKS = {
    "_parameter_constraints",
    "_n_features_out",
    "_estimator_type",
    "_repr_html_",
    "_repr_mimebundle_",
    "_doc_link_module",
    "_doc_link_template",
    "_doc_link_url_param_generator",
}


def _module_name(file):
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {
    _module_name(file): ast.parse(file.read_text(encoding="utf-8"))
    for file in ROOT.rglob("*.py")
}


def _imported(module):
    """Modules of the package that a module imports, on whatever level it does so."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in TREES)
        elif isinstance(node, ast.ImportFrom) and node.module in TREES:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in TREES else node.module


IMPORTS = {module: set(_imported(module)) - {module} for module in TREES}


def _room(module):
    room = module.split(".")[1]
    is_file = room == "base" or (room[0] == "_" and not (ROOT / room).is_dir())
    return "foundation" if is_file else room


def _circle(imports):
    """Return the modules of one circle, in order; None if there is none."""
    done, path = set(), []

    def visit(module):
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return None
        path.append(module)
        found = next(filter(None, map(visit, sorted(imports[module]))), None)
        path.pop()
        done.add(module)
        return found

    return next(filter(None, map(visit, sorted(imports))), None)


def test_every_room_has_its_place():
    placed = {room for line in ORDER for room in line}
    assert {_room(module) for module in TREES.keys() - NO_ROOM} <= placed


def test_rooms_import_earlier_rooms_only():
    line_of = {room: line for line, rooms in enumerate(ORDER) for room in rooms}
    upward = [
        f"{module} imports {target}"
        for module, targets in IMPORTS.items()
        for target in targets
        if not {module, target} & NO_ROOM
        and _room(module) != _room(target)
        and line_of[_room(module)] <= line_of[_room(target)]
    ]
    assert not upward


def test_no_modules_import_each_other():
    # The package loads what it names when it is asked for it, and not before.
    imports = {**IMPORTS, "sknoisy": set()}
    assert _circle(imports) is None


def test_a_circle_would_be_found():
    imports = {"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}
    assert _circle(imports) == ["b", "d"]
    assert _circle({**imports, "d": {"c"}}) is None


def _names_taken(tree):
    """Yield what is imported, and attributes with an underscore in front."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            yield ast.unparse(node)


TAKEN = {module: set(_names_taken(tree)) for module, tree in TREES.items()}


def _private(names, package):
    """Return those names that are private parts of a package."""
    return [
        name
        for name in names
        if name.startswith(f"{package}.")
        and any(p[0] == "_" and p[:2] != "__" for p in name.split(".") if p)
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from sklearn.utils import _safe_indexing", True),
        ("from sklearn.utils._param_validation import Interval", True),
        ("import sklearn.tree._tree", True),
        ("sklearn.utils.validation._num_samples(X)", True),
        ("from sklearn.utils import check_array", False),
        ("sklearn.__version__", False),
    ],
)
def test_private_names_are_seen(line, found):
    assert bool(_private(_names_taken(ast.parse(line)), "sklearn")) is found


def test_private_scikit_learn_is_imported_in_one_file():
    found = [m for m, names in TAKEN.items() if _private(names, "sklearn")]
    assert found == ["sknoisy._validation"]


def test_private_torch_is_used_in_one_file():
    found = [m for m, names in TAKEN.items() if _private(names, "torch")]
    assert found == ["sknoisy.nets._many_tensors"]


def test_private_skorch_is_not_imported():
    assert not [m for m, names in TAKEN.items() if _private(names, "skorch")]


def test_private_methods_of_scikit_learn_are_called_in_one_file():
    classes = (sklearn.base, sklearn.utils.metaestimators)
    private = {
        name
        for module in classes
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__.startswith("sklearn")
        for name in dir(kind)
        if name.startswith("_") and not name.startswith("__")
    }
    private -= HOOKS
    # Nets call skorch's methods of these names, which call scikit-learn's.
    private -= {name for name in private if name in vars(NeuralNet)}
    assert {"_validate_params", "_get_params"} - set(vars(NeuralNet)) <= private
    own = {
        node.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    found = [
        f"{module}: {name}"
        for module in sorted(set(TREES) - {"sknoisy._validation"})
        for name in TAKEN[module]
        if name.rpartition(".")[2] in private - own
    ]
    assert not found


def _run_on_import(body):
    """Yield the import statements that run when a module is imported."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _run_on_import(node.orelse)
        else:
            for part in ("body", "orelse", "handlers", "finalbody"):
                yield from _run_on_import(getattr(node, part, ()))


def _loaded_by(tree):
    """Return the modules that the import of a module loads, with their packages."""
    names = set()
    for node in _run_on_import(tree.body):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        else:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    parts = [name.split(".") for name in names]
    found = {".".join(p[:n]) for p in parts for n in range(1, len(p) + 1)}
    return {name for name in found if name in TREES or "." not in name}


def _way_to(package, module, loads):
    """Return the modules by whose imports a module loads a package, or None."""
    ways = [[module]]
    seen = {module}
    for way in ways:
        if package in loads[way[-1]]:
            return [*way, package]
        new = sorted((loads[way[-1]] & loads.keys()) - seen)
        seen.update(new)
        ways += [[*way, name] for name in new]
    return None


def test_a_way_to_a_package_is_found():
    code = """
        from typing import TYPE_CHECKING
        import skorch.utils
        if TYPE_CHECKING:
            import pandas
        else:
            from sknoisy.nets import MLP
        try:
            import polars
        except ImportError:
            import numpy as np
        class A:
            import joblib
        def later():
            import torch
    """
    lines = [line[8:] for line in code.splitlines()]
    found = _loaded_by(ast.parse("\n".join(lines)))
    ours = {"sknoisy", "sknoisy.nets"}
    assert found == {"typing", "skorch", "polars", "numpy", "joblib", *ours}
    loads = {"a": {"b", "os"}, "b": {"c"}, "c": {"a", "torch"}}
    assert _way_to("torch", "a", loads) == ["a", "b", "c", "torch"]
    assert _way_to("pandas", "a", loads) is None


def test_torch_is_imported_by_what_trains_networks_only():
    loads = {module: _loaded_by(tree) for module, tree in TREES.items()}
    # For type checkers only.
    del loads["sknoisy._types"]
    free = {
        module
        for module in loads.keys() - NO_ROOM
        if _room(module) in ROOMS_WITHOUT_TORCH
        or f"{module}.".startswith(tuple(f"{name}." for name in WITHOUT_TORCH))
    }
    assert set(WITHOUT_TORCH) < free
    assert _way_to("torch", "sknoisy.nets", loads)
    found = [_way_to("torch", module, loads) for module in sorted(free)]
    assert not list(filter(None, found))


def _printed(code, *args):
    """Return what a new process prints."""
    run = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout


def test_the_package_alone_loads_none_of_its_dependencies():
    code = (
        "import sys, sknoisy; sknoisy.__version__; dir(sknoisy)\n"
        "print({'numpy', 'scipy', 'sklearn', 'pandas', 'torch'} & set(sys.modules))"
    )
    assert _printed(code) == "set()\n"


@pytest.mark.slow
def test_an_audit_without_networks_imports_no_torch(tmp_path):
    code = """
import sys, warnings
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
import sknoisy
from sknoisy.command_line import main
from sknoisy._tables._encoder import TableEncoder

path = sys.argv[1]
y = np.arange(60) % 2
frame = pd.DataFrame({"size": np.random.default_rng(0).normal(size=60) + y, "label": y})
frame.to_csv(f"{path}/table.csv", index=False)
for detector in ("confident-learning", "neighbors", "fine"):
    table = ["audit", f"{path}/table.csv", "--label", "label", "--quiet", "--force"]
    files = ["--issues", f"{path}/issues.csv", "--out", f"{path}/page.html"]
    assert main([*table, *files, "--detector", detector]) == 0
    assert "torch" not in sys.modules, detector
warnings.simplefilter("ignore")
trees = make_pipeline(
    TableEncoder(output="codes"), HistGradientBoostingClassifier(max_iter=2)
)
detectors = [
    ("trees", sknoisy.ConfidentLearningDetector(trees)),
    ("votes", make_pipeline(TableEncoder(), sknoisy.NeighborVoteDetector(n_rounds=1))),
]
auto = sknoisy.AutoNoiseDetector(detectors, n_rounds=1).fit(frame[["size"]], y)
sknoisy.label_report(auto, frame[["size"]], y).to_html(f"{path}/auto.html")
model = sknoisy.CleanedClassifier(auto, HistGradientBoostingClassifier(max_iter=2))
model.fit(frame[["size"]], y)
sknoisy.save(auto, f"{path}/auto")
sknoisy.load(f"{path}/auto")
print("torch" in sys.modules, "skorch" in sys.modules)
"""
    assert _printed(code, tmp_path).splitlines()[-1] == "False False"
