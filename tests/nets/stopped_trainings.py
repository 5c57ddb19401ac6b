"""Trainings that are stopped at a chosen moment, and comparisons bit for bit."""

import pickle
from functools import cache, partial

import numpy as np
import pytest
import torch
from fitted_state import assert_same_arrays
from public_estimators import public_estimators, taken
from skorch.callbacks import Callback

from sknoisy import (
    DivideMixClassifier,
    DynamicBootstrapClassifier,
    DynamicsClassifier,
    ELRClassifier,
    ELRPlusClassifier,
    FlywheelClassifier,
    NALClassifier,
    NetClassifier,
    PESClassifier,
    RobustLossClassifier,
    TransitionCorrectionClassifier,
)
from sknoisy.nets import PreActResNet

GUIDED = {"targets": "soft_to_hard", "mixup": "guided", "guidance": "binomial"}
PRUNED = {"loss": "truncated_gce", "prune_start_epoch": 2, "prune_every": 1}
REFINED = {"warmup_epochs": 1, "refine_epochs": 2, "refine_lr": 0.1}
# Each is in the middle of something after each of four epochs.
CLASSIFIERS = {
    "NetClassifier": NetClassifier,
    "NAL": partial(NALClassifier, target_start_epoch=2),
    "ELR": ELRClassifier,
    "ELR+": ELRPlusClassifier,
    "bootstrap": partial(DynamicBootstrapClassifier, warmup_epochs=2),
    "guided": partial(DynamicBootstrapClassifier, warmup_epochs=1, **GUIDED),
    "flywheel": partial(FlywheelClassifier, warmup_epochs=2, lr=0.05),
    "pruned": partial(RobustLossClassifier, **PRUNED),
    "anchor": partial(TransitionCorrectionClassifier, anchor_percentile=100),
    "PES": partial(PESClassifier, **REFINED),
    "PES (semi)": partial(PESClassifier, semi=True, **REFINED),
    "DivideMix": partial(DivideMixClassifier, warmup_epochs=2, loss_memory=3),
}
BEGUN = {"warmup_epochs": 2, "ramp_epochs": 3, "forget_rate": 0.3}
named = {getattr(make, "func", make) for make in CLASSIFIERS.values()}
# That one's rows are trajectories.
for cls in {*public_estimators("net", "robust classifier")} - {DynamicsClassifier}:
    if cls not in named:
        CLASSIFIERS[cls.__name__] = partial(cls, **taken(cls, BEGUN))
CLASSIFIERS = dict(sorted(CLASSIFIERS.items()))
N_EPOCHS = 4


class Killed(Exception):
    """Not one of the errors that anything catches."""


class Kill(Callback):
    """Stop the training at some moment, as a power cut would."""

    def __init__(self, hook, epoch):
        self.hook = hook
        self.epoch = epoch

    def _strike(self, hook, net):
        if (hook, len(net.history)) == (self.hook, self.epoch):
            raise Killed

    def on_train_begin(self, net, **kwargs):
        self._strike("on_train_begin", net)

    def on_epoch_begin(self, net, **kwargs):
        self._strike("on_epoch_begin", net)

    def on_batch_end(self, net, training=False, **kwargs):
        if training and len(net.history[-1, "batches"]) == 2:
            self._strike("on_batch_end", net)

    def on_epoch_end(self, net, **kwargs):
        self._strike("on_epoch_end", net)

    def on_train_end(self, net, **kwargs):
        self._strike("on_train_end", net)


class Rates(Callback):
    """Write the learning rate of each epoch into the history."""

    def on_epoch_begin(self, net, **kwargs):
        net.history.record("lr", net.optimizer_.param_groups[0]["lr"])


class Count(Callback):
    """Count the epochs that are run."""

    def __init__(self):
        self.n_begun = 0

    def on_epoch_begin(self, net, **kwargs):
        self.n_begun += 1


def make_table():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 1, 2], 20))
    X = 1.5 * np.eye(3, 4)[y] + rng.normal(size=(60, 4))
    return X.astype(np.float32), y


def make_images():
    rng = np.random.default_rng(1)
    y = rng.permutation(np.repeat([0, 1, 2], 18))
    X = rng.integers(0, 100, (54, 3, 8, 8)) + 50 * y[:, None, None, None]
    return X.astype(np.uint8), y


DATA = {"table": make_table(), "images": make_images()}


def make(name="NetClassifier", data="table", callbacks=(), **params):
    own = {"module__hidden": 6}
    if data == "images":
        own = {"module": PreActResNet, "module__blocks": (1, 1), "module__width": 4}
    own |= {"max_epochs": N_EPOCHS, "batch_size": 16, "random_state": 0}
    return CLASSIFIERS[name](**{**own, **params}, callbacks=[Rates(), *callbacks])


def kill(net, X, y, moment, **fit_params):
    """Fit until it is struck."""
    given = net.callbacks
    net.callbacks = [*given, Kill(*moment)]
    with pytest.raises(Killed):
        net.fit(X, y, **fit_params)
    net.callbacks = given


@cache
def reference(name, data="table"):
    """Fit without a break, and without a file."""
    return make(name, data).fit(*DATA[data])


def assert_equal_states(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal_states(a[key], b[key])
    elif isinstance(a, list):
        for left, right in zip(a, b, strict=True):
            assert_equal_states(left, right)
    elif isinstance(a, torch.Tensor):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    else:
        assert a == b


def assert_same_training(net, expected):
    """Bit for bit: weights, momenta, state of rows, judgements, history."""
    for part in (*expected._modules, *expected._criteria, *expected._optimizers):
        a, b = (getattr(x, part + "_").state_dict() for x in (net, expected))
        assert_equal_states(a, b)
    for key in ("train_loss", "lr", "epoch", "valid_loss", "gamma"):
        if key in expected.history[-1]:
            found, wanted = net.history[:, key], expected.history[:, key]
            np.testing.assert_array_equal(found, wanted, err_msg=key)
    assert_same_arrays(net, expected)


def content_of(path):
    """Return what a checkpoint holds: it is a pickle behind three lines."""
    with open(path, "rb") as file:
        for _ in range(3):
            file.readline()
        return pickle.load(file)
