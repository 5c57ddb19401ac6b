"""A table of the papers at its smallest size, see benchmarks/papers."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

REASON = "the benchmarks are not here"
# Some of their names are those of folders of tests.
before = list(sys.path)
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks" / "papers"))
_tables = pytest.importorskip("_tables", reason=REASON)
loss_correction, flywheel, dynacor = (
    pytest.importorskip(name, reason=REASON)
    for name in ("loss_correction", "flywheel", "dynacor")
)
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


@pytest.mark.parametrize("script", [loss_correction, flywheel, dynacor])
def test_every_row_has_a_published_figure_for_each_column(script):
    for table in script.TABLES.values():
        for row in table.rows:
            for measure, texts in row.published.items():
                assert measure in table.measures
                assert len(texts.split()) == len(table.columns), row.name


def test_panels_stand_as_the_cells_of_the_table(tmp_path, monkeypatch):
    plt = pytest.importorskip("matplotlib.pyplot")
    shapes, subplots = [], plt.subplots

    def noted(*shape, **params):
        shapes.append(shape)
        return subplots(*shape, **params)

    monkeypatch.setattr(plt, "subplots", noted)
    table = _tables.Table("", [], [], None, plot=lambda ax, record: None)
    for rows, columns in ("abc", "xy"), ("abc", "x"), ("a", "xy"):
        cells = [{"row": row, "column": column} for row in rows for column in columns]
        _tables.draw(table, cells, tmp_path / "panels")
    assert shapes == [(3, 2), (1, 3), (1, 2)]
    assert (tmp_path / "panels.png").exists()


# Section 9.5: epochs, warm-up, and the learning rate before and after these epochs.
SCHEDULES = {
    "9.5.1, without mixup": (120, 30, 0.1, {30: 0.1, 80: 0.01, 110: 0.001}),
    "9.5.1, with mixup": (300, 105, 0.1, {100: 0.1, 250: 0.01}),
    "9.5.2": (100, 35, 0.001, {30: 0.1, 80: 0.01}),
}
STATIC = {"weights": "static", "mixup": None, "prior_weight": 0}
METHODS = {
    "CE": {"weights": None, "mixup": None},
    "ST-H": {**STATIC, "targets": "hard"},
    "ST-S": {**STATIC, "targets": "soft"},
    "DY-H": {"weights": "dynamic", "mixup": None, "prior_weight": 0},
    "DYR-S": {"mixup": None, "prior_weight": 1.0, "targets": "soft"},
    "M": {"weights": None, "mixup": "static"},
    "M-DYR-H (BMM)": {"mixup": "static", "targets": "hard", "mixture": "beta"},
    "M-DYR-H (GMM)": {"mixup": "static", "targets": "hard", "mixture": "gaussian"},
    "M-DYR-S": {"mixup": "static", "targets": "soft", "mixture": "beta"},
    "MD-DYR-SH (Beta)": {"targets": "soft_to_hard", "guidance": "beta"},
    "MD-DYR-SH (Binomial)": {"targets": "soft_to_hard", "guidance": "binomial"},
}


def test_every_row_is_one_call_with_the_published_settings():
    seen = set()
    published = (t for k, t in loss_correction.TABLES.items() if k != "tuned")
    for table in published:
        for row in table.rows:
            preset = row.preset or table.preset
            clf = preset.build(row.make)
            (schedule,) = [s for name, s in SCHEDULES.items() if name in preset.source]
            n_epochs, n_warmup, lr, steps = schedule
            assert clf.max_epochs == n_epochs
            assert clf.warmup_epochs == n_warmup
            assert clf.lr == lr
            for epoch, factor in steps.items():
                before, after = (
                    clf.lr_schedule(epoch + shift, n_epochs) for shift in (-1, 0)
                )
                assert after == pytest.approx(factor)
                assert before == pytest.approx(10 * factor)
            assert clf.batch_size == (256 if lr == 0.001 else 128)
            assert clf.get_params()["optimizer__weight_decay"] == 1e-4
            expected = METHODS.get(row.name, {})
            assert {name: getattr(clf, name) for name in expected} == expected
            seen.add(row.name)
    assert set(METHODS) <= seen


def test_a_table_may_be_smaller_at_the_smallest_scale_only():
    table = replace(loss_correction.TABLES["1"], tiny=(30, 20, 2, 8))
    small = loss_correction.TABLES["1"]

    def sizes(table, *argv):
        args = _tables.parse("table", {"1": table}, {}, ["--table", "1", *argv])
        found = _tables.sized(args, table)
        return found.rows, found.test, found.epochs, found.batch

    assert sizes(table) == (30, 20, 2, 8)
    assert sizes(small) == _tables.SCALES["tiny"]
    assert sizes(table, "--scale", "small") == _tables.SCALES["small"]
    assert sizes(table, "--rows", "60", "--batch", "4") == (60, 20, 2, 4)
