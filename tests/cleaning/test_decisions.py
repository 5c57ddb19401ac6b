import json

import numpy as np
import pandas as pd
import pytest

from sknoisy.cleaning import read_decisions
from sknoisy.cleaning._decisions import COLUMNS, check_rows, class_named
from sknoisy.cleaning._row_checksums import row_checksums

LINES = (
    ",".join(COLUMNS)
    + """
7,ab,bee,relabel,ant,rank 1,,1f
2,cd,ant,keep,,stratum 3,0.25,1f
4,ef,ant,Unsure,,,,1f
5,ef,ant,,,,,1f
"""
)


def written(tmp_path, text, name="decisions.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def record(**changes):
    return {"row": 0, "row_sha256": "a", "given_label": "x", "decision": "keep"} | (
        changes
    )


def test_a_csv_is_read_in_the_order_of_the_rows(tmp_path):
    frame = read_decisions(written(tmp_path, LINES))
    assert tuple(frame.columns) == COLUMNS
    assert frame["row"].dtype == np.int64 and frame["row"].tolist() == [2, 4, 7]
    assert frame["decision"].tolist() == ["keep", "unsure", "relabel"]
    assert frame["new_label"].tolist() == ["", "", "ant"]
    assert frame["sample_probability"].tolist()[0] == 0.25
    assert frame["sample_probability"].isna().tolist() == [False, True, True]


def test_what_a_spreadsheet_makes_of_it_is_read_too(tmp_path):
    expected = read_decisions(written(tmp_path, LINES))
    odd = LINES.replace(",", ";").replace("0.25", "0,25").replace("\n7;", "\n7.0;")
    path = written(tmp_path, odd.replace("\n", "\r\n"), "odd.csv", "utf-8-sig")
    pd.testing.assert_frame_equal(read_decisions(path), expected)


def test_json_frames_and_lists_say_the_same(tmp_path):
    expected = read_decisions(written(tmp_path, LINES))
    frame = pd.read_csv(written(tmp_path, LINES))
    records = json.loads(frame.to_json(orient="records"))
    for text in (json.dumps(records), json.dumps({"decisions": records})):
        found = read_decisions(written(tmp_path, text, "decisions.json"))
        pd.testing.assert_frame_equal(found, expected)
    pd.testing.assert_frame_equal(read_decisions(frame), expected)
    pd.testing.assert_frame_equal(read_decisions(records), expected)
    assert read_decisions([]).columns.tolist() == list(COLUMNS)


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ([{"row": 1}], "decisions have no column 'row_sha256'; they need row, row_sha"),
        ([record(row="-1")], "decision 1: row must be a number from 0; got '-1'"),
        ([record(), record(decision="drop")], "decision 2: decision must be one of ke"),
        ([record(decision="relabel")], "relabel needs a new_label; it is empty"),
        ([record(new_label="y")], "new_label is for relabel only; got 'y'"),
        (
            [record(sample="7")],
            "sample must be empty, 'rank 1' or 'stratum 1'; got '7'",
        ),
        (
            [record(sample_probability="1.5")],
            r"must be empty or in \(0, 1\]; got '1.5'",
        ),
        ([record(sample_probability="x")], r"must be empty or in \(0, 1\]; got 'x'"),
        ([record(sample="stratum 1")], "is empty, but sample is 'stratum 1'"),
        ([record(), record()], "there are two decisions about row 0; keep one"),
        ([1, 2], "decisions must be a list of objects"),
    ],
)
def test_what_is_wrong_is_said(decisions, message):
    with pytest.raises(ValueError, match=message):
        read_decisions(decisions)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("{", "d.json", "is not valid JSON"),
        ('{"rows": 3}', "d.json", "has no list of decisions"),
        ("", "d.csv", "is not valid CSV"),
        ('a,b\n"x', "d.csv", "is not valid CSV"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, text, name, message):
    with pytest.raises(ValueError, match=message):
        read_decisions(written(tmp_path, text, name))


def test_a_file_in_another_encoding_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not encoded in UTF-8"):
        read_decisions(written(tmp_path, "é", encoding="cp1252"))
    with pytest.raises(FileNotFoundError):
        read_decisions(tmp_path / "none.csv")


class TestCheckRows:
    X = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    labels = np.array(["p", "=q", "p"], dtype=object)

    def decisions(self, rows=(0, 1)):
        rows = np.array(rows, dtype=np.int64)
        sums = row_checksums(self.X, self.labels, rows)
        return read_decisions(
            [
                record(row=row, row_sha256=sha, given_label=self.labels[row])
                for row, sha in zip(rows, sums, strict=True)
            ]
        )

    def test_the_same_rows_are_taken(self):
        check_rows(self.decisions(), self.X, self.labels, self.labels)
        check_rows(self.decisions([]), self.X, self.labels, self.labels)

    def test_the_mark_of_a_spreadsheet_is_no_difference(self):
        decisions = self.decisions()
        decisions.loc[1, "given_label"] = "'=q"
        decisions["row_sha256"] = decisions["row_sha256"].str.upper() + " "
        check_rows(decisions, self.X, self.labels, self.labels)

    def test_other_rows_are_refused_and_named(self):
        args = self.X[:1], self.labels[:1], self.labels[:1]
        with pytest.raises(ValueError, match="about row 1, but the table has 1 rows"):
            check_rows(self.decisions(), *args)
        turned = self.labels[::-1], self.labels[::-1]
        other = np.array(["p", "p", "p"], dtype=object)
        message = "row 1 of t.csv has the label 'p', but .* '=q' .1 of 2 decided rows"
        with pytest.raises(ValueError, match=message):
            check_rows(self.decisions(), self.X, other, other, "t.csv")
        changed = self.X.assign(b=["x", "y!", "z"])
        message = "row 1 of the table is not the row that was reviewed: .* other cells"
        with pytest.raises(ValueError, match=message):
            check_rows(self.decisions(), changed, self.labels, self.labels)
        # A row was inserted before them.
        moved = self.X.iloc[[2, 0, 1]]
        with pytest.raises(ValueError, match="row 0 of the table is not the row"):
            check_rows(self.decisions(), moved, *turned)


def test_a_class_is_known_by_its_name():
    names = {"=a": 1, "'b": 2, "-1": 3}
    assert [class_named(n, names) for n in ("=a", "'=a", "'b", "-1")] == [1, 1, 2, 3]
    assert class_named("'-1", names) is None and class_named("b", names) is None
