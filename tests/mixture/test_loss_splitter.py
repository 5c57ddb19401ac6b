"""BMMLossSplitter: the reference, hard losses, tails, other mixtures."""

import numpy as np
import pytest
from fast_part import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sample_losses import (
    AS_IS,
    HARD,
    em_by_hand,
    hard_losses,
    p_noisy_of,
    scaled,
    two_kinds,
)
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.model_selection import cross_val_predict

import sknoisy.mixture._splitter as module
from sknoisy import BetaMixture, BMMLossSplitter

CASES = ["case0", "case1", "case2"]
GRID = np.linspace(1e-12, 1 - 1e-12, 100)


# The published procedure


@pytest.mark.parametrize("case", CASES)
def test_the_reference_is_reproduced(reference, case):
    numbers = reference("beta_mixture.npz")
    losses = numbers[f"{case}_losses"]
    splitter = BMMLossSplitter(**AS_IS).fit(losses)
    assert_allclose(splitter.lo_, numbers[f"{case}_lo"], rtol=1e-12)
    assert_allclose(splitter.hi_, numbers[f"{case}_hi"], rtol=1e-12)
    mixture = splitter.mixture_
    assert_allclose(mixture.alphas_.ravel(), numbers[f"{case}_alphas"], rtol=1e-7)
    assert_allclose(mixture.betas_.ravel(), numbers[f"{case}_betas"], rtol=1e-7)
    assert_allclose(mixture.weights_, numbers[f"{case}_weights"], rtol=1e-7)
    assert splitter.noisy_component_ == 1 and splitter.fallback_ is None
    assert splitter.noise_rate_ == mixture.weights_[1]
    posterior = splitter.predict_proba(losses)[:, 1]
    assert_allclose(posterior, numbers[f"{case}_posterior_noisy"], atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_the_look_up_table_of_the_reference_is_reproduced(reference, case):
    numbers = reference("beta_mixture.npz")
    losses = numbers[f"{case}_losses"]
    splitter = BMMLossSplitter(posterior="lookup", monotone_left=False).fit(losses)
    table = splitter.posterior_table_
    assert table.shape == (100,) and table.dtype == np.float64
    assert_allclose(table, numbers[f"{case}_lookup_table"], atol=1e-9)
    found = splitter.predict_proba(losses)[:, 1]
    # Rounding may put a loss on the edge of an entry into the next one.
    x = (losses - splitter.lo_) / (splitter.hi_ - splitter.lo_ + 1e-6) * 100
    is_off_edges = np.abs(x - x.round()) > 1e-9
    assert is_off_edges.mean() > 0.999
    expected = numbers[f"{case}_lookup_noisy"]
    assert_allclose(found[is_off_edges], expected[is_off_edges], atol=1e-9)
    # The exact posterior is another one, but at most an entry and a half away.
    exact = splitter.set_params(posterior="exact").predict_proba(losses)[:, 1]
    assert 0 < np.abs(found - exact).max() < 2 * np.abs(np.diff(table)).max()


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bins_change_posteriors_by_less_than_1e_4(kind, dtype):
    losses = hard_losses(kind, 100_000).astype(dtype)
    assert len(losses) > module._MAX_EXACT
    difference = p_noisy_of(losses, **AS_IS) - em_by_hand(losses)
    assert np.abs(difference).max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("kind", HARD)
def test_bins_change_a_million_posteriors_by_less_than_1e_4(kind):
    losses = hard_losses(kind, 1_000_000).astype(np.float32)
    difference = p_noisy_of(losses, **AS_IS) - em_by_hand(losses)
    # Measured with four seeds: 2e-6 to 4e-5.
    assert np.abs(difference).max() < 1e-4


def test_a_swapped_start_matters_only_if_the_noisy_component_is_fixed():
    losses = two_kinds()
    swapped = BetaMixture(alphas_init=(2, 1), betas_init=(1, 2))
    plain = p_noisy_of(losses, **AS_IS)
    by_means = p_noisy_of(losses, mixture=swapped, **AS_IS)
    assert_allclose(by_means, plain, atol=1e-9)
    fixed = p_noisy_of(losses, mixture=swapped, identify="fixed", **AS_IS)
    assert_allclose(fixed, 1 - plain, atol=1e-9)
    assert_array_equal(p_noisy_of(losses, identify="fixed", **AS_IS), plain)
    splitter = BMMLossSplitter(swapped).fit(losses)
    assert splitter.noisy_component_ == 0
    assert splitter.noise_rate_ == splitter.mixture_.weights_[0]
    assert BMMLossSplitter(swapped, identify="fixed").fit(losses).noisy_component_ == 1


@examples(40)
@given(slope=st.floats(1, 100), shift=st.floats(0, 50), seed=st.integers(0, 1000))
def test_an_affine_map_of_the_losses_changes_no_posterior(slope, shift, seed):
    # The offsets of 1e-5 and 1e-6 are absolute: losses must spread over 1 or more.
    losses = two_kinds(300, seed)
    moved = slope * losses + shift
    least, most = np.percentile(losses, (5, 95))
    assert most - least > 1
    # One of 300 losses on the step at lo_ would move the mixture.
    assume(not ((losses > least) & (losses < least + 2e-5)).any())
    assert_allclose(p_noisy_of(moved), p_noisy_of(losses), atol=1e-3)


@examples(20)
@given(st.integers(0, 1000))
def test_the_order_of_losses_does_not_matter(seed):
    losses = two_kinds(300, seed)
    order = np.random.default_rng(seed).permutation(300)
    assert_allclose(p_noisy_of(losses[order]), p_noisy_of(losses)[order], atol=1e-9)


# The tails of the posterior


def test_the_posterior_never_falls_to_the_right_of_the_peak(reference):
    losses = reference("beta_mixture.npz")["case2_losses"]
    splitter = BMMLossSplitter().fit(losses)
    table = splitter.posterior_table_
    peak = table.argmax()
    assert peak < 90 and (table[peak:] == table[peak]).all()
    width = splitter.hi_ - splitter.lo_ + 1e-6
    beyond = splitter.lo_ + width * np.linspace(GRID[peak], 3, 1000)
    posterior = splitter.predict_proba(beyond)[:, 1]
    assert_allclose(posterior, table[peak], rtol=1e-9)
    # Without, it does fall here; to the left of the peak the two are one.
    falling = BMMLossSplitter(monotone_right=False).fit(losses)
    assert falling.predict_proba(beyond)[-1, 1] < 0.9 * table[peak]
    before = splitter.lo_ + width * np.linspace(0, GRID[peak] - 1e-9, 1000)
    assert_array_equal(falling.predict_proba(before), splitter.predict_proba(before))


@pytest.mark.parametrize("mixture", ["beta", "gaussian"])
def test_the_posterior_never_rises_to_the_left_of_the_trough(mixture):
    # Right labels that all have a loss near 2, and wrong ones that have any.
    rng = np.random.default_rng(0)
    losses = np.r_[rng.normal(2, 0.1, 600), rng.uniform(0, 8, 400)]
    parameters = {"mixture": mixture, "random_state": 0}
    plain = BMMLossSplitter(**parameters, monotone_left=False).fit(losses)
    splitter = BMMLossSplitter(**parameters).fit(losses)
    table, rising = splitter.posterior_table_, plain.posterior_table_
    peak = 20 + rising[20:].argmax()
    trough = rising[:peak].argmin()
    assert 5 < trough and rising[0] > 0.9
    assert (table[:trough] == rising[trough]).all()
    assert_array_equal(table[trough:], rising[trough:])
    width = splitter.hi_ - splitter.lo_ + 1e-6
    before = splitter.lo_ + width * np.linspace(-0.1, GRID[trough], 500)
    assert_allclose(splitter.predict_proba(before)[:, 1], rising[trough], rtol=1e-6)
    assert plain.predict_proba(before)[0, 1] > 0.9
    after = splitter.lo_ + width * np.linspace(GRID[trough] + 1e-9, 2, 500)
    assert_array_equal(plain.predict_proba(after), splitter.predict_proba(after))


def test_the_rise_to_the_left_is_not_taken_for_the_peak():
    # A wide component for wrong labels wins on both sides, on the left by more.
    rng = np.random.default_rng(0)
    losses = np.r_[rng.normal(3, 0.5, 600), rng.gamma(1.5, 3, 400)]
    plain = BMMLossSplitter(**AS_IS).fit(losses)
    assert plain.posterior_table_.argmax() == 0
    splitter = BMMLossSplitter().fit(losses)
    low, middle, high = splitter.predict_proba([0.0, 3.0, 9.0])[:, 1]
    assert low <= middle < 0.2 and high > 0.9


def test_the_table_is_the_posterior_on_its_grid():
    splitter = BMMLossSplitter().fit(two_kinds())
    width = splitter.hi_ - splitter.lo_ + 1e-6
    posterior = splitter.predict_proba(splitter.lo_ + width * GRID[1:-1])[:, 1]
    assert_allclose(posterior, splitter.posterior_table_[1:-1], atol=1e-9)


def test_losses_beyond_the_percentiles_are_clipped():
    losses = two_kinds()
    for clip in (1e-3, 0.1):
        splitter = BMMLossSplitter(clip=clip, **AS_IS).fit(losses)
        width = splitter.hi_ - splitter.lo_ + 1e-6
        low, high = splitter.predict_proba(
            [splitter.lo_ + clip * width, splitter.lo_ + (1 - clip) * width]
        )
        for loss, expected in ((0.0, low), (splitter.lo_, low), (1e6, high)):
            assert_allclose(splitter.predict_proba([loss])[0], expected, atol=1e-9)


# Gaussian and other mixtures


@pytest.mark.usefixtures("no_dispatch")
def test_the_gaussian_variant_is_that_of_scikit_learn():
    losses = two_kinds()
    x, is_inside = scaled(losses)
    splitter = BMMLossSplitter("gaussian", random_state=0, **AS_IS)
    splitter.fit(losses)
    seed = splitter.mixture_.random_state
    direct = GaussianMixture(2, max_iter=10, random_state=seed)
    direct.fit(x[is_inside, None])
    noisy = direct.means_.argmax()
    expected = direct.predict_proba(x[:, None])[:, noisy]
    assert_allclose(splitter.predict_proba(losses)[:, 1], expected, atol=1e-9)
    assert splitter.noise_rate_ == pytest.approx(direct.weights_[noisy])


@pytest.mark.usefixtures("no_dispatch")
def test_divide_mix():
    losses = two_kinds()
    preset = GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=0)
    splitter = BMMLossSplitter(preset, trim=None, clip=0, **AS_IS)
    found = splitter.fit(losses).predict_proba(losses)
    assert (splitter.lo_, splitter.hi_) == (losses.min(), losses.max())
    x = (losses - losses.min()) / np.ptp(losses)
    direct = clone(preset).fit(x[:, None])
    p_clean = direct.predict_proba(x[:, None])[:, direct.means_.argmin()]
    # The width has an offset of 1e-6.
    assert_allclose(found[:, 0], p_clean, atol=1e-5)


