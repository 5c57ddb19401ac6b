import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_tables import easy_table, fails, succeeds
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score

import sknoisy
from sknoisy._detector_choices import AIMS, DETECTORS, WITH_AIMS
from sknoisy._planting import _decision
from sknoisy._user_errors import UserError
from sknoisy.command_line import main

FAST = ["--detector", "confident-learning"]


@pytest.fixture
def csv(tmp_path):
    table, _ = easy_table()
    path = tmp_path / "data.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def no_detector(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the detector ran")

    monkeypatch.setattr("sknoisy.auditing._audit.fitted", refuse)


def test_labels_that_occur_once_are_named_and_the_rest_is_judged(tmp_path, capsys):
    table, _ = easy_table()
    table.loc[[3, 8], "kind"] = ["wasp", "hornet\x1b"]
    path, page = tmp_path / "data.csv", tmp_path / "page.html"
    issues = tmp_path / "issues.csv"
    table.to_csv(path, index=False)
    argv = ["audit", path, "--label", "kind", *FAST, "--out", page, "--issues", issues]
    out = succeeds(capsys, argv)
    assert "not scored: 2 labels that occur once (wasp, hornet\\x1b)\n" in out
    assert "Labels that occur once" in page.read_text()
    found = pd.read_csv(issues, index_col="row")
    assert sorted(found.index[~found["is_judged"]]) == [3, 8]
    assert found["is_label_issue"].sum() >= 4


def test_wrong_labels_of_a_csv_are_shown_and_written(csv, capsys, tmp_path):
    table, wrong = easy_table()
    issues, page = tmp_path / "issues.csv", tmp_path / "page.html"
    out = succeeds(
        capsys,
        ["audit", csv, "--label", "kind", *FAST, "--out", page, "--issues", issues],
    )
    assert f"{csv}: 120 rows, 2 classes in 'kind'" in out
    assert "columns: 2 numeric" in out
    found = pd.read_csv(issues, index_col="row")
    assert found.columns.tolist() == [
        "is_label_issue",
        "label_quality",
        "given_label",
        "predicted_label",
        "suspicion",
        "suggested_label",
        "is_judged",
        "reason",
        "length",
        "width",
    ]
    assert set(wrong) <= set(found.index[:6])
    assert found["suspicion"].is_monotonic_decreasing
    assert sorted(found.index) == list(range(120))
    assert (found["given_label"].sort_index() == table["kind"]).all()
    assert f"flagged: {found['is_label_issue'].sum()} labels" in out
    assert "<title>Label report</title>" in page.read_text()
    assert "length" in page.read_text()
    # Numbers are shown as numbers.
    assert '<td class="text">' not in page.read_text()


@pytest.mark.parametrize(
    ("detector", "kind"), [("auto", pd.DataFrame), ("neighbors", np.ndarray)]
)
def test_who_gets_a_frame(csv, monkeypatch, capsys, detector, kind):
    seen = []

    def stop(name, X, labels, params):
        seen.append(X)
        raise UserError("enough")

    monkeypatch.setattr("sknoisy.auditing._audit.fitted", stop)
    fails(capsys, ["audit", csv, "--label", "kind", "--detector", detector])
    assert [type(X) for X in seen] == [kind] and seen[0].shape == (120, 2)


def test_the_summary_lists_the_ten_most_suspicious_rows(csv, capsys, tmp_path):
    issues = tmp_path / "issues.csv"
    out = succeeds(capsys, ["audit", csv, "--label", "kind", *FAST, "--issues", issues])
    lines = out.partition("The most suspicious rows:\n")[2].splitlines()
    assert lines[0].split() == "row given suggested suspicion flagged".split()
    top = pd.read_csv(issues).head(10)
    shown = [line.split()[:3] for line in lines[1:11]]
    columns = ["row", "given_label", "suggested_label"]
    assert shown == top[columns].astype(str).to_numpy().tolist()
    assert lines[11] == f"wrote {issues}"


