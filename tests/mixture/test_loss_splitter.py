"""BMMLossSplitter: the reference, EM written out in numpy, and hard losses."""

import inspect
import pickle
import random
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from scipy.special import betaln
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sknoisy.mixture._splitter as module
from sknoisy import BetaMixture, BMMLossSplitter
from sknoisy.mixture._binning import GrowingSample

CASES = ["case0", "case1", "case2"]
GRID = np.linspace(1e-12, 1 - 1e-12, 100)
# The posterior as the mixture has it, on both sides.
AS_IS = {"monotone_right": False, "monotone_left": False}


def two_kinds(n_samples=1000, seed=0):
    """Losses of right labels, and of three in ten that are wrong."""
    rng = np.random.default_rng(seed)
    right = rng.gamma(2, 0.2, n_samples * 7 // 10)
    wrong = rng.normal(4, 0.8, n_samples - len(right))
    return rng.permutation(np.concatenate([right, np.abs(wrong)]))


def hard_losses(kind, n_samples, seed=0):
    rng = np.random.default_rng(seed)
    n_wrong = 3 * n_samples // 10
    if kind == "clipped":
        # Probabilities clipped to [1e-2, 1 - 1e-2], as some programs do.
        losses = np.r_[
            rng.gamma(0.7, 0.3, n_samples - n_wrong), rng.normal(4, 1, n_wrong)
        ]
        losses = np.clip(losses, -np.log(0.99), -np.log(0.01))
    elif kind == "late":
        right, wrong = (
            rng.gamma(0.3, 0.1, n_samples - n_wrong),
            rng.normal(6, 2, n_wrong),
        )
        losses = np.abs(np.r_[right, wrong])
    elif kind == "log-normal":
        right = rng.lognormal(-3, 1.5, n_samples - n_wrong)
        losses = np.r_[right, rng.lognormal(1, 0.5, n_wrong)]
    else:
        losses = np.r_[
            rng.gamma(0.5, 0.4, n_samples - n_wrong), rng.normal(5, 1, n_wrong)
        ]
        losses = np.where(rng.random(n_samples) < 0.2, 0, np.abs(losses))
    return rng.permutation(losses)


HARD = ["clipped", "late", "log-normal", "zeros"]


def scaled(losses, clip=1e-3):
    """Return losses on [0, 1] as the authors' code has them, and which it fits to."""
    least, most = np.percentile(losses, (5, 95))
    x = (losses - least - 1e-5) / (most - least - 1e-5 + 1e-6)
    x = np.where(x <= 0, clip, np.where(x >= 1, 1 - clip, x))
    return x, (losses >= least) & (losses <= most)


def em_by_hand(losses):
    """Return the posteriors of wrong labels from EM on every loss, in float64."""
    x, is_inside = scaled(losses.astype(np.float64))
    logs = np.log(np.clip(x, 1e-4, 1 - 1e-4)), np.log1p(-np.clip(x, 1e-4, 1 - 1e-4))
    inner, inner_logs = x[is_inside].clip(1e-4, 1 - 1e-4), [v[is_inside] for v in logs]
    alphas, betas, weights = (
        np.array([1.0, 2]),
        np.array([2.0, 1]),
        np.array([0.5, 0.5]),
    )

    def joint(k, log_x, log_1mx):
        exponent = (alphas[k] - 1) * log_x + (betas[k] - 1) * log_1mx
        return weights[k] * np.exp(exponent - betaln(alphas[k], betas[k]))

    for _ in range(10):
        first, second = (np.maximum(joint(k, *inner_logs), 1e-12) for k in (0, 1))
        share = second / (first + second)
        for k, r in enumerate((1 - share, share)):
            mean = np.average(inner, weights=r)
            variance = np.average((inner - mean) ** 2, weights=r)
            alphas[k] = mean * (mean * (1 - mean) / variance - 1)
            betas[k] = alphas[k] * (1 - mean) / mean
            weights[k] = r.mean()
    first, second = joint(0, *logs), joint(1, *logs)
    assert alphas[0] / betas[0] < alphas[1] / betas[1]
    return second / (first + second)


def p_noisy_of(losses, **parameters):
    return BMMLossSplitter(**parameters).fit(losses).predict_proba(losses)[:, 1]


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


@settings(max_examples=40, deadline=None)
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


@settings(max_examples=20, deadline=None)
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


# What goes in and what comes out


def test_one_loss_per_row():
    losses = two_kinds()
    splitter = BMMLossSplitter().fit(losses)
    assert splitter.n_features_in_ == 1
    proba = splitter.predict_proba(losses)
    assert proba.shape == (1000, 2) and proba.dtype == np.float64
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-15)
    column = BMMLossSplitter().fit(losses[:, None])
    assert_array_equal(column.predict_proba(losses), proba)
    assert_array_equal(splitter.predict_proba(losses[:, None]), proba)
    p_noisy = splitter.transform(losses)
    assert p_noisy.shape == (1000, 1)
    assert_array_equal(p_noisy[:, 0], proba[:, 1])
    is_noisy = splitter.predict(losses)
    assert is_noisy.dtype == np.int64
    assert_array_equal(is_noisy, proba[:, 1] > 0.5)
    assert_array_equal(splitter.fit_transform(losses), p_noisy)

    # Several columns are averaged.
    epochs = np.c_[losses, losses[::-1], np.full(1000, 0.3)]
    several = BMMLossSplitter().fit(epochs)
    assert several.n_features_in_ == 3
    mean = epochs.mean(axis=1)
    expected = BMMLossSplitter().fit(mean).predict_proba(mean)
    assert_array_equal(several.predict_proba(epochs), expected)
    for method in (several.predict, several.predict_proba, several.transform):
        with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
            method(losses)
        with pytest.raises(ValueError, match="3 features"):
            method(epochs[:, :2])
    with pytest.raises(ValueError, match="1 features"):
        splitter.predict(epochs)


