"""What more workers save: two over one, measured, and 16 and 256, simulated.

Synthetic rows with ten classes and 20 % wrong labels. Everything runs in turns; each
figure is the median of paired ratios. 0.5 is the best that two can reach, 1 is no gain.

- "wall" is what a clock shows, and "allowed" what the machine has left at the time: two
  trainings at once in two processes, over two in a row in one.
- "CPU" is the CPU time of the busier worker and the calling process, over that of one
  process that does all: the ratio on two free cores, also if others use them now. It is
  read from /proc (Linux), as the peak memory of the larger worker ("MB").

Three parts:

- fits: estimators that train several networks, with workers that have started.
- grid: a search over 7 values of λ and 3 of α of NALClassifier, with 3 folds: 63
  fits on 5,000 rows of 64 columns, two hidden layers of 32, 20 epochs, without
  the refit in the end. joblib's processes that have not started ("cold"), that have
  ("warm"), and two workers of dask with one thread each.
- simulation: the tasks of that grid (those of one α, three times) and of
  DynaCorDetector on 10,000 rows, measured one after the other, dealt out to 2, 16 and
  256 workers; `simulated_workers` says how.

    OMP_NUM_THREADS=1 python benchmarks/speed/parallel.py [--full] [--part grid]
"""

import argparse
import logging
import os
import time
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from simulated_workers import Link, finish, limits, recorded
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sknoisy import (
    AUMDetector,
    CoTeachingClassifier,
    DynaCorDetector,
    NALClassifier,
    NetClassifier,
    SmallLossDetector,
)

ESTIMATORS = {
    "DynaCorDetector": DynaCorDetector(random_state=0),
    "AUMDetector": AUMDetector(random_state=0),
    "SmallLossDetector": SmallLossDetector(random_state=0),
    "NetClassifier, race": NetClassifier(settings="auto", random_state=0),
    "CoTeachingClassifier": CoTeachingClassifier(random_state=0),
}
SIZES = [(2_000, 32), (2_000, 512)]
FULL = [*SIZES, (10_000, 32), (10_000, 512)]
GRID = {"lam": [0.01, 0.05, 0.1, 0.5, 5, 10, 50], "alpha": [0.7, 0.9, 0.99]}
PARTS = ("fits", "grid", "simulation")
SIMULATED = (2, 16, 256)
# joblib starts other processes for another one: that of the detectors, and its default.
OWN, DEFAULT = {"mmap_mode": "c"}, {}
CLUSTER = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
# A busy machine is slow to end them, which is no matter here.
CLUSTER["silence_logs"] = logging.ERROR


def noisy_data(n_rows, n_columns):
    """Return rows of ten classes, and labels of which about a fifth are wrong."""
    rng = np.random.default_rng(0)
    y = rng.integers(10, size=n_rows)
    centres = rng.normal(size=(10, n_columns)) * 3 / np.sqrt(n_columns)
    X = (centres[y] + rng.normal(size=(n_rows, n_columns))).astype(np.float32)
    wrong = rng.random(n_rows) < 0.2
    y[wrong] = (y[wrong] + rng.integers(1, 10, size=wrong.sum())) % 10
    return X, y


def seconds(run, *args):
    """Return the wall time of a call, and its result."""
    start = time.perf_counter()
    result = run(*args)
    return time.perf_counter() - start, result


def train(X, y):
    """Train a network for a while; the unit of "allowed"."""
    torch.set_num_threads(1)
    NetClassifier(max_epochs=5, random_state=0).fit(np.array(X), y)


def allowed(X, y, how):
    """Return the ratio of two trainings at once to two in a row, in workers."""
    two = delayed(train)(X, y), delayed(train)(X, y)
    at_once, _ = seconds(Parallel(2, **how), two)
    start = time.perf_counter()
    for _ in two:
        train(X, y)
    return at_once / (time.perf_counter() - start)


def process(_):
    """Return the number of this process, in a while, with its peak memory forgotten."""
    time.sleep(0.5)
    Path("/proc/self/clear_refs").write_text("5")
    return os.getpid()


def processes_of(workers):
    """Return the numbers of two workers, and of this process before them."""
    found = sorted({*workers(map(delayed(process), "abcd"))})
    if len(found) != 2:
        raise RuntimeError(f"two workers were expected, not {len(found)}.")
    return [os.getpid(), *found]


