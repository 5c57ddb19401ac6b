"""Cost of a flywheel cycle, of its predictions, and of what it keeps.

One process, one thread, in turns; each figure is the median of paired ratios of CPU
time. A cycle is over an epoch of cross-entropy of the same network, and over a raw
torch loop that does the least a cycle needs: two training passes, one for each network,
and three passes without gradients, two views for f and one for g. It is the floor: no
view is drawn, no target computed, no row mixed. "raw with contrast" has the contrastive
term, too: f learns from two more copies of each row, and a head compares them. "two
networks" are the two training passes alone, "joint" both in the same step.

Memory is the peak of the process in the epochs over that of a `NetClassifier` on the
same rows, in units of rows x classes x 4 bytes; the state kept between epochs is
counted from its tensors. Judging the rows after the last epoch comes on top.

Default: 20,000 rows, 5 rounds of 3 cycles; ``--full``: 50,000 rows, 11 rounds.

    OMP_NUM_THREADS=1 python benchmarks/speed/flywheel.py
"""

import argparse
import resource
import time
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch
from skorch.callbacks import Callback
from torch.nn import functional as F

from sknoisy import FlywheelClassifier, NetClassifier
from sknoisy.losses import ContrastiveLoss
from sknoisy.nets import MLP

SHAPES = {"512-512-512-10": (512, (512, 512)), "512-64-10": (512, (64,))}
METHODS = {
    "CE": NetClassifier,
    "flywheel, no contrast": partial(FlywheelClassifier, contrastive_weight=0),
    "flywheel": FlywheelClassifier,
}
RAW = {
    "raw cycle": "cycle",
    "raw with contrast": "contrast",
    "raw two networks": "two networks",
    "raw joint": "joint",
}
# What each is compared to: the same passes in plain torch.
OVER = {"flywheel, no contrast": "raw cycle", "flywheel": "raw with contrast"}


class Clock(Callback):
    """CPU seconds and peak memory at the end of each epoch."""

    def initialize(self):
        """Forget earlier epochs."""
        self.ends_ = []
        return self

    def on_epoch_end(self, net, **kwargs):
        """Look at the clock."""
        self.ends_.append(time.process_time())
        self.peak_ = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fit(make, X, y, hidden, epochs, **params):
    params |= {"module__hidden": hidden, "module__dropout": 0.0, "max_epochs": epochs}
    if make is not NetClassifier:
        params["warmup_epochs"] = 1
    return make(**params, callbacks=[("clock", Clock())]).fit(X, y)


def cycle_seconds(make, X, y, hidden, epochs):
    ends = dict(fit(make, X, y, hidden, epochs).callbacks_)["clock"].ends_
    # The second epoch of flywheel also looks at the rows before the first cycle.
    return (ends[-1] - ends[1]) / (epochs - 2)


def raw_seconds(X, y, hidden, kind):
    """Time an epoch of the least that a cycle needs, or of a part of it."""
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    f, g = (MLP(X.shape[1:], 10, hidden, dropout=0.0) for _ in "fg")
    head = ContrastiveLoss(hidden[-1])
    weights = [p for part in (f, g, head) for p in part.parameters()]
    optimizer = torch.optim.SGD(weights, lr=0.02, momentum=0.9, fused=True)
    start = time.process_time()
    if kind in ("cycle", "contrast"):
        with torch.no_grad():
            for rows in torch.arange(len(X)).split(1024):
                for network in (f, f, g):
                    network(X[rows]).softmax(1)
    for networks in [(f, g)] if kind == "joint" else [(f,), (g,)]:
        for rows in torch.randperm(len(X)).split(128):
            optimizer.zero_grad()
            losses = [
                F.cross_entropy(network(X[rows]), y[rows]) for network in networks
            ]
            if kind == "contrast" and f in networks:
                features = f.embed(X[rows].repeat(2, 1))
                losses.append(0.025 * head(*features.chunk(2)).mean())
            sum(losses).backward()
            optimizer.step()
    return time.process_time() - start


def predict_seconds(clf, X):
    start = time.process_time()
    clf.predict_proba(X)
    return time.process_time() - start


def median_ratio(times, over):
    return {name: np.median([t[name] / t[over] for t in times]) for name in times[0]}


def peak_bytes(is_flywheel, n_rows):
    torch.set_num_threads(1)
    X = np.random.default_rng(0).standard_normal((n_rows, 10), dtype=np.float32)
    y = (X + np.random.default_rng(1).standard_normal(X.shape)).argmax(1)
    make = METHODS["flywheel, no contrast" if is_flywheel else "CE"]
    fit(make, X[:20_000], y[:20_000], (16,), 2)
    clf = fit(make, X, y, (16,), 3, batch_size=4096)
    state = 0
    if is_flywheel:
        buffers = clf.criterion_["cycles"].buffers()
        state = sum(b.numel() * b.element_size() for b in buffers)
    end = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return dict(clf.callbacks_)["clock"].peak_, state, end


def print_memory(n_rows):
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        (plain, _, _), (ours, state, end) = pool.starmap(
            peak_bytes, [(False, n_rows), (True, n_rows)], chunksize=1
        )
    unit = n_rows * 10 * 4
    print(
        f"{n_rows} rows, 10 classes: state {state / unit:.2f} (bound 1.40), peak over "
        f"cross-entropy {(ours - plain) / unit:.2f} (bound 3.40), after judging the "
        f"rows {(end - plain) / unit:.2f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="50,000 rows, 11 rounds")
    args = parser.parse_args()
    torch.set_num_threads(1)
    n_rows, rounds, epochs = (50_000, 11, 5) if args.full else (20_000, 5, 5)
    print(f"{n_rows} rows, {rounds} rounds, one thread; CE = 1")
    rng = np.random.default_rng(0)
    for name, (width, hidden) in SHAPES.items():
        X = rng.standard_normal((n_rows, width), dtype=np.float32)
        y = (X[:, :10] + rng.standard_normal((n_rows, 10))).argmax(1)
        nets = {
            title: fit(make, X[:1000], y[:1000], hidden, 3)
            for title, make in METHODS.items()
        }
        times, predictions = [], []
        for _ in range(rounds):
            row = {
                t: cycle_seconds(m, X, y, hidden, epochs) for t, m in METHODS.items()
            }
            row |= {t: raw_seconds(X, y, hidden, kind) for t, kind in RAW.items()}
            times.append(row)
            predictions.append({t: predict_seconds(net, X) for t, net in nets.items()})
        print(f"\n{name}: an epoch over one of CE")
        for title, ratio in median_ratio(times, "CE").items():
            print(f"  {title:24s}{ratio:6.2f}")
        for title, floor in OVER.items():
            over_raw = median_ratio(times, floor)[title]
            print(f"  {title}, over {floor} {over_raw:.2f}")
        ratio = median_ratio(predictions, "CE")["flywheel"]
        print(f"  predict_proba over that of NetClassifier {ratio:.2f}", flush=True)
    print()
    print_memory(1_000_000)


if __name__ == "__main__":
    main()
