"""Votes one neighbour at a time, the matrix behind them, limits, real data."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.preprocessing import FunctionTransformer

from sknoisy import NeighborVoteDetector, SymmetricNoiseInjector, pair_flip_matrix
from sknoisy.detection import _consensus
from sknoisy.detection._consensus import (
    consensus_counts,
    consensus_model,
    estimate_by_consensus,
)
from sknoisy.detection._neighbor_vote import neighbor_votes
from sknoisy.noise import symmetric_matrix


def some_matrix(rng, n_classes, diagonal=0.6):
    off = rng.dirichlet(np.ones(n_classes), n_classes)
    return diagonal * np.eye(n_classes) + (1 - diagonal) * off


class TestConsensus:
    @given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 60))
    @settings(max_examples=30, deadline=None)
    def test_counts_one_row_at_a_time(self, seed, n_classes, n_samples):
        labels = np.random.default_rng(seed).integers(0, n_classes, (3, n_samples))
        one, two, three = consensus_counts(*labels, n_classes)
        expected = np.zeros((n_classes,) * 3)
        for a, b, c in labels.T:
            expected[a, b, c] += 1 / n_samples
        assert_allclose(three, expected, atol=1e-12)
        assert_allclose(two, expected.sum(2), atol=1e-12)
        assert_allclose(one, expected.sum((1, 2)), atol=1e-12)

    @given(st.integers(0, 10_000), st.integers(2, 5))
    @settings(max_examples=20, deadline=None)
    def test_the_model_in_loops(self, seed, n_classes):
        rng = np.random.default_rng(seed)
        T, prior = some_matrix(rng, n_classes), rng.dirichlet(np.ones(n_classes))
        one, two, three = consensus_model(T, prior)
        K = range(n_classes)
        for a in K:
            assert_allclose(one[a], sum(prior[i] * T[i, a] for i in K))
            for b in K:
                pair = sum(prior[i] * T[i, a] * T[i, b] for i in K)
                assert_allclose(two[a, b], pair)
                for c in K:
                    triple = sum(prior[i] * T[i, a] * T[i, b] * T[i, c] for i in K)
                    assert_allclose(three[a, b, c], triple)

    def test_the_gradient(self):
        rng = np.random.default_rng(0)
        counts = consensus_model(some_matrix(rng, 3), rng.dirichlet(np.ones(3)))
        # Observed shares of pairs and triples depend on the order.
        pairs, triples = rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(27))
        counts = counts[0], pairs.reshape(3, 3), triples.reshape(3, 3, 3)
        values = rng.normal(size=12)

        def loss(values):
            return _consensus._loss_and_gradient(values, counts, 3)[0]

        expected = approx_fprime(values, loss, 1e-6)
        found = _consensus._loss_and_gradient(values, counts, 3)[1]
        assert_allclose(found, expected, rtol=1e-3, atol=0.05)

    @pytest.mark.parametrize("n_classes", [2, 3, 6])
    def test_a_matrix_is_found_again(self, n_classes):
        rng = np.random.default_rng(n_classes)
        T = some_matrix(rng, n_classes)
        prior = rng.dirichlet(5 * np.ones(n_classes))
        found = estimate_by_consensus(consensus_model(T, prior))
        assert_allclose(found[0], T, atol=0.01)
        assert_allclose(found[1], prior, atol=0.01)
        assert_allclose(found[0].sum(1), 1)

    def test_classes_get_the_names_that_they_are_mostly_given(self, monkeypatch):
        rng = np.random.default_rng(0)
        T, prior = some_matrix(rng, 3), np.array([0.5, 0.3, 0.2])
        # The search may end with the classes in any order: all fit as well.
        order = [2, 0, 1]
        end = np.concatenate([np.log(T[order]).ravel(), np.log(prior[order])])
        monkeypatch.setattr(
            _consensus, "minimize", lambda *args, **kwargs: SimpleNamespace(x=end)
        )
        found = estimate_by_consensus(consensus_model(T, prior))
        assert_allclose(found[0], T)
        assert_allclose(found[1], prior)

    @pytest.mark.parametrize(
        ("T", "rate"),
        [
            (pair_flip_matrix(10, 0.4), 0.4),
            (symmetric_matrix(10, 0.5), 0.5),
            (np.eye(10), 0.0),
        ],
    )
    def test_it_is_found_from_drawn_labels(self, T, rate):
        rng = np.random.default_rng(0)
        y = rng.integers(0, 10, 20_000)
        drawn = [
            (rng.random(20_000)[:, None] > T[y].cumsum(1)).sum(1).clip(max=9)
            for _ in range(3)
        ]
        found, prior = estimate_by_consensus(consensus_counts(*drawn, 10))
        # The published start is 0.4 away for the first and 0.5 for the second.
        assert np.abs(found - T).max() < 0.06
        assert abs(1 - prior @ np.diag(found) - rate) < 0.02


class TestVotes:
    def test_one_neighbour_at_a_time(self):
        rng = np.random.default_rng(0)
        codes = rng.integers(0, 3, 20)
        neighbors = rng.integers(0, 20, (20, 5))
        distances = rng.random((20, 5))
        found = neighbor_votes(codes, distances, neighbors, 3)
        for row in range(20):
            expected = np.zeros(3)
            for near, distance in zip(neighbors[row], distances[row], strict=True):
                expected[codes[near]] += 1 - distance
            assert_allclose(found[row], expected / np.linalg.norm(expected))

    def test_the_row_comes_first_and_does_not_rule(self):
        X, _ = load_digits(return_X_y=True)
        X = np.r_[X[:50], X[:50]]  # each row twice
        distances, neighbors = NeighborVoteDetector()._search(X)
        assert_array_equal(neighbors[:, 0], np.arange(100))
        assert all(len(set(row)) == len(row) for row in neighbors)
        assert_allclose(distances[:, 0], 2 * distances[:, 1] - distances[:, 2])
        unit = X / np.linalg.norm(X, axis=1, keepdims=True)
        near = 1 - (unit[:, None] * unit[neighbors]).sum(2)
        assert_allclose(distances[:, 1:], near[:, 1:], atol=1e-7)

    def test_a_row_votes_among_many_that_are_equal(self):
        _, neighbors = NeighborVoteDetector(n_neighbors=3)._search(np.ones((40, 2)))
        assert_array_equal(neighbors[:, 0], np.arange(40))

    @pytest.mark.parametrize("k", [5, 18])
    def test_those_that_sit_out_do_not_vote(self, k):
        detector = NeighborVoteDetector()
        rng = np.random.default_rng(0)
        X = rng.normal(size=(40, 3))
        codes = rng.integers(0, 3, 40)
        distances, neighbors = detector._search(X)
        taken = rng.random(40) < 0.7
        found = detector._votes_of_round(codes, distances, neighbors, taken, k, 3)
        for votes, row in zip(found, np.flatnonzero(taken), strict=True):
            present = [i for i, near in enumerate(neighbors[row]) if taken[near]][:k]
            expected = np.zeros(3)
            for i in present:
                expected[codes[neighbors[row, i]]] += 1 - distances[row, i]
            assert_allclose(votes, expected / np.linalg.norm(expected))


class TestDetector:
    @pytest.mark.parametrize(("method", "f1"), [("rank", 0.88), ("vote", 0.93)])
    def test_digits(self, method, f1):
        X, y = load_digits(return_X_y=True)
        injector = SymmetricNoiseInjector(0.3, random_state=0)
        X, y_noisy = injector.fit_resample(X, y)
        detector = NeighborVoteDetector(method=method, random_state=0).fit(X, y_noisy)
        is_wrong = injector.noise_mask_
        assert roc_auc_score(is_wrong, detector.noise_scores_) > 0.98
        assert f1_score(is_wrong, detector.noise_mask_) > f1
        assert abs(detector.noise_rate_ - is_wrong.mean()) < 0.04
        true = injector.transition_matrix_
        assert np.abs(detector.transition_matrix_ - true).max() < 0.12
        right = detector.suggested_labels_[is_wrong & detector.noise_mask_]
        assert (right == y[is_wrong & detector.noise_mask_]).mean() > 0.95

    def test_pure_clusters_are_left_alone_but_for_a_single_stranger(self):
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1, 2], 40)
        X = 9 * np.eye(3)[y] + rng.normal(size=(120, 3))
        for method in ("vote", "rank"):
            clean = NeighborVoteDetector(method=method, random_state=0).fit(X, y)
            assert not clean.noise_mask_.any()
            given = y.copy()
            given[7] = 2
            detector = NeighborVoteDetector(method="vote", random_state=0)
            detector.fit(X, given)
            assert_array_equal(np.flatnonzero(detector.noise_mask_), [7])
            assert detector.suggested_labels_[7] == 0 and detector.ranking()[0] == 7

    def test_more_than_half_of_the_rounds(self):
        detector = NeighborVoteDetector()
        detector.classes_ = np.array(["ant", "bee"])
        detector.class_prior_ = np.array([0.5, 0.5])
        detector.transition_matrix_ = np.array([[0.9, 0.1], [0.3, 0.7]])
        detector.votes_ = np.eye(2)[[0, 0, 1, 1]]
        wrong, n_seen = np.array([10, 11, 3, 0]), np.array([21, 21, 4, 0])
        detector._conclude(np.array([0, 1, 1, 1]), wrong, n_seen / 9, n_seen)
        assert_array_equal(detector.noise_mask_, [False, True, True, False])
        assert detector.suggested_labels_.tolist() == ["ant", "ant", "ant", "bee"]
        assert detector.noise_rate_ == pytest.approx(0.2)

    def test_scores_go_with_the_mask_and_have_few_ties(self):
        X, y = load_digits(return_X_y=True)
        _, y = SymmetricNoiseInjector(0.3, random_state=0).fit_resample(X, y)
        detector = NeighborVoteDetector(random_state=0).fit(X, y)
        scores = detector.noise_scores_
        assert_array_equal(scores > 0.5, detector.noise_mask_)
        assert len(np.unique(scores[detector.noise_mask_])) > 400

    def test_scale_of_a_row_does_not_matter(self):
        X, y = load_digits(return_X_y=True)
        scale = np.random.default_rng(0).uniform(0.5, 2, len(y))[:, None]
        a = NeighborVoteDetector(random_state=0).fit(X, y)
        b = NeighborVoteDetector(random_state=0).fit(X * scale, y)
        assert_allclose(a.votes_, b.votes_, atol=1e-5)

    def test_features_of_an_estimator(self):
        X, y = load_digits(return_X_y=True)
        halved = FunctionTransformer(lambda X: X[:, ::2])
        found = NeighborVoteDetector(halved, random_state=0).fit(X, y)
        expected = NeighborVoteDetector(random_state=0).fit(X[:, ::2], y)
        assert_array_equal(found.votes_, expected.votes_)
        with pytest.raises(ValueError, match="X has 4 dimensions"):
            NeighborVoteDetector().fit(X.reshape(-1, 1, 8, 8), y)

    def test_few_rows(self):
        X = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        detector = NeighborVoteDetector(random_state=0).fit(X, list("aabb"))
        assert detector.noise_scores_.shape == (4,)
        with pytest.raises(ValueError, match="minimum of 4"):
            NeighborVoteDetector().fit(X[:3], list("aab"))
