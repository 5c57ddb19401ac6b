"""Odd files, odd numbers and odd names: a result, or one sentence and status 2."""

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_tables import easy_table, fails, succeeds

import sknoisy
from sknoisy._option_names import as_options
from sknoisy.auditing._columns import read_columns
from sknoisy.auditing._notation import Notation
from sknoisy.base import TrainingInterrupted
from sknoisy.command_line import _main, main

sys.path.append(str(Path(__file__).parents[1] / "campaign"))
import odd_tables

FAST = ["--detector", "confident-learning"]
# The others take as long, and are run by the script.
SLICE = (
    "FIFO",
    "no line end",
    "device",
    ".csv.gz",
    ".csv.zst",
    "CSV named .csv.gz",
    "cut .csv.gz",
    "UTF-16",
    "UTF-16 unmarked",
    "rot13",
    "labels with escapes",
    "similar labels",
    "decimal commas",
    "decimal commas named",
    "numbers and a word",
    "dates, day first",
    "timestamps out of range",
    "notes that are no JSON",
    "notes without columns",
    "empty Parquet",
    "no name of the labels",
    "names in levels",
)


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "data.csv"
    easy_table()[0].to_csv(path, index=False)
    return path


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("name", SLICE)
def test_an_odd_table_ends_in_a_result_or_a_sentence(name):
    cases = [case for case in odd_tables.CASES if case.name == name]
    for _, command, found, said in odd_tables.run(cases):
        assert found in (odd_tables.RESULT, odd_tables.CLEAR), (command, said)


def test_names_of_no_file_are_refused(csv, capsys):
    argv = ["audit", "da\0ta.csv", "--label", "kind"]
    assert "da\\x00ta.csv is not a valid file name: embedded null" in fails(
        capsys, argv
    )
    argv = ["audit", csv, "--label", "kind", "--out", "a\0b.html"]
    assert "--out a\\x00b.html is not a valid file name" in fails(capsys, argv)
    argv = ["audit", csv, "--label", "kind", "--out", "a" * 300 + ".html"]
    assert "File name too long" in fails(capsys, argv)


def test_an_output_that_is_a_device_is_refused(csv, capsys, tmp_path):
    (tmp_path / "page.html").symlink_to("/dev/full")
    argv = ["audit", csv, "--label", "kind", "--out", tmp_path / "page.html", "--force"]
    assert "is a device, a FIFO or a socket; give a file" in fails(capsys, argv)


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_keeps_its_mark_and_its_order_of_bytes(capsys, tmp_path, mark):
    path, out = tmp_path / "data.csv", tmp_path / "noisy.csv"
    codec = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"
    lines = ["Maß,kind", *["1,ant", "2,bée"] * 3, ""]
    path.write_bytes(mark + "\r\n".join(lines).encode(codec))
    argv = ["inject", path, "--label", "kind", "--noise-rate", "0", "--out", out]
    succeeds(capsys, argv)
    expected = ["Maß,kind,kind_clean", *["1,ant,ant", "2,bée,bée"] * 3, ""]
    assert out.read_bytes() == mark + "\r\n".join(expected).encode(codec)


def test_carriage_returns_in_cells_are_kept(capsys, tmp_path):
    path, out = tmp_path / "data.csv", tmp_path / "noisy.csv"
    text = "note,kind\n" + '"a\rb",ant\n"c\r\nd",bee\n' * 3
    path.write_bytes(text.encode())
    argv = ["inject", path, "--label", "kind", "--noise-rate", "0", "--out", out]
    succeeds(capsys, argv)
    expected = text.replace("note,kind", "note,kind,kind_clean")
    expected = expected.replace("ant\n", "ant,ant\n").replace("bee\n", "bee,bee\n")
    assert out.read_bytes() == expected.encode()


def test_a_packed_table_is_written_unpacked(csv, capsys, tmp_path):
    packed, out = tmp_path / "data.csv.gz", tmp_path / "noisy.csv"
    packed.write_bytes(gzip.compress(csv.read_bytes()))
    argv = ["inject", packed, "--label", "kind", "--noise-rate", "0"]
    succeeds(capsys, [*argv, "--out", out])
    assert len(pd.read_csv(out)) == 120
    argv += ["--out", tmp_path / "noisy.csv.gz"]
    assert "noisy.csv.gz must end in .csv" in fails(capsys, argv)


def test_zst_names_what_it_needs(capsys, tmp_path, monkeypatch):
    path = tmp_path / "data.csv.zst"
    path.write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    line = fails(capsys, ["audit", path, "--label", "kind"])
    assert ".zst needs pyarrow: pip install 'sknoisy[report]'" in line


def test_drafts_of_a_fifo_are_removed(csv, capsys, tmp_path, monkeypatch):
    folder = tmp_path / "drafts"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    pipe, content = tmp_path / "pipe.csv", csv.read_bytes()
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=[content], daemon=True).start()
    assert "120 rows" in succeeds(capsys, ["audit", pipe, "--label", "kind", *FAST])
    assert os.listdir(folder) == []


