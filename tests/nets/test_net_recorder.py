"""DynamicsRecorder against loops that are written by hand."""

import numpy as np
import pytest
import torch
from fitted_state import assert_same_weights
from scipy.special import log_softmax, softmax
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import Subset

from sknoisy.nets import (
    ArrayDataset,
    DynamicsRecorder,
    LoaderBatches,
    TensorBatches,
)

SIGNALS = ["logit_diff", "loss", "probability", "prob_diff"]
WHENS = ["online", "epoch_end"]


def by_hand(signal, logits, y):
    z = np.asarray(logits, np.float64)
    rows = np.arange(len(y))
    p, others = softmax(z, axis=1), z.copy()
    others[rows, y] = -np.inf
    return {
        "loss": -log_softmax(z, axis=1)[rows, y],
        "probability": p[rows, y],
        "prob_diff": p[rows, y] - p.max(1),
        "logit_diff": z[rows, y] - others.max(1),
    }[signal]


def captured(spy, n_samples, n_classes=3):
    """Logits of every row in every epoch, NaN where a row took no part."""
    table = np.full((len(spy.train), n_samples, n_classes), np.nan)
    for epoch, batches in enumerate(spy.train):
        for index, _, _, logits, _ in batches:
            assert np.isnan(table[epoch, index]).all()
            table[epoch, index] = logits
    return table


class Mlp(nn.Module):
    def __init__(self, softmax=False):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Linear(6, 3)
        self.softmax = softmax

    def forward(self, X):
        out = self.head(self.body(X))
        return out.softmax(1) if self.softmax else out


def stock(callbacks, criterion=nn.CrossEntropyLoss, **params):
    """A plain skorch net with our batches."""
    defaults = {
        "module__softmax": criterion is nn.NLLLoss,
        "iterator_train": TensorBatches,
        "iterator_valid": TensorBatches,
        "iterator_train__shuffle": True,
        "train_split": None,
        "max_epochs": 3,
        "batch_size": 16,
        "lr": 0.1,
        "verbose": 0,
    }
    return NeuralNetClassifier(
        Mlp, criterion=criterion, callbacks=callbacks, **{**defaults, **params}
    )


