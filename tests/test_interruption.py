"""Ctrl-C at any point: what estimators keep, and that they say so."""

import signal
from unittest.mock import patch

import numpy as np
import pytest
import torch
from public_estimators import ROBUST, label
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from sknoisy import (
    AUMDetector,
    AutoNoiseDetector,
    CDRClassifier,
    CleanedClassifier,
    ConfidentLearningDetector,
    CORESDetector,
    CoTeachingClassifier,
    DynaCorDetector,
    LossMixtureDetector,
    NetClassifier,
    RobustLossClassifier,
    SmallLossDetector,
    TransitionCorrectionClassifier,
)
from sknoisy._interruption import interruptions, needs_whole, tell
from sknoisy.base import TrainingInterrupted, TrainingInterruptedWarning
from sknoisy.nets import MLP

KINDS = {type(estimator): estimator for estimator in ROBUST}.values()
# Two batches an epoch.
SMALL = {"module__hidden": 8, "max_epochs": 3, "batch_size": 30, "random_state": 0}
pytestmark = [
    pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed"),
    pytest.mark.filterwarnings("ignore:.*losses are too few"),
    pytest.mark.filterwarnings("ignore:the mixture finds no second component"),
]


class Keys(MLP):
    """Presses Ctrl-C in a step of the training, counted over all networks."""

    press_at, n_steps = 0, 0

    def embed(self, X):
        if torch.is_grad_enabled() and self.training:
            Keys.n_steps += 1
            if Keys.n_steps == Keys.press_at:
                signal.raise_signal(signal.SIGINT)
        return super().embed(X)


@pytest.fixture
def press():
    def at(step):
        Keys.press_at, Keys.n_steps = step, 0

    yield at
    at(0)


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 20)
    return (2 * np.eye(3, 4)[y] + rng.normal(size=(60, 4))).astype(np.float32), y


class TestClassifiers:
    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize(("step", "epoch"), [(1, 1), (5, "[123]")])
    @pytest.mark.parametrize("classifier", [NetClassifier(), *KINDS], ids=label)
    def test_they_keep_what_they_have_and_say_how_much(
        self, blobs, press, classifier, step, epoch
    ):
        X, y = blobs
        net = clone(classifier).set_params(module=Keys, **SMALL)
        # Networks before the one that is asked for must be whole.
        known = {"transition_matrix": np.eye(3), "forget_rate": 0.2, "noise_rate": 0.2}
        net.set_params(**{k: v for k, v in known.items() if k in net.get_params()})
        press(step)
        message = rf"{label(net)} was interrupted in epoch {epoch}: it has \d of 3 epo"
        with pytest.warns(TrainingInterruptedWarning, match=message):
            net.fit(X, y)
        assert net.interrupted_ and np.isfinite(net.predict_proba(X)).all()
        if hasattr(net, "noise_scores_"):
            assert np.isfinite(net.noise_scores_).all()
        press(0)
        assert not net.fit(X, y).interrupted_

    def test_a_checkpoint_goes_on(self, blobs, press, tmp_path):
        net = NetClassifier(Keys, checkpoint=tmp_path / "run", **SMALL)
        press(4)
        with pytest.warns(TrainingInterruptedWarning, match="same checkpoint goes on"):
            net.fit(*blobs)
        assert len(net.fit(*blobs).history) == 3
        whole = NetClassifier(Keys, **SMALL).fit(*blobs)
        X, _ = blobs
        np.testing.assert_array_equal(net.predict_proba(X), whole.predict_proba(X))

    def test_a_judgement_that_is_interrupted_leaves_none(self, blobs):
        net = RobustLossClassifier(**SMALL).fit(*blobs)
        with patch.object(
            RobustLossClassifier, "score_rows", side_effect=KeyboardInterrupt
        ):
            with pytest.raises(KeyboardInterrupt):
                net.fit(*blobs)
        assert not hasattr(net, "noise_scores_") and not hasattr(net, "noise_mask_")

    @pytest.mark.parametrize(
        "classifier",
        [TransitionCorrectionClassifier, CoTeachingClassifier, CDRClassifier],
    )
    def test_a_first_network_must_be_whole(self, blobs, press, classifier):
        press(2)
        with pytest.raises(KeyboardInterrupt):
            classifier(Keys, **SMALL).fit(*blobs)
        assert Keys.n_steps == 2


