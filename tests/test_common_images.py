"""Every estimator takes images at its defaults, or says in a sentence what to do."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from public_estimators import at_defaults, public_estimators
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sknoisy
from sknoisy import (
    AUMDetector,
    AutoNoiseDetector,
    AutoRobustClassifier,
    CleanedClassifier,
    DynaCorDetector,
    DynamicsClassifier,
    LossMixtureDetector,
    NetClassifier,
    NoisyLabelFilter,
)
from sknoisy.base import NoiseInjectorMixin
from sknoisy.classification._contenders import default_contenders
from sknoisy.detection._competitors import Candidates, default_candidates
from sknoisy.nets import PreActResNet18, _defaults

CLASSES = public_estimators()
PAGE = Path(__file__).parents[1] / "docs" / "user_guide" / "images.rst"
# The sentence of those that take features only.
ADVICE = r"4 dimensions: .* needs features\. Encode the images first, .* X\.reshape"


class Narrow(PreActResNet18):
    """The default network for images and its parameters, a 250th of its weights."""

    def __init__(self, input_shape, n_classes, width=4):
        super().__init__(input_shape, n_classes, width)


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setitem(_defaults._MODULES, 3, Narrow)


def images(kind):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 8)
    X = rng.integers(0, 100, (24, 3, 8, 8)) + 50 * y[:, None, None, None]
    return (X.astype(np.uint8), y) if kind == "uint8" else (X / 255, y)


def brief(estimator):
    """Let an estimator train once, for an epoch."""
    if hasattr(estimator, "max_epochs"):
        estimator.set_params(max_epochs=1)
    if hasattr(estimator, "n_runs"):
        estimator.set_params(n_runs=2)
    if isinstance(estimator, AutoNoiseDetector):
        estimator.set_params(n_rounds=1)
    return estimator


def brief_at_defaults(kind):
    if kind is CleanedClassifier:
        flatten = FunctionTransformer(flat).set_output(transform="default")
        classifier = make_pipeline(flatten, LogisticRegression())
        # Two rows at most are dropped, and no class with them.
        detector = NoisyLabelFilter(brief(AUMDetector()), keep=22)
        return at_defaults(kind, detector=detector, classifier=classifier)
    if kind is NoisyLabelFilter:
        return at_defaults(kind, detector=brief(LossMixtureDetector()))
    return brief(at_defaults(kind))


def flat(X):
    return np.asarray(X).reshape(len(X), -1)


def listed(text):
    return {getattr(sknoisy, name) for name in re.findall(r":class:`(\w+)`", text)}


def page_lists():
    """Return what the page lists: takes images, if held ones do, features, never."""
    page = PAGE.read_text(encoding="utf-8")
    section = page.split("\nWhich estimators take images\n")[1].split("\nNetworks\n")[0]
    heads = ("As they are", "If the estimator", "Features only", "Never")
    parts = re.split("|".join(heads), section)[1:]
    return [listed(part) for part in parts]


@pytest.mark.fast_cases(3)
@pytest.mark.usefixtures("narrow")
@pytest.mark.filterwarnings("ignore:24 losses are too few")
@pytest.mark.filterwarnings("ignore:the losses cannot be split")
@pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_defaults_take_images_as_the_page_says(kind, dtype, monkeypatch):
    # That a float is no byte matters to each network alone, not to their competition.
    if kind is AutoNoiseDetector and dtype != "uint8":
        pytest.skip("its candidates are tried on their own")
    X, y = images(dtype)
    takes, held, features, _ = page_lists()
    if kind is AutoNoiseDetector:
        # Its candidates are the default ones, but for the length of their training.
        monkeypatch.setattr(
            "sknoisy.detection._auto.default_candidates",
            lambda *args, **params: Candidates(
                [(n, brief(d)) for n, d in default_candidates(*args, **params).quick]
            ),
        )
    if kind is AutoRobustClassifier:
        if dtype != "uint8":
            pytest.skip("its candidates are tried on their own")
        monkeypatch.setattr(
            "sknoisy.classification._auto.default_contenders",
            lambda *args, **params: [
                (n, brief(c)) for n, c in default_contenders(*args, **params)
            ],
        )
    if kind in takes | held:
        estimator = brief_at_defaults(kind)
        if isinstance(estimator, NoiseInjectorMixin):
            same, noisy = estimator.fit_resample(X, y)
            assert same is X and set(noisy) <= set(y)
            return
        estimator.fit(X, y)
        if hasattr(estimator, "predict"):
            assert set(estimator.predict(X)) <= set(y)
        if kind is AutoNoiseDetector:
            assert not any(estimator.candidates_["error"])
        return
    message = ADVICE if kind in features else "dim"
    with pytest.raises(ValueError, match=message):
        brief_at_defaults(kind).fit(X, y == 0)


@pytest.mark.usefixtures("narrow")
@pytest.mark.filterwarnings("ignore:24 losses are too few")
@pytest.mark.parametrize("name", ["ConfidentLearning", "FINE", "NeighborVote"])
def test_those_for_features_take_images_with_a_network(name):
    X, y = images("uint8")
    kind = getattr(sknoisy, f"{name}Detector")
    detector = kind(NetClassifier(max_epochs=1, random_state=0)).fit(X, y)
    assert detector.noise_scores_.shape == (24,)


@pytest.mark.parametrize("summarize", [False, True])
def test_a_classifier_of_trajectories_says_what_they_are(summarize):
    X, y = images("uint8")
    message = "4 dimensions: DynamicsClassifier takes trajectories, one row for each"
    with pytest.raises(ValueError, match=message):
        DynamicsClassifier(summarize=summarize).fit(X, y == 0)


@pytest.mark.parametrize(("settings", "epochs"), [("auto", [10, 20]), ("paper", [300])])
class TestDynaCorSettings:
    @pytest.mark.fast_cases(1)
    @pytest.mark.usefixtures("narrow")
    def test_they_follow_the_shape(self, settings, epochs):
        X, y = images("uint8")
        detector = brief(DynaCorDetector(settings=settings, random_state=0))
        detector.fit(X, y)
        assert [s["max_epochs"] for s in detector.settings_] == epochs
        pixels = clone(detector).fit(X.reshape(24, -1), y)
        assert all("module__hidden" in s for s in pixels.settings_)

    @pytest.mark.fast_cases(1)
    def test_the_default_network_takes_them(self, settings, epochs):
        X, y = images("uint8")
        detector = brief(DynaCorDetector(settings=settings, random_state=0))
        # The full width, which takes seconds, for one of them only.
        width = 64 if settings == "paper" else 2
        for setting in detector._settings(n_dims=4):
            net = detector._make_net(**setting).set_params(module__width=width)
            assert net.fit(X[::6], y[::6]).module_.head.in_features == 8 * width


@pytest.mark.slow
def test_a_user_parameter_of_another_network_is_named():
    X, y = images("uint8")
    with pytest.raises(ValueError, match="takes no module__hidden; it takes width"):
        DynaCorDetector(module__hidden=64, max_epochs=1).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector = DynaCorDetector(module__width=2, max_epochs=1, n_runs=2)
        assert detector.fit(X, y).net_.module_.head.in_features == 16