def read_with(cells, options):
    """Return what becomes of a column called price."""
    argv = ["audit", "data.csv", "--label", "kind", *options]
    args = _main._parser().parse_args(argv)
    marks = args.decimal, args.thousands, args.dayfirst
    notation = Notation(*marks, frozenset(args.missing))
    table = pd.DataFrame({"size": np.arange(120.0) ** 2, "price": cells})
    with as_options():
        return read_columns(table, text=args.text, notation=notation)


NUMBERS = np.random.default_rng(1).permutation(120) * 37 + 1000


@pytest.mark.parametrize(
    ("cells", "options", "kind"),
    [
        ([f"{n},5" for n in NUMBERS], ["--decimal", ","], "numeric"),
        ([f"{n:,}" for n in NUMBERS], ["--thousands", ","], "numeric"),
        (
            [f"{n:,}".replace(",", ".") + ",50" for n in NUMBERS],
            ["--thousands", ".", "--decimal", ","],
            "numeric",
        ),
        ([f"${n:,}.25" for n in NUMBERS], ["--thousands", ","], "numeric"),
        ([f"-{n} €" for n in NUMBERS], [], "numeric"),
        ([f"{n / 10}%" for n in NUMBERS], [], "numeric"),
        (["?", *map(str, NUMBERS[1:])], ["--missing", "?"], "numeric"),
        ([f"{1 + n % 12:02}-{1 + n % 9:02}-2024" for n in NUMBERS], [], "date"),
        (
            [f"{1 + n % 28:02}-{1 + n % 9:02}-2024" for n in NUMBERS],
            ["--dayfirst"],
            "date",
        ),
    ],
)
def test_numbers_and_dates_are_read_as_they_are_written(cells, options, kind):
    assert "price" in read_with(cells, options).kinds[kind]


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize(
    ("cells", "note"),
    [
        ([f"{n},5" for n in NUMBERS], "its cells look like numbers ("),
        ([f"{n},5" for n in NUMBERS], "); --decimal , reads them"),
        ([f"{n:,}" for n in NUMBERS], "; --decimal , or --thousands , reads them"),
        ([f"{n:,}".replace(",", " ") for n in NUMBERS], "; --thousands ' ' reads th"),
        (["n.a.", *map(str, NUMBERS[1:])], "99% of its cells look like numbers"),
        (["n.a.", *map(str, NUMBERS[1:])], "; --missing 'n.a.' treats it as missing"),
        (["no"] + [f"{1 + n % 28}-3-2024" for n in NUMBERS[1:]], "--missing 'no' tre"),
        ([f"{1 + n % 12}-3-2024" for n in NUMBERS], "--dayfirst reads the day first"),
    ],
)
def test_a_column_that_an_option_would_read_is_named(cells, note):
    (line,) = read_with(cells, []).notes
    assert line.startswith("column 'price'")
    assert note in line
    # Whoever says that it is text knows what it is.
    assert read_with(cells, ["--text", "price"]).notes == []


@pytest.mark.slow
def test_notes_are_printed_and_options_are_passed_on(capsys, tmp_path):
    table, _ = easy_table()
    path = tmp_path / "data.csv"
    table.assign(price=[f"{n},5" for n in NUMBERS]).to_csv(path, index=False, sep=";")
    argv = ["audit", path, "--label", "kind", *FAST, "--delimiter", ";"]
    out = succeeds(capsys, argv)
    assert "note: column 'price' is read as names of rows, but its cells look" in out
    out = succeeds(capsys, [*argv, "--decimal", ","])
    assert "note: column 'price'" not in out


def test_other_columns_are_not_named():
    words = [["red", "green", "blue 3"][n % 3] for n in NUMBERS]
    assert read_with(words, []).notes == []


