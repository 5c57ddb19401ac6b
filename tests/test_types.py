"""Types of the public surface, and what type checkers and editors see of it."""

import ast
import inspect
from pathlib import Path

import pytest
from test_public_names import rooms

import sknoisy
import sknoisy.detection
from sknoisy import _types

ROOT = Path(sknoisy.__file__).parent
CALLED = {"__init__", "__call__", "__getitem__", "__iter__", "__len__"}


def functions_of(value):
    """Yield a public function, or the public methods of a class that are ours."""
    if inspect.isfunction(inspect.unwrap(value)):
        yield inspect.unwrap(value)
    if not inspect.isclass(value):
        return
    for base in value.__mro__:
        if not base.__module__.startswith("sknoisy"):
            continue
        for name, member in vars(base).items():
            if name.startswith("_") and name not in CALLED:
                continue
            if isinstance(member, property):
                member = member.fget
            function = inspect.unwrap(getattr(member, "__func__", member))
            # Those of dataclasses and named tuples are made from annotated fields.
            if inspect.isfunction(function) and function.__code__.co_filename[0] != "<":
                yield function


def without_types(function):
    """Return the parameters that have no annotation, and "return" if it has none."""
    code = function.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS)
    count += bool(code.co_flags & inspect.CO_VARKEYWORDS)
    names = [*code.co_varnames[:count], "return"]
    known = {"self", "cls", *function.__annotations__}
    return [name for name in names if name not in known]


def surface():
    """Return the functions of all that is public."""
    return {
        f"{function.__module__}.{function.__qualname__}": function
        for room in rooms().values()
        for name in room.__all__
        for function in functions_of(getattr(room, name))
        if function.__module__.startswith("sknoisy")
    }


def test_every_public_signature_is_annotated():
    found = surface()
    assert len(found) > 300
    bare = {name: without_types(function) for name, function in found.items()}
    assert {name: names for name, names in bare.items() if names} == {}


def test_a_bare_signature_would_be_found():
    def bare(a, b: int, *args: int, c, **kwargs):
        pass

    assert sorted(without_types(bare)) == ["a", "c", "kwargs", "return"]


def test_names_of_types_are_all_exported():
    tree = ast.parse(Path(_types.__file__).read_text(encoding="utf-8"))
    aliases = [n.target.id for n in tree.body if isinstance(n, ast.AnnAssign)]
    assert sorted([*aliases, "ArrayLike", "Fitted"]) == sorted(_types.__all__)


def test_the_package_says_that_it_has_types():
    # hatchling packs all files of the folder.
    assert (ROOT / "py.typed").is_file()


@pytest.mark.parametrize("room", [sknoisy, sknoisy.detection], ids=lambda m: m.__name__)
def test_type_checkers_see_the_names_that_load_on_first_use(room):
    tree = ast.parse(Path(room.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    prefix = "" if room is sknoisy else room.__name__ + "."
    assert seen == {name: prefix + home for name, home in room._HOME.items()}
    assert room.__all__ == sorted(room._HOME)
    written = next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    )
    assert ast.literal_eval(written) == room.__all__
