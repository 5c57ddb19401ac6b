"""BetaMixture: against closed forms, scipy, quadrature and EM written out in numpy."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.integrate import quad
from scipy.special import roots_jacobi
from sklearn.exceptions import NotFittedError

import sknoisy.mixture._beta as module
from sknoisy import BetaMixture


def two_humps(n_samples=900, seed=0):
    """Values in (0, 1), a third of them from the upper of two beta distributions."""
    rng = np.random.default_rng(seed)
    lower, upper = rng.beta(2, 8, n_samples * 2 // 3), rng.beta(7, 3, n_samples // 3)
    return rng.permutation(np.concatenate([lower, upper]))[:, None]


def em_by_hand(X, alphas, betas, n_iter, clip=1e-4, floor=1e-12):
    """Return weights, alphas and betas after EM with scipy's densities and loops."""
    X = np.clip(X, clip, 1 - clip)
    n_components, n_features = len(alphas), X.shape[1]
    alphas = np.tile(np.array(alphas, float)[:, None], n_features)
    betas = np.tile(np.array(betas, float)[:, None], n_features)
    weights = np.full(n_components, 1 / n_components)
    for _ in range(n_iter):
        joint = np.empty((len(X), n_components))
        for k in range(n_components):
            density = stats.beta.pdf(X, alphas[k], betas[k]).prod(axis=1)
            joint[:, k] = np.maximum(weights[k] * density, floor)
        r = joint / joint.sum(axis=1, keepdims=True)
        for k in range(n_components):
            for j in range(n_features):
                mean = np.average(X[:, j], weights=r[:, k])
                variance = np.average((X[:, j] - mean) ** 2, weights=r[:, k])
                alphas[k, j] = mean * (mean * (1 - mean) / variance - 1)
                betas[k, j] = alphas[k, j] * (1 - mean) / mean
            weights[k] = r[:, k].mean()
    return weights, alphas, betas


def assert_same_parameters(a, b, rtol):
    for name in ("weights_", "alphas_", "betas_", "means_", "support_"):
        assert_allclose(getattr(a, name), getattr(b, name), rtol, err_msg=name)


@pytest.mark.parametrize("case", ["case0", "case1", "case2"])
def test_the_reference_is_reproduced(reference, case):
    numbers = reference("beta_mixture.npz")
    losses = numbers[f"{case}_losses"]
    least, most = np.percentile(losses, (5, 95))
    x = (losses - least - 1e-5) / (most - least - 1e-5 + 1e-6)
    x = np.where(x <= 0, 1e-3, np.where(x >= 1, 1 - 1e-3, x))
    x = x[(losses >= least) & (losses <= most)]
    mixture = BetaMixture(support=(0, 1)).fit(x[:, None])
    assert_allclose(mixture.alphas_.ravel(), numbers[f"{case}_alphas"], rtol=1e-7)
    assert_allclose(mixture.betas_.ravel(), numbers[f"{case}_betas"], rtol=1e-7)
    assert_allclose(mixture.weights_, numbers[f"{case}_weights"], rtol=1e-7)


def test_the_first_e_step_of_the_default_start_is_one_minus_x_and_x(monkeypatch):
    # Half of Beta(1, 2) is 1 - x, half of Beta(2, 1) is x: their sum is 1.
    monkeypatch.setattr(BetaMixture, "_m_step", lambda self, moments: False)
    X = two_humps()
    mixture = BetaMixture(support=(0, 1)).fit(X)
    assert_allclose(mixture.predict_proba(X), np.c_[1 - X, X], rtol=1e-12)


def test_one_iteration_takes_the_moments_under_these_responsibilities():
    x = two_humps()[:, 0]
    mixture = BetaMixture(support=(0, 1), max_iter=1).fit(x[:, None])
    for k, weights in enumerate((1 - x, x)):
        mean = np.average(x, weights=weights)
        variance = np.average((x - mean) ** 2, weights=weights)
        fitted = stats.beta(mixture.alphas_[k, 0], mixture.betas_[k, 0])
        assert_allclose(fitted.stats("mv"), (mean, variance), rtol=1e-10)
        assert_allclose(mixture.means_[k, 0], mean, rtol=1e-12)
        assert_allclose(mixture.weights_[k], weights.mean(), rtol=1e-12)