@pytest.mark.parametrize(
    "convert",
    [
        list,
        pd.Series,
        pl.Series,
        torch.from_numpy,
        lambda losses: pd.DataFrame({"loss": losses}),
        lambda losses: pl.DataFrame({"loss": losses}),
        lambda losses: np.repeat(losses, 2)[::2],
        lambda losses: losses[::-1].copy()[::-1],
    ],
    ids=["list", "Series", "pl.Series", "tensor", "frame", "pl.frame", "step", "back"],
)
def test_losses_may_be_of_any_kind(convert):
    losses = two_kinds()
    given = convert(losses)
    splitter = BMMLossSplitter().fit(given)
    plain = BMMLossSplitter().fit(losses)
    assert_array_equal(splitter.predict_proba(given), plain.predict_proba(losses))
    pieces = BMMLossSplitter().partial_fit(given)
    assert_array_equal(pieces.predict(given), plain.predict(losses))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8"])
def test_dtypes(dtype):
    losses = (two_kinds() * 20).astype(dtype)
    found = p_noisy_of(losses)
    assert found.dtype == np.float64
    assert_allclose(found, p_noisy_of(losses.astype(np.float64)), atol=1e-4)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_have_their_columns_remembered(frame):
    losses = two_kinds()
    table = frame({"epoch 1": losses, "epoch 2": losses / 2})
    splitter = BMMLossSplitter().fit(table)
    assert splitter.feature_names_in_.tolist() == ["epoch 1", "epoch 2"]
    expected = p_noisy_of(0.75 * losses)
    assert_allclose(splitter.transform(table)[:, 0], expected, rtol=1e-9)
    with pytest.raises(ValueError, match="feature names"):
        splitter.predict(frame({"epoch 1": losses, "epoch 3": losses}))


def test_set_output():
    losses = pd.DataFrame({"loss": two_kinds()}).iloc[::-1]
    splitter = BMMLossSplitter().set_output(transform="pandas").fit(losses)
    table = splitter.transform(losses)
    assert table.columns.tolist() == ["bmmlosssplitter0"]
    assert splitter.get_feature_names_out().tolist() == ["bmmlosssplitter0"]
    assert table.index.equals(losses.index)
    plain = splitter.set_output(transform="default").transform(losses)
    assert_array_equal(table.to_numpy(), plain)


def test_last_step_of_a_pipeline():
    losses = two_kinds()
    p_given = np.exp(-losses)[:, None]
    to_losses = FunctionTransformer(lambda p: -np.log(p))
    pipe = make_pipeline(to_losses, BMMLossSplitter()).fit(p_given)
    assert_allclose(pipe.predict_proba(p_given)[:, 1], p_noisy_of(losses), atol=1e-6)
    assert_array_equal(pipe.predict(p_given), pipe.transform(p_given)[:, 0] > 0.5)


