import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.pipeline import make_pipeline
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import truncnorm
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate

import sknoisy.noise._instance as instance_module
from sknoisy.noise import (
    InstanceNoiseInjector,
    empirical_transition_matrix,
    instance_noise_probabilities,
)
from sknoisy.noise._instance import _column_moments, _truncated_normal

SCALINGS = [None, "standard", "unit", "sqrt_d"]


def table(n_samples=400, n_features=6, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(1, 2, size=(n_samples, n_features)).astype(np.float32)
    return X, rng.integers(n_classes, size=n_samples)


def projections_of(injector):
    return np.stack([injector._projection(c) for c in range(len(injector.classes_))])


def scaled(X, feature_scaling, X_fit):
    X, X_fit = X.astype(np.float64), X_fit.astype(np.float64)
    if feature_scaling == "standard":
        return (X - X_fit.mean(axis=0)) / X_fit.std(axis=0)
    if feature_scaling == "unit":
        return X / np.linalg.norm(X, axis=1, keepdims=True)
    if feature_scaling == "sqrt_d":
        return X / np.sqrt(X.shape[1])
    return X


# The distribution of the label of each row


def test_probabilities_reproduce_the_reference_file(reference):
    data = reference("instance_noise.npz")
    P = instance_noise_probabilities(data["X"], data["y"], data["W"], data["q"])
    assert_allclose(P, data["P"], rtol=1e-7)


def test_probabilities_are_those_of_algorithm_1_row_by_row():
    rng = np.random.default_rng(0)
    X, codes = table(50)
    W = rng.standard_normal((4, 6, 4))
    q = rng.random(50)
    expected = np.empty((50, 4))
    for n in range(50):
        p = X[n].astype(np.float64) @ W[codes[n]]
        p[codes[n]] = -np.inf
        p = q[n] * np.exp(p) / np.exp(p).sum()
        p[codes[n]] = 1 - q[n]
        expected[n] = p
    P = instance_noise_probabilities(X.astype(np.float64), codes, W, q)
    assert_allclose(P, expected, rtol=1e-7)


@given(
    n_samples=st.integers(1, 30),
    n_classes=st.integers(2, 6),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
    seed=st.integers(0, 1000),
)
@settings(deadline=None)
def test_probabilities_sum_to_1_and_keep_1_minus_q(n_samples, n_classes, scale, seed):
    rng = np.random.default_rng(seed)
    X = scale * rng.normal(size=(n_samples, 3))
    codes = rng.integers(n_classes, size=n_samples)
    W = rng.standard_normal((n_classes, 3, n_classes))
    q = rng.random(n_samples)
    P = instance_noise_probabilities(X, codes, W, q)
    assert (P >= 0).all()
    assert_allclose(P.sum(axis=1), 1, rtol=1e-12)
    assert_array_equal(P[np.arange(n_samples), codes], 1 - q)
    order = rng.permutation(n_samples)
    permuted = instance_noise_probabilities(X[order], codes[order], W, q[order])
    # atol: the order of a sum in a matrix product may change with the rows' position
    assert_allclose(permuted, P[order], rtol=1e-7, atol=1e-12)


def test_images_are_flattened_in_probabilities():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10, 1, 2, 3))
    codes = np.arange(10) % 3
    W = rng.standard_normal((3, 6, 3))
    q = np.full(10, 0.5)
    assert_array_equal(
        instance_noise_probabilities(X, codes, W, q),
        instance_noise_probabilities(X.reshape(10, 6), codes, W, q),
    )


def test_probabilities_refuse_bad_input():
    X, codes = table(5)
    W, q = np.zeros((4, 6, 4)), np.full(5, 0.3)
    with pytest.raises(ValueError, match=r"with 6 features; got \(4, 5, 4\)"):
        instance_noise_probabilities(X, codes, W[:, :5], q)
    with pytest.raises(ValueError, match="one entry for each of the 5 rows"):
        instance_noise_probabilities(X, codes, W, q[:4])
    with pytest.raises(ValueError, match=r"codes must lie in \[0, 4\); got 0 to 9"):
        instance_noise_probabilities(X, [0, 1, 2, 3, 9], W, q)
    for bad in (1.2, np.nan):
        with pytest.raises(
            ValueError, match=rf"flip_rates must lie in \[0, 1\].*{bad}"
        ):
            instance_noise_probabilities(X, codes, W, np.append(q[:4], bad))


