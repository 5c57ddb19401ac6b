import numpy as np
import pytest

from sknoisy import NetClassifier
from sknoisy.datasets import ParquetRows

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(50, 3))
KINDS = np.array(["ant", "bee"])[np.arange(50) % 2]


def write(path, table=TABLE, kinds=KINDS, groups=8, **columns):
    columns |= {name: table[:, j] for j, name in enumerate("abc")}
    frame = pa.table({"kind": kinds, **columns})
    pq.write_table(frame, path, row_group_size=groups)
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "rows.parquet")


def test_columns_are_taken_in_the_given_order(path):
    rows = ParquetRows(path, ["c", "a"])
    assert rows.shape == (50, 2) and len(rows.groups) == 7
    expected = TABLE[:, [2, 0]].astype(np.float32)
    np.testing.assert_array_equal(rows.load(), expected)
    np.testing.assert_array_equal(rows.fetch([49, 7, 8, 7]), expected[[49, 7, 8, 7]])
    assert rows.read_column("kind").tolist() == KINDS.tolist()
    np.testing.assert_array_equal(rows.read_column("a"), TABLE[:, 0])
    with pytest.raises(ValueError, match="there is no column 'z'; there are"):
        rows.read_column("z")


def test_a_row_group_is_read_when_it_is_needed(path, monkeypatch):
    rows, read = ParquetRows(path, ["a"]), []
    parts = rows._parts
    monkeypatch.setattr(
        rows, "_parts", lambda start: read.append(start) or parts(start)
    )
    rows.fetch([49, 17, 16])
    assert sorted(read) == [16, 48]


def test_pieces_of_a_row_group_are_small(path, monkeypatch):
    monkeypatch.setattr("sknoisy.datasets._parquet.BLOCK_BYTES", 4 * 3 * 5)
    rows = ParquetRows(path, list("abc"))
    sizes = [len(part) for part in rows.pieces()]
    assert sizes == [5, 3] * 6 + [2]
    np.testing.assert_array_equal(rows.load(), TABLE.astype(np.float32))


def test_a_folder_has_files_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "2.parquet", TABLE[30:], KINDS[30:])
    write(tmp_path / "1.parquet", TABLE[:30], KINDS[:30])
    (tmp_path / "notes.txt").write_text("no table")
    rows = ParquetRows(tmp_path, list("abc"))
    np.testing.assert_array_equal(rows.load(), TABLE.astype(np.float32))
    assert rows.read_column("kind").tolist() == KINDS.tolist()
    several = ParquetRows([tmp_path / "2.parquet", tmp_path / "1.parquet"], list("abc"))
    np.testing.assert_array_equal(several[:20].load(), rows[30:].load())


def test_integers_booleans_gaps_and_lists(tmp_path):
    columns = {
        "n": pa.array([*range(49), None]),
        "flag": KINDS == "ant",
        "vector": pa.array(list(TABLE)),
        "fixed": pa.FixedSizeListArray.from_arrays(TABLE.ravel(), 3),
    }
    path = write(tmp_path / "rows.parquet", **columns)
    rows = ParquetRows(path, ["n", "flag"])
    np.testing.assert_array_equal(rows.fetch([48, 49])[:, 0], [48, np.nan])
    np.testing.assert_array_equal(rows.load()[:, 1], KINDS == "ant")
    for name in ("vector", "fixed"):
        found = ParquetRows(path, [name]).load()
        np.testing.assert_array_equal(found, TABLE.astype(np.float32))
    with pytest.raises(ValueError, match="row 49 of ParquetRows has NaN"):
        NetClassifier(max_epochs=1, batch_size=50, module__hidden=4).fit(rows, KINDS)


def test_faults_are_named(path, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.parquet"):
        ParquetRows(tmp_path / "none.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"there is no file \*\.parquet in"):
        ParquetRows(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"has no column 'z'; it has \['kind'"):
        ParquetRows(path, ["z"])
    with pytest.raises(ValueError, match=r"column 'kind' of .* has string; columns"):
        ParquetRows(path)
    with pytest.raises(ValueError, match="columns is empty"):
        ParquetRows(path, [])
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1.0]}), other)
    with pytest.raises(ValueError, match=r"all files need the same"):
        ParquetRows([path, other], ["a"])
    ragged = tmp_path / "ragged.parquet"
    pq.write_table(pa.table({"v": [[1.0, 2.0], [3.0]]}), ragged)
    with pytest.raises(ValueError, match="lists in column 'v' differ in length"):
        ParquetRows(ragged).load()


def test_other_rows_have_another_fingerprint(path, tmp_path):
    rows = ParquetRows(path, ["a"])
    assert rows.fingerprint == ParquetRows(path, ["a"]).fingerprint
    assert rows.fingerprint != ParquetRows(path, ["b"]).fingerprint
