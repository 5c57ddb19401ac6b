"""CORESClassifier: the step, limits, scores, and real data.

The schedule is tested with `CORESDetector`, which trains this network.
"""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax
from sklearn.datasets import load_digits
from skorch.dataset import ValidSplit

from sknoisy import (
    CORESClassifier,
    CORESDetector,
    NetClassifier,
    SymmetricNoiseInjector,
)

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


@pytest.mark.slow
def test_fewer_wrong_labels_of_digits_are_learnt():
    X, y = load_digits(return_X_y=True)
    X = (X / X.std()).astype(np.float32)
    _, y_noisy = SymmetricNoiseInjector(0.4, random_state=0).fit_resample(X, y)
    params = {**SMALL, "module__hidden": 128, "max_epochs": 30}
    clf = CORESClassifier(**params).fit(X[:700], y_noisy[:700])
    plain = NetClassifier(**params).fit(X[:700], y_noisy[:700])
    assert clf.score(X[700:], y[700:]) > plain.score(X[700:], y[700:]) + 0.02
