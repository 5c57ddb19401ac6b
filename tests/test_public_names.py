"""What is public stands wherever it must, or a test names what is missing where."""

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path

import pytest
from public_estimators import (
    USUAL,
    at_defaults,
    instances,
    kind_of,
    make,
    public_estimators,
    public_names,
    variants,
)
from sklearn.base import BaseEstimator

import sknoisy
from sknoisy import NetClassifier
from sknoisy.base import NoiseDetectorMixin
from sknoisy.extending import Peers, RobustNetMixin

TESTS = Path(__file__).parent
ROOT = TESTS.parent
for folder in ("campaign", "persistence"):
    sys.path.append(str(TESTS / folder))


def in_api_page():
    """Return the names in the tables of the API page."""
    return re.findall(r"^   (\w+)$", (ROOT / "docs/api.rst").read_text(), re.M)


def in_guide():
    """Return the names that a page of the guide links to."""
    pages = (ROOT / "docs/user_guide").glob("*.rst")
    text = " ".join(page.read_text(encoding="utf-8") for page in pages)
    return re.findall(r":class:`[~.\w]*?(\w+)`", text)


def in_chooser():
    """Return the names in the tables of all methods."""
    text = (ROOT / "docs/user_guide/which_one.rst").read_text(encoding="utf-8")
    return re.findall(r":class:`[~.\w]*?(\w+)`", text)


def in_image_lists():
    """Return the names in the lists of who takes images."""
    text = (ROOT / "docs/user_guide/images.rst").read_text(encoding="utf-8")
    section = text.split("\nWhich estimators take images\n")[1].split("\nNetworks\n")[0]
    return re.findall(r":class:`(\w+)`", section)


def in_changelog():
    """Return the names in the changelog."""
    return re.findall(r"\w+", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))


def in_table_of_hosts():
    """Return the names in the table of classifiers that can be masked."""
    text = (ROOT / "docs/user_guide/masking.rst").read_text(encoding="utf-8")
    section = text.split("\nHosts\n")[1].split("\nActivation maps\n")[0]
    return re.findall(r":class:`(\w+)`", section)


def of_several_networks():
    """Return the robust classifiers that train peers."""
    robust = public_estimators("robust classifier")
    return [cls for cls in robust if "Peers(" in inspect.getsource(cls)]


def in_campaign():
    """Return the estimators that the campaign calls."""
    import subjects

    return list(subjects.estimators())


def in_saved_files():
    """Return the estimators of which a later release will find a file."""
    import save_fixtures

    made = save_fixtures.estimators().values()
    parts = [
        getattr(estimator, "steps", [("", estimator)])[-1][1] for estimator in made
    ]
    return [type(part).__name__ for part in parts]


def in_contract_tests():
    """Return the estimators of the tables of `public_estimators`."""
    tried = [*instances("contract"), *instances("encoding")]
    return [type(estimator).__name__ for estimator in tried]


ESTIMATORS, EVERYTHING = public_estimators, lambda: public_names().values()
# Where public names must stand, which of them, and what to do about a missing one.
PLACES = {
    "docs/api.rst": (in_api_page, EVERYTHING, "add it to the table of its kind"),
    "docs/user_guide": (in_guide, ESTIMATORS, "say in a page when to use it"),
    "docs/user_guide/which_one.rst": (
        in_chooser,
        lambda: public_estimators("detector", "robust classifier", "competition"),
        "add a row to the table of its kind",
    ),
    "docs/user_guide/images.rst": (
        in_image_lists,
        ESTIMATORS,
        "say under 'Which estimators take images' whether it takes them",
    ),
    "docs/user_guide/masking.rst": (
        in_table_of_hosts,
        of_several_networks,
        "say under 'Hosts' which rows each network learns with masking",
    ),
    "CHANGELOG.md": (in_changelog, EVERYTHING, "add a line for the next release"),
    "tests/public_estimators.py": (
        in_contract_tests,
        ESTIMATORS,
        "give in GIVEN or SPECIAL what its constructor asks for",
    ),
    "tests/campaign/situations.py": (
        in_campaign,
        ESTIMATORS,
        "give in PARAMS how it is made",
    ),
    "tests/persistence/save_fixtures.py": (
        in_saved_files,
        ESTIMATORS,
        "save it, fitted",
    ),
}