def test_scores_are_called_probabilities_where_they_are(csv, capsys, monkeypatch):
    monkeypatch.setattr(
        sknoisy.ConfidentLearningDetector, "scores_are_probabilities_", True
    )
    issues = csv.parent / "issues.csv"
    out = succeeds(capsys, ["audit", csv, "--label", "kind", *FAST, "--issues", issues])
    assert "suggested  probability of a wrong label  flagged\n" in out
    assert "noise_probability" in pd.read_csv(issues).columns


def test_the_noise_rate_is_in_words_without_an_interval(csv, capsys):
    out = succeeds(capsys, ["audit", csv, "--label", "kind", *FAST])
    line = out.split("noise rate: ")[1].split("\n")[0]
    assert line.startswith("about 5.0%, as the detector estimates it; ")
    assert "people or rules that err in a systematic way make this too low" in line
    assert "interval" not in out


@pytest.mark.slow
def test_planted_noise_in_digits_is_found(capsys, tmp_path):
    X, y = load_digits(return_X_y=True)
    table = pd.DataFrame(X, columns=[f"pixel {j}" for j in range(64)])
    clean, noisy, issues = (tmp_path / n for n in ("a.csv", "b.csv", "issues.csv"))
    table.assign(digit=y).to_csv(clean, index=False)
    plant = ["inject", clean, "--label", "digit", "--noise-rate", "0.2"]
    succeeds(capsys, [*plant, "--out", noisy])
    find = ["audit", noisy, "--label", "digit", "--issues", issues]
    out = succeeds(capsys, [*find, "--detector", "neighbors"])
    assert "left out: 'digit_clean'" in out
    mask = pd.read_csv(issues, index_col="row").sort_index()["is_label_issue"]
    # 0.939 to 0.959 over ten seeds.
    assert f1_score(pd.read_csv(noisy)["digit"] != y, mask) > 0.9


def test_parquet_keeps_its_index_and_the_type_of_its_labels(capsys, tmp_path):
    table, wrong = easy_table()
    table["kind"] = (table["kind"] == "bee").astype(int) + 7
    table.index = pd.Index([f"s{i}" for i in range(120)], name="sample")
    path, issues = tmp_path / "data.parquet", tmp_path / "issues.csv"
    table.to_parquet(path)
    succeeds(capsys, ["audit", path, "--label", "kind", *FAST, "--issues", issues])
    found = pd.read_csv(issues, index_col="sample")
    assert {f"s{i}" for i in wrong} <= set(found.index[:6])
    assert set(found["given_label"]) == {7, 8}


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    "kind", ["category", "category of int", "Int64", "bool", "float", "object"]
)
def test_parquet_labels_of_any_type_are_taken(capsys, tmp_path, kind):
    table, _ = easy_table()
    codes = (table["kind"] == "bee").astype(int)
    table["kind"] = {
        "category": lambda: table["kind"].astype("category"),
        "category of int": lambda: codes.astype("category"),
        "Int64": lambda: codes.astype("Int64"),
        "bool": lambda: codes.astype(bool),
        "float": lambda: codes + 0.5,
        "object": lambda: table["kind"].astype(object),
    }[kind]()
    path = tmp_path / "data.pq"
    table.to_parquet(path)
    out = succeeds(capsys, ["audit", path, "--label", "kind", *FAST])
    assert "2 classes" in out


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("names", [("01", "None"), ("01", "02"), ("True", "1.0")])
def test_labels_of_a_csv_are_taken_as_they_are_written(capsys, tmp_path, names):
    table, _ = easy_table()
    table["kind"] = table["kind"].map(dict(zip(["ant", "bee"], names, strict=True)))
    path, issues = tmp_path / "data.csv", tmp_path / "issues.csv"
    table.to_csv(path, index=False)
    succeeds(capsys, ["audit", path, "--label", "kind", *FAST, "--issues", issues])
    found = pd.read_csv(issues, dtype=str, keep_default_na=False)
    assert set(found["given_label"]) == set(names)


