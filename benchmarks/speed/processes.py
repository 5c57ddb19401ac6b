"""One fit by two processes over one process, in wall time and in CPU time an epoch.

A network of three layers of 512 units on a table, and a small residual network on
images. One and two processes train in turns; each figure is the median of paired
ratios of an epoch, without the first one of a fit. 0.5 is the best that two can
reach.

- "wall" is what a clock shows, on a machine that may be busy with something else.
- "CPU" is the CPU time of a process of two over that of one alone: the ratio on two
  free cores, apart from waiting. It counts the exchange, too.

    OMP_NUM_THREADS=1 python benchmarks/speed/processes.py [--full]
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from statistics import median

import numpy as np
import torch
from skorch.callbacks import Callback

from sknoisy import ELRClassifier, NetClassifier
from sknoisy.nets import PreActResNet

BATCH_SIZES = (128, 512, 2048)


class Clock(Callback):
    """Note wall time and CPU time of each epoch."""

    def __init__(self):
        self.seconds = []

    def on_epoch_begin(self, net, **kwargs):
        """Start."""
        self.start = time.perf_counter(), time.process_time()

    def on_epoch_end(self, net, **kwargs):
        """Stop."""
        now = time.perf_counter(), time.process_time()
        self.seconds.append([b - a for a, b in zip(self.start, now, strict=True)])


def table(n_rows):
    """Return rows of 128 columns and ten classes."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_rows, 128)).astype(np.float32), rng.integers(
        10, size=n_rows
    )


def images(n_rows):
    """Return images of 16 by 16 pixels and ten classes."""
    rng = np.random.default_rng(0)
    X = rng.integers(256, size=(n_rows, 3, 16, 16)).astype(np.uint8)
    return X, rng.integers(10, size=n_rows)


def cases(full):
    """Return the trainings by name: a net and its data."""
    wide = {"module__hidden": (512, 512, 512)}
    small = {"module": PreActResNet, "module__width": 8}
    scale = 4 if full else 1
    found = {
        f"512-512-512, {kind.__name__}, batch {size}": (
            kind,
            {**wide, "batch_size": size},
            table(8192 * scale),
        )
        for size in BATCH_SIZES
        for kind in (NetClassifier, ELRClassifier)
    }
    found["images, NetClassifier, batch 256"] = (
        NetClassifier,
        {**small, "batch_size": 256},
        images(1024 * scale),
    )
    return found


def train(full, n_epochs):
    """Print the seconds of the epochs of all trainings, by name."""
    torch.set_num_threads(1)
    found = {}
    for name, (kind, params, data) in cases(full).items():
        clock = Clock()
        net = kind(max_epochs=n_epochs, random_state=0, distributed=True, **params)
        net.set_params(callbacks=[clock]).fit(*data)
        found[name] = np.median(clock.seconds[1:], axis=0).tolist()
    print(json.dumps(found))


def launched(count, arguments):
    """Return what the first of some processes measures."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    command = [sys.executable, __file__, "--inside", *arguments]
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **shared, "RANK": str(number)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    printed = [process.communicate()[0] for process in processes]
    return json.loads(printed[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="more rows and turns")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        train(arguments.full, 6)
        return
    given = ["--full"] * arguments.full
    turns = [
        (launched(1, given), launched(2, given))
        for _ in range(5 if arguments.full else 3)
    ]
    print(f"{'':44}{'one, s':>8}{'wall':>8}{'CPU':>8}")
    for name in turns[0][0]:
        one = median(alone[name][0] for alone, _ in turns)
        wall, cpu = (
            median(both[name][i] / alone[name][i] for alone, both in turns)
            for i in (0, 1)
        )
        print(f"{name:44}{one:8.3f}{wall:8.2f}{cpu:8.2f}")


if __name__ == "__main__":
    main()
