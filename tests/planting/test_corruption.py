"""Planted labels, on copies and in place: how many, where, with which labels."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chisquare

from sknoisy._planting._corruption import (
    copy_noise_rate,
    corrupted_copies,
    corrupted_labels,
    planted_labels,
    proportional_rows,
    rank_in_class,
)


@given(
    n_samples=st.integers(1, 200),
    n_classes=st.integers(2, 7),
    rate=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_copies_are_distinct_rows_with_another_label(n_samples, n_classes, rate, seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n_classes, n_samples)
    source, other = corrupted_copies(codes, n_classes, rate, rng)
    assert len(source) == len(other) == len(set(source))
    assert (other != codes[source]).all()
    assert ((other >= 0) & (other < n_classes)).all()


@pytest.mark.parametrize(
    ("rate", "n_samples", "expected"), [(0.1, 1797, 179), (0.29, 100, 29), (0, 50, 0)]
)
def test_their_number_is_the_floor_of_rate_times_rows(rate, n_samples, expected):
    codes = np.zeros(n_samples, dtype=np.int64)
    source, _ = corrupted_copies(codes, 2, rate, np.random.default_rng(0))
    assert len(source) == expected


def test_new_labels_are_uniform_over_the_other_classes():
    codes = np.zeros(40_000, dtype=np.int64)
    _, other = corrupted_copies(codes, 5, 1.0, np.random.default_rng(0))
    counts = np.bincount(other, minlength=5)
    assert counts[0] == 0
    # Five binomial standard errors of 10,000 out of 40,000.
    np.testing.assert_allclose(counts[1:], 10_000, atol=5 * np.sqrt(7500))


@pytest.mark.parametrize(
    ("n_classes", "noise_rate", "expected"),
    [(10, 0.4, 0.9556), (4, 0.5, 0.8333), (3, 0.6, 0.7)],
)
def test_noise_rate_of_copies_equals_proposition_1(n_classes, noise_rate, expected):
    assert copy_noise_rate(noise_rate, n_classes) == pytest.approx(expected, abs=1e-4)
    rng = np.random.default_rng(0)
    true = rng.integers(0, n_classes, 200_000)
    wrong = rng.random(200_000) < noise_rate
    shift = np.where(wrong, rng.integers(1, n_classes, 200_000), 0)
    given_codes = (true + shift) % n_classes
    source, other = corrupted_copies(given_codes, n_classes, 0.5, rng)
    simulated = (other != true[source]).mean()
    assert simulated == pytest.approx(expected, abs=5e-3)


@given(st.integers(2, 50), st.floats(0, 0.999))
def test_copies_are_noisier_than_the_data_when_it_is_diagonally_dominant(c, share):
    noise_rate = share * (1 - 1 / c)
    assert copy_noise_rate(noise_rate, c) > max(1 - 1 / c, noise_rate) - 1e-9


@st.composite
def relabellings(draw):
    n_samples, n_classes = draw(st.integers(4, 200)), draw(st.integers(2, 7))
    rate, n_runs = draw(st.floats(0.001, 0.5)), draw(st.integers(2, 8))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    codes = rng.integers(0, n_classes, n_samples)
    return codes, rate, corrupted_labels(codes, n_classes, rate, n_runs, rng)


@given(relabellings())
def test_each_run_relabels_its_share_of_rows(drawn):
    codes, rate, run_codes = drawn
    n_rows = max(1, int(np.floor(rate * len(codes) + 1e-9)))
    assert ((run_codes != codes).sum(1) == n_rows).all()
    assert run_codes.dtype == np.int64 and run_codes.min() >= 0


@given(relabellings())
def test_no_row_is_relabelled_again_before_all_others(drawn):
    codes, _, run_codes = drawn
    times = (run_codes != codes).sum(0)
    assert times.max() - times.min() <= 1
    # So the runs are disjoint while there are rows left for them.
    if (run_codes != codes).sum() <= len(codes):
        assert times.max() <= 1


@given(relabellings())
def test_every_row_keeps_its_label_in_some_run(drawn):
    codes, _, run_codes = drawn
    assert (run_codes == codes).any(0).all()


@pytest.mark.parametrize(
    ("rate", "n_samples", "expected"),
    [(0.1, 1797, 179), (0.29, 100, 29), (0.5, 7, 3), (0.01, 50, 1)],
)
def test_at_least_one_row_is_relabelled(rate, n_samples, expected):
    codes = np.zeros(n_samples, dtype=np.int64)
    run_codes = corrupted_labels(codes, 2, rate, 3, np.random.default_rng(0))
    assert run_codes.sum(1).tolist() == [expected] * 3


def test_labels_in_place_are_uniform_over_the_other_classes():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 5, 40_000)
    run_codes = corrupted_labels(codes, 5, 0.25, 4, rng)
    # Every row is relabelled in one of the four runs.
    other = run_codes.sum(0) - 3 * codes
    table = np.zeros((5, 5))
    np.add.at(table, (codes, other), 1)
    assert (table.diagonal() == 0).all()
    for code in range(5):
        assert chisquare(np.delete(table[code], code)).pvalue > 1e-3


def test_the_rows_are_a_random_choice():
    codes = np.zeros(20, dtype=np.int64)
    rng = np.random.default_rng(0)
    times = sum(corrupted_labels(codes, 2, 0.1, 2, rng)[0] for _ in range(2000))
    assert times.sum() == 4000
    assert chisquare(times).pvalue > 1e-3


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_generator_decides(seed, other_seed):
    codes = np.arange(60) % 4

    def draw(number):
        return corrupted_labels(codes, 4, 0.2, 3, np.random.default_rng(number))

    np.testing.assert_array_equal(draw(seed), draw(seed))
    assume(seed != other_seed)
    assert (draw(seed) != draw(other_seed)).any()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_rank_in_class_counts_the_rows_before(values):
    codes = np.array(values)
    expected = [values[:i].count(code) for i, code in enumerate(values)]
    assert rank_in_class(codes).tolist() == expected


@given(
    n_samples=st.integers(6, 200),
    n_classes=st.integers(2, 7),
    rate=st.floats(0.01, 0.5),
    seed=st.integers(0, 1000),
)
def test_planting_leaves_half_of_each_class(n_samples, n_classes, rate, seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n_classes, n_samples)
    before = codes.copy()
    planted = planted_labels(codes, np.ones((n_classes, n_classes)), rate, rng)
    assert (codes == before).all()
    assert set(planted) <= set(range(n_classes))
    changed = planted != codes
    assert changed.sum() <= max(1, int(rate * n_samples + 1e-9))
    kept = np.bincount(codes[~changed], minlength=n_classes)
    counts = np.bincount(codes, minlength=n_classes)
    assert (kept >= np.minimum(counts, 2)).all() and (2 * kept >= counts).all()


def test_planting_takes_all_rows_that_it_may():
    codes = np.repeat([0, 1, 2], [40, 40, 2])
    planted = planted_labels(codes, np.ones((3, 3)), 0.25, np.random.default_rng(0))
    assert (planted != codes).sum() == 20
    everything = planted_labels(codes, np.ones((3, 3)), 0.5, np.random.default_rng(0))
    assert (everything != codes).sum() == 40


def test_planted_labels_are_uniform_over_the_other_classes():
    codes = np.zeros(9000, dtype=np.int64)
    planted = planted_labels(codes, np.ones((4, 4)), 0.5, np.random.default_rng(0))
    counts = np.bincount(planted[planted != 0], minlength=4)
    assert counts[0] == 0
    # With a fair draw this falls below 0.001 once in a thousand seeds.
    assert chisquare(counts[1:]).pvalue > 0.001


def test_where_all_classes_have_two_rows_none_is_planted():
    codes = np.array([0, 0, 1, 1])
    planted = planted_labels(codes, np.ones((2, 2)), 0.5, np.random.default_rng(0))
    assert planted.tolist() == codes.tolist()


def test_planted_labels_follow_the_flips():
    codes = np.repeat([0, 1, 2], 6000)
    flips = np.array([[9.0, 1, 3], [2, 9, 2], [0, 5, 9]])
    planted = planted_labels(codes, flips, 0.5, np.random.default_rng(0))
    counts = np.zeros((3, 3))
    changed = planted != codes
    np.add.at(counts, (codes[changed], planted[changed]), 1)
    assert counts.sum(1).tolist() == [3000, 3000, 3000]
    expected = [[0, 0.25, 0.75], [0.5, 0, 0.5], [0, 1, 0]]
    # Four deviations of a share of 3,000 draws.
    np.testing.assert_allclose(counts / 3000, expected, atol=0.04)


class LargestDraw:
    """A generator whose every draw is the largest number below 1."""

    def permutation(self, n):
        return np.arange(n)

    def random(self, shape):
        return np.full(shape, np.nextafter(1, 0))


@pytest.mark.parametrize("n_classes", [3, 7, 49])
def test_the_largest_draw_is_a_label_and_another_one(n_classes):
    codes = np.repeat(np.arange(n_classes), 4)
    flips = np.full((n_classes, n_classes), 1 / 3)
    planted = planted_labels(codes, flips, 0.5, LargestDraw())
    changed = planted != codes
    assert changed.sum() == 2 * n_classes and planted.max() < n_classes


@given(
    counts=st.lists(st.integers(0, 60), min_size=2, max_size=6),
    n_rows=st.integers(1, 100),
    seed=st.integers(0, 1000),
)
def test_a_part_has_the_classes_in_proportion(counts, n_rows, seed):
    assume(sum(counts) >= n_rows)
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    rows = proportional_rows(codes, n_rows, rng)
    assert (np.diff(rows) > 0).all()
    taken = np.bincount(codes[rows], minlength=len(counts))
    for count, found in zip(counts, taken, strict=True):
        share = count * n_rows / len(codes)
        assert found == min(count, max(2, int(share + 1e-9)))


def test_each_row_has_the_same_chance_to_be_in_a_part():
    codes = np.repeat([0, 1], [40, 20])
    rng = np.random.default_rng(0)
    drawn = [proportional_rows(codes, 15, rng) for _ in range(2000)]
    times = np.bincount(np.concatenate(drawn), minlength=60)
    assert chisquare(times).pvalue > 1e-3
