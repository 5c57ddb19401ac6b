"""SmallLossDetector: how many rows are flagged, which, and by which losses."""

import numpy as np
import pytest
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from sknoisy import (
    LossMixtureDetector,
    NetClassifier,
    SmallLossDetector,
    SymmetricNoiseInjector,
)
from sknoisy.detection._small_loss import largest_losses
from sknoisy.nets import MLP

QUICK = {"max_epochs": 6, "module__hidden": 16, "random_state": 0}
# Many equal values, some of them 0.
LOSSES = arrays(
    np.float64,
    st.integers(1, 30),
    elements=st.one_of(st.integers(0, 4).map(float), st.floats(0, 20)),
)


class TestLargestLosses:
    @pytest.mark.slow
    @given(LOSSES, st.floats(0, 1, exclude_max=True))
    @examples(300)
    def test_against_a_sort(self, losses, rate):
        mask, scores = largest_losses(losses, rate)
        n_kept = max(1, int(np.floor((1 - rate) * len(losses) + 1e-9)))
        order = sorted(range(len(losses)), key=lambda row: (-losses[row], row))
        expected = np.zeros(len(losses), dtype=bool)
        expected[order[: len(losses) - n_kept]] = True
        np.testing.assert_array_equal(mask, expected)
        np.testing.assert_array_equal(scores > 0.5, mask)
        assert ((scores >= 0) & (scores <= 1)).all()
        assert (np.diff(scores[order]) <= 0).all()

    def test_the_threshold_lies_halfway(self):
        mask, scores = largest_losses(np.array([1.0, 5.0, 3.0, 0.0]), 0.5)
        assert mask.tolist() == [False, True, True, False]
        np.testing.assert_allclose(scores, [1 / 3, 5 / 7, 3 / 5, 0])

    def test_a_rate_of_zero_flags_nothing_and_still_orders(self):
        losses = np.array([1.0, 5.0, 3.0])
        mask, scores = largest_losses(losses, 0)
        assert not mask.any() and scores.max() == 0.5
        np.testing.assert_array_equal(np.argsort(scores), np.argsort(losses))

    def test_of_equal_losses_the_first_are_flagged(self):
        for value in (0.0, 2.0):
            mask, scores = largest_losses(np.full(4, value), 0.5)
            assert mask.tolist() == [True, True, False, False]
            np.testing.assert_array_equal(scores > 0.5, mask)

    def test_a_rate_of_ones_own_is_not_lost_to_rounding(self):
        # (1 − 0.9) * 10 is 0.9999999999999998.
        assert largest_losses(np.arange(10.0), 0.9)[0].sum() == 9


class TestNetworks:
    def test_losses_are_those_of_the_loss_mixture(self, blobs):
        X, y, _ = blobs
        detector = SmallLossDetector(**QUICK).fit(X, y)
        other = LossMixtureDetector(**QUICK).fit(X, y)
        np.testing.assert_array_equal(detector.losses_, other.losses_)
        np.testing.assert_array_equal(detector.trajectories_, other.trajectories_)
        expected, scores = largest_losses(detector.losses_, detector.noise_rate_)
        np.testing.assert_array_equal(detector.noise_mask_, expected)
        np.testing.assert_array_equal(detector.noise_scores_, scores)

    @pytest.mark.slow
    def test_the_estimate_is_near_and_does_not_touch_the_losses(self, blobs):
        X, y, is_noisy = blobs
        params = {**QUICK, "max_epochs": 12, "batch_size": 30}
        auto = SmallLossDetector(**params).fit(X, y)
        given = SmallLossDetector(noise_rate=0.2, **params).fit(X, y)
        np.testing.assert_array_equal(auto.losses_, given.losses_)
        assert auto.noise_rate_ == pytest.approx(0.2, abs=0.1)
        assert given.noise_rate_ == 0.2 and given.noise_mask_.sum() == 36
        assert f1_score(is_noisy, given.noise_mask_) > 0.9

    @pytest.mark.slow
    def test_the_estimate_is_of_networks_that_do_not_know_the_row(self, blobs):
        # Labels drawn by chance: a network can learn all of them by heart.
        rng = np.random.default_rng(0)
        X = rng.normal(size=(200, 20)).astype(np.float32)
        y = rng.integers(0, 2, 200)
        detector = SmallLossDetector(max_epochs=40, lr=0.1, random_state=0).fit(X, y)
        assert detector.net_.score(X, detector.net_.predict(X)) == 1
        assert (detector.net_.predict(X) == y).mean() > 0.95
        assert detector.noise_rate_ > 0.25

    def test_networks_of_the_estimate_are_quiet(self, blobs, capsys, tmp_path):
        class Count(Callback):
            def __init__(self, seen):
                self.seen = seen

            def on_train_begin(self, net, X=None, y=None, **kwargs):
                self.seen.append(len(X))

        X, y, _ = blobs
        seen = []
        path = tmp_path / "training"
        net = NetClassifier(
            max_epochs=2, callbacks=[Count(seen)], checkpoint=path, random_state=3
        )
        detector = SmallLossDetector(net, random_state=0).fit(X, y)
        assert len(dict(detector.net_.callbacks_)) > 0
        assert detector.net_.checkpoint == path and net.callbacks[0].seen is seen
        assert capsys.readouterr().out == ""
        again = SmallLossDetector(
            NetClassifier(max_epochs=2, random_state=3), random_state=0
        )
        again.fit(X, y)
        assert again.noise_rate_ == detector.noise_rate_

    @pytest.mark.parametrize("noise_rate", [0.2, "auto"])
    def test_a_plain_skorch_net(self, blobs, noise_rate):
        X, y, is_noisy = blobs
        net = NeuralNetClassifier(
            MLP,
            module__input_shape=(4,),
            module__n_classes=3,
            module__hidden=16,
            criterion=nn.CrossEntropyLoss,
            optimizer__momentum=0.9,
            lr=0.05,
            batch_size=30,
            max_epochs=10,
            verbose=0,
        )
        names = np.array(["ant", "bee", "cat"])
        detector = SmallLossDetector(net, noise_rate=noise_rate, random_state=0)
        detector.fit(X, names[y])
        assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.9
        # Of five rows for each class: a fifteenth is one row.
        assert detector.noise_rate_ == pytest.approx(0.2, abs=0.15)
        assert not net.initialized_


