"""Which of the tests that are run many times over are in the fast part.

A test that is tried on most public estimators checks a contract. They share the code
that keeps it, by engine: whoever breaks that breaks it for the estimators of `ENGINES`
as well. ``-m "not slow"`` tries contracts on these alone, the whole suite on all. A new
estimator is in the whole suite by itself; it belongs in `ENGINES` only if it brings an
engine of its own.

Another test with many cases is marked ``fast_cases(n)``: the fast part has n of them.
A property is tried there on `FAST_EXAMPLES` at most: ``@examples(n)`` asks for n in the
whole suite, where hypothesis itself would let a number given at the test win.
"""

import inspect
from collections import defaultdict

import pytest
from hypothesis import settings

import sknoisy

# Of each the first variant, which is the usual one.
ENGINES = {
    "NetClassifier": "a net",
    "ELRClassifier": "a net that judges labels, with a state of each row",
    "CoTeachingClassifier": "peers",
    "FlywheelClassifier": "a net and its judge",
    "AUMDetector": "a detector that trains a net",
    "NeighborVoteDetector": "a detector that trains none",
    "SymmetricNoiseInjector": "an injector",
    "BMMLossSplitter": "a mixture",
    "CleanedClassifier": "an estimator that holds a detector",
}
# A test that is tried on so many different estimators checks a contract.
MANY = 7
FAST_EXAMPLES = 10


def examples(n):
    """Return settings for a property that is tried on n examples, or fewer if fast."""
    limit = settings.default.max_examples
    return settings(max_examples=min(n, limit) if limit <= FAST_EXAMPLES else n)


def public_estimator(value):
    """Return the name of the public class that a parameter of a test stands for.

    The parameter is an instance, a class, a partial of one, or a text that begins with
    the name. Anything else stands for none, and gives None.
    """
    if isinstance(value, str):
        name = value.partition(".")[0]
        return name if name in sknoisy.__all__ and name[0].isupper() else None
    value = getattr(value, "func", value)
    cls = value if inspect.isclass(value) else type(value)
    is_ours = cls.__module__.startswith("sknoisy.")
    return cls.__name__ if is_ours and cls.__name__ in sknoisy.__all__ else None


def contract_checks(items):
    """Yield each check of a contract, and whether the fast part has it."""
    tests = defaultdict(list)
    for item in items:
        call = getattr(item, "callspec", None)
        for argument, value in call.params.items() if call else ():
            test = item.parent.nodeid, item.originalname, argument
            tests[test].append((item, value))
    for calls in tests.values():
        first = {}
        for _, value in calls:
            first.setdefault(public_estimator(value), value)
        if len(first.keys() - {None}) < MANY:
            continue
        usual = [value for name, value in first.items() if name in ENGINES]
        for item, value in calls:
            # The names of functions, tried beside estimators, are quick.
            is_function = isinstance(value, str) and public_estimator(value) is None
            yield item, is_function or any(value is each for each in usual)


def cases_to_spare(items):
    """Yield the cases that ``fast_cases(n)`` leaves out: all but n, evenly spread."""
    tests = defaultdict(list)
    for item in items:
        mark = item.get_closest_marker("fast_cases")
        if mark is not None and item.get_closest_marker("slow") is None:
            tests[item.parent.nodeid, item.originalname, mark.args].append(item)
    for (*_, (n_fast,)), cases in tests.items():
        step = max(len(cases) - 1, 1) / max(n_fast - 1, 1)
        kept = {round(number * step) for number in range(n_fast)}
        yield from (item for place, item in enumerate(cases) if place not in kept)


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items):
    """Mark what the fast part leaves out."""
    unknown = ENGINES.keys() - set(sknoisy.__all__)
    if unknown:
        raise pytest.UsageError(
            f"tests/fast_part.py names what is not public: {unknown}"
        )
    for item, is_fast in contract_checks(items):
        if not is_fast:
            item.add_marker(pytest.mark.slow)
    for item in list(cases_to_spare(items)):
        item.add_marker(pytest.mark.slow)
