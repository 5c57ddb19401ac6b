"""Trainings that are stopped and go on from a file."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, LRScheduler
from skorch.dataset import ValidSplit
from stopped_trainings import (
    CLASSIFIERS,
    DATA,
    N_EPOCHS,
    Count,
    assert_same_training,
    kill,
    make,
    reference,
)
from torch.optim import lr_scheduler
from torch.utils.data import Dataset

from sknoisy import (
    DynamicsClassifier,
    ELRClassifier,
    NetClassifier,
)
from sknoisy.nets import DynamicsRecorder, LoaderBatches, _fitting

pytestmark = pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
EVERY_CLASSIFIER = pytest.mark.parametrize("name", CLASSIFIERS)
MOMENTS = [
    ("on_train_begin", 0),
    ("on_epoch_begin", 1),
    ("on_batch_end", 1),
    ("on_epoch_begin", 2),
    ("on_epoch_end", 3),
    ("on_epoch_end", 4),
    ("on_train_end", 4),
]


class TestKilled:
    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize("moment", MOMENTS, ids=lambda m: f"{m[0]}-{m[1]}")
    @EVERY_CLASSIFIER
    def test_at_any_moment(self, name, moment, tmp_path):
        path = tmp_path / "run.pt"
        kill(make(name, checkpoint=path), *DATA["table"], moment)
        resumed = make(name, checkpoint=path).fit(*DATA["table"])
        assert_same_training(resumed, reference(name))
        assert os.listdir(tmp_path) == ["run.pt"]

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("moment", [("on_epoch_begin", 2), ("on_batch_end", 4)])
    @EVERY_CLASSIFIER
    def test_on_images_that_are_augmented(self, name, moment, tmp_path):
        path = tmp_path / "run.pt"
        kill(make(name, "images", checkpoint=path), *DATA["images"], moment)
        resumed = make(name, "images", checkpoint=path).fit(*DATA["images"])
        assert_same_training(resumed, reference(name, "images"))

    @pytest.mark.fast_cases(1)
    @EVERY_CLASSIFIER
    def test_again_and_again(self, name, tmp_path):
        net = make(name, checkpoint=tmp_path / "run.pt")
        for epoch in range(1, N_EPOCHS + 1):
            kill(net, *DATA["table"], ("on_epoch_end", epoch))
            kill(net, *DATA["table"], ("on_batch_end", epoch))
        kill(net, *DATA["table"], ("on_train_end", N_EPOCHS))
        assert_same_training(net.fit(*DATA["table"]), reference(name))

    @pytest.mark.fast_cases(2)
    @EVERY_CLASSIFIER
    def test_only_what_is_left_is_trained(self, name, tmp_path):
        net = make(name, checkpoint=tmp_path / "run.pt")
        kill(net, *DATA["table"], ("on_epoch_begin", 3))
        counter = Count()
        make(name, checkpoint=tmp_path / "run.pt", callbacks=[counter]).fit(
            *DATA["table"]
        )
        assert counter.n_begun == 2

    @pytest.mark.fast_cases(2)
    @EVERY_CLASSIFIER
    def test_a_finished_training_is_not_run_again(self, name, tmp_path, monkeypatch):
        path = tmp_path / "run.pt"
        net = make(name, checkpoint=path).fit(*DATA["table"])
        stored = path.read_bytes()
        # A step would now fail.
        monkeypatch.setattr(NetClassifier, "train_step", None)
        for again in (net, clone(net), make(name, checkpoint=path)):
            again.fit(*DATA["table"])
            assert_same_training(again, reference(name))
        assert path.read_bytes() == stored

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("epoch", [1, 3, 4])
    def test_the_best_epoch_of_a_trajectory_classifier(self, epoch, tmp_path):
        rng = np.random.default_rng(0)
        y = rng.random(80) < 0.4
        X = rng.normal(np.where(y, -0.3, 0.3)[:, None], 1.0, (80, 6))
        X = X.astype(np.float32)

        def make_one(**params):
            clf = DynamicsClassifier(
                summarize=True, max_epochs=6, batch_size=16, random_state=0, **params
            )
            return clf

        expected = make_one().fit(X, y)
        path = tmp_path / "run.pt"
        kill(make_one(checkpoint=path, callbacks=[]), X, y, ("on_epoch_end", epoch))
        resumed = make_one(checkpoint=path).fit(X, y)
        assert resumed.validation_scores_ == expected.validation_scores_
        assert resumed.best_epoch_ == expected.best_epoch_
        np.testing.assert_array_equal(
            resumed.predict_proba(X), expected.predict_proba(X)
        )

    @pytest.mark.slow
    def test_for_real(self, tmp_path):
        code = """
import os, signal, sys
import numpy as np
from skorch.callbacks import Callback
from sknoisy import ELRClassifier

