import json

import numpy as np
import pandas as pd
import pytest
from command_tables import easy_table, fails, succeeds

from sknoisy.cleaning._row_checksums import row_checksums


@pytest.fixture
def csv(tmp_path):
    table, _ = easy_table()
    table["note"] = ["1.50", "=2+2", 'a "quote", and a comma'] * 40
    table = table[["kind", "length", "width", "note"]]
    path = tmp_path / "data.csv"
    table.to_csv(path, index=False)
    return path


def strings(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def decide(path, changes, table=None, label="kind"):
    """Write decisions about a table: a dict of row to (decision, new label)."""
    table = strings(path) if table is None else table
    rows = np.array(list(changes), dtype=np.int64)
    out = path.with_name("decisions.csv")
    pd.DataFrame(
        {
            "row": rows,
            "row_sha256": row_checksums(table, None, rows),
            "given_label": table[label].iloc[rows].astype(str).to_numpy(),
            "decision": [kind for kind, _ in changes.values()],
            "new_label": [new for _, new in changes.values()],
        }
    ).to_csv(out, index=False)
    return out


CHANGES = {
    5: ("relabel", "bee"),
    40: ("relabel", "ant"),
    2: ("keep", ""),
    3: ("unsure", ""),
    60: ("exclude", ""),
}


def apply(csv, out="fixed.csv", changes=CHANGES, **options):
    decisions = decide(csv, changes, **options)
    return ["apply", csv, "--decisions", decisions, "--out", csv.with_name(out)]


def test_only_what_was_decided_is_changed_to_the_byte(csv, capsys):
    out = succeeds(capsys, apply(csv))
    lines = csv.read_text().splitlines(keepends=True)
    lines[6] = lines[6].replace("ant,", "bee,")
    lines[41] = lines[41].replace("bee,", "ant,")
    del lines[61]
    assert csv.with_name("fixed.csv").read_text() == "".join(lines)
    expected = [
        f"{csv}: 120 rows, 5 decisions about 'kind'",
        "relabelled: 2",
        "excluded: 1",
        "kept: 1, unsure: 1",
        "  ant -> bee: 1",
        "  bee -> ant: 1",
        f"wrote {csv.with_name('fixed.csv')}: 119 rows",
    ]
    assert out.splitlines() == expected


def test_the_labels_before_are_a_last_column(csv, capsys):
    succeeds(capsys, [*apply(csv), "--label-before"])
    fixed, before = strings(csv.with_name("fixed.csv")), strings(csv).drop(index=60)
    assert list(fixed) == [*before, "sknoisy_label_before"]
    assert fixed["sknoisy_label_before"].tolist() == before["kind"].tolist()
    assert (fixed["kind"] != fixed["sknoisy_label_before"]).sum() == 2
    fails(capsys, ["apply", csv.with_name("fixed.csv"), *apply(csv)[2:-1], "x.csv"])


def test_encoding_delimiter_and_line_ends_are_kept(tmp_path, capsys):
    text = "\ufeffkind;length\r\nä;1\r\nö;2\r\nä;3\r\nö;4\r\n"
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode("utf-16-le"))
    table = pd.DataFrame({"kind": ["ä", "ö", "ä", "ö"], "length": list("1234")})
    argv = apply(path, changes={1: ("relabel", "ä")}, table=table)
    succeeds(capsys, [*argv, "--delimiter", ";"])
    fixed = path.with_name("fixed.csv").read_bytes().decode("utf-16-le")
    assert fixed == text.replace("ö;2", "ä;2")


@pytest.mark.parametrize("dtype", ["str", "category", "int16", "bool"])
def test_parquet_keeps_types_and_index(tmp_path, capsys, dtype):
    table, _ = easy_table()
    is_bee = table["kind"] == "bee"
    column = table["kind"] if dtype in ("str", "category") else is_bee
    table["kind"] = column.astype(dtype)
    table.index = table.index + 100
    path = tmp_path / "data.parquet"
    table.to_parquet(path)
    new = str(table["kind"].iloc[0])
    changes = {1: ("relabel", new), 7: ("exclude", "")}
    argv = apply(path, "fixed.parquet", changes, table=table)
    succeeds(capsys, [*argv, "--label", "kind"])
    fixed = pd.read_parquet(path.with_name("fixed.parquet"))
    expected = table.copy()
    expected["kind"] = expected["kind"].where(
        expected.index != 101, table["kind"].iloc[0]
    )
    pd.testing.assert_frame_equal(fixed, expected.drop(index=107))


