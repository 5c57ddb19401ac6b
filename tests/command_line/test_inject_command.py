import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from command_tables import easy_table, fails, succeeds

from sknoisy.command_line import main

AWKWARD = (
    "id,text,size,kind,note\r\n"
    '007,"a, ""quoted"" cell",1.50,ant,NA\r\n'
    '008,"two\nlines",1e3,bee,\r\n'
    "009,plain,,ant,None\r\n"
    "010, blank ,0.10,bee,Käfer\r\n"
)


def strings(path, **options):
    return pd.read_csv(path, dtype=str, keep_default_na=False, **options)


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "data.csv"
    easy_table(600)[0].to_csv(path, index=False)
    return path


@pytest.mark.parametrize("kind", ["symmetric", "pair", "asymmetric", "instance"])
def test_labels_change_at_the_given_rate_and_the_true_ones_are_kept(
    csv, capsys, tmp_path, kind
):
    out = tmp_path / "noisy.csv"
    argv = ["inject", csv, "--label", "kind", "--noise-rate", "0.2", "--kind", kind]
    line = succeeds(capsys, [*argv, "--out", out])
    before, after = strings(csv), strings(out)
    assert after.columns.tolist() == [*before.columns, "kind_clean"]
    assert (after["kind_clean"] == before["kind"]).all()
    n_changed = (after["kind"] != before["kind"]).sum()
    # 120 expected; the standard deviation is 10.
    assert 80 < n_changed < 160
    assert f"{n_changed} of 600 labels changed" in line
    assert f"noise rate {n_changed / 600:.4f}" in line


@pytest.mark.slow
def test_margin_noise_uses_the_columns(csv, capsys, tmp_path):
    out = tmp_path / "noisy.csv"
    argv = ["inject", csv, "--label", "kind", "--noise-rate", "0.2", "--out", out]
    succeeds(capsys, [*argv, "--kind", "margin"])
    table = pd.read_csv(out)
    wrong = (table["kind"] != table["kind_clean"]).to_numpy()
    # The classes meet halfway between 0 and 4.
    distance = (table["length"] - 2).abs().to_numpy()
    assert distance[wrong].mean() < 0.8 * distance[~wrong].mean()


def test_dropped_columns_do_not_steer_the_noise(csv, capsys, tmp_path):
    wide, out, other = (tmp_path / f"{n}.csv" for n in ("wide", "out", "other"))
    table = strings(csv)
    table.assign(extra=np.arange(600) ** 2 % 97).to_csv(wide, index=False)
    argv = ["--label", "kind", "--noise-rate", "0.3", "--kind", "instance"]
    succeeds(capsys, ["inject", csv, *argv, "--out", out])
    succeeds(capsys, ["inject", wide, *argv, "--out", other, "--drop", "extra"])
    assert (strings(out)["kind"] == strings(other)["kind"]).all()
    succeeds(capsys, ["inject", wide, *argv, "--out", other, "--force"])
    assert (strings(out)["kind"] != strings(other)["kind"]).any()


def test_all_other_cells_stay_as_they_are_to_the_byte(capsys, tmp_path):
    path, out = tmp_path / "data.csv", tmp_path / "noisy.csv"
    path.write_bytes(AWKWARD.encode())
    argv = ["inject", path, "--label", "kind", "--noise-rate", "0", "--out", out]
    succeeds(capsys, argv)
    expected = AWKWARD.replace("note\r\n", "note,kind_clean\r\n")
    for start, label in (
        ("NA", "ant"),
        (",", "bee"),
        ("None", "ant"),
        ("Käfer", "bee"),
    ):
        expected = expected.replace(f"{start}\r\n", f"{start},{label}\r\n")
    # The last cell of row 008 is empty: its comma is there already.
    assert out.read_bytes() == expected.encode()


def test_a_rate_of_1_changes_every_label_and_nothing_else(capsys, tmp_path):
    path, out = tmp_path / "data.csv", tmp_path / "noisy.csv"
    path.write_bytes(AWKWARD.encode())
    argv = ["inject", path, "--label", "kind", "--noise-rate", "1", "--out", out]
    succeeds(capsys, argv)
    assert strings(out)["kind"].tolist() == ["bee", "ant", "bee", "ant"]
    others = ["id", "text", "size", "note"]
    assert strings(out)[others].equals(strings(path)[others])


