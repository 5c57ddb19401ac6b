import gc
import os
import pickle

import numpy as np
import pytest
import torch
from rows_elsewhere import (
    IMAGES,
    TABLES,
    Items,
    dask,
    hugging_face,
    hugging_face_module,
    memmap,
    zarr,
)

from sknoisy import _rows_elsewhere
from sknoisy._row_source import RowSource
from sknoisy._rows_elsewhere import as_row_source, opened, whole_array
from sknoisy._selected_rows import loaded_rows_of, rows_of

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(40, 3))
PICTURES = RNG.integers(0, 256, (20, 3, 6, 5)).astype(np.uint8)
INDEX = np.array([39, 0, 0, 17, 20, 6, 7])


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "u1"])
def test_tables_are_the_array_in_float32(kind, dtype, tmp_path):
    table = (100 * TABLE + 100).clip(0, 255).astype(dtype)
    rows = as_row_source(kind(table, tmp_path))
    assert rows.shape == (40, 3) and rows.dtype == np.float32
    expected = table.astype(np.float32)
    for index in (INDEX, np.arange(5, 30), np.array([], int)):
        found = rows.fetch(index)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected[index])
    again = pickle.loads(pickle.dumps(rows[INDEX]))
    np.testing.assert_array_equal(again.load(), expected[INDEX])


@pytest.mark.parametrize("kind", IMAGES, ids=lambda kind: kind.__name__)
def test_images_stay_bytes(kind, tmp_path):
    rows = as_row_source(kind(PICTURES, tmp_path))
    assert rows.shape == PICTURES.shape and rows.dtype == np.uint8
    np.testing.assert_array_equal(rows.fetch([19, 3, 3]), PICTURES[[19, 3, 3]])
    np.testing.assert_array_equal(rows.load(), PICTURES)


class TestOpened:
    @pytest.mark.parametrize("kind", [memmap, dask, zarr])
    def test_small_arrays_are_left_and_large_ones_are_not(
        self, kind, tmp_path, monkeypatch
    ):
        given = kind(TABLE, tmp_path)
        assert opened(given) is given
        # In float32 they take 480 bytes.
        monkeypatch.setattr(_rows_elsewhere, "HELD_BYTES", 480)
        assert opened(given) is given
        monkeypatch.setattr(_rows_elsewhere, "HELD_BYTES", 479)
        assert isinstance(opened(given), RowSource)

    def test_what_is_in_memory_is_left(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_rows_elsewhere, "HELD_BYTES", 0)
        mapped = memmap(TABLE, tmp_path)
        texts = np.lib.format.open_memmap(
            tmp_path / "texts.npy", "w+", dtype="U3", shape=(4, 2)
        )
        others = (TABLE, TABLE.tolist(), torch.tensor(TABLE), mapped * 2, texts, None)
        assert all(opened(X) is X for X in others)
        # A view of a mapped array is on disk, too.
        assert isinstance(opened(np.asarray(mapped)[:, :2]), RowSource)

    def test_a_memmap_can_be_whole(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_rows_elsewhere, "HELD_BYTES", 0)
        rows = opened(memmap(TABLE, tmp_path))
        assert np.shares_memory(whole_array(rows), rows.rows)
        part = whole_array(rows[INDEX])
        np.testing.assert_array_equal(part, TABLE[INDEX].astype("f4"))
        assert whole_array(TABLE) is TABLE

    def test_rows_of_them_stay_there(self, tmp_path):
        part = rows_of(Items(TABLE), INDEX)
        assert isinstance(part, RowSource)
        found = loaded_rows_of(Items(TABLE), INDEX)
        np.testing.assert_array_equal(found, TABLE[INDEX].astype("f4"))


class TestBlocks:
    def test_a_block_is_computed_when_it_is_needed(self):
        array = pytest.importorskip("dask.array", reason="dask is not installed")
        computed = []

        def block(block_info=None):
            place = block_info[None]["array-location"][0]
            computed.append(place)
            return np.repeat(np.arange(*place), 2).reshape(-1, 2)

        X = array.map_blocks(block, dtype=int, chunks=((5, 3, 8), (2,)))
        rows = as_row_source(X)
        np.testing.assert_array_equal(rows.fetch([15, 6, 9, 6])[:, 0], [15, 6, 9, 6])
        assert sorted(computed) == [(5, 8), (8, 16)]
        rows.fetch([6, 15])
        assert len(computed) == 2

    def test_chunks_of_unknown_size_are_refused(self):
        X = dask(TABLE, None)
        with pytest.raises(ValueError, match=r"call X.compute_chunk_sizes\(\)"):
            as_row_source(X[X[:, 0] > 0])

    def test_shards_are_blocks(self, tmp_path):
        module = pytest.importorskip("zarr", reason="zarr is not installed")
        how = {"chunks": (5, 2), "shards": (20, 4), "dtype": "f4"}
        X = module.create_array(tmp_path / "x.zarr", shape=(45, 4), **how)
        X[:] = np.arange(180).reshape(45, 4)
        rows = as_row_source(X)
        assert rows.bounds.tolist() == [0, 45]
        np.testing.assert_array_equal(rows.fetch([44, 3])[:, 1], [177, 13])


