import csv

import numpy as np
import pandas as pd
import pytest
from known_detector import KnownDetector

from sknoisy import label_report

RUN = ["=1+2", "+cmd", "-x", "@SUM(A1)", "\ttab", "\rreturn", "=HYPERLINK(1)", "-inf"]
HARMLESS = ["ant", "-1", "+1.5", "-.5e-3", "1-2", "'=1", " =1", ""]
SCORES = np.linspace(0, 1, 8)


def lines_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def report_of(labels, index=None):
    y = pd.Series(labels, index=index)
    detector = KnownDetector(SCORES).fit(np.zeros((8, 1)), y)
    return label_report(detector, None, y)


def test_texts_that_a_spreadsheet_would_run_are_quoted(tmp_path):
    report = report_of(RUN)
    head, *lines = lines_of(report.to_csv(tmp_path / "a.csv"))
    assert head == ["row", *report.frame.columns]
    assert [line[0] for line in lines] == [str(row) for row in range(8)][::-1]
    assert [line[3] for line in lines] == [f"'{label}" for label in RUN[::-1]]
    assert all(cell[:1] not in tuple("=+-@\t\r") for line in lines for cell in line)


def test_it_can_be_switched_off(tmp_path):
    path = report_of(RUN).to_csv(tmp_path / "a.csv", escape_formulas=False)
    assert [line[3] for line in lines_of(path)[1:]] == RUN[::-1]


def test_numbers_and_harmless_texts_stay_as_they_are(tmp_path):
    report = report_of(HARMLESS)
    lines = lines_of(report.to_csv(tmp_path / "a.csv"))[1:]
    assert [line[3] for line in lines] == HARMLESS[::-1]
    report = report_of([-3, 1, -2, 4, -3, 1, -2, 4], index=range(-8, 0))
    lines = lines_of(report.to_csv(tmp_path / "b.csv"))[1:]
    assert [line[3] for line in lines] == ["4", "-2", "1", "-3"] * 2
    assert [line[0] for line in lines] == [str(row) for row in range(-1, -9, -1)]


def test_names_of_rows_and_of_their_index_are_quoted_too(tmp_path):
    labels = ["ant", "bee"] * 4
    index = pd.Index([f"={i}" for i in range(8)], name="@name")
    head, first, *_ = lines_of(report_of(labels, index).to_csv(tmp_path / "a.csv"))
    assert (head[0], first[0]) == ("'@name", "'=7")
    index = pd.MultiIndex.from_product([["=a", "b"], range(4)], names=[None, None])
    head, first, *_ = lines_of(report_of(labels, index).to_csv(tmp_path / "b.csv"))
    assert (head[:2], first[:2]) == (["row", "row_1"], ["b", "3"])


def test_an_index_may_be_called_like_a_column(tmp_path):
    index = pd.Index(range(8), name="given_label")
    head, *_ = lines_of(report_of(["a", "b"] * 4, index).to_csv(tmp_path / "a.csv"))
    assert head.count("given_label") == 2


def test_a_file_that_is_there_is_kept_unless_asked(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("precious")
    report = report_of(["ant", "bee"] * 4)
    with pytest.raises(FileExistsError, match=r"a\.csv exists already; pass overwr"):
        report.to_csv(path)
    assert path.read_text() == "precious"
    assert report.to_csv(path, overwrite=True) == path
    assert len(lines_of(path)) == 9
