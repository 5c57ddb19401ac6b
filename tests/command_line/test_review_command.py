import re
import shlex

import numpy as np
import pandas as pd
import pytest
from command_tables import easy_table, fails, succeeds

from sknoisy.command_line import main

FAST = ["--detector", "confident-learning", "--label", "kind"]


@pytest.fixture
def csv(tmp_path):
    table, _ = easy_table(300)
    table["note"] = ["1.50", "=2+2", "x"] * 100
    path = tmp_path / "my data.csv"
    table.to_csv(path, index=False)
    return path


def decide(page, path, wrong, n=None):
    """Decide on the rows of a page, as its script writes it."""
    audit = re.search(r'"audit_id": "([0-9a-f]*)"', page.read_text())[1]
    pattern = (
        r'data-row="(\d+)" data-sha="([0-9a-f]+)" data-given="(\d)" '
        r'data-suggested="\d" data-score="[\d.]+" data-sample="([a-z0-9 ]*)" '
        r'data-probability="([\d.]*)"'
    )
    lines = re.findall(pattern, page.read_text())[:n]
    frame = pd.DataFrame(
        lines, columns=["row", "row_sha256", "code", "sample", "sample_probability"]
    )
    names = np.array(["ant", "bee"])
    code = frame["code"].astype(int).to_numpy()
    is_wrong = frame["row"].astype(int).isin(wrong).to_numpy()
    frame["given_label"] = names[code]
    frame["decision"] = np.where(is_wrong, "relabel", "keep")
    frame["new_label"] = np.where(is_wrong, names[1 - code], "")
    frame["audit_id"] = audit
    frame.drop(columns="code").to_csv(path, index=False)
    return frame


def test_audit_page_decisions_apply(csv, capsys, tmp_path, monkeypatch):
    _, wrong = easy_table(300)
    monkeypatch.chdir(tmp_path)
    out = succeeds(capsys, ["review", csv.name, *FAST])
    page = tmp_path / "my data.review.html"
    assert f"{csv.name}: 300 rows, 2 classes in 'kind'" in out
    assert "wrote my data.review.html" in out
    # The two next lines can be typed as they are.
    browse, apply = out.splitlines()[-2:]
    assert browse == f"  python -m webbrowser {page.absolute().as_uri()}"
    decisions = decide(page, tmp_path / "decisions.csv", wrong)
    assert len(decisions) > 100
    argv = shlex.split(apply)
    assert argv[0] == "sknoisy"
    succeeds(capsys, argv[1:])
    before = csv.read_text().splitlines()
    fixed = (tmp_path / "my data.fixed.csv").read_text().splitlines()
    changed = [i - 1 for i in range(len(before)) if before[i] != fixed[i]]
    assert len(before) == len(fixed) and changed == wrong
    # The same audit again counts the decisions.
    argv = ["review", csv.name, *FAST, "--decisions", "decisions.csv"]
    out = succeeds(capsys, argv)
    assert out.startswith(f"{len(decisions)} decisions\nnoise rate: ")
    low, high = re.search(r"between ([\d.]+)% and ([\d.]+)% with 95%", out).groups()
    assert float(low) <= 100 * len(wrong) / 300 <= float(high)
    assert "ranking: " in out and "score from  flagged  reviewed  wrong" in out


def test_few_decisions_say_what_they_can(csv, capsys, tmp_path):
    page = tmp_path / "page.html"
    argv = ["review", csv, *FAST, "--max-rows", "5", "--random-rows", "0"]
    succeeds(capsys, [*argv, "--out", page])
    path = tmp_path / "decisions.csv"
    decisions = decide(page, path, [])
    assert len(decisions) == 5
    out = succeeds(capsys, ["review", csv, *FAST, "--decisions", path])
    assert "noise rate: not known, the decisions have no rows that were drawn" in out
    assert "ranking: 5 rows reviewed; of the last 5, 0 were wrong; go on" in out