def test_one_component_has_the_parameters_of_its_exact_moments():
    alpha, beta = 2.3, 5.1
    # Nodes and weights of Gauss and Jacobi integrate polynomials against this density.
    nodes, weights = roots_jacobi(12, beta - 1, alpha - 1)
    mixture = BetaMixture(support=(0, 1), alphas_init=[1], betas_init=[1], max_iter=1)
    mixture.fit((1 + nodes[:, None]) / 2, sample_weight=weights)
    assert_allclose(mixture.alphas_, [[alpha]], rtol=1e-10)
    assert_allclose(mixture.betas_, [[beta]], rtol=1e-10)
    assert_array_equal(mixture.weights_, [1.0])


@pytest.mark.parametrize("support", [(0, 1), (-2, 3), None])
def test_the_log_density_is_that_of_scipy(support):
    X = two_humps()
    mixture = BetaMixture(support=support).fit(X)
    low, high = mixture.support_[:, 0]
    # None takes the range of the data, whose ends are clipped.
    x = np.clip((X[:, 0] - low) / (high - low), 1e-4, 1 - 1e-4)
    parameters = mixture.alphas_.ravel(), mixture.betas_.ravel()
    joint = mixture.weights_ * stats.beta.pdf(x[:, None], *parameters) / (high - low)
    assert_allclose(np.exp(mixture.score_samples(X)), joint.sum(axis=1), rtol=1e-9)
    posterior = joint / joint.sum(axis=1, keepdims=True)
    assert_allclose(mixture.predict_proba(X), posterior, rtol=1e-9)
    assert_array_equal(mixture.predict(X), posterior.argmax(axis=1))
    assert mixture.score(X) == pytest.approx(np.log(joint.sum(axis=1)).mean())


def test_features_are_independent_within_a_component():
    X = np.c_[two_humps(), 5 * two_humps(seed=1) - 2]
    mixture = BetaMixture().fit(X)
    low, high = mixture.support_
    x = np.clip((X - low) / (high - low), 1e-4, 1 - 1e-4)[:, None]
    density = stats.beta.pdf(x, mixture.alphas_, mixture.betas_) / (high - low)
    expected = (mixture.weights_ * density.prod(axis=2)).sum(axis=1)
    assert_allclose(np.exp(mixture.score_samples(X)), expected, rtol=1e-9)


@pytest.mark.parametrize("component", [0, 1])
def test_the_posterior_in_half_the_passes_is_the_same(component):
    X = two_humps()
    mixture = BetaMixture(support=(0, 1)).fit(X)
    found = mixture._posterior_of(component, X[:, 0].copy())
    expected = mixture.predict_proba(X)[:, component]
    assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("support", [(0, 1), (-2, 3)])
def test_the_density_integrates_to_one(support):
    mixture = BetaMixture(support=support, clip=1e-9).fit(two_humps())
    area, _ = quad(
        lambda x: np.exp(mixture.score_samples([[x]])[0]), *support, points=[0.2, 0.7]
    )
    assert area == pytest.approx(1, rel=1e-6)


def test_clipped_values_have_the_density_of_where_they_are_clipped():
    mixture = BetaMixture(support=(0, 2), clip=0.01).fit(two_humps())
    outside, at_clip = [[-5.0], [0.0], [9.0]], [[0.02], [0.02], [1.98]]
    for method in (mixture.score_samples, mixture.predict_proba):
        assert_allclose(method(outside), method(at_clip), rtol=1e-12)


def test_samples_have_the_moments_of_the_mixture():
    mixture = BetaMixture(support=(-1, 4), random_state=0).fit(two_humps())
    n_samples = 100_000
    X, labels = mixture.sample(n_samples)
    assert X.shape == (n_samples, 1) and labels.shape == (n_samples,)
    assert (np.diff(labels) >= 0).all()
    error = np.sqrt(mixture.weights_ * (1 - mixture.weights_) / n_samples)
    assert (
        np.abs(np.bincount(labels) / n_samples - mixture.weights_) < 4 * error
    ).all()
    for k in range(2):
        component = stats.beta(mixture.alphas_[k, 0], mixture.betas_[k, 0], -1, 5)
        drawn = X[labels == k, 0]
        assert abs(drawn.mean() - component.mean()) < 4 * component.std() / 150
        assert drawn.std() == pytest.approx(component.std(), rel=0.03)
        # A Kolmogorov-Smirnov distance of 2 / sqrt(n) has a p-value of 7e-4.
        distance = stats.kstest(drawn, component.cdf).statistic
        assert distance < 2 / np.sqrt(len(drawn))