def processor_seconds(processes):
    """Return the CPU time of processes so far."""
    ticks = []
    for number in processes:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        ticks.append(int(fields[11]) + int(fields[12]))
    return np.array(ticks) / os.sysconf("SC_CLK_TCK")


def peak_memory(processes):
    """Return the largest peak memory of processes, in MB."""
    found = []
    for number in processes:
        lines = Path(f"/proc/{number}/status").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("VmHWM")]
        found.append(int(line.split()[1]) / 1024)
    return max(found)


def watched(processes, run, *args):
    """Return wall seconds, CPU seconds of the caller and the busier worker, result."""
    before = processor_seconds(processes)
    took, result = seconds(run, *args)
    here, *there = processor_seconds(processes) - before
    return took, here + max(there, default=0), result


def outcome(fitted, X):
    """Return an array that tells whether two fits are the same."""
    if hasattr(fitted, "noise_scores_"):
        return fitted.noise_scores_
    return fitted.predict_proba(X)


def compare(estimator, X, y, n_turns):
    """Return wall seconds of one process, ratios for each turn, and peak memory."""

    def fit(n_jobs, **params):
        with parallel_config(n_jobs=n_jobs):
            return clone(estimator).set_params(**params).fit(X, y)

    for n_jobs in (1, 2):
        # Or the first turn would pay for imports, and seem to save what it did not.
        fit(n_jobs, max_epochs=2)
    alone, ratios, peaks = [], [], []
    for _ in range(n_turns):
        processes = processes_of(Parallel(2, **OWN))
        one, two = watched(processes, fit, 1), watched(processes, fit, 2)
        peaks.append(peak_memory(processes[1:]))
        np.testing.assert_array_equal(outcome(one[2], X), outcome(two[2], X))
        alone.append(one[0])
        ratios.append((two[0] / one[0], allowed(X, y, OWN), two[1] / one[1]))
    return median(alone), np.array(ratios), max(peaks)


def show(name, size, alone, ratios, peak):
    """Print a row."""
    wall, floor, busy = np.median(ratios, axis=0)
    figures = f"{wall:5.2f} {floor:7.2f}"
    if peak:
        figures += f" {busy:5.2f} {peak:6.0f}"
    print(f"{name:20} {size:>14} {alone:>6.1f} s {figures}", flush=True)


def print_fits(sizes, n_turns, only):
    """Print a row for each estimator and size."""
    for n_rows, n_columns in sizes:
        X, y = noisy_data(n_rows, n_columns)
        for name, estimator in ESTIMATORS.items():
            if only in (None, name):
                found = compare(estimator, X, y, n_turns)
                show(name, f"{n_rows:,} x {n_columns}", *found)


def search(X, y, grid=GRID):
    """Return the mean accuracies of a grid, with the workers that joblib has."""
    net = NALClassifier(module__hidden=(32, 32), random_state=0)
    grid = GridSearchCV(net, grid, cv=3, refit=False)
    return grid.fit(X, y).cv_results_["mean_test_score"]


def search_with(n_jobs, *args):
    """Return the same, with processes of joblib."""
    with parallel_config(n_jobs=n_jobs):
        return search(*args)


def print_grid(n_turns):
    """Print a row for processes of joblib that have started or not, and for dask."""
    from distributed import Client, LocalCluster

    X, y = noisy_data(5_000, 64)
    rows = {name: [] for name in ("cold", "warm", "dask")}
    alone, peaks = [], dict.fromkeys(rows, 0.0)
    against_loky = []
    # Of processes, so that the workers are not in this one.
    with (
        LocalCluster(**CLUSTER) as made,
        Client(made) as client,
    ):
        client.run(train, X[:500], y[:500])
        in_dask = [os.getpid(), *client.run(os.getpid).values()]
        for _ in range(n_turns):
            here = [os.getpid()]
            one = watched(here, search_with, 1, X, y)
            alone.append(one[0])
            get_reusable_executor().shutdown(wait=True)
            cold, same = seconds(search_with, 2, X, y)
            np.testing.assert_array_equal(one[2], same)
            processes = processes_of(Parallel(2, **DEFAULT))
            warm = watched(processes, search_with, 2, X, y)
            peaks["warm"] = max(peaks["warm"], peak_memory(processes[1:]))
            with parallel_config("dask"):
                dask = watched(in_dask, search, X, y)
            peaks["dask"] = peak_memory(in_dask[1:])
            free = allowed(X, y, DEFAULT)
            rows["cold"].append((cold / one[0], free, np.nan))
            for name, two in (("warm", warm), ("dask", dask)):
                np.testing.assert_array_equal(one[2], two[2])
                rows[name].append((two[0] / one[0], free, two[1] / one[1]))
            against_loky.append((dask[0] / warm[0], dask[1] / warm[1]))
    for name, ratios in rows.items():
        show(f"grid, {name}", "5,000 x 64", median(alone), ratios, peaks[name])
    wall, busy = np.median(against_loky, axis=0)
    print(f"dask over warm processes: wall {wall:.2f}, CPU {busy:.2f}", flush=True)


