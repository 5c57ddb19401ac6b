import pickle

import numpy as np
import pytest
import torch
from row_sources import Shaking, Shelf
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from torch.utils.data import TensorDataset

from sknoisy._row_source import (
    RowSource,
    SelectedRows,
    check_row_source,
    is_row_source,
)
from sknoisy._rows_elsewhere import as_row_source
from sknoisy._validation import (
    check_numbers,
    check_rows,
    check_rows_and_labels,
    safe_indexing,
)
from sknoisy.nets import ArrayDataset

A = np.arange(40, dtype=np.float32).reshape(10, 4)


class Foreign:
    """What has a shape, a length and fetch, and nothing else."""

    def __init__(self, rows):
        self.rows, self.shape = rows, rows.shape

    def __len__(self):
        return len(self.rows)

    def fetch(self, index):
        return self.rows[np.asarray(index)]


class Estimator(BaseEstimator):
    pass


@pytest.mark.parametrize(
    "rows",
    [slice(2, 7), [3, 3, 1], np.arange(10) % 3 == 0, np.array([9, -10]), slice(None)],
    ids=str,
)
def test_selected_rows_are_those_of_the_array(rows):
    part = Shelf(A)[rows]
    assert isinstance(part, SelectedRows) and part.shape == A[rows].shape
    np.testing.assert_array_equal(part.load(), A[rows])
    # Of a part of a part, and as scikit-learn asks.
    np.testing.assert_array_equal(part[::-1].load(), A[rows][::-1])
    assert isinstance(part[::-1].source, Shelf)
    np.testing.assert_array_equal(safe_indexing(part, [0]).load(), A[rows][:1])


def test_one_row_is_an_array_and_others_are_not_fetched():
    source = Shelf(A)
    np.testing.assert_array_equal(source[-1], A[9])
    assert [index.tolist() for index in source.fetched] == [[9]]
    assert source.ndim == 2 and source.nbytes == A.nbytes and len(source) == 10
    assert repr(source[2:4]) == "<SelectedRows of shape (2, 4), float32>"
    assert len(source.fetched) == 1


def test_it_is_indexed_by_rows_alone():
    with pytest.raises(TypeError, match="Shelf is indexed by rows alone"):
        Shelf(A)[:, 1]
    with pytest.raises(IndexError):
        Shelf(A)[10]


def test_an_array_of_all_rows_is_not_made_unasked():
    with pytest.raises(TypeError, match=r"Shelf are not in memory.* pass X.load\(\)"):
        np.asarray(Shelf(A))
    with pytest.raises(TypeError, match="an array of all rows is asked for"):
        LogisticRegression().fit(Shelf(A), np.arange(10) % 2)


def test_a_class_without_fetch_says_so():
    class Empty(RowSource):
        shape, dtype = (2, 1), np.dtype(np.uint8)

    with pytest.raises(NotImplementedError, match="Empty has no method fetch"):
        Empty().load()


def test_what_is_a_source():
    data = ArrayDataset(A, np.arange(10))
    others = (
        A,
        torch.tensor(A),
        TensorDataset(torch.tensor(A)),
        data,
        [1],
        None,
        "fetch",
    )
    assert not any(map(is_row_source, others))
    for source in (Shelf(A), Shelf(A)[:3], Foreign(A)):
        assert is_row_source(source)


def test_an_object_like_one_becomes_one():
    source = Shelf(A)
    assert as_row_source(source) is source
    for dtype, kept in (("f8", "f4"), ("i8", "f4"), ("f4", "f4"), ("u1", "u1")):
        made = as_row_source(Foreign(A.astype(dtype)))
        assert made.dtype == kept and made[1:].load().dtype == kept
        np.testing.assert_array_equal(made[1:].load(), A[1:])
    assert as_row_source(Foreign(A[:0])).shape == (0, 4)


def test_changes_and_judging_reach_the_selected_rows():
    source = Shaking(A)
    part = source[[1, 2]][[1]]
    expected = source.fetch_changed(np.array([2]), 7)
    np.testing.assert_array_equal(part.fetch_changed([0], 7), expected)
    assert (expected != A[[2]]).all() and part.changes_rows
    np.testing.assert_array_equal(part.judged().load(), A[[2]] + 100)
    plain = Shelf(A)[:2]
    assert plain.judged() is plain and not plain.changes_rows
    np.testing.assert_array_equal(plain.fetch_changed([1], 7), A[[1]])


def test_parts_are_told_apart():
    source = Shelf(A)
    assert source[:3].fingerprint is None
    source.fingerprint = "ten rows"
    prints = [source[:3].fingerprint, source[1:4].fingerprint, source[:3].fingerprint]
    assert prints[0] == prints[2] != prints[1]


def test_they_pickle():
    again = pickle.loads(pickle.dumps(Shelf(A)[2:5]))
    np.testing.assert_array_equal(again.load(), A[2:5])


class TestChecks:
    def test_rows_are_counted_and_remembered(self):
        estimator, source = Estimator(), Shelf(A)
        assert check_rows(estimator, source, reset=True, on_disk=True) is source
        assert estimator.n_features_in_ == 4
        X, classes, codes = check_rows_and_labels(
            estimator, source, list("ab" * 5), on_disk=True
        )
        assert X is source and classes.tolist() == ["a", "b"]
        assert codes.tolist() == [0, 1] * 5
        # One row at a time: the check reads no more.
        assert {len(index) for index in source.fetched} == {1}

    def test_those_of_other_width_or_number_are_refused(self):
        estimator = Estimator()
        check_rows(estimator, A, reset=True)
        with pytest.raises(ValueError, match=r"X has 3 features, .* expecting 4"):
            check_rows(estimator, Shelf(A[:, :3].copy()), on_disk=True)
        with pytest.raises(ValueError, match=r"Found array with 1 sample\(s\)"):
            check_rows_and_labels(estimator, Shelf(A[:1]), ["a"], on_disk=True)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            check_rows_and_labels(estimator, Shelf(A), list("ab"), on_disk=True)
        with pytest.raises(ValueError, match="looks channels-last"):
            check_rows(estimator, Shelf(np.zeros((4, 8, 8, 3), "u1")), on_disk=True)

    @pytest.mark.parametrize("check", [check_rows, check_numbers])
    def test_they_are_refused_where_all_are_needed(self, check):
        with pytest.raises(TypeError, match="Estimator needs all rows at once, but"):
            check(Estimator(), Shelf(A))
        images = Foreign(np.zeros((4, 3, 8, 8), "u1"))
        with pytest.raises(TypeError, match=r"features by an ImageEncoder"):
            check(Estimator(), images)

    @pytest.mark.parametrize("fault", ["shape", "dtype"])
    def test_what_fetch_returns_is_looked_at(self, fault):
        source = Shelf(A)
        if fault == "shape":
            source.shape = (10, 5)
        else:
            source.rows = A.astype(np.float64)
        with pytest.raises(ValueError, match=r"but fetch\(\[0\]\) returned an array"):
            check_row_source(source, "Estimator")
