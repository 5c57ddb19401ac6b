"""Tables that are read in blocks: the same columns, scores in order, bounded memory."""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.append(str(Path(__file__).parents[1] / "command_line"))
from command_tables import fails, succeeds

import sknoisy
from sknoisy import ConfidentLearningDetector, NetClassifier
from sknoisy._row_blocks import BlockRows
from sknoisy._tables._encoder import TableEncoder
from sknoisy._user_errors import UserError
from sknoisy.auditing import _big_tables
from sknoisy.auditing._big_tables import in_bytes

SPEED = Path(__file__).parents[2] / "benchmarks" / "speed" / "out_of_core.py"


def small_net(**params):
    network = NetClassifier(
        module__hidden=8, max_epochs=3, lr=0.2, batch_size=64, random_state=0
    )
    return ConfidentLearningDetector(network, cv=2, random_state=0, **params)


def table_of(n_rows=1500):
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=n_rows)
    words = np.array(["soft", "loud", "green", "late", "small", "cold", "dark"])
    table = pd.DataFrame(
        {
            "row": np.arange(n_rows),
            "length": np.round(3 * truth + rng.normal(size=n_rows), 3),
            "size": np.array(["S", "M", None], dtype=object)[
                rng.integers(3, size=n_rows)
            ],
            "day": pd.to_datetime("2024-01-01")
            + pd.to_timedelta(rng.integers(400, size=n_rows), "D"),
            "note": [" ".join(rng.choice(words, 6)) for _ in range(n_rows)],
            "kind": np.array(["ant", "bee"])[truth],
        }
    )
    table["day"] = table["day"].dt.strftime("%d/%m/%Y")
    table.loc[::50, "length"] = np.nan
    wrong = rng.choice(n_rows, n_rows // 20, replace=False)
    table.loc[wrong, "kind"] = np.array(["bee", "ant"])[truth[wrong]]
    return table, wrong


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Return the folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "data.parquet"
    table_of()[0].to_parquet(path, row_group_size=400)
    return path


@pytest.mark.parametrize(
    ("size", "n_bytes"),
    [
        (5, 5),
        ("2GB", 2 * 10**9),
        ("1.5 kb", 1500),
        ("1GiB", 2**30),
        ("64m", 64 * 10**6),
    ],
)
def test_sizes_are_read(size, n_bytes):
    assert in_bytes(size) == n_bytes


@pytest.mark.parametrize("size", ["", "2 GBs", "-1", "0", 0, "much"])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(UserError, match="max_memory must be a size such as 2GB"):
        in_bytes(size)


def encodings(path, max_memory, **choices):
    """Return what a detector gets from blocks, and from the table as a whole."""
    seen = []

    class Remembering(ConfidentLearningDetector):
        def fit(self, X, y, **params):
            seen.append(X.load() if isinstance(X, BlockRows) else X)
            proba = np.full((len(y), 2), 0.5)
            return super().fit(None, y, pred_probs=proba)

    for limit in (max_memory, None):
        sknoisy.audit(path, "kind", detector=Remembering(), max_memory=limit, **choices)
    return seen


def test_blocks_are_encoded_as_the_whole_table_if_all_rows_are_learnt(
    parquet, monkeypatch
):
    monkeypatch.setattr(_big_tables, "_LEAST", 1500)
    blocks, whole = encodings(parquet, "200KB")
    assert blocks.dtype == np.float32
    np.testing.assert_allclose(blocks, whole, atol=1e-5)


@pytest.mark.slow
def test_csv_is_encoded_as_when_it_is_read_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(_big_tables, "_LEAST", 1500)
    path = tmp_path / "data.csv"
    table, _ = table_of()
    table["price"] = [f"{i % 90},5" for i in range(1500)]
    table.to_csv(path, index=False)
    blocks, whole = encodings(path, "200KB", decimal=",", text="size")
    np.testing.assert_allclose(blocks, whole, atol=1e-5)


def test_columns_are_learnt_from_a_sample(parquet):
    report = sknoisy.audit(parquet, "kind", detector=small_net(), max_memory="100KB")
    columns = report.audited.columns
    assert columns["numeric"] == ["length"] and columns["date"] == ["day"]
    assert columns["categorical"] == ["size"] and columns["text"] == ["note"]
    # Rows of a sample do not follow each other.
    assert report.audited.left_out == {"row": "numbers the rows"}
    assert "learnt from 1,000 rows; a network of 3 epochs" in report.audited.notes[-1]


@pytest.mark.slow
def test_a_cell_of_another_kind_than_in_the_sample_is_missing(tmp_path, monkeypatch):
    table, _ = table_of(1200)
    table["length"] = table["length"].astype(str)
    table["size"] = table["size"].fillna("S")
    sampled = np.arange(1000)
    table.loc[1100, ["length", "size", "day"]] = ["long", "XXL", "tomorrow"]
    monkeypatch.setattr(_big_tables, "_sample", lambda *args: sampled)
    path = tmp_path / "data.csv"
    table.to_csv(path, index=False)
    blocks, _ = encodings(path, "100KB")
    encoder = TableEncoder(random_state=0)
    read = table.drop(columns=["kind", "row"])
    read["length"] = pd.to_numeric(read["length"], errors="coerce")
    read["day"] = pd.to_datetime(read["day"], format="%d/%m/%Y", errors="coerce")
    expected = encoder.fit(read.iloc[sampled]).transform(read)
    np.testing.assert_allclose(blocks, expected, atol=1e-5)


def test_wrong_labels_are_found_and_files_removed(parquet, temporary, tmp_path):
    _, wrong = table_of()
    copies = []
    written = BlockRows.before_shuffling

    def remember(self):
        written(self)
        copies.append(list(temporary.glob("sknoisy-rows-*")))

    page, issues = tmp_path / "page.html", tmp_path / "issues.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BlockRows, "before_shuffling", remember)
        report = sknoisy.audit(
            parquet, "kind", detector=small_net(), max_memory="100KB"
        )
    # The encoded rows were on disk during the training.
    assert copies and all(len(names) == 1 for names in copies)
    assert [*temporary.glob("sknoisy*")] == []
    flagged = np.flatnonzero(report.frame["is_label_issue"])
    assert len(set(flagged) & set(wrong)) > 0.7 * len(wrong)
    assert report.audited.encoded is None
    assert report.frame.index.equals(pd.RangeIndex(1500))
    report.to_csv(issues, X=report.table.drop(columns=["kind"]))
    report.to_html(page)
    report.review(tmp_path / "review.html")
    assert [*temporary.glob("sknoisy*")] == []
    # As the rows of the whole table that are flagged.
    whole = tmp_path / "whole.csv"
    columns = pd.read_parquet(parquet).drop(columns="kind")
    report.to_csv(whole, X=columns)
    expected = pd.read_csv(whole)
    expected = expected[expected["is_label_issue"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_csv(issues), expected)
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        report.to_csv(issues, X=report.table)


@pytest.mark.slow
def test_decisions_need_a_table_that_was_read(parquet):
    report = sknoisy.audit(parquet, "kind", detector=small_net(), max_memory="100KB")
    with pytest.raises(ValueError, match="stayed on disk; pass a table that was read"):
        report.apply(action="relabel")
    table = pd.read_parquet(parquet)
    fixed = report.apply(table, "kind", action="relabel")
    assert (fixed["kind"] != table["kind"]).sum() == report.frame[
        "is_label_issue"
    ].sum()
    whole = sknoisy.audit(parquet, "kind", detector="neighbors")
    rows = np.array([1400, 3])
    assert report.row_checksums(rows) == whole.row_checksums(rows)


@pytest.mark.parametrize("how", ["error", "interrupt"])
def test_files_are_removed_if_a_training_ends_early(
    tmp_path, temporary, monkeypatch, how
):
    path = tmp_path / "data.csv"
    table_of()[0].to_csv(path, index=False)
    met = []

    def stop(self, *args, **kwargs):
        met.append([*temporary.glob("*/table.parquet")])
        met.append([*temporary.glob("sknoisy-rows-*")])
        if how == "error":
            raise RuntimeError("of ours")
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(NetClassifier, "training_loss", stop)
    with pytest.raises((RuntimeError, KeyboardInterrupt)):
        sknoisy.audit(path, "kind", detector=small_net(), max_memory="100KB")
    # The strings of the CSV, and the encoded rows.
    assert [*map(len, met[:2])] == [1, 1]
    assert [*temporary.glob("sknoisy*")] == []


@pytest.mark.slow
def test_an_index_is_kept(tmp_path):
    path = tmp_path / "data.parquet"
    table, _ = table_of(800)
    for index in (pd.Index([f"s{i}" for i in range(800)], name="id"), np.arange(800)):
        table.set_index(index)[["length", "kind"]].to_parquet(path, row_group_size=300)
        report = sknoisy.audit(path, "kind", detector=small_net(), max_memory="10KB")
        assert "in blocks" in report.audited.notes[-1]
        whole = pd.read_parquet(path)
        assert report.frame.index.equals(whole.index)
        assert (report.frame["given_label"] == whole["kind"]).all()
        rows = np.array([700, 2, 350, 2])
        pd.testing.assert_frame_equal(report.table.take(rows), whole.iloc[rows])


@pytest.mark.slow
def test_what_fits_is_read_as_a_whole(parquet):
    whole = sknoisy.audit(parquet, "kind", detector="neighbors")
    same = sknoisy.audit(parquet, "kind", detector="neighbors", max_memory="1GB")
    pd.testing.assert_frame_equal(whole.frame, same.frame)
    assert isinstance(same.table, pd.DataFrame)


def test_the_command_says_who_judges(parquet, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("sknoisy.auditing._detectors._EPOCHS", (1, 1))
    issues = tmp_path / "issues.csv"
    argv = ["audit", parquet, "--label", "kind", "--max-memory", "100KB", "--quiet"]
    out = succeeds(capsys, [*argv, "--issues", issues])
    assert "read in blocks; its columns were learnt from 1,000 rows; a network" in out
    assert "of 1 epochs predicts labels that it has not learnt" in out
    found = pd.read_csv(issues)
    assert found["is_label_issue"].all() and found["suspicion"].is_monotonic_decreasing
    assert f"flagged: {len(found)} labels" in out
    line = fails(capsys, [*argv, "--detector", "fine"])
    assert (
        "--detector fine needs all rows in memory; with --max-memory take auto" in line
    )
    line = fails(capsys, [*argv, "--aim", "f1"])
    assert "with --max-memory, --aim is for --detector dynacor" in line
    line = fails(capsys, [*argv[:-3], "--max-memory", "lots"])
    assert "--max-memory must be a size such as 2GB; got 'lots'" in line
    line = fails(capsys, ["audit", parquet, "--label", "kinds", *argv[4:]])
    assert "--label: there is no column 'kinds'; did you mean 'kind'?" in line


def test_a_large_file_gets_advice(parquet, monkeypatch):
    monkeypatch.setattr(_big_tables, "_free_memory", lambda: 100_000)
    with pytest.warns(UserWarning, match=r"max_memory='1GB' reads it in blocks"):
        sknoisy.audit(parquet, "kind", detector="neighbors")


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="needs /proc")
def test_the_free_memory_is_known():
    assert 2**20 < _big_tables._free_memory() < 2**50


def measure():
    spec = importlib.util.spec_from_file_location("out_of_core", SPEED)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_table(tmp_path):
    script = measure()
    script.make_rows(tmp_path, 100_000)
    least, most = (
        script.measured("audit", tmp_path, n_rows) for n_rows in (1000, 100_000)
    )
    extra = 1024 * (most["RssAnon"] - least["RssAnon"])
    assert 0 < extra < 300 * 2**20 + 400 * 100_000
