"""The bar of a network's training: it counts right, and changes nothing."""

import io
import pickle
import re
import types

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping, PrintLog
from skorch.dataset import ValidSplit

import sknoisy
from sknoisy import (
    CoTeachingClassifier,
    DivideMixClassifier,
    DynamicBootstrapClassifier,
    FlywheelClassifier,
    NetClassifier,
)
from sknoisy import _progress_display as display
from sknoisy._progress import current, progress
from sknoisy.nets._progress import ProgressLog

SPLIT = ValidSplit(5, stratified=True)


@pytest.fixture(autouse=True)
def no_bar_is_left():
    yield
    assert current() is None


def make(**params):
    params = {"module__hidden": 8, "max_epochs": 4, "random_state": 0} | params
    return NetClassifier(**params)


def weights(net):
    return {name: value.clone() for name, value in net.module_.state_dict().items()}


def assert_same(left, right):
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def fitted(net, capsys, X, y, method="fit"):
    """Fit, and return what was written on stdout and on stderr."""
    capsys.readouterr()
    getattr(net, method)(X, y)
    return capsys.readouterr()


class Stop(Callback):
    """End a training in the middle of an epoch, or at its end."""

    def __init__(self, epoch, error, hook):
        self.epoch = epoch
        self.error = error
        self.hook = hook

    def on_batch_end(self, net, **kwargs):
        self._raise(net, "batch")

    def on_epoch_end(self, net, **kwargs):
        self._raise(net, "epoch")

    def _raise(self, net, hook):
        if hook == self.hook and len(net.history) == self.epoch:
            raise self.error


class TestWhatIsShown:
    def test_nothing_by_default(self, blobs, capsys):
        assert fitted(make(), capsys, *blobs[:2]) == ("", "")

    def test_verbose_1_is_a_bar_on_stderr(self, blobs, capsys):
        net = make(verbose=1)
        out, err = fitted(net, capsys, *blobs[:2])
        loss = net.history_[-1]["train_loss"]
        assert out == ""
        assert err == (
            f"NetClassifier: 100%, epoch 4/4, train loss {loss:.3g}, took 0:00:00\n"
        )

    def test_the_loss_of_a_split_is_shown_too(self, blobs, capsys):
        net = make(verbose=1, train_split=SPLIT)
        _, err = fitted(net, capsys, *blobs[:2])
        train, valid = (net.history_[-1][f"{name}_loss"] for name in ("train", "valid"))
        assert f"train loss {train:.3g}, valid loss {valid:.3g}, " in err

    def test_verbose_2_is_skorch_s_table_on_stdout(self, blobs, capsys):
        out, err = fitted(make(verbose=2), capsys, *blobs[:2])
        head, _, *rows = out.splitlines()
        assert err == "" and "train_loss" in head and len(rows) == 4

    @pytest.mark.parametrize("params", [{"callbacks": "disable"}, {}])
    def test_without_the_callback_nothing_is_shown(self, blobs, capsys, params):
        params = params or {"callbacks__print_log": None}
        for verbose in (1, 2):
            net = make(verbose=verbose, **params)
            assert fitted(net, capsys, *blobs[:2]) == ("", "")

    def test_a_print_log_of_ones_own(self, blobs, capsys):
        net = make(verbose=1, callbacks__print_log=PrintLog(keys_ignored="dur"))
        out, err = fitted(net, capsys, *blobs[:2])
        assert err == "" and len(out.splitlines()) == 2 + 4 and "dur" not in out

    @pytest.mark.parametrize("verbose", [0, 1, 2])
    def test_a_sink_gets_the_table_in_place_of_the_bar(self, blobs, capsys, verbose):
        rows = []
        net = make(verbose=verbose, callbacks__print_log__sink=rows.append)
        assert fitted(net, capsys, *blobs[:2]) == ("", "")
        assert len(rows) == 2 + 4

    def test_without_a_recorded_loss_epochs_are_counted(self, blobs, capsys):
        net = make(verbose=1, callbacks__train_loss=None)
        _, err = fitted(net, capsys, *blobs[:2])
        assert "100%, epoch 4/4, took" in err

    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize(
        "kind",
        [
            CoTeachingClassifier,
            DivideMixClassifier,
            DynamicBootstrapClassifier,
            FlywheelClassifier,
        ],
    )
    def test_epochs_of_several_phases_count_as_one(self, blobs, capsys, kind):
        net = kind(module__hidden=8, max_epochs=4, verbose=1, random_state=0)
        _, err = fitted(net, capsys, *blobs[:2])
        (line,) = err.splitlines()
        assert line.startswith(f"{kind.__name__}: 100%, epoch 4/4, train loss ")
        assert np.isfinite(float(re.search(r"train loss ([-.e\d]+)", line)[1]))

    def test_a_terminal_sees_each_epoch_and_the_table_above_a_bar(
        self, blobs, monkeypatch, capsys
    ):
        stream = io.StringIO()
        stream.isatty = lambda: True
        own = types.SimpleNamespace(stderr=stream, modules={})
        monkeypatch.setattr(display, "sys", own)
        monkeypatch.setattr(display, "_MIN_SECONDS", 0)
        make(verbose=1).fit(*blobs[:2])
        for epoch in range(5):
            assert f"epoch {epoch}/4" in stream.getvalue()
        with progress(1, "Detector"):
            make(verbose=2).fit(*blobs[:2])
        assert len(capsys.readouterr().out.splitlines()) == 2 + 4
        assert "Detector: 100%" in stream.getvalue()
        assert stream.getvalue().count("NetClassifier") == 7


