"""Defaults are those that docstrings promise, many of them published values."""

import ast
import importlib
import inspect
import re

import pytest

MODULES = [
    *("sknoisy", "sknoisy.losses", "sknoisy.nets", "sknoisy.noise"),
    *("sknoisy.mixture", "sknoisy.inspection"),
]
# "a, b : float, default=0.5, the value of [1]_" in a section of parameters.
DEFAULT = re.compile(
    r"^ *(?P<names>\*?\w+(?:, \w+)*) : [^\n]*(?:\n +[^\n:]*?)?default=(?P<value>"
    r"\([^)]*\)|\[[^]]*\]|\"[^\"]*\"|[^\s,;]+)",
    re.MULTILINE,
)


def documented_defaults(public):
    """Yield names of parameters, and the literals that stand for their defaults."""
    text = inspect.getdoc(public) or ""
    _, _, text = text.partition("Parameters\n----------\n")
    text = re.split(r"\n\n\w[\w ]*\n-+\n", text)[0]
    for match in DEFAULT.finditer(text):
        try:
            value = ast.literal_eval(match["value"])
        except (SyntaxError, ValueError):
            continue
        # Parameters that share an entry may differ: their defaults are in its order.
        yield match["names"].split(", ")[0], value


@pytest.mark.parametrize("module", MODULES)
def test_documented_defaults_are_those_of_the_signature(module):
    module = importlib.import_module(module)
    n_checked, wrong = 0, []
    for name in module.__all__:
        public = getattr(module, name)
        if not callable(public):
            continue
        parameters = inspect.signature(public).parameters
        for parameter, documented in documented_defaults(public):
            n_checked += 1
            if parameter not in parameters:
                continue
            default = parameters[parameter].default
            if default != documented:
                wrong.append(f"{name}({parameter}={default!r}): {documented!r}")
    assert not wrong
    assert n_checked > 3
