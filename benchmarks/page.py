"""Tables of the page "Benchmarks" and of the README, from records of benchmarks.

``docs/benchmarks`` holds a JSON-lines file for each table, which the benchmark named in
the records has written with ``--results``. This script writes the tables of the page
beside them, and the README's table between its two marks. ``--check`` writes nothing
and fails if one of them is not what the records say.

    python benchmarks/page.py [--check]
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/benchmarks"
MARKS = "<!-- table by benchmarks/page.py -->", "<!-- end of table -->"
SETS = {
    "digits symmetric .2": "digits",
    "adult symmetric .2": "adult",
    "strong aggre": "CIFAR-10N aggre",
    "music, one worker": "music genres",
    "youtube text": "YouTube spam",
}
KINDS = ("images", "table", "image features", "audio features", "texts")
SOURCES = ("planted", "planted", "people", "one worker each", "rules")
PEERS = {
    "auto": "`AutoNoiseDetector`",
    "DynaCor": "`DynaCorDetector`",
    "confident LR": "`ConfidentLearningDetector`",
    "cleanlab LR": "cleanlab, regression",
    "cleanlab mean": "cleanlab, mean of 3 models",
    "mislabeled": "mislabeled, regression",
    "mislabeled boosting": "mislabeled, boosting",
}


def read(name):
    """Return the records of a file."""
    text = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def peer_rows(records):
    """Return the table of detectors beside peers: names of columns, and rows."""
    cells = {(r["row"], r["column"]): r for r in records}
    rates = {r["column"]: f"{r['wrong']:.1%} {r['n_rows']:,}" for r in records}
    columns = [s for s in SETS if s in rates]
    at = [list(SETS).index(s) for s in columns]
    head = ["", *(SETS[s] for s in columns)]
    rows = [
        ["kind of rows", *(KINDS[i] for i in at)],
        ["who made the labels wrong", *(SOURCES[i] for i in at)],
        ["wrong labels", *(rates[s].split()[0].replace("%", " %") for s in columns)],
        ["rows", *(rates[s].split()[1] for s in columns)],
    ]
    for method, name in PEERS.items():
        if any((method, s) in cells for s in columns):
            found = [cells.get((method, s)) for s in columns]
            rows.append([name, *(peer_cell(record) for record in found)])
    return head, rows


def peer_cell(record):
    """Return AUROC, F1 and seconds."""
    if record is None:
        return "–"
    values = record["values"]
    return f"{values['auroc']:.3f} {values['f1']:.3f} {values['seconds']:.1f}"


def robust_rows(records):
    """Return the table of robust classifiers: test accuracies after the last epoch."""
    columns = unique(r["column"] for r in records)
    rows = []
    for method in unique(r["row"] for r in records):
        found = [r for r in records if r["row"] == method]
        last = {r["column"]: r["values"]["last"] for r in found}
        mean = statistics.fmean(last.values()) if len(last) == len(columns) else None
        seconds = statistics.fmean(r["values"]["seconds"] for r in found)
        cells = [f"{last[c]:.3f}" if c in last else "\\" for c in columns]
        rows.append(
            [
                method,
                *cells,
                "\\" if mean is None else f"{mean:.3f}",
                f"{seconds:.1f}",
            ]
        )
    rows.sort(key=lambda row: row[-2].strip("\\"), reverse=True)
    return ["", *columns, "mean", "CPU s"], rows


def ratio_rows(records):
    """Return a table of ratios, with the rows and columns of the records."""
    columns = unique(r["column"] for r in records)
    cells = {(r["row"], r["column"]): r["values"]["ratio"] for r in records}
    rows = [
        [
            row,
            *(f"{cells[row, c]:.2f}" if (row, c) in cells else "\\" for c in columns),
        ]
        for row in unique(r["row"] for r in records)
    ]
    return ["", *columns], rows


def unique(values):
    """Return each once, in order."""
    return list(dict.fromkeys(values))


TABLES = {
    "peers": peer_rows,
    "robust": robust_rows,
    "confident_learning": ratio_rows,
    "engine": ratio_rows,
}


def fragment(records, table):
    """Return what the page includes: where the figures come from, and the table."""
    head, rows = table(records)
    lines = [".. code-block:: bash", ""]
    lines += [f"   {command}" for command in unique(r["command"] for r in records)]
    lines += ["", said_of_runs(records), "", ".. list-table::", "   :header-rows: 1"]
    lines += ["   :stub-columns: 1", ""]
    for row in [head, *rows]:
        cells = [cell.replace("`", "``") for cell in row]
        lines += [f"   {'-' if i else '* -'} {c}".rstrip() for i, c in enumerate(cells)]
        lines[-len(cells) + 1 :] = [f"  {line}" for line in lines[-len(cells) + 1 :]]
    return "\n".join(lines) + "\n"


def said_of_runs(records):
    """Return a sentence on dates, hardware and versions."""
    dates = sorted({r["date"] for r in records})
    span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    hardware = " and ".join(unique(r["hardware"] for r in records))
    versions = {}
    for record in records:
        for name, version in record["versions"].items():
            versions.setdefault(name, []).append(version)
    said = [f"{name} {' and '.join(unique(v))}" for name, v in versions.items()]
    return f"Run on {span}, on {hardware}, with {', '.join(said)}."


def markdown(records):
    """Return the table of the README."""
    head, rows = peer_rows(records)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def readme():
    """Return the README with the table of the records."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    start, end = MARKS
    before, rest = text.split(start)
    return f"{before}{start}\n{markdown(read('peers'))}\n{end}{rest.split(end)[1]}"


def pages():
    """Return what each file must hold."""
    found = {ROOT / "README.md": readme()}
    for name, table in TABLES.items():
        found[FOLDER / f"{name}.txt"] = fragment(read(name), table)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args()
    stale = [
        path
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if not args.check:
            path.write_text(pages()[path], encoding="utf-8")
        print(f"{'not current' if args.check else 'written'}: {path.relative_to(ROOT)}")
    sys.exit(bool(stale) and args.check)


if __name__ == "__main__":
    main()