class TestClassifiers:
    def test_losses_are_those_of_the_loss_mixture(self, blobs):
        X, y, is_noisy = blobs
        estimator = LogisticRegression(C=0.5)
        detector = SmallLossDetector(estimator, random_state=0).fit(X, y)
        other = LossMixtureDetector(estimator, random_state=0).fit(X, y)
        np.testing.assert_array_equal(detector.losses_, other.losses_)
        assert not hasattr(detector, "net_")
        assert detector.noise_rate_ == pytest.approx(0.2, abs=0.1)
        assert f1_score(is_noisy, detector.noise_mask_) > 0.75

    def test_the_estimate_asks_the_surest_rows(self, blobs):
        X, y, _ = blobs
        detector = SmallLossDetector(LogisticRegression(), random_state=0).fit(X, y)
        from sklearn.model_selection import StratifiedKFold, cross_val_predict

        drawn = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
        seed = int(np.random.default_rng(drawn).integers(2**31))
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        proba = cross_val_predict(
            LogisticRegression(), X, y, cv=folds, method="predict_proba"
        )
        predicted, rate = proba.argmax(1), 0.0
        for label in range(3):
            rows = np.flatnonzero(predicted == label)
            n_asked = max(5, int(np.ceil(len(rows) / 20)))
            surest = rows[np.argsort(-proba[rows, label])[:n_asked]]
            rate += len(rows) / 180 * (y[surest] != label).mean()
        assert detector.noise_rate_ == pytest.approx(rate, rel=1e-9)

    def test_each_class_loses_the_same_share(self, blobs):
        X, y, _ = blobs
        params = {"noise_rate": 0.25, "random_state": 0}
        detector = SmallLossDetector(LogisticRegression(), per_class=True, **params)
        detector.fit(X, y)
        for label in range(3):
            rows = y == label
            flagged = detector.noise_mask_[rows]
            assert flagged.sum() == np.ceil(0.25 * rows.sum())
            losses = detector.losses_[rows]
            assert losses[flagged].min() >= losses[~flagged].max()
            order = np.argsort(losses)
            assert (np.diff(detector.noise_scores_[rows][order]) >= 0).all()
        whole = SmallLossDetector(LogisticRegression(), **params).fit(X, y)
        assert whole.noise_mask_.sum() == 45
        assert (whole.noise_mask_ != detector.noise_mask_).any()

    def test_probabilities_of_zero_have_a_finite_loss(self, blobs):
        X, y, is_noisy = blobs
        detector = SmallLossDetector(KNeighborsClassifier(5), random_state=0)
        detector.fit(X, y)
        assert detector.losses_.max() == pytest.approx(-np.log(1e-7))
        assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.9

    def test_a_list_of_texts(self):
        rng = np.random.default_rng(0)
        words = {"sport": "ball goal team match", "money": "bank rate share market"}
        y = np.repeat(list(words), 60)
        texts = [" ".join(rng.choice(words[label].split(), 8)) for label in y]
        given_labels = y.copy()
        swapped = rng.choice(120, 24, replace=False)
        given_labels[swapped] = np.where(y[swapped] == "sport", "money", "sport")
        estimator = make_pipeline(TfidfVectorizer(), LogisticRegression())
        detector = SmallLossDetector(estimator, noise_rate=0.2, random_state=0)
        detector.fit(texts, given_labels)
        assert sorted(np.flatnonzero(detector.noise_mask_)) == sorted(swapped)
        assert (detector.suggested_labels_ == y).all()
        assert not hasattr(detector, "n_features_in_")

    def test_a_second_fit_forgets_what_the_first_alone_had(self, blobs):
        X, y, _ = blobs
        net = NetClassifier(max_epochs=2, module__hidden=4)
        detector = SmallLossDetector(net, noise_rate=0.1, random_state=0).fit(X, y)
        assert hasattr(detector, "net_") and hasattr(detector, "trajectories_")
        detector.set_params(estimator=LogisticRegression()).fit(X, y)
        assert not hasattr(detector, "net_") and not hasattr(detector, "trajectories_")

    def test_the_tags_are_those_of_what_is_fitted(self):
        tags = SmallLossDetector(LogisticRegression()).__sklearn_tags__()
        assert tags.input_tags.sparse and tags.target_tags.required
        assert not SmallLossDetector().__sklearn_tags__().input_tags.sparse


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"estimator": LogisticRegression(), "lr": 0.3}, "^lr: set on the estimator"),
        ({"estimator": LogisticRegression(), "modul__a": 3}, "takes no modul__a"),
    ],
)
def test_parameters_of_no_part_beside_a_classifier(blobs, params, message):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=message):
        SmallLossDetector(**params).fit(X, y)