def dispatch_seconds(n_tasks=300):
    """Return the CPU seconds of this process and of a dask scheduler in it a task."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(**CLUSTER) as made,
        Client(made),
        parallel_config("dask"),
    ):
        start = time.process_time()
        Parallel(batch_size=1)(delayed(divmod)(i, 2) for i in range(n_tasks))
        return (time.process_time() - start) / n_tasks


def print_simulation(gbits):
    """Print speed-up and what limits it, for a grid and for a race."""
    link = Link(dispatch_seconds(), 8 / (gbits * 1e9))
    print(f"dispatch {1e3 * link.dispatch:.1f} ms a task, link {gbits:g} Gbit/s")
    X, y = noisy_data(5_000, 64)
    search(X[:500], y[:500], GRID | {"alpha": [0.7]})
    # The time of a fit does not depend on α.
    work = recorded(256, X.nbytes, partial(search, X, y, GRID | {"alpha": [0.7]}))
    work.calls = [call * len(GRID["alpha"]) for call in work.calls]
    for n_workers in SIMULATED:
        print_schedule("grid", work.alone + work.seconds, work, n_workers, link)
    X, y = noisy_data(10_000, 64)
    fit = partial(DynaCorDetector(random_state=0).fit, X, y)
    start = time.process_time()
    fit()
    alone = time.process_time() - start
    # The more workers, the more trainings ahead of what may need them: 16 are enough
    # for three rounds of the race at once, and for all of the chosen setting.
    two, many = (recorded(n_workers, X.nbytes, fit) for n_workers in SIMULATED[:2])
    for n_workers in SIMULATED:
        work = two if n_workers == 2 else many
        print_schedule("DynaCorDetector", alone, work, n_workers, link)


def print_schedule(name, alone, work, n_workers, link):
    """Print how a number of workers compares with one process, and the tasks."""
    took, bounds = finish(work, n_workers, link), limits(work, n_workers, link)
    what = max(bounds, key=bounds.get)
    tasks = [task for call in work.calls for task in call]
    mean = {
        key: np.mean([getattr(task, key) for task in tasks]) for key in vars(tasks[0])
    }
    print(
        f"{name}, {n_workers} workers: {alone / took:.1f} times as fast, limited by "
        f"{what}, which alone allows {alone / bounds[what]:.1f}\n"
        f"    {alone:.1f} s in one process; tasks at once: "
        f"{', '.join(str(len(call)) for call in work.calls)}, of "
        f"{mean['seconds']:.2f} s, {mean['sent'] / 1e3:,.0f} kB there and "
        f"{mean['returned'] / 1e3:,.1f} kB back; rows {work.row_bytes / 1e6:.1f} MB; "
        f"{work.alone:.1f} s of the caller",
        flush=True,
    )


def main():
    """Print the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="fits of 10,000 rows, too")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--part", choices=PARTS, help="only one of the parts")
    parser.add_argument("--only", help="name of an estimator, of the fits")
    parser.add_argument("--gbits", type=float, default=1.0, help="of the simulated net")
    args = parser.parse_args()
    parts = [args.part] if args.part else PARTS
    torch.set_num_threads(1)
    if parts != ["simulation"]:
        two = [delayed(train)(*noisy_data(100, 4))] * 2
        print(f"start of two workers: {seconds(Parallel(2, **OWN), two)[0]:.1f} s")
        print(f"{'':20} {'rows x columns':>14} {'1 job':>8}  wall allowed   CPU     MB")
    if "fits" in parts:
        print_fits(FULL if args.full else SIZES, args.turns, args.only)
    if "grid" in parts:
        print_grid(args.turns)
    if "simulation" in parts:
        print_simulation(args.gbits)


if __name__ == "__main__":
    main()
