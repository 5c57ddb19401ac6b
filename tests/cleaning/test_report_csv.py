import csv

import numpy as np
import pandas as pd
import polars as pl
import pytest
from known_detector import KnownDetector
from sklearn.linear_model import LogisticRegression

from sknoisy import ConfidentLearningDetector, label_report

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


class TestOriginalColumns:
    frame = pd.DataFrame({"suspicion": ["=1+1", "b", "c"], "size": [9, 1, 9]})

    def report(self):
        scores = np.array([0.9, 0.2, 0.3])
        return label_report(KnownDetector(scores), self.frame[["size"]], list("aab"))

    def test_they_come_last_in_the_order_of_the_rows(self, tmp_path):
        path = self.report().to_csv(tmp_path / "issues.csv", X=self.frame)
        found = pd.read_csv(path)
        assert list(found)[-3:] == ["reason", "suspicion_in_table", "size"]
        assert found["row"].tolist() == [0, 2, 1]
        assert found["size"].tolist() == [9, 9, 1]
        assert found["suspicion_in_table"].tolist() == ["'=1+1", "c", "b"]
        assert found["reason"][0] == "looks like b: size is 9, usual 1 to 1 in a"
        assert found["reason"][1:].isna().all()
        same = self.report().to_csv(tmp_path / "p.csv", X=pl.from_pandas(self.frame))
        assert same.read_text() == path.read_text()

    def test_bad_columns_are_refused(self, tmp_path):
        with pytest.raises(TypeError, match="X must be a DataFrame; got ndarray"):
            self.report().to_csv(tmp_path / "a.csv", X=self.frame.to_numpy())
        with pytest.raises(ValueError, match="inconsistent numbers"):
            self.report().to_csv(tmp_path / "a.csv", X=self.frame[:2])

    def test_a_label_that_occurs_once_says_so(self, tmp_path):
        X = pd.DataFrame({"a": [0.0, 1, 2, 3, 4, 5, 6]})
        detector = ConfidentLearningDetector(LogisticRegression(), cv=2, random_state=0)
        report = label_report(detector, X, list("ppppqqz"))
        path = report.to_csv(tmp_path / "a.csv", X=X)
        found = pd.read_csv(path, index_col="row")
        assert found["reason"][6] == "its label occurs once"
