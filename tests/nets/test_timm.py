"""Networks of timm, by name."""

import builtins
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from sknoisy import NetClassifier
from sknoisy.nets import Normalize, TimmNet


class Model(nn.Module):
    """With the methods of timm's models."""

    def __init__(self, num_classes, width=6, map_ndim=4):
        super().__init__()
        self.body, self.map_ndim = nn.Conv2d(3, width, 3), map_ndim
        self.classif = nn.Linear(width, num_classes)
        mean, std = Normalize("clip").mean, Normalize("clip").std
        self.pretrained_cfg = {"mean": mean.flatten().tolist()}
        self.pretrained_cfg["std"] = std.flatten().tolist()

    def forward_features(self, X):
        made = self.body(X)
        return made if self.map_ndim == 4 else made.flatten(2)

    def forward_head(self, made, pre_logits=False):
        made = made.flatten(2).mean(2)
        return made if pre_logits else self.classif(made)

    def forward(self, X):
        return self.forward_head(self.forward_features(X))


@pytest.fixture
def asked(monkeypatch):
    """Return the names and parameters that timm is asked for."""
    found = []

    def create_model(name, pretrained=False, **params):
        found.append((name, pretrained))
        return Model(**params)

    timm = ModuleType("timm")
    timm.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", timm)
    return found


X = torch.rand(2, 3, 9, 9)


def test_by_name_with_parameters(asked):
    net = TimmNet(4, "inception_resnet_v2", pretrained=True, width=5)
    assert asked == [("inception_resnet_v2", True)]
    assert net(X).shape == (2, 4) and net.embed(X).shape == (2, 5)
    assert net.feature_map(X).shape == (2, 5, 7, 7)
    torch.testing.assert_close(net.network.classif(net.embed(X)), net(X))


@pytest.mark.parametrize("normalize", ["pretrained", "clip", "imagenet"])
def test_the_normalisation_comes_first(asked, normalize):
    net = TimmNet(4, "resnet50", normalize=normalize)
    name = "clip" if normalize == "pretrained" else normalize
    seen = Normalize(name)(X)
    torch.testing.assert_close(net(X), net.network(seen))
    torch.testing.assert_close(net.feature_map(X), net.network.body(seen))
    torch.testing.assert_close(net.embed(X), net.network.body(seen).mean((2, 3)))


def test_a_model_without_a_map(asked):
    net = TimmNet(4, "vit", map_ndim=3)
    assert net(X).shape == (2, 4)
    with pytest.raises(TypeError, match="Model has no feature map"):
        net.feature_map(X)


def test_through_a_classifier(asked):
    rng, y = np.random.default_rng(0), np.arange(30) % 2
    images = rng.random((30, 3, 9, 9)) * 0.5 + 0.5 * y[:, None, None, None]
    params = {"augment": None, "max_epochs": 20, "batch_size": 10, "random_state": 0}
    net = NetClassifier(TimmNet, module__model="resnet50", **params)
    net.fit(images.astype(np.float32), y)
    assert net.score(images, y) > 0.9 and net.transform(images).shape == (30, 6)


def test_without_timm(monkeypatch):
    find = builtins.__import__

    def hide(name, *args, **kwargs):
        if name == "timm":
            raise ImportError(name)
        return find(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", hide)
    with pytest.raises(ImportError, match="TimmNet needs timm, which is not installed"):
        TimmNet(4)


@pytest.mark.slow
def test_real_models():
    pytest.importorskip("timm", reason="timm is not installed")
    images = torch.rand(2, 3, 299, 299)
    for name, n_features in (("inception_resnet_v2", 1536), ("resnet50", 2048)):
        net = TimmNet(7, name, normalize="pretrained").eval()
        with torch.no_grad():
            assert net(images).shape == (2, 7)
            assert net.embed(images).shape == (2, n_features)
            assert net.feature_map(images).shape[:2] == (2, n_features)