class TestTrajectories:
    @pytest.mark.parametrize("signal", SIGNALS)
    def test_online_values_are_those_of_the_training_batches(
        self, make_net, table, spy, signal
    ):
        X, y = table
        recorder = DynamicsRecorder(signal)
        make_net(callbacks=[recorder, spy], module__dropout=0.5).fit(X, y)
        logits = captured(spy, 45)
        expected = np.stack([by_hand(signal, z, y) for z in logits], 1)
        assert recorder.trajectories_.shape == (45, 3)
        assert recorder.trajectories_.dtype == np.float32
        np.testing.assert_allclose(
            recorder.trajectories_, expected, rtol=1e-5, atol=1e-6
        )
        assert not np.isnan(expected).any()
        mean_proba = softmax(logits, axis=2).mean(0)
        np.testing.assert_allclose(recorder.mean_proba_, mean_proba, rtol=1e-5)
        assert recorder.mean_proba_.dtype == np.float32

    @pytest.mark.parametrize("signal", SIGNALS)
    def test_online_values_come_before_the_step(self, make_net, table, signal):
        # In one batch without dropout, epoch t starts from the net of t epochs.
        X, y = table
        params = {"batch_size": -1, "module__dropout": 0.0, "lr_schedule": None}
        recorder = DynamicsRecorder(signal)
        make_net(callbacks=[recorder], **params).fit(X, y)
        start = make_net(**{**params, "lr": 0, "max_epochs": 1}).fit(X, y)
        nets = [start, *(make_net(**params, max_epochs=t).fit(X, y) for t in (1, 2))]
        for column, net in zip(recorder.trajectories_.T, nets, strict=True):
            expected = by_hand(signal, net.forward(X).numpy(), y)
            np.testing.assert_allclose(column, expected, rtol=1e-5, atol=1e-6)

    def test_online_is_in_training_mode_and_epoch_end_in_evaluation_mode(
        self, make_net, table
    ):
        columns = {}
        for when in WHENS:
            recorder = DynamicsRecorder(when=when)
            params = {"lr": 0, "module__dropout": 0.5, "batch_size": -1}
            make_net(callbacks=[recorder], **params).fit(*table)
            columns[when] = recorder.trajectories_
        # The weights stand still, so that only dropout can move the values.
        assert (np.ptp(columns["online"], axis=1) > 0).mean() > 0.9
        assert (np.ptp(columns["epoch_end"], axis=1) == 0).all()

    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize("signal", SIGNALS)
    def test_epoch_end_values_are_those_of_the_net_after_each_epoch(
        self, make_net, table, signal
    ):
        X, y = table
        recorder = DynamicsRecorder(signal, "epoch_end")
        params = {"lr_schedule": None, "module__dropout": 0.5}
        net = make_net(callbacks=[recorder], **params).fit(X, y)
        proba = []
        for epoch in range(3):
            short = make_net(max_epochs=epoch + 1, **params).fit(X, y)
            logits = short.forward(X).numpy()
            expected = by_hand(signal, logits, y)
            proba.append(softmax(logits.astype(float), axis=1))
            given = recorder.trajectories_[:, epoch]
            np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(short.forward(X), net.forward(X))
        np.testing.assert_allclose(
            recorder.mean_proba_, np.mean(proba, axis=0), rtol=1e-5
        )

    def test_the_area_under_the_margin_is_their_mean(self, make_net, table, spy):
        X, y = table
        recorder = DynamicsRecorder()
        make_net(callbacks=[recorder, spy], max_epochs=5).fit(X, y)
        area = np.zeros(45)
        for batches in spy.train:
            for index, _, codes, logits, _ in batches:
                for row, code, z in zip(index, codes, logits, strict=True):
                    area[row] += (z[code] - np.delete(z, code).max()) / 5
        given = recorder.trajectories_.mean(1)
        np.testing.assert_allclose(given, area, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("width", [6, 30])
    def test_alignment_by_singular_value_decomposition(self, make_net, table, width):
        X, y = table
        recorder = DynamicsRecorder("alignment")
        net = make_net(callbacks=[recorder], module__hidden=width).fit(X, y)
        features, expected = net.transform(X).astype(np.float64), np.empty(45)
        for code in range(3):
            v = features[y == code]
            expected[y == code] = (v @ np.linalg.svd(v)[2][0]) ** 2
        np.testing.assert_allclose(
            recorder.trajectories_[:, -1], expected, rtol=1e-3, atol=1e-5
        )
        assert recorder.trajectories_.shape == (45, 3)
        np.testing.assert_allclose(recorder.mean_proba_.sum(1), 1, rtol=1e-5)

    def test_two_classes(self, make_net, table, spy):
        X, y = table
        recorder = DynamicsRecorder()
        make_net(callbacks=[recorder, spy]).fit(X, y == 1)
        logits = captured(spy, 45, 2)
        sign = np.where(y == 1, 1, -1)
        expected = (sign * (logits[:, :, 1] - logits[:, :, 0])).T
        np.testing.assert_allclose(
            recorder.trajectories_, expected, rtol=1e-5, atol=1e-6
        )

    @pytest.mark.parametrize("when", WHENS)
    def test_under_the_loader(self, make_net, table, when):
        given = []
        for iterator in (TensorBatches, LoaderBatches):
            recorder = DynamicsRecorder(when=when)
            params = {"iterator_train": iterator, "iterator_valid": iterator}
            make_net(callbacks=[recorder], **params).fit(*table)
            given.append(recorder.trajectories_)
        np.testing.assert_allclose(given[0], given[1], rtol=1e-5, atol=1e-6)

    def test_closures_record_the_first_evaluation(self, make_net, table):
        X, y = table
        params = {"batch_size": -1, "module__dropout": 0.0, "lr_schedule": None}
        recorder = DynamicsRecorder()
        net = make_net(
            callbacks=[recorder], optimizer=torch.optim.LBFGS, max_epochs=1, **params
        ).fit(X, y)
        start = make_net(lr=0, max_epochs=1, **params).fit(X, y)
        expected = by_hand("logit_diff", start.forward(X).numpy(), y)
        np.testing.assert_allclose(
            recorder.trajectories_[:, 0], expected, rtol=1e-5, atol=1e-6
        )
        assert not np.allclose(net.forward(X), start.forward(X), rtol=1e-3)


class TestMissingRows:
    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize("signal", [*SIGNALS, "alignment"])
    @pytest.mark.parametrize("when", WHENS)
    def test_held_out_rows_are_nan(self, make_net, table, spy, signal, when):
        X, y = table
        recorder = DynamicsRecorder(signal, when)
        split = ValidSplit(5, stratified=True)
        make_net(callbacks=[recorder, spy], train_split=split).fit(X, y)
        held_out = np.zeros(45, bool)
        held_out[np.concatenate([batch[0] for batch in spy.valid[0]])] = True
        expected = np.repeat(held_out[:, None], 3, axis=1)
        np.testing.assert_array_equal(np.isnan(recorder.trajectories_), expected)

    def test_rows_of_a_dropped_batch_are_nan_in_that_epoch(self, make_net, table, spy):
        X, y = table
        recorder = DynamicsRecorder()
        make_net(callbacks=[recorder, spy], iterator_train__drop_last=True).fit(X, y)
        logits = captured(spy, 45)
        expected = np.stack([by_hand("logit_diff", z, y) for z in logits], 1)
        assert np.isnan(expected).sum(0).tolist() == [13] * 3
        np.testing.assert_allclose(
            recorder.trajectories_, expected, rtol=1e-5, atol=1e-6
        )
        # A row's mean is taken over the epochs that it took part in.
        seen = ~np.isnan(expected).all(1)
        mean_proba = np.nanmean(softmax(logits[:, seen], axis=2), axis=0)
        np.testing.assert_allclose(recorder.mean_proba_[seen], mean_proba, rtol=1e-5)

    @pytest.mark.parametrize("when", WHENS)
    def test_a_net_that_is_given_a_part_of_the_rows(self, table, when):
        part = Subset(Subset(ArrayDataset(*table), range(5, 45)), range(0, 40, 2))
        recorder = DynamicsRecorder(when=when)
        with torch.random.fork_rng():
            stock([recorder]).fit(part, None)
        took_part = np.zeros(45, bool)
        took_part[5::2] = True
        assert recorder.trajectories_.shape == (45, 3)
        finite = np.isfinite(recorder.trajectories_)
        np.testing.assert_array_equal(finite, np.repeat(took_part[:, None], 3, axis=1))


class TestObserving:
    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize("signal", ["logit_diff", "alignment"])
    @pytest.mark.parametrize("when", WHENS)
    @pytest.mark.parametrize("iterator", [TensorBatches, LoaderBatches])
    def test_removing_the_recorder_changes_no_bit(
        self, make_net, table, signal, when, iterator
    ):
        params = {
            "iterator_train": iterator,
            "iterator_valid": iterator,
            "module__dropout": 0.4,
        }
        a = make_net(callbacks=[DynamicsRecorder(signal, when)], **params).fit(*table)
        assert_same_weights(a, make_net(**params).fit(*table))

    @pytest.mark.parametrize("when", WHENS)
    @pytest.mark.parametrize("iterator", [TensorBatches, LoaderBatches])
    def test_nor_on_a_plain_skorch_net(self, table, when, iterator):
        nets = []
        for callbacks in ([DynamicsRecorder("alignment", when)], []):
            with torch.random.fork_rng():
                torch.manual_seed(0)
                net = stock(callbacks, iterator_train=iterator, iterator_valid=iterator)
                nets.append(net.fit(ArrayDataset(*table), None))
        assert_same_weights(*nets)

    @pytest.mark.parametrize("split", [None, ValidSplit(5, stratified=True)])
    def test_the_mode_of_the_module_is_put_back(self, make_net, table, split):
        modes = []

        class Mode(Callback):
            def on_epoch_end(self, net, **kwargs):
                modes.append(net.module_.training)

        recorder = DynamicsRecorder("alignment", "epoch_end")
        callbacks = [Mode(), recorder, ("after", Mode())]
        make_net(callbacks=callbacks, train_split=split).fit(*table)
        # Validation leaves the module in evaluation mode.
        assert modes == [split is None] * 6

    def test_what_is_stored_carries_no_gradient(self, make_net, table):
        recorder = DynamicsRecorder()
        make_net(callbacks=[recorder]).fit(*table)
        for stored in (recorder.signals_, recorder.logits_, recorder.proba_sum_):
            assert not stored.requires_grad


class TestPlainSkorch:
    @pytest.mark.parametrize("signal", SIGNALS)
    @pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, nn.NLLLoss])
    def test_online(self, table, spy, signal, criterion):
        X, y = table
        recorder = DynamicsRecorder(signal)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            stock([recorder, spy], criterion).fit(ArrayDataset(X, y), None)
        outputs = captured(spy, 45)
        # Under NLLLoss the module returns probabilities.
        logits = np.log(outputs) if criterion is nn.NLLLoss else outputs
        expected = np.stack([by_hand(signal, z, y) for z in logits], 1)
        np.testing.assert_allclose(
            recorder.trajectories_, expected, rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            recorder.mean_proba_, softmax(logits, axis=2).mean(0), rtol=1e-5
        )

    @pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, nn.NLLLoss])
    def test_epoch_end(self, table, criterion):
        X, y = table
        recorder = DynamicsRecorder(when="epoch_end")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = stock([recorder], criterion).fit(ArrayDataset(X, y), None)
        out = net.forward(ArrayDataset(X)).numpy()
        logits = np.log(out) if criterion is nn.NLLLoss else out
        expected = by_hand("logit_diff", logits, y)
        np.testing.assert_allclose(
            recorder.trajectories_[:, -1], expected, rtol=1e-4, atol=1e-5
        )

    def test_a_probability_of_zero_gives_finite_margins(self, table):
        class Certain(Mlp):
            def forward(self, X):
                return (1000 * super().forward(X)).softmax(1)

        recorder = DynamicsRecorder()
        net = stock([recorder], nn.NLLLoss, module__softmax=False)
        net.set_params(module=Certain, lr=0.0)
        net.fit(ArrayDataset(*table), None)
        assert np.isfinite(recorder.trajectories_).all()
        assert np.abs(recorder.trajectories_).max() > 50

    @pytest.mark.slow
    @pytest.mark.filterwarnings("default")  # the compiler warns of itself
    def test_compiled_nets_record_the_same(self, table):
        given = []
        for params in ({}, {"compile": True, "compile__backend": "eager"}):
            recorder = DynamicsRecorder(when="epoch_end")
            with torch.random.fork_rng():
                torch.manual_seed(0)
                net = stock([recorder], nn.NLLLoss, lr=0.0, max_epochs=1, **params)
                net.fit(ArrayDataset(*table), None)
            given.append(recorder.trajectories_)
        np.testing.assert_allclose(given[0], given[1], rtol=1e-4, atol=1e-6)

    def test_modules_with_several_outputs(self, table):
        class Two(Mlp):
            def forward(self, X):
                return super().forward(X), X

        class First(nn.CrossEntropyLoss):
            def forward(self, outputs, y):
                return super().forward(outputs[0], y)

        recorder = DynamicsRecorder()
        net = stock([recorder], First).set_params(module=Two)
        net.fit(ArrayDataset(*table), None)
        assert np.isfinite(recorder.trajectories_).all()


