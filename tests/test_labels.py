import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from label_kinds import CODES, COLUMNS, INDEX, KINDS, MISSING, NO_LABELS, WORDS

from sknoisy._labels import label_array, label_list, labels_like, rows_of
from sknoisy._validation import encode_labels, label_accuracy, sorted_classes

pytestmark = pytest.mark.filterwarnings("ignore:A column-vector y")


def plain(labels):
    """Labels of any container as a list of Python values or datetime64."""
    if hasattr(labels, "columns"):
        labels = labels.iloc[:, 0] if hasattr(labels, "iloc") else labels.to_series()
    if type(labels).__module__.startswith("pyarrow"):
        return labels.to_pylist()
    if isinstance(labels, torch.Tensor):
        return labels.tolist()
    if isinstance(labels, np.ndarray):
        return label_list(labels.ravel())
    if getattr(labels, "dtype", None) in (pl.Date, pl.Datetime("us")):
        return list(labels.to_numpy())
    return list(labels)


def same_kind(labels, y):
    assert type(labels) is (list if isinstance(y, range) else type(y))
    assert getattr(labels, "dtype", None) == getattr(y, "dtype", None)
    assert getattr(labels, "name", None) == getattr(y, "name", None)
    if hasattr(y, "columns"):
        assert list(labels.columns) == list(y.columns)
    if hasattr(y, "iloc"):
        assert labels.index.equals(y.index)
    if isinstance(y, list | tuple):
        assert {type(v) for v in labels} <= {type(v) for v in y}
    if hasattr(y, "shape"):
        assert labels.shape == y.shape


@pytest.mark.parametrize(("y", "classes"), KINDS.values(), ids=KINDS)
def test_no_label_is_merged_and_others_come_back_in_the_same_kind(y, classes):
    before = plain(y)
    found, codes = encode_labels(y)
    assert found.dtype.kind in "biufUmMO" and codes.dtype == np.int64
    assert label_list(found) == sorted(set(classes))
    assert codes.tolist() == [min(code, len(found) - 1) for code in CODES]
    assert plain(label_array(y)) == before
    known, again = encode_labels(y, found)
    assert known is found and again.tolist() == codes.tolist()
    new = (codes[::-1] + 1) % len(found)
    labels = labels_like(y, found, codes, new)
    same_kind(labels, y)
    assert encode_labels(labels, found)[1].tolist() == new.tolist()
    # Some of these labels are not among the rows that are given.
    first = np.flatnonzero(codes == 0)
    part = rows_of(y, first)
    new = np.arange(len(first)) % len(found)
    labels = labels_like(part, found, codes[first], new)
    assert type(labels) is type(y)
    assert getattr(labels, "dtype", None) == getattr(y, "dtype", None)
    assert encode_labels(labels, found)[1].tolist() == new.tolist()
    assert plain(y) == before
    predicted = found[np.where(np.arange(12) < 9, codes, (codes + 1) % len(found))]
    assert label_accuracy(y, predicted) == 0.75


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_are_taken_with_a_warning(kind):
    with pytest.warns(UserWarning, match="column-vector y was passed"):
        encode_labels(KINDS[kind][0])


@pytest.mark.parametrize("y", MISSING.values(), ids=MISSING)
def test_missing_labels_are_refused_with_the_row(y):
    with pytest.raises(ValueError, match=r"y has 1 missing .* the first in row 1;"):
        encode_labels(y)


@pytest.mark.parametrize(("y", "message"), NO_LABELS.values(), ids=NO_LABELS)
def test_what_is_no_label_is_named(y, message):
    with pytest.raises((TypeError, ValueError), match=message):
        encode_labels(y)


class TestKnownClasses:
    def test_numbers_are_compared_exactly(self):
        large = np.array([2**53, 2**53 + 1, 2**53 + 2])
        _, codes = encode_labels(large.astype(np.uint64), large)
        assert codes.tolist() == [0, 1, 2]
        with pytest.raises(ValueError, match=r"there before: \[9007199254740992.0\]"):
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
        with pytest.raises(ValueError, match="labels that were not there before"):
            encode_labels(y, classes)

    def test_dates_of_other_units(self):
        classes = np.array(["2020-01-01", "2020-01-02"], "M8[D]")
        assert encode_labels(classes[::-1].astype("M8[ns]"), classes)[1].tolist() == [
            1,
            0,
        ]
        with pytest.raises(ValueError, match=r"2020-01-01T01.*known are.*2020-01-02"):
            encode_labels(np.array(["2020-01-01T01"], "M8[h]"), classes)

    def test_declared_classes_may_be_of_any_kind(self):
        for declared in ([2, 1, 2], pd.array([1, 2], "Int64"), torch.tensor([2, 1])):
            assert sorted_classes(declared).tolist() == [1, 2]
        assert sorted_classes(None) is None
        with pytest.raises(TypeError, match="classes has labels of mixed kinds"):
            sorted_classes([1, "a"])


class TestLabelsThatYCannotHold:
    CLASSES = np.array([*WORDS, "elephant"])

    @pytest.mark.parametrize(
        "y",
        [
            pd.Series(WORDS, dtype="category"),
            pd.Categorical(WORDS),
            pl.Series(WORDS, dtype=pl.Enum(WORDS)),
        ],
        ids=type,
    )
    def test_categories(self, y):
        codes = np.arange(3)
        with pytest.raises(ValueError, match=r"cannot hold all of .*elephant"):
            labels_like(y, self.CLASSES, codes, codes[::-1] + 1)

    @pytest.mark.parametrize(
        "y",
        [
            np.array([0, 1, 2], np.int8),
            pd.Series([0, 1, 2], dtype="Int8"),
            pl.Series([0, 1, 2], dtype=pl.Int8),
            torch.tensor([0, 1, 2], dtype=torch.int8),
            np.array([0, 1, 2], np.float16),
        ],
        ids=repr,
    )
    def test_narrow_numbers(self, y):
        codes, classes = np.arange(3), np.array([0, 1, 2, 300001])
        with pytest.raises(ValueError, match=r"300001\]: its dtype is .*given to fit"):
            labels_like(y, classes, codes, codes + 1)

    def test_strings_of_numpy_get_the_width_they_need(self):
        codes = np.arange(3)
        labels = labels_like(np.array(WORDS), self.CLASSES, codes, codes + 1)
        assert labels.tolist() == ["bee", "cat", "elephant"]

    def test_an_error_of_the_users_own_container_is_handed_on(self):
        class Odd(pd.Series):
            @property
            def name(self):
                raise LookupError("no name")

            @name.setter
            def name(self, value):
                pass

        codes = np.arange(3)
        with pytest.raises(LookupError, match="no name"):
            labels_like(Odd(WORDS), self.CLASSES, codes, codes + 1)


def test_the_index_of_rows_that_are_repeated_is_that_of_y():
    y = pd.Series(WORDS, index=["m", "n", "o"])
    labels = labels_like(y, np.array(WORDS), np.arange(3), np.array([2, 2, 2]))
    assert labels.to_dict() == {"m": "cat", "n": "cat", "o": "cat"}
    assert y.index.tolist() == ["m", "n", "o"] and len(INDEX) == 12
