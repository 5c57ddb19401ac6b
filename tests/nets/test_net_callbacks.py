"""skorch's callbacks and validation on NetClassifier."""

from itertools import chain

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    TrainEndCheckpoint,
)
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch.utils.data import DataLoader

from sknoisy.nets import ArrayDataset, Batch, LoaderBatches

SPLIT = ValidSplit(5, stratified=True)
NAMES = np.array(["cat", "ant", "bee"])
LABELS = pytest.mark.parametrize(
    "values", [[0, 1, 2], [1, 2, 3], ["cat", "ant", "bee"]], ids=str
)


def state_of(net):
    return {name: value.clone() for name, value in net.module_.state_dict().items()}


def assert_same_state(a, b):
    for name in a:
        assert a[name].equal(b[name]), name


class TestValidation:
    @LABELS
    @pytest.mark.parametrize("iterator", [None, LoaderBatches])
    def test_history_holds_cross_entropy_and_accuracy_of_the_held_out_rows(
        self, make_net, table, spy, values, iterator
    ):
        X, y = table
        labels = np.array(values)[y]
        params = {"iterator_valid": iterator} if iterator else {}
        net = make_net(callbacks=[spy], train_split=SPLIT, **params).fit(X, labels)
        held_out = np.concatenate([batch[0] for batch in spy.valid[-1]])
        assert len(held_out) == 9 and len(set(held_out)) == 9
        assert np.bincount(y[held_out]).tolist() == [3, 3, 3]
        log_p = log_softmax(net.forward(X[held_out]).numpy().astype(float), axis=1)
        codes = net.classes_.searchsorted(labels[held_out])
        expected = -log_p[np.arange(9), codes].mean()
        np.testing.assert_allclose(net.history[-1, "valid_loss"], expected, rtol=1e-5)
        accuracy = (net.predict(X[held_out]) == labels[held_out]).mean()
        assert net.history[-1, "valid_acc"] == pytest.approx(accuracy)

    def test_rows_keep_their_numbers(self, make_net, table, spy):
        X, y = table
        make_net(callbacks=[spy], train_split=SPLIT).fit(X, y)
        held_out = set(np.concatenate([b[0] for b in spy.valid[0]]))
        for epoch in spy.train:
            rows = np.concatenate([batch[0] for batch in epoch])
            assert sorted(rows) == sorted(set(range(45)) - held_out)
        for index, features, codes, *_ in chain.from_iterable(spy.train + spy.valid):
            np.testing.assert_array_equal(features, X[index])
            np.testing.assert_array_equal(codes, y[index])

    def test_weights_follow_the_rows_numbers(self, make_net, table, spy):
        X, y = table
        w = np.random.default_rng(0).random(45)
        make_net(callbacks=[spy], train_split=SPLIT).fit(X, y, sample_weight=w)
        for index, _, codes, logits, loss in chain.from_iterable(spy.train):
            losses = -log_softmax(logits.astype(float), axis=1)
            losses = losses[np.arange(len(codes)), codes]
            expected = np.average(losses, weights=w[index])
            np.testing.assert_allclose(loss, expected, rtol=1e-5)

    def test_validation_loss_is_that_of_the_criterion(self, make_net, table, spy):
        X, y = table
        net = make_net(
            callbacks=[spy], train_split=SPLIT, criterion__label_smoothing=0.5
        ).fit(X, y)
        (index, _, codes, logits, loss) = spy.valid[-1][0]
        log_p = log_softmax(logits.astype(float), axis=1)
        given = -log_p[np.arange(len(index)), codes].mean()
        # Label smoothing: half of the target is spread evenly.
        expected = 0.5 * given - 0.5 * log_p.mean()
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        np.testing.assert_allclose(net.history[-1, "valid_loss"], expected, rtol=1e-5)

    def test_a_given_validation_set(self, make_net, table):
        X, y = table
        valid = ArrayDataset(X[:10], y[:10])
        net = make_net(train_split=predefined_split(valid)).fit(X[10:], y[10:])
        log_p = log_softmax(net.forward(X[:10]).numpy().astype(float), axis=1)
        expected = -log_p[np.arange(10), y[:10]].mean()
        np.testing.assert_allclose(net.history[-1, "valid_loss"], expected, rtol=1e-5)
        plain = make_net().fit(X[10:], y[10:])
        assert_same_state(state_of(net), state_of(plain))

    def test_no_split_by_default(self, make_net, table):
        net = make_net().fit(*table)
        assert "valid_loss" not in net.history[-1]
        assert net.history[-1, "train_batch_count"] == 3

    def test_train_loss_is_the_mean_over_the_rows(self, make_net, table, spy):
        net = make_net(callbacks=[spy], batch_size=32).fit(*table)
        sizes = [len(batch[0]) for batch in spy.train[-1]]
        losses = [batch[-1] for batch in spy.train[-1]]
        assert sizes == [32, 13]
        expected = np.average(losses, weights=sizes)
        np.testing.assert_allclose(net.history[-1, "train_loss"], expected, rtol=1e-6)