@pytest.mark.slow
def test_digits_with_40_per_cent_noise():
    X, y = load_digits(return_X_y=True)
    injector = SymmetricNoiseInjector(0.4, random_state=0)
    X, y_noisy = injector.fit_resample(X / 16, y)
    detector = SmallLossDetector(noise_rate=0.4, random_state=0).fit(X, y_noisy)
    assert roc_auc_score(injector.noise_mask_, detector.noise_scores_) > 0.99
    assert f1_score(injector.noise_mask_, detector.noise_mask_) > 0.94


@pytest.mark.slow
def test_labels_that_weak_annotators_gave_to_digits(weakly_labelled_digits):
    # 43 % are wrong. Five draws of rows: AUROC 0.898 to 0.940, F1 0.755 to 0.856;
    # flagging all gives F1 0.60.
    X, y, labels = weakly_labelled_digits
    rows = np.random.default_rng(0).choice(len(y), 500, replace=False)
    y_noisy = labels["y_worse"][rows]
    is_noisy = y_noisy != y[rows]
    detector = SmallLossDetector(noise_rate=0.4, random_state=0)
    detector.fit(X[rows], y_noisy)
    assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.85
    assert f1_score(is_noisy, detector.noise_mask_) > 0.68


@pytest.mark.slow
def test_labels_that_people_gave_to_images(real_data):
    data = real_data("cifar10_features.npz")
    rows = np.random.default_rng(0).choice(50_000, 2_000, replace=False)
    X = data["X_train"][rows].astype(np.float32)
    is_noisy = data["y_worse"][rows] != data["y_train"][rows]
    detector = SmallLossDetector(random_state=0)
    detector.fit(X / np.sqrt(X.std(axis=0)), data["y_worse"][rows])
    assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.74
    assert detector.noise_rate_ == pytest.approx(is_noisy.mean(), abs=0.2)


class Told(ClassifierMixin, BaseEstimator):
    """Two classes, the probability of the second being the only column of X."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.column_stack([1 - X[:, 0], X[:, 0]])

    def predict(self, X):
        return self.classes_[(X[:, 0] > 0.5).astype(int)]


def test_probabilities_below_the_least_one_keep_their_order():
    # Their losses are all -log(1e-7).
    X = np.full((40, 1), 0.9)
    X[:4, 0] = [1e-12, 1e-9, 1e-30, 1e-8]
    y = np.repeat([1, 0], [20, 20])
    X[20:] = 0.1
    detector = SmallLossDetector(Told(), noise_rate=0.1, random_state=0).fit(X, y)
    assert detector.noise_mask_[:4].all()
    assert detector.ranking()[:4].tolist() == [2, 0, 1, 3]
