"""The examples of skorch's guides on customization and on callbacks, on our net."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    InputShapeSetter,
    LRScheduler,
    ParamMapper,
    PassthroughScoring,
    TrainEndCheckpoint,
)
from skorch.dataset import ValidSplit
from torch import nn
from torch.optim.lr_scheduler import CyclicLR

from sknoisy import NetClassifier

SPLIT = ValidSplit(3, stratified=True)
PARAMS = {"max_epochs": 2, "batch_size": 16, "random_state": 0, "train_split": SPLIT}


class Small(nn.Module):
    def __init__(self, n_features=4, num_units=3):
        super().__init__()
        self.hidden = nn.Linear(n_features, num_units)
        self.head = nn.Linear(num_units, 3)

    def forward(self, X):
        return self.head(self.hidden(X).relu())


def net(**params):
    return NetClassifier(Small, **{**PARAMS, **params})


class Regularized:
    """Mixed into a net: the guide's L1 term."""

    def __init__(self, *args, lambda1=0.01, **kwargs):
        super().__init__(*args, **kwargs)
        self.lambda1 = lambda1

    def get_loss(self, y_pred, y_true, X=None, training=False):
        loss = super().get_loss(y_pred, y_true, X=X, training=training)
        loss += self.lambda1 * sum([w.abs().sum() for w in self.module_.parameters()])
        return loss


class StockRegularized(Regularized, NeuralNetClassifier):
    pass


class OurRegularized(Regularized, NetClassifier):
    pass


@pytest.mark.parametrize("kind", [StockRegularized, OurRegularized])
def test_customization_an_l1_term_in_get_loss(table, kind):
    X, y = table
    norms = []
    for lambda1 in (0.0, 0.1):
        torch.manual_seed(0)
        params = {"criterion": nn.CrossEntropyLoss, "max_epochs": 20, "lr": 0.1}
        if kind is OurRegularized:
            params["random_state"] = 0
        trained = kind(
            Small, lambda1=lambda1, train_split=None, verbose=0, batch_size=16, **params
        ).fit(X, y.astype(np.int64))
        weights = trained.module_.parameters()
        norms.append(sum(w.detach().abs().sum().item() for w in weights))
    assert norms[1] < 0.7 * norms[0]


class OwnSteps(NetClassifier):
    def train_step_single(self, batch, **fit_params):
        self._set_training(True)
        X, y = batch
        y_pred = self.infer(X, **fit_params)
        loss = 2 * self.get_loss(y_pred, y, X=X, training=True)
        loss.backward()
        return {"loss": loss, "y_pred": y_pred}

    def validation_step(self, batch, **fit_params):
        step = super().validation_step(batch, **fit_params)
        return {**step, "loss": 3 * step["loss"]}

    def evaluation_step(self, batch, training=False):
        return super().evaluation_step(batch, training) + torch.tensor([0, 0, 1e4])


def test_customization_own_steps_of_training_validation_and_evaluation(table):
    X, y = table
    plain = net(lr=0.0).fit(X, y)
    own = OwnSteps(Small, **{**PARAMS, "lr": 0.0}).fit(X, y)
    for name, factor in (("train_loss", 2), ("valid_loss", 3)):
        np.testing.assert_allclose(
            own.history[:, name], np.multiply(factor, plain.history[:, name]), rtol=1e-5
        )
    assert set(own.predict(X)) == {2}


class Accumulated(NetClassifier):
    """Takes a step of the optimizer at every second batch."""

    def get_loss(self, *args, **kwargs):
        return super().get_loss(*args, **kwargs) / 2

    def train_step(self, batch, **fit_params):
        step = self.train_step_single(batch, **fit_params)
        if len(self.history[-1, "batches"]) % 2 == 0:
            self.optimizer_.step()
            self.optimizer_.zero_grad()
        return step


def test_customization_gradient_accumulation_in_train_step(table):
    X, y = table
    params = {**PARAMS, "train_split": None, "iterator_train__shuffle": False}
    pairs = Accumulated(Small, **{**params, "batch_size": 10}).fit(X[:40], y[:40])
    whole = NetClassifier(Small, **{**params, "batch_size": 20}).fit(X[:40], y[:40])
    for a, b in zip(
        pairs.module_.parameters(), whole.module_.parameters(), strict=True
    ):
        torch.testing.assert_close(a, b)