def test_sampling_follows_random_state_and_no_global_generator():
    X = two_humps()
    draws = [BetaMixture(random_state=s).fit(X).sample(5)[0] for s in (0, 0, 1)]
    assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()
    before = np.append(*np.random.get_state()[1:3])
    mixture = BetaMixture().fit(X)
    assert (mixture.sample(5)[0] != mixture.sample(5)[0]).any()
    assert_array_equal(np.append(*np.random.get_state()[1:3]), before)
    rng = np.random.RandomState(0)
    mixture = BetaMixture(random_state=rng).fit(X)
    assert (mixture.sample(5)[0] != mixture.sample(5)[0]).any()


def test_a_large_sample_gives_the_parameters_back():
    truth = BetaMixture(support=(0, 1), random_state=0).fit(two_humps())
    X, _ = truth.sample(400_000)
    again = BetaMixture(support=(0, 1), max_iter=500, tol=1e-9).fit(X)
    # Over 10 seeds the largest relative error was 0.02.
    assert_same_parameters(again, truth, rtol=0.05)


def test_information_criteria():
    X = np.c_[two_humps(), two_humps(seed=1)]
    mixture = BetaMixture().fit(X)
    log_likelihood = mixture.score_samples(X).sum()
    # Two components with two parameters for each of two features, and one free weight.
    assert mixture.aic(X) == pytest.approx(-2 * log_likelihood + 2 * 9)
    assert mixture.bic(X) == pytest.approx(-2 * log_likelihood + 9 * np.log(900))


def test_several_features_and_components_agree_with_em_by_hand():
    rng = np.random.default_rng(0)
    X = np.concatenate(
        [rng.beta(2, 9, (200, 3)), rng.beta(9, 2, (150, 3)), rng.beta(20, 20, (90, 3))]
    )
    X[:5, 1], X[5:9, 2] = 0, 1  # to be clipped
    start = {"alphas_init": (1, 4, 2), "betas_init": (2, 4, 1)}
    mixture = BetaMixture(support=(0, 1), max_iter=7, **start).fit(X)
    weights, alphas, betas = em_by_hand(X, *start.values(), n_iter=7)
    assert_allclose(mixture.weights_, weights, rtol=1e-8)
    assert_allclose(mixture.alphas_, alphas, rtol=1e-8)
    assert_allclose(mixture.betas_, betas, rtol=1e-8)
    assert_allclose(mixture.means_, alphas / (alphas + betas), rtol=1e-8)


def test_each_feature_has_its_own_range():
    X = two_humps()
    mixture = BetaMixture().fit(np.c_[X, 10 * X - 3])
    least, most = X.min(), X.max()
    expected = [[least, 10 * least - 3], [most, 10 * most - 3]]
    assert_allclose(mixture.support_, expected, rtol=1e-12)
    assert_allclose(mixture.alphas_[:, 0], mixture.alphas_[:, 1], rtol=1e-9)


