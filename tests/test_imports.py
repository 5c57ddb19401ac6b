"""The order of dependence of the rooms, read from the import statements."""

import ast
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
    ("noise", "mixture", "_planting"),
    ("losses",),
    ("nets",),
    ("extending",),
    ("classification",),
    ("detection",),
    ("encoders", "cleaning", "inspection", "persistence", "datasets"),
    ("command_line",),
)
# It loads what it names when it is asked for it; the other one runs the command line.
NO_ROOM = {"sknoisy", "sknoisy.__main__"}
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