class TestScoring:
    @LABELS
    def test_cached_scores_on_the_held_out_rows(self, make_net, table, spy, values):
        X, y = table
        labels = np.array(values)[y]
        scoring = EpochScoring("accuracy", name="score", lower_is_better=False)
        net = make_net(callbacks=[scoring, spy], train_split=SPLIT).fit(X, labels)
        held_out = np.concatenate([batch[0] for batch in spy.valid[-1]])
        expected = accuracy_score(labels[held_out], net.predict(X[held_out]))
        assert net.history[-1, "score"] == pytest.approx(expected)

    @LABELS
    def test_cached_scores_on_the_training_rows(self, make_net, table, spy, values):
        X, y = table
        scoring = EpochScoring(
            "accuracy", name="score", lower_is_better=False, on_train=True
        )
        net = make_net(callbacks=[scoring, spy], max_epochs=8)
        net.fit(X, np.array(values)[y])
        for epoch, score in zip(spy.train, net.history[:, "score"], strict=True):
            hits = [(batch[3].argmax(1) == batch[2]) for batch in epoch]
            assert score == pytest.approx(np.concatenate(hits).mean())

    @LABELS
    @pytest.mark.parametrize("use_caching", [True, False])
    def test_scores_of_batches(self, make_net, table, spy, values, use_caching):
        X, y = table
        scoring = BatchScoring("accuracy", name="score", use_caching=use_caching)
        net = make_net(callbacks=[scoring, spy], train_split=SPLIT)
        net.fit(X, np.array(values)[y])
        for epoch, score in zip(spy.valid, net.history[:, "score"], strict=True):
            hits = [(batch[3].argmax(1) == batch[2]) for batch in epoch]
            assert score == pytest.approx(np.concatenate(hits).mean())

    @LABELS
    def test_log_loss(self, make_net, table, values):
        X, y = table
        scoring = EpochScoring("neg_log_loss", name="score", lower_is_better=False)
        net = make_net(callbacks=[scoring], train_split=SPLIT)
        net.fit(X, np.array(values)[y])
        given = -np.array(net.history[:, "score"])
        np.testing.assert_allclose(given, net.history[:, "valid_loss"], rtol=1e-5)


class KeepStates(Callback):
    def on_train_begin(self, net, **kwargs):
        self.states = []

    def on_epoch_end(self, net, **kwargs):
        self.states.append(state_of(net))


