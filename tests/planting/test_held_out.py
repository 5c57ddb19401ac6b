"""Weights by held-out labels, the folds, and one scale for all columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from sknoisy._planting._common_scale import CommonScaler
from sknoisy._planting._held_out import (
    _pointwise_information,
    class_proba,
    deal_folds,
    held_out_weights,
)


class TestFolds:
    @given(st.lists(st.integers(0, 4), min_size=2, max_size=40), st.integers(2, 5))
    def test_each_fold_leaves_every_class_to_learn(self, labels, n_folds):
        _, codes = np.unique(labels, return_inverse=True)
        folds = deal_folds(codes, n_folds, np.random.default_rng(0))
        lone = np.bincount(codes)[codes] == 1
        np.testing.assert_array_equal(folds == -1, lone)
        if lone.all():
            return
        numbers = np.unique(folds[~lone])
        np.testing.assert_array_equal(numbers, np.arange(len(numbers)))
        for number in numbers:
            assert set(codes[folds != number]) == set(codes)

    def test_classes_are_in_proportion(self):
        codes = np.repeat([0, 1, 2], [60, 30, 7])
        folds = deal_folds(codes, 3, np.random.default_rng(0))
        for k, counts in enumerate([(20, 20), (10, 10), (2, 3)]):
            sizes = np.bincount(folds[codes == k])
            assert counts == (sizes.min(), sizes.max())

    def test_classes_of_two_rows_do_not_fill_the_first_folds(self):
        codes = np.repeat(np.arange(30), 2)
        folds = deal_folds(codes, 5, np.random.default_rng(0))
        np.testing.assert_array_equal(np.bincount(folds), 12)


class TestWeights:
    def predictions(self, rng, codes, accuracies):
        n_classes = codes.max() + 1
        wrong = (codes + rng.integers(1, n_classes, (len(accuracies), len(codes)))) % (
            n_classes
        )
        is_right = rng.random(wrong.shape) < np.array(accuracies)[:, None]
        return np.where(is_right, codes, wrong)

    def test_information_is_that_of_scikit_learn(self):
        rng = np.random.default_rng(0)
        codes, predicted = rng.integers(4, size=300), rng.integers(4, size=300)
        predicted[:150] = codes[:150]
        found = _pointwise_information(predicted, codes, 4).mean()
        np.testing.assert_allclose(found, mutual_info_score(codes, predicted))

    def test_one_standard_error_is_a_factor_of_e(self):
        # With two classes, by hand: right at 800 and 760 rows of 1000.
        codes = np.zeros(1000, dtype=np.int64)
        first, second = codes.copy(), codes.copy()
        first[:200], second[:240] = 1, 1
        behind = np.zeros(1000)
        behind[200:240] = 1
        error = behind.std() / np.sqrt(1000)
        expected = np.exp(-0.04 / error)
        weights = held_out_weights(np.stack([first, second]), codes, 2)
        if expected < 0.05:
            expected = 0
        np.testing.assert_allclose(weights[1] / weights[0], expected)

    def test_better_ones_weigh_more_and_poor_ones_nothing(self):
        rng = np.random.default_rng(0)
        codes = rng.integers(5, size=2000)
        predicted = self.predictions(rng, codes, [0.6, 0.59, 0.3])
        weights = held_out_weights(predicted, codes, 5)
        assert weights[0] > 0.3 and weights[1] > 0.1 and weights[2] == 0
        np.testing.assert_allclose(weights.sum(), 1)

    def test_a_confusion_that_the_noise_hides_costs_weight(self):
        # Four in ten labels are the next class. Who takes half of the rows for the next
        # class too is right as often as who draws as many labels at random, plus more:
        # accuracies are made equal here, the information differs.
        rng = np.random.default_rng(0)
        true = rng.integers(10, size=6000)
        given_codes = np.where(rng.random(6000) < 0.4, (true + 1) % 10, true)
        confused = np.where(rng.random(6000) < 0.4, (true + 1) % 10, true)
        accuracy = (confused == given_codes).mean()
        share = accuracy / 0.6 + 0.03 - 0.1 / 6
        random_ones = rng.integers(10, size=6000)
        honest = np.where(rng.random(6000) < share, true, random_ones)
        predicted = np.stack([confused, honest])
        by_accuracy = held_out_weights(predicted, given_codes, 2)
        both = held_out_weights(predicted, given_codes, 10)
        told = [mutual_info_score(given_codes, row) for row in predicted]
        assert (told[1] > told[0]) == (both[1] > by_accuracy[1])

    def test_equal_candidates_share(self):
        codes = np.arange(30) % 3
        weights = held_out_weights(np.tile(codes, (4, 1)), codes, 3)
        np.testing.assert_allclose(weights, 0.25)


def test_probabilities_get_a_column_for_each_class():
    class Two:
        classes_ = np.array(["b", "d"])

        def predict_proba(self, X):
            return np.full((len(X), 2), 0.5)

    found = class_proba(Two(), np.zeros((3, 1)), np.array(["a", "b", "c", "d"]))
    np.testing.assert_array_equal(found, np.tile([0, 0.5, 0, 0.5], (3, 1)))


def test_probabilities_that_are_none_are_refused():
    class Odd:
        classes_ = np.array([0, 1])

        def predict_proba(self, X):
            return np.full((len(X), 2), np.nan)

    with pytest.raises(FloatingPointError, match="infinite or NaN"):
        class_proba(Odd(), np.zeros((3, 1)), np.array([0, 1]))


class TestCommonScale:
    def test_keeps_proportions(self):
        X = np.random.default_rng(0).normal(size=(90, 3)) * [9, 3, 1]
        scaled = CommonScaler().fit_transform(X)
        np.testing.assert_allclose(scaled.var(0).mean(), 1)
        np.testing.assert_allclose(scaled[:, 0] / X[:, 0], scaled[0, 2] / X[0, 2])

    def test_constant_columns_stay(self):
        X = np.ones((5, 2), dtype=np.float32)
        scaled = CommonScaler().fit_transform(X)
        assert scaled.dtype == np.float32
        np.testing.assert_array_equal(scaled, X)