@pytest.mark.slow
def test_delimiter_and_encoding_are_used(capsys, tmp_path):
    table, _ = easy_table()
    table["kind"] = table["kind"].map({"ant": "Ameise", "bee": "Käfer"})
    path = tmp_path / "data.csv"
    table.to_csv(path, index=False, sep=";", encoding="cp1252")
    options = ["--label", "kind", *FAST, "--delimiter", ";", "--encoding", "cp1252"]
    assert "Käfer" in succeeds(capsys, ["audit", path, *options])
    tabbed = tmp_path / "data.tsv"
    table.to_csv(tabbed, index=False, sep="\t")
    assert "120 rows" in succeeds(capsys, ["audit", tabbed, "--label", "kind", *FAST])


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("name", sorted(set(DETECTORS) - {"auto", "dynacor"}))
def test_every_detector_can_be_asked_for(csv, capsys, name):
    # A mixture of few wrong labels warns; a slow machine would see progress.
    options = ["--label", "kind", "--detector", name, "--quiet"]
    out = succeeds(capsys, ["audit", csv, *options])
    assert f"detector: {name}\n" in out


def test_auto_says_what_counts_and_how_much(csv, capsys, monkeypatch):
    auto = sknoisy.AutoNoiseDetector
    neighbors = [("near", sknoisy.NeighborVoteDetector(n_rounds=3))]
    taken = []

    def remember(random_state):
        taken.append(random_state)
        return auto(neighbors, random_state=random_state)

    monkeypatch.setattr(sknoisy, "AutoNoiseDetector", remember)
    argv = ["audit", csv, "--label", "kind", "--random-state", "3"]
    assert "detector: auto (near 100%)\n" in succeeds(capsys, argv)
    assert taken == [3]


def test_the_aim_reaches_the_detector(csv, capsys, monkeypatch):
    auto = sknoisy.AutoNoiseDetector
    neighbors = [("near", sknoisy.NeighborVoteDetector(n_rounds=3))]
    aims = []

    def remember(**params):
        aims.append(params.get("aim"))
        return auto(neighbors, **params)

    monkeypatch.setattr(sknoisy, "AutoNoiseDetector", remember)
    argv = ["audit", csv, "--label", "kind"]
    flagged = [
        re.search(r"flagged: +([0-9]+)", succeeds(capsys, [*argv, *aim]))[1]
        for aim in ((), ("--aim", "recall"), ("--aim", "precision"))
    ]
    assert aims == [None, "recall", "precision"]
    assert int(flagged[2]) <= int(flagged[0]) <= int(flagged[1])


def test_the_aims_are_those_of_the_detectors():
    assert set(AIMS) == set(_decision.AIMS)
    for name in WITH_AIMS:
        assert "aim" in getattr(sknoisy, DETECTORS[name])().get_params()


def test_other_detectors_have_no_aim(csv, capsys):
    error = fails(capsys, ["audit", csv, "--label", "kind", *FAST, "--aim", "f1"])
    assert "--aim is for --detector auto or dynacor; got confident-learning" in error


def test_the_same_seed_prints_the_same_summary(csv, capsys):
    argv = ["audit", csv, "--label", "kind", "--detector", "neighbors"]
    first = succeeds(capsys, argv)
    assert succeeds(capsys, argv) == first


@pytest.mark.slow
def test_the_true_labels_of_a_trial_are_not_looked_at(capsys, tmp_path):
    table, _ = easy_table()
    path, issues = tmp_path / "data.csv", tmp_path / "issues.csv"
    argv = ["audit", path, "--label", "kind", *FAST, "--issues", issues, "--force"]
    table.to_csv(path, index=False)
    succeeds(capsys, argv)
    expected = pd.read_csv(issues)
    table.assign(kind_clean=table["kind"]).to_csv(path, index=False)
    assert "left out: 'kind_clean' (the true labels" in succeeds(capsys, argv)
    # The file has all columns of the table; scores and reasons do without this one.
    found = pd.read_csv(issues)
    pd.testing.assert_frame_equal(found.drop(columns="kind_clean"), expected)


