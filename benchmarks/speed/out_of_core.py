"""Memory and time of fits on rows that stay on disk, and how both grow with the rows.

Rows of 64 columns in three classes, 10 % of the labels wrong, in a file that this
script writes and removes. Each fit is a process of its own, with one thread, after one
on 1,000 rows:

- NetClassifier, two epochs;
- DynaCorDetector, one setting, two runs, two epochs;
- ConfidentLearningDetector with a StandardScaler and an SGDClassifier;
- audit: a Parquet file of the rows is written, and ``sknoisy.audit`` reads it with
  ``max_memory="64MB"``, lets a small network judge it in one epoch of two folds, and
  writes the flagged rows and the page. In memory it is read as a whole.

Printed for each number of rows: CPU seconds, and "extra", the largest memory of the
process over that of the same fit on 1,000 rows. Memory is RssAnon of /proc (Linux),
read every 5 ms: what the process has written. Pages of the file that it has looked at
are RssFile, in a column of their own: the system drops them when it needs room.
Last come memory as megabytes and bytes a row, by the two largest numbers of rows; the
time of a row over that of a fit on 100,000 rows in memory; and 10^9 rows, at the time
of a row of the largest number.

``--blocks`` prints instead what reading a Parquet file of 500,000 rows takes, in row
groups of 100,000: a pass in order, one in random order without a copy (in portions, and
in batches of 128, in proportion to a few), the copy, and a pass from it.

    OMP_NUM_THREADS=1 python benchmarks/speed/out_of_core.py [--full] [--plot FILE]
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator

N_COLUMNS, N_CLASSES, WRONG, CHUNK = 64, 3, 0.1, 100_000
BASE, IN_MEMORY = 1_000, 100_000
SIZES = (10_000, 100_000, 500_000)
FULL = (*SIZES, 5_000_000)
LIMIT_MIB, LIMIT_RATIO = 300, 1.3


def make_rows(folder, n_rows):
    """Write rows and labels, some at a time."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(N_CLASSES, N_COLUMNS)) / 4
    shape = n_rows, N_COLUMNS
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, shape)
    labels = np.empty(n_rows, np.int64)
    for start in range(0, n_rows, CHUNK):
        stop = min(start + CHUNK, n_rows)
        y = rng.integers(N_CLASSES, size=stop - start)
        X[start:stop] = centres[y] + rng.normal(size=(stop - start, N_COLUMNS))
        wrong = rng.random(stop - start) < WRONG
        y[wrong] = (y[wrong] + rng.integers(1, N_CLASSES, size=wrong.sum())) % N_CLASSES
        labels[start:stop] = y
    X.flush()
    np.save(folder / "y.npy", labels)


def estimators():
    """Return the estimators, by name."""
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sknoisy import ConfidentLearningDetector, DynaCorDetector, NetClassifier

    few = {"max_epochs": 2, "random_state": 0}
    setting = {"module__hidden": 64, "lr": 0.05}
    sgd = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss"))
    return {
        "NetClassifier": NetClassifier(**few),
        "DynaCorDetector": DynaCorDetector(**few, settings=[setting], n_runs=2),
        "ConfidentLearningDetector": ConfidentLearningDetector(sgd, random_state=0),
        "audit": TableAudit(),
    }


NAMES = ("NetClassifier", "DynaCorDetector", "ConfidentLearningDetector", "audit")


class TableAudit(BaseEstimator):
    """An audit of the rows as a table in a file."""

    def fit(self, X, y):
        """Write the table, audit it, and write what was found."""
        import sknoisy

        network = sknoisy.NetClassifier(
            module__hidden=16, max_epochs=1, batch_size=4096, random_state=0
        )
        detector = sknoisy.ConfidentLearningDetector(network, cv=2, random_state=0)
        # What is made of the rows takes more, so that a small table is in blocks, too.
        limit = None if isinstance(X, np.ndarray) else min(64 * 10**6, X.nbytes)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.parquet"
            write_table(path, X, y)
            report = sknoisy.audit(path, "y", detector=detector, max_memory=limit)
            report.to_csv(f"{path}.csv", X=report.table)
            report.to_html(f"{path}.html")
        return self


def write_table(path, X, y, chunk=20_000):
    """Write rows and labels as Parquet, some at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*(f"x{i}" for i in range(X.shape[1])), "y"]
    kinds = [pa.float32()] * X.shape[1] + [pa.string()]
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(X), chunk):
            rows = X[start : start + chunk]
            rows = rows if isinstance(rows, np.ndarray) else rows.load()
            labels = [f"class {code}" for code in y[start : start + chunk]]
            writer.write_table(pa.table([*rows.T.copy(), labels], schema=schema))


class Memory(threading.Thread):
    """Looks at the memory of this process until it is stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most = {"RssAnon": 0, "RssFile": 0}
        self.stopped = threading.Event()
        self.start()

    def run(self):
        """Keep the largest values, in KiB."""
        while not self.stopped.wait(0.005):
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in self.most:
                    self.most[name] = max(self.most[name], int(value.split()[0]))


