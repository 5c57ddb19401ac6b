"""DynamicBootstrapClassifier: epochs, what is kept, weights, and what goes in."""

import numpy as np
import pytest
import torch
from fitted_state import assert_same_weights
from scipy.special import log_softmax
from sklearn.base import clone
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit

from sknoisy import BMMLossSplitter, DynamicBootstrapClassifier
from sknoisy.nets import DynamicsRecorder

SMALL = {
    "module__hidden": 8,
    "module__dropout": 0.0,
    "max_epochs": 6,
    "warmup_epochs": 2,
    "batch_size": 60,
    "random_state": 0,
}


def make(**params):
    return DynamicBootstrapClassifier(**{**SMALL, **params})


class Stop(Callback):
    """Interrupt training in an epoch, at its end or within it."""

    def __init__(self, epoch, within=False):
        self.epoch = epoch
        self.within = within

    def on_batch_end(self, net, training=False, **kwargs):
        if self.within and len(net.history) == self.epoch:
            raise KeyboardInterrupt

    def on_epoch_end(self, net, **kwargs):
        if not self.within and len(net.history) == self.epoch:
            raise KeyboardInterrupt


class CountingSplitter(BMMLossSplitter):
    """Remembers how many losses it was fitted to."""

    def fit(self, X, y=None):
        self.n_losses_ = len(X)
        return super().fit(X, y)


class KeepingSplitter(BMMLossSplitter):
    """Keeps the losses that it was fitted to."""

    def fit(self, X, y=None):
        self.losses_ = np.array(X)
        return super().fit(X, y)


def halved(X):
    return X / 2


def noised(X):
    return X + 0.3 * torch.randn_like(X)


def losses_of(clf, X, y):
    return -log_softmax(clf.forward(X).numpy().astype(float), axis=1)[range(len(y)), y]


