"""What one of two processes runs; `test_processes` starts it twice, as launchers do.

    RANK=0 WORLD_SIZE=2 MASTER_ADDR=… MASTER_PORT=… python one_of_two.py JOB FOLDER

Each job writes what it returns to FOLDER/JOB-RANK.pickle.
"""

import os
import pickle
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from row_sources import Shelf
from sklearn.datasets import load_digits
from skorch.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader

from sknoisy import (
    DivideMixClassifier,
    ELRPlusClassifier,
    FlywheelClassifier,
    NALClassifier,
    NetClassifier,
    SymmetricNoiseInjector,
)
from sknoisy.nets import DynamicsRecorder

METHODS = (
    *(NetClassifier, NALClassifier, ELRPlusClassifier, DivideMixClassifier),
    FlywheelClassifier,
)
N_TRAIN, N_KILLED = 601, 3
NUMBER = int(os.environ.get("RANK", 0))


def digits():
    """Return rows, and labels of which 30 % are wrong where networks learn."""
    X, y = load_digits(return_X_y=True)
    X = (X / X.std()).astype(np.float32)
    noisy = SymmetricNoiseInjector(0.3, random_state=0).fit_resample(X, y)[1]
    return X, np.where(np.arange(len(y)) < N_TRAIN, noisy, y)


X, y = digits()
LEARNT, HELD_OUT = (X[:N_TRAIN], y[:N_TRAIN]), (X[N_TRAIN:], y[N_TRAIN:])
IMAGES = X.reshape(-1, 1, 8, 8)


class Convolution(nn.Module):
    """A small network on images, with batch normalisation."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(input_shape[0], 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.head = nn.Linear(16 * 16, n_classes)

    def forward(self, X):
        return self.head(self.body(X))


class Die(Callback):
    """Kill the second process in the middle of an epoch, as a power cut would."""

    def on_batch_end(self, net, training=False, **kwargs):
        if NUMBER == 1 and len(net.history) == N_KILLED:
            os.kill(os.getpid(), signal.SIGKILL)


class Stop(Callback):
    """Stop the training, in the second process only."""

    def on_epoch_end(self, net, **kwargs):
        if NUMBER == 1:
            raise KeyboardInterrupt


def make(method, **params):
    """Return a small net for two processes."""
    defaults = {"max_epochs": 8, "batch_size": 32, "random_state": 0}
    return method(distributed=True, **{**defaults, **params})


def without_dropout(**params):
    """Return a net whose steps draw nothing: one process computes the same."""
    return make(NetClassifier, max_epochs=3, module__dropout=0.0, **params)


def state_of(net):
    """Return weights, states of rows, losses and results."""
    state = {
        f"{slot}.{name}": value.numpy()
        for slot in [*net._modules, *net._criteria]
        for name, value in getattr(net, slot + "_").state_dict().items()
    }
    state["losses"] = np.array(net.history[:, "train_loss"])
    state["sizes"] = np.array(net.history[0, "batches", :, "train_batch_size"])
    if hasattr(net, "noise_scores_"):
        state["scores"] = net.noise_scores_
    return state


def methods():
    """Train the methods on a table, and two on images."""
    found = {}
    for method in METHODS:
        recorder = DynamicsRecorder()
        net = make(method, callbacks=[recorder]).fit(*LEARNT)
        state = {**state_of(net), "dynamics": recorder.trajectories_}
        found[method.__name__] = state, net.score(*HELD_OUT)
    for method in (NetClassifier, ELRPlusClassifier):
        net = make(method, module=Convolution, augment=None)
        net.fit(IMAGES[:N_TRAIN], LEARNT[1])
        accuracy = net.score(IMAGES[N_TRAIN:], HELD_OUT[1])
        found[f"{method.__name__} of images"] = state_of(net), accuracy
    return found


def details(checkpoint):
    """Train nets that compute what one process does, and the one that was killed."""
    found = {"plain": state_of(without_dropout(verbose=2).fit(*LEARNT))}
    weight = np.linspace(0, 2, N_TRAIN)
    weighted = without_dropout(criterion__reduction="none")
    found["weighted"] = state_of(weighted.fit(*LEARNT, sample_weight=weight))
    shelf = Shelf(LEARNT[0])
    net = without_dropout()
    found["row source"] = state_of(net.fit(shelf, LEARNT[1]))
    found["rows read"] = len(np.concatenate(shelf.fetched))
    resumed = make(NALClassifier, max_epochs=5, checkpoint=checkpoint).fit(*LEARNT)
    found["resumed"] = state_of(resumed)
    found["whole"] = state_of(make(NALClassifier, max_epochs=5).fit(*LEARNT))
    net = make(NetClassifier, random_state=None, max_epochs=1)
    found["no seed"] = state_of(net.fit(*LEARNT))
    facts = {"module__input_shape": (64,), "classes": np.arange(10)}
    net = make(NetClassifier, random_state=None, max_epochs=1, **facts).initialize()
    found["built before"] = state_of(net.partial_fit(*LEARNT))
    torch.manual_seed(NUMBER)
    module = nn.Linear(64, 10)
    net = make(NetClassifier, module=module, max_epochs=1)
    found["own weights"] = state_of(net.fit(*LEARNT))
    return found


def refused():
    """Return the errors of what processes cannot do together."""
    rows = {"other rows": (LEARNT[0] + NUMBER, LEARNT[1])}
    split = {"train_split": random_half}
    nets = {
        "other rows": make(NetClassifier),
        "other parameters": make(NALClassifier, alpha=0.5 + 0.1 * NUMBER),
        "few rows": make(NetClassifier, batch_size=3),
        "loader": make(NetClassifier, iterator_train=DataLoader),
        "split": make(NetClassifier, **split),
        "settings": make(NetClassifier, settings="auto", random_state=None),
        "stop": make(NetClassifier, callbacks=[Stop()], max_epochs=2),
        "no stop": make(NetClassifier, callbacks=[Stop()], max_epochs=1),
    }
    errors = {}
    for name, net in nets.items():
        try:
            net.fit(*rows.get(name, LEARNT))
            errors[name] = "none"
        except Exception as error:
            errors[name] = f"{type(error).__name__}: {error}"
    return errors


def random_half(dataset, y):
    """Return another half of the rows in each process."""
    order = np.random.default_rng(NUMBER).permutation(len(dataset))
    subset = torch.utils.data.Subset
    half = len(order) // 2
    return subset(dataset, order[:half]), subset(dataset, order[half:])


def killed(checkpoint):
    """Return the error of the process that stays, when the other one is killed."""
    net = make(NALClassifier, max_epochs=5, checkpoint=checkpoint, callbacks=[Die()])
    try:
        net.fit(*LEARNT)
    except ConnectionError as error:
        return str(error)


if __name__ == "__main__":
    torch.set_num_threads(1)
    job, folder = sys.argv[1], Path(sys.argv[2])
    checkpoint = folder / "checkpoint"
    if job == "killed":
        found = killed(checkpoint)
    else:
        found = {
            "methods": methods(),
            "details": details(checkpoint),
            "refused": refused(),
        }
    with open(folder / f"{job}-{NUMBER}.pickle", "wb") as file:
        pickle.dump(found, file)