def test_trim_none_scales_from_the_smallest_to_the_largest():
    losses = two_kinds(100_000)
    for few in (losses[:1000], losses):
        splitter = BMMLossSplitter(trim=None).fit(few)
        assert (splitter.lo_, splitter.hi_) == (few.min(), few.max())
        x = (few - few.min()) / (np.ptp(few) + 1e-6)
        mixture = BetaMixture(support=(0, 1)).fit(np.where(x <= 0, 1e-3, x)[:, None])
        assert_allclose(splitter.mixture_.alphas_, mixture.alphas_, rtol=1e-4)


def test_other_percentiles():
    losses = two_kinds()
    splitter = BMMLossSplitter(trim=[10, 80]).fit(losses)
    assert splitter.lo_ == pytest.approx(np.percentile(losses, 10) + 1e-5)
    assert splitter.hi_ == pytest.approx(np.percentile(losses, 80))


def test_a_mixture_of_ones_own_is_cloned_and_used():
    losses = two_kinds()
    x, is_inside = scaled(losses)
    for support in (None, (-1, 2)):
        mine = BetaMixture(max_iter=40, support=support)
        splitter = BMMLossSplitter(mine, **AS_IS).fit(losses)
        assert not hasattr(mine, "alphas_") and mine.support == support
        direct = BetaMixture(max_iter=40, support=(0, 1)).fit(x[is_inside, None])
        expected = direct.predict_proba(x[:, None])[:, 1]
        assert_allclose(splitter.predict_proba(losses)[:, 1], expected, atol=1e-9)
        assert splitter.mixture_.n_iter_ == 40
    assert np.abs(expected - p_noisy_of(losses, **AS_IS)).max() > 1e-6


