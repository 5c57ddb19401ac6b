"""Networks of torchvision: a new last layer, by class or by name, with weights."""

import builtins
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from sknoisy import NetClassifier
from sknoisy.nets import AdversarialMasking, Normalize, TorchvisionNet


class Model(nn.Module):
    """Laid out as torchvision's models: a body, a pool, a classifier for 1,000."""

    def __init__(self, weights=None, width=6, pools=True):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.ReLU())
        self.avgpool = nn.AdaptiveAvgPool2d(1) if pools else None
        self.classifier = nn.Sequential(nn.Dropout(0.0), nn.Linear(width, 1000))
        if weights == "DEFAULT":
            nn.init.constant_(self.features[0].weight, 0.25)

    def forward(self, X):
        made = self.features(X)
        made = made.mean((2, 3)) if self.avgpool is None else self.avgpool(made)
        return self.classifier(made.flatten(1))


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(["ant", "bee"], 20))
    X = rng.random((40, 3, 9, 9)) * 0.4 + 0.5 * (y == "bee")[:, None, None, None]
    return X.astype(np.float32), y


def test_a_class_gets_a_new_last_layer_and_keeps_its_weights():
    net = TorchvisionNet(n_classes=3, model=Model, weights="DEFAULT", width=4)
    assert net.network.classifier[1].out_features == 3
    assert net.network.classifier[1].in_features == 4
    assert (net.network.features[0].weight == 0.25).all()
    X = torch.rand(2, 3, 9, 9)
    assert net(X).shape == (2, 3)
    torch.testing.assert_close(net.network.classifier(net.embed(X)), net(X))


@pytest.mark.parametrize("pools", [True, False])
def test_the_feature_map_is_what_is_pooled(pools):
    net = TorchvisionNet(n_classes=3, model=Model, pools=pools)
    X = torch.rand(2, 3, 9, 9)
    made = net.feature_map(X)
    assert made.shape == (2, 6, 4, 4)
    if pools:
        torch.testing.assert_close(made.mean((2, 3)), net.embed(X))
    else:
        # The last convolution; the ReLU after it is no layer of its own to look for.
        torch.testing.assert_close(made.relu().mean((2, 3)), net.embed(X))


def test_through_a_classifier(images):
    X, y = images
    params = {"max_epochs": 15, "batch_size": 10, "augment": None, "random_state": 0}
    clf = NetClassifier(
        TorchvisionNet, module__model=Model, module__weights="DEFAULT", **params
    ).fit(X, y)
    assert clf.score(X, y) > 0.9
    assert clf.transform(X).shape == (40, 6)
    assert clf.get_params()["module__weights"] == "DEFAULT"


def test_it_can_be_masked(images):
    X, y = images
    params = {"max_epochs": 3, "batch_size": 10, "random_state": 0}
    clf = NetClassifier(
        TorchvisionNet, module__model=Model, masking=AdversarialMasking, **params
    )
    with pytest.warns(UserWarning, match="losses are too few"):
        clf.fit(X, y)
    assert clf.masking_.decoders[0][0].in_channels == 6


def test_by_name(monkeypatch):
    asked = []

    def get_model(name, **params):
        asked.append((name, params))
        return Model(**params)

    torchvision = ModuleType("torchvision")
    torchvision.models = SimpleNamespace(get_model=get_model)
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    net = TorchvisionNet(n_classes=2, model="resnet18", weights="DEFAULT")
    assert asked == [("resnet18", {"weights": "DEFAULT"})]
    assert net(torch.zeros(1, 3, 9, 9)).shape == (1, 2)


def test_without_torchvision(monkeypatch):
    find = builtins.__import__

    def hide(name, *args, **kwargs):
        if name.startswith("torchvision"):
            raise ImportError(name)
        return find(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", hide)
    with pytest.raises(ImportError, match=r"pip install 'sknoisy\[vision\]'"):
        TorchvisionNet(n_classes=2)


def test_models_that_lack_a_layer():
    def no_head(weights):
        return nn.Conv2d(3, 2, 3)

    with pytest.raises(TypeError, match="has no Linear layer to replace for 4"):
        TorchvisionNet(n_classes=4, model=no_head)

    def no_map(weights):
        return nn.Sequential(nn.Flatten(), nn.Linear(12, 5))

    net = TorchvisionNet(n_classes=4, model=no_map)
    with pytest.raises(TypeError, match="has no feature map"):
        net.feature_map(torch.zeros(1, 3, 2, 2))


def test_a_model_need_not_take_weights():
    def small(width=6):
        return Model(width=width)

    net = TorchvisionNet(n_classes=3, model=small, width=5)
    assert net.network.classifier[1].in_features == 5
    assert TorchvisionNet(n_classes=3, model=lambda **how: Model(**how), width=4)
    with pytest.raises(TypeError, match="small takes no weights; load them in a func"):
        TorchvisionNet(n_classes=3, model=small, weights="DEFAULT")


def test_its_normalisation_comes_first():
    net = TorchvisionNet(n_classes=3, model=Model, normalize="imagenet")
    X = torch.rand(2, 3, 9, 9)
    seen = Normalize("imagenet")(X)
    torch.testing.assert_close(net(X), net.network[1](seen))
    torch.testing.assert_close(net.feature_map(X), net.network[1].features(seen))
    torch.testing.assert_close(net.network[1].classifier(net.embed(X)), net(X))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inception_v3", "googlenet"])
def test_real_auxiliary_logits(name):
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    weights = {"aux_logits": 0.4}
    if name == "googlenet":
        weights = {"aux_logits1": 0.3, "aux_logits2": 0.3}
    params = {"init_weights": False, "auxiliary": weights}
    net = TorchvisionNet(n_classes=4, model=name, **params)
    X = torch.rand(2, 3, 299, 299)
    assert net(X).shape == (2, 4)
    assert {n: o.shape for n, o in net.auxiliary_logits.items()} == dict.fromkeys(
        weights, (2, 4)
    )
    assert net.eval()(X).shape == (2, 4)


def test_a_real_model():
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    net = TorchvisionNet(n_classes=4, model="resnet18").eval()
    X = torch.rand(2, 3, 64, 64)
    assert net(X).shape == (2, 4) and net.feature_map(X).shape == (2, 512, 2, 2)