class MyNet(NetClassifier):
    """The guide's net with a second module, criterion and optimizer."""

    def initialize_module(self):
        super().initialize_module()
        self.module2_ = Small(**{"n_features": 3, **self.get_params_for("module2")})
        return self

    def initialize_criterion(self):
        super().initialize_criterion()
        params = self.get_params_for("other_criterion")
        self.other_criterion_ = nn.MSELoss(**params)
        return self

    def initialize_optimizer(self):
        named_params = self.module_.named_parameters()
        args, kwargs = self.get_params_for_optimizer("optimizer", named_params)
        self.optimizer_ = self.optimizer(*args, **kwargs)
        named_params = self.module2_.named_parameters()
        args, kwargs = self.get_params_for_optimizer("optimizer2", named_params)
        self.optimizer2_ = torch.optim.SGD(*args, **kwargs)
        return self

    def get_params_for_optimizer(self, prefix, named_parameters):
        if prefix == "optimizer2":
            params = {"lr": self.lr, **self.get_params_for(prefix)}
            return (list(dict(named_parameters).values()),), params
        return super().get_params_for_optimizer(prefix, named_parameters)

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        loss = super().get_loss(y_pred, y_true, *args, **kwargs)
        other = self.module2_(y_pred)
        return loss + self.other_criterion_(other, torch.zeros_like(other))


def test_customization_a_second_module_criterion_and_optimizer(table):
    X, y = table
    params = {"module2__num_units": 5, "other_criterion__reduction": "sum"}
    ours = MyNet(Small, **params, optimizer2__lr=0.01, lr_schedule=None, **PARAMS)
    ours.fit(X, y)
    assert ours.module2_.head.in_features == 5
    assert ours.other_criterion_.reduction == "sum"
    assert ours.optimizer2_.param_groups[0]["lr"] == 0.01
    before = ours.module2_.head.bias.clone()
    ours.set_params(optimizer2__lr=0.005)
    ours.partial_fit(X, y)
    assert ours.optimizer2_.param_groups[0]["lr"] == 0.005
    assert not ours.module2_.head.bias.equal(before)
    search = GridSearchCV(ours, {"module2__num_units": [4, 6]}, cv=2).fit(X, y)
    assert search.best_estimator_.module2_.head.in_features in (4, 6)


class Own(Callback):
    """Notes which of a callback's methods are called, with what."""

    def initialize(self):
        self.seen_ = []
        return self

    def _note(self, name, net, given):
        assert isinstance(net, NetClassifier)
        self.seen_.append((name, sorted(given)))

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self._note("train_begin", net, {"X": X, "y": y})
        assert len(X) == len(y) == 45

    def on_train_end(self, net, X=None, y=None, **kwargs):
        self._note("train_end", net, {"X": X, "y": y})

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        assert len(dataset_train) == 30 and len(dataset_valid) == 15
        self._note("epoch_begin", net, kwargs)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        self._note("epoch_end", net, kwargs)

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        X, y = batch
        assert len(X) == len(y)
        self._note("batch_begin", net, {"training": training})

    def on_batch_end(self, net, batch=None, training=None, **kwargs):
        assert {"loss", "y_pred"} <= set(kwargs)
        assert kwargs["y_pred"].shape == (len(batch[0]), 3)
        self._note("batch_end", net, {"training": training})

    def on_grad_computed(self, net, named_parameters, batch=None, **kwargs):
        for _, weight in named_parameters:
            weight.grad.zero_()
        self._note("grad_computed", net, {})


def test_callbacks_methods_to_override(table):
    given = net(callbacks=[("own", Own())], max_epochs=1, optimizer__weight_decay=0)
    start = net(max_epochs=0).fit(*table)
    given.fit(*table)
    names = [name for name, _ in dict(given.callbacks_)["own"].seen_]
    batch = ["batch_begin", "grad_computed", "batch_end"]
    epoch = ["epoch_begin", *2 * batch, "batch_begin", "batch_end", "epoch_end"]
    assert names == ["train_begin", *epoch, "train_end"]
    # It has taken every gradient away.
    np.testing.assert_array_equal(
        given.predict_proba(table[0]), start.predict_proba(table[0])
    )


def test_callbacks_parameters_are_set_by_name(table):
    given = net().set_params(callbacks__valid_acc__name="accuracy of valid set")
    given.fit(*table)
    assert "accuracy of valid set" in given.history[-1]
    scores = [EpochScoring("accuracy", name=name) for name in ("one", "two")]
    given = net(callbacks=scores).fit(*table)
    names = [name for name, _ in given.callbacks_]
    assert {"EpochScoring_1", "EpochScoring_2"} <= set(names)


