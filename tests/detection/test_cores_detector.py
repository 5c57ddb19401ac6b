"""CORESDetector: schedule, sieve, scores, and the network that is held."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score, roc_auc_score
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from sknoisy import (
    CORESClassifier,
    CORESDetector,
    ELRClassifier,
    NetClassifier,
    SymmetricNoiseInjector,
)
from sknoisy.base import TrainingInterrupted
from sknoisy.classification._cores import squashed_scores
from sknoisy.losses import sieve_scores
from sknoisy.nets import MLP

QUICK = {"module__hidden": 32, "batch_size": 32, "random_state": 0}


class Watch(Callback):
    """Keeps what holds in each epoch."""

    def initialize(self):
        self.beta, self.sieving, self.lr, self.prior, self.kept = [], [], [], [], []
        self.logits = []
        return self

    def on_epoch_begin(self, net, **kwargs):
        self.beta.append(net.criterion_.beta)
        self.sieving.append(net.criterion_.sieving)
        self.prior.append(net.criterion_.prior.numpy().copy())
        self.logits.append(torch.zeros(len(net.criterion_.kept), 3))

    def on_batch_end(self, net, batch=None, training=False, y_pred=None, **kwargs):
        self.logits[-1][batch.index] = y_pred
        lr = net.optimizer_.param_groups[0]["lr"]
        self.lr = [*self.lr[: len(net.history) - 1], lr]

    def on_epoch_end(self, net, **kwargs):
        self.kept.append(net.criterion_.kept.numpy().copy())


def watched(blobs, **params):
    """Fit, and return the detector and what was seen."""
    X, y, _ = blobs
    watch = Watch()
    detector = CORESDetector(callbacks=[("watch", watch)], **{**QUICK, **params})
    detector.fit(X, y)
    return detector, dict(detector.net_.callbacks_)["watch"]


class TestSchedule:
    def test_of_a_given_warmup(self, blobs):
        schedule = {"warmup_epochs": 2, "ramp_epochs": 3, "sieve_delay": 1}
        detector, seen = watched(blobs, beta=1.2, max_epochs=7, **schedule)
        np.testing.assert_allclose(seen.beta, [0, 0, 0.4, 0.8, 1.2, 1.2, 1.2])
        assert seen.sieving == [False] * 3 + [True] * 4
        cosine = 0.05 * (1 + np.cos(np.pi * np.arange(7) / 7)) / 2
        np.testing.assert_allclose(seen.lr, cosine / (1 + np.array(seen.beta)))
        assert detector.n_warmup_epochs_ == 2

    def test_the_rate_is_divided_but_not_worn_down(self, blobs):
        X, y, _ = blobs
        watch = Watch()
        net = NetClassifier(
            lr=0.1, lr_schedule=None, max_epochs=4, callbacks=[("watch", watch)]
        )
        detector = CORESDetector(net, beta=1.0, warmup_epochs=1, ramp_epochs=1)
        detector.set_params(random_state=0).fit(X, y)
        lrs = dict(detector.net_.callbacks_)["watch"].lr
        np.testing.assert_allclose(lrs, [0.1, 0.05, 0.05, 0.05])
        assert detector.net_.optimizer_.param_groups[0]["lr"] == 0.1

    def test_an_interrupted_epoch_leaves_the_rate_as_it_was(self, blobs):
        class Stop(Callback):
            def on_batch_end(self, net, **kwargs):
                if len(net.history) == 4:
                    raise KeyboardInterrupt

        X, y, _ = blobs
        net = NetClassifier(lr=0.1, lr_schedule=None, callbacks=[Stop()])
        detector = CORESDetector(net, warmup_epochs=1, random_state=0).fit(X, y)
        assert detector.net_.criterion_.beta > 0
        assert detector.net_.optimizer_.param_groups[0]["lr"] == 0.1

    def test_without_warmup_and_ramp_all_begins_at_once(self, blobs):
        params = {"warmup_epochs": 0, "ramp_epochs": 0, "sieve_delay": 0}
        detector, seen = watched(blobs, beta=0.5, max_epochs=2, **params)
        assert seen.beta == [0.5, 0.5] and seen.sieving == [True, True]
        assert detector.n_warmup_epochs_ == 0
        # Before the first epoch the classes have the shares of the given labels.
        shares = np.bincount(blobs[1]) / 180
        np.testing.assert_allclose(seen.prior[0], shares, rtol=1e-6)

    @pytest.mark.slow
    def test_the_warmup_ends_when_something_is_learnt(self, blobs):
        X, y, _ = blobs
        detector = CORESDetector(max_epochs=40, **QUICK).fit(X, y)
        losses = detector.trajectories_.mean(0)
        shares = np.bincount(y) / 180
        limit = -0.8 * (shares * np.log(shares)).sum()
        n_warm = detector.n_warmup_epochs_
        assert 1 <= n_warm < 10
        assert losses[n_warm - 1] <= limit
        assert (losses[: n_warm - 1] > limit).all()

    def test_or_after_a_quarter_of_the_epochs(self, blobs):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(90, 4)), rng.integers(0, 3, 90)
        detector = CORESDetector(max_epochs=10, lr=1e-4, **QUICK).fit(X, y)
        assert detector.n_warmup_epochs_ == 3

    def test_with_neither_reward_nor_sieve_it_is_plain_training(self, blobs):
        X, y, _ = blobs
        detector = CORESDetector(beta=0, warmup_epochs=5, max_epochs=5, **QUICK)
        detector.fit(X, y)
        drawn = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
        seed = int(np.random.default_rng(drawn).integers(2**31))
        plain = NetClassifier(max_epochs=5, **{**QUICK, "random_state": seed})
        plain.fit(X, y)
        for ours, theirs in zip(
            detector.net_.module_.parameters(), plain.module_.parameters(), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


class TestSieve:
    def test_scores_are_means_over_the_training_passes(self, blobs):
        _, y, _ = blobs
        detector, seen = watched(blobs, max_epochs=8)
        codes = torch.from_numpy(y)
        epochs = [sieve_scores(logits, codes).numpy() for logits in seen.logits]
        np.testing.assert_allclose(
            detector.sieve_scores_, np.mean(epochs, 0), rtol=1e-4, atol=1e-5
        )
        for sieving, kept, scores in zip(seen.sieving, seen.kept, epochs, strict=True):
            expected = scores <= 1e-6 if sieving else np.ones(180, bool)
            np.testing.assert_array_equal(kept, expected)
        assert not seen.kept[-1].all()

    def test_the_prior_is_that_of_the_rows_that_passed_before(self, blobs):
        _, y, _ = blobs
        detector, seen = watched(blobs, max_epochs=8)
        after = [*seen.prior[1:], detector.prior_]
        for kept, prior in zip(seen.kept, after, strict=True):
            counts = np.bincount(y, minlength=3) - np.bincount(y[~kept], minlength=3)
            np.testing.assert_allclose(prior, counts / counts.sum(), rtol=1e-6)

    @pytest.mark.slow
    def test_rows_that_are_sieved_out_do_not_move_the_weights(self, blobs):
        X, y, is_noisy = blobs
        detector = CORESDetector(**QUICK).fit(X, y)
        # The network predicts other labels where they are wrong.
        differs = detector.net_.predict(X) != y
        assert differs[is_noisy].mean() > 0.9 and differs[~is_noisy].mean() < 0.05
        assert f1_score(is_noisy, detector.noise_mask_) > 0.9

    @pytest.mark.slow
    def test_the_mask_is_a_score_above_zero(self, blobs):
        X, y, _ = blobs
        detector = CORESDetector(**QUICK).fit(X, y)
        mask = detector.sieve_scores_ > 1e-6
        np.testing.assert_array_equal(detector.noise_mask_, mask)
        assert detector.noise_rate_ == pytest.approx(mask.mean())
        expected = 1 / (1 + np.exp(-detector.sieve_scores_))
        np.testing.assert_allclose(detector.noise_scores_, expected, atol=1e-6)

    def test_a_score_within_the_tolerance_is_not_above_a_half(self):
        scores = np.array([-50.0, -1e-9, 0.0, 1e-7, 1e-6, 1.1e-6, 1e-5, 3.0, 900.0])
        squashed = squashed_scores(scores, 10)
        assert (squashed > 0.5).tolist() == [False] * 5 + [True] * 4
        assert (np.diff(squashed) >= 0).all()
        assert squashed[0] >= 0 and squashed[-1] <= 1
        # Of a thousand classes the floor in the mean loss weighs more.
        assert not (squashed_scores(np.array([1e-5]), 1000) > 0.5).any()

    def test_a_network_that_has_learnt_nothing_flags_nothing(self, blobs):
        class Nothing(nn.Module):
            def __init__(self, n_classes):
                super().__init__()
                self.scale = nn.Parameter(torch.zeros(1))
                self.n_classes = n_classes

            def forward(self, X):
                return self.scale.expand(len(X), self.n_classes)

        X, y, _ = blobs
        detector = CORESDetector(
            module=Nothing, warmup_epochs=0, max_epochs=3, random_state=0
        )
        detector.fit(X, y)
        np.testing.assert_allclose(detector.sieve_scores_, 3e-8, rtol=1e-2)
        assert not detector.noise_mask_.any()
        assert (detector.noise_scores_ <= 0.5).all()


class TestNetwork:
    def test_what_is_named_reaches_the_network(self, blobs):
        X, y, _ = blobs
        params = {"lr": 0.2, "optimizer__weight_decay": 0.1, "max_epochs": 2}
        net = CORESDetector(**params, **QUICK).fit(X, y).net_
        assert isinstance(net, CORESClassifier)
        assert (net.batch_size, net.lr, net.max_epochs) == (32, 0.2, 2)
        assert net.module_.head.in_features == 32
        assert net.optimizer_.param_groups[0]["weight_decay"] == 0.1

    def test_a_net_of_ones_own_lends_its_parameters(self, blobs):
        X, y, _ = blobs
        params = {"module__hidden": 32, "batch_size": 32, "max_epochs": 4}
        net = NetClassifier(optimizer=torch.optim.Adam, lr=0.01, **params)
        detector = CORESDetector(net, random_state=0).fit(X, y)
        assert isinstance(detector.net_.optimizer_, torch.optim.Adam)
        assert detector.net_.module_.head.in_features == 32
        assert not net.initialized_ and net.random_state is None
        same = NetClassifier(lr=0.05, **params)
        a = CORESDetector(same, random_state=0).fit(X, y)
        b = CORESDetector(**params, random_state=0).fit(X, y)
        np.testing.assert_array_equal(a.noise_scores_, b.noise_scores_)

    @pytest.mark.parametrize(
        "net", [ELRClassifier(), NeuralNetClassifier(MLP)], ids=["robust", "skorch"]
    )
    def test_nets_that_train_in_another_way_are_refused(self, blobs, net):
        X, y, _ = blobs
        message = f"must be a NetClassifier; got {type(net).__name__}"
        with pytest.raises(TypeError, match=message):
            CORESDetector(net).fit(X, y)

    def test_what_is_no_net_is_refused(self, blobs):
        X, y, _ = blobs
        with pytest.raises(TypeError, match=r"'estimator' .* must be a skorch net"):
            CORESDetector(SymmetricNoiseInjector()).fit(X, y)

    @pytest.mark.parametrize(
        ("params", "name"),
        [
            ({"criterion": nn.MSELoss}, "criterion"),
            ({"criterion__weight": None}, "criterion__weight"),
            ({"masking": nn.Identity}, "masking"),
        ],
    )
    def test_what_would_not_be_used_is_refused(self, blobs, params, name):
        X, y, _ = blobs
        with pytest.raises(ValueError, match=f"^{name} would have no effect"):
            CORESDetector(NetClassifier(**params)).fit(X, y)

    def test_an_interruption_keeps_the_epochs_before(self, blobs):
        class Stop(Callback):
            def __init__(self, epoch):
                self.epoch = epoch

            def on_batch_end(self, net, **kwargs):
                if len(net.history) == self.epoch:
                    raise KeyboardInterrupt

        X, y, _ = blobs
        detector = CORESDetector(callbacks=[Stop(6)], **QUICK).fit(X, y)
        assert detector.trajectories_.shape == (180, 5)
        assert np.isfinite(detector.noise_scores_).all()
        with pytest.raises(TrainingInterrupted, match="before its first epoch"):
            CORESDetector(callbacks=[Stop(1)], **QUICK).fit(X, y)

    def test_it_goes_on_from_a_checkpoint_to_the_same_bits(self, blobs, tmp_path):
        class Stop(Callback):
            def on_epoch_begin(self, net, **kwargs):
                if len(net.history) == 6:
                    raise KeyboardInterrupt

        X, y, _ = blobs
        params = {"module__hidden": 32, "batch_size": 32, "max_epochs": 8}
        whole = CORESDetector(NetClassifier(**params), random_state=0).fit(X, y)
        kept = NetClassifier(**params, checkpoint=tmp_path / "c")
        stopped = clone(kept).set_params(callbacks=[Stop()])
        CORESDetector(stopped, random_state=0).fit(X, y)
        resumed = CORESDetector(kept, random_state=0).fit(X, y)
        np.testing.assert_array_equal(resumed.sieve_scores_, whole.sieve_scores_)
        np.testing.assert_array_equal(resumed.prior_, whole.prior_)


@pytest.mark.slow
def test_digits_with_40_per_cent_noise():
    X, y = load_digits(return_X_y=True)
    injector = SymmetricNoiseInjector(0.4, random_state=0)
    X, y_noisy = injector.fit_resample(X / X.std(), y)
    detector = CORESDetector(random_state=0).fit(X, y_noisy)
    assert roc_auc_score(injector.noise_mask_, detector.noise_scores_) > 0.97
    assert f1_score(injector.noise_mask_, detector.noise_mask_) > 0.9


@pytest.mark.slow
def test_labels_that_weak_annotators_gave_to_digits(weakly_labelled_digits):
    # 43 % are wrong. Three draws of rows: AUROC 0.908 to 0.935.
    X, y, labels = weakly_labelled_digits
    rows = np.random.default_rng(0).choice(len(y), 700, replace=False)
    y_noisy = labels["y_worse"][rows]
    detector = CORESDetector(random_state=0).fit(X[rows], y_noisy)
    assert roc_auc_score(y_noisy != y[rows], detector.noise_scores_) > 0.85


@pytest.mark.slow
def test_labels_that_people_gave_to_images(real_data):
    data = real_data("cifar10_features.npz")
    rows = np.random.default_rng(0).choice(50_000, 2_000, replace=False)
    X = data["X_train"][rows].astype(np.float32)
    is_noisy = data["y_worse"][rows] != data["y_train"][rows]
    detector = CORESDetector(random_state=0)
    detector.fit(X / np.sqrt(X.std(axis=0)), data["y_worse"][rows])
    assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.75