class TestCount:
    def test_later_calls_count_their_own_epochs(self, blobs, capsys):
        net = make(verbose=1)
        for method in ("partial_fit", "partial_fit", "fit"):
            _, err = fitted(net, capsys, *blobs[:2], method)
            assert "100%, epoch 4/4, " in err
        assert len(net.history_) == 4
        net.set_params(warm_start=True)
        assert "100%, epoch 4/4, " in fitted(net, capsys, *blobs[:2]).err
        assert len(net.history_) == 8

    def test_a_stored_training_goes_on_where_it_stopped(
        self, blobs, capsys, tmp_path, monkeypatch
    ):
        params = {"verbose": 1, "checkpoint": tmp_path / "run.pt", "max_epochs": 10}
        error = RuntimeError("power cut")
        with pytest.raises(RuntimeError, match="power cut"):
            make(callbacks=[Stop(6, error, "epoch")], **params).fit(*blobs[:2])
        starts = []
        begin = ProgressLog.on_train_begin

        def spy(log, net, **kwargs):
            begin(log, net, **kwargs)
            starts.append((log.pbar_.done, log.pbar_.total))

        monkeypatch.setattr(ProgressLog, "on_train_begin", spy)
        net = make(**params)
        assert "100%, epoch 10/10" in fitted(net, capsys, *blobs[:2]).err
        assert starts == [(5, 10)]
        plain = make(max_epochs=10).fit(*blobs[:2])
        assert_same(weights(net), weights(plain))
        # Nothing is left to do.
        assert "100%, epoch 10/10" in fitted(make(**params), capsys, *blobs[:2]).err

    def test_an_early_stop_ends_the_bar_at_its_epoch(self, blobs, capsys):
        stopping = EarlyStopping("train_loss", patience=2, threshold=10, sink=str)
        net = make(verbose=1, max_epochs=50, callbacks=[stopping])
        _, err = fitted(net, capsys, *blobs[:2])
        n_epochs = len(net.history_)
        assert n_epochs < 10
        assert f"epoch {n_epochs}/50, train loss" in err and "stopped after" in err

    @pytest.mark.parametrize(("hook", "n_epochs"), [("batch", 1), ("epoch", 2)])
    def test_an_interruption_ends_the_bar(self, blobs, capsys, hook, n_epochs):
        stop = Stop(2, KeyboardInterrupt(), hook)
        net = make(verbose=1, callbacks=[stop])
        assert f"epoch {n_epochs}/4, " in fitted(net, capsys, *blobs[:2]).err

    @pytest.mark.parametrize(("hook", "n_epochs"), [("batch", 1), ("epoch", 1)])
    def test_an_error_ends_the_bar(self, blobs, capsys, hook, n_epochs):
        stop = Stop(2, ZeroDivisionError(), hook)
        with pytest.raises(ZeroDivisionError):
            make(verbose=1, callbacks=[stop]).fit(*blobs[:2])
        assert current() is None
        assert f"epoch {n_epochs}/4, " in capsys.readouterr().err

    def test_a_divergence_ends_the_bar(self, blobs, capsys):
        with pytest.raises(FloatingPointError, match="diverged"):
            make(verbose=1, lr=1e30).fit(*blobs[:2])
        assert current() is None
        assert "stopped after" in capsys.readouterr().err

    def test_a_net_inside_a_bar_refines_it_silently_otherwise(self, blobs, capsys):
        class Look(Callback):
            seen = []

            def on_epoch_end(self, net, **kwargs):
                self.seen.append(outer._fraction())

        with progress(2, "Outside") as outer:
            make(callbacks=[Look()]).fit(*blobs[:2])
            # The log comes last: it has not counted the epoch yet.
            assert Look.seen == [0, 1 / 8, 2 / 8, 3 / 8]
            assert outer._fraction() == pytest.approx(1 / 2)
            outer.advance()
            assert capsys.readouterr() == ("", "")