def test_zeros_of_both_signs_and_many_of_them():
    losses = two_kinds()
    losses[:250], losses[250:300] = 0.0, -0.0
    splitter = BMMLossSplitter().fit(losses)
    assert splitter.lo_ == 1e-5 and splitter.fallback_ is None
    p_noisy = splitter.predict_proba(losses)[:, 1]
    assert len(np.unique(p_noisy[:300])) == 1
    assert p_noisy[0] < 0.01
    pieces = BMMLossSplitter().partial_fit(losses[:400]).partial_fit(losses[400:])
    assert_array_equal(pieces.predict_proba(losses)[:, 1], p_noisy)


def test_many_losses_are_worked_through_in_parts_without_a_seam():
    losses = two_kinds(200_000)
    some = np.r_[0, 2**16 - 1, 2**16, 2**17, len(losses) - 1]
    for posterior in ("exact", "lookup"):
        splitter = BMMLossSplitter(posterior=posterior).fit(losses)
        for method in (splitter.predict_proba, splitter.transform, splitter.predict):
            assert_allclose(method(losses)[some], method(losses[some]), rtol=1e-12)


def test_pickle_clone_and_a_second_fit():
    losses = two_kinds()
    splitter = BMMLossSplitter("gaussian", random_state=0).fit(losses**2)
    splitter.set_params(mixture="beta").fit(losses)
    proba = splitter.predict_proba(losses)
    assert_array_equal(proba[:, 1], p_noisy_of(losses))
    again = pickle.loads(pickle.dumps(splitter))
    assert_array_equal(again.predict_proba(losses), proba)
    assert not hasattr(clone(splitter), "mixture_")
    with pytest.raises(NotFittedError):
        clone(splitter).predict_proba(losses)


@pytest.mark.parametrize("mixture", ["beta", "gaussian"])
def test_nothing_global_changes_and_nothing_given(mixture):
    losses = two_kinds(100_000)
    before, state = losses.copy(), np.random.get_state()[1].copy()
    others = random.getstate(), torch.random.get_rng_state()
    splitter = BMMLossSplitter(mixture).fit(losses)
    splitter.predict_proba(losses), splitter.transform(losses)
    BMMLossSplitter().partial_fit(losses).predict(losses)
    assert_array_equal(losses, before)
    assert_array_equal(np.random.get_state()[1], state)
    assert random.getstate() == others[0]
    assert torch.equal(torch.random.get_rng_state(), others[1])


