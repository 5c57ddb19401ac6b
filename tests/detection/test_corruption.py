"""Corrupted copies: how many, of what, with which labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sknoisy.detection._corruption import copy_noise_rate, corrupted_copies


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
