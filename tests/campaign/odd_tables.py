"""Feed odd tables to ``sknoisy audit`` and ``sknoisy inject``, and list the outcomes.

    python tests/campaign/odd_tables.py

A case ends in a valid fit (status 0, and what is expected is printed), in a clear error
(status 2 with one sentence on stderr), in an unclear error (anything else), it is
silently wrong (a result where there can be none, or another one than expected), or the
table itself was changed. The last three make the script end with status 1.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from sknoisy.command_line import main

N_ROWS = 60
RESULT, CLEAR, UNCLEAR, WRONG, CHANGED = (
    "valid fit",
    "clear error",
    "unclear error",
    "silently wrong",
    "changed data or state",
)


def columns(n_rows=N_ROWS):
    """Return a column of numbers that tells two labels apart, and the labels."""
    rng = np.random.default_rng(0)
    truth = np.arange(n_rows) % 2
    size = np.round(4 * truth + rng.normal(size=n_rows), 3)
    return size, np.array(["ant", "bee"])[truth]


def text_of(cells=None, labels=None, name="size", sep=",", end="\n"):
    """Return the table as CSV, with the cells and labels given."""
    size, kind = columns()
    cells = [f"{v:.3f}" for v in size] if cells is None else cells
    labels = kind if labels is None else labels
    lines = [
        f"{name}{sep}kind",
        *(f"{c}{sep}{k}" for c, k in zip(cells, labels, strict=True)),
    ]
    return end.join(lines) + end


def frame_of(**more):
    size, kind = columns()
    return pd.DataFrame({"size": size, "kind": kind, **more})


@dataclass
class Case:
    """A file, the options it is read with, and what must come of it.

    ``write(path)`` makes the file. ``words`` must stand in what is printed.
    """

    name: str
    write: Callable[[Path], object]
    ending: str = ".csv"
    expected: str = RESULT
    words: str = ""
    options: list[str] = field(default_factory=list)
    only: str = ""


def put(content):
    def write(path):
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(data)

    return write


def parquet(make, **options):
    return lambda path: make().to_parquet(path, **options)


def fifo(content):
    def write(path):
        os.mkfifo(path)

        def feed():
            with contextlib.suppress(BrokenPipeError), path.open("wb") as pipe:
                pipe.write(content)

        threading.Thread(target=feed, daemon=True).start()

    return write


def bad_notes(notes):
    def write(path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(frame_of(), preserve_index=False)
        pq.write_table(table.replace_schema_metadata({b"pandas": notes}), path)

    return write


def zst(content):
    def write(path):
        import pyarrow as pa

        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write(content)

    return write


PLAIN = text_of()
LONG_AGO = [f"{1 + i:04d}-01-0{1 + i % 3}" for i in range(N_ROWS)]
DAYS = [f"{1 + i % 28:02d}-{1 + i % 12:02d}-2024" for i in range(N_ROWS)]
THOUSANDS = [f'"{1 + i},{100 + 13 * i % 900}"' for i in range(N_ROWS)]
COMMAS = [f"{1 + i},{100 + 13 * i % 900}" for i in range(N_ROWS)]
ODD_LABELS = np.where(np.arange(N_ROWS) % 4 == 1, "Bee ", columns()[1])

CASES = [
    Case("plain", put(PLAIN)),
    Case("empty", put(""), expected=CLEAR, words="is empty"),
    Case("one line end", put("\n"), expected=CLEAR),
    Case("header only", put("size,kind\n"), expected=CLEAR, words="has no rows"),
    Case("carriage returns end the lines", put(text_of(end="\r"))),
    Case("both end the lines", put(text_of(end="\r\n"))),
    Case("no end of the last line", put(PLAIN.rstrip("\n"))),
    Case("nothing", lambda path: None, expected=CLEAR, words="there is no file"),
    Case("folder", os.mkdir, expected=CLEAR, words="is a folder"),
    Case("no known ending", put(PLAIN), ".xlsx", CLEAR, "has the extension"),
    Case("no ending", put(PLAIN), "", CLEAR, "has the extension"),
    Case("upper case ending", put(PLAIN), ".CSV"),
    Case("tabs", put(text_of(sep="\t")), ".tsv"),
    Case("semicolons", put(text_of(sep=";")), expected=CLEAR, words="separated by"),
    Case("semicolons named", put(text_of(sep=";")), options=["--delimiter", ";"]),
    Case("device", lambda path: path.symlink_to("/dev/zero"), ".csv", CLEAR, "device"),
    Case("link to nothing", lambda p: p.symlink_to("none"), ".csv", CLEAR, "no file"),
    Case("link to itself", lambda p: p.symlink_to(p), ".csv", CLEAR, "cannot be read"),
    Case("FIFO", fifo(PLAIN.encode())),
    Case("empty FIFO", fifo(b""), expected=CLEAR, words="is empty"),
    Case("FIFO without lines", fifo(b"x" * (9 << 20)), ".csv", CLEAR, "first line"),
    Case("no line end", put(b"x" * (9 << 20)), expected=CLEAR, words="first line"),
    Case("only NUL", put(b"\0" * 5000), expected=CLEAR, words="NUL"),
    Case("a NUL in a cell", put(PLAIN.replace("ant", "an\0t"))),
    Case("random bytes", put(np.random.default_rng(0).bytes(5000)), ".csv", CLEAR),
    Case("gzip named .csv", put(gzip.compress(PLAIN.encode())), ".csv", CLEAR),
    Case(".csv.gz", put(gzip.compress(PLAIN.encode())), ".csv.gz"),
    Case(".tsv.gz", put(gzip.compress(text_of(sep="\t").encode())), ".tsv.gz"),
    Case(".csv.bz2", put(bz2.compress(PLAIN.encode())), ".csv.bz2"),
    Case(".csv.xz", put(lzma.compress(PLAIN.encode())), ".csv.xz"),
    Case(".csv.zst", zst(PLAIN.encode()), ".csv.zst"),
    Case("CSV named .csv.gz", put(PLAIN), ".csv.gz", CLEAR, "cannot be"),
    Case("CSV named .csv.xz", put(PLAIN), ".csv.xz", CLEAR, "cannot be"),
    Case("CSV named .csv.zst", put(PLAIN), ".csv.zst", CLEAR, "cannot be"),
    Case("cut .csv.gz", put(gzip.compress(PLAIN.encode())[:99]), ".csv.gz", CLEAR),
    Case("empty .csv.gz", put(b""), ".csv.gz", CLEAR, "is empty"),
    Case("packed Parquet", put(b""), ".parquet.gz", CLEAR, "has the extension"),
    Case("UTF-8 with a mark", put(PLAIN.encode("utf-8-sig"))),
    Case("UTF-16", put(PLAIN.encode("utf-16"))),
    Case("UTF-16, big end first", put(b"\xfe\xff" + PLAIN.encode("utf-16-be"))),
    Case("UTF-32", put(PLAIN.encode("utf-32"))),
    Case("UTF-16 unmarked", put(PLAIN.encode("utf-16-le")), ".csv", CLEAR, "utf-16-le"),
    Case(
        "UTF-16 named",
        put(PLAIN.encode("utf-16-le")),
        options=["--encoding", "utf-16-le"],
    ),
    Case(
        "Latin 1",
        put(text_of(name="größe").encode("latin-1")),
        expected=CLEAR,
        words="--encoding cp1252",
    ),
    Case("rot13", put(PLAIN), ".csv", CLEAR, "text encoding", ["--encoding", "rot13"]),
    Case("base64", put(PLAIN), ".csv", CLEAR, "text enc", ["--encoding", "base64"]),
    Case("NUL encoding", put(PLAIN), ".csv", CLEAR, "text", ["--encoding", "a\0b"]),
    Case("undefined", put(PLAIN), ".csv", CLEAR, "", ["--encoding", "undefined"]),
    Case("missing labels", put(PLAIN.replace("bee", "")), ".csv", CLEAR, "missing la"),
    Case("one label", put(PLAIN.replace("bee", "ant")), ".csv", CLEAR, "one label"),
    Case("a name twice", put(text_of(name="kind")), ".csv", CLEAR, "2 columns named"),
    Case(
        "no name of a column", put(text_of(name="")), words="columns: 1", only="audit"
    ),
    Case("a column called NA", put(text_of(name="NA")), words="col", only="audit"),
    Case("no name of the labels", put(PLAIN.replace("kind", "")), ".csv", CLEAR),
    Case("long lines", put(PLAIN.replace(",bee", ",bee,")), ".csv", CLEAR),
    Case("short lines", put(PLAIN.replace(",bee", "")), ".csv", CLEAR),
    Case("open quote", put('size,kind\n"1,ant\n2,bee\n'), ".csv", CLEAR),
    Case("blank lines", put(PLAIN.replace("\n", "\n\n"))),
    Case("a name with an escape", put(text_of(name="si\x1b[2Jze"))),
    Case(
        "labels with escapes",
        put(PLAIN.replace("ant", "\x1b[2J")),
        words="\\x1b[2J",
        only="audit",
    ),
    Case(
        "similar labels",
        put(text_of(labels=ODD_LABELS).replace("Bee ", "BEE")),
        words="note: labels that differ",
    ),
    Case("blanks in labels", put(text_of(labels=ODD_LABELS)), words="'Bee ' and 'bee'"),
    Case(
        "decimal commas",
        put(text_of(COMMAS, sep=";")),
        options=["--delimiter", ";"],
        expected=CLEAR,
        words="--decimal , or --thousands , reads them",
        only="audit",
    ),
    Case(
        "decimal commas named",
        put(text_of(COMMAS, sep=";")),
        options=["--delimiter", ";", "--decimal", ","],
        words="1 numeric",
        only="audit",
    ),
    Case("thousands", put(text_of(THOUSANDS)), ".csv", CLEAR, "--thou", only="audit"),
    Case(
        "thousands named",
        put(text_of(THOUSANDS)),
        options=["--thousands", ","],
        words="1 numeric",
        only="audit",
    ),
    Case(
        "one mark for both",
        put(PLAIN),
        options=["--thousands", ",", "--decimal", ","],
        expected=CLEAR,
        words="are both",
    ),
    Case("a digit as mark", put(PLAIN), ".csv", CLEAR, "", ["--decimal", "5"]),
    Case(
        "dollars",
        put(text_of([f"${i * i}" for i in range(N_ROWS)])),
        words="1 numeric",
        only="audit",
    ),
    Case("dates", put(text_of(DAYS)), words="1 date", only="audit"),
    Case(
        "dates, day first",
        put(text_of(DAYS)),
        options=["--dayfirst"],
        words="1 date",
        only="audit",
    ),
    Case(
        "numbers and a word",
        put(text_of(["?"] + [f"{i}.5" for i in range(1, N_ROWS)])),
        expected=CLEAR,
        words="--missing '?' treats it as missing",
        only="audit",
    ),
    Case("dates of long ago", put(text_of(LONG_AGO)), words="1 date", only="audit"),
    Case(
        "huge numbers",
        put(text_of([f"{i}e300" for i in range(N_ROWS)])),
        words="1 numeric",
        only="audit",
    ),
    Case("no Parquet", put(b"no table at all"), ".parquet", CLEAR, "as Parquet"),
    Case("empty Parquet", put(b""), ".parquet", CLEAR),
    Case("cut Parquet", put(b"PAR1" + b"\0" * 50 + b"PAR1"), ".parquet", CLEAR),
    Case("Parquet", parquet(frame_of), ".parquet"),
    Case("Parquet without rows", parquet(lambda: frame_of()[:0]), ".parquet", CLEAR),
    Case(
        "timestamps out of range",
        parquet(
            lambda: frame_of(
                when=np.array(
                    ["12024-01-01", "0001-01-01", "2024-01-01"] * 20, "M8[us]"
                )
            )
        ),
        ".parquet",
    ),
    Case(
        "timestamps with zones",
        parquet(
            lambda: frame_of(
                when=pd.date_range("2024", periods=N_ROWS, tz="Asia/Tokyo")
            )
        ),
        ".parquet",
    ),
    Case(
        "durations",
        parquet(lambda: frame_of(d=pd.to_timedelta(np.arange(N_ROWS) ** 2, "h"))),
        ".parquet",
    ),
    Case(
        "lists in cells",
        parquet(lambda: frame_of(both=[[1, 2]] * N_ROWS)),
        ".parquet",
        CLEAR,
        "several values a cell",
        only="audit",
    ),
    Case("bytes", parquet(lambda: frame_of(b=[b"\xff", b"a"] * 30)), ".parquet"),
    Case(
        "names in levels",
        parquet(
            lambda: frame_of().set_axis(
                pd.MultiIndex.from_tuples([("a", "size"), ("b", "kind")]), axis=1
            )
        ),
        ".parquet",
        CLEAR,
        "with 2 levels",
    ),
    Case("notes that are no JSON", bad_notes(b"{"), ".parquet", CLEAR),
    Case("notes of a number", bad_notes(b"7"), ".parquet", CLEAR),
    Case("notes without columns", bad_notes(b"{}"), ".parquet", CLEAR),
    Case(
        "notes of another table",
        bad_notes(
            b'{"index_columns": ["gone"], "columns": [{"name": "x", "field_name": "y",'
            b' "pandas_type": "z", "numpy_type": "w", "metadata": null}],'
            b' "column_indexes": [{"name": null, "field_name": null, "pandas_type":'
            b' "datetimetz", "numpy_type": "object", "metadata": {"timezone": "No"}}]}'
        ),
        ".parquet",
        "",
    ),
    Case(
        "complex labels",
        parquet(lambda: frame_of().assign(kind=pd.to_datetime(["2024", "2025"] * 30))),
        ".parquet",
    ),
    Case(
        "labels in lists",
        parquet(lambda: frame_of().assign(kind=[["a"], ["b"]] * 30)),
        ".parquet",
        "",
    ),
]


def commands(case, folder):
    """Return the commands that read the file of a case, by name."""
    table = folder / f"table{case.ending}"
    case.write(table)
    plain = Path(case.ending).stem if Path(case.ending).suffix else case.ending
    plain = plain if plain.startswith(".") else case.ending
    arguments = [str(table), "--label", "kind", *case.options]
    both = {
        "audit": [*arguments, "--detector", "confident-learning"],
        "inject": [*arguments, "--noise-rate", "0.2", "--out", f"{folder}/out{plain}"],
    }
    return {name: both[name] for name in both if case.only in ("", name)}


def outcome(case, command, arguments):
    """Run a command; return what came of it and what it said."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([command, *arguments])
    except SystemExit as error:
        status = error.code
    except BaseException as error:
        return UNCLEAR, f"{type(error).__name__}: {error}"
    said = (out.getvalue() + err.getvalue()).strip()
    if "\x1b" in said:
        return WRONG, said
    if status == 0:
        return (RESULT if case.words in said else WRONG), said
    is_sentence = err.getvalue().count("\n") == 1 and not out.getvalue()
    foreseen = "was not foreseen" not in said and case.words in said
    is_clear = status in (2, 130) and is_sentence and foreseen
    return (CLEAR if is_clear else UNCLEAR), said


