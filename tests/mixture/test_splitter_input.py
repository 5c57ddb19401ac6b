"""BMMLossSplitter: what goes in and what comes out, fallbacks, errors."""

import inspect
import random
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sample_losses import (
    p_noisy_of,
    two_kinds,
)
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sknoisy import BMMLossSplitter

# What goes in and what comes out


@pytest.mark.usefixtures("default_output")
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


@pytest.mark.usefixtures("default_output")
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


@pytest.mark.usefixtures("default_output")
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


@pytest.mark.usefixtures("default_output")
def test_many_losses_are_worked_through_in_parts_without_a_seam():
    losses = two_kinds(200_000)
    some = np.r_[0, 2**16 - 1, 2**16, 2**17, len(losses) - 1]
    for posterior in ("exact", "lookup"):
        splitter = BMMLossSplitter(posterior=posterior).fit(losses)
        for method in (splitter.predict_proba, splitter.transform, splitter.predict):
            assert_allclose(method(losses)[some], method(losses[some]), rtol=1e-12)


def test_a_second_fit_forgets_the_first():
    losses = two_kinds()
    splitter = BMMLossSplitter("gaussian", random_state=0).fit(losses**2)
    splitter.set_params(mixture="beta").fit(losses)
    proba = splitter.predict_proba(losses)
    assert_array_equal(proba[:, 1], p_noisy_of(losses))


@pytest.mark.parametrize("mixture", ["beta", "gaussian"])
def test_nothing_global_changes_and_nothing_given(mixture):
    losses = two_kinds(100_000)
    before, state = losses.copy(), np.append(*np.random.get_state()[1:3])
    others = random.getstate(), torch.random.get_rng_state()
    splitter = BMMLossSplitter(mixture).fit(losses)
    splitter.predict_proba(losses), splitter.transform(losses)
    BMMLossSplitter().partial_fit(losses).predict(losses)
    assert_array_equal(losses, before)
    assert_array_equal(np.append(*np.random.get_state()[1:3]), state)
    assert random.getstate() == others[0]
    assert torch.equal(torch.random.get_rng_state(), others[1])


@pytest.mark.slow
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
        (1.5, TypeError, "X is 1.5, one value"),
        (np.zeros((60, 2, 2)), ValueError, "dim 3"),
        (csr_array(np.ones((60, 1))), TypeError, "[Ss]parse"),
        (["a"] * 60, ValueError, "X has strings in column 0, such as 'a'"),
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


def test_a_gaussian_mixture_under_array_dispatch():
    from sklearn import config_context

    losses = np.random.default_rng(0).gamma(2.0, size=200)
    splitter = BMMLossSplitter("gaussian", random_state=0)
    expected = splitter.fit(losses).transform(losses)
    with config_context(array_api_dispatch=True):
        found = splitter.fit(losses).transform(losses)
    np.testing.assert_array_equal(found, expected)


def test_it_says_that_losses_are_not_negative():
    assert BMMLossSplitter().__sklearn_tags__().input_tags.positive_only
