"""The passes of an epoch, as a method names them."""

import numpy as np
import pytest
from skorch.dataset import ValidSplit

import sknoisy
from sknoisy import NetClassifier

PARAMS = {"max_epochs": 2, "batch_size": 16, "module__hidden": 4, "random_state": 0}


class Twice(NetClassifier):
    """Two passes over the rows, and something in between."""

    def on_train_begin(self, net, *args, **kwargs):
        super().on_train_begin(net, *args, **kwargs)
        self.events_ = []

    def passes(self, batches):
        yield "first", batches
        self.events_.append("between")
        yield "second", batches

    def training_loss(self, X, y, index):
        self.events_.append(self.turn_)
        return super().training_loss(X, y, index)


@pytest.mark.parametrize("split", [None, ValidSplit(3)])
def test_two_passes(table, split):
    net = Twice(train_split=split, **PARAMS).fit(*table)
    n_batches = 3 if split is None else 2
    epoch = ["first"] * n_batches + ["between"] + ["second"] * n_batches
    assert net.events_ == 2 * epoch
    # Rows held out are looked at once.
    assert net.history[:, "train_batch_count"] == [2 * n_batches] * 2
    if split is not None:
        assert net.history[:, "valid_batch_count"] == [1, 1]
    assert net.turn_ is None


def test_one_pass_is_the_default(table):
    class Once(NetClassifier):
        def passes(self, batches):
            yield "only", batches

    X, y = table
    one, plain = Once(**PARAMS).fit(X, y), NetClassifier(**PARAMS).fit(X, y)
    np.testing.assert_array_equal(one.predict_proba(X), plain.predict_proba(X))
    assert [*plain.passes("batches")] == [(0, "batches")]


def test_no_method_runs_an_epoch_by_itself():
    for name in sknoisy.__all__:
        kind = getattr(sknoisy, name)
        if isinstance(kind, type) and issubclass(kind, NetClassifier):
            assert kind.run_single_epoch is NetClassifier.run_single_epoch, name