class TestPhases:
    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize(
        ("params", "expected"),
        [
            ({"max_epochs": 10}, {"plain": 4, "bootstrap": 6}),
            ({"max_epochs": 20}, {"plain": 7, "bootstrap": 13}),
            ({"max_epochs": 2}, {"plain": 1, "bootstrap": 1}),
            ({"max_epochs": 1}, {"plain": 1}),
            ({"max_epochs": 7, "warmup_epochs": 3}, {"plain": 3, "bootstrap": 4}),
            ({"max_epochs": 7, "mixup": None}, {"plain": 2, "bootstrap": 5}),
            ({"weights": "static", "warmup_epochs": 0}, {"bootstrap": 6}),
            ({"weights": "static", "mixup": None}, {"plain": 2, "bootstrap": 4}),
            ({"weights": None, "warmup_epochs": 0}, {"plain": 6}),
            ({"weights": None, "mixup": None}, {"plain": 6}),
            ({"mixup": "guided"}, {"plain": 2, "guided": 1, "bootstrap": 3}),
            (
                {"mixup": "guided", "weights": "static", "warmup_epochs": 1},
                {"plain": 1, "guided": 1, "bootstrap": 4},
            ),
            ({"mixup": "guided", "weights": None}, {"plain": 2, "guided": 4}),
        ],
        ids=str,
    )
    def test_epochs_of_each(self, watch, blobs, params, expected):
        X, y, _ = blobs
        clf = watch(X, y, **{"warmup_epochs": "auto", "batch_size": -1, **params})
        phases = [name for name, n in expected.items() for _ in range(n)]
        assert clf.phases_ == phases
        assert [step.phase for step in clf.steps_] == phases

    def test_the_warm_up_is_shorter_without_mixup(self, watch, blobs):
        X, y, _ = blobs
        params = {"max_epochs": 12, "warmup_epochs": "auto", "batch_size": -1}
        for mixup, n_plain in (("static", 4), (None, 3)):
            assert watch(X, y, mixup=mixup, **params).phases_.count("plain") == n_plain

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:40 losses are too few")
    def test_the_published_120_epochs_without_mixup(self, watch, blobs):
        X, y, _ = blobs
        params = {"max_epochs": 120, "warmup_epochs": "auto", "batch_size": -1}
        clf = watch(X[:40], y[:40], mixup=None, lr=0.0, **params)
        assert clf.phases_ == ["plain"] * 30 + ["bootstrap"] * 90

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:40 losses are too few")
    @pytest.mark.parametrize("mixup", ["guided", "static"])
    def test_the_published_300_epochs(self, watch, blobs, mixup):
        X, y, _ = blobs
        clf = watch(
            X[:40],
            y[:40],
            mixup=mixup,
            targets="soft_to_hard",
            max_epochs=300,
            warmup_epochs="auto",
            batch_size=-1,
            lr=0.0,
        )
        n_guided = 5 if mixup == "guided" else 0
        n_left = 195 - n_guided
        assert clf.phases_ == (
            ["plain"] * 105 + ["guided"] * n_guided + ["bootstrap"] * n_left
        )
        if mixup == "guided":
            # It falls over 89 epochs, 111 to 199, and stays.
            ladder = np.linspace(1, 0.001, 89)
            expected = np.concatenate([ladder, np.full(101, 0.001)])
            np.testing.assert_allclose(clf.temperatures_, expected, rtol=1e-12)
            assert len(clf.mixtures_) == 300
        else:
            # 89/190 of what is left.
            ladder = np.linspace(1, 0.001, 91)
            np.testing.assert_allclose(clf.temperatures_[:91], ladder, rtol=1e-12)
            assert set(clf.temperatures_[91:]) == {0.001}

    @pytest.mark.slow
    def test_other_targets_are_not_sharpened(self, watch, blobs):
        # At a temperature of 0.001 soft targets would be hard ones.
        X, y, _ = blobs
        proba = [make(targets=t).fit(X, y).predict_proba(X) for t in ("soft", "hard")]
        sharp = make(targets="soft_to_hard", max_epochs=3, random_state=1).fit(X, y)
        assert sharp.temperature_ == 1
        soft = make(targets="soft", max_epochs=3, random_state=1).fit(X, y)
        np.testing.assert_array_equal(sharp.predict_proba(X), soft.predict_proba(X))
        assert np.abs(proba[0] - proba[1]).max() > 1e-4

    @pytest.mark.parametrize("params", [{}, {"weights": "static", "mixup": "guided"}])
    def test_warm_up_is_needed_where_losses_decide(self, blobs, params):
        X, y, _ = blobs
        message = "warmup_epochs must be at least 1 .* weights='.*' and mixup='.*'; got"
        with pytest.raises(ValueError, match=message):
            make(warmup_epochs=0, **params).fit(X, y)

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize(
        ("params", "n_mixtures"),
        [
            ({}, 5),
            ({"weights": "static", "mixup": "guided"}, 5),
            ({"weights": "static"}, 1),
        ],
    )
    def test_a_warm_up_that_never_ends_is_told(self, blobs, params, n_mixtures):
        X, y, _ = blobs
        message = "no label was replaced: the warm-up takes 9 epochs, of which 5 were"
        with pytest.warns(UserWarning, match=message) as caught:
            clf = make(warmup_epochs=9, max_epochs=5, **params).fit(X, y)
        # It points to the line of the user.
        assert caught[0].filename == __file__
        assert len(clf.mixtures_) == n_mixtures
        with pytest.warns(UserWarning, match="takes 5 epochs, of which 5 were run"):
            make(warmup_epochs=5, max_epochs=5, **params).fit(X, y)
        make(warmup_epochs=4, max_epochs=5, **params).fit(X, y)

    def test_nothing_is_told_where_no_label_is_to_be_doubted(self, blobs):
        X, y, _ = blobs
        for params in ({"weights": None}, {"weights": None, "mixup": None}):
            make(warmup_epochs=9, **params).fit(X, y)
        make(warmup_epochs="auto", max_epochs=1).fit(X, y)


