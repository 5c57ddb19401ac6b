"""Votes one neighbour at a time, the matrix behind them, limits, real data."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.metrics.pairwise import cosine_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import FunctionTransformer
from threadpoolctl import threadpool_info

from sknoisy import NeighborVoteDetector, SymmetricNoiseInjector, pair_flip_matrix
from sknoisy import _confident_joint as _joint
from sknoisy.detection import _neighbor_vote
from sknoisy.detection._embeddings import _consensus
from sknoisy.detection._embeddings._consensus import (
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
    @examples(30)
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
    @examples(20)
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

    @pytest.mark.parametrize("n_columns", [2, 9])
    def test_a_row_votes_among_many_that_are_equal(self, n_columns):
        X = np.ones((40, n_columns))
        distances, neighbors = NeighborVoteDetector(n_neighbors=3)._search(X)
        assert_array_equal(neighbors[:, 0], np.arange(40))
        assert all(len(set(row)) == len(row) for row in neighbors)
        assert_allclose(distances, 0, atol=1e-14)

    # A tree finds those of five columns, all distances those of six.
    @pytest.mark.parametrize("n_columns", [2, 5, 6, 30])
    def test_the_nearest_rows_are_those_by_the_cosine(self, n_columns):
        X = np.random.default_rng(0).normal(size=(300, n_columns)) + 0.2
        far = cosine_distances(X)
        np.fill_diagonal(far, -1)
        expected = np.argsort(far, axis=1)[:, :18]
        distances, neighbors = NeighborVoteDetector()._search(X)
        assert_array_equal(neighbors, expected)
        expected = np.take_along_axis(far, expected, 1)[:, 1:]
        assert_allclose(distances[:, 1:], expected, atol=1e-14)

    @pytest.mark.parametrize("n_columns", [3, 20])
    def test_rows_of_zeros_are_equal_and_at_right_angles_to_others(self, n_columns):
        X = np.random.default_rng(0).normal(size=(30, n_columns))
        X[:12] = 0
        # Only its direction counts, however short it is; that of 1e-200 is lost.
        X[20], X[3] = 1e-9 * X[20], 1e-200
        far = cosine_distances(X)
        far[:12, :12] = 0
        np.fill_diagonal(far, -1)
        distances, neighbors = NeighborVoteDetector(n_neighbors=3)._search(X)
        assert_array_equal(neighbors[:, 0], np.arange(30))
        assert_allclose(distances[:, 1:], np.sort(far)[:, 1:11], atol=1e-14)
        found = np.take_along_axis(far, neighbors[:, 1:], 1)
        assert_allclose(distances[:, 1:], found, atol=1e-14)

    @pytest.mark.parametrize("k", [5, 18])
    def test_those_that_sit_out_do_not_vote(self, k):
        detector = NeighborVoteDetector()
        rng = np.random.default_rng(0)
        X = rng.normal(size=(40, 3))
        codes = rng.integers(0, 3, 40)
        distances, neighbors = detector._search(X)
        taken = rng.random(40) < 0.7
        detector.classes_ = np.arange(3)
        best, own = detector._round(codes, distances, neighbors, taken, k)
        assert len(best) == len(own) == taken.sum()
        for label, vote, row in zip(best, own, np.flatnonzero(taken), strict=True):
            present = [i for i, near in enumerate(neighbors[row]) if taken[near]][:k]
            expected = np.zeros(3)
            for i in present:
                expected[codes[neighbors[row, i]]] += 1 - distances[row, i]
            expected /= np.linalg.norm(expected)
            assert label == expected.argmax()
            assert_allclose(vote, expected[codes[row]], atol=1e-12)


class TestMemory:
    @pytest.mark.parametrize(("n_columns", "n_jobs"), [(4, None), (4, 2), (9, 2)])
    def test_blocks_and_threads_change_nothing(self, monkeypatch, n_columns, n_jobs):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(60, n_columns)), rng.integers(0, 3, 60)
        whole = NeighborVoteDetector(random_state=0).fit(X, y)
        monkeypatch.setattr(_joint, "_BLOCK_SIZE", 18 * 11)
        parts = NeighborVoteDetector(n_jobs=n_jobs, random_state=0).fit(X, y)
        assert_array_equal(parts.noise_mask_, whole.noise_mask_)
        assert_allclose(parts.noise_scores_, whole.noise_scores_, rtol=1e-12)
        assert_array_equal(parts.suggested_labels_, whole.suggested_labels_)

    @pytest.mark.parametrize(("n_jobs", "n_threads"), [(None, None), (2, 2)])
    def test_jobs_are_threads_of_the_search(self, monkeypatch, n_jobs, n_threads):
        def count():
            infos = threadpool_info()
            return [
                each["num_threads"] for each in infos if each["user_api"] == "openmp"
            ]

        class Spy(NearestNeighbors):
            def kneighbors(self):
                seen.append(count())
                return super().kneighbors()

        before, seen = count(), []
        monkeypatch.setattr(_neighbor_vote, "NearestNeighbors", Spy)
        NeighborVoteDetector(n_jobs=n_jobs)._search(np.eye(9))
        assert seen == [[n_threads] * len(before) if n_threads else before]
        assert count() == before

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize(
        ("n_classes", "n_each", "most"), [(150, 4, 8), (2, 1500, 10)]
    )
    def test_megabytes(self, n_classes, n_each, most):
        rng = np.random.default_rng(0)
        y = np.repeat(np.arange(n_classes), n_each)
        X = rng.normal(size=(n_classes, 8))[y] + 0.3 * rng.normal(size=(len(y), 8))
        detector = NeighborVoteDetector(n_rounds=2, random_state=0)
        tracemalloc.start()
        try:
            detector.fit(X, y)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < most * 1e6


class TestManyClasses:
    @pytest.fixture
    def fitted(self, monkeypatch):
        monkeypatch.setattr(_neighbor_vote, "_MOST_CLASSES", 4)
        rng = np.random.default_rng(0)
        true = np.repeat(np.arange(12), 30)
        X = 3 * rng.normal(size=(12, 8))[true] + rng.normal(size=(360, 8))
        is_wrong = rng.random(360) < 0.25
        y = np.where(is_wrong, (true + rng.integers(1, 12, 360)) % 12, true)
        return NeighborVoteDetector(random_state=0).fit(X, y), true, y

    def test_votes_are_counted_for_the_matrix(self, fitted):
        detector, true, y = fitted
        assert not {"votes_", "transition_matrix_"} & set(vars(detector))
        voted = detector.votes_.argmax(1)
        expected = np.zeros((12, 12))
        for row, given_label in zip(voted, y, strict=True):
            expected[row, given_label] += 1
        shares = expected.sum(1) / 360
        expected /= expected.sum(1, keepdims=True)
        assert_allclose(detector.transition_matrix_, expected, rtol=1e-12)
        assert_allclose(detector.class_prior_, shares, rtol=1e-12)
        assert_allclose(detector.noise_rate_, (voted != y).mean(), rtol=1e-12)
        assert abs(detector.noise_rate_ - (true != y).mean()) < 0.03

    def test_a_rank_is_taken_among_as_many_rows_as_are_wrong(self, fitted):
        detector, true, y = fitted
        X = 9 * np.eye(12)[true] + np.random.default_rng(0).normal(size=(360, 12))
        ranked = detector.set_params(method="rank").fit(X, y)
        assert f1_score(true != y, ranked.noise_mask_) > 0.8

    def test_a_later_fit_forgets_what_was_looked_at(self, fitted):
        detector, *_ = fitted
        detector.votes_, detector.transition_matrix_  # noqa: B018
        detector.fit(np.random.default_rng(1).normal(size=(90, 8)), np.arange(90) % 3)
        assert detector.votes_.shape == (90, 3)
        assert detector.transition_matrix_.shape == (3, 3)


class TestDetector:
    @pytest.mark.slow
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
        detector._vote_labels = np.array([[0], [0], [1], [1]])
        detector._vote_weights = np.ones((4, 1))
        wrong, n_seen = np.array([10, 11, 3, 0]), np.array([21, 21, 4, 0])
        detector._conclude(np.array([0, 1, 1, 1]), wrong, n_seen / 9, n_seen)
        assert_array_equal(detector.noise_mask_, [False, True, True, False])
        assert detector.suggested_labels_.tolist() == ["ant", "ant", "ant", "bee"]

    @pytest.mark.slow
    def test_scores_go_with_the_mask_and_have_few_ties(self):
        X, y = load_digits(return_X_y=True)
        _, y = SymmetricNoiseInjector(0.3, random_state=0).fit_resample(X, y)
        detector = NeighborVoteDetector(random_state=0).fit(X, y)
        scores = detector.noise_scores_
        assert_array_equal(scores > 0.5, detector.noise_mask_)
        assert len(np.unique(scores[detector.noise_mask_])) > 400

    @pytest.mark.slow
    def test_scale_of_a_row_does_not_matter(self):
        X, y = load_digits(return_X_y=True)
        scale = np.random.default_rng(0).uniform(0.5, 2, len(y))[:, None]
        a = NeighborVoteDetector(random_state=0).fit(X, y)
        b = NeighborVoteDetector(random_state=0).fit(X * scale, y)
        assert_allclose(a.votes_, b.votes_, atol=1e-5)

    @pytest.mark.slow
    @pytest.mark.usefixtures("default_output")
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
