import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sknoisy.noise import (
    empirical_transition_matrix,
    pair_flip_matrix,
    symmetric_matrix,
)
from sknoisy.noise._transition import (
    check_transition_matrix,
    inverse_cdf,
    rows_by_class,
    sample_labels,
)

n_classes = st.integers(2, 12)
rates = st.floats(0, 1)


@given(n_classes, rates, st.sampled_from(["exclude", "include"]))
@settings(deadline=None)
def test_symmetric_matrix_is_a_transition_matrix(n, rate, convention):
    T = check_transition_matrix(symmetric_matrix(n, rate, convention))
    # all classes alike: one value on the diagonal, one beside it
    assert len(np.unique(np.diag(T))) == 1
    assert len(np.unique(T[~np.eye(n, dtype=bool)])) == 1


@given(n_classes, rates)
@settings(deadline=None)
def test_pair_flip_matrix_is_a_transition_matrix(n, rate):
    T = check_transition_matrix(pair_flip_matrix(n, rate))
    for a in range(n):
        assert_allclose(T[a, a], 1 - rate, rtol=1e-12)
        assert_allclose(T[a, (a + 1) % n], rate, rtol=1e-12)


@given(n_classes, rates)
@settings(deadline=None)
def test_symmetric_noise_rates_are_those_of_the_formulas(n, rate):
    exclude, include = (
        1 - symmetric_matrix(n, rate, convention).trace() / n
        for convention in ("exclude", "include")
    )
    assert_allclose(exclude, rate, rtol=1e-7, atol=1e-12)
    assert_allclose(include, rate * (n - 1) / n, rtol=1e-7, atol=1e-12)


def test_include_convention_of_80_percent_is_72_percent_wrong():
    T = symmetric_matrix(10, 0.8, "include")
    assert_allclose(np.diag(T), 0.28, rtol=1e-12)


@pytest.mark.parametrize("matrix", [symmetric_matrix, pair_flip_matrix])
def test_rate_0_gives_the_identity(matrix):
    assert_array_equal(matrix(4, 0), np.eye(4))


def test_pair_flip_applied_n_classes_times_at_rate_1_is_the_identity():
    power = np.linalg.matrix_power(pair_flip_matrix(5, 1), 5)
    assert_array_equal(power, np.eye(5))
    codes = labels = np.random.default_rng(0).integers(5, size=200)
    for turn in range(1, 6):
        labels = sample_labels(
            labels, pair_flip_matrix(5, 1), np.random.default_rng(turn)
        )
        assert_array_equal(labels, (codes + turn) % 5)


@pytest.mark.parametrize("matrix", [symmetric_matrix, pair_flip_matrix])
def test_matrices_refuse_bad_parameters(matrix):
    with pytest.raises(ValueError, match=r"n_classes must be at least 2; got 1"):
        matrix(1, 0.1)
    for rate in (-0.1, 1.1, np.nan):
        with pytest.raises(
            ValueError, match=rf"noise_rate must be in \[0, 1\].*{rate}"
        ):
            matrix(3, rate)


def test_symmetric_matrix_refuses_an_unknown_convention():
    with pytest.raises(ValueError, match="'exclude' or 'include'; got 'both'"):
        symmetric_matrix(3, 0.1, "both")


@pytest.mark.parametrize(
    ("T", "message"),
    [
        (np.ones((2, 3)) / 3, r"must be square.*got shape \(2, 3\)"),
        (np.ones(4) / 4, r"must be square.*got shape \(4,\)"),
        ([[1.0]], "at least two classes"),
        ([[1.2, -0.2], [0, 1]], "probabilities; got entries from -0.2 to 1.2"),
        ([[np.nan, 1], [0, 1]], "probabilities; got entries from nan"),
        ([[0.5, 0.5], [0.5, 0.5 + 1e-7]], "row 1 sums to 1.0000001"),
        ([[0.9, 0.3], [0.1, 0.7]], r"looks transposed.*pass transition_matrix\.T"),
    ],
)
def test_check_transition_matrix_says_what_is_wrong(T, message):
    with pytest.raises(ValueError, match=message):
        check_transition_matrix(T)


def test_check_transition_matrix_takes_lists_and_tiny_rounding():
    T = check_transition_matrix([[1, 0], [0.5, 0.5 + 1e-9]])
    assert T.dtype == np.float64


