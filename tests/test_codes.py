import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import BaseEstimator

from sknoisy._codes import check_classes, encode_labels, sorted_classes


class Estimator(BaseEstimator):
    pass


class TestClasses:
    def test_enough_of_each(self):
        classes = np.array(["a", "b", "c"])
        check_classes(Estimator(), classes, np.array([0, 0, 1, 1]), min_per_class=2)

    def test_a_single_class_and_none(self):
        with pytest.raises(ValueError, match="only one class, 'a'; Estimator needs"):
            check_classes(Estimator(), np.array(["a"]), np.zeros(3, dtype=int))
        with pytest.raises(ValueError, match="y is empty; Estimator needs at least"):
            check_classes(Estimator(), np.array([]), np.array([], dtype=int))

    def test_the_smallest_class_that_occurs_is_named(self):
        classes, codes = np.array([3, 5, 8]), np.array([2, 2, 0, 2, 0])
        message = r"class 3 has 2 row\(s\); Estimator needs at least 3 rows of every"
        with pytest.raises(ValueError, match=message):
            check_classes(Estimator(), classes, codes, min_per_class=3)


class TestLabels:
    @pytest.mark.parametrize(
        ("y", "classes"),
        [
            ([3, -1, 3, 7], [-1, 3, 7]),
            (["b", "a", "b", "a"], ["a", "b"]),
            ([True, False, True, True], [False, True]),
            ([2.0, 1.0, 2.0, 2.0], [1.0, 2.0]),
            (pd.Series(["b", "a", "b", "a"]), ["a", "b"]),
            (pd.Series(["b", "a", "b", "a"], dtype="category"), ["a", "b"]),
            (pd.Series([3, 1, 3, 1], dtype="Int64"), [1, 3]),
            (pl.Series(["b", "a", "b", "a"]), ["a", "b"]),
            (np.array(["b", "a", "b", "a"], dtype=object), ["a", "b"]),
        ],
        ids=str,
    )
    def test_round_trip(self, y, classes):
        found, codes = encode_labels(y)
        assert found.tolist() == classes
        assert codes.dtype == np.int64
        assert found[codes].tolist() == list(y)

    def test_known_classes_give_the_codes(self):
        classes, codes = encode_labels([7, 3, 7], np.array([1, 3, 5, 7]))
        assert codes.tolist() == [3, 1, 3] and classes.tolist() == [1, 3, 5, 7]

    def test_unknown_labels_are_named(self):
        message = r"unknown labels: \[4, 9\]; known labels are \[1, 3\]"
        with pytest.raises(ValueError, match=message):
            encode_labels([9, 3, 4, 9], np.array([1, 3]))

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            ([0.5, 1.2, 0.1], "Unknown label type"),
            ([[0, 1], [1, 0], [1, 1]], "y should be a 1d array"),
            ([0.0, 1.0, np.nan], r"1 missing label\(s\) .* in row 2"),
            ([0.0, 1.0, np.inf], "Input y contains infinity"),
        ],
    )
    def test_labels_that_are_no_classes(self, y, message):
        with pytest.raises(ValueError, match=message):
            encode_labels(y)

    @pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
    def test_missing_labels_are_counted_and_located(self, missing):
        y = np.array(["a", missing, "b", missing], dtype=object)
        message = r"y has 2 missing label\(s\) .* the first in row 1; drop those"
        with pytest.raises(ValueError, match=message):
            encode_labels(y)

    def test_missing_labels_of_a_series(self):
        for y in (pd.Series(["a", None, "b"]), pl.Series(["a", None, "b"])):
            with pytest.raises(ValueError, match=r"1 missing label\(s\).* row 1"):
                encode_labels(y)


def test_many_classes_are_no_doubt_where_they_are_known():
    # scikit-learn warns that a target with so many values may be a regression's.
    _, codes = encode_labels(np.arange(50), np.arange(60))
    assert codes.tolist() == list(range(50))
    with pytest.raises(ValueError, match=r"unknown labels: \[1.5"):
        encode_labels(np.array([0, 1.5]), np.arange(3))


class TestKnownClasses:
    def test_numbers_are_compared_exactly(self):
        large = np.array([2**53, 2**53 + 1, 2**53 + 2])
        _, codes = encode_labels(large.astype(np.uint64), large)
        assert codes.tolist() == [0, 1, 2]
        with pytest.raises(ValueError, match=r"unknown labels: \[9007199254740992.0\]"):
            encode_labels([2.0**53], large[1:])
        assert encode_labels([1.0, 0.0], np.array([0, 1]))[1].tolist() == [1, 0]

    @pytest.mark.parametrize(
        ("y", "classes"),
        [
            (["1", "2"], np.array([1, 2])),
            ([1, 2], np.array(["1", "2"])),
            (["2020-01-01"] * 2, np.array(["2020-01-01", "2021-01-01"], "M8[D]")),
            (np.array([0, 1], "M8[ns]"), np.array([0, 1])),
        ],
    )
    def test_strings_are_no_numbers_and_no_dates(self, y, classes):
        with pytest.raises(ValueError, match="unknown labels"):
            encode_labels(y, classes)

    def test_dates_of_other_units(self):
        classes = np.array(["2020-01-01", "2020-01-02"], "M8[D]")
        assert encode_labels(classes[::-1].astype("M8[ns]"), classes)[1].tolist() == [
            1,
            0,
        ]
        with pytest.raises(
            ValueError, match=r"2020-01-01T01.*known labels are.*2020-01-02"
        ):
            encode_labels(np.array(["2020-01-01T01"], "M8[h]"), classes)

    def test_declared_classes_may_be_of_any_kind(self):
        for declared in ([2, 1, 2], pd.array([1, 2], "Int64"), torch.tensor([2, 1])):
            assert sorted_classes(declared).tolist() == [1, 2]
        assert sorted_classes(None) is None
        with pytest.raises(TypeError, match="classes has labels of mixed kinds"):
            sorted_classes([1, "a"])