class TestNothingChanges:
    def test_weights_are_the_same_bits_whatever_is_shown(self, blobs):
        X, y, _ = blobs
        plain = make(train_split=SPLIT).fit(X, y)
        for params in (
            {"verbose": 1},
            {"verbose": 2},
            {"verbose": 1, "callbacks__print_log": None},
            {"verbose": 1, "callbacks": "disable"},
        ):
            shown = make(train_split=SPLIT, **params).fit(X, y)
            assert_same(weights(plain), weights(shown))

    def test_clone_and_search(self, blobs, capsys):
        net = make(verbose=1).fit(*blobs[:2])
        assert clone(net).get_params(deep=False) == net.get_params(deep=False)
        search = GridSearchCV(net, {"module__hidden": [4, 8]}, cv=2)
        _, err = fitted(search, capsys, *blobs[:2])
        assert err.count("NetClassifier: 100%, epoch 4/4") == 5 == err.count("\n")

    def test_nets_can_be_stored_at_any_time(self, blobs, tmp_path):
        X, y, _ = blobs
        stored = []

        class Store(Callback):
            def on_epoch_end(self, net, **kwargs):
                if len(net.history) == 2:
                    plain = [item for item in net.callbacks_ if item[1] is not self]
                    watched, net.callbacks_ = net.callbacks_, plain
                    own, net.callbacks = net.callbacks, None
                    stored.append(pickle.loads(pickle.dumps(net)))
                    sknoisy.save(net, tmp_path / "net.sknoisy")
                    net.callbacks_, net.callbacks = watched, own

        net = make(verbose=1, callbacks=[Store()]).fit(X, y)
        stored.append(sknoisy.load(tmp_path / "net.sknoisy"))
        net.callbacks = net.callbacks_ = []
        net = make(verbose=1).fit(X, y)
        stored.append(pickle.loads(pickle.dumps(net)))
        sknoisy.save(net, tmp_path / "after.sknoisy")
        stored.append(sknoisy.load(tmp_path / "after.sknoisy"))
        for other in stored:
            assert type(dict(other.callbacks_)["print_log"]) is ProgressLog
            assert "pbar_" not in vars(dict(other.callbacks_)["print_log"])
            assert other.predict(X).shape == y.shape
            other.partial_fit(X, y)

    def test_a_plain_skorch_net_may_take_it(self, blobs, capsys):
        X, y, _ = blobs
        net = NeuralNetClassifier(
            torch.nn.Linear,
            module__in_features=4,
            module__out_features=3,
            criterion=torch.nn.CrossEntropyLoss,
            max_epochs=3,
            verbose=1,
            callbacks__print_log=ProgressLog(),
        )
        assert "NeuralNetClassifier: 100%, epoch 3/3, train loss" in (
            fitted(net, capsys, X, y).err
        )
        assert "100%, epoch 3/3" in fitted(net, capsys, X, y, "partial_fit").err
