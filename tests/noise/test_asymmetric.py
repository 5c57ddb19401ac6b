import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone

from sknoisy.noise import (
    AsymmetricNoiseInjector,
    empirical_transition_matrix,
    pair_flip_matrix,
)

SELECTIONS = ["bernoulli", "exact", "exact_per_class"]
N_CLASSES = {
    "pair_flip": 4,
    "random_partner": 4,
    "cifar10": 10,
    "mnist": 10,
    "cifar100": 100,
}
ANIMALS = {"ant": "bee", "dog": "cat"}


def labels(n_classes=4, n_samples=20_000, seed=0):
    """Return labels with every class in them."""
    codes = np.random.default_rng(seed).integers(n_classes, size=n_samples)
    codes[:n_classes] = np.arange(n_classes)
    return codes


def each_class(n_classes):
    """Return every class four times; scikit-learn takes once for a regression."""
    return np.tile(np.arange(n_classes), 4)


def fitted(y=None, **params):
    """Return an injector that every row is subject to, fitted on classes or labels."""
    n_classes = N_CLASSES.get(params.get("mapping", "pair_flip"))
    y = each_class(n_classes) if y is None else y
    return AsymmetricNoiseInjector(1.0, random_state=0, **params).fit(None, y)


# Where the labels go


def test_pair_flip_goes_to_the_next_class_and_from_the_last_to_the_first():
    assert fitted(mapping="pair_flip").mapping_ == {0: 1, 1: 2, 2: 3, 3: 0}


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_pair_flip_n_classes_times_at_rate_1_is_the_identity(n_classes):
    y = labels(n_classes, 200)
    injector = AsymmetricNoiseInjector(1.0).fit(None, y)
    moved = y
    for turn in range(1, n_classes + 1):
        moved = injector.corrupt(None, moved)
        assert_array_equal(moved, (y + turn) % n_classes)
    assert_array_equal(moved, y)


@pytest.mark.parametrize(
    ("mapping", "pairs"),
    [
        ("cifar10", {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}),
        ("mnist", {7: 1, 2: 7, 5: 6, 6: 5, 3: 8}),
    ],
)
def test_published_maps_of_ten_classes(mapping, pairs):
    injector = fitted(mapping=mapping)
    assert injector.mapping_ == pairs
    moved = injector.corrupt(None, np.arange(10))
    assert_array_equal(moved, [pairs.get(c, c) for c in range(10)])


def test_cifar10_map_also_fits_the_names_of_the_classes():
    names = ["airplane", "automobile", "bird", "cat", "deer"]
    names += ["dog", "frog", "horse", "ship", "truck"]
    assert fitted(names, mapping="cifar10").mapping_ == {
        "truck": "automobile",
        "bird": "airplane",
        "deer": "horse",
        "cat": "dog",
        "dog": "cat",
    }