def test_callbacks_are_deactivated(table):
    given = net(callbacks=[("own", Own())])
    given.set_params(callbacks__own=None, callbacks__valid_acc=None).fit(*table)
    assert not {"own", "valid_acc"} & {name for name, _ in given.callbacks_}
    assert "valid_acc" not in given.history[-1]
    given = net(callbacks="disable").fit(*table)
    assert given.callbacks_ == [] and len(given.history) == 2


def n_right(net, X, y):
    return int((net.predict(X) == y).sum())


def test_callbacks_scores(table):
    X, y = table
    given = net(
        callbacks=[
            EpochScoring("f1_macro", lower_is_better=False),
            EpochScoring(None, name="score", use_caching=False),
            EpochScoring(n_right, use_caching=False, lower_is_better=False),
            BatchScoring("accuracy", name="batch_acc", on_train=True),
            PassthroughScoring("train_batch_size", on_train=True),
        ]
    ).fit(X, y)
    last = given.history[-1]
    held = SPLIT(given.get_dataset(X), y)[1].indices
    assert last["score"] == pytest.approx(given.score(X[held], y[held]))
    assert last["n_right"] == n_right(given, X[held], y[held])
    assert 0 <= last["f1_macro"] <= 1 and isinstance(last["f1_macro_best"], bool)
    assert 0 <= last["batch_acc"] <= 1
    # 30 rows to train on: weighted by their sizes, 16 and 14.
    assert last["train_batch_size"] == pytest.approx((16**2 + 14**2) / 30)


@pytest.mark.parametrize("monitor", [None, "valid_loss_best", lambda net: True])
def test_callbacks_checkpoint(table, tmp_path, monitor):
    X, y = table
    saves = Checkpoint(monitor=monitor, dirname=str(tmp_path))
    given = net(callbacks=[saves, TrainEndCheckpoint(dirname=str(tmp_path))]).fit(X, y)
    assert {"params.pt", "optimizer.pt", "history.json"} <= {
        path.name for path in tmp_path.iterdir()
    }
    # A net that has seen no data takes the weights.
    other = NetClassifier(Small, classes=[0, 1, 2]).initialize()
    other.load_params(tmp_path / "train_end_params.pt")
    np.testing.assert_array_equal(other.predict(X), given.predict(X))
    np.testing.assert_array_equal(other.predict_proba(X), given.predict_proba(X))


def test_callbacks_a_cyclic_learning_rate_and_its_search(table):
    X, y = table
    cyclic = LRScheduler(policy=CyclicLR, base_lr=0.001, max_lr=0.01)
    given = net(callbacks=[("lr_scheduler", cyclic)])
    search = GridSearchCV(given, {"callbacks__lr_scheduler__max_lr": [0.01, 0.1]}, cv=2)
    best = search.fit(X, y).best_estimator_
    assert dict(best.callbacks_)["lr_scheduler"].kwargs["max_lr"] in (0.01, 0.1)
    assert best.optimizer_.param_groups[0]["lr"] >= 0.001


def test_callbacks_early_stopping_loads_the_best_weights(table):
    stops = EarlyStopping(patience=2, load_best=True, sink=lambda text: None)
    given = net(callbacks=[stops], max_epochs=30, lr=3.0).fit(*table)
    assert len(given.history) < 30 and not given.interrupted_


def test_callbacks_that_change_weights_and_gradients(table):
    X, y = table
    start = net(max_epochs=0).fit(X, y)
    frozen = net(callbacks=[Freezer("hidden.*")]).fit(X, y)
    assert frozen.module_.hidden.weight.equal(start.module_.hidden.weight)
    assert not frozen.module_.head.weight.equal(start.module_.head.weight)
    ones = ParamMapper("head.bias", fn=nn.init.ones_)
    ones = net(callbacks=[ones], lr=0.0).fit(X, y)
    assert ones.module_.head.bias.equal(torch.ones(3))
    clipped = net(callbacks=[GradientNormClipping(0)], optimizer__weight_decay=0)
    clipped.fit(X, y)
    torch.testing.assert_close(clipped.module_.head.weight, start.module_.head.weight)


def test_callbacks_input_shape_setter_fits_a_module_to_the_data(table):
    X, y = table
    setter = InputShapeSetter(param_name="n_features")
    given = net(module__n_features=9, callbacks=[setter]).fit(X, y)
    assert given.module_.hidden.in_features == 4
    assert len(given.history) == 2 and given.score(X, y) > 0
