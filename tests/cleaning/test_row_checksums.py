import hashlib

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from sknoisy.cleaning._row_checksums import audit_id, row_checksums
from sknoisy.datasets import RowSource

ALL = np.arange(3)
CELLS = st.none() | st.booleans() | st.integers() | st.text() | st.floats()


class Stored(RowSource):
    shape, dtype = (3, 2), np.dtype(np.float32)

    def fetch(self, index):
        return np.arange(6, dtype=np.float32).reshape(3, 2)[index]


def test_it_is_the_sha256_of_the_cells_in_json():
    frame = pd.DataFrame({"a": ["x", "é", None], "b": [1, 2, 3], "c": [0.5, 2, np.nan]})
    found = row_checksums(frame, ["p", "q", "r"], ALL)
    texts = ['["x",1,0.5,"p"]', '["\\u00e9",2,2,"q"]', '[null,3,null,"r"]']
    assert found == [hashlib.sha256(t.encode()).hexdigest() for t in texts]
    assert row_checksums(frame, ["p", "q", "r"], np.array([2])) == found[2:]


@pytest.mark.parametrize(
    "kind",
    [
        pd.DataFrame,
        pl.DataFrame,
        csr_array,
        torch.tensor,
        np.ndarray.tolist,
        pytest.param(lambda X: Stored(), id="rows on disk"),
        pytest.param(lambda X: X.astype(np.float32), id="float32"),
    ],
)
def test_the_container_does_not_matter(kind):
    X = np.arange(6).reshape(3, 2)
    if kind is np.ndarray.tolist:
        X, kind = X.astype(object), lambda X: pd.DataFrame(X)
    expected = row_checksums(np.arange(6).reshape(3, 2), None, ALL)
    assert row_checksums(kind(X), None, ALL) == expected


@given(st.lists(CELLS, min_size=1, max_size=4), st.data())
def test_another_cell_gives_another_checksum(cells, data):
    place = data.draw(st.integers(0, len(cells) - 1))
    other = [*cells]
    other[place] = data.draw(st.text(min_size=1).map(lambda t: t + "!"))
    frame = pd.DataFrame([cells, other], dtype=object)
    first, second = row_checksums(frame, None, np.arange(2))
    # Whole numbers count as equal in all their types, and so do missing values.
    assert (first == second) == (cells[place] == other[place])


def test_images_texts_and_nothing_are_told_apart():
    images = np.zeros((3, 1, 4, 4), dtype=np.uint8)
    images[1, 0, 2, 2] = 1
    first, second, third = row_checksums(images, None, ALL)
    assert first == third != second
    assert len(set(row_checksums(["one", "two", "one "], None, ALL))) == 3
    assert len(set(row_checksums(None, ["a", "b", "a"], ALL))) == 2
    assert row_checksums(images.astype(np.float32), None, ALL)[0] != first
    infinite = np.array([[np.inf], [-np.inf], [np.nan]])
    assert len(set(row_checksums(infinite, None, ALL))) == 3


def test_the_audit_is_known_by_labels_scores_and_flags():
    given_, scores, flags = np.array(["a", "b"]), np.array([0.2, 0.8]), np.array([0, 1])
    first = audit_id(given_, scores, flags == 1)
    assert len(first) == 16 and int(first, 16)
    assert audit_id(given_, scores + 1e-9, flags == 1) == first
    others = [
        audit_id(given_[::-1], scores, flags == 1),
        audit_id(given_, scores[::-1], flags == 1),
        audit_id(given_, scores, flags == 0),
    ]
    assert len({first, *others}) == 4