def child(name, folder, n_rows, where):
    """Fit, and print what it took as JSON."""
    import torch
    from sklearn.base import clone

    from sknoisy.datasets import as_row_source

    torch.set_num_threads(1)
    X = np.load(folder / "X.npy", mmap_mode="r")[:n_rows]
    X = np.array(X) if where == "memory" else as_row_source(X)
    y = np.array(np.load(folder / "y.npy", mmap_mode="r")[:n_rows])
    estimator = estimators()[name]
    # What is imported at first use is not the time of rows.
    clone(estimator).fit(X[:BASE], y[:BASE])
    memory, start = Memory(), time.process_time()
    estimator.fit(X, y)
    took = time.process_time() - start
    memory.stopped.set()
    memory.join()
    print(json.dumps({"seconds": took, **memory.most}))


def measured(name, folder, n_rows, where="disk"):
    """Run a fit in a process of its own."""
    args = ["--child", name, str(folder), str(n_rows), where]
    run = subprocess.run(
        [sys.executable, __file__, *args], check=True, stdout=subprocess.PIPE
    )
    return json.loads(run.stdout.splitlines()[-1])


def growth(name, folder, sizes):
    """Print a line for each number of rows; return seconds and extra bytes."""
    base = measured(name, folder, BASE)
    inside = measured(name, folder, IN_MEMORY, "memory")
    print(f"\n{name}: {base['RssAnon'] / 2**10:.0f} MiB with {BASE:,} rows")
    print(f"{'rows':>10} {'CPU':>9} {'us a row':>9} {'extra':>10} {'files':>10}")
    seconds, extra = [], []
    for n_rows in sizes:
        found = measured(name, folder, n_rows)
        seconds.append(found["seconds"])
        extra.append(1024 * (found["RssAnon"] - base["RssAnon"]))
        files = (found["RssFile"] - base["RssFile"]) / 2**10
        print(
            f"{n_rows:>10,} {seconds[-1]:>7.1f} s {1e6 * seconds[-1] / n_rows:>9.1f} "
            f"{extra[-1] / 2**20:>6.0f} MiB {files:>6.0f} MiB",
            flush=True,
        )
    judge(sizes, seconds, extra, inside)
    return seconds


def judge(sizes, seconds, extra, inside):
    """Print the limits, and what a thousand million rows would take."""
    a_row = (extra[-1] - extra[-2]) / (sizes[-1] - sizes[-2])
    fixed = (extra[-1] - a_row * sizes[-1]) / 2**20
    print(
        f"memory: {fixed:.0f} MiB and {a_row:.0f} bytes a row (limit {LIMIT_MIB} MiB)"
    )
    ratio = seconds[-1] / sizes[-1] / (inside["seconds"] / IN_MEMORY)
    print(f"time of a row over that in memory: {ratio:.2f} (limit {LIMIT_RATIO})")
    power = math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])
    hours = 1e9 * seconds[-1] / sizes[-1] / 3600
    print(
        f"time grew with rows^{power:.2f}; 10^9 rows at this time a row: "
        f"{hours:,.1f} hours, {1e9 * max(a_row, 0) / 2**30:,.0f} GiB of memory, "
        f"{4e9 * N_COLUMNS / 2**30:,.0f} GiB of rows on disk",
        flush=True,
    )


def blocks(folder, n_rows=500_000, group=100_000, portion=16_384):
    """Print seconds of reading a Parquet file."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    from sknoisy.datasets import ParquetRows

    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_COLUMNS, n_rows)).astype(np.float32)
    table = pa.table({f"x{j}": column for j, column in enumerate(X)})
    write_table(table, folder / "X.parquet", row_group_size=group)
    rows, order = ParquetRows(folder / "X.parquet"), rng.permutation(n_rows)

    def timed(what, run, share=1.0):
        start = time.process_time()
        run()
        print(f"{what:34}{(time.process_time() - start) / share:10.2f} s", flush=True)

    def a_pass(order, size):
        for start in range(0, len(order), size):
            rows.fetch(order[start : start + size])

    timed("a pass in order", lambda: a_pass(np.arange(n_rows), portion))
    for size in (portion, 128):
        few = order[: 2 * size]
        what = f"in random order, {size:,} at a time"
        timed(what, lambda few=few, size=size: a_pass(few, size), len(few) / n_rows)
    timed("the copy", rows.before_shuffling)
    timed("a pass in random order from it", lambda: a_pass(order, portion))


def plot(found, sizes, path):
    """Draw seconds by rows, both on a logarithmic scale."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, seconds in found.items():
        axes.loglog(sizes, seconds, marker="o", label=name)
    axes.set(xlabel="rows", ylabel="CPU seconds")
    axes.legend()
    figure.savefig(path)


def main():
    """Print a table for each estimator."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="up to 5,000,000 rows")
    parser.add_argument("--only", choices=NAMES)
    parser.add_argument("--blocks", action="store_true", help="a Parquet file")
    parser.add_argument("--plot", help="file of a figure, such as growth.svg")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        name, folder, n_rows, where = args.child
        child(name, Path(folder), int(n_rows), where)
        return
    sizes = FULL if args.full else SIZES
    with tempfile.TemporaryDirectory() as folder:
        if args.blocks:
            blocks(Path(folder))
            return
        make_rows(Path(folder), sizes[-1])
        names = [args.only] if args.only else NAMES
        found = {name: growth(name, folder, sizes) for name in names}
    if args.plot:
        plot(found, sizes, args.plot)


if __name__ == "__main__":
    main()