# Flip rates


@pytest.mark.parametrize("mean", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("std", [0.01, 0.1, 3.0])
def test_truncated_normal_is_that_of_scipy(mean, std):
    uniforms = np.random.default_rng(0).random(200)
    reference = truncnorm(-mean / std, (1 - mean) / std, loc=mean, scale=std)
    numbers = _truncated_normal(mean, std, uniforms)
    assert_allclose(numbers, reference.ppf(uniforms), rtol=1e-7, atol=1e-9)


def test_truncated_normal_without_spread_is_its_mean():
    assert_array_equal(_truncated_normal(0.3, 0, np.array([0.0, 0.9])), [0.3, 0.3])
    tiny = _truncated_normal(0.3, 1e-300, np.array([0.0, 0.9]))
    assert ((tiny >= 0) & (tiny <= 1)).all()


@pytest.mark.parametrize(
    ("noise_rate", "expected"),
    [(0.0, 0.0798), (0.1, 0.1288), (0.2, 0.2055), (0.4, 0.4)],
)
def test_noise_rate_is_the_mean_of_the_truncated_normal(noise_rate, expected):
    X, y = table(40_000, n_features=2)
    injector = InstanceNoiseInjector(noise_rate, random_state=0)
    injector.fit_resample(X, y)
    standard_error = np.sqrt(expected * (1 - expected) / len(y))
    assert abs(injector.noise_rate_ - expected) < 5 * standard_error


def test_rate_0_without_spread_leaves_y_unchanged():
    X, y = table()
    injector = InstanceNoiseInjector(0, noise_rate_std=0)
    assert_array_equal(injector.fit_resample(X, y)[1], y)


def test_rate_1_without_spread_keeps_no_label():
    X, y = table()
    injector = InstanceNoiseInjector(1, noise_rate_std=0)
    assert (injector.fit_resample(X, y)[1] != y).all()


# The fast path has the law of Algorithm 1


@pytest.mark.parametrize("shared_projection", [False, True])
@pytest.mark.parametrize("feature_scaling", SCALINGS)
def test_labels_are_drawn_with_the_probabilities_of_algorithm_1(
    feature_scaling, shared_projection
):
    n_repeats = 8_000
    X, codes = table(8, n_features=3)
    codes[:4] = np.arange(4)
    injector = InstanceNoiseInjector(
        0.6,
        noise_rate_std=0,
        feature_scaling=feature_scaling,
        shared_projection=shared_projection,
        random_state=3,
    ).fit(X, codes)
    P = instance_noise_probabilities(
        scaled(X, feature_scaling, X), codes, projections_of(injector), np.full(8, 0.6)
    )
    noisy = injector.corrupt(np.tile(X, (n_repeats, 1)), np.tile(codes, n_repeats))
    counts = [np.bincount(draws, minlength=4) for draws in noisy.reshape(-1, 8).T]
    # 5 binomial standard errors, and float32 logits
    margin = 5 * np.sqrt(P * (1 - P) / n_repeats) + 1e-4
    assert (np.abs(np.array(counts) / n_repeats - P) < margin).all()


@pytest.mark.parametrize("shared_projection", [False, True])
@pytest.mark.parametrize("feature_scaling", SCALINGS)
def test_labels_are_those_of_a_loop_fed_with_the_same_numbers(
    feature_scaling, shared_projection
):
    X, codes = table(2_000)
    injector = InstanceNoiseInjector(
        0.4,
        feature_scaling=feature_scaling,
        shared_projection=shared_projection,
        random_state=0,
    )
    noisy = injector.fit_resample(X, codes)[1]

    rng = injector._generator(codes, X[:8])
    q = truncnorm(-4, 6, loc=0.4, scale=0.1).ppf(rng.random(2_000))
    is_flip = rng.random(2_000) < q
    P = instance_noise_probabilities(
        scaled(X, feature_scaling, X), codes, projections_of(injector), q
    )
    expected = codes.copy()
    for n, u in zip(np.flatnonzero(is_flip), rng.random(is_flip.sum()), strict=True):
        others = np.delete(np.arange(4), codes[n])
        cumulative = np.cumsum(P[n, others]) / q[n]
        expected[n] = others[min(np.searchsorted(cumulative, u, side="right"), 2)]
    # float32 logits may move a number across a border: none or one of 2,000
    assert (noisy != expected).sum() <= 1


def test_one_projection_is_shared_or_each_class_has_its_own():
    X, y = table()
    own = projections_of(InstanceNoiseInjector(random_state=0).fit(X, y))
    shared = InstanceNoiseInjector(shared_projection=True, random_state=0).fit(X, y)
    shared = projections_of(shared)
    assert (shared == shared[0]).all()
    assert not any(np.array_equal(own[0], other) for other in own[1:])


def test_size_of_the_pieces_does_not_matter(monkeypatch):
    X, y = table(300)
    injector = InstanceNoiseInjector(0.5, feature_scaling="standard", random_state=0)
    expected = clone(injector).fit_resample(X, y)[1]
    for size, product in [(1, 10**6), (50, 10**6), (2**19, 16 * 6 * 4)]:
        monkeypatch.setattr(instance_module, "_CHUNK_SIZE", size)
        monkeypatch.setattr(instance_module, "_SMALL_PRODUCT", product)
        # another order of summation may move a number across a border
        assert (clone(injector).fit_resample(X, y)[1] != expected).sum() <= 1


def test_column_moments_survive_large_offsets_and_constant_columns():
    rng = np.random.default_rng(0)
    X = rng.normal(1e4, 1, size=(500, 3)).astype(np.float32)
    X[:, 2] = 5
    mean, std = _column_moments(X)
    exact = X.astype(np.float64)
    assert_allclose(mean, exact.mean(axis=0), rtol=1e-6)
    assert_allclose(std[:2], exact.std(axis=0)[:2], rtol=1e-5)
    assert std[2] == 1


def test_unit_scaling_takes_rows_of_zeros():
    X, y = table()
    X[:50] = 0
    injector = InstanceNoiseInjector(1, feature_scaling="unit", random_state=0)
    injector.fit_resample(X, y)
    assert np.isfinite(injector.transition_matrix_).all()


def test_values_too_large_for_float32_are_refused():
    X, y = table()
    X = np.abs(X) * (np.float32(3e38) / np.abs(X).max())
    injector = InstanceNoiseInjector(1, noise_rate_std=0, random_state=0)
    with pytest.raises(ValueError, match=r"up to 3e\+38; scale X, or set feature_scal"):
        injector.fit_resample(X, y)
    almost = X / 30
    assert (injector.fit_resample(almost, y)[1] != y).all()


@pytest.mark.parametrize("size", [1e-37, 1e-25, 1.0, 1e25, 1e37])
def test_unit_scaling_takes_values_of_any_size(size):
    X, y = table()
    injector = InstanceNoiseInjector(feature_scaling="unit", random_state=0).fit(X, y)
    rows = injector._scaled((X * size).astype(np.float32))
    assert_allclose(rows, scaled(X, "unit", X), rtol=1e-5, atol=1e-6)


# What all injectors promise


def test_attributes_describe_the_labels_that_were_drawn():
    X, y = table()
    injector = InstanceNoiseInjector(0.4, random_state=0)
    X_same, y_noisy = injector.fit_resample(X, y)
    assert X_same is X
    assert_array_equal(injector.noise_mask_, y_noisy != y)
    assert injector.noise_rate_ == np.mean(y_noisy != y)
    assert_array_equal(
        injector.transition_matrix_, empirical_transition_matrix(y, y_noisy, 4)
    )
    injector.fit(X, y)
    assert not hasattr(injector, "noise_mask_")
    assert not hasattr(injector, "transition_matrix_")


def test_other_rows_with_the_same_labels_get_a_draw_of_their_own():
    X, y = table(4_000)
    injector = InstanceNoiseInjector(0.5, noise_rate_std=0, random_state=0).fit(X, y)
    first, second = (injector.corrupt(rows, y) != y for rows in (X, X + 1))
    # independent flips agree in a half of the rows; 5 standard errors
    assert abs((first == second).mean() - 0.5) < 5 * 0.5 / np.sqrt(len(y))


def test_containers_of_x_do_not_matter():
    X, y = table()
    expected = InstanceNoiseInjector(0.4, random_state=0).fit_resample(X, y)[1]
    columns = list("abcdef")
    for kind in (
        X.tolist(),
        X.astype(np.float64),
        np.asfortranarray(X),
        pd.DataFrame(X, columns=columns),
        pl.DataFrame(X, schema=columns),
    ):
        noisy = InstanceNoiseInjector(0.4, random_state=0).fit_resample(kind, y)[1]
        assert_array_equal(noisy, expected)


@pytest.mark.parametrize("feature_scaling", SCALINGS)
def test_images_are_flattened(feature_scaling):
    X, y = table(200, n_features=12)
    injector = InstanceNoiseInjector(
        0.4, feature_scaling=feature_scaling, random_state=0
    )
    expected = clone(injector).fit_resample(X, y)[1]
    noisy = clone(injector).fit_resample(X.reshape(200, 3, 2, 2), y)[1]
    assert_array_equal(noisy, expected)


@pytest.mark.parametrize("feature_scaling", SCALINGS)
def test_bytes_of_images_are_not_changed(feature_scaling):
    rng = np.random.default_rng(0)
    X = rng.integers(256, size=(100, 3, 4, 4)).astype(np.uint8)
    before = X.copy()
    injector = InstanceNoiseInjector(1, feature_scaling=feature_scaling, random_state=0)
    injector.fit_resample(X, np.arange(100) % 5)
    assert_array_equal(X, before)


def test_x_is_not_changed():
    X, y = table()
    X.flags.writeable = False
    for feature_scaling in SCALINGS:
        InstanceNoiseInjector(1, feature_scaling=feature_scaling).fit_resample(X, y)


def test_bad_rows_and_labels_are_refused():
    X, y = table(10)
    injector = InstanceNoiseInjector()
    with pytest.raises(ValueError, match="requires y to be passed"):
        injector.fit(X, None)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        injector.fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[10, 9\]"):
        injector.fit(X, y[:9])
    with pytest.raises(ValueError, match="only one class"):
        injector.fit(X, np.zeros(10, dtype=int))
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        injector.fit(X, y)


def test_corrupt_refuses_what_fit_did_not_see():
    X, y = table(20)
    injector = InstanceNoiseInjector()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        injector.corrupt(X, y)
    injector.fit(X, y)
    with pytest.raises(ValueError, match=r"unknown labels: \[7\]; known labels are"):
        injector.corrupt(X[:2], [0, 7])
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[20, 2\]"):
        injector.corrupt(X, [0, 1])
    with pytest.raises(ValueError, match=r"X has 5 features, but .* is expecting 6"):
        injector.corrupt(X[:, :5], y)
    images = np.zeros((20, 1, 4, 4), dtype=np.float32)
    injector.fit(images, y)
    with pytest.raises(
        ValueError, match=r"shape \(1, 4, 4\), as in fit; got \(1, 2, 2\)"
    ):
        injector.corrupt(images[:, :, :2, :2], y)


def test_only_training_folds_get_noise_in_an_imblearn_pipeline():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(
        InstanceNoiseInjector(1, noise_rate_std=0, random_state=0),
        LogisticRegression(max_iter=1000),
    )
    result = cross_validate(pipeline, X, y, cv=3, return_estimator=True)
    for fitted in result["estimator"]:
        assert fitted[0].noise_mask_.all()
        assert len(fitted[0].noise_mask_) == 100
    # Trained on wrong labels only: a validation fold with noise would score high.
    assert (result["test_score"] < 0.5).all()