def test_a_mixture_of_another_kind():
    losses = two_kinds()
    mine = BayesianGaussianMixture(n_components=2, random_state=3)
    splitter = BMMLossSplitter(mine, random_state=0).fit(losses)
    assert splitter.mixture_.random_state == 3
    assert mine.random_state == 3 and not hasattr(mine, "means_")
    is_wrong = losses > 2
    assert (splitter.predict(losses) == is_wrong).mean() > 0.98


def test_random_state_reaches_the_gaussian_mixture():
    losses = two_kinds()
    mine = GaussianMixture(2, init_params="random")
    a, b, c = (p_noisy_of(losses, mixture=mine, random_state=s) for s in (0, 0, 1))
    assert_array_equal(a, b)
    assert (a != c).any() and mine.random_state is None


@pytest.mark.parametrize("n_components", [1, 3])
def test_a_mixture_without_two_components_is_refused(n_components):
    message = f"must have two components; .* has {n_components}"
    start = tuple(range(1, n_components + 1))
    for mixture in (
        GaussianMixture(n_components),
        BetaMixture(alphas_init=start, betas_init=start[::-1]),
    ):
        with pytest.raises(ValueError, match=message):
            BMMLossSplitter(mixture).fit(two_kinds())


# Real losses


def test_mistakes_of_weak_annotators_have_posteriors_that_mean_what_they_say(
    weakly_labelled_digits,
):
    X, truth, labels = weakly_labelled_digits
    rows = np.random.default_rng(0).choice(len(truth), 600, replace=False)
    y = labels["y_worse"][rows].astype(int)
    is_wrong = y != truth[rows]
    model = LogisticRegression(C=0.1, max_iter=200)
    proba = cross_val_predict(model, X[rows], y, cv=5, method="predict_proba")
    losses = -np.log(proba[np.arange(len(y)), y])
    splitter = BMMLossSplitter().fit(losses)
    p_noisy = splitter.predict_proba(losses)[:, 1]
    # Over three choices of rows, with 0.40 to 0.44 of the labels wrong: AUC 0.924 to
    # 0.957; mean posterior 0.34 to 0.37; Brier score 0.109 to 0.131, to which a
    # constant gives 0.24; 0.90 to 0.96 of the flags right, 0.57 to 0.65 of the wrong
    # labels flagged.
    assert roc_auc_score(is_wrong, p_noisy) > 0.89
    assert abs(p_noisy.mean() - is_wrong.mean()) < 0.1
    assert np.mean((p_noisy - is_wrong) ** 2) < 0.16
    is_flagged = splitter.predict(losses) == 1
    assert is_wrong[is_flagged].mean() > 0.8
    assert is_flagged[is_wrong].mean() > 0.5
    assert abs(splitter.noise_rate_ - is_wrong.mean()) < 0.13