def test_contiguous_blocks_are_five_neighbours_in_a_circle():
    a = each_class(100)
    moved = fitted(mapping="cifar100").corrupt(None, a)
    assert_array_equal(moved, 5 * (a // 5) + (a + 1) % 5)


@pytest.mark.parametrize("blocks", ["contiguous", "superclass"])
def test_every_class_of_cifar100_comes_home_after_five_steps_and_not_before(blocks):
    injector = fitted(mapping="cifar100", blocks=blocks)
    moved = start = each_class(100)
    for _ in range(4):
        moved = injector.corrupt(None, moved)
        assert (moved != start).all()
    assert_array_equal(injector.corrupt(None, moved), start)


def test_known_superclasses_of_cifar100():
    mapping = fitted(mapping="cifar100", blocks="superclass").mapping_
    # aquarium fish, flatfish, ray, shark, trout; and baby, boy, girl, man, woman
    for block in ([1, 32, 67, 73, 91], [2, 11, 35, 46, 98]):
        assert [mapping[c] for c in block] == [*block[1:], block[0]]


# The superclasses of CIFAR-100 as its authors list them; codes are alphabetical.
SUPERCLASSES = """
beaver dolphin otter seal whale, aquarium_fish flatfish ray shark trout,
orchid poppy rose sunflower tulip, bottle bowl can cup plate,
apple mushroom orange pear sweet_pepper, clock keyboard lamp telephone television,
bed chair couch table wardrobe, bee beetle butterfly caterpillar cockroach,
bear leopard lion tiger wolf, bridge castle house road skyscraper,
cloud forest mountain plain sea, camel cattle chimpanzee elephant kangaroo,
fox porcupine possum raccoon skunk, crab lobster snail spider worm,
baby boy girl man woman, crocodile dinosaur lizard snake turtle,
hamster mouse rabbit shrew squirrel,
maple_tree oak_tree palm_tree pine_tree willow_tree,
bicycle bus motorcycle pickup_truck train, lawn_mower rocket streetcar tank tractor
"""


def test_superclass_blocks_stay_in_their_superclass_and_contiguous_ones_do_not():
    blocks_of_names = [block.split() for block in SUPERCLASSES.split(",")]
    names = sorted(name for block in blocks_of_names for name in block)
    assert len(names) == 100
    superclass_of = np.empty(100, dtype=int)
    for number, block in enumerate(blocks_of_names):
        superclass_of[[names.index(name) for name in block]] = number
    stays, start = {}, np.arange(100)
    for blocks in ("contiguous", "superclass"):
        moved = fitted(mapping="cifar100", blocks=blocks).corrupt(None, start)
        assert (moved != start).all()
        stays[blocks] = superclass_of[moved] == superclass_of
    assert stays["superclass"].all()
    # Of 100 steps, 6 happen to end in the superclass they started from.
    assert stays["contiguous"].sum() == 6
    per_block = [len(set(superclass_of[5 * b : 5 * b + 5])) for b in range(20)]
    assert (min(per_block), max(per_block)) == (3, 5)


@given(n_classes=st.integers(2, 30), seed=st.integers(0, 10_000))
@settings(deadline=None)
def test_random_partner_is_always_another_class(n_classes, seed):
    injector = AsymmetricNoiseInjector(mapping="random_partner", random_state=seed)
    mapping = injector.fit(None, each_class(n_classes)).mapping_
    assert set(mapping) == set(range(n_classes))
    assert all(a != b and 0 <= b < n_classes for a, b in mapping.items())


@pytest.mark.slow
def test_random_partner_is_drawn_from_random_state_in_fit():
    def draw(seed):
        injector = AsymmetricNoiseInjector(mapping="random_partner", random_state=seed)
        return injector.fit(None, np.arange(20)).mapping_

    assert draw(0) == draw(0) != draw(1)
    partners = [draw(seed)[0] for seed in range(400)]
    counts = np.bincount(partners, minlength=20)
    # Every other class alike: 400 / 19 = 21 each, with a standard error of 4.5.
    assert counts[0] == 0 and (np.abs(counts[1:] - 400 / 19) < 5 * 4.5).all()


def test_labels_of_a_dict_are_the_users_own_and_the_others_stay():
    y = np.array(["ant", "bee", "cat", "dog"])[labels(n_samples=80)]
    injector = AsymmetricNoiseInjector(1.0, mapping=ANIMALS)
    moved = injector.fit_resample(None, y)[1]
    assert injector.mapping_ == ANIMALS
    assert moved.tolist() == [ANIMALS.get(label, label) for label in y]
    assert_array_equal(injector.noise_mask_, np.isin(y, ["ant", "dog"]))


@pytest.mark.parametrize(
    ("y", "mapping"),
    [
        ([3, 5, 9], {np.int64(9): np.int8(3)}),
        ([0.0, 1.0, 2.0], {2: 0}),
        ([False, True], {True: False}),
        (pd.Series(["a", "b"], dtype="category"), {"b": "a"}),
        (pl.Series(["a", "b"]), {"b": "a"}),
    ],
)
def test_dict_works_for_labels_of_every_kind(y, mapping):
    injector = AsymmetricNoiseInjector(1.0, mapping=mapping).fit(None, y)
    moved = list(injector.corrupt(None, y))
    assert moved == [mapping.get(label, label) for label in y]


# How many labels go


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("mapping", [*N_CLASSES, {0: 3, 2: 1}], ids=str)
def test_labels_follow_the_analytic_matrix(mapping, selection):
    n_classes = 4 if isinstance(mapping, dict) else N_CLASSES[mapping]
    y = labels(n_classes)
    injector = AsymmetricNoiseInjector(
        0.3, mapping=mapping, selection=selection, random_state=1
    )
    y_noisy = injector.fit_resample(None, y)[1]
    T = injector.transition_matrix_
    found = empirical_transition_matrix(y, y_noisy, n_classes)
    standard_error = np.sqrt(T * (1 - T) / np.bincount(y)[:, None])
    # Five binomial standard errors; "exact_per_class" rounds up by less than a row.
    slack = 1 / np.bincount(y)[:, None] * (T > 0) * (T < 1)
    assert (np.abs(found - T) <= 5 * standard_error + slack + 1e-12).all()


@given(rate=st.floats(0, 1), seed=st.integers(0, 1000))
@settings(deadline=None)
def test_matrix_holds_the_rate_at_the_partner(rate, seed):
    injector = AsymmetricNoiseInjector(rate, mapping={0: 2, 1: 0}, random_state=seed)
    T = injector.fit(None, [0, 1, 2]).transition_matrix_
    assert_allclose(T, [[1 - rate, 0, rate], [rate, 1 - rate, 0], [0, 0, 1]])


@pytest.mark.parametrize("n_classes", [2, 5])
def test_matrix_of_pair_flip_is_that_of_pair_flip_matrix(n_classes):
    injector = AsymmetricNoiseInjector(0.3).fit(None, np.arange(n_classes))
    assert_allclose(
        injector.transition_matrix_, pair_flip_matrix(n_classes, 0.3), rtol=1e-12
    )


@given(
    y=st.lists(st.integers(0, 3), max_size=60).map(
        lambda y: np.array([0, 1, 2, 3, *y])
    ),
    rate=st.floats(0, 1),
    selection=st.sampled_from(SELECTIONS),
)
@settings(deadline=None)
def test_counts_of_the_selections(y, rate, selection):
    injector = AsymmetricNoiseInjector(rate, selection=selection, random_state=0)
    y_noisy = injector.fit_resample(None, y)[1]
    assert_array_equal(injector.noise_mask_, y_noisy != y)
    assert injector.noise_rate_ == np.mean(y_noisy != y)
    if selection == "exact":
        assert injector.noise_mask_.sum() == np.floor(np.round(rate * len(y), 9))
    if selection == "exact_per_class":
        for c in range(4):
            flipped = injector.noise_mask_[y == c]
            assert flipped.sum() == np.ceil(np.round(rate * len(flipped), 9))


@pytest.mark.parametrize("mapping", ["cifar10", "mnist"])
def test_half_of_the_classes_moving_halves_the_rate(mapping):
    y = np.arange(20_000) % 10
    injector = AsymmetricNoiseInjector(
        0.4, mapping=mapping, selection="exact_per_class", random_state=0
    )
    injector.fit_resample(None, y)
    assert injector.noise_rate_ == 0.2


def test_exact_counts_the_rows_that_stay_too():
    # 50 of 100 rows are chosen; only those of class 0 have somewhere to go.
    y = np.repeat([0, 1], 50)
    injector = AsymmetricNoiseInjector(
        0.5, mapping={0: 1}, selection="exact", random_state=0
    )
    injector.fit_resample(None, y)
    # Hypergeometric: mean 25, deviation 2.5.
    assert 25 - 12.5 < injector.noise_mask_.sum() < 25 + 12.5


@pytest.mark.parametrize("selection", SELECTIONS)
def test_rate_0_leaves_y_unchanged(selection):
    y = labels(n_samples=50)
    injector = AsymmetricNoiseInjector(0, selection=selection)
    assert_array_equal(injector.fit_resample(None, y)[1], y)


# What all injectors promise

INJECTORS = [
    AsymmetricNoiseInjector(random_state=0),
    AsymmetricNoiseInjector(mapping="random_partner", random_state=0),
    AsymmetricNoiseInjector(mapping={0: 2, 1: 0}, selection="exact", random_state=0),
]
every_injector = pytest.mark.parametrize("injector", INJECTORS, ids=repr)


@every_injector
@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame({"size": [1.0, np.nan] * 6, "colour": ["red", None] * 6}),
        pl.DataFrame({"size": [1.0, None] * 6, "colour": ["red", "blue"] * 6}),
        csr_array((12, 3)),
        np.zeros((12, 3, 4, 4), dtype=np.uint8),
        ["a text", "another"] * 6,
        None,
    ],
    ids=["pandas", "polars", "sparse", "images", "texts", "none"],
)
def test_any_rows_will_do_and_come_back_untouched(injector, X):
    y = np.arange(12) % 3
    injector = clone(injector)
    X_same, y_noisy = injector.fit_resample(X, y)
    assert X_same is X
    assert_array_equal(y_noisy, injector.corrupt(X, y))
    assert_array_equal(y_noisy, clone(injector).fit_resample(None, y)[1])


