import numpy as np
import pandas as pd
import pytest
from tool_files import ODD, SCORES, report_of, said

from sknoisy.cleaning import read_decisions

STRINGS = ["ant", "bee", "cat", "dog"]


def own_ids(report, rows):
    sums = report.row_checksums(np.array(rows))
    return [f"{row}-{sha}" for row, sha in zip(rows, sums, strict=True)]


def test_a_spreadsheet_runs_nothing_of_it(tmp_path):
    # Their first characters are those of formulas.
    classes = ["=1+2", "+x", "@sum", "-3.5"]
    report = report_of(classes)
    path = report.export(tmp_path / "rows.csv", "csv", n_random=8)
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    quoted = {"'=1+2", "'+x", "'@sum", "-3.5"}
    assert set(frame["given_label"]) == quoted
    assert set(frame["id_in_table"]) == {"'=x", "", "a,b", 'q"'}
    # People type labels with or without the mark.
    frame["label"] = frame["given_label"]
    assert set(read_decisions(frame)["decision"]) == {"keep"}
    frame["label"] = frame["given_label"].str.removeprefix("'")
    assert set(read_decisions(frame)["decision"]) == {"keep"}
    frame["label"] = "'=1+2"
    fixed = report.apply(decisions=read_decisions(frame))
    assert fixed.iloc[:, -1].tolist() == ["=1+2"] * 8


def test_columns_of_the_table_are_not_taken_for_keys_of_tools(tmp_path):
    names = ["data", "answer", "annotator", "annotation_id", "x.responses", "decision"]
    X = pd.DataFrame(dict.fromkeys(names, SCORES))
    report = report_of(STRINGS, X)
    path = report.export(tmp_path / "rows.csv", "csv", n_random=8)
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert {*names[:-1], "decision_in_table"} <= {*frame.columns}
    frame["label"] = frame["given_label"]
    assert read_decisions(frame)["decision"].tolist() == ["keep"] * 8


def test_two_columns_with_our_ids_need_the_report_for_the_given_label():
    report = report_of(STRINGS)
    lines = pd.DataFrame({"id": own_ids(report, [1, 2]), "label": ["bee", "ant"]})
    expected = [[1, "keep", ""], [2, "relabel", "ant"]]
    assert said(read_decisions(lines, report=report)) == expected
    assert report.apply(decisions=lines)["label"].tolist()[:3] == ["ant", "bee", "ant"]
    with pytest.raises(
        ValueError, match="record 1 has no 'given_label' in its columns"
    ):
        read_decisions(lines)
    lines.loc[0, "id"] = "99" + lines.loc[0, "id"]
    with pytest.raises(ValueError, match="an id of row 991, but the report has 8 rows"):
        read_decisions(lines, report=report)


def test_ids_of_others_are_those_of_the_index(tmp_path):
    X = pd.DataFrame({"size": SCORES}, index=[f"r-{i}" for i in range(8)])
    report = report_of(ODD, X)
    path = tmp_path / "labels.csv"
    lines = pd.DataFrame({"id": ["r-6", "r-1", "r-3"], "label": [ODD[1], ODD[1], ""]})
    lines.to_csv(path, index=False)
    expected = [[1, "keep", ""], [6, "relabel", ODD[1]]]
    assert said(read_decisions(path, report=report)) == expected
    renamed = lines.rename(columns={"label": "mine"})
    found = read_decisions(renamed, tool="csv", report=report, column="mine")
    assert said(found) == expected
    with pytest.raises(ValueError, match="the id 'r-6' is not one that Label"):
        read_decisions(path)
    lines.loc[0, "id"] = "r-9"
    with pytest.raises(ValueError, match="the id 'r-9' is not in the index of the rep"):
        read_decisions(lines, report=report)
    with pytest.raises(ValueError, match="there is no column 'label'; there are 'id'"):
        read_decisions(renamed, tool="csv", report=report)
    twice = report_of(ODD, X.set_axis([0] * 8))
    with pytest.raises(ValueError, match="the index of the report repeats, so its ids"):
        read_decisions(lines, report=twice)


def test_lines_that_differ_are_unsure():
    report = report_of(STRINGS)
    ids = own_ids(report, [1, 1, 2, 2])
    lines = pd.DataFrame({"id": ids, "label": ["bee", "ant", "ant", "ant"]})
    expected = [[1, "unsure", ""], [2, "relabel", "ant"]]
    assert said(read_decisions(lines, report=report)) == expected