@pytest.mark.slow
def test_dropped_columns_are_named_and_not_looked_at(capsys, tmp_path):
    table, _ = easy_table()
    path, issues = tmp_path / "data.csv", tmp_path / "issues.csv"
    argv = ["audit", path, "--label", "kind", *FAST, "--issues", issues, "--force"]
    table.to_csv(path, index=False)
    succeeds(capsys, argv)
    expected = pd.read_csv(issues)
    table.assign(leak=table["kind"], row=range(120)).to_csv(path, index=False)
    out = succeeds(capsys, [*argv, "--drop", "leak"])
    assert "left out: 'leak' (--drop)\n" in out
    assert "left out: 'row' (numbers the rows)\n" in out
    found = pd.read_csv(issues)
    assert list(found.columns[-2:]) == ["leak", "row_in_table"]
    pd.testing.assert_frame_equal(found[expected.columns], expected)


CONTENTS = {
    "empty": ("", "is empty"),
    "no rows": ("a,kind\n", "has no rows"),
    "missing": ("a,kind\n1,x\n2,\n3,y\n", "1 missing label(s), the first in row 1 "),
    "blank": ("a,kind\n1,x\n2,y\n3,  \n", "1 missing label(s), the first in row 2 "),
    "one class": ("a,kind\n1,x\n2,x\n", "has a single label, 'x'"),
    "no class": ("a,kind\n1,.1\n2,.2\n3,.3\n", "3 different values in 3 rows"),
    "unknown": ("a,Kinds\n1,x\n", "there is no column 'kind'; did you mean 'Kinds'?"),
    "far": ("a,b\n1,x\n", "there is no column 'kind'; there are 'a', 'b'"),
    "mark": ("a;kind\n1;x\n", "if its columns are separated by ';', pass --delimiter"),
    "twice": ("kind,kind\n1,x\n2,y\n", "has 2 columns named 'kind'"),
    "ragged": ("a,kind\n1,x\n2,y,5\n", "is not valid CSV: "),
    "long": ("a,kind\n1,x,\n2,y,5\n", "has lines with more cells than the first"),
    "numbered": ("a,kind\n0,1,x\n1,5,y\n", "cells than the first one, which has 2"),
    "open": ('a,kind\n1,"x\n', "is not valid CSV: "),
    "useless": ("a,kind\n1,x\n1,y\n1,x\n1,y\n", "no column is left"),
    "too few": ("a,kind\n1,x\n5,y\n4,x\n7,x\n", "ConfidentLearningDetector cannot "),
}


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize("name", CONTENTS)
def test_a_table_that_cannot_be_judged_is_one_clear_line(capsys, tmp_path, name):
    content, message = CONTENTS[name]
    path, page = tmp_path / "data.csv", tmp_path / "page.html"
    path.write_text(content)
    argv = ["audit", path, "--label", "kind", *FAST, "--out", page]
    assert message in fails(capsys, argv)
    assert os.listdir(tmp_path) == ["data.csv"]


