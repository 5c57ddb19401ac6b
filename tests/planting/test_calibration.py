"""Calibration: from a signal to P(wrong), against Bayes' rule where it is known."""

import numpy as np
import pytest
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from sknoisy._planting._calibration import calibrate

MANY = 1000  # classes, so that no planted label is right by chance


def simulate(noise_rate, n_classes, gap=3.0, n=6000, seed=0):
    """Return signals of given and of planted labels, and which given ones are wrong.

    Right labels have N(gap/2, 1), wrong ones N(-gap/2, 1). A planted label is right if
    its row was wrong and the new label happens to be the true one.
    """
    rng = np.random.default_rng(seed)
    is_wrong = rng.random(n) < noise_rate
    is_lucky = rng.random(n // 2) < noise_rate / (n_classes - 1)
    labels = rng.normal(np.where(is_wrong, -gap / 2, gap / 2))
    return labels, rng.normal(np.where(is_lucky, gap / 2, -gap / 2)), is_wrong


def bayes(values, noise_rate, gap):
    """Return P(wrong) and the density of the signal."""
    wrong = noise_rate * norm.pdf(values, -gap / 2)
    density = wrong + (1 - noise_rate) * norm.pdf(values, gap / 2)
    return wrong / density, density


# With two classes and 40 % noise, 40 % of the planted labels are right: their density
# is a mixture itself, and taken for that of wrong labels it gives a rate near 0.7.
@pytest.mark.fast_cases(3)
@pytest.mark.parametrize(
    ("noise_rate", "n_classes"),
    [
        *[(0.05, MANY), (0.2, MANY), (0.4, MANY), (0.6, MANY)],
        *[(0.1, 2), (0.2, 2), (0.4, 2), (0.2, 3), (0.4, 3)],
    ],
)
@pytest.mark.parametrize("gap", [2.5, 4.0])
def test_it_meets_bayes_rule(noise_rate, n_classes, gap):
    labels, planted, is_wrong = simulate(noise_rate, n_classes, gap)
    calibration = calibrate(labels, planted, n_classes)
    # Ten seeds: at most 0.026 from the drawn rate, 0.028 from Bayes' rule.
    assert abs(calibration.noise_rate - is_wrong.mean()) < 0.03
    values = np.linspace(-6, 6, 400)
    expected, density = bayes(values, noise_rate, gap)
    dense = density > 0.01
    assert abs(calibration(values) - expected)[dense].mean() < 0.07


@pytest.mark.parametrize("gap", [2.0, 3.0, 4.0])
def test_without_wrong_labels_it_finds_none(gap):
    # Thirty seeds: at most 0.0001 at these sizes but for four, the highest 0.0016.
    labels, planted, _ = simulate(0, 10, gap, n=10_000)
    calibration = calibrate(labels, planted, 10)
    assert calibration.noise_rate < 0.01
    assert calibration(labels).mean() < 0.01


def test_right_labels_of_difficult_rows_are_no_wrong_ones():
    # A sixth of the right labels lies where a normal density has next to nothing.
    rng = np.random.default_rng(0)
    n_wrong, n_difficult, n_easy = 2000, 1000, 7000
    wrong = rng.normal(-2, 1.0, n_wrong)
    difficult = rng.normal(0, 0.4, n_difficult)
    labels = np.concatenate([wrong, difficult, rng.normal(3, 0.5, n_easy)])
    calibration = calibrate(labels, rng.normal(-2, 1.0, 5000), MANY)
    values = np.linspace(-0.4, 0.4, 9)
    low = n_wrong * norm.pdf(values, -2, 1.0)
    high = n_difficult * norm.pdf(values, 0, 0.4) + n_easy * norm.pdf(values, 3, 0.5)
    expected = low / (low + high)
    # Here Bayes' rule says 0.1 to 0.3, and the normal mixture alone above 0.9.
    assert abs(calibration(values) - expected).max() < 0.2


@st.composite
def signals(draw):
    """Mixtures of all shapes: bounded, heavy-tailed, with ties, overlapping or not."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n_given, n_planted = draw(st.integers(2, 400)), draw(st.integers(1, 200))
    kind = draw(st.sampled_from(["normal", "uniform", "cauchy", "ties"]))
    sample = {
        "normal": rng.normal,
        "uniform": lambda size: rng.uniform(-1, 1, size),
        "cauchy": rng.standard_cauchy,
        "ties": lambda size: rng.integers(0, 3, size).astype(float),
    }[kind]
    labels = sample(size=n_given) + draw(st.floats(-3, 3))
    return labels, sample(size=n_planted)


@pytest.mark.slow
@given(signals(), st.integers(2, 20), st.none() | st.floats(0, 0.9))
@examples(30)
def test_it_falls_from_at_most_one_to_at_least_zero(both, n_classes, noise_rate):
    labels, planted = both
    calibration = calibrate(labels, planted, n_classes, noise_rate)
    low, high = min(labels.min(), planted.min()), max(labels.max(), planted.max())
    proba = calibration(np.linspace(low - 1, high + 1, 500))
    assert (np.diff(proba) <= 1e-12).all()
    assert 0 <= proba[-1] and proba[0] <= 1
    assert 0 <= calibration.noise_rate <= 1
    if noise_rate is not None:
        assert calibration.noise_rate == noise_rate


@pytest.mark.slow
@given(shift=st.floats(-100, 100), scale=st.floats(0.01, 100))
@examples(15)
def test_shift_and_scale_of_the_signal_mean_nothing(shift, scale):
    labels, planted, _ = simulate(0.3, 5, n=1000)
    plain = calibrate(labels, planted, 5)
    moved = calibrate(shift + scale * labels, shift + scale * planted, 5)
    # A value at the edge of a bin may fall to the other side of it by a rounding.
    assert moved.noise_rate == pytest.approx(plain.noise_rate, abs=1e-3)
    values = np.linspace(-4, 4, 50)
    np.testing.assert_allclose(
        moved(shift + scale * values), plain(values), atol=5e-3, rtol=0
    )


def test_a_larger_known_rate_gives_larger_probabilities():
    labels, planted, _ = simulate(0.3, MANY)
    values = np.linspace(-4, 4, 50)
    low, middle, high = (
        calibrate(labels, planted, MANY, rate)(values) for rate in (0.1, 0.3, 0.5)
    )
    # Where there are hardly any wrong labels the fit of the right ones moves a little.
    assert (low <= middle + 1e-3).all() and (middle <= high + 1e-3).all()
    assert high.mean() > low.mean() + 0.05


def test_the_true_rate_known_gives_bayes_rule():
    labels, planted, _ = simulate(0.3, 3)
    values = np.linspace(-4, 4, 200)
    expected, density = bayes(values, 0.3, 3.0)
    found = calibrate(labels, planted, 3, 0.3)(values)
    assert abs(found - expected)[density > 0.01].mean() < 0.07


@pytest.mark.parametrize(
    ("labels", "planted"), [([1.0] * 5, [1.0] * 3), ([0.0], [0.0])]
)
def test_signals_that_are_all_the_same_tell_nothing(labels, planted):
    labels, planted = np.array(labels), np.array(planted)
    assert (calibrate(labels, planted, 3)(labels) == 0).all()
    known = calibrate(labels, planted, 3, 0.3)
    assert known.noise_rate == 0.3 and (known([-1.0, 0.0, 5.0]) == 0.3).all()


def test_two_constants_are_told_apart():
    # All rows that carry a planted label have 0, all others 1: none of them is wrong.
    clean = calibrate(np.ones(50), np.zeros(20), MANY)
    assert clean.noise_rate < 1e-6 and clean(1.0) < 1e-6
    labels = np.repeat([1.0, 0.0], [35, 15])
    mixed = calibrate(labels, np.zeros(20), MANY)
    assert mixed.noise_rate == pytest.approx(0.3, abs=0.01)
    assert mixed(0.0) > 0.95 and mixed(1.0) < 0.05


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("value", [1e6, -1e6])
@pytest.mark.parametrize("n", [300, 3000, 10_000])
def test_one_far_value_changes_little(value, n):
    labels, planted, _ = simulate(0.2, MANY, n=n)
    plain = calibrate(labels, planted, MANY)
    other = calibrate(np.append(labels, value), planted, MANY)
    assert other.noise_rate == pytest.approx(plain.noise_rate, abs=0.02)
    values = np.linspace(-4, 4, 50)
    np.testing.assert_allclose(other(values), plain(values), atol=0.05, rtol=0)


def test_a_known_rate_of_one_leaves_some_right_labels():
    # The confident joint says so when every confident row speaks for another class.
    labels, planted, _ = simulate(0.3, 3, n=200)
    calibration = calibrate(labels, planted, 3, 1.0)
    assert calibration.noise_rate == 0.95
    assert np.isfinite(calibration(labels)).all()
    assert calibration(planted).mean() > calibration(labels).mean()


def test_most_values_may_be_equal():
    labels = np.repeat([1.0, 0.0], [970, 30])
    calibration = calibrate(labels, np.zeros(20), MANY)
    assert calibration.noise_rate == pytest.approx(0.03, abs=0.01)
    assert calibration(0.0) > 0.9 and calibration(1.0) < 0.05


def test_few_wrong_labels_far_off():
    rng = np.random.default_rng(0)
    labels = np.concatenate([rng.normal(0, 1, 980), rng.normal(-6, 0.3, 20)])
    calibration = calibrate(labels, rng.normal(-6, 0.3, 20), MANY)
    assert calibration.noise_rate == pytest.approx(0.02, abs=0.005)
    assert calibration(-6.0) > 0.9