def test_encoding_mark_delimiter_and_line_ends_are_kept(capsys, tmp_path):
    path, out = tmp_path / "data.csv", tmp_path / "noisy.csv"
    argv = ["inject", path, "--label", "Tier", "--noise-rate", "0", "--out", out]
    text = "\n".join(["Tier;Maß", *["Käfer;1,5", "Ameise;2,5"] * 3, ""])
    expected = "\n".join(
        ["Tier;Maß;Tier_clean", *["Käfer;1,5;Käfer", "Ameise;2,5;Ameise"] * 3, ""]
    )
    path.write_bytes(text.encode("cp1252"))
    options = ["--delimiter", ";", "--force"]
    succeeds(capsys, [*argv, *options, "--encoding", "cp1252"])
    assert out.read_bytes() == expected.encode("cp1252")
    path.write_bytes(text.encode("utf-8-sig"))
    succeeds(capsys, [*argv, *options])
    assert out.read_bytes() == expected.encode("utf-8-sig")


@pytest.mark.parametrize("kind", ["str", "category", "int category", "date", "Int8"])
def test_parquet_labels_keep_their_type(capsys, tmp_path, kind):
    table, _ = easy_table()
    codes = (table["kind"] == "bee").astype(int)
    table["kind"] = {
        "str": lambda: table["kind"],
        "category": lambda: table["kind"].astype("category"),
        "int category": lambda: codes.astype("category"),
        "date": lambda: pd.Timestamp("2024-02-29") + pd.to_timedelta(codes, "D"),
        "Int8": lambda: codes.astype("Int8"),
    }[kind]()
    table.index = pd.Index(range(7, 127), name="sample")
    path, out = tmp_path / "data.parquet", tmp_path / "noisy.parquet"
    table.to_parquet(path)
    argv = ["inject", path, "--label", "kind", "--noise-rate", "0.3", "--out", out]
    succeeds(capsys, argv)
    before, after = pd.read_parquet(path), pd.read_parquet(out)
    same = after.drop(columns="kind_clean").assign(kind=after["kind_clean"])
    pd.testing.assert_frame_equal(same, before)
    assert after["kind"].dtype == before["kind"].dtype
    assert 0.15 < (after["kind"] != before["kind"]).mean() < 0.45


def test_the_same_seed_gives_the_same_file_and_another_does_not(csv, capsys, tmp_path):
    def noisy(seed):
        out = tmp_path / "noisy.csv"
        argv = ["inject", csv, "--label", "kind", "--noise-rate", "0.2", "--force"]
        succeeds(capsys, [*argv, "--out", out, "--random-state", seed])
        return out.read_bytes()

    assert noisy(1) == noisy(1)
    assert noisy(1) != noisy(2)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("data.csv", "--out data.csv is the input table"),
        ("noisy.parquet", "--out noisy.parquet must end in .csv"),
        ("none/noisy.csv", "there is no folder none"),
        ("old.csv", "--out old.csv already exists; --force replaces it"),
    ],
)
def test_nothing_is_overwritten(csv, capsys, monkeypatch, out, message):
    monkeypatch.chdir(csv.parent)
    (csv.parent / "old.csv").write_text("precious")
    before = {path: path.read_bytes() for path in csv.parent.iterdir()}
    argv = ["inject", "data.csv", "--label", "kind", "--noise-rate", "0.2"]
    assert message in fails(capsys, [*argv, "--out", out])
    assert {path: path.read_bytes() for path in csv.parent.iterdir()} == before


def test_a_table_is_not_corrupted_twice(csv, capsys, tmp_path):
    once, twice = tmp_path / "once.csv", tmp_path / "twice.csv"
    argv = ["--label", "kind", "--noise-rate", "0.2", "--out"]
    succeeds(capsys, ["inject", csv, *argv, once])
    line = fails(capsys, ["inject", once, *argv, twice])
    assert "already has a column 'kind_clean'" in line


def test_noise_that_cannot_be_made_is_one_line(csv, capsys, tmp_path):
    argv = ["inject", csv, "--label", "kind", "--noise-rate", "0.99"]
    line = fails(capsys, [*argv, "--kind", "margin", "--out", tmp_path / "noisy.csv"])
    assert "margin noise of rate 0.99 cannot be injected: " in line


@pytest.mark.parametrize("rate", ["-0.1", "1.1", "much", "nan"])
def test_a_rate_that_is_none_is_wrong_usage(csv, capsys, rate):
    argv = ["inject", str(csv), "--label", "kind", "--out", "noisy.csv"]
    with pytest.raises(SystemExit, match="2"):
        main([*argv, f"--noise-rate={rate}"])
    assert "must be a number in [0, 1]; got" in capsys.readouterr().err


def test_end_to_end_in_a_process_of_its_own(csv, tmp_path):
    out = tmp_path / "noisy.csv"
    argv = ["inject", csv, "--label", "kind", "--noise-rate", "0.2", "--out", out]
    done = subprocess.run(
        [sys.executable, "-m", "sknoisy", *map(str, argv)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "labels changed" in done.stdout
    assert len(strings(out)) == 600
