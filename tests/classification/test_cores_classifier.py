"""CORESClassifier: the step, limits, scores, and real data.

The schedule is tested with `CORESDetector`, which trains this network.
"""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax
from sklearn.datasets import load_digits
from skorch.dataset import ValidSplit

from sknoisy import (
    CORESClassifier,
    CORESDetector,
    NetClassifier,
    SymmetricNoiseInjector,
)
from sknoisy.nets import ResNet

SMALL = {"module__hidden": 8, "max_epochs": 4, "batch_size": 32, "random_state": 0}
AT_ONCE = {"warmup_epochs": 0, "ramp_epochs": 0, "sieve_delay": 0}


class Watched(CORESClassifier):
    """Keeps what each step computed."""

    def training_loss(self, X, y, index):
        made = super().training_loss(X, y, index)
        prior = self.criterion_.prior.numpy().copy()
        kept = self.criterion_.kept[index].numpy().copy()
        step = (index.numpy(), y.numpy(), made.logits.detach().numpy(), prior, kept)
        self.steps_ = [*getattr(self, "steps_", []), (*step, made.loss.item())]
        return made


@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_is_the_mean_over_the_rows_that_pass(blobs, weighted):
    X, y, _ = blobs
    weight = np.random.default_rng(0).random(180) if weighted else None
    clf = Watched(beta=0.7, **AT_ONCE, **SMALL).fit(X, y, sample_weight=weight)
    n_out = 0
    for index, codes, z, prior, kept, loss in clf.steps_:
        rows = np.arange(len(codes))
        own = -log_softmax(z.astype(float), axis=1)[rows, codes]
        others = np.log(softmax(z.astype(float), axis=1) + 1e-8)
        passes = own + others.mean(1) <= 1e-6
        np.testing.assert_array_equal(kept, passes)
        w = np.ones(180) if weight is None else weight
        w = w[index] * passes
        expected = (w * (own + 0.7 * others @ prior)).sum() / w.sum()
        assert loss == pytest.approx(expected, rel=1e-4, abs=1e-5)
        n_out += (~passes).sum()
    assert n_out > 20


def test_with_neither_reward_nor_sieve_it_is_cross_entropy(blobs):
    X, y, _ = blobs
    clf = CORESClassifier(warmup_epochs=4, **SMALL).fit(X, y)
    plain = NetClassifier(**SMALL).fit(X, y)
    np.testing.assert_allclose(
        clf.predict_proba(X), plain.predict_proba(X), rtol=1e-4, atol=1e-6
    )
    assert clf.kept_.all() and clf.n_warmup_epochs_ == 4


def test_it_is_the_network_of_the_detector(blobs):
    X, y, _ = blobs
    params = {**SMALL, "max_epochs": 6, "beta": 1.3}
    detector = CORESDetector(**params).fit(X, y)
    seed = detector.net_.random_state
    clf = CORESClassifier(**{**params, "random_state": seed}).fit(X, y)
    np.testing.assert_array_equal(clf.sieve_scores_, detector.sieve_scores_)
    np.testing.assert_allclose(clf.noise_scores_, detector.noise_scores_, rtol=1e-6)
    np.testing.assert_array_equal(clf.noise_mask_, detector.noise_mask_)


def test_scores_and_suggestions(blobs):
    X, y, is_noisy = blobs
    clf = CORESClassifier(**{**SMALL, "max_epochs": 12}).fit(X, y)
    np.testing.assert_allclose(clf.noise_scores_, expit(clf.sieve_scores_), rtol=1e-6)
    flagged = clf.noise_mask_
    np.testing.assert_array_equal(flagged, clf.sieve_scores_ > 1e-6)
    assert 10 < flagged.sum() < 120 and is_noisy[flagged].mean() > 0.8
    others = np.where(np.eye(3)[y], -1, clf.predict_proba(X)).argmax(1)
    np.testing.assert_array_equal(clf.suggested_labels_[flagged], others[flagged])
    np.testing.assert_array_equal(clf.kept_, clf.criterion_.kept.numpy())


def test_rows_of_a_validation_split_have_no_score_of_their_own(blobs):
    X, y, _ = blobs
    clf = CORESClassifier(train_split=ValidSplit(3), **AT_ONCE, **SMALL).fit(X, y)
    unseen = clf.criterion_.n_seen.numpy() == 0
    assert unseen.sum() == 60
    assert (clf.sieve_scores_[unseen] == 0).all() and clf.kept_[unseen].all()
    assert (clf.noise_scores_[unseen] == 0.5).all()