class TestContinuing:
    def test_partial_fit_appends(self, make_net, table):
        X, y = table
        params = {"lr_schedule": None, "max_epochs": 2}
        recorder = DynamicsRecorder()
        net = make_net(callbacks=[recorder], **params).fit(X, y)
        first = recorder.trajectories_.copy()
        net.partial_fit(X, y)
        assert recorder.trajectories_.shape == (45, 4)
        np.testing.assert_array_equal(recorder.trajectories_[:, :2], first)
        whole = DynamicsRecorder()
        make_net(callbacks=[whole], lr_schedule=None, max_epochs=4).fit(X, y)
        np.testing.assert_array_equal(recorder.trajectories_, whole.trajectories_)
        np.testing.assert_allclose(recorder.mean_proba_, whole.mean_proba_, rtol=1e-6)

    def test_fit_forgets(self, make_net, table):
        X, y = table
        recorder = DynamicsRecorder()
        net = make_net(callbacks=[recorder]).fit(X, y)
        first = recorder.trajectories_.copy()
        net.fit(X[:20], y[:20])
        assert recorder.trajectories_.shape == (20, 3)
        net.fit(X, y)
        np.testing.assert_array_equal(recorder.trajectories_, first)

    def test_other_rows_are_refused(self, make_net, table):
        X, y = table
        net = make_net(callbacks=[DynamicsRecorder()]).fit(X, y)
        with pytest.raises(
            ValueError, match="has records of 45 samples and was given 30"
        ):
            net.partial_fit(X[:30], y[:30])

    @pytest.mark.parametrize("when", WHENS)
    def test_an_interrupted_epoch_is_dropped(self, make_net, table, when):
        class Stop(Callback):
            def on_batch_end(self, net, **kwargs):
                if len(net.history) == 3 and len(net.history[-1, "batches"]) == 2:
                    raise KeyboardInterrupt

        X, y = table
        params = {"lr_schedule": None, "max_epochs": 5}
        recorder, whole = DynamicsRecorder(when=when), DynamicsRecorder(when=when)
        net = make_net(callbacks=[recorder, Stop()], **params).fit(X, y)
        make_net(callbacks=[whole], **params).fit(X, y)
        np.testing.assert_array_equal(
            recorder.trajectories_, whole.trajectories_[:, :2]
        )
        assert net.predict(X).shape == (45,)
        net.set_params(max_epochs=1).partial_fit(X, y)
        assert recorder.trajectories_.shape == (45, 3)
        assert np.isfinite(recorder.trajectories_).all()


class TestErrors:
    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"signal": "margin"}, "signal must be one of .*'alignment'.*'margin'"),
            ({"when": "later"}, "when must be 'online' or 'epoch_end'; got 'later'"),
        ],
    )
    def test_bad_parameters(self, make_net, table, params, message):
        recorder = DynamicsRecorder(**params)
        with pytest.raises(ValueError, match=message):
            make_net(callbacks=[recorder]).fit(*table)

    def test_batches_without_row_numbers(self, table):
        from torch.utils.data import DataLoader

        net = stock([DynamicsRecorder()], iterator_train=DataLoader)
        with pytest.raises(TypeError, match=r"iterator_train=sknoisy.nets.TensorBatch"):
            net.fit(ArrayDataset(*table), None)

    def test_parameters_can_be_set_by_name(self, make_net, table):
        X, y = table
        recorder = DynamicsRecorder()
        net = make_net(
            callbacks=[("dynamics", recorder)], callbacks__dynamics__signal="loss"
        )
        net.fit(X, y)
        assert (recorder.trajectories_ > 0).all()
