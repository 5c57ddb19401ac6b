"""Activation maps against the network's own feature map."""

import builtins

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from sknoisy import ActivationMapDisplay, ELRPlusClassifier, NetClassifier
from sknoisy.losses import activation_map
from sknoisy.nets import MLP, PreActResNet

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

SMALL = {"module__blocks": (1, 1), "module__width": 4, "max_epochs": 1}


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(["ant", "bee"], 20))
    X = rng.integers(0, 200, (40, 3, 8, 8)) + 50 * (y == "bee")[:, None, None, None]
    return X.astype(np.uint8), y


@pytest.mark.parametrize("classifier", [NetClassifier, ELRPlusClassifier])
def test_the_maps_of_the_networks(images, classifier):
    X, y = images
    clf = classifier(PreActResNet, random_state=0, **SMALL).fit(X, y)
    display = ActivationMapDisplay.from_estimator(clf, X[:3])
    batch = torch.from_numpy(X[:3] / np.float32(255))
    clf.module_.eval()
    networks = getattr(clf.module_, "peers", [clf.module_])
    with torch.no_grad():
        maps = [activation_map(net.feature_map(batch), (8, 8)) for net in networks]
    expected = sum(maps) / len(maps)
    np.testing.assert_allclose(display.activation_maps, expected, atol=1e-6)
    assert [ax.get_title() for ax in display.axes_] == list(clf.predict(X[:3]))
    shown = display.axes_[1].images
    np.testing.assert_array_equal(shown[0].get_array(), X[1].transpose(1, 2, 0))
    np.testing.assert_array_equal(shown[1].get_array(), display.activation_maps[1])
    assert len(display.figure_.axes) == 3


def test_given_axes_and_titles(images):
    import matplotlib.pyplot as plt

    X, y = images
    clf = NetClassifier(PreActResNet, **SMALL).fit(X, y)
    _, axes = plt.subplots(2, 2)
    display = ActivationMapDisplay.from_estimator(
        clf, X[:4], titles=list("abcd"), ax=axes
    )
    assert list(display.axes_) == list(axes.ravel())
    assert axes[1, 0].get_title() == "c"


def test_grey_and_standardised_images_are_shown():
    rng = np.random.default_rng(0)
    maps = rng.random((2, 5, 6))
    grey = ActivationMapDisplay(rng.random((2, 1, 5, 6)), maps).plot()
    assert grey.axes_[0].images[0].get_array().shape == (5, 6)
    assert grey.axes_[0].get_title() == ""
    bright = ActivationMapDisplay(4 * rng.normal(size=(2, 3, 5, 6)), maps).plot()
    shown = bright.axes_[0].images[0].get_array()
    assert shown.min() == 0 and shown.max() == 1


@pytest.mark.slow
def test_errors(images, blobs, monkeypatch):
    X, y = images
    with pytest.raises(NotFittedError, match="not fitted"):
        ActivationMapDisplay.from_estimator(NetClassifier(), X)
    clf = NetClassifier(MLP, max_epochs=1).fit(X, y)
    with pytest.raises(TypeError, match=r"feature_map\(X\); NetClassifier has MLP"):
        ActivationMapDisplay.from_estimator(clf, X)
    for given, kind in (
        ((X, np.zeros((2, 8, 8)), None), "map"),
        ((X[:2], np.zeros((2, 8, 8)), ["one"]), "title"),
    ):
        display = ActivationMapDisplay(given[0], given[1], titles=given[2])
        with pytest.raises(ValueError, match=f"one {kind} for each of the"):
            display.plot()
    find = builtins.__import__

    def hide(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return find(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", hide)
    with pytest.raises(ImportError, match=r"pip install 'sknoisy\[plot\]'"):
        ActivationMapDisplay(X, np.zeros((40, 8, 8))).plot()