class TestSecondPhase:
    TWO = {**SMALL, **AT_ONCE, "sieve_epochs": 2, "consistency_weight": 1.0}

    def test_the_sieve_stays_as_the_first_phase_left_it(self, blobs):
        X, y, _ = blobs
        params = {**self.TWO, "lr_schedule": None}
        clf = CORESClassifier(**params).fit(X, y)
        first = {**params, "consistency_weight": None, "max_epochs": 2}
        first = CORESClassifier(**first).fit(X, y)
        assert 20 < (~first.kept_).sum() < 160
        np.testing.assert_array_equal(clf.kept_, first.kept_)
        np.testing.assert_array_equal(clf.sieve_scores_, first.sieve_scores_)
        np.testing.assert_array_equal(clf.noise_scores_, first.noise_scores_)
        assert (clf.predict_proba(X) != first.predict_proba(X)).any()

    @pytest.mark.parametrize("weight", [0.0, 0.7])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_its_loss_in_numpy(self, blobs, weight, weighted):
        X, y, _ = blobs
        w = np.random.default_rng(0).random(180) if weighted else np.ones(180)
        params = {**self.TWO, "max_epochs": 3, "module__dropout": 0.0}
        # A learning rate of 0 in the last epoch leaves the network as its step saw it.
        clf = CORESClassifier(
            weak_view=lambda X: X + 0.1,
            strong_view=lambda X: 0.5 * X,
            lr_schedule=lambda n_done, _: float(n_done < 2),
            **{**params, "batch_size": -1, "consistency_weight": weight},
        ).fit(X, y, sample_weight=w if weighted else None)
        with torch.no_grad():
            views = [torch.from_numpy(X) + 0.1, 0.5 * torch.from_numpy(X)]
            weak, strong = (
                log_softmax(clf.module_(view).numpy().astype(float), axis=1)
                for view in views
            )
        kept, rows = clf.kept_, np.arange(180)
        assert 5 < (~kept).sum() < 170
        own = np.average(-weak[rows, y][kept], weights=w[kept])
        apart = (np.exp(weak) * (weak - strong)).sum(1)
        apart = np.average(apart[~kept], weights=w[~kept])
        expected = own + weight * apart
        assert clf.history[-1, "train_loss"] == pytest.approx(expected, rel=1e-4)

    def test_same_views_leave_the_loss_of_what_passed(self, blobs):
        X, y, _ = blobs
        same = {"weak_view": lambda X: X, "strong_view": lambda X: X}
        params = {**self.TWO, **same, "module__dropout": 0.0}
        nets = [
            CORESClassifier(**{**params, "consistency_weight": weight}).fit(X, y)
            for weight in (0.0, 5.0)
        ]
        probas = [net.predict_proba(X) for net in nets]
        np.testing.assert_allclose(*probas, rtol=1e-3, atol=1e-5)

    def test_no_epoch_for_it_is_refused(self, blobs):
        message = "sieve_epochs=4 leaves no epoch for the second phase"
        with pytest.raises(ValueError, match=message):
            CORESClassifier(**{**self.TWO, "sieve_epochs": 4}).fit(*blobs[:2])

    def test_images_are_seen_in_two_views(self):
        X = np.random.default_rng(0).random((24, 1, 8, 8), dtype=np.float32)
        params = {**self.TWO, "max_epochs": 3, "module__width": 2}
        del params["module__hidden"]
        clf = CORESClassifier(ResNet, module__blocks=(1,), **params)
        assert clf.fit(X, np.arange(24) % 2).predict(X).shape == (24,)


@pytest.mark.slow
def test_fewer_wrong_labels_of_digits_are_learnt():
    X, y = load_digits(return_X_y=True)
    X = (X / X.std()).astype(np.float32)
    _, y_noisy = SymmetricNoiseInjector(0.4, random_state=0).fit_resample(X, y)
    params = {**SMALL, "module__hidden": 128, "max_epochs": 30}
    clf = CORESClassifier(**params).fit(X[:700], y_noisy[:700])
    plain = NetClassifier(**params).fit(X[:700], y_noisy[:700])
    assert clf.score(X[700:], y[700:]) > plain.score(X[700:], y[700:]) + 0.02