@pytest.mark.parametrize("is_binned", [False, True])
def test_weights_stand_for_repetitions(monkeypatch, is_binned):
    monkeypatch.setattr(module, "_MAX_EXACT", 100 if is_binned else 10**9)
    X = two_humps()
    weights = np.random.default_rng(1).integers(0, 4, len(X))
    weights[[X.argmin(), X.argmax()]] = 0  # the range is that of the other rows
    weighted = BetaMixture().fit(X, sample_weight=weights)
    repeated = BetaMixture().fit(np.repeat(X, weights, axis=0))
    # Bins stand at the same places; on values only the order of sums differs.
    assert_same_parameters(weighted, repeated, rtol=1e-9)
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_)
    plain = BetaMixture().fit(X)
    doubled = BetaMixture().fit(X, sample_weight=np.full(len(X), 2.0))
    assert_same_parameters(plain, doubled, rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("has_atoms", [False, True])
def test_bins_change_posteriors_by_less_than_1e_4(monkeypatch, dtype, has_atoms):
    X = two_humps(150_000)
    if has_atoms:
        # As losses are: an eighth of them clipped at either end.
        X = np.clip((X - 0.1) / 0.6, 1e-3, 1 - 1e-3)
        assert 0.03 < (X == X.min()).mean() and 0.03 < (X == X.max()).mean()
    X = X.astype(dtype)
    assert len(X) > module._MAX_EXACT
    binned = BetaMixture(support=(0, 1)).fit(X)
    monkeypatch.setattr(module, "_MAX_EXACT", 10**9)
    exact = BetaMixture(support=(0, 1)).fit(X.astype(np.float64))
    assert (binned.alphas_ != exact.alphas_).any()
    difference = np.abs(binned.predict_proba(X) - exact.predict_proba(X)).max()
    assert difference < 1e-4


def test_equal_values_beyond_the_limit_of_bins_are_one_point(monkeypatch):
    monkeypatch.setattr(module, "_MAX_EXACT", 100)
    mixture = BetaMixture(support=(0, 1)).fit(np.full((200, 1), 0.3))
    assert_allclose(mixture.means_.ravel(), [0.3, 0.3], rtol=1e-6)


def test_swapped_starts_swap_the_components():
    X = two_humps()
    plain = BetaMixture().fit(X)
    swapped = BetaMixture(alphas_init=(2, 1), betas_init=(1, 2)).fit(X)
    for name in ("weights_", "alphas_", "betas_", "means_"):
        assert_allclose(getattr(swapped, name), getattr(plain, name)[::-1], rtol=1e-9)
    assert plain.means_[0, 0] < plain.means_[1, 0]


def test_a_vanishing_variance_leaves_finite_parameters():
    X = np.concatenate([np.full(50, 0.25), np.full(50, 0.75)])[:, None]
    start = {"alphas_init": (10, 30), "betas_init": (30, 10)}
    mixture = BetaMixture(support=(0, 1), **start).fit(X)
    # The floor of a millionth of mean * (1 - mean) makes alpha + beta a million.
    assert_allclose(mixture.alphas_ + mixture.betas_, 1e6 - 1, rtol=1e-3)
    assert_allclose(mixture.means_.ravel(), [0.25, 0.75], rtol=1e-9)
    assert_allclose(mixture.predict_proba(X[[0, -1]]), np.eye(2), atol=1e-9)


def test_a_vanishing_component_stops_em_with_the_parameters_it_has():
    X = np.random.default_rng(0).beta(2, 20, 500)[:, None]
    mixture = BetaMixture(support=(0, 1), alphas_init=(1, 900), betas_init=(1, 1))
    mixture.fit(X)
    assert mixture.n_iter_ == 1 and not mixture.converged_
    assert_array_equal(mixture.alphas_.ravel(), [1, 900])
    assert_array_equal(mixture.betas_.ravel(), [1, 1])
    assert_array_equal(mixture.weights_, [0.5, 0.5])
    assert_allclose(mixture.means_.ravel(), [0.5, 900 / 901], rtol=1e-12)


def test_rows_that_no_component_explains_are_shared():
    # Both densities at 0.9 are below the floor, so that it belongs to both alike.
    X = np.array([[0.1]] * 40 + [[0.9]])
    start = {"alphas_init": (200, 190), "betas_init": (1800, 1810)}
    mixture = BetaMixture(support=(0, 1), max_iter=1, **start).fit(X)
    by_hand = em_by_hand(X, *start.values(), n_iter=1)
    assert_allclose(mixture.weights_, by_hand[0], rtol=1e-9)
    assert_allclose(mixture.alphas_, by_hand[1], rtol=1e-9)


def test_without_tol_all_iterations_run():
    X = two_humps()
    for max_iter in (1, 3, 60):
        assert BetaMixture(max_iter=max_iter).fit(X).n_iter_ == max_iter
    assert BetaMixture(max_iter=60).fit(X).converged_
    assert not BetaMixture(max_iter=1).fit(X).converged_


def test_tol_stops_when_the_likelihood_no_longer_moves():
    X = two_humps()
    mixture = BetaMixture(support=(0, 1), max_iter=500, tol=1e-4).fit(X)
    assert mixture.converged_ and 2 < mixture.n_iter_ < 500
    bounds = [
        BetaMixture(support=(0, 1), max_iter=n).fit(X).lower_bound_
        for n in range(1, mixture.n_iter_ + 1)
    ]
    steps = np.abs(np.diff(bounds))
    assert steps[-1] < 1e-4 and (steps[:-1] >= 1e-4).all()
    assert mixture.lower_bound_ == bounds[-1]
    tighter = BetaMixture(support=(0, 1), max_iter=500, tol=1e-8).fit(X)
    assert tighter.n_iter_ > mixture.n_iter_
    few = BetaMixture(max_iter=2, tol=0).fit(X)
    assert few.n_iter_ == 2 and not few.converged_


def test_the_lower_bound_is_the_mean_log_density_before_the_last_update():
    X = two_humps()
    before = BetaMixture(support=(0, 1), max_iter=4).fit(X)
    after = BetaMixture(support=(0, 1), max_iter=5).fit(X)
    assert after.lower_bound_ == pytest.approx(before.score(X), rel=1e-9)
    # It is that of values scaled to [0, 1], whatever their units.
    scaled = BetaMixture(support=(-3, 7), max_iter=5).fit(10 * X - 3)
    assert scaled.lower_bound_ == pytest.approx(after.lower_bound_, rel=1e-9)
    assert scaled.score(10 * X - 3) == pytest.approx(after.score(X) - np.log(10))


@examples(30)
@given(
    slope=st.floats(1e-3, 1e3),
    shift=st.floats(-100, 100),
    seed=st.integers(0, 1000),
)
def test_an_affine_map_of_the_values_changes_no_posterior(slope, shift, seed):
    X = two_humps(90, seed)
    moved = slope * X + shift
    plain, other = BetaMixture().fit(X), BetaMixture().fit(moved)
    # What the shift costs in digits: 1e5 times the spread.
    assert_allclose(other.weights_, plain.weights_, rtol=1e-6)
    assert_allclose(other.predict_proba(moved), plain.predict_proba(X), atol=1e-6)
    assert_allclose(other.means_, slope * plain.means_ + shift, atol=1e-6 * slope)


@examples(30)
@given(seed=st.integers(0, 1000), n_features=st.integers(1, 3))
def test_the_order_of_rows_and_of_features_does_not_matter(seed, n_features):
    rng = np.random.default_rng(seed)
    X = np.hstack([two_humps(90, seed + j) for j in range(n_features)])
    rows, columns = rng.permutation(len(X)), rng.permutation(n_features)
    plain, other = BetaMixture().fit(X), BetaMixture().fit(X[rows][:, columns])
    assert_allclose(other.alphas_, plain.alphas_[:, columns], rtol=1e-8)
    assert_allclose(
        other.predict_proba(X[:, columns]), plain.predict_proba(X), atol=1e-9
    )


@examples(50)
@given(
    values=st.lists(st.floats(0, 1), min_size=2, max_size=40),
    points=st.lists(st.floats(-2, 3), min_size=1, max_size=10),
)
def test_posteriors_and_weights_sum_to_one_for_any_values(values, points):
    mixture = BetaMixture(support=(0, 1)).fit(np.array(values)[:, None])
    assert np.isfinite(mixture.alphas_).all() and (mixture.alphas_ > 0).all()
    assert np.isfinite(mixture.betas_).all() and (mixture.betas_ > 0).all()
    assert mixture.weights_.sum() == pytest.approx(1, rel=1e-12)
    proba = mixture.predict_proba(np.array(points)[:, None])
    assert ((proba >= 0) & (proba <= 1)).all()
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)