def missing_in(place):
    """Return a sentence for each public name that a place lacks."""
    find, expected, advice = PLACES[place]
    found = set(find())
    names = [value.__name__ for value in expected()]
    return [f"{n} is missing in {place}: {advice}" for n in names if n not in found]


@pytest.mark.parametrize("place", PLACES)
def test_a_place_lacks_no_public_name(place):
    assert missing_in(place) == []


@pytest.mark.parametrize("place", ["docs/api.rst", "docs/user_guide/images.rst"])
def test_a_list_names_each_once(place):
    found = PLACES[place][0]()
    assert sorted(found) == sorted(set(found))


def test_image_lists_hold_estimators_only():
    assert {*in_image_lists()} <= {cls.__name__ for cls in public_estimators()}


def rooms():
    """Return the public modules that have a list of names."""
    found = pkgutil.iter_modules(sknoisy.__path__, "sknoisy.")
    names = [room.name for room in found if "._" not in room.name]
    modules = map(importlib.import_module, names)
    return {m.__name__: m for m in modules if hasattr(m, "__all__")}


def test_rooms_export_what_the_package_says():
    for name, room in sknoisy._HOME.items():
        assert name in rooms()[room].__all__, f"{room}.__all__ lacks {name}"
        value = getattr(rooms()[room], name)
        assert value is getattr(sknoisy, name)
        assert value.__module__.startswith(room), f"{name} is not at home in {room}"


def test_names_of_rooms_are_in_the_api_page():
    listed = set(in_api_page())
    # The contracts of base are there, its functions for parts of ours are not.
    private = {"sknoisy.base", "sknoisy.command_line"}
    for name, room in rooms().items():
        missing = set(room.__all__) - listed
        missing = {n for n in missing if name not in private or n[0].isupper()}
        # Constants and the classes of others have no page of their own.
        homes = {n: getattr(getattr(room, n), "__module__", "") for n in missing}
        missing = {n for n in missing if homes[n].startswith("sknoisy")}
        assert not missing, f"{sorted(missing)} of {name} missing in docs/api.rst"


# Parts of detectors, which their users do not make themselves.
PARTS = {"CommonScaler", "DynamicsClustering", "TableEncoder"}
# Exported by their room, since they only search for the parameters of others.
SEARCHES = {"StackedSearchCV"}