class PowerCut(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

with np.load(sys.argv[1]) as data:
    X, y = data["X"], data["y"]
net = ELRClassifier(module__hidden=6, max_epochs=4, batch_size=16, random_state=0)
net.set_params(checkpoint=sys.argv[2], callbacks=[PowerCut()])
net.fit(X, y)
"""
        X, y = DATA["table"]
        np.savez(tmp_path / "data.npz", X=X, y=y)
        given = [str(tmp_path / "data.npz"), str(tmp_path / "run.pt")]
        done = subprocess.run([sys.executable, "-c", code, *given], check=False)
        assert done.returncode == -signal.SIGKILL
        counter = Count()
        params = {"max_epochs": 4, "batch_size": 16, "random_state": 0}
        resumed = ELRClassifier(
            module__hidden=6, checkpoint=given[1], callbacks=[counter], **params
        ).fit(X, y)
        assert counter.n_begun == 2
        expected = ELRClassifier(module__hidden=6, **params).fit(X, y)
        assert_same_training(resumed, expected)


class TestWithOtherParts:
    def check(self, tmp_path, make_one, moment, X=None, y=None, **fit_params):
        """Kill one, let another go on, and compare with one that had no break."""
        X, y = DATA["table"] if X is None else (X, y)
        expected = make_one().fit(X, y, **fit_params)
        path = tmp_path / "run.pt"
        kill(make_one(checkpoint=path), X, y, moment, **fit_params)
        resumed = make_one(checkpoint=path).fit(X, y, **fit_params)
        assert_same_training(resumed, expected)
        return resumed, expected

    @pytest.mark.fast_cases(2)
    @EVERY_CLASSIFIER
    def test_sample_weights(self, name, tmp_path):
        weights = np.random.default_rng(0).random(60) + 0.1
        moment = "on_epoch_begin", 3
        self.check(tmp_path, partial(make, name), moment, sample_weight=weights)

    def test_soft_targets(self, tmp_path):
        n_classes = len(np.unique(DATA["table"][1]))
        targets = np.random.default_rng(2).dirichlet(np.ones(n_classes), 60)
        net, moment = partial(make, "NetClassifier"), ("on_epoch_begin", 3)
        self.check(tmp_path, net, moment, soft_targets=targets)

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("name", ["NetClassifier", "bootstrap", "flywheel"])
    def test_validation_split(self, name, tmp_path):
        make_one = partial(make, name, train_split=ValidSplit(6))
        self.check(tmp_path, make_one, ("on_epoch_end", 2))

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("load_best", [False, True])
    @pytest.mark.parametrize("epoch", [2, 4, 6])
    def test_early_stopping_waits_no_longer(self, load_best, epoch, tmp_path):
        def make_one(**params):
            stopper = EarlyStopping(patience=3, load_best=load_best, sink=len)
            return make(
                callbacks=[stopper],
                train_split=ValidSplit(3),
                max_epochs=40,
                lr=0.5,
                **params,
            )

        moment = "on_epoch_begin", epoch
        resumed, expected = self.check(tmp_path, make_one, moment)
        assert 6 <= len(expected.history) < 40
        # Stopped by itself, not killed: it stops there again.
        again = make_one(checkpoint=tmp_path / "run.pt").fit(*DATA["table"])
        assert_same_training(again, resumed)

    def test_a_recorder_keeps_the_epochs_before(self, tmp_path):
        def make_one(**params):
            return make(callbacks=[("dynamics", DynamicsRecorder())], **params)

        nets = self.check(tmp_path, make_one, ("on_epoch_begin", 3))
        a, b = (dict(net.callbacks_)["dynamics"] for net in nets)
        assert a.trajectories_.shape == (60, 4)
        np.testing.assert_array_equal(a.trajectories_, b.trajectories_)
        np.testing.assert_array_equal(a.mean_proba_, b.mean_proba_)

    def test_scores_of_epochs(self, tmp_path):
        def make_one(**params):
            scores = [EpochScoring("accuracy", lower_is_better=False, name="accuracy")]
            return make(callbacks=scores, train_split=ValidSplit(3), **params)

        a, b = self.check(tmp_path, make_one, ("on_epoch_begin", 3))
        for key in ("accuracy", "accuracy_best"):
            assert a.history[:, key] == b.history[:, key]

    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize(
        "policy",
        [
            {"policy": lr_scheduler.StepLR, "step_size": 2, "gamma": 0.1},
            {"policy": lr_scheduler.MultiStepLR, "milestones": [1, 3]},
            {"policy": lr_scheduler.ExponentialLR, "gamma": 0.5},
            {"policy": lr_scheduler.CosineAnnealingLR, "T_max": 4},
            {"policy": lr_scheduler.CosineAnnealingWarmRestarts, "T_0": 2},
            {"policy": lr_scheduler.LambdaLR, "lr_lambda": lambda epoch: 0.7**epoch},
            {"policy": lr_scheduler.ReduceLROnPlateau, "patience": 0, "threshold": 2.0},
            {"policy": "WarmRestartLR", "min_lr": 1e-3, "max_lr": 0.1},
            {
                "policy": lr_scheduler.OneCycleLR,
                "max_lr": 0.2,
                "total_steps": 16,
                "step_every": "batch",
            },
        ],
        ids=lambda policy: getattr(policy["policy"], "__name__", policy["policy"]),
    )
    @pytest.mark.parametrize("moment", [("on_epoch_begin", 1), ("on_epoch_begin", 3)])
    def test_schedulers_take_no_step_too_many(self, policy, moment, tmp_path):
        def make_one(**params):
            return make(callbacks=[LRScheduler(**policy)], **params)

        _, expected = self.check(tmp_path, make_one, moment)
        assert len(set(expected.history[:, "lr"])) > 1

    def test_a_schedule_of_ones_own(self, tmp_path):
        make_one = partial(make, lr_schedule=halve)
        _, expected = self.check(tmp_path, make_one, ("on_epoch_begin", 3))
        assert expected.history[:, "lr"] == [0.05, 0.025, 0.0125, 0.00625]

    def test_data_outside_memory(self, tmp_path):
        X, y = DATA["table"]
        loaders = {"iterator_train": LoaderBatches, "iterator_valid": LoaderBatches}
        make_one = partial(make, **loaders)
        self.check(tmp_path, make_one, ("on_epoch_begin", 3), NoisyRows(X), y)

    @pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW])
    def test_other_optimizers(self, optimizer, tmp_path):
        make_one = partial(make, optimizer=optimizer)
        self.check(tmp_path, make_one, ("on_epoch_begin", 3))

    @pytest.mark.parametrize("random_state", [None, np.random.RandomState(3)])
    def test_a_seed_nobody_knows_is_in_the_file(
        self, random_state, tmp_path, monkeypatch
    ):
        def the_same(random_state):
            return np.random.default_rng(5)

        X, y = DATA["table"]
        make_one = partial(make, "ELR", random_state=random_state)
        with monkeypatch.context() as patch:
            patch.setattr(_fitting, "random_generator", the_same)
            expected = make_one().fit(X, y)
            path = tmp_path / "run.pt"
            kill(make_one(checkpoint=path), X, y, ("on_epoch_begin", 3))
        resumed = make_one(checkpoint=path).fit(X, y)
        assert resumed.seed_ == expected.seed_
        assert_same_training(resumed, expected)

    def test_ctrl_c_keeps_the_file(self, tmp_path):
        class Press(Callback):
            def on_batch_end(self, net, **kwargs):
                if len(net.history) == 3:
                    raise KeyboardInterrupt

        path = tmp_path / "run.pt"
        net = make(checkpoint=path, callbacks=[Press()]).fit(*DATA["table"])
        assert len(net.history) == 3
        resumed = make(checkpoint=path).fit(*DATA["table"])
        assert_same_training(resumed, reference("NetClassifier"))

    def test_callbacks_may_come_and_go(self, tmp_path):
        path = tmp_path / "run.pt"
        net = make(checkpoint=path, callbacks=[DynamicsRecorder()])
        kill(net, *DATA["table"], ("on_epoch_begin", 3))
        counter = Count()
        resumed = make(checkpoint=path, callbacks=[counter]).fit(*DATA["table"])
        assert counter.n_begun == 2
        assert_same_training(resumed, reference("NetClassifier"))

    def test_what_does_not_change_the_training_may_differ(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        kill(make(checkpoint="run.pt"), *DATA["table"], ("on_epoch_begin", 3))
        others = {"verbose": 1, "device": "cpu", "warm_start": True}
        net = make(checkpoint=Path("run.pt"), callbacks__print_log__sink=len, **others)
        assert_same_training(net.fit(*DATA["table"]), reference("NetClassifier"))

    def test_names_and_labels_are_those_given_now(self, tmp_path):
        X, y = DATA["table"]
        path = tmp_path / "run.pt"
        before = pd.DataFrame(X, columns=list("abcd"))
        kill(make(checkpoint=path), before, y, ("on_epoch_begin", 3))
        after = before.rename(columns={"a": "z"})
        net = make(checkpoint=path).fit(after, y.astype(float))
        assert net.feature_names_in_.tolist() == list("zbcd")
        assert net.predict(after).dtype == np.float64
        del net.feature_names_in_  # which the other was not given
        assert_same_training(net, reference("NetClassifier"))
        net = make(checkpoint=path).fit(X, y)
        assert not hasattr(net, "feature_names_in_")


def halve(n_done, max_epochs):
    return 0.5**n_done


class NoisyRows(Dataset):
    """Rows that are drawn anew at each look, as data sets do that augment."""

    def __init__(self, X):
        self.X = torch.from_numpy(X)

    def __len__(self):
        return len(self.X)

    def __getitem__(self, row):
        return self.X[row] + 0.1 * torch.randn(4)
