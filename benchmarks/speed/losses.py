"""Cost of robust training: an epoch of each classifier over one of cross-entropy.

One process, one thread, in turns; each figure is the median of paired ratios of CPU
time, of the epochs by themselves. "NAL" estimates targets in all epochs but the first,
the dearer form of its loss, "NAL on labels" in none. "M-DYR-H" replaces labels in all
epochs but the first. Goals: NAL at most 1.15 and 1.6, ELR at most 1.10 and 1.5, for the
first and the second net.

Default: 20,000 rows, 7 rounds of 4 epochs; ``--full``: 50,000 rows, 11 rounds.

    OMP_NUM_THREADS=1 python benchmarks/speed/losses.py
"""

import argparse
import time
from functools import partial

import numpy as np
import torch
from skorch.callbacks import Callback

from sknoisy import (
    DynamicBootstrapClassifier,
    ELRClassifier,
    ELRPlusClassifier,
    NALClassifier,
    NetClassifier,
    RobustLossClassifier,
    TransitionCorrectionClassifier,
    pair_flip_matrix,
)

SHAPES = {
    "512-512-512-10": (512, (512, 512)),
    "512-64-10": (512, (64,)),
    "32-32-10": (32, (32,)),
}
METHODS = {
    "NAL": partial(NALClassifier, target_start_epoch=2),
    "NAL on labels": partial(NALClassifier, target_start_epoch=4),
    "ELR": ELRClassifier,
    "GCE": RobustLossClassifier,
    "SCE": partial(RobustLossClassifier, loss="sce"),
    "forward": partial(
        TransitionCorrectionClassifier, transition_matrix=pair_flip_matrix(10, 0.3)
    ),
    "ELR+": ELRPlusClassifier,
    "M-DYR-H": partial(DynamicBootstrapClassifier, warmup_epochs=1),
}


class Clock(Callback):
    """Adds up the CPU seconds of the epochs."""

    def initialize(self):
        """Start at zero."""
        self.seconds_ = 0.0
        return self

    def on_epoch_begin(self, net, **kwargs):
        """Start the clock."""
        self.start_ = time.process_time()

    def on_epoch_end(self, net, **kwargs):
        """Stop it, after what the net itself does at the end of an epoch."""
        self.seconds_ += time.process_time() - self.start_


def cpu_seconds(make, X, y, hidden, epochs):
    net = make(
        module__hidden=hidden,
        module__dropout=0.0,
        max_epochs=epochs,
        callbacks=[("clock", Clock())],
    )
    net.fit(X, y)
    return dict(net.callbacks_)["clock"].seconds_


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="50,000 rows, 11 rounds")
    args = parser.parse_args()
    torch.set_num_threads(1)
    n_rows, rounds, epochs = (50_000, 11, 4) if args.full else (20_000, 7, 4)
    print(f"{n_rows} rows, {rounds} rounds of {epochs} epochs, one thread; CE = 1")
    print(f"{'net':15s}" + "".join(f"{name:>14s}" for name in METHODS))
    rng = np.random.default_rng(0)
    for name, (width, hidden) in SHAPES.items():
        X = rng.standard_normal((n_rows, width), dtype=np.float32)
        # Learnable, so that no label's loss overflows what a real one has.
        y = (X[:, :10] + rng.standard_normal((n_rows, 10))).argmax(1)
        cpu_seconds(NetClassifier, X[:1000], y[:1000], hidden, 1)
        times = [
            {
                title: cpu_seconds(make, X, y, hidden, epochs)
                for title, make in {"CE": NetClassifier, **METHODS}.items()
            }
            for _ in range(rounds)
        ]
        ratios = [np.median([t[title] / t["CE"] for t in times]) for title in METHODS]
        cells = "".join(f"{ratio:14.2f}" for ratio in ratios)
        print(f"{name:15s}{cells}", flush=True)


if __name__ == "__main__":
    main()
