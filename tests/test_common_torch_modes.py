"""torch's global modes and scikit-learn's array dispatch change no result."""

import os
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch
from public_estimators import NETS, label
from sklearn import config_context
from sklearn.base import clone
from skorch import NeuralNetClassifier
from torch import nn

from sknoisy import DynamicsClassifier, NetClassifier, SmallLossDetector
from sknoisy.nets import LoaderBatches
from sknoisy.nets._torch_modes import usual_modes

SMALL = {"max_epochs": 2, "batch_size": 32, "random_state": 0}


class Proba(nn.Module):
    def __init__(self, n_features=4, n_classes=3):
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)

    def forward(self, X):
        # What a module makes on its way has the default dtype and device.
        return (self.head(X) + torch.zeros(1)).softmax(1)


STOCK = NeuralNetClassifier(Proba, max_epochs=2, lr=0.1, verbose=0)


@contextmanager
def default_dtype(dtype=torch.float64):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def no_gradients():
    torch.set_grad_enabled(False)
    try:
        yield
    finally:
        torch.set_grad_enabled(True)


@contextmanager
def default_device(device="meta"):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


def lower_precision():
    return torch.autocast("cpu", dtype=torch.bfloat16)


def array_dispatch():
    # scikit-learn refuses it without the variable, which is read at import.
    return config_context(array_api_dispatch=os.environ.get("SCIPY_ARRAY_API") == "1")


MODES = [
    default_dtype,
    no_gradients,
    torch.no_grad,
    torch.inference_mode,
    default_device,
    lambda: torch.device("cpu"),
    lambda: torch.device("meta"),
    lower_precision,
    array_dispatch,
]
TOGETHER = [
    default_dtype,
    torch.inference_mode,
    default_device,
    lower_precision,
    array_dispatch,
]
# One of a kind, in few steps.
KINDS = {type(net): clone(net).set_params(batch_size=90) for net in reversed(NETS)}
OTHERS = [SmallLossDetector(STOCK, random_state=0), DynamicsClassifier(**SMALL)]


def state():
    return (
        torch.get_default_dtype(),
        torch.empty(0).device,
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
    )


def results(estimator, X, y):
    estimator = clone(estimator).fit(X, y)
    found = [getattr(estimator, "noise_scores_", 0)]
    if isinstance(estimator, NetClassifier):
        found += [estimator.predict_proba(X), estimator.transform(X)]
        found += [estimator.forward(X), estimator.predict(X)]
    return [np.asarray(values) for values in found]


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("mode", MODES)
def test_a_net_fits_as_without_a_mode(blobs, mode):
    X, y = blobs[0], blobs[1]
    expected = results(NetClassifier(**SMALL), X, y)
    tensors = torch.tensor(X), torch.tensor(y)
    with mode():
        before = state()
        found = results(NetClassifier(**SMALL), *tensors)
        assert state() == before
    assert_same(found, expected)


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("estimator", [*KINDS.values(), *OTHERS], ids=label)
def test_nets_and_detectors_of_nets_fit_as_without_all_modes(blobs, estimator):
    X, y = blobs[0], blobs[1]
    if isinstance(estimator, DynamicsClassifier):
        y = y > 0
    expected = results(estimator, X, y)
    tensors = torch.tensor(X), torch.tensor(y)
    with ExitStack() as stack:
        for mode in TOGETHER:
            stack.enter_context(mode())
        before = state()
        found = results(estimator, *tensors)
        assert state() == before
    assert_same(found, expected)


def test_rows_from_a_loader(blobs):
    X, y = blobs[0], blobs[1]
    net = NetClassifier(**SMALL, iterator_train=LoaderBatches).fit(X, y)
    expected = net.predict_proba(X)
    with default_device(), default_dtype():
        again = clone(net).fit(X, y)
        assert_same([again.predict_proba(X)], [expected])


def test_modes_are_set_back_after_an_error_too(blobs):
    with default_dtype(), torch.no_grad():
        before = state()
        with pytest.raises(FloatingPointError):
            NetClassifier(**SMALL, lr=1e20).fit(*blobs[:2])
        assert state() == before


def test_the_first_sets_the_default_dtype_and_the_last_sets_it_back():
    with default_dtype():
        first, second = usual_modes(), usual_modes()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float32
        second.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float64


def test_a_module_in_double_precision_is_refused(blobs):
    with pytest.raises(TypeError, match=r"Proba has weights of torch.float64, but"):
        NetClassifier(Proba().double(), max_epochs=1).fit(*blobs[:2])


def test_a_module_that_fails_otherwise_says_why(blobs):
    with pytest.raises(ValueError, match=r"cannot take rows .* cannot be multiplied"):
        NetClassifier(Proba(n_features=5), max_epochs=1).fit(*blobs[:2])
