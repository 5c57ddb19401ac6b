import json
import shlex

import pandas as pd
import pytest
from command_tables import easy_table, fails, succeeds

from sknoisy.cleaning._decision_files import DECISION_FORMATS as ALL_FORMATS
from sknoisy.cleaning._exchange import EXPORTS as ENDINGS
from sknoisy.command_line._main import _DECISION_FORMATS, _EXPORTS

FAST = ["--detector", "confident-learning", "--label", "kind", "--random-rows", "40"]


@pytest.fixture
def csv(tmp_path, monkeypatch):
    table, _ = easy_table()
    table["note"] = ["1.50", "=2+2", 'a "quote", and a comma'] * 40
    table.to_csv(tmp_path / "data.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data.csv"


def answer(tasks, wrong):
    """Annotate tasks of Label Studio: the labels of some rows are wrong."""
    other = {"ant": "bee", "bee": "ant"}
    for number, task in enumerate(tasks):
        given = task["data"]["given_label"]
        label = other[given] if task["data"]["row"] in wrong else given
        result = task["predictions"][0]["result"][0] | {"value": {"choices": [label]}}
        task["annotations"] = [{"id": number, "completed_by": 1, "result": [result]}]
    skipped = next(task for task in tasks if task["data"]["row"] not in wrong)
    skipped["annotations"][0]["was_cancelled"] = True
    return tasks


def test_rows_go_to_a_tool_and_come_back(csv, capsys):
    _, wrong = easy_table()
    out = succeeds(capsys, ["review", "data.csv", *FAST, "--export", "label-studio"])
    assert "wrote data.label-studio.json and data.label-studio.xml" in out
    tasks = json.loads(csv.with_name("data.label-studio.json").read_text())
    shown = tasks[0]["data"]["columns"]
    row = tasks[0]["data"]["row"]
    assert shown == pd.read_csv(csv).loc[row, ["length", "width", "note"]].to_dict()
    answers = csv.with_name("answers.json")
    answers.write_text(json.dumps(answer(tasks, wrong)))
    decided = ["--decisions", "answers.json"]
    counted = succeeds(capsys, ["review", "data.csv", *FAST, *decided])
    assert counted.startswith(f"{len(tasks)} decisions\nnoise rate: ")
    # The line to type next.
    argv = shlex.split(out.splitlines()[-1])[1:]
    applied = succeeds(capsys, argv)
    assert f"relabelled: {len(wrong)}" in applied and "unsure: 1" in applied
    before = csv.read_text().splitlines()
    fixed = csv.with_name("data.fixed.csv").read_text().splitlines()
    changed = [i - 1 for i in range(len(before)) if before[i] != fixed[i]]
    assert len(before) == len(fixed) and changed == wrong
    argv = ["apply", "data.csv", *decided, "--out", "b.csv", "--skipped", "exclude"]
    assert "excluded: 1" in succeeds(capsys, argv)
    # A table that has changed since is refused.
    csv.write_text(csv.read_text().replace("1.50", "1.51"))
    line = fails(capsys, ["apply", "data.csv", *decided, "--out", "c.csv"])
    assert "data.csv is not the row that was reviewed" in line
    assert not csv.with_name("c.csv").exists()


def test_nothing_is_overwritten_and_endings_are_checked(csv, capsys):
    argv = ["review", "data.csv", *FAST, "--export", "label-studio"]
    config = csv.with_name("tasks.xml")
    config.write_text("mine")
    line = fails(capsys, [*argv, "--out", "tasks.json"])
    assert "tasks.xml already exists; --force replaces it" in line
    assert config.read_text() == "mine" and not csv.with_name("tasks.json").exists()
    assert "--out tasks.csv must end in .json" in fails(
        capsys, [*argv, "--out", "tasks.csv"]
    )
    line = fails(capsys, [*argv, "--decisions", "answers.json"])
    assert "--export is for a file to write; --decisions writes none" in line
    succeeds(capsys, [*argv, "--out", "tasks.json", "--force"])
    assert config.read_text().startswith("<View>")


def test_the_format_of_decisions_may_be_told(csv, capsys):
    out = succeeds(capsys, ["review", "data.csv", *FAST, "--export", "csv"])
    assert "wrote data.review.csv" in out
    csv.with_name("a.csv").write_text("id,label\n3,ant\n")
    argv = ["apply", "data.csv", "--decisions", "a.csv", "--out", "b.csv"]
    line = fails(capsys, argv)
    assert "--decisions a.csv: the id '3' is not one that LabelReport.export" in line
    line = fails(capsys, [*argv, "--decisions-format", "sknoisy"])
    assert "--decisions a.csv: decisions have no column 'row'" in line


def test_the_tools_are_those_of_the_reports():
    assert tuple(ENDINGS) == _EXPORTS
    assert set(ALL_FORMATS) == set(_DECISION_FORMATS)
