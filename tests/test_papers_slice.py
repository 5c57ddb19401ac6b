"""A table of the papers at its smallest size, see benchmarks/papers."""

import json
import sys
from pathlib import Path

import pytest

REASON = "the benchmarks are not here"
# Some of their names are those of folders of tests.
before = list(sys.path)
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks" / "papers"))
_tables = pytest.importorskip("_tables", reason=REASON)
loss_correction = pytest.importorskip("loss_correction", reason=REASON)
sys.path[:] = before
BESIDE = _tables.BESIDE

SIZE = ["--rows", "60", "--test", "20", "--epochs", "3"]
TABLE = ["--table", "1", "--row", "M-DYR-H"]


@pytest.fixture
def run(tmp_path, capsys):
    if not (BESIDE / "cifar10_features.npz").exists():
        pytest.skip(f"{BESIDE / 'cifar10_features.npz'} is not here")
    path = tmp_path / "found.jsonl"

    def run():
        argv = [*TABLE, *SIZE, "--results", str(path), "--plot", str(tmp_path)]
        _tables.main("table.py", loss_correction.TABLES, loss_correction.FIGURES, argv)
        return path, capsys.readouterr().out

    return run


def test_rows_stand_beside_the_published_ones_and_are_not_run_again(run, monkeypatch):
    path, printed = run()
    records = [json.loads(line) for line in path.read_text().splitlines()]
    names = [(r["row"], r["column"]) for r in records]
    methods, columns = (
        ("M-DYR-H (BMM)", "M-DYR-H (GMM)"),
        ("0 %", "20 %", "50 %", "80 %"),
    )
    assert names == [(m, c) for m in methods for c in columns]
    assert all(r["epochs"] == 3 and r["versions"]["sknoisy"] for r in records)
    assert "| 93.95(94.0)" in printed
    assert f"{records[1]['values']['last']:.2f} | 93.78(93.8)" in printed

    # A run that was killed while it wrote: only the last cell is run again.
    whole = path.read_text()
    path.write_text(whole[:-9])
    ran = []
    cell_run = _tables.Cell.run
    monkeypatch.setattr(
        _tables.Cell, "run", lambda cell: ran.append(cell.row.name) or cell_run(cell)
    )
    _, again = run()
    assert ran == ["M-DYR-H (GMM)"]
    assert again == printed
    assert [json.loads(line)["values"] for line in path.read_text().splitlines()] == [
        r["values"] for r in records
    ]


def test_every_row_has_a_published_figure_for_each_column():
    for table in loss_correction.TABLES.values():
        for row in table.rows:
            for measure, texts in row.published.items():
                assert measure in table.measures
                assert len(texts.split()) == len(table.columns), row.name