class TestCallbacks:
    def test_checkpoint_brings_the_best_epoch_back(self, make_net, table, tmp_path):
        X, y = table
        keep = KeepStates()
        checkpoint = Checkpoint(
            monitor="valid_loss_best", dirname=str(tmp_path), load_best=True
        )
        # A learning rate that grows makes the last epochs worse.
        net = make_net(
            callbacks=[keep, checkpoint],
            train_split=SPLIT,
            lr_schedule=lambda done, _: 4.0**done,
            max_epochs=8,
        ).fit(X, y)
        best = int(np.argmin(net.history[:, "valid_loss"]))
        assert best < 7
        assert_same_state(state_of(net), keep.states[best])
        assert net.device is None

    def test_checkpoint_saves_what_can_be_loaded(self, make_net, table, tmp_path):
        X, y = table
        net = make_net(callbacks=[TrainEndCheckpoint(dirname=str(tmp_path))]).fit(X, y)
        weights = torch.load(tmp_path / "train_end_params.pt", weights_only=True)
        assert_same_state(weights, state_of(net))

    def test_early_stopping_ends_the_training(self, make_net, table):
        stopping = EarlyStopping("train_loss", patience=2, threshold=1e9, sink=len)
        net = make_net(callbacks=[stopping], max_epochs=30).fit(*table)
        assert 2 <= len(net.history) <= 4
        assert net.predict(table[0]).shape == (45,)
        # The base rate is back although the schedule was cut short.
        assert net.optimizer_.param_groups[0]["lr"] == 0.05

    def test_early_stopping_brings_the_best_epoch_back(self, make_net, table):
        keep = KeepStates()
        stopping = EarlyStopping("valid_loss", patience=3, load_best=True, sink=len)
        net = make_net(
            callbacks=[keep, stopping],
            train_split=SPLIT,
            lr_schedule=lambda done, _: 4.0**done,
            max_epochs=30,
        ).fit(*table)
        best = int(np.argmin(net.history[:, "valid_loss"]))
        assert len(net.history) < 30
        assert_same_state(state_of(net), keep.states[best])

    def test_gradient_clipping_holds_the_weights_in_place(self, make_net, table):
        X, y = table
        params = {"optimizer__weight_decay": 0.0}
        start = state_of(make_net(lr=0, **params).fit(X, y))
        clipped = GradientNormClipping(gradient_clip_value=1e-12)
        held = state_of(make_net(callbacks=[clipped], **params).fit(X, y))
        for name in start:
            torch.testing.assert_close(held[name], start[name], rtol=0, atol=1e-9)
        free = state_of(make_net(**params).fit(X, y))
        assert not free["head.weight"].equal(start["head.weight"])

    @pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.LBFGS])
    def test_gradients_are_announced_at_every_batch(
        self, make_net, table, spy, optimizer
    ):
        X, y = table
        params = {"optimizer__max_iter": 2} if optimizer is torch.optim.LBFGS else {}
        make_net(callbacks=[spy], optimizer=optimizer, **params).fit(X, y)
        n_batches = sum(len(epoch) for epoch in spy.train)
        assert len(spy.gradients) >= n_batches == 9
        if optimizer is torch.optim.SGD:
            assert len(spy.gradients) == 9
            rows = [index.tolist() for index, _ in spy.gradients[:3]]
            assert rows == [batch[0].tolist() for batch in spy.train[0]]
        names = ["body.0.weight", "body.0.bias", "head.weight", "head.bias"]
        assert all(given == names for _, given in spy.gradients)

    def test_observers_leave_the_weights_alone(self, make_net, table, spy):
        a, b = make_net(callbacks=[spy]).fit(*table), make_net().fit(*table)
        assert_same_state(state_of(a), state_of(b))

    def test_every_hook_is_called_in_order(self, make_net, table):
        calls = []

        class Log(Callback):
            def on_train_begin(self, net, X=None, y=None, **kwargs):
                assert len(X) == 45
                calls.append("train")

            def on_epoch_begin(self, net, dataset_train=None, **kwargs):
                assert len(dataset_train) == 36
                calls.append("epoch")

            def on_batch_begin(self, net, batch=None, training=None, **kwargs):
                assert isinstance(batch, Batch)
                calls.append("batch" if training else "valid")

            def on_batch_end(self, net, batch=None, training=None, **kwargs):
                assert {"loss", "y_pred"} <= kwargs.keys()
                calls.append("/batch" if training else "/valid")

            def on_epoch_end(self, net, dataset_valid=None, **kwargs):
                assert len(dataset_valid) == 9
                calls.append("/epoch")

            def on_train_end(self, net, **kwargs):
                calls.append("/train")

        make_net(callbacks=[Log()], max_epochs=2, train_split=SPLIT).fit(*table)
        batches = ["batch", "/batch"] * 3 + ["valid", "/valid"]
        epoch = ["epoch", *batches, "/epoch"]
        assert calls == ["train", *epoch, *epoch, "/train"]

    def test_a_table_is_printed_on_demand(self, make_net, table, capsys):
        make_net().fit(*table)
        assert capsys.readouterr().out == ""
        make_net(verbose=2).fit(*table)
        assert len(capsys.readouterr().out.strip().splitlines()) == 2 + 3


class Backwards:
    """An iterator of the user's own."""

    def __init__(self, dataset, batch_size, step=1):
        self.dataset = dataset
        self.batch_size = batch_size

    def __len__(self):
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self):
        rows = list(range(len(self.dataset)))[::-1]
        for start in range(0, len(rows), self.batch_size):
            yield Batch(*self.dataset.fetch(rows[start : start + self.batch_size]))


class TestOwnIterators:
    def test_batches_of_ones_own(self, make_net, table, spy):
        net = make_net(iterator_train=Backwards, callbacks=[spy]).fit(*table)
        assert spy.train[1][0][0].tolist() == list(range(44, 28, -1))
        assert net.predict(table[0]).shape == (45,)
        with pytest.raises(ValueError, match="Backwards takes no iterator_train__ste;"):
            make_net(iterator_train=Backwards, iterator_train__ste=2).fit(*table)

    def test_validation_by_a_plain_loader(self, make_net, table):
        X, y = table
        plain = make_net(train_split=SPLIT).fit(X, y)
        net = make_net(train_split=SPLIT, iterator_valid=DataLoader).fit(X, y)
        np.testing.assert_allclose(
            net.history[:, "valid_loss"], plain.history[:, "valid_loss"], rtol=1e-5
        )
        np.testing.assert_allclose(
            net.predict_proba(X), plain.predict_proba(X), rtol=1e-5
        )