def test_many_rows_are_worked_through_in_parts_without_a_seam():
    X = two_humps(150_000)
    mixture = BetaMixture().fit(X)
    some = np.r_[0, 2**16 - 1, 2**16, 2**17, len(X) - 1]
    for method in (mixture.predict_proba, mixture.score_samples, mixture.predict):
        assert_allclose(method(X)[some], method(X[some]), rtol=1e-12)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames(frame):
    X = np.c_[two_humps(), two_humps(seed=1)]
    table = frame({"a": X[:, 0], "b": X[:, 1]})
    mixture = BetaMixture().fit(table)
    assert mixture.feature_names_in_.tolist() == ["a", "b"]
    plain = BetaMixture().fit(X)
    # A frame has its columns in another order of memory, and so of sums.
    assert_allclose(mixture.predict_proba(table), plain.predict_proba(X), rtol=1e-9)


def test_float32_integers_and_lists():
    X = two_humps()
    plain = BetaMixture(support=(0, 1)).fit(X)
    single = BetaMixture(support=(0, 1)).fit(X.astype(np.float32))
    assert_same_parameters(single, plain, rtol=1e-4)
    assert single.predict_proba(X.astype(np.float32)).dtype == np.float64
    whole = (X * 100).astype(int)
    assert_same_parameters(
        BetaMixture().fit(whole), BetaMixture().fit(whole.tolist()), rtol=0
    )


