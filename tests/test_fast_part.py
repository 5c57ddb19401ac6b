"""The fast part keeps one estimator of each engine, and every test of another kind."""

from functools import partial
from types import SimpleNamespace

import fast_part
import pytest
from fast_part import (
    ENGINES,
    FAST_EXAMPLES,
    cases_to_spare,
    contract_checks,
    examples,
    public_estimator,
    pytest_collection_modifyitems,
)

import sknoisy
from sknoisy import AUMDetector, NetClassifier


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (NetClassifier, "NetClassifier"),
        (NetClassifier(), "NetClassifier"),
        (partial(AUMDetector, n_runs=2), "AUMDetector"),
        ("NetClassifier.partial_fit", "NetClassifier"),
        ("noise_report", None),
        (sknoisy.noise_report, None),
        (3, None),
        (type("NetClassifier", (), {}), None),
    ],
)
def test_parameters_that_stand_for_an_estimator(value, name):
    assert public_estimator(value) == name


def calls(*values):
    return [
        SimpleNamespace(
            parent=SimpleNamespace(nodeid="file"),
            originalname="test",
            callspec=SimpleNamespace(params={"estimator": value, "n": 3}),
        )
        for value in values
    ]


def fast_values(*values):
    found = contract_checks(calls(*values))
    return [item.callspec.params["estimator"] for item, is_fast in found if is_fast]


def test_the_first_variant_of_one_estimator_of_each_engine():
    others = ["DynaCorDetector", "CDRClassifier", lambda: None]
    first, second = NetClassifier(lr=0.1), NetClassifier(lr=0.2)
    rest = [name for name in ENGINES if name != "NetClassifier"]
    assert fast_values(first, *others, second, *rest) == [first, *rest]
    assert fast_values(*others, *ENGINES, "noise_report") == [*ENGINES, "noise_report"]


def test_tests_of_a_few_estimators_are_no_contract():
    few = list(ENGINES)[:6]
    assert list(contract_checks(calls(*few, *few))) == []
    assert list(contract_checks([SimpleNamespace()])) == []


def cases(n_cases, n_fast):
    marks = {"fast_cases": SimpleNamespace(args=(n_fast,))}
    return [
        SimpleNamespace(**vars(call), get_closest_marker=marks.get)
        for call in calls(*range(n_cases))
    ]


@pytest.mark.parametrize(
    ("n_cases", "n_fast", "kept"),
    [(1, 1, [0]), (6, 1, [0]), (6, 2, [0, 5]), (9, 3, [0, 4, 8]), (2, 3, [0, 1])],
)
def test_some_of_many_cases_evenly_spread(n_cases, n_fast, kept):
    items = cases(n_cases, n_fast)
    spared = list(cases_to_spare(items))
    assert [place for place, item in enumerate(items) if item not in spared] == kept


@pytest.mark.parametrize(
    ("limit", "n", "tried"),
    [
        (100, 60, 60),
        (100, 300, 300),
        (FAST_EXAMPLES, 60, FAST_EXAMPLES),
        (FAST_EXAMPLES, 5, 5),
    ],
)
def test_properties_are_tried_on_few_examples_in_the_fast_part(
    limit, n, tried, monkeypatch
):
    def settings(**given):
        return SimpleNamespace(**given)

    settings.default = settings(max_examples=limit)
    monkeypatch.setattr(fast_part, "settings", settings)
    assert examples(n).max_examples == tried


def test_an_unknown_engine_is_named(monkeypatch):
    monkeypatch.setitem(ENGINES, "Nothing", "an estimator that was renamed")
    with pytest.raises(pytest.UsageError, match="'Nothing'"):
        pytest_collection_modifyitems([])