def test_only_rows_that_sum_to_1_are_not_called_transposed():
    with pytest.raises(ValueError) as error:
        check_transition_matrix([[0.9, 0.3], [0.2, 0.7]])
    assert "transposed" not in str(error.value)


def test_sampled_labels_follow_the_matrix():
    rng = np.random.default_rng(0)
    T = rng.dirichlet(np.ones(4), size=4)
    codes = rng.integers(4, size=40_000)
    found = empirical_transition_matrix(codes, sample_labels(codes, T, rng), 4)
    counts = np.bincount(codes)[:, None]
    # 5 binomial standard errors
    assert (np.abs(found - T) <= 5 * np.sqrt(T * (1 - T) / counts)).all()


@given(n_classes, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_labels_of_probability_0_are_never_sampled(n, seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(n, size=300)
    assert (sample_labels(codes, symmetric_matrix(n, 1), rng) != codes).all()
    assert_array_equal(sample_labels(codes, np.eye(n), rng), codes)


def test_largest_uniform_number_finds_a_class_of_positive_weight():
    # These thirds sum to less than 1, and the last class has no weight.
    weights = np.array([[1 / 3 - 1e-12, 1 / 3, 1 / 3, 0.0]] * 2)
    uniforms = np.array([0.0, np.nextafter(1, 0)])
    assert_array_equal(inverse_cdf(weights, uniforms), [0, 2])


def test_inverse_cdf_at_an_edge_takes_the_class_above_it():
    weights = np.array([[0.0, 0.5, 0.5], [0.25, 0.0, 0.75], [0.25, 0.25, 0.5]])
    assert_array_equal(inverse_cdf(weights, np.array([0.0, 0.25, 0.5])), [1, 2, 2])


def test_inverse_cdf_needs_no_normalised_weights():
    uniforms = np.random.default_rng(0).random(100)
    weights = np.random.default_rng(1).random((100, 5))
    weights[:, 2] = 0
    expected = [
        next(c for c in range(5) if w[: c + 1].sum() / w.sum() > u)
        for w, u in zip(weights, uniforms, strict=True)
    ]
    assert_array_equal(inverse_cdf(weights, uniforms), expected)
    assert_array_equal(inverse_cdf(7 * weights, uniforms), expected)


def test_empirical_matrix_counts_pairs():
    rng = np.random.default_rng(0)
    true, noisy = rng.integers(3, size=(2, 500))
    expected = np.array(
        [[np.mean(noisy[true == a] == b) for b in range(3)] for a in range(3)]
    )
    assert_allclose(empirical_transition_matrix(true, noisy, 3), expected, rtol=1e-12)


def test_empirical_matrix_does_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    true, noisy = rng.integers(3, size=(2, 500))
    order = rng.permutation(500)
    assert_array_equal(
        empirical_transition_matrix(true, noisy, 3),
        empirical_transition_matrix(true[order], noisy[order], 3),
    )


def test_class_without_rows_gets_the_row_of_the_identity():
    T = empirical_transition_matrix([0, 0], [2, 2], 3)
    assert_array_equal(T, [[0, 0, 1], [0, 1, 0], [0, 0, 1]])


def test_empirical_matrix_refuses_what_are_no_codes():
    with pytest.raises(ValueError, match="the same length; got 2 and 1"):
        empirical_transition_matrix([0, 1], [0], 2)
    with pytest.raises(
        ValueError, match=r"noisy_codes must lie in \[0, 2\); got 0 to 2"
    ):
        empirical_transition_matrix([0, 1], [0, 2], 2)
    with pytest.raises(
        ValueError, match=r"true_codes must lie in \[0, 2\); got -1 to 1"
    ):
        empirical_transition_matrix([-1, 1], [0, 1], 2)
    with pytest.raises(ValueError, match="true_codes must be a 1-d array of integers"):
        empirical_transition_matrix(["a", "b"], [0, 1], 2)


def test_rows_by_class_are_ascending_and_complete():
    codes = np.array([2, 0, 2, 0, 4])
    groups = [rows.tolist() for rows in rows_by_class(codes, 5)]
    assert groups == [[1, 3], [], [0, 2], [], [4]]
