"""Transition correction: anchors, the three sources of the matrix, and its use."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from skorch.callbacks import EarlyStopping
from skorch.dataset import ValidSplit

from sknoisy import (
    NetClassifier,
    RobustLossClassifier,
    TransitionCorrectionClassifier,
    TransitionNoiseInjector,
    pair_flip_matrix,
)
from sknoisy.classification import anchor_transition_matrix
from sknoisy.nets import DynamicsRecorder
from sknoisy.noise import symmetric_matrix

SMALL = {"module__hidden": 8, "max_epochs": 4, "batch_size": 32, "random_state": 0}
T3 = np.array([[0.8, 0.2, 0.0], [0.1, 0.7, 0.2], [0.0, 0.3, 0.7]])


def posteriors(T, n_rows=300, seed=0):
    """Noisy posteriors of rows of which the first few are sure of their class."""
    clean = np.random.default_rng(seed).dirichlet(np.ones(len(T)), n_rows)
    clean[: len(T)] = np.eye(len(T))
    return clean @ T


class TestAnchors:
    @pytest.mark.parametrize(
        "T", [T3, pair_flip_matrix(5, 0.3), symmetric_matrix(4, 0.4)], ids=len
    )
    def test_exact_posteriors_give_the_matrix_back(self, T):
        given = anchor_transition_matrix(posteriors(T), percentile=100)
        np.testing.assert_allclose(given, T, rtol=1e-12, atol=1e-15)
        assert given.dtype == np.float64

    def test_rows_at_or_above_the_percentile_are_outliers(self):
        p = np.linspace(0.01, 1, 100)
        proba = np.column_stack([p, 1 - p])
        given = anchor_transition_matrix(proba, percentile=90)
        # "higher": rows from 0.91 on are left out on both sides, 0.9 is next.
        np.testing.assert_allclose(given, [[0.9, 0.1], [0.11, 0.89]], rtol=1e-9)
        np.testing.assert_array_equal(
            anchor_transition_matrix(proba), anchor_transition_matrix(proba, 97)
        )

    @given(
        st.integers(0, 1000),
        st.integers(2, 40),
        st.integers(2, 5),
        st.floats(1, 100),
    )
    @examples(100)
    def test_each_class_takes_the_surest_row_that_is_left(
        self, seed, n_rows, n_classes, percentile
    ):
        rng = np.random.default_rng(seed)
        proba = rng.dirichlet(np.ones(n_classes), n_rows)
        before = proba.copy()
        given = anchor_transition_matrix(proba, percentile)
        np.testing.assert_array_equal(proba, before)
        np.testing.assert_allclose(given.sum(1), 1, rtol=1e-12)
        for k in range(n_classes):
            # By hand: sort the class, drop what is at or above the bound.
            ordered = np.argsort(proba[:, k])
            bound = np.ceil(percentile / 100 * (n_rows - 1) - 1e-9)
            last = n_rows - 1 if percentile == 100 else int(bound) - 1
            row = proba[ordered[last]] if last >= 0 else None
            if row is not None:
                np.testing.assert_allclose(given[k], row / row.sum(), rtol=1e-12)

    def test_equal_probabilities_have_no_outliers(self):
        given = anchor_transition_matrix(np.full((6, 2), 0.5))
        np.testing.assert_array_equal(given, [[0.5, 0.5], [0.5, 0.5]])

    def test_rows_are_scaled_to_a_sum_of_one(self):
        given = anchor_transition_matrix([[0.6, 0.2], [0.1, 0.3]], percentile=100)
        np.testing.assert_allclose(given, [[0.75, 0.25], [0.25, 0.75]], rtol=1e-12)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_rows_that_are_not_finite_are_refused(self, value):
        with pytest.raises(ValueError, match="proba has NaN or infinite entries"):
            anchor_transition_matrix([[0.5, 0.5], [value, 0.5]])

    @pytest.mark.parametrize("percentile", [0, -1, 100.5, float("nan")])
    def test_a_bad_percentile_is_named(self, percentile):
        message = rf"percentile must be in \(0, 100\]; got {percentile}"
        with pytest.raises(ValueError, match=message):
            anchor_transition_matrix([[0.5, 0.5]], percentile)


class Knowing(BaseEstimator, ClassifierMixin):
    """Shows a matrix of its own after fit, and what it was fitted with."""

    def __init__(self, T=None, random_state=None):
        self.T = T
        self.random_state = random_state

    def fit(self, X, y):
        self.transition_matrix_ = self.T
        self.seen_ = X, y, self.random_state
        return self


class TestSources:
    def fit(self, blobs, T, **params):
        clf = TransitionCorrectionClassifier(transition_matrix=T, **{**SMALL, **params})
        return clf.fit(*blobs[:2])

    @pytest.mark.parametrize("kind", [np.array, list, lambda T: T.tolist()])
    def test_a_matrix(self, blobs, kind):
        clf = self.fit(blobs, kind(T3))
        np.testing.assert_array_equal(clf.transition_matrix_, T3)
        assert clf.transition_matrix_.dtype == np.float64

    def test_a_matrix_goes_with_the_classes_in_sorted_order(self, blobs):
        X, y, _ = blobs
        names = np.array(["ant", "bee", "cat"])
        plain = self.fit(blobs, T3)
        named = self.fit((X, names[y]), T3)
        np.testing.assert_array_equal(named.predict(X), names[plain.predict(X)])
        np.testing.assert_array_equal(named.noise_scores_, plain.noise_scores_)

    def test_anchors_of_a_first_network(self, blobs):
        X, y, _ = blobs
        clf = self.fit(blobs, "anchor", anchor_percentile=90)
        # Predictions averaged over the epochs, of a network that is trained alike.
        seen = DynamicsRecorder()
        params = {**SMALL, "random_state": clf.seed_ % 2**31}
        NetClassifier(callbacks=[seen], **params).fit(X, y)
        expected = anchor_transition_matrix(seen.mean_proba_, 90)
        np.testing.assert_allclose(clf.transition_matrix_, expected, rtol=1e-6)
        other = self.fit(blobs, "anchor")
        assert (clf.transition_matrix_ != other.transition_matrix_).any()

    def test_a_split_is_for_the_second_network(self, blobs):
        plain = self.fit(blobs, "anchor")
        split = self.fit(blobs, "anchor", train_split=ValidSplit(3))
        np.testing.assert_array_equal(
            split.transition_matrix_, plain.transition_matrix_
        )
        assert np.isfinite(split.history[:, "valid_loss"]).all()

    def test_rows_in_no_batch_are_no_anchors(self, blobs):
        params = {"iterator_train__drop_last": True, "batch_size": 50, "max_epochs": 1}
        T = self.fit(blobs, "anchor", **params).transition_matrix_
        np.testing.assert_allclose(T.sum(1), 1, rtol=1e-12)
        assert (T[0] != T[1]).any() and (T[1] != T[2]).any()

    def test_the_second_network_is_that_of_the_same_matrix_given(self, blobs):
        X = blobs[0]
        clf = self.fit(blobs, "anchor")
        given = self.fit(blobs, clf.transition_matrix_)
        np.testing.assert_array_equal(clf.predict_proba(X), given.predict_proba(X))

    def test_an_estimator_with_a_matrix(self, blobs):
        estimator = Knowing(T3)
        clf = self.fit(blobs, estimator)
        np.testing.assert_array_equal(clf.transition_matrix_, T3)
        # It was cloned, and seeded: nothing of the user's changed.
        assert not hasattr(estimator, "seen_") and estimator.random_state is None

    def test_an_estimator_is_seeded_and_sees_rows_and_codes(self, blobs):
        seen = []

        class Spying(Knowing):
            def fit(self, X, y):
                seen.append((X, y, self.random_state))
                return super().fit(X, y)

        X, y, _ = blobs
        names = np.array(["ant", "bee", "cat"])
        for seed in (0, 0, 1):
            self.fit((X, names[y]), Spying(T3), random_state=seed)
        for rows, codes, _ in seen:
            np.testing.assert_array_equal(rows, X)
            np.testing.assert_array_equal(codes, y)
        assert seen[0][2] == seen[1][2] != seen[2][2]

    def test_an_estimator_with_probabilities(self, blobs):
        X, y, _ = blobs
        clf = self.fit(blobs, LogisticRegression())
        proba = LogisticRegression().fit(X, y).predict_proba(X)
        expected = anchor_transition_matrix(proba, 97)
        np.testing.assert_allclose(clf.transition_matrix_, expected, rtol=1e-6)

    def test_an_estimator_with_neither_is_refused(self, blobs):
        message = (
            "LinearSVC shows no transition matrix: after fit it has neither "
            "transition_matrix_ nor predict_proba"
        )
        with pytest.raises(ValueError, match=message):
            self.fit(blobs, LinearSVC())

    def test_an_estimated_matrix_is_not_called_given(self, blobs):
        class Estimated(BaseEstimator):
            def __init__(self, matrix=None, proba=np.nan):
                self.matrix = matrix
                self.proba = proba

            def fit(self, X, y):
                if self.matrix is not None:
                    self.transition_matrix_ = self.matrix

            def predict_proba(self, X):
                return np.full((len(X), 3), self.proba)

        for matrix, message in [
            (np.full((3, 3), np.nan), "matrix that Estimated estimated is none: "),
            (np.eye(3)[:, [0, 1, 1]], "that Estimated estimated"),
            (np.eye(2), "matrix that Estimated estimated is for 2 classes"),
            (None, r"transition_matrix=Estimated\(\) predicts .* infinite or NaN"),
        ]:
            with pytest.raises(ValueError, match=message):
                self.fit(blobs, Estimated(matrix))
        clf = TransitionCorrectionClassifier()
        assert "estimated by transition_matrix='anchor'" in clf._matrix_name()

    def test_another_robust_classifier(self, blobs):
        inner = TransitionCorrectionClassifier(transition_matrix=T3, **SMALL)
        clf = self.fit(blobs, inner)
        np.testing.assert_array_equal(clf.transition_matrix_, T3)

    @pytest.mark.parametrize(
        ("T", "message"),
        [
            (np.eye(4), r"is for 4 classes, but y has 3: \[0, 1, 2\]"),
            (np.full((3, 2), 0.5), r"must be square.*got shape \(3, 2\)"),
            (2 * np.eye(3), "must sum to 1; row 0 sums to 2"),
            (T3.T, "transpose"),
            ([[1, 0, 0], [1, 0, 0], [0, 0, 1]], r"column of zeros for \[1\], but rows"),
            ("anchors", "'transition_matrix' parameter"),
            (3, "'transition_matrix' parameter"),
            (Knowing(np.eye(2)), "is for 2 classes, but y has 3"),
        ],
        ids=str,
    )
    def test_bad_matrices_are_refused(self, blobs, T, message):
        with pytest.raises(ValueError, match=message):
            self.fit(blobs, T)

    def test_callbacks_are_for_the_second_network(self, blobs):
        class Counting(EarlyStopping):
            def on_train_begin(self, net, **kwargs):
                super().on_train_begin(net, **kwargs)
                runs.append(type(net).__name__)

        runs = []
        clf = self.fit(
            blobs,
            "anchor",
            callbacks=[("stop", Counting(monitor="train_loss"))],
            callbacks__stop__patience=3,
        )
        assert runs == ["TransitionCorrectionClassifier"]
        plain = self.fit(blobs, "anchor")
        np.testing.assert_array_equal(clf.transition_matrix_, plain.transition_matrix_)

    def test_the_matrix_is_found_once(self, blobs):
        X, y, _ = blobs
        fits = []

        class Counted(Knowing):
            def fit(self, X, y):
                fits.append(1)
                return super().fit(X, y)

        clf = self.fit(blobs, Counted(T3))
        clf.partial_fit(X, y)
        assert len(fits) == 1
        clf.fit(X, y)
        assert len(fits) == 2


class TestUse:
    @pytest.mark.parametrize("correction", ["forward", "backward", "reweight"])
    def test_the_loss_in_numpy(self, blobs, correction):
        X, y, _ = blobs
        still = {**SMALL, "lr": 0.0, "batch_size": -1, "module__dropout": 0.0}
        clf = TransitionCorrectionClassifier(
            transition_matrix=T3, correction=correction, **still
        )
        w = np.random.default_rng(0).random(180)
        for weight in (None, w):
            clf.fit(X, y, sample_weight=weight)
            with torch.no_grad():
                p = softmax(clf.module_(torch.from_numpy(X)).numpy(), axis=1)
            if correction == "forward":
                rows = -np.log((p @ T3)[np.arange(180), y])
            elif correction == "reweight":
                rows = -((p / (p @ T3)) * np.log(p))[np.arange(180), y]
            else:
                rows = -(np.linalg.inv(T3)[y] * np.log(p)).sum(1)
            expected = np.average(rows, weights=weight)
            assert clf.history[0, "train_loss"] == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize("correction", ["forward", "backward", "reweight"])
    def test_the_identity_trains_as_cross_entropy_does(self, blobs, correction):
        X, y, _ = blobs
        clf = TransitionCorrectionClassifier(
            transition_matrix=np.eye(3), correction=correction, **SMALL
        ).fit(X, y)
        plain = NetClassifier(**SMALL).fit(X, y)
        np.testing.assert_allclose(
            clf.predict_proba(X), plain.predict_proba(X), rtol=1e-3, atol=1e-5
        )

    @pytest.mark.slow
    def test_predictions_are_of_the_true_classes(self, blobs):
        # Three blobs, clean; a matrix that swaps two names teaches the swap.
        X, y, is_noisy = blobs
        X, y = X[~is_noisy], y[~is_noisy]
        swap = np.array([[0.1, 0.9, 0], [0.9, 0.1, 0], [0, 0, 1]])
        params = {**SMALL, "max_epochs": 40, "module__hidden": 32}
        clf = TransitionCorrectionClassifier(transition_matrix=swap, **params)
        accuracy = (clf.fit(X, y).predict(X) == np.array([1, 0, 2])[y]).mean()
        assert accuracy > 0.9

    def test_a_singular_matrix_cannot_go_backward(self, blobs):
        T = np.full((3, 3), 1 / 3)
        clf = TransitionCorrectionClassifier(
            transition_matrix=T, correction="backward", **SMALL
        )
        with pytest.raises(ValueError, match="must have an inverse; its condition"):
            clf.fit(*blobs[:2])
        clf.set_params(correction="forward").fit(*blobs[:2])

    @pytest.mark.slow
    def test_a_known_pair_flip_beats_cross_entropy_on_digits(self):
        X, y = load_digits(return_X_y=True)
        T = pair_flip_matrix(10, 0.45)
        _, y_noisy = TransitionNoiseInjector(T, random_state=0).fit_resample(X, y)
        X = X / X.std()
        params = {"random_state": 0, "module__hidden": 64}
        corrected = TransitionCorrectionClassifier(transition_matrix=T, **params)
        corrected.fit(X[:1000], y_noisy[:1000])
        plain = RobustLossClassifier(loss="ce", **params).fit(X[:1000], y_noisy[:1000])
        gain = corrected.score(X[1000:], y[1000:]) - plain.score(X[1000:], y[1000:])
        # Seeds 0 to 9: 0.22 to 0.46, spread 0.07.
        assert gain > 0.15


class TestRevision:
    def fit(self, blobs, **params):
        params = {**SMALL, "revise": True, "correction": "reweight", **params}
        clf = TransitionCorrectionClassifier(transition_matrix=T3, **params)
        return clf.fit(*blobs[:2])

    def test_the_matrix_changes_in_the_second_half_of_the_epochs(self, blobs):
        seen = []

        class Watch(EarlyStopping):
            def on_epoch_end(self, net, **kwargs):
                seen.append(abs(net.criterion_.change.detach()).max().item())

        clf = self.fit(blobs, callbacks=[Watch()], revision_lr=0.1, max_epochs=5)
        assert seen[:2] == [0, 0] and min(seen[2:]) > 0
        T = clf.transition_matrix_
        np.testing.assert_allclose(T.sum(1), 1, rtol=1e-12)
        found = clf.criterion_.transition_matrix().detach()
        np.testing.assert_allclose(T, found, rtol=1e-5)
        assert abs(T - T3).max() > 1e-3 and T.min() > 0

    def test_a_step_moves_it_by_its_own_learning_rate(self, blobs):
        moves = []
        for lr, rate in ((0.1, 0.02), (0.1, 0.04)):
            params = {"lr": lr, "batch_size": -1, "max_epochs": 2, "lr_schedule": None}
            clf = self.fit(blobs, revision_lr=rate, **params)
            assert clf.criterion_.speed == pytest.approx((rate / lr) ** 0.5)
            moves.append(clf.criterion_.speed * clf.criterion_.change.detach().numpy())
        assert abs(moves[0]).max() > 1e-4
        np.testing.assert_allclose(moves[1], 2 * moves[0], rtol=1e-4, atol=1e-7)

    def test_other_corrections_are_not_revised(self, blobs):
        message = "revise=True has no effect on correction='forward'"
        with pytest.raises(ValueError, match=message):
            self.fit(blobs, correction="forward")

    def test_nothing_is_learnt_without_a_learning_rate(self, blobs):
        T = self.fit(blobs, lr=0.0).transition_matrix_
        np.testing.assert_allclose(T, T3, atol=1e-5)

    @pytest.mark.slow
    def test_pair_flips_of_digits_are_found_better(self):
        X, y = load_digits(return_X_y=True)
        T = pair_flip_matrix(10, 0.4)
        _, y_noisy = TransitionNoiseInjector(T, random_state=0).fit_resample(X, y)
        X = X / X.std()
        params = {"correction": "reweight", "random_state": 0}
        nets = [
            TransitionCorrectionClassifier(revise=revise, **params).fit(
                X[:1000], y_noisy[:1000]
            )
            for revise in (False, True)
        ]
        scores = [net.score(X[1000:], y[1000:]) for net in nets]
        off = [abs(net.transition_matrix_ - T).sum(1).mean() for net in nets]
        assert off[1] < off[0]
        assert scores[1] > scores[0] + 0.02
