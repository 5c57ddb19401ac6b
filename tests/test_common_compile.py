"""Every net classifier trains compiled as it trains uncompiled."""

import copy
import pickle
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from public_estimators import public_estimators, taken
from torch import nn

from sknoisy import (
    CoTeachingClassifier,
    DynamicsClassifier,
    ELRClassifier,
    ELRPlusClassifier,
    NALClassifier,
    NetClassifier,
    PESClassifier,
    RobustLossClassifier,
    SSRClassifier,
)
from sknoisy.nets._attention import AttentiveNetwork
from sknoisy.nets._peers import Peers
from sknoisy.persistence import load, save

SMALL = {"max_epochs": 2, "batch_size": 16, "random_state": 0}
# The real compilers differ by rounding only, and take seconds.
COMPILED = {"compile": True, "compile__backend": "eager"}


def same(X):
    return X


# No training before the one that is looked at, and a net of no standard layers.
PLAIN = {"weak_view": same, "strong_view": same, "warmup_epochs": 1, "forget_rate": 0.2}
CLASSIFIERS = [
    *(
        (cls, taken(cls, PLAIN))
        for cls in public_estimators("net", "robust classifier")
        if cls is not DynamicsClassifier  # its networks take trajectories
    ),
    (NetClassifier, {"criterion": nn.NLLLoss}),
    (RobustLossClassifier, {"loss": "truncated_gce"}),
]


# Depth of calls to compiled code.
depth = []


@contextmanager
def watched_learning():
    """Count the uses of networks in steps, within and outside of compiled code."""
    within, outside = Counter(), Counter()

    def forward(self, X):
        if self.training and torch.is_grad_enabled():
            (within if depth else outside)[self] += 1
        return nn.Sequential.forward(self, X)

    Body.forward = forward
    try:
        yield within, outside
    finally:
        del Body.forward


def compiled_call(target, *args, **kwargs):
    depth.append(target)
    try:
        return target(*args, **kwargs)
    finally:
        depth.pop()


class Wrapped(nn.Module):
    """What torch.compile makes of a module, as far as others see it."""

    def __init__(self, module):
        super().__init__()
        self._orig_mod = module
        self.n_calls = 0

    def __getattr__(self, name):
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._modules["_orig_mod"], name)

    def forward(self, *args, **kwargs):
        self.n_calls += 1
        return compiled_call(self._orig_mod, *args, **kwargs)


@pytest.fixture
def stand_in(monkeypatch):
    """Take the place of the compiler, which needs seconds for each network."""
    calls, real = [], torch.compile

    def compile(target=None, **params):
        if params != {"backend": "eager"}:
            return real(target, **params)
        if isinstance(target, nn.Module):
            return Wrapped(target)

        def counted(*args, **kwargs):
            calls.append(getattr(target, "__self__", None))
            return compiled_call(target, *args, **kwargs)

        return counted

    monkeypatch.setattr(torch, "compile", compile)
    return calls


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 12)
    X = 2 * np.eye(3, 4)[y] + rng.normal(size=(36, 4))
    return X.astype(np.float32), y


class Body(nn.Sequential):
    """The layers that every use of a network goes through."""


class Net(nn.Module):
    def __init__(self, n_classes, proba=False):
        super().__init__()
        self.body = Body(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.3))
        self.top = nn.Sequential(nn.Linear(6, n_classes))
        self.proba = proba

    def forward(self, X):
        logits = self.top(self.body(X))
        return logits.softmax(1) if self.proba else logits


class Split(Net):
    """A network whose features are known, as those of this package."""

    def embed(self, X):
        return self.body(X)

    @property
    def head(self):
        return self.top


def fitted(classifier, params, table, module=Net, **more):
    X, y = table
    proba = params.get("criterion") is nn.NLLLoss
    clf = classifier(module, module__proba=proba, **{**SMALL, **params, **more})
    return clf.fit(X, y)


def names(value):
    return getattr(value, "__name__", "")


@pytest.mark.filterwarnings("ignore:36 losses are too few")
@pytest.mark.parametrize(("classifier", "params"), CLASSIFIERS, ids=names)
def test_compiled_as_uncompiled(table, stand_in, classifier, params):
    X, _ = table
    plain = fitted(classifier, params, table)
    net = fitted(classifier, params, table, **COMPILED)
    n_steps = 2 * 3  # two epochs of three batches
    wrapped = isinstance(net.module_, Wrapped)
    n_calls = net.module_.n_calls if wrapped else len(stand_in)
    assert n_calls >= n_steps
    np.testing.assert_allclose(net.predict_proba(X), plain.predict_proba(X), rtol=1e-5)
    np.testing.assert_allclose(net.transform(X), plain.transform(X), rtol=1e-5)
    if hasattr(plain, "noise_scores_"):
        np.testing.assert_allclose(
            net.noise_scores_, plain.noise_scores_, rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize(
    ("classifier", "params", "kind"),
    [
        (CoTeachingClassifier, {"forget_rate": 0.2}, Peers),
        (ELRPlusClassifier, {}, Peers),
        (NALClassifier, {}, AttentiveNetwork),
    ],
)
def test_networks_that_are_called_one_by_one_are_compiled(
    table, tmp_path, stand_in, classifier, params, kind
):
    X, _ = table
    net = fitted(classifier, params, table, **COMPILED)

    def compiled(net):
        parts = net.module_.compiled_parts
        return [part._compiled_call_impl is not None for part in parts]

    assert isinstance(net.module_, kind) and all(compiled(net))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert all(compiled(other))
        np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))


@pytest.mark.parametrize("classifier", [ELRPlusClassifier, NALClassifier])
def test_they_are_saved_uncompiled(table, tmp_path, stand_in, classifier):
    X, y = table
    net = fitted(classifier, {}, table, **COMPILED)
    save(net, tmp_path / "net")
    loaded = load(tmp_path / "net", known=[Net, Body])
    np.testing.assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))
    loaded.partial_fit(X, y)


@pytest.mark.parametrize("classifier", [NetClassifier, ELRClassifier])
def test_criteria_are_not_compiled(table, stand_in, classifier):
    net = fitted(classifier, {}, table, **COMPILED)
    assert not isinstance(net.criterion_, Wrapped)


@pytest.mark.filterwarnings("ignore:36 losses are too few")
@pytest.mark.parametrize(("classifier", "params"), CLASSIFIERS, ids=names)
def test_compiled_code_is_what_trains(table, stand_in, classifier, params):
    """No network, peer or judge learns outside of what the compiler has made."""
    if classifier is SSRClassifier:
        params = {**params, "consistency_weight": 1.0}
    if classifier is PESClassifier:
        # In the third epoch the body stands still.
        params = {**params, "warmup_epochs": 2, "max_epochs": 4}
    with watched_learning() as (within, outside):
        net = fitted(classifier, params, table, module=Split, **COMPILED)
    assert not outside
    assert within.keys() >= {body for body in bodies(net) if learns(body)}
    assert within.total() >= 2 * 3  # two epochs of three batches


def bodies(net):
    parts = [getattr(net, name + "_") for name in net._modules]
    return [m for part in parts for m in part.modules() if isinstance(m, Body)]


def learns(module):
    return any(weight.requires_grad for weight in module.parameters())


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler warns of itself
def test_with_the_compiler_itself(table):
    X, _ = table
    plain = fitted(NALClassifier, {}, table)
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    net = fitted(NALClassifier, {}, table, compile=True, compile__backend=backend)
    assert graphs
    np.testing.assert_allclose(net.predict_proba(X), plain.predict_proba(X), rtol=1e-5)
    torch._dynamo.reset()