class TestRefusals:
    def test_other_things_are_named(self):
        for X in (TABLE.tolist(), {"a": 1}, TABLE.astype(str)):
            with pytest.raises(TypeError, match="rows cannot be fetched by their"):
                as_row_source(X)

    def test_columns_are_to_be_selected(self):
        module = hugging_face_module()
        columns = {"x": [[1.0, 2.0], [3.0, 4.0]], "size": [1, 2], "text": ["a", "b"]}
        data = module.Dataset.from_dict(columns)
        match = r"'x' \(arrays\), 'size' \(numbers\), 'text' \(no numbers\).*select_col"
        with pytest.raises(ValueError, match=match):
            as_row_source(data)
        rows = as_row_source(data.select_columns("x"))
        np.testing.assert_array_equal(rows.load(), [[1, 2], [3, 4]])
        rows = as_row_source(data.select_columns("size"))
        np.testing.assert_array_equal(rows.load(), [[1], [2]])
        with pytest.raises(ValueError, match="select_columns"):
            as_row_source(data.select_columns("text"))
        with pytest.raises(ValueError, match=r"0 sample\(s\): the Dataset is empty"):
            as_row_source(data.select([]))

    def test_columns_of_numbers_are_a_table(self):
        module = hugging_face_module()
        data = module.Dataset.from_dict({"a": [1, 2], "b": [0.5, 1.5]})
        for given in (data, data.with_format("numpy"), data.with_format("torch")):
            np.testing.assert_array_equal(
                as_row_source(given).load(), [[1, 0.5], [2, 1.5]]
            )

    def test_rows_of_several_lengths_are_named(self):
        ragged = [np.zeros(2), np.zeros(2), np.zeros(3)]
        with pytest.raises(ValueError, match=r"row 2 of Items has shape \(3,\), and"):
            as_row_source(Items(ragged)).load()
        with pytest.raises(ValueError, match="'row' differ in length"):
            as_row_source(hugging_face(ragged, None)).load()

    def test_a_dataset_yields_rows(self):
        with pytest.raises(TypeError, match="the Dataset yields dict"):
            as_row_source(Items([{"x": 1}]))
        with pytest.raises(TypeError, match="Stream has no length"):

            class Stream(torch.utils.data.IterableDataset):
                def __iter__(self):
                    yield TABLE[0]

            as_row_source(Stream())


class TestCopies:
    @pytest.fixture
    def rows(self, tmp_path, monkeypatch):
        monkeypatch.setattr("sknoisy._row_blocks.BlockRows.held_bytes", 100)
        (tmp_path / "copies").mkdir()
        how = {"temporary_folder": tmp_path / "copies"}
        return as_row_source(dask(TABLE, tmp_path), **how)

    def test_they_are_made_once_and_removed(self, rows, tmp_path):
        rows[5:].before_shuffling()
        (path,) = (tmp_path / "copies").iterdir()
        assert path.stat().st_size == 40 * 3 * 4
        rows.array = None
        np.testing.assert_array_equal(rows.fetch(INDEX), TABLE[INDEX].astype("f4"))
        rows.before_shuffling()
        # Another process opens the copy, and leaves it.
        again = pickle.loads(pickle.dumps(rows))
        np.testing.assert_array_equal(again.fetch([3]), TABLE[[3]].astype("f4"))
        del again
        gc.collect()
        assert [path] == list((tmp_path / "copies").iterdir())
        del rows
        gc.collect()

    def test_a_copy_ends_with_its_rows(self, rows, tmp_path):
        source = rows
        source.before_shuffling()
        copied = source._copied[0]
        assert os.path.exists(copied)
        finalizer = source._remover
        finalizer()
        assert not os.path.exists(copied)

    def test_blocks_that_fit_in_memory_need_none(self, rows, tmp_path, monkeypatch):
        monkeypatch.setattr("sknoisy._row_blocks.BlockRows.held_bytes", 480)
        rows.before_shuffling()
        assert not list((tmp_path / "copies").iterdir())

    def test_a_full_disk_is_named_before(self, rows, monkeypatch):
        usage = type("Usage", (), {"free": 10})
        monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
        with pytest.raises(OSError, match=r"file, but .*copies has 0 MiB left"):
            rows.before_shuffling()

    def test_an_error_leaves_no_file(self, rows, tmp_path):
        rows.array = None
        with pytest.raises(TypeError):
            rows.before_shuffling()
        assert not list((tmp_path / "copies").iterdir())

    def test_few_blocks_stay_in_memory(self, rows):
        rows.load()
        assert 1 <= len(rows._held) <= 2

    def test_row_numbers_are_checked(self, rows):
        for index in ([40], [-1]):
            with pytest.raises(IndexError, match="but there are 40 rows"):
                rows.fetch(index)