def test_the_dict_of_the_user_is_not_changed_and_changes_nothing_later():
    mapping = {"b": "a"}
    injector = AsymmetricNoiseInjector(1.0, mapping=mapping).fit(None, ["a", "b"])
    mapping["a"] = "b"
    assert injector.mapping_ == {"b": "a"}
    assert injector.corrupt(None, ["a", "b"]) == ["a", "a"]


# What is refused


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, r"mapping is empty; give \{label: wrong label\}"),
        ({"ant": "owl"}, r"y does not have: \['owl'\]; y has \['ant', 'bee', 'cat'"),
        ({"owl": "ant"}, r"y does not have: \['owl'\]"),
        ({0: 1}, r"y does not have: \[0, 1\]"),
        ({"ant": ["bee"]}, r"y does not have: \[\['bee'\]\]"),
        ({"bee": "bee"}, "mapping sends 'bee' to itself; leave it out"),
    ],
)
def test_dicts_that_do_not_fit_are_refused(mapping, message):
    injector = AsymmetricNoiseInjector(mapping=mapping)
    with pytest.raises(ValueError, match=message):
        injector.fit(None, ["ant", "bee", "cat", "dog"])


@pytest.mark.parametrize(
    ("mapping", "needed"), [("cifar10", 10), ("mnist", 10), ("cifar100", 100)]
)
def test_named_maps_need_their_number_of_classes(mapping, needed):
    injector = AsymmetricNoiseInjector(mapping=mapping)
    message = (
        rf"'{mapping}' is for {needed} classes, but y has 3\. Give a dict \{{label"
    )
    with pytest.raises(ValueError, match=message):
        injector.fit(None, [0, 1, 2])


def test_labels_that_fit_did_not_see_are_refused():
    injector = AsymmetricNoiseInjector().fit(None, ["a", "b"])
    with pytest.raises(ValueError, match=r"unknown labels: \['c'\]; known labels are"):
        injector.corrupt(None, ["a", "c"])
