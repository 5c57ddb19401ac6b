import numpy as np
import polars as pl
import pytest
import torch
from label_kinds import CODES, COLUMNS, KINDS, MISSING, NO_LABELS

from sknoisy._codes import encode_labels, label_accuracy
from sknoisy._label_kinds import labels_like
from sknoisy._labels import label_array, label_list
from sknoisy._selected_rows import rows_of

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


@pytest.mark.fast_cases(4)
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