def test_nothing_given_is_changed_and_a_second_fit_forgets_the_first():
    X, weights = two_humps(), np.arange(900.0)
    X_before, weights_before = X.copy(), weights.copy()
    init = np.array([1.0, 2.0])
    mixture = BetaMixture(alphas_init=init).fit(X**2).fit(X, sample_weight=weights)
    mixture.predict_proba(X), mixture.score_samples(X)
    assert_array_equal(X, X_before)
    assert_array_equal(weights, weights_before)
    assert mixture.alphas_init is init and init.tolist() == [1, 2]
    once = BetaMixture().fit(X, sample_weight=weights)
    assert_same_parameters(mixture, once, rtol=0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_iter": 0}, "max_iter"),
        ({"tol": -1.0}, "tol"),
        ({"clip": 0.0}, "clip"),
        ({"clip": 0.5}, "clip"),
        ({"support": "unit"}, "support"),
        ({"support": (1, 0)}, r"two finite numbers; got \(1, 0\)"),
        ({"support": (0, 1, 2)}, r"two finite numbers; got \(0, 1, 2\)"),
        ({"support": (0, np.inf)}, "two finite numbers"),
        ({"support": (np.nan, 1)}, "two finite numbers"),
        ({"support": (0, 0.5)}, r"X must lie in support, \[0, 0.5\]; got values from"),
        ({"support": (0.5, 1)}, "X must lie in support"),
        ({"alphas_init": (1, 2, 3)}, r"one number for each.*\(3,\) and \(2,\)"),
        ({"alphas_init": [[1, 2]], "betas_init": [[1, 2]]}, "one number for each"),
        ({"alphas_init": (), "betas_init": ()}, "one number for each"),
        ({"alphas_init": (0, 1)}, r"positive and finite; got \[0.0, 1.0\]"),
        ({"betas_init": (-1, 2)}, "positive and finite"),
        ({"betas_init": (1, np.inf)}, "positive and finite"),
        ({"betas_init": (1, np.nan)}, "positive and finite"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        BetaMixture(**parameters).fit(two_humps())


def test_bad_data():
    X = two_humps()
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        BetaMixture().fit(X[:1])
    with pytest.raises(ValueError, match="minimum of 3 is required"):
        BetaMixture(alphas_init=(1, 2, 3), betas_init=(3, 2, 1)).fit(X[:2])
    with pytest.raises(ValueError, match=r"feature 1 of X has one value only, 0\.5"):
        BetaMixture().fit(np.c_[X, np.full(len(X), 0.5)])
    with pytest.raises(ValueError, match="NaN"):
        BetaMixture().fit(np.where(X == X.max(), np.nan, X))
    with pytest.raises(ValueError, match="2D array"):
        BetaMixture().fit(X[:, 0])
    with pytest.raises(ValueError, match="Negative values"):
        BetaMixture().fit(X, sample_weight=np.full(len(X), -1.0))
    with pytest.raises(ValueError, match=r"at least one (positive|non-zero)"):
        BetaMixture().fit(X, sample_weight=np.zeros(len(X)))
    with pytest.raises(ValueError, match="2 features"):
        BetaMixture().fit(X).predict(np.c_[X, X])
    with pytest.raises(ValueError, match="n_samples must be at least 1; got 0"):
        BetaMixture().fit(X).sample(0)
    assert BetaMixture().fit(X).sample(1)[0].shape == (1, 1)
    for method in ("predict_proba", "predict", "score_samples", "score", "aic", "bic"):
        with pytest.raises(NotFittedError):
            getattr(BetaMixture(), method)(X)
    with pytest.raises(NotFittedError):
        BetaMixture().sample()


def test_the_ends_of_the_support_are_numbers():
    with pytest.raises(ValueError, match=r"support must be .* got \('a', 1\)"):
        BetaMixture(support=("a", 1)).fit([[0.1], [0.5], [0.9]])