def test_a_wrong_encoding_is_one_clear_line(capsys, tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes("a,kind\n1,Käfer\n2,x\n".encode("latin-1"))
    argv = ["audit", path, "--label", "kind"]
    assert "is not encoded in utf-8; pass its encoding" in fails(capsys, argv)


def test_a_file_that_is_no_table_is_one_clear_line(capsys, tmp_path):
    def message(path):
        return fails(capsys, ["audit", path, "--label", "kind"])

    assert "there is no file" in message(tmp_path / "none.csv")
    (tmp_path / "data.xlsx").touch()
    assert "has the extension '.xlsx'; supported are .csv, .tsv" in message(
        tmp_path / "data.xlsx"
    )
    (tmp_path / "data.parquet").write_bytes(b"no table at all")
    assert "cannot be read as Parquet: " in message(tmp_path / "data.parquet")


def test_a_file_that_cannot_be_read_is_one_clear_line(csv, capsys, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied", str(csv))

    argv = ["audit", csv, "--label", "kind"]
    with monkeypatch.context() as patch:
        patch.setattr(pd, "read_csv", refuse)
        assert "data.csv cannot be read: Permission denied" in fails(capsys, argv)
    monkeypatch.setattr(os, "stat", refuse)
    assert "Permission denied" in fails(capsys, argv)


def test_a_missing_package_is_one_line_that_names_the_extra(csv, capsys, monkeypatch):
    parquet = csv.with_suffix(".parquet")
    parquet.touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    line = fails(capsys, ["audit", parquet, "--label", "kind"])
    assert "Parquet needs pyarrow: pip install 'sknoisy[report]'" in line
    monkeypatch.setitem(sys.modules, "pandas", None)
    line = fails(capsys, ["audit", csv, "--label", "kind"])
    assert "tables need pandas: pip install 'sknoisy[report]'" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--drop", "lenght"], "--drop: there is no column 'lenght'; did you mean"),
        (["--text", "lenght"], "--text: there is no column 'lenght'; did you mean"),
        (["--drop", "kind"], "--drop: there is no column 'kind'"),
        (["--text", "width", "--drop", "width"], "--text and --drop both name 'width'"),
        (["--out", "page.txt"], "--out page.txt must end in .html or .htm"),
        (["--issues", "list.html"], "--issues list.html must end in .csv"),
        (["--out", "folder.html"], "--out folder.html is a folder; give a file"),
        (["--out", "none/page.html"], "there is no folder none"),
        (["--issues", "data.csv"], "--issues data.csv is the input table"),
        (["--issues", "data.csv", "--force"], "data.csv is the input table"),
        (["--out", "old.html"], "--out old.html already exists; --force replaces it"),
        (["--issues", "old.csv"], "--issues old.csv already exists; --force"),
    ],
)
def test_options_are_refused_before_the_detector_runs(
    csv, capsys, monkeypatch, no_detector, options, message
):
    monkeypatch.chdir(csv.parent)
    (csv.parent / "folder.html").mkdir()
    for name in ("old.html", "old.csv"):
        (csv.parent / name).write_text("precious")
    before = {p: p.is_dir() or p.read_bytes() for p in csv.parent.iterdir()}
    argv = ["audit", "data.csv", "--label", "kind", *options]
    assert message in fails(capsys, argv)
    assert {p: p.is_dir() or p.read_bytes() for p in csv.parent.iterdir()} == before


def test_a_folder_without_the_right_to_write_is_refused(
    csv, capsys, monkeypatch, no_detector
):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    argv = ["audit", csv, "--label", "kind", "--out", csv.parent / "page.html"]
    assert "cannot be written to" in fails(capsys, argv)


def test_force_replaces_what_is_there(csv, capsys):
    page = csv.parent / "page.html"
    page.write_text("old")
    argv = ["audit", csv, "--label", "kind", *FAST, "--out", page, "--force"]
    assert f"wrote {page}" in succeeds(capsys, argv)
    assert "Label report" in page.read_text()


def test_a_failure_while_writing_leaves_the_old_file_and_no_other(
    csv, capsys, monkeypatch
):
    page = csv.parent / "page.html"
    page.write_text("old")

    write = Path.write_text

    def half(self, text, **options):
        write(self, text[: len(text) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    argv = ["audit", csv, "--label", "kind", *FAST, "--out", page, "--force"]
    assert "page.html cannot be written: No space left" in fails(capsys, argv)
    assert page.read_text() == "old"
    assert sorted(os.listdir(csv.parent)) == ["data.csv", "page.html"]


def test_a_file_that_came_up_meanwhile_is_not_replaced(csv, capsys, monkeypatch):
    page = csv.parent / "page.html"
    write = sknoisy.LabelReport.to_html

    def race(self, path, **options):
        page.write_text("of another")
        write(self, path, **options)

    monkeypatch.setattr(sknoisy.LabelReport, "to_html", race)
    argv = ["audit", csv, "--label", "kind", *FAST, "--out", page]
    assert "already exists" in fails(capsys, argv)
    assert page.read_text() == "of another"


def test_written_files_have_the_usual_permissions(csv, capsys):
    page, usual = csv.parent / "page.html", csv.parent / "usual"
    usual.touch()
    succeeds(capsys, ["audit", csv, "--label", "kind", *FAST, "--out", page])
    assert page.stat().st_mode == usual.stat().st_mode


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["audit"],
        ["audit", "data.csv", "--label", "y", "--detector", "magic"],
        ["audit", "data.csv", "--label", "y", "--delimiter", "ab"],
        ["audit", "data.csv", "--label", "y", "--encoding", "utf-9000"],
        ["audit", "data.csv", "--label", "y", "--random-state", "-1"],
    ],
)
def test_wrong_usage_ends_with_status_2(capsys, argv):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert "sknoisy" in capsys.readouterr().err


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal_only_and_not_if_quiet(
    csv, capsys, monkeypatch
):
    argv = ["audit", str(csv), "--label", "kind", *FAST]
    out = succeeds(capsys, argv)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(argv) == 0
    again = capsys.readouterr()
    assert again.out == out
    assert "\rscoring 120 labels:   0%|" in again.err
    # Nothing is left on the screen, and the cursor is where it was.
    assert "\n" not in again.err and again.err.endswith(" \r")
    succeeds(capsys, [*argv, "--quiet"])