def test_no_torch_is_loaded_for_losses_of_ones_own():
    code = """
import sys
import numpy as np
from sknoisy import BetaMixture, BMMLossSplitter, LossMixtureDisplay
losses = np.random.default_rng(0).gamma(1.0, 1.0, 500)
splitter = BMMLossSplitter().fit(losses)
p_noisy = splitter.predict_proba(losses)[:, 1]
LossMixtureDisplay.from_estimator(splitter, losses)
BetaMixture().fit(losses[:, None])
sys.exit("torch" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], check=False)
    assert run.returncode == 0


# Losses in pieces


@pytest.mark.parametrize("n_samples", [900, 150_000])
def test_pieces_give_the_same_bits_as_the_whole(n_samples):
    losses = hard_losses("log-normal", n_samples).astype(np.float32)
    whole, pieces = BMMLossSplitter().fit(losses), BMMLossSplitter()
    for piece in np.array_split(losses, 7):
        assert pieces.partial_fit(piece) is pieces
    assert (whole.lo_, whole.hi_) == (pieces.lo_, pieces.hi_)
    assert_array_equal(pieces.mixture_.alphas_, whole.mixture_.alphas_)
    assert_array_equal(pieces.predict_proba(losses), whole.predict_proba(losses))


def assert_close_off_the_step(whole, pieces, losses):
    """Compare posteriors where both splitters have a loss on one side of their lo_.

    A scaled loss up to 0 becomes clip, 1e-3, and those just above stay below that: the
    posterior jumps at lo_, which pieces know to within 2**-17 of its value.
    """
    assert pieces.lo_ == pytest.approx(whole.lo_, rel=2.0**-16)
    assert pieces.hi_ == pytest.approx(whole.hi_, rel=2.0**-16)
    is_off_step = (losses <= whole.lo_) == (losses <= pieces.lo_)
    assert is_off_step.mean() > 0.999
    a, b = (s.predict_proba(losses[is_off_step])[:, 1] for s in (whole, pieces))
    assert np.abs(a - b).max() < 1e-4


@pytest.mark.parametrize("kind", HARD)
def test_counted_pieces_are_close_to_the_whole(monkeypatch, kind):
    monkeypatch.setattr(GrowingSample, "max_kept", 2**16)
    losses = hard_losses(kind, 300_000).astype(np.float32)
    whole, pieces = BMMLossSplitter().fit(losses), BMMLossSplitter()
    for piece in np.array_split(losses, 5):
        pieces.partial_fit(piece)
    assert not pieces._sample.pieces
    assert_close_off_the_step(whole, pieces, losses)


@pytest.mark.slow
@pytest.mark.parametrize("kind", HARD)
def test_pieces_around_the_limit_of_what_is_kept(kind):
    losses = hard_losses(kind, 2**20 + 500_000).astype(np.float32)
    kept, pieces = losses[: 2**20], BMMLossSplitter()
    for piece in np.array_split(kept, 4):
        pieces.partial_fit(piece)
    whole = BMMLossSplitter().fit(kept)
    assert_array_equal(pieces.predict_proba(kept), whole.predict_proba(kept))
    pieces.partial_fit(losses[2**20 :])
    assert_close_off_the_step(BMMLossSplitter().fit(losses), pieces, losses)


def test_pieces_with_several_columns_and_after_a_pickle():
    epochs = np.c_[two_kinds(), two_kinds(seed=1)]
    pieces = BMMLossSplitter().partial_fit(epochs[:500])
    pieces = pickle.loads(pickle.dumps(pieces)).partial_fit(epochs[500:])
    whole = BMMLossSplitter().fit(epochs)
    assert_array_equal(pieces.predict_proba(epochs), whole.predict_proba(epochs))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
        pieces.partial_fit(epochs[:, 0])


def test_fit_forgets_pieces_and_pieces_forget_fit():
    losses, others = two_kinds(), two_kinds(seed=1) ** 2
    splitter = BMMLossSplitter().partial_fit(others).fit(losses)
    expected = p_noisy_of(losses)
    assert_array_equal(splitter.predict_proba(losses)[:, 1], expected)
    splitter.fit(others).partial_fit(losses)
    assert_array_equal(splitter.predict_proba(losses)[:, 1], expected)
    # A refused piece leaves no trace.
    with pytest.raises(ValueError, match="Negative"):
        splitter.partial_fit(-losses)
    splitter.partial_fit(others)
    both = p_noisy_of(np.r_[losses, others])
    assert_array_equal(splitter.predict_proba(np.r_[losses, others])[:, 1], both)


def test_only_mixtures_with_weights_take_pieces():
    assert not hasattr(BMMLossSplitter("gaussian"), "partial_fit")
    assert not hasattr(BMMLossSplitter(GaussianMixture(2)), "partial_fit")
    assert hasattr(BMMLossSplitter(BetaMixture(max_iter=3)), "partial_fit")
    with pytest.raises(AttributeError, match="no attribute 'partial_fit'"):
        BMMLossSplitter("gaussian").partial_fit(two_kinds())


# Fallbacks


def line_here():
    return inspect.currentframe().f_back.f_lineno


@pytest.mark.parametrize("mixture", ["beta", "gaussian"])
@pytest.mark.parametrize("losses", [np.full(200, 0.7), np.r_[np.zeros(195), 1:6]])
def test_equal_losses_are_all_undecided(mixture, losses):
    splitter = BMMLossSplitter(mixture)
    with pytest.warns(UserWarning, match="cannot be split") as record:
        splitter.fit(losses); line = line_here()  # fmt: skip  # noqa: E702
    assert (record[0].filename, record[0].lineno) == (__file__, line)
    assert splitter.fallback_ == "constant"
    assert splitter.mixture_ is None and splitter.noisy_component_ is None
    assert splitter.noise_rate_ == 0.5
    assert (splitter.posterior_table_ == 0.5).all()
    assert (splitter.predict_proba(np.r_[losses, 100.0]) == 0.5).all()
    assert not splitter.predict(losses).any()


def test_few_losses_are_ranked():
    losses = two_kinds(40)
    losses[:2] = losses[2]
    splitter = BMMLossSplitter()
    with pytest.warns(UserWarning, match="^40 losses are too few") as record:
        splitter.fit(losses); line = line_here()  # fmt: skip  # noqa: E702
    assert (record[0].filename, record[0].lineno) == (__file__, line)
    assert splitter.fallback_ == "rank" and splitter.mixture_ is None
    p_noisy = splitter.predict_proba(losses)[:, 1]
    # By hand: the share of smaller losses and half of the equal ones.
    below = (losses[None] < losses[:, None]).mean(axis=1)
    equal = (losses[None] == losses[:, None]).mean(axis=1)
    assert_allclose(p_noisy, below + equal / 2, rtol=1e-12)
    assert splitter.predict(losses).sum() == 20
    assert_array_equal(splitter.predict_proba([-0.0, 1e9])[:, 1], [0, 1])
    with pytest.warns(UserWarning, match="49 losses are too few"):
        BMMLossSplitter().fit(two_kinds(49))
    assert BMMLossSplitter().fit(two_kinds(50)).fallback_ is None


def test_pieces_outgrow_the_fallbacks():
    losses = two_kinds()
    splitter = BMMLossSplitter()
    with pytest.warns(UserWarning, match="30 losses are too few") as record:
        splitter.partial_fit(losses[:30])
    assert record[0].filename == __file__
    splitter.partial_fit(losses[30:])
    assert splitter.fallback_ is None
    assert_array_equal(splitter.predict_proba(losses)[:, 1], p_noisy_of(losses))


# Errors


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            -0.25,
            r"row 7 has -0\.25\. Losses cannot be negative; give the cross-entropy",
        ),
        (np.nan, "NaN"),
        (np.inf, "infinity"),
        (1e300, r"losses must be at most 3\.4.*e\+38; got 1e\+300"),
    ],
)
def test_bad_losses(value, message):
    losses = two_kinds()
    splitter = BMMLossSplitter().fit(losses)
    losses[7] = value
    for method in (
        BMMLossSplitter().fit,
        BMMLossSplitter().partial_fit,
        splitter.predict,
        splitter.predict_proba,
        splitter.transform,
    ):
        with pytest.raises(ValueError, match=message):
            method(losses)


@pytest.mark.parametrize(
    ("losses", "error", "message"),
    [
        ([], ValueError, "0 sample"),
        (1.5, ValueError, "got scalar"),
        (np.zeros((60, 2, 2)), ValueError, "dim 3"),
        (csr_array(np.ones((60, 1))), TypeError, "[Ss]parse"),
        (["a"] * 60, ValueError, "could not convert"),
    ],
    ids=["empty", "scalar", "3-D", "sparse", "strings"],
)
def test_what_is_no_vector_of_losses(losses, error, message):
    with pytest.raises(error, match=message):
        BMMLossSplitter().fit(losses)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"trim": (95, 5)}, r"0 <= low < high <= 100; got \(95, 5\)"),
        ({"trim": (5, 101)}, "0 <= low < high <= 100"),
        ({"trim": (-1, 95)}, "0 <= low < high <= 100"),
        ({"trim": (5, 5)}, "0 <= low < high <= 100"),
        ({"trim": (5, 50, 95)}, r"two percentiles, .* got \(5, 50, 95\)"),
        ({"trim": (5,)}, "two percentiles"),
        ({"trim": 5}, "trim"),
        ({"clip": 0.5}, "clip"),
        ({"clip": -1e-3}, "clip"),
        ({"mixture": "bmm"}, "mixture"),
        ({"mixture": LogisticRegression}, None),
        ({"mixture": 3}, "mixture"),
        ({"identify": "mean"}, "identify"),
        ({"posterior": "table"}, "posterior"),
        ({"monotone_right": "yes"}, "monotone_right"),
        ({"monotone_left": 2}, "monotone_left"),
        ({"random_state": "x"}, "random_state"),
    ],
)
def test_bad_parameters(parameters, message):
    error = TypeError if message is None else ValueError
    for name in ("fit", "partial_fit"):
        splitter = BMMLossSplitter(**parameters)
        if hasattr(splitter, name):
            with pytest.raises(error, match=message or "Cannot clone"):
                getattr(splitter, name)(two_kinds())


# Real losses


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
