"""Memory of ``sknoisy audit --max-memory`` on tables of more and more rows.

Parquet files of 30 columns of numbers and one of six categories, two classes, 10 % of
the labels wrong, which this script writes and removes. Each audit is a process of its
own, with one thread, ``max_memory="64MB"``, and a small network for one epoch, since
the memory and not the network is looked at; it ends with the CSV of the flagged rows
and the page.

Printed for each number of rows: the size of the table as a frame in memory, CPU
seconds, and "extra", the largest memory of the process over that of the same audit of
1,000 rows. Memory is RssAnon of /proc (Linux), read every 5 ms. Then the bytes a row,
by the two largest numbers of rows.

    OMP_NUM_THREADS=1 python benchmarks/speed/audit_memory.py [--rows 200000 1000000]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

N_COLUMNS, BASE, CHUNK, LIMIT_MIB = 30, 1_000, 50_000, 300
SIZES = (200_000, 1_000_000)


def make_table(path, n_rows):
    """Write a table, some rows at a time; return its size as a frame."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, writer, n_bytes = np.random.default_rng(0), None, 0
    for start in range(0, n_rows, CHUNK):
        size = min(CHUNK, n_rows - start)
        y = rng.integers(2, size=size)
        X = rng.normal(size=(size, N_COLUMNS)) + y[:, None] * 0.3
        frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(N_COLUMNS)])
        frame["place"] = np.array(list("abcdef"))[rng.integers(6, size=size)]
        wrong = rng.random(size) < 0.1
        frame["kind"] = np.array(["ant", "bee"])[np.where(wrong, 1 - y, y)]
        n_bytes += frame.memory_usage(deep=True).sum()
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()
    return int(n_bytes)


class Memory(threading.Thread):
    """Looks at the memory of this process until it is stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self.stopped = 0, threading.Event()
        self.start()

    def run(self):
        """Keep the largest value, in KiB."""
        while not self.stopped.wait(0.005):
            text = Path("/proc/self/status").read_text()
            self.most = max(self.most, int(text.split("RssAnon:")[1].split()[0]))


def child(path):
    """Audit a table, write what was found, and print the memory as JSON."""
    import sknoisy

    network = sknoisy.NetClassifier(
        module__hidden=16, max_epochs=1, batch_size=4096, random_state=0
    )
    detector = sknoisy.ConfidentLearningDetector(network, cv=2, random_state=0)
    memory, start = Memory(), time.process_time()
    # The smaller table would fit, and must be read in blocks, too.
    size = "64MB" if Path(path).stat().st_size > 2**21 else "100KB"
    report = sknoisy.audit(path, "kind", detector=detector, max_memory=size)
    report.to_csv(f"{path}.csv", X=report.table)
    report.to_html(f"{path}.html")
    seconds = time.process_time() - start
    memory.stopped.set()
    memory.join()
    print(json.dumps({"bytes": 1024 * memory.most, "seconds": seconds}))


def measured(folder, n_rows):
    """Return the size of a table as a frame, and what an audit of it took."""
    path = Path(folder) / f"{n_rows}.parquet"
    n_bytes = make_table(path, n_rows)
    run = subprocess.run(
        [sys.executable, __file__, "--child", str(path)],
        check=True,
        stdout=subprocess.PIPE,
    )
    path.unlink()
    return n_bytes, json.loads(run.stdout.splitlines()[-1])


def main():
    """Print a line for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        base = measured(folder, BASE)[1]["bytes"]
        print(f"{base / 2**20:.0f} MiB with {BASE:,} rows")
        print(f"{'rows':>10} {'frame':>9} {'CPU':>8} {'extra':>9}")
        extra = []
        for n_rows in args.rows:
            n_bytes, found = measured(folder, n_rows)
            extra.append(found["bytes"] - base)
            print(
                f"{n_rows:>10,} {n_bytes / 2**20:>5.0f} MiB {found['seconds']:>6.1f} s "
                f"{extra[-1] / 2**20:>5.0f} MiB",
                flush=True,
            )
        if len(extra) > 1:
            a_row = (extra[-1] - extra[-2]) / (args.rows[-1] - args.rows[-2])
            fixed = (extra[-1] - a_row * args.rows[-1]) / 2**20
            print(f"{fixed:.0f} MiB (limit {LIMIT_MIB}) and {a_row:.0f} bytes a row")


if __name__ == "__main__":
    main()