def test_json_decisions_are_taken(csv, capsys):
    argv = apply(csv)
    path = csv.with_name("decisions.json")
    records = strings(csv.with_name("decisions.csv")).to_dict("records")
    path.write_text(json.dumps({"decisions": records}))
    succeeds(capsys, [*argv[:3], path, *argv[4:]])
    assert len(strings(csv.with_name("fixed.csv"))) == 119


def test_a_changed_file_is_refused_and_says_where(csv, capsys):
    argv = apply(csv)
    table = strings(csv)
    out = csv.with_name("fixed.csv")
    table.assign(note=table["note"].where(table.index != 40, "new")).to_csv(
        csv, index=False
    )
    line = fails(capsys, argv)
    assert f"row 40 of {csv} is not the row that was reviewed" in line
    assert "(1 of 5 decided rows differ)" in line and not out.exists()
    table.drop(index=0).to_csv(csv, index=False)
    assert "row 2 of" in fails(capsys, argv) and not out.exists()
    table[:50].to_csv(csv, index=False)
    assert "a decision about row 60, but" in fails(capsys, argv)
    table.assign(kind="bee").to_csv(csv, index=False)
    line = fails(capsys, argv)
    assert (
        "has the label 'bee', but the decision was about the given label 'ant'" in line
    )


def test_the_column_of_labels_is_found_or_asked_for(csv, capsys):
    argv = apply(csv)
    table = strings(csv)
    table.insert(0, "copy", table["kind"])
    table.to_csv(csv, index=False)
    line = fails(capsys, argv)
    assert "the columns 'copy' and 'kind' have the given labels" in line
    argv = apply(csv, table=table)
    succeeds(capsys, [*argv, "--label", "kind"])
    fixed = strings(csv.with_name("fixed.csv"))
    assert (fixed["kind"] != fixed["copy"]).sum() == 2
    table.assign(kind="x", copy="x").to_csv(csv, index=False)
    assert "no column has the given labels" in fails(capsys, [*argv, "--force"])
    line = fails(capsys, [*argv, "--force", "--label", "species"])
    assert f"--label: {csv} has 0 columns named 'species'" in line


def test_a_new_class_needs_an_option(csv, capsys):
    argv = apply(csv, changes={5: ("relabel", "wasp")})
    line = fails(capsys, argv)
    assert "the new label of row 5 is 'wasp', which the table does not have" in line
    assert "pass --new-labels" in line
    succeeds(capsys, [*argv, "--new-labels"])
    assert strings(csv.with_name("fixed.csv"))["kind"][5] == "wasp"


def test_nothing_is_overwritten_without_force(csv, capsys):
    argv = apply(csv)
    out = csv.with_name("fixed.csv")
    out.write_text("mine")
    assert "already exists; --force replaces it" in fails(capsys, argv)
    assert out.read_text() == "mine"
    succeeds(capsys, [*argv, "--force"])
    assert "is the input table" in fails(capsys, [*argv[:-1], csv, "--force"])
    assert "must end in .csv" in fails(capsys, [*argv[:-1], "out.txt"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,decision\n", "decisions have no column 'row_sha256'"),
        ("row,row_sha256,given_label,decision\n", "has no decisions"),
        ("row,row_sha256,given_label,decision\n1,a,b,c\n", "decision must be one of"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_bad_decisions_are_one_line(csv, capsys, text, message):
    path = csv.with_name("bad.csv")
    if text is not None:
        path.write_text(text)
    argv = ["apply", csv, "--decisions", path, "--out", csv.with_name("fixed.csv")]
    assert message in fails(capsys, argv)