def test_a_table_without_a_useful_column_says_why(capsys, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a,b,kind\n" + "1,1,ant\n1,2,bee\n1,3,ant\n1,4,bee\n")
    line = fails(capsys, ["audit", path, "--label", "kind", *FAST])
    assert "by; 'a' has a single value; 'b' numbers the rows\n" in line


def test_labels_that_differ_by_blanks_or_capitals_are_pointed_out(capsys, tmp_path):
    table, _ = easy_table()
    table.loc[::8, "kind"] = "Ant "
    path = tmp_path / "data.csv"
    table.to_csv(path, index=False)
    out = succeeds(capsys, ["audit", path, "--label", "kind", *FAST])
    assert (
        "note: labels that differ only in spaces or case count as different: "
        "'Ant ' and 'ant'\n"
    ) in out


def test_names_do_not_command_the_terminal(capsys, tmp_path):
    table, _ = easy_table()
    table = table.rename(columns={"kind": "ki\x1b[31mnd\u202e"}).assign(
        **{"one\x07": 1, "note\nwrote /etc": "x"}
    )
    path, out = tmp_path / "da\x1b]0;ta\n.csv", tmp_path / "no\x1b[2Jisy.csv"
    table.to_csv(path, index=False)
    label = "ki\x1b[31mnd\u202e"
    issues = tmp_path / "is\nsues.csv"
    printed = succeeds(
        capsys, ["audit", path, "--label", label, *FAST, "--issues", issues]
    )
    argv = ["inject", path, "--label", label, "--noise-rate", "0.1", "--out", out]
    printed += succeeds(capsys, argv)
    printed += fails(capsys, argv)
    printed += fails(capsys, ["audit", path, "--label", "\x1b[5m"])
    assert "\x1b" not in printed and "\x07" not in printed and "\u202e" not in printed
    assert "da\\x1b]0;ta\\n.csv: 120 rows" in printed
    assert "wrote " in printed and "\nwrote /etc" not in printed
    with pytest.raises(SystemExit, match="2"):
        main(["audit", "\x1b[5m", "--label", "x", "--\x1b[5m"])
    assert "\\x1b[5m" in (err := capsys.readouterr().err) and "\x1b" not in err
    assert err.count("\n") == 1


class TestFormulas:
    @staticmethod
    def argv(tmp_path, *more):
        table, _ = easy_table()
        table["kind"] = table["kind"].map({"ant": "=1+1", "bee": "-1"})
        path = tmp_path / "data.csv"
        table.to_csv(path, index=False)
        return path, ["audit", path, "--label", "kind", *FAST, *more]

    @pytest.mark.slow
    def test_labels_in_the_list_are_quoted_unless_asked(self, capsys, tmp_path):
        issues = tmp_path / "issues.csv"
        _, argv = self.argv(tmp_path, "--issues", issues)
        succeeds(capsys, argv)
        assert set(pd.read_csv(issues, dtype=str)["given_label"]) == {"'=1+1", "-1"}
        succeeds(capsys, [*argv, "--force", "--no-escape-formulas"])
        assert set(pd.read_csv(issues, dtype=str)["given_label"]) == {"=1+1", "-1"}

    def test_the_users_own_table_is_written_as_it_is(self, capsys, tmp_path):
        path, _ = self.argv(tmp_path)
        out = tmp_path / "noisy.csv"
        argv = ["inject", path, "--label", "kind", "--noise-rate", "0.2", "--out", out]
        succeeds(capsys, argv)
        assert set(pd.read_csv(out, dtype=str)["kind"]) == {"=1+1", "-1"}


class TestInterruption:
    def test_one_that_a_fit_swallows_ends_the_command(self, csv, capsys, monkeypatch):
        fit = sknoisy.ConfidentLearningDetector.fit

        def swallow(self, X, y):
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)
            except KeyboardInterrupt:
                return fit(self, X, y)

        monkeypatch.setattr(sknoisy.ConfidentLearningDetector, "fit", swallow)
        before = signal.getsignal(signal.SIGINT)
        argv = ["audit", csv, "--label", "kind", *FAST]
        assert fails(capsys, argv, 130) == "sknoisy: interrupted\n"
        assert signal.getsignal(signal.SIGINT) is before

    @pytest.mark.parametrize("error", [TrainingInterrupted, RuntimeError])
    def test_so_does_one_that_it_turns_into_an_error(
        self, csv, capsys, monkeypatch, error
    ):
        def turn(self, X, y):
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)
            except KeyboardInterrupt:
                raise error("fit was interrupted.") from None

        monkeypatch.setattr(sknoisy.ConfidentLearningDetector, "fit", turn)
        argv = ["audit", csv, "--label", "kind", *FAST]
        assert fails(capsys, argv, 130) == "sknoisy: interrupted\n"

    def test_in_another_thread_none_is_awaited(self, csv, capsys):
        argv = [str(word) for word in ["audit", csv, "--label", "kind", *FAST]]
        status = []
        thread = threading.Thread(target=lambda: status.append(main(argv)))
        thread.start()
        thread.join()
        assert status == [0]

    def test_while_the_options_are_read(self, capsys, monkeypatch):
        def interrupt():
            raise KeyboardInterrupt

        monkeypatch.setattr("sknoisy.command_line._main._parser", interrupt)
        assert fails(capsys, ["audit"], 130) == "sknoisy: interrupted\n"


def test_an_error_that_was_not_foreseen_is_a_line_or_a_traceback(
    csv, capsys, monkeypatch
):
    def fail(*args):
        raise TypeError("of ours")

    monkeypatch.setattr(sknoisy.ConfidentLearningDetector, "fit", fail)
    argv = ["audit", csv, "--label", "kind", *FAST]
    assert "error: TypeError: of ours (an unexpected error" in fails(capsys, argv)
    with pytest.raises(TypeError, match="of ours"):
        main([*map(str, argv), "--traceback"])


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_is_no_error(csv):
    command = [sys.executable, "-m", "sknoisy", "audit", csv, "--label", "kind", *FAST]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