@pytest.mark.slow
def test_a_warning_is_one_line_once_and_none_if_quiet(csv, capsys, monkeypatch):
    report = sknoisy.label_report

    def warn(detector, X, y):
        for _ in range(2):
            np.array([1.0]) / 0
        return report(detector, X, y)

    monkeypatch.setattr("sknoisy.auditing._audit.label_report", warn)
    argv = ["audit", str(csv), "--label", "kind", *FAST]
    assert main(argv) == 0
    assert capsys.readouterr().err == (
        "sknoisy: warning: divide by zero encountered in divide\n"
    )
    succeeds(capsys, [*argv, "--quiet"])


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 2, "out of memory"),
        (ValueError("two\n lines"), 2, "cannot score these labels: two lines"),
    ],
)
def test_what_stops_a_detector_is_one_line(
    csv, capsys, monkeypatch, error, status, message
):
    def stop(*args):
        raise error

    monkeypatch.setattr(sknoisy.ConfidentLearningDetector, "fit", stop)
    assert message in fails(capsys, ["audit", csv, "--label", "kind", *FAST], status)


def test_a_label_does_not_reach_the_terminal_as_a_command(capsys, tmp_path):
    table, _ = easy_table()
    table["kind"] = table["kind"].map({"ant": "\x1b[2J", "bee": "b" * 50})
    path = tmp_path / "data.csv"
    table.to_csv(path, index=False)
    out = succeeds(capsys, ["audit", path, "--label", "kind", *FAST])
    assert "\x1b" not in out
    assert "b" * 29 + "…" in out
    assert "b" * 30 not in out


def run(*argv, **options):
    command = [sys.executable, "-m", "sknoisy", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.mark.slow
def test_end_to_end_in_a_process_of_its_own(csv):
    page = csv.parent / "page.html"
    done = run("audit", csv, "--label", "kind", *FAST, "--out", page)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"wrote {page}" in done.stdout
    again = run("audit", csv, "--label", "kind", "--out", page)
    assert again.returncode == 2
    assert again.stderr.startswith("sknoisy: error: --out ")
    assert again.stderr.count("\n") == 1


@pytest.mark.slow
def test_other_letters_than_the_terminals_are_replaced():
    done = run(
        "audit",
        "Käse.csv",
        "--label",
        "y",
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert done.stderr == "sknoisy: error: there is no file K?se.csv\n"


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_summary_that_cannot_be_written_is_one_line(csv):
    command = [sys.executable, "-m", "sknoisy", "audit", csv, "--label", "kind", *FAST]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("sknoisy: error: the summary cannot be written: ")
    assert done.stderr.count("\n") == 1


def test_what_is_for_stderr_is_not_put_on_stdout(csv, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["audit", "no_such_table.csv", "--label", "y"]) == 2
    fit = sknoisy.ConfidentLearningDetector.fit

    def warn(self, X, y):
        np.array([1.0]) / 0
        return fit(self, X, y)

    monkeypatch.setattr(sknoisy.ConfidentLearningDetector, "fit", warn)
    assert main(["audit", str(csv), "--label", "kind", *FAST]) == 0
    out = capsys.readouterr().out
    assert "error" not in out and "warning" not in out and "flagged: " in out


def test_help_needs_neither_torch_nor_pandas():
    code = (
        "import atexit, sys; sys.modules['pandas'] = None\n"
        "atexit.register(lambda: print('torch' in sys.modules))\n"
        "from sknoisy.command_line import main; main(['audit', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--detector" in done.stdout
    assert done.stdout.endswith("False\n")
