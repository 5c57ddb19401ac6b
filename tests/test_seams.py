"""Methods override the seams of `NetClassifier`, and nothing else."""

import re
from inspect import getattr_static
from pathlib import Path

import pytest
from public_estimators import public_estimators

from sknoisy import NetClassifier
from sknoisy.extending import (
    DECLARATIONS,
    SCORE_SEAMS,
    SEAMS,
    RobustNetMixin,
    Step,
)

ROOT = Path(__file__).parents[1]
METHODS = [
    cls
    for cls in public_estimators()
    if issubclass(cls, NetClassifier) and cls is not NetClassifier
]
# What Python, scikit-learn and the net write into each class by themselves.
BY_ITSELF = {
    *("__dict__", "__doc__", "__module__", "__weakref__", "__qualname__"),
    *("__firstlineno__", "__static_attributes__", "__annotations__"),
    *("_sklearn_auto_wrap_output_keys", "set_score_request", "__signature__"),
    # It checks the class, and changes nothing of the net.
    "__init_subclass__",
}
# A method that is no robust classifier, and what it overrides beyond the seams.
BEYOND = {
    "DynamicsClassifier": {
        "get_split_datasets": "it holds rows out by itself, where the user does not",
        "__sklearn_tags__": "it takes two classes only",
    }
}


def members(classes):
    """Return all names that classes define, but for those that come by themselves."""
    return {name for cls in classes for name in vars(cls)} - BY_ITSELF


def overridden(method):
    """Return what a method and its mixins define anew of what `NetClassifier` has."""
    net = [cls for cls in NetClassifier.__mro__ if cls is not object]
    own = [cls for cls in method.__mro__ if cls not in NetClassifier.__mro__]
    anew = (members(own) & members(net)) - {"__init__"}
    # The link to the documentation is the same for all.
    return {
        name
        for name in anew
        if getattr_static(method, name) is not getattr_static(NetClassifier, name)
    }


def beyond_the_seams(method):
    """Return what a method overrides and may not."""
    allowed = {*SEAMS, *DECLARATIONS, *BEYOND.get(method.__name__, ())}
    return sorted(overridden(method) - allowed)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_overrides_seams_only(method):
    assert beyond_the_seams(method) == [], (
        f"{method.__name__} overrides what sknoisy.extending.SEAMS does not name"
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_method_overrides_seams_of_scores_only(method):
    mixin = [cls for cls in RobustNetMixin.__mro__ if cls is not object]
    own = [cls for cls in method.__mro__ if cls not in NetClassifier.__mro__]
    anew = members(set(own) - set(mixin)) & members(mixin)
    assert anew <= {*SEAMS, *SCORE_SEAMS, *DECLARATIONS}


class Outsider(RobustNetMixin, NetClassifier):
    """Overrides a seam, a declaration, and three members that are neither."""

    _modules = ["module"]
    prefetch = 2

    def training_loss(self, X, y, index):
        return Step(self.module_(X).sum(), self.module_(X))

    def run_single_epoch(self, *args, **kwargs):
        return super().run_single_epoch(*args, **kwargs)

    @property
    def classes_(self):
        return [0, 1]

    def __getstate__(self):
        return super().__getstate__()


def test_what_is_no_seam_is_named():
    assert beyond_the_seams(Outsider) == [
        "__getstate__",
        "classes_",
        "run_single_epoch",
    ]


@pytest.mark.parametrize("method", METHODS)
def test_declarations_are_values(method):
    for name in overridden(method) & {*DECLARATIONS}:
        value = getattr_static(method, name)
        assert not callable(value) and not isinstance(value, property), name


def test_exceptions_are_still_needed():
    by_name = {method.__name__: method for method in METHODS}
    for name, members_beyond in BEYOND.items():
        assert {*members_beyond} <= overridden(by_name[name])


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/user_guide/extending.rst"])
def test_the_pages_list_the_same(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    text = text.partition("\n### The seams\n")[2] or text
    row = r"^\| `(\w+)` \|" if page.endswith(".md") else r"^``(\w+)``  +"
    assert re.findall(row, text, re.M) == [*SEAMS, *DECLARATIONS]