def content_of(path):
    """Return the bytes of a regular file, else None."""
    path = Path(path)
    is_plain = path.is_file() and not path.is_symlink()
    return path.read_bytes() if is_plain else None


def run(cases):
    """Yield the name of each case and command, what came of it, and what it said."""
    for case in cases:
        for command in ("audit", "inject"):
            # Each reads a file of its own: a FIFO is empty afterwards.
            with tempfile.TemporaryDirectory() as name:
                argv = commands(case, Path(name)).get(command)
                if argv is None:
                    continue
                before = content_of(argv[0])
                found, said = outcome(case, command, argv)
                if content_of(argv[0]) != before:
                    found = CHANGED
            if found == RESULT and case.expected == CLEAR:
                found = WRONG
            if found == CLEAR and case.expected == RESULT:
                found = UNCLEAR
            yield case.name, command, found, said


def list_outcomes(cases=CASES):
    """Print one line for each run, then how many came out how."""
    counts = Counter()
    for name, command, found, said in run(cases):
        counts[found] += 1
        line = said.splitlines()[0] if said else ""
        print(f"{name:30s} {command:7s} {found:21s} {line[:110]}", flush=True)
    print(dict(counts))
    return counts[UNCLEAR] + counts[WRONG] + counts[CHANGED]


if __name__ == "__main__":
    sys.exit(bool(list_outcomes()))
