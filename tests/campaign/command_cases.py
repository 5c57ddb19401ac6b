"""Cases of the commands on small odd tables, in this process."""

import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from odd_labels import WORDS, plain_labels

from sknoisy.command_line import main


def _table(trial):
    rng = trial.rng
    codes = plain_labels(rng, int(rng.integers(18, 60)), trial.pick([2, 3]))
    table = pd.DataFrame(
        {
            "length": np.round(4 * codes + rng.normal(size=len(codes)), 3),
            "width": np.round(rng.normal(size=len(codes)), 3),
            "kind": WORDS[codes],
        }
    )
    for _ in range(trial.pick([0, 1, 2], [2, 4, 1])):
        name = trial.pick(list(CHANGES))
        trial.note(f"table: {name}")
        table = CHANGES[name](table)
    return table


def _column(name, make):
    return lambda table: table.assign(**{name: make(len(table))})


CHANGES = {
    "texts": _column("note", lambda n: [f"a text of {i} words" for i in range(n)]),
    "dates": _column("day", lambda n: pd.date_range("2024-01-01", periods=n)),
    "bools": _column("flag", lambda n: [True, False] * (n // 2) + [True] * (n % 2)),
    "missing": _column("gap", lambda n: [None] + [1.0] * (n - 1)),
    "all missing": _column("gap", lambda n: [None] * n),
    "constant": _column("same", lambda n: 7),
    "infinite": _column("far", lambda n: [np.inf] + [1.0] * (n - 1)),
    "huge": _column("huge", lambda n: [1e300] + [1.0] * (n - 1)),
    "id": _column("id", lambda n: range(10**9, 10**9 + n)),
    "codes": _column("color", lambda n: (["red", "blue", "gray"] * n)[:n]),
    "decimal commas": _column("local", lambda n: ["2,675"] * n),
    "money": _column("price", lambda n: ["$3"] * n),
    "formulas": _column("f", lambda n: ["=1+1"] * n),
    "a column called index": _column("Unnamed: 0", lambda n: range(n)),
    "odd names": lambda t: t.rename(columns={"width": 'w\u00efdth, "cm"'}),
    "missing label": lambda t: t.assign(kind=[None, *t["kind"][1:]]),
    "one class": lambda t: t.assign(kind="ant"),
    "a label once": lambda t: t.assign(kind=["zoo", *t["kind"][1:]]),
    "labels with blanks": lambda t: t.assign(kind=["ant ", *t["kind"][1:]]),
    "labels are numbers": lambda t: t.assign(kind=[len(k + "s") for k in t["kind"]]),
    "continuous labels": lambda t: t.assign(kind=np.linspace(0.1, 9, len(t))),
    "escape labels": lambda t: t.assign(kind=[f"\x1b[31m{k}" for k in t["kind"]]),
    "no rows": lambda t: t[:0],
    "one row": lambda t: t[:1],
    "three rows": lambda t: t[:3],
    "no features": lambda t: t[["kind"]],
    "doubled rows": lambda t: pd.concat([t, t]),
    "label column only": lambda t: t[["kind", "length"]],
}

BYTES = {
    "as it is": lambda b: b,
    "empty": lambda b: b"",
    "BOM": lambda b: b"\xef\xbb\xbf" + b,
    "latin-1": lambda b: b.replace(b"ant", b"\xe4nt"),
    "NUL": lambda b: b.replace(b"ant", b"a\0t"),
    "open quote": lambda b: b + b'"',
    "ragged": lambda b: b + b"1,2,3,4,5,6,7,8\n",
    "CR": lambda b: b.replace(b"\n", b"\r"),
    "UTF-16": lambda b: b.decode().encode("utf-16"),
    "random": lambda b: bytes(range(256)) * 4,
    "header only": lambda b: b.split(b"\n")[0] + b"\n",
    "doubled header": lambda b: b.replace(b"width", b"length", 1),
    "blank lines": lambda b: b.replace(b"\n", b"\n\n"),
    "semicolons": lambda b: b.replace(b",", b";"),
}

WORDS_OF_AUDIT = [
    ["--detector", "neighbors"], ["--detector", "fine"], ["--detector", "loss-mixture"],
    ["--detector", "confident-learning"],
]  # fmt: skip
ODD_OPTIONS = [
    ["--detector", "nosuch"], ["--label", "nosuch"], ["--drop", "length"],
    ["--drop", "nosuch"], ["--drop", "kind"], ["--text", "note"], ["--text", "length"],
    ["--text", "kind"], ["--delimiter", ";"], ["--delimiter", "tab"],
    ["--delimiter", "::"], ["--encoding", "latin-1"], ["--encoding", "nosuch"],
    ["--encoding", "rot13"], ["--encoding", "utf-16"], ["--random-state", "-1"],
    ["--random-state", "x"], ["--random-state", "7"], ["--quiet"], ["--nosuch"],
]  # fmt: skip


def command(trial):
    """``sknoisy audit`` or ``sknoisy inject`` on a table."""
    with tempfile.TemporaryDirectory() as folder:
        _command(trial, Path(folder))


def _command(trial, folder):
    path, table = _write(trial, folder)
    is_audit = trial.chance(0.6)
    words = ["audit" if is_audit else "inject", str(path), "--label", "kind"]
    if is_audit:
        words += trial.pick(WORDS_OF_AUDIT)
        outputs = {"--out": folder / "page.html", "--issues": folder / "issues.csv"}
        for option, output in outputs.items():
            words += [option, str(output)] if trial.chance(0.5) else []
    else:
        kinds = ["symmetric", "pair", "asymmetric", "instance", "margin", "nosuch"]
        rate = trial.pick(["0.2", "0", "1", "-1", "x", "nan"], [6, 1, 1, 1, 1, 1])
        words += ["--noise-rate", rate, "--kind", trial.pick(kinds)]
        words += ["--out", str(folder / f"noisy{path.suffix}")]
    for _ in range(trial.pick([0, 1, 2], [3, 3, 1])):
        words += trial.pick(ODD_OPTIONS)
    trial.note("sknoisy " + " ".join(word.replace(str(folder), "") for word in words))
    trial.written = " ".join(words) + " option column"
    content = path.read_bytes() if path.is_file() else b""
    status, out, err = trial.call("command", lambda: _run(words))
    if path.is_file():
        trial.check(path.read_bytes() == content, "the input table was changed")
    _judge(trial, status, out, err)
    if status == 0 and not is_audit:
        _check_injected(trial, folder, path, table)


def _write(trial, folder):
    table = _table(trial)
    suffix = trial.pick([".csv", ".tsv", ".parquet", ".txt"], [6, 1, 3, 0.3])
    path = folder / f"table{suffix}"
    if suffix == ".parquet":
        table.to_parquet(path)
        return path, table
    text = table.to_csv(index=False, sep="\t" if suffix == ".tsv" else ",").encode()
    name = trial.pick(list(BYTES), [12] + [1] * (len(BYTES) - 1))
    trial.note(f"bytes: {name}")
    path.write_bytes(BYTES[name](text))
    return path, table if name == "as it is" else None


def _run(words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(words)
        except SystemExit as end:
            status = end.code
    return status, out.getvalue(), err.getvalue()


def _judge(trial, status, out, err):
    trial.check(status in (0, 1, 2), f"status {status}")
    if status:
        trial.find("clear error", "")
        trial.note(f"  {err.strip()[:200]!r}")
        last = err.strip().splitlines()[-1] if err.strip() else ""
        if not last.startswith("sknoisy"):
            trial.find("unclear error", f"stderr ends with {last[:80]!r}")
        if out:
            trial.find("silently wrong", f"an error, yet stdout has {out[:60]!r}")
    if "Traceback" in err or "\x1b" in out + err.replace("\x1b[K", ""):
        trial.find("unclear error", "a traceback, or a terminal escape from the data")
    if status == 0:
        trial.check("nan" not in out.lower().split(), "nan in the summary")


def _check_injected(trial, folder, path, table):
    copy = folder / f"noisy{path.suffix}"
    trial.check(copy.exists(), "nothing was written")
    if table is None or not copy.exists() or path.suffix != ".parquet":
        return
    written = pd.read_parquet(copy)
    clean = written["kind_clean"].tolist()
    trial.check(len(written) == len(table), "rows were lost")
    trial.check(clean == table["kind"].tolist(), "kind_clean is not what was given")
    others = [name for name in table if name != "kind"]
    same = written[others].equals(pd.read_parquet(path)[others])
    trial.check(same or not len(others), "another column was changed")