class TestMixtures:
    @pytest.mark.parametrize("params", [{}, {"mixup": "guided", "weights": None}])
    def test_one_after_each_epoch_where_losses_decide(self, blobs, params):
        X, y, _ = blobs
        recorder = DynamicsRecorder("loss", when="epoch_end")
        clf = make(callbacks=[recorder], **params).fit(X, y)
        assert len(clf.mixtures_) == 6 and clf.mixtures_[-1] is clf.splitter_
        for mixture, losses in zip(
            clf.mixtures_, recorder.trajectories_.T, strict=True
        ):
            expected = BMMLossSplitter().fit(losses)
            np.testing.assert_allclose(mixture.lo_, expected.lo_, rtol=1e-4)
            np.testing.assert_allclose(mixture.hi_, expected.hi_, rtol=1e-4)
            np.testing.assert_allclose(
                mixture.posterior_table_, expected.posterior_table_, atol=0.02
            )

    @pytest.mark.parametrize("params", [{"weights": "static"}, {"weights": None}])
    def test_one_at_the_end_where_they_do_not(self, blobs, params):
        X, y, _ = blobs
        clf = make(**params).fit(X, y)
        assert len(clf.mixtures_) == 1
        clf.partial_fit(X, y)
        assert len(clf.mixtures_) == 2 and clf.mixtures_[-1] is clf.splitter_

    @pytest.mark.usefixtures("default_output")
    def test_labels_are_judged_by_the_last(self, blobs):
        X, y, _ = blobs
        names = np.array(["ant", "bee", "cat"])
        clf = make(max_epochs=10).fit(X, names[y])
        log_p = log_softmax(clf.forward(X).numpy().astype(np.float64), axis=1)
        losses = -log_p[np.arange(180), y]
        assert clf.losses_.dtype == np.float32
        np.testing.assert_allclose(clf.losses_, losses, rtol=1e-4, atol=1e-6)
        expected = BMMLossSplitter().fit(clf.losses_).transform(clf.losses_)[:, 0]
        np.testing.assert_array_equal(clf.noise_scores_, expected)
        assert clf.noise_rate_ == pytest.approx(expected.mean())
        others = np.where(np.eye(3, dtype=bool)[y], -np.inf, log_p).argmax(1)
        suggested = np.where(expected > 0.5, others, y)
        assert clf.suggested_labels_.tolist() == names[suggested].tolist()
        assert 0 < clf.noise_mask_.sum() < 90

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("kind", ["beta", "gaussian"])
    def test_a_splitter_is_cloned_and_seeded(self, blobs, kind):
        X, y, _ = blobs
        splitter = BMMLossSplitter(kind, clip=1e-2, posterior="lookup")
        before = splitter.get_params()
        clf = make(mixture=splitter).fit(X, y)
        assert splitter.get_params() == before and not hasattr(splitter, "lo_")
        assert all(mixture is not splitter for mixture in clf.mixtures_)
        assert {m.clip for m in clf.mixtures_} == {1e-2}
        assert isinstance(clf.splitter_.random_state, int)
        again = clone(clf).fit(X, y)
        np.testing.assert_array_equal(again.noise_scores_, clf.noise_scores_)
        other = make().fit(X, y)
        assert (other.noise_scores_ != clf.noise_scores_).any()

    @pytest.mark.parametrize("augment_losses", [True, False])
    def test_of_rows_as_they_are_or_changed(self, blobs, augment_losses):
        X, y, _ = blobs
        # Halved rows, so that the losses are known; the weights stay as they are.
        params = {"augment": halved, "augment_losses": augment_losses, "lr": 0.0}
        clf = make(mixture=KeepingSplitter(), **params).fit(X, y)
        plain, changed = (losses_of(clf, rows, y) for rows in (X, X / 2))
        assert np.abs(plain - changed).max() > 0.01
        fitted = [np.sort(mixture.losses_) for mixture in clf.mixtures_]
        for losses in fitted[:-1]:
            expected = np.sort(changed if augment_losses else plain)
            np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-6)
        # In the end the rows themselves are judged.
        np.testing.assert_allclose(fitted[-1], np.sort(plain), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(clf.losses_, plain, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("augment_losses", [True, False])
    def test_they_change_what_is_learnt_only_where_rows_are_changed(
        self, blobs, augment_losses
    ):
        X, y, _ = blobs
        for augment, are_equal in ((None, True), (noised, not augment_losses)):
            params = {"augment": augment, "weights": "dynamic"}
            clf = make(augment_losses=augment_losses, **params).fit(X, y)
            expected = make(**params).fit(X, y).predict_proba(X)
            gap = np.abs(clf.predict_proba(X) - expected).max()
            assert (gap == 0) == are_equal

    def test_of_the_training_rows_then_of_all(self, blobs):
        X, y, _ = blobs
        split = ValidSplit(5, stratified=True)
        clf = make(mixture=CountingSplitter(), train_split=split).fit(X, y)
        assert [m.n_losses_ for m in clf.mixtures_] == [144] * 5 + [180]
        assert clf.noise_scores_.shape == clf.suggested_labels_.shape == (180,)
        log_p = np.log(clf.predict_proba(X)[np.arange(180), y])
        np.testing.assert_allclose(clf.losses_, -log_p, rtol=1e-3, atol=1e-6)
        assert len(clf.history[:, "valid_loss"]) == 6

    @pytest.mark.slow
    def test_a_second_fit_starts_them_anew_and_a_warm_one_does_not(self, blobs):
        X, y, _ = blobs
        clf = make(lr_schedule=None).fit(X, y).fit(X, y)
        assert len(clf.mixtures_) == 6
        once = clone(clf).fit(X, y)
        assert_same_weights(clf, once)
        clf.set_params(warm_start=True, max_epochs=2).fit(X, y)
        assert len(clf.mixtures_) == 8
        whole = make(lr_schedule=None, max_epochs=8).fit(X, y)
        assert_same_weights(clf, whole)


class TestGoingOn:
    def test_a_stop_at_the_end_of_an_epoch(self, blobs):
        X, y, _ = blobs
        clf = make(callbacks=[Stop(4)]).fit(X, y)
        # The losses of the fourth epoch are split once.
        assert len(clf.history) == len(clf.mixtures_) == 4
        assert clf.mixtures_[-1] is clf.splitter_ and clf.table_ is None
        clf.partial_fit(X, y)
        assert len(clf.history) == len(clf.mixtures_) == 10

    def test_an_interruption_in_the_middle_keeps_a_judged_model(self, blobs):
        X, y, is_noisy = blobs
        clf = make(callbacks=[Stop(5, within=True)], max_epochs=9).fit(X, y)
        assert len(clf.history) == len(clf.mixtures_) == 5
        assert clf.table_ is None
        losses = -np.log(clf.predict_proba(X)[np.arange(180), y])
        np.testing.assert_allclose(clf.losses_, losses, rtol=1e-3, atol=1e-6)
        assert clf.noise_scores_[is_noisy].mean() > clf.noise_scores_.mean() + 0.2
        plain = make(callbacks=[Stop(1, within=True)], warmup_epochs="auto")
        assert plain.fit(X, y).predict_noisy().shape == (180,)

    def test_early_stopping_judges_by_what_it_kept(self, blobs):
        X, y, _ = blobs
        stop = EarlyStopping(patience=3, load_best=True)
        split = ValidSplit(4, stratified=True)
        clf = make(callbacks=[stop], max_epochs=60, lr=0.5, train_split=split)
        clf.fit(X, y)
        assert len(clf.history) == len(clf.mixtures_) < 60
        losses = -np.log(clf.predict_proba(X)[np.arange(180), y])
        np.testing.assert_allclose(clf.losses_, losses, rtol=1e-3, atol=1e-5)

    def test_a_net_from_before_there_was_a_prior(self, blobs):
        X, y, _ = blobs
        old, new = make().fit(X, y), make().fit(X, y)
        del old.prior_
        old.partial_fit(X, y), new.partial_fit(X, y)
        assert_same_weights(old, new)

    def test_mixtures_need_no_callback(self, blobs):
        X, y, _ = blobs
        quiet = make(callbacks="disable").fit(X, y)
        assert len(quiet.mixtures_) == 6

    def test_a_recorder_sees_the_rows_themselves(self, blobs):
        X, y, _ = blobs
        recorder = DynamicsRecorder()
        make(callbacks=[recorder]).fit(X, y)
        assert recorder.trajectories_.shape == (180, 6)
        assert np.isfinite(recorder.trajectories_).all()
