"""LossMixtureDisplay: what is drawn, in numbers."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.integrate import trapezoid
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sknoisy import (
    BetaMixture,
    BMMLossSplitter,
    DynamicBootstrapClassifier,
    LossMixtureDetector,
    LossMixtureDisplay,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")


def two_kinds(seed=0):
    """Losses, and which of their labels are wrong."""
    rng = np.random.default_rng(seed)
    losses = np.r_[0.3 + rng.gamma(4, 0.2, 1400), np.abs(rng.normal(5, 0.8, 600))]
    return losses, np.arange(2000) >= 1400


class Detector(BaseEstimator):
    """An estimator with what detectors and classifiers by loss mixtures have."""

    def fit(self, losses, y=None):
        self.losses_ = np.asarray(losses)
        self.mixtures_ = [
            BMMLossSplitter().fit(self.losses_ ** (1 / epoch)) for epoch in (3, 2, 1)
        ]
        self.splitter_ = self.mixtures_[-1]
        return self


def heights(bars):
    return np.array([bar.get_height() for bar in bars])


def areas(bars):
    return np.array([bar.get_height() * bar.get_width() for bar in bars])


def test_the_drawn_beta_densities_are_those_fitted():
    losses, _ = two_kinds()
    splitter = BMMLossSplitter().fit(losses)
    display = LossMixtureDisplay.from_estimator(splitter, losses)
    mixture, width = splitter.mixture_, splitter.hi_ - splitter.lo_ + 1e-6
    for component in (0, 1):
        x, density = display.lines_[component].get_data()
        law = stats.beta(
            mixture.alphas_[component, 0],
            mixture.betas_[component, 0],
            splitter.lo_,
            width,
        )
        weight = mixture.weights_[component]
        inner = (x > splitter.lo_ + 1e-4 * width) & (x < splitter.hi_ - 1e-4 * width)
        assert inner.sum() > 380
        assert_allclose(density[inner], weight * law.pdf(x)[inner], rtol=1e-9)
        assert trapezoid(density, x) == pytest.approx(weight, rel=1e-3)
        assert x[0] == splitter.lo_ and x[-1] == pytest.approx(splitter.hi_, abs=1e-5)
    shares = [
        f"{name}: {100 * w:.0f} %"
        for name, w in zip(("right", "wrong"), mixture.weights_, strict=True)
    ]
    assert [line.get_label() for line in display.lines_] == [*shares, "suspicion"]
    assert [line.axes for line in display.lines_[:2]] == [display.ax_] * 2


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_the_drawn_normal_densities_are_those_fitted(covariance_type):
    from sklearn.mixture import GaussianMixture

    losses, _ = two_kinds()
    mixture = GaussianMixture(2, covariance_type=covariance_type)
    splitter = BMMLossSplitter(mixture, random_state=1).fit(losses)
    display = LossMixtureDisplay.from_estimator(splitter, losses)
    mixture, width = splitter.mixture_, splitter.hi_ - splitter.lo_ + 1e-6
    variances = np.broadcast_to(mixture.covariances_.ravel(), 2)
    clean, noisy = 1 - splitter.noisy_component_, splitter.noisy_component_
    for line, component in zip(display.lines_, (clean, noisy), strict=False):
        x, density = line.get_data()
        mean = splitter.lo_ + width * mixture.means_[component, 0]
        law = stats.norm(mean, width * np.sqrt(variances[component]))
        weight = mixture.weights_[component]
        assert_allclose(density, weight * law.pdf(x), rtol=1e-6, atol=1e-12)
        drawn = law.cdf(x[-1]) - law.cdf(x[0])
        assert trapezoid(density, x) == pytest.approx(weight * drawn, rel=1e-2)
        # Normal densities are not bounded: they are drawn over the whole axis.
        assert_allclose((x[0], x[-1]), display.ax_.get_xlim(), rtol=1e-9)
    assert display.lines_[0].get_xdata()[display.lines_[0].get_ydata().argmax()] < 2


def test_the_component_for_wrong_labels_is_drawn_second_whatever_its_number():
    losses, _ = two_kinds()
    swapped = BMMLossSplitter(BetaMixture(alphas_init=(2, 1), betas_init=(1, 2)))
    plain = LossMixtureDisplay.from_estimator(BMMLossSplitter().fit(losses), losses)
    other = LossMixtureDisplay.from_estimator(swapped.fit(losses), losses)
    assert swapped.noisy_component_ == 0
    for a, b in zip(plain.lines_, other.lines_, strict=True):
        assert_allclose(a.get_ydata(), b.get_ydata(), rtol=1e-6, atol=1e-12)
        assert a.get_label() == b.get_label()


def test_the_posterior_has_an_axis_of_its_own():
    losses, _ = two_kinds()
    splitter = BMMLossSplitter().fit(losses)
    display = LossMixtureDisplay.from_estimator(splitter, losses)
    line = display.lines_[-1]
    x, posterior = line.get_data()
    assert_allclose(posterior, splitter.predict_proba(x)[:, 1], rtol=1e-12)
    assert line.axes is display.posterior_ax_ is not display.ax_
    low, high = display.posterior_ax_.get_ylim()
    assert low == 0 and 1 <= high < 1.1
    assert display.posterior_ax_.get_ylabel() == "Suspicion"
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Loss", "Density")
    # It is drawn along the whole axis, beyond the clipped ends as well.
    assert_allclose((x[0], x[-1]), display.ax_.get_xlim(), rtol=1e-12)
    labels = [text.get_text() for text in display.posterior_ax_.get_legend().texts]
    assert labels == ["losses", *(line.get_label() for line in display.lines_)]


def test_the_area_of_a_bar_is_a_share_of_all_losses():
    losses, _ = two_kinds()
    splitter = BMMLossSplitter().fit(losses)
    losses = np.r_[losses, np.full(20, 100.0)]  # far beyond the axis
    display = LossMixtureDisplay.from_estimator(splitter, losses)
    left, right = display.ax_.get_xlim()
    width = splitter.hi_ - splitter.lo_
    assert left == pytest.approx(losses.min())
    assert right == pytest.approx(splitter.hi_ + 0.15 * width)
    (bars,) = display.bars_
    edges = np.r_[[bar.get_x() for bar in bars], right]
    assert edges[0] == pytest.approx(left)
    shown = np.histogram(losses, edges)[0] / len(losses)
    assert_allclose(areas(bars), shown, atol=1e-12)
    assert areas(bars).sum() == pytest.approx((losses <= right).mean(), abs=1e-9)


def test_known_mistakes_have_a_colour_of_their_own():
    losses, is_wrong = two_kinds()
    splitter = BMMLossSplitter().fit(losses)
    both = LossMixtureDisplay.from_estimator(splitter, losses, noise_mask=is_wrong)
    plain = LossMixtureDisplay.from_estimator(splitter, losses)
    right, wrong = both.bars_
    assert_allclose(heights(right) + heights(wrong), heights(plain.bars_[0]))
    limit = both.ax_.get_xlim()[1]
    shares = areas(right).sum(), areas(wrong).sum()
    seen = losses <= limit
    assert_allclose(shares, [(seen & ~is_wrong).mean(), (seen & is_wrong).mean()])
    assert [bars.get_label() for bars in both.bars_] == ["right labels", "wrong labels"]
    assert right[0].get_facecolor() != wrong[0].get_facecolor()
    # The colours are those of the components.
    for bars, line in zip(both.bars_, both.lines_, strict=False):
        expected = matplotlib.colors.to_rgb(line.get_color())
        assert bars[0].get_facecolor()[:3] == expected


def test_poles_of_a_density_do_not_flatten_the_bars():
    # alpha < 1: the density of right labels is infinite at the lower end.
    rng = np.random.default_rng(0)
    losses = np.r_[rng.gamma(0.3, 0.5, 1400), np.abs(rng.normal(5, 0.8, 600))]
    splitter = BMMLossSplitter().fit(losses)
    assert splitter.mixture_.alphas_[0, 0] < 1
    display = LossMixtureDisplay.from_estimator(splitter, losses)
    top = display.ax_.get_ylim()[1]
    highest = heights(display.bars_[0]).max()
    assert highest < top < 2 * highest
    assert display.lines_[0].get_ydata().max() > 2 * top


def test_from_estimator_takes_whatever_has_a_splitter_and_losses():
    import matplotlib.pyplot as plt

    losses, is_wrong = two_kinds()
    detector = Detector().fit(losses)
    _, ax = plt.subplots()
    display = LossMixtureDisplay.from_estimator(detector, noise_mask=is_wrong, ax=ax)
    assert display.ax_ is ax and display.figure_ is ax.figure
    assert display.splitter is detector.splitter_
    assert display.losses is detector.losses_
    assert display.noise_mask is is_wrong
    others = losses[:500]
    given = LossMixtureDisplay.from_estimator(detector, others)
    assert given.losses is others and given.splitter is detector.splitter_


@pytest.mark.slow
def test_from_estimator_takes_our_detector_and_our_classifier(blobs):
    X, y, is_noisy = blobs
    detector = LossMixtureDetector(LogisticRegression(), random_state=0).fit(X, y)
    display = LossMixtureDisplay.from_estimator(detector, noise_mask=is_noisy)
    assert display.losses is detector.losses_ and len(display.bars_) == 2
    net = DynamicBootstrapClassifier(max_epochs=4, warmup_epochs=2, random_state=0)
    net.fit(X, y)
    display = LossMixtureDisplay.from_estimator(net)
    assert display.splitter is net.splitter_ and len(display.bars_) == 1
    display = LossMixtureDisplay.from_estimator(net, epoch=len(net.mixtures_))
    assert display.splitter is net.mixtures_[-1] and display.bars_ == []


@pytest.mark.slow
@pytest.mark.usefixtures("default_output")
def test_from_estimator_takes_the_last_step_of_a_pipeline():
    losses, _ = two_kinds()
    to_losses = FunctionTransformer(lambda p: -np.log(p))
    pipe = make_pipeline(to_losses, Detector()).fit(np.exp(-losses))
    display = LossMixtureDisplay.from_estimator(pipe)
    assert display.splitter is pipe[-1].splitter_
    pipe = make_pipeline(to_losses, BMMLossSplitter()).fit(np.exp(-losses)[:, None])
    assert LossMixtureDisplay.from_estimator(pipe, losses).splitter is pipe[-1]


@pytest.mark.slow
def test_an_epoch_is_drawn_without_losses_unless_they_are_given():
    losses, _ = two_kinds()
    detector = Detector().fit(losses)
    for epoch, power in ((1, 1 / 3), (2, 1 / 2), (3, 1)):
        display = LossMixtureDisplay.from_estimator(detector, epoch=epoch)
        assert display.splitter is detector.mixtures_[epoch - 1]
        assert display.bars_ == [] and len(display.lines_) == 3
        left, right = display.ax_.get_xlim()
        assert 0 <= left < display.splitter.lo_ < display.splitter.hi_ < right
        assert right == pytest.approx(np.percentile(losses**power, 95), rel=0.2)
        given = LossMixtureDisplay.from_estimator(
            detector, losses**power, epoch=np.int64(epoch)
        )
        assert len(given.bars_) == 1 and given.splitter is display.splitter


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    ("fallback", "losses"),
    [
        ("rank", np.linspace(0, 3, 20)),
        ("constant", np.full(100, 2.0)),
        ("constant", np.zeros(100)),
        ("constant", np.r_[np.zeros(98), 3.0, 7.0]),
    ],
)
@pytest.mark.parametrize("has_losses", [True, False])
def test_a_fallback_is_drawn_without_components(fallback, losses, has_losses):
    with pytest.warns(UserWarning, match="losses"):
        splitter = BMMLossSplitter().fit(losses)
    assert splitter.fallback_ == fallback
    display = LossMixtureDisplay(losses if has_losses else None, splitter).plot()
    (line,) = display.lines_
    x, posterior = line.get_data()
    assert_array_equal(posterior, splitter.predict_proba(x)[:, 1])
    left, right = display.ax_.get_xlim()
    assert 0 <= left < right
    if has_losses:
        # All of the losses are to be seen.
        assert left <= losses.min() and losses.max() <= right
        assert areas(display.bars_[0]).sum() == pytest.approx(1)


def test_a_mixture_without_densities_is_drawn_without_components():
    class Silent(BetaMixture):
        score_samples = property()

    losses, _ = two_kinds()
    splitter = BMMLossSplitter(Silent()).fit(losses)
    display = LossMixtureDisplay.from_estimator(splitter, losses)
    assert len(display.lines_) == 1 and len(display.bars_) == 1


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("convert", [list, pd.Series, np.float32])
def test_losses_of_other_kinds(convert):
    losses, is_wrong = two_kinds()
    splitter = BMMLossSplitter().fit(losses)
    plain = LossMixtureDisplay.from_estimator(splitter, losses, noise_mask=is_wrong)
    mask = is_wrong.tolist() if convert is list else pd.Series(is_wrong)
    other = LossMixtureDisplay(convert(losses), splitter, noise_mask=mask).plot()
    for a, b in zip(plain.bars_, other.bars_, strict=True):
        assert_allclose(heights(a), heights(b), atol=0.01)


def test_losses_of_several_epochs_are_averaged_as_the_splitter_does():
    losses, _ = two_kinds()
    table = pd.DataFrame({"epoch 1": losses, "epoch 2": losses / 2})
    splitter = BMMLossSplitter().fit(table)
    display = LossMixtureDisplay.from_estimator(splitter, table)
    single = BMMLossSplitter().fit(0.75 * losses)
    expected = LossMixtureDisplay.from_estimator(single, 0.75 * losses)
    assert_allclose(heights(display.bars_[0]), heights(expected.bars_[0]), rtol=1e-6)
    assert_allclose(display.lines_[-1].get_ydata(), expected.lines_[-1].get_ydata())


def test_nothing_given_is_changed_and_plots_can_be_repeated():
    losses, is_wrong = two_kinds()
    before = losses.copy(), is_wrong.copy()
    splitter = BMMLossSplitter().fit(losses)
    state = {name: np.copy(value) for name, value in vars(splitter).items()}
    filters = list(warnings.filters)
    display = LossMixtureDisplay(losses, splitter, noise_mask=is_wrong)
    assert not hasattr(display, "ax_")
    first = display.plot().ax_
    assert display.plot().ax_ is not first and len(display.bars_) == 2
    assert_array_equal(losses, before[0])
    assert_array_equal(is_wrong, before[1])
    assert set(vars(splitter)) == set(state)
    assert_array_equal(splitter.posterior_table_, state["posterior_table_"])
    assert warnings.filters == filters


def test_a_splitter_keeps_no_losses():
    losses, _ = two_kinds()
    with pytest.raises(ValueError, match=r"losses must be given.*\(splitter, losses\)"):
        LossMixtureDisplay.from_estimator(BMMLossSplitter().fit(losses))


def test_not_fitted_and_estimators_without_a_splitter():
    losses, _ = two_kinds()
    with pytest.raises(NotFittedError):
        LossMixtureDisplay.from_estimator(BMMLossSplitter(), losses)
    message = "Detector has no splitter_ and losses_: call fit; or give epoch"
    with pytest.raises(NotFittedError, match=message):
        LossMixtureDisplay.from_estimator(Detector())
    with pytest.raises(NotFittedError, match="Detector has no splitter_: call fit"):
        LossMixtureDisplay.from_estimator(Detector(), losses)
    model = HistGradientBoostingClassifier()
    with pytest.raises(NotFittedError, match="has no splitter_ and losses_"):
        LossMixtureDisplay.from_estimator(model)
    splitter = BMMLossSplitter().fit(losses)
    with pytest.raises(NotFittedError, match=r"no mixtures_.* one splitter for each"):
        LossMixtureDisplay.from_estimator(splitter, losses, epoch=1)


@pytest.mark.parametrize("epoch", [0, 4, -1])
def test_epochs_that_are_not_there(epoch):
    detector = Detector().fit(two_kinds()[0])
    with pytest.raises(ValueError, match=f"epoch must be from 1 to 3; got {epoch}"):
        LossMixtureDisplay.from_estimator(detector, epoch=epoch)
    with pytest.raises(TypeError):
        LossMixtureDisplay.from_estimator(detector, epoch=1.5)


def test_splitters_that_are_none():
    losses, _ = two_kinds()
    with pytest.raises(NotFittedError, match="BMMLossSplitter instance is not fitted"):
        LossMixtureDisplay(losses, BMMLossSplitter()).plot()
    mixture = BetaMixture().fit(losses[:, None])
    with pytest.raises(TypeError, match="be a BMMLossSplitter; got BetaMixture"):
        LossMixtureDisplay(losses, mixture).plot()


def test_losses_and_masks_that_do_not_fit():
    import matplotlib.pyplot as plt

    losses, is_wrong = two_kinds()
    splitter = BMMLossSplitter().fit(losses)
    with pytest.raises(ValueError, match="Negative values"):
        LossMixtureDisplay(-losses, splitter).plot()
    with pytest.raises(ValueError, match="2 features"):
        LossMixtureDisplay(np.c_[losses, losses], splitter).plot()
    message = "noise_mask must be 2000 booleans"
    for mask in (is_wrong[:-1], np.flatnonzero(is_wrong), is_wrong.astype(int)):
        with pytest.raises(ValueError, match=message):
            LossMixtureDisplay(losses, splitter, noise_mask=mask).plot()
    with pytest.raises(ValueError, match="noise_mask needs losses"):
        LossMixtureDisplay(None, splitter, noise_mask=is_wrong).plot()
    assert not plt.get_fignums()  # a refusal leaves no empty figure


def test_missing_matplotlib_names_the_extra(monkeypatch):
    import sys

    losses, _ = two_kinds()
    splitter = BMMLossSplitter().fit(losses)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"sknoisy\[plot\]"):
        LossMixtureDisplay(losses, splitter).plot()
