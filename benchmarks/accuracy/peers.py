"""Detectors beside cleanlab and mislabeled on five data sets: the README's table.

Rows are detectors with their defaults, columns are data sets, one of each kind: images
with planted noise, a table with categories and planted noise, features of images
labelled by people, audio features labelled by one worker each, and texts labelled by
rules. Each cell: AUROC of the scores, F1 of the detector's own decision, and seconds of
CPU time, encoding included. ``detection.py`` has the other data and methods, and says
how frames and texts are encoded, how the peers are set up and how to install them. A
peer that is not installed, or fails on a data set, is said and left out.

Needs the folder ``shared/data`` beside the repository, or ``--data``; the digits are
scikit-learn's. 2,000 rows at most, one seed. ``--results FILE`` keeps the cells, and a
run goes on with the file.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/peers.py
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import torch
from _detection_data import BESIDE, DATA
from _peers import PEERS
from _results import Results, command_of, origin
from detection import CELLS, METHODS, judge

SCRIPT = "benchmarks/accuracy/peers.py"
SETS = (
    *("digits symmetric .2", "adult symmetric .2", "strong aggre"),
    *("music, one worker", "youtube text"),
)
OURS = ("auto", "DynaCor", "confident LR")
THEIRS = ("cleanlab LR", "cleanlab mean", "mislabeled", "mislabeled boosting")


def methods():
    """Return the methods that are installed, by title."""
    chosen = {title: METHODS[title] for title in OURS}
    for title in THEIRS:
        package, peer = PEERS[title]
        if find_spec(package):
            chosen[title] = peer
        else:
            print(f"NOT INSTALLED: {package}; left out: {title}")
    return chosen


def cells(name, methods, args, results):
    """Yield the record of each method on a data set; what is known is not run."""
    keys = {t: {"row": t, "column": name, "rows": args.rows} for t in methods}
    known = {title: results.find(key) for title, key in keys.items()}
    if not all(known.values()):
        X, y, noisy = DATA[name](args.data, args.rows, 0)
    for title, method in methods.items():
        record = known[title]
        if record is None:
            try:
                found = judge(method, X, noisy, y != noisy, 0)
            except Exception as error:
                # One failure must not end the run.
                reason = str(error).split("\n")[0][:90]
                print(f"{name}: {title} left out: {reason}", flush=True)
                continue
            values = dict(zip(CELLS, map(float, found), strict=True))
            record = keys[title] | {
                "n_rows": len(y),
                "wrong": float((y != noisy).mean()),
                "values": {k: round(values[k], 4) for k in ("auroc", "f1", "seconds")},
                **origin(command_of(SCRIPT), "cleanlab", "mislabeled"),
            }
            results.add(record)
        yield record


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--rows", type=int, default=2_000, help="rows at most")
    parser.add_argument("--results", type=Path, help="JSON-lines file, gone on with")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results, chosen = Results(args.results), methods()
    print(f"{'':21s} rows  wrong {'':19s} AUROC    F1  CPU s")
    for name in SETS:
        try:
            for r in cells(name, chosen, args, results):
                v = r["values"]
                print(
                    f"{name:21s} {r['n_rows']:4d}  {r['wrong']:.3f} {r['row']:19s} "
                    f"{v['auroc']:.3f} {v['f1']:.3f} {v['seconds']:6.1f}",
                    flush=True,
                )
        except FileNotFoundError as error:
            print(f"{name:21s} skipped: {error.filename or error} is not there")


if __name__ == "__main__":
    main()
