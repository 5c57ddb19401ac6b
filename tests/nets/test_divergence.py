"""Trainings that diverge in their last step, and predictions that overflow."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from sknoisy import ELRClassifier, NALClassifier, NetClassifier
from sknoisy.detection._dynamics._recording import record_dynamics
from sknoisy.nets import MLP
from sknoisy.nets._divergence import undefined_states


class Spoil(Callback):
    """Make something NaN after the last step of the last epoch."""

    def __init__(self, spoil):
        self.spoil = spoil

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        is_last = len(net.history[-1, "batches"]) == 3 or net.max_epochs == 1
        if len(net.history) == net.max_epochs and is_last:
            with torch.no_grad():
                self.spoil(net)


def spoil_weight(net):
    net.module_.head.weight[0, 0] = torch.inf


def spoil_state(net):
    net.criterion_.targets[4, 1] = torch.nan


class TestLastStep:
    def test_finite_losses_do_not_hide_it(self, table):
        X, y = table
        net = NetClassifier(max_epochs=1, random_state=0)
        message = r"diverged in epoch 1: .* infinite or NaN. Lower lr \(now 0.05\)"
        with pytest.raises(FloatingPointError, match=message):
            net.fit(X * 1e15, y)
        assert np.isfinite(net.history[0, "train_loss"])

    def test_weights(self, make_net, table):
        X, y = table
        net = make_net(callbacks=[Spoil(spoil_weight)])
        with pytest.raises(FloatingPointError, match=r"weights module_\.head\.weight"):
            net.fit(X, y)

    def test_weights_after_an_interruption(self, make_net, table):
        def stop(net):
            spoil_weight(net)
            raise KeyboardInterrupt

        X, y = table
        with pytest.raises(FloatingPointError, match=r"weights module_\.head\.weight"):
            make_net(callbacks=[Spoil(stop)]).fit(X, y)

    @pytest.mark.parametrize("method", [ELRClassifier, NALClassifier])
    def test_what_is_kept_of_the_rows(self, table, method):
        X, y = table
        net = method(max_epochs=1, callbacks=[Spoil(spoil_state)])
        with pytest.raises(FloatingPointError, match=r"criterion_\.targets, .* is NaN"):
            net.fit(X, y)

    def test_what_is_not_learnt_yet_may_be_undefined(self, make_net, table):
        class Unseen(nn.CrossEntropyLoss):
            def __init__(self):
                super().__init__()
                self.register_buffer("last", torch.full((45,), torch.nan))

        net = make_net(criterion=Unseen).fit(*table)
        assert undefined_states(net) == {"criterion_.last"}

    @pytest.mark.parametrize(
        ("params", "found"),
        [
            ({"max_epochs": 1, "callbacks": [Spoil(spoil_weight)]}, "the weights"),
            ({"lr": 1e30, "max_epochs": 3}, "the loss is (inf|nan)"),
        ],
    )
    def test_a_net_of_skorch(self, table, params, found):
        X, y = table
        net = NeuralNetClassifier(
            MLP,
            module__input_shape=(4,),
            module__n_classes=3,
            criterion=nn.CrossEntropyLoss,
            verbose=0,
            **params,
        )
        message = rf"diverged in epoch \d: {found}.* Lower lr"
        with pytest.raises(FloatingPointError, match=message):
            record_dynamics(net, X, y, 3)


def test_rows_that_overflow_are_refused_in_predictions(make_net, table):
    X, y = table
    net = make_net().fit(X, y)
    with torch.no_grad():
        net.module_.head.weight *= 1e5
    X = X.copy()
    X[7:9] = 1e38
    message = r"for 2 of 45 rows .*, first for row 7\. Scale X"
    with pytest.raises(FloatingPointError, match=message):
        net.predict(X)