class TestStops:
    def test_a_callback_that_stops_is_no_interruption(self, blobs):
        class Stop(Callback):
            def on_batch_end(self, net, **kwargs):
                self.end()

            def end(self):
                raise KeyboardInterrupt

        stop = EarlyStopping("train_loss", patience=1, threshold=9, sink=str)
        for callback in (Stop(), stop):
            net = NetClassifier(callbacks=[callback], **SMALL).fit(*blobs)
            assert not net.interrupted_
            assert 0 < len(net.history) < 3

    def test_so_is_a_net_that_stops_in_a_hook(self, blobs):
        class Stopping(NetClassifier):
            def on_epoch_end(self, net, *args, **kwargs):
                raise KeyboardInterrupt

        assert len(Stopping(**SMALL).fit(*blobs).history) == 1

    def test_keys_within_a_callback_are_one(self, blobs):
        class Slow(Callback):
            def on_epoch_end(self, net, **kwargs):
                signal.raise_signal(signal.SIGINT)

        net = NetClassifier(callbacks=[Slow()], **SMALL)
        with pytest.warns(
            TrainingInterruptedWarning, match="in epoch 1: it has 0 of 3"
        ):
            net.fit(*blobs)

    def test_runs_that_are_stopped_at_different_epochs(self, blobs):
        class Stop(Callback):
            n_trainings = 0

            def on_train_begin(self, net, **kwargs):
                Stop.n_trainings += 1

            def on_epoch_begin(self, net, **kwargs):
                if len(net.history) == Stop.n_trainings + 1:
                    raise KeyboardInterrupt

        detector = AUMDetector(callbacks=[Stop()], **SMALL).fit(*blobs)
        assert detector.trajectories_.shape == (60, 2)
        assert np.isfinite(detector.trajectories_).all()


KEYS = NetClassifier(Keys, **SMALL)
PLAIN = NeuralNetClassifier(
    Keys,
    module__input_shape=(4,),
    module__n_classes=3,
    criterion=nn.CrossEntropyLoss,
    batch_size=30,
    max_epochs=3,
    verbose=0,
)


class TestDetectors:
    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize(
        ("detector", "step", "message"),
        [
            (
                AUMDetector(KEYS),
                11,
                "2 trainings of 3, 2 ep",
            ),
            (AUMDetector(KEYS, n_runs=3), 13, "2 trainings of 3, 3 epochs of 3"),
            (CORESDetector(KEYS), 5, "from 2 of 3 epochs"),
            (LossMixtureDetector(KEYS), 5, "from 2 of 3 epochs"),
            (LossMixtureDetector(PLAIN), 3, "from 1 of 3 epochs"),
            (SmallLossDetector(KEYS, noise_rate=0.2), 6, "from 2 of 3 epochs"),
            (DynaCorDetector(KEYS, n_runs=3), 16, "from 2 of 3 trainings"),
        ],
    )
    def test_they_keep_what_they_have_and_say_how_much(
        self, blobs, press, detector, step, message
    ):
        press(step)
        with pytest.warns(TrainingInterruptedWarning, match=message) as told:
            detector.set_params(random_state=0).fit(*blobs)
        assert len(told) == 1
        assert np.isfinite(detector.noise_scores_).all()
        assert np.isfinite(detector.trajectories_).all()

    @pytest.mark.parametrize(
        ("detector", "step", "message"),
        [
            (AUMDetector(KEYS), 1, "training 1 of 2, before every row"),
            (AUMDetector(KEYS), 5, "training 1 of 2, before every row"),
            (AUMDetector(KEYS), 7, "training 2 of 2, before every row"),
            (LossMixtureDetector(PLAIN), 2, "before its first epoch"),
            (SmallLossDetector(KEYS), 5, "before it had estimated the noise rate"),
            (SmallLossDetector(KEYS), 9, "before it had estimated the noise rate"),
            (
                AutoNoiseDetector([("aum", AUMDetector(KEYS))], n_rounds=1),
                11,
                "before all candidates had scored",
            ),
        ],
    )
    def test_what_is_too_little_is_an_error(
        self, blobs, press, detector, step, message
    ):
        press(step)
        with pytest.raises(TrainingInterrupted, match=message):
            detector.fit(*blobs)

    @pytest.mark.parametrize(
        "holder",
        [
            ConfidentLearningDetector(KEYS, cv=2),
            CleanedClassifier(LossMixtureDetector(KEYS), LogisticRegression()),
            CleanedClassifier(LossMixtureDetector(PLAIN), LogisticRegression()),
        ],
    )
    def test_parts_that_must_be_whole_end_the_fit(self, blobs, press, holder):
        press(3)
        with pytest.raises(KeyboardInterrupt):
            holder.fit(*blobs)
        assert Keys.n_steps == 3

    def test_the_classifier_after_cleaning_is_kept(self, blobs, press):
        by_lines = LossMixtureDetector(LogisticRegression(), random_state=0)
        press(3)
        with pytest.warns(TrainingInterruptedWarning, match="it has 1 of 3 epochs"):
            CleanedClassifier(by_lines, KEYS).fit(*blobs)


class TestModes:
    def test_whole_trainings_are_asked_for_in_all_that_is_inside(self):
        assert not needs_whole()
        with interruptions("raise"), interruptions("keep"), interruptions("tell"):
            assert needs_whole()
            with pytest.raises(KeyboardInterrupt, match="half"):
                tell("half")
        assert not needs_whole()

    def test_who_keeps_tells_himself(self):
        with interruptions("keep"):
            tell("nothing")
        with pytest.warns(TrainingInterruptedWarning, match="half") as told:
            tell("half")
        assert told[0].filename == __file__
