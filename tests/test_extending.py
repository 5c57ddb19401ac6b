"""The public home of what methods are made of."""

import ast
import inspect
from pathlib import Path

import pytest
from test_public_names import imported_for_types

import sknoisy.classification
from sknoisy import extending


def test_each_name_is_documented_and_described():
    for name in extending.__all__:
        value = getattr(extending, name)
        assert not callable(value) or inspect.getdoc(value), name
        is_table = isinstance(value, dict)
        assert is_table or f"`{name}`" in extending.__doc__, name
        assert not name.startswith("_")


@pytest.mark.parametrize(
    ("table", "owner"),
    [
        (extending.SEAMS, extending.NetClassifier),
        (extending.DECLARATIONS, extending.NetClassifier),
        (extending.SCORE_SEAMS, extending.RobustNetMixin),
    ],
    ids=["seams", "declarations", "seams of scores"],
)
def test_seams_and_declarations_are_there_to_override(table, owner):
    for name, purpose in table.items():
        assert any(name in vars(base) for base in owner.__mro__)
        assert purpose[-1] != "." and len(purpose) > 10


def test_the_mixin_comes_first_among_the_bases():
    class Right(extending.RobustNetMixin, extending.NetClassifier):
        """Has noise scores."""

    class Derived(Right):
        """Has them too."""

    message = (
        r"Wrong would have no noise scores: .* before RobustNetMixin .* Write "
        r"class Wrong\(RobustNetMixin, NetClassifier\)"
    )
    with pytest.raises(TypeError, match=message):
        type("Wrong", (extending.NetClassifier, extending.RobustNetMixin), {})


def imported(path):
    """Return the modules of sknoisy that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] == "sknoisy"}


def test_a_method_needs_nothing_else():
    room = Path(sknoisy.classification.__file__).parent
    assert imported(room / "_jocor.py") == {"sknoisy.extending"}


def test_shipped_methods_take_from_it_what_it_has():
    room = Path(sknoisy.classification.__file__).parent
    shared = {*extending.__all__, *imported_for_types(inspect.getsource(extending))}
    for path in sorted(room.glob("_[a-z]*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or node.module[:8] != "sknoisy.":
                continue
            names = {alias.name for alias in node.names}
            if node.module != "sknoisy.extending":
                assert not names & shared, f"{path.name}: {node.module}"