def test_decisions_of_another_audit_are_one_line(csv, capsys, tmp_path):
    page, path = tmp_path / "page.html", tmp_path / "decisions.csv"
    succeeds(capsys, ["review", csv, *FAST, "--out", page])
    decide(page, path, [], 3)
    other = ["review", csv, "--label", "kind", "--detector", "neighbors"]
    line = fails(capsys, [*other, "--decisions", path])
    assert "the decisions do not fit: the decisions are from the audit" in line


def test_people_see_the_columns_but_not_the_answer(capsys, tmp_path):
    table, _ = easy_table()
    table["kind_clean"], table["comment"] = "secret", "seen"
    table["price"] = [f"{i % 50},5" for i in range(120)]
    path = tmp_path / "data.tsv"
    table.to_csv(path, index=False, sep="\t")
    argv = ["review", path, *FAST, "--drop", "comment", "--decimal", ","]
    out = succeeds(capsys, argv)
    page = (tmp_path / "data.review.html").read_text()
    assert "secret" not in page and "seen" in page and "length" in page
    # Read with its decimal comma, a price is a number with quartiles.
    assert re.search(r"price</th><td[^>]*>\d+\.5", page)
    assert "data.fixed.tsv" in out


def test_parquet_and_packed_tables_are_reviewed(capsys, tmp_path):
    table, wrong = easy_table()
    table.index = [f"r{i}" for i in range(120)]
    packed, parquet = tmp_path / "a.csv.gz", tmp_path / "b.parquet"
    table.to_csv(packed, index=False)
    table.astype({"kind": "category"}).to_parquet(parquet)
    for path, fixed in ((packed, "a.fixed.csv"), (parquet, "b.fixed.parquet")):
        out = succeeds(capsys, ["review", path, *FAST])
        argv = shlex.split(out.splitlines()[-1])[1:]
        assert argv[-1] == str(tmp_path / fixed)
        page = tmp_path / f"{path.name[0]}.review.html"
        decisions = tmp_path / "decisions.csv"
        decide(page, decisions, wrong)
        argv[argv.index("decisions.csv")] = str(decisions)
        succeeds(capsys, argv)
    found = pd.read_parquet(tmp_path / "b.fixed.parquet")
    assert found.index.tolist() == table.index.tolist()
    truth = np.array(["ant", "bee"])[np.arange(120) % 2]
    assert found["kind"].dtype == "category" and (found["kind"] == truth).all()
    assert (pd.read_csv(tmp_path / "a.fixed.csv")["kind"] == truth).all()


def test_nothing_is_overwritten_without_force(csv, capsys, tmp_path, monkeypatch):
    page = tmp_path / "my data.review.html"
    page.write_text("mine")
    assert "already exists; --force replaces it" in fails(
        capsys, ["review", csv, *FAST]
    )
    assert page.read_text() == "mine"
    succeeds(capsys, ["review", csv, *FAST, "--force"])
    line = fails(capsys, ["review", csv, *FAST, "--out", "x.html", "--decisions", "d"])
    assert "--out is for a file to write; --decisions writes none" in line


@pytest.mark.parametrize("value", ["-1", "1.5", "many"])
def test_counts_are_whole_numbers(csv, capsys, value):
    with pytest.raises(SystemExit):
        main(["review", str(csv), *FAST, "--max-rows", value])
    assert f"must be a whole number; got '{value}'" in capsys.readouterr().err


def test_issues_have_the_columns_and_a_reason(csv, capsys, tmp_path):
    table, wrong = easy_table(300)
    issues = tmp_path / "issues.csv"
    succeeds(capsys, ["audit", csv, *FAST, "--issues", issues])
    found = pd.read_csv(issues, dtype=str, keep_default_na=False, index_col="row")
    assert list(found)[-4:] == ["reason", "length", "width", "note"]
    found = found.loc[[str(i) for i in range(300)]]
    assert found["length"].astype(float).tolist() == table["length"].tolist()
    assert found["note"].tolist()[:3] == ["1.50", "'=2+2", "x"]
    flagged = found["is_label_issue"] == "True"
    assert (found["reason"][~flagged] == "").all()
    reason = found["reason"].iloc[wrong[0]]
    assert reason.startswith("looks like bee: length is ") and "in ant" in reason