def own_estimators():
    """Yield the estimators that any module of the package defines."""
    for module in pkgutil.walk_packages(sknoisy.__path__, "sknoisy."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if not inspect.isclass(value) or value.__module__ != module.name:
                continue
            is_estimator = issubclass(value, BaseEstimator) and hasattr(value, "fit")
            if (
                is_estimator
                and not name.startswith("_")
                and name not in PARTS | SEARCHES
            ):
                yield value


def imported_for_types(source):
    """Return the names that the TYPE_CHECKING block of a file imports."""
    return {
        alias.name
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        for alias in node.names
    }


def missing_exports(cls, source):
    """Return a sentence for each of four places that does not export an estimator."""
    name, home = cls.__name__, ".".join(cls.__module__.split(".")[:2])
    line = f'"{name}"'
    places = {
        f"{home}.__all__": (rooms()[home].__all__, f"import it there and add {line}"),
        "sknoisy._HOME": (sknoisy._HOME, f'add {line}: "{home}"'),
        "sknoisy.__all__": (sknoisy.__all__, f"add {line}"),
        "the TYPE_CHECKING block of sknoisy/__init__.py": (
            imported_for_types(source),
            f"add it to the names of {home}",
        ),
    }
    return [
        f"{name} is missing in {place}: {advice}"
        for place, (found, advice) in places.items()
        if name not in found
    ]


def test_every_estimator_is_exported():
    source = inspect.getsource(sknoisy)
    assert [
        text for cls in own_estimators() for text in missing_exports(cls, source)
    ] == []


def test_every_page_is_reached_from_the_index_of_the_guide():
    folder = ROOT / "docs/user_guide"
    reached, new = set(), {"index"}
    while new:
        reached |= new
        pages = [(folder / f"{name}.rst").read_text(encoding="utf-8") for name in new]
        trees = re.findall(r"^\.\. toctree::\n((?:   .*\n|\n)*)", "".join(pages), re.M)
        names = re.findall(r"^   (?:.* <)?(\w+)>?$", "".join(trees), re.M)
        new = set(names) - reached
    missing = {page.stem for page in folder.glob("*.rst")} - reached
    assert not missing, f"no toctree that index.rst leads to lists {sorted(missing)}"


class Ordinary(NoiseDetectorMixin, BaseEstimator):
    """A detector whose parameters have defaults."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y):
        return self


class Demanding(Ordinary):
    """A detector that asks for something unheard of."""

    def __init__(self, oracle, random_state=None):
        self.oracle = oracle
        self.random_state = random_state


class Trained(NetClassifier):
    """A net of an outsider."""


class Paired(RobustNetMixin, NetClassifier):
    """A robust classifier of two networks."""

    def initialize_module(self):
        self.module_ = Peers(lambda: self.build("module"))
        return self


@pytest.fixture
def publish(monkeypatch):
    """Make a class public, as its author would."""

    def add(cls):
        monkeypatch.setattr(sknoisy, "__all__", [*sknoisy.__all__, cls.__name__])
        monkeypatch.setattr(sknoisy, cls.__name__, cls, raising=False)

    return add


class TestANewEstimator:
    def test_is_found_and_made(self, publish):
        publish(Ordinary)
        assert kind_of(Ordinary) == "detector" and Ordinary in public_estimators()
        made = [e for e in instances("contract") if type(e) is Ordinary]
        assert [e.get_params() for e in made] == [{"random_state": 0}]
        assert any(type(e) is Ordinary for e in instances("blobs", "detector"))
        assert not missing_in("tests/public_estimators.py")
        assert not missing_in("tests/campaign/situations.py")
        assert not missing_in("tests/persistence/save_fixtures.py")

    @pytest.mark.parametrize(
        "place",
        [
            *("docs/api.rst", "docs/user_guide", "CHANGELOG.md"),
            *("docs/user_guide/images.rst", "docs/user_guide/which_one.rst"),
        ],
    )
    def test_is_missed_in_the_pages(self, publish, place):
        publish(Ordinary)
        (sentence,) = [text for text in missing_in(place) if "Ordinary" in text]
        assert sentence.startswith(f"Ordinary is missing in {place}: ")

    def test_of_several_networks_is_missed_in_the_table_of_hosts(self, publish):
        publish(Paired)
        place = "docs/user_guide/masking.rst"
        assert missing_in(place) == [
            f"Paired is missing in {place}: say under 'Hosts' which rows each network "
            "learns with masking"
        ]

    def test_that_is_not_exported_is_missed_in_four_places(self, monkeypatch):
        monkeypatch.setattr(Ordinary, "__module__", "sknoisy.detection._ordinary")
        assert missing_exports(Ordinary, "") == [
            "Ordinary is missing in sknoisy.detection.__all__: import it there and add "
            '"Ordinary"',
            'Ordinary is missing in sknoisy._HOME: add "Ordinary": "sknoisy.detection"',
            'Ordinary is missing in sknoisy.__all__: add "Ordinary"',
            "Ordinary is missing in the TYPE_CHECKING block of sknoisy/__init__.py: "
            "add it to the names of sknoisy.detection",
        ]

    def test_that_cannot_be_made_is_named(self, publish):
        publish(Demanding)
        assert missing_in("tests/public_estimators.py") == [
            "Demanding is missing in tests/public_estimators.py: give in GIVEN or "
            "SPECIAL what its constructor asks for"
        ]
        with pytest.raises(
            LookupError, match=r"Demanding cannot .* asks for \['oracle"
        ):
            at_defaults(Demanding)
        assert at_defaults(Demanding, oracle=1).oracle == 1

    def test_with_a_net_gets_its_parameters(self, publish):
        publish(Trained)
        assert kind_of(Trained) == "net" and variants(Trained, "images") == [{}]
        net = make(Trained, USUAL["contract"]["net"])
        assert (net.max_epochs, net.lr, net.random_state) == (4, 0.2, 0)
