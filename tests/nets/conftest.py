"""Tiny data and tiny nets."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sknoisy import NetClassifier


@pytest.fixture
def table():
    """Three overlapping blobs: X float32 of shape (45, 4), y int codes."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 1, 2], 15))
    X = 1.5 * np.eye(3, 4)[y] + rng.normal(size=(45, 4))
    return X.astype(np.float32), y


@pytest.fixture
def images():
    """Random uint8 images of shape (24, 3, 5, 5) and binary codes."""
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], 12)
    X = rng.integers(0, 128, (24, 3, 5, 5)) + 100 * y[:, None, None, None]
    return X.astype(np.uint8), y


@pytest.fixture
def make_net():
    """Build a small NetClassifier with a fixed seed."""

    def make(module=None, **params):
        defaults = {"max_epochs": 3, "batch_size": 16, "random_state": 0}
        if module is None:
            defaults["module__hidden"] = 6
        return NetClassifier(module, **{**defaults, **params})

    return make


@pytest.fixture
def seeded():
    """Draws that depend on nothing that ran before, and change nothing after."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Spy(Callback):
    """Keep what skorch tells of every training and validation batch."""

    def on_train_begin(self, net, **kwargs):
        self.lrs, self.train, self.valid, self.gradients = [], [], [], []

    def on_epoch_begin(self, net, **kwargs):
        self.lrs.append([group["lr"] for group in net.optimizer_.param_groups])
        self.train.append([])
        self.valid.append([])

    def on_grad_computed(self, net, named_parameters, batch=None, **kwargs):
        self.gradients.append((batch.index, [name for name, _ in named_parameters]))

    def on_batch_end(self, net, batch=None, training=False, loss=None, **kwargs):
        seen = (
            batch.index.numpy().copy(),
            batch[0].numpy().copy(),
            batch[1].numpy().copy(),
            kwargs["y_pred"].detach().numpy().copy(),
            loss.item(),
        )
        (self.train if training else self.valid)[-1].append(seen)


@pytest.fixture
def spy():
    return Spy()