@pytest.mark.slow
def test_human_mistakes_have_posteriors_that_mean_what_they_say(real_data):
    archive = real_data("cifar10_features.npz")
    rows = np.random.default_rng(0).choice(50_000, 3000, replace=False)
    X, y = archive["X_train"][rows].astype(np.float64), archive["y_worse"][rows]
    X /= np.sqrt(X.std(axis=0))
    is_wrong = y != archive["y_train"][rows]
    model = LogisticRegression(C=1e-3, max_iter=200)
    proba = cross_val_predict(model, X, y, cv=5, method="predict_proba")
    losses = -np.log(proba[np.arange(len(y)), y])
    splitter = BMMLossSplitter().fit(losses)
    p_noisy = splitter.predict_proba(losses)[:, 1]
    # Over five choices of rows, with 0.40 to 0.41 of the labels wrong: AUC 0.787 to
    # 0.798 (flipped 0.2); mean posterior 0.41 to 0.43; Brier score 0.179 to 0.186, to
    # which a constant gives 0.24 and the posterior of the other component 0.4; 0.69 to
    # 0.73 of the flags right, 0.51 to 0.60 of the wrong labels flagged.
    assert roc_auc_score(is_wrong, p_noisy) > 0.76
    assert abs(p_noisy.mean() - is_wrong.mean()) < 0.05
    assert np.mean((p_noisy - is_wrong) ** 2) < 0.2
    is_flagged = splitter.predict(losses) == 1
    assert is_wrong[is_flagged].mean() > 0.64
    assert is_flagged[is_wrong].mean() > 0.42
    assert abs(splitter.noise_rate_ - is_wrong.mean()) < 0.05
