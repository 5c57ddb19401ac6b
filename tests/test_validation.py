import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.sparse import csr_array, csr_matrix
from sklearn import config_context
from sklearn.base import BaseEstimator

from sknoisy._validation import check_rows, check_rows_and_labels


class Estimator(BaseEstimator):
    pass


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


class TestRows:
    @pytest.mark.parametrize(
        "dtype", [np.float64, np.float16, np.int64, np.uint8, np.bool_]
    )
    def test_numbers_become_float32(self, dtype):
        given = np.array([[0, 1], [1, 0]], dtype)
        checked = check_rows(Estimator(), given, reset=True)
        assert checked.dtype == np.float32
        np.testing.assert_array_equal(checked, given)

    def test_lists_and_frames(self, X):
        frames = X.tolist(), pd.DataFrame(X), pl.DataFrame(X), torch.from_numpy(X)
        for given in frames:
            checked = check_rows(Estimator(), given, reset=True)
            assert isinstance(checked, np.ndarray) and checked.dtype == np.float32
            np.testing.assert_array_equal(checked, X)

    def test_float32_is_not_copied(self, X):
        assert np.shares_memory(check_rows(Estimator(), X, reset=True), X)

    @pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
    def test_uint8_images_stay_uint8(self, convert):
        images = np.arange(2 * 3 * 2 * 2, dtype=np.uint8).reshape(2, 3, 2, 2)
        checked = check_rows(Estimator(), convert(images), reset=True)
        assert checked.dtype == np.uint8
        np.testing.assert_array_equal(checked, images)

    def test_features_are_remembered_and_held_against(self, X):
        estimator = Estimator()
        table = pd.DataFrame(X, columns=["a", "b", "c"])
        check_rows(estimator, table, reset=True)
        assert estimator.n_features_in_ == 3
        assert estimator.feature_names_in_.tolist() == ["a", "b", "c"]
        check_rows(estimator, table)
        with pytest.raises(ValueError, match="feature names should match"):
            check_rows(estimator, table.rename(columns={"b": "z"}))

    def test_the_number_of_features_is_held_against_fit(self, X):
        estimator = Estimator()
        check_rows(estimator, X, reset=True)
        with pytest.raises(ValueError, match=r"2 features, but .* expecting 3"):
            check_rows(estimator, X[:, :2])

    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_channels_last_is_refused_with_the_transpose(self, channels):
        images = np.zeros((5, 8, 8, channels), np.uint8)
        message = rf"shape \(5, 8, 8, {channels}\); pass X.transpose\(0, 3, 1, 2\)"
        with pytest.raises(ValueError, match=message):
            check_rows(Estimator(), images, reset=True)
        moved = images.transpose(0, 3, 1, 2)
        assert check_rows(Estimator(), moved, reset=True).shape[1] == channels
        small = np.zeros((5, 3, 4, 4))
        assert check_rows(Estimator(), small, reset=True).shape == (5, 3, 4, 4)

    @pytest.mark.parametrize("sparse", [csr_array, csr_matrix])
    def test_sparse_rows_are_refused_with_advice(self, X, sparse):
        message = r"Sparse data .* X\.toarray.*TruncatedSVD"
        with pytest.raises(TypeError, match=message):
            check_rows(Estimator(), sparse(X), reset=True)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_rows_must_be_finite(self, X, bad, dtype, order):
        X = np.array(X, dtype=dtype, order=order)
        X[4, 1] = bad
        with pytest.raises(ValueError, match="NaN" if np.isnan(bad) else "infinity"):
            check_rows(Estimator(), X, reset=True)

    @pytest.mark.parametrize("value", [3e38, -3e38, 1e25, 1e-45])
    def test_large_finite_float32_is_taken(self, X, value):
        # The square overflows or vanishes; the value itself is fine.
        X[2, 2] = value
        np.testing.assert_array_equal(check_rows(Estimator(), X, reset=True), X)

    @pytest.mark.filterwarnings("ignore:overflow encountered in cast")
    def test_what_float32_cannot_hold_is_refused(self, X):
        X = X.astype(np.float64)
        X[2, 2] = 1e40
        with pytest.raises(ValueError, match="infinity or a value too large"):
            check_rows(Estimator(), X, reset=True)

    def test_assume_finite_is_respected(self, X):
        X[0, 0] = np.nan
        with config_context(assume_finite=True):
            check_rows(Estimator(), X, reset=True)

    def test_too_few_rows(self, X):
        with pytest.raises(ValueError, match=r"1 sample\(s\).* minimum of 4"):
            check_rows(Estimator(), X[:1], reset=True, min_samples=4)

    def test_one_dimension_is_refused(self, X):
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
            check_rows(Estimator(), X[:, 0], reset=True)


class TestRowsAndLabels:
    def test_rows_classes_and_codes(self, X):
        y = ["b", "a", "b", "c", "a", "a"]
        rows, classes, codes = check_rows_and_labels(Estimator(), X, y)
        np.testing.assert_array_equal(rows, X)
        assert classes.tolist() == ["a", "b", "c"]
        assert codes.tolist() == [1, 0, 1, 2, 0, 0] and codes.dtype == np.int64

    @pytest.mark.parametrize("declared", [[0, 1, 2, 3], [3, 2, 1, 0, 1], [-5, 0, 2]])
    def test_declared_classes_may_be_absent(self, X, declared):
        y = [0, 2, 0, 2, 2, 0]
        _, classes, codes = check_rows_and_labels(Estimator(), X, y, classes=declared)
        assert classes.tolist() == sorted(set(declared))
        assert classes[codes].tolist() == y

    def test_missing_y(self, X):
        with pytest.raises(ValueError, match=r"Estimator requires y .* is None"):
            check_rows_and_labels(Estimator(), X, None)

    @pytest.mark.parametrize("label", [3, "a"])
    def test_a_single_class(self, X, label):
        with pytest.raises(ValueError, match=f"only one class, .*{label}.* at least"):
            check_rows_and_labels(Estimator(), X, [label] * 6)

    def test_too_few_rows_of_a_class(self, X):
        y = [0, 0, 0, 0, 0, 1]
        check_rows_and_labels(Estimator(), X, y)
        message = r"class .*1.* has 1 row\(s\); Estimator needs at least 2 rows"
        with pytest.raises(ValueError, match=message):
            check_rows_and_labels(Estimator(), X, y, min_per_class=2)

    def test_lengths_must_agree(self, X):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            check_rows_and_labels(Estimator(), X, [0, 1, 0])

    def test_too_few_rows(self, X):
        with pytest.raises(ValueError, match="minimum of 2"):
            check_rows_and_labels(Estimator(), X[:1], [0])
