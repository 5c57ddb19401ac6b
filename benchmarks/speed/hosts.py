"""Cost of co-teaching, DivideMix and masking, over raw torch loops of the same passes.

One process, one thread, in turns; each figure is the median of paired ratios of CPU
time of an epoch after the warm-up. The raw loop "passes" makes the same forward and
backward passes, with the same networks, optimizer, numbers of rows and steps, and
nothing else: no sorting of labels, no targets, no views, no mixing. "views" draws the
views and mixes rows and targets in pairs, too. Beside them an epoch over one of
cross-entropy.

Below, for images, a step of cross-entropy with adversarial masking over one without,
over a raw loop of the same passes, and the share of the step in which peaks are found,
patches masked and labels softened.

To add a method, write a function that returns its classifier, and one that runs a raw
epoch for a fitted classifier, and name both in ``METHODS``.

Default: 20,000 rows, 5 rounds; ``--full``: 50,000 rows, 11 rounds.

    OMP_NUM_THREADS=1 python benchmarks/speed/hosts.py
"""

import argparse
import time

import numpy as np
import torch
from skorch.callbacks import Callback
from torch.nn import functional as F

from sknoisy import CoTeachingClassifier, DivideMixClassifier, NetClassifier
from sknoisy.nets import MLP, AdversarialMasking, PreActResNet18, crop_and_flip

SHAPES = {
    "512-512-512-10": (512, (512, 512)),
    "512-64-10": (512, (64,)),
    "32-32-10": (32, (32,)),
}
BATCH_SIZE = 128
GOAL = 1.15


class Clock(Callback):
    """CPU seconds at the end of each epoch, and how many rows every step had."""

    def initialize(self):
        """Forget earlier epochs."""
        self.ends_, self.steps_ = [], []
        return self

    def on_epoch_begin(self, net, **kwargs):
        """Forget the steps of the epoch before."""
        self.steps_ = []

    def on_batch_end(self, net, training=False, **kwargs):
        """Keep the numbers of rows."""
        if training:
            self.steps_.append(net.history[-1, "batches", -1, "train_batch_size"])

    def on_epoch_end(self, net, **kwargs):
        """Look at the clock."""
        self.ends_.append(time.process_time())


class SplitClock(Clock):
    """Also keeps how many of a step's rows are labelled."""

    def on_batch_end(self, net, training=False, **kwargs):
        """Keep both numbers of rows."""
        super().on_batch_end(net, training=training, **kwargs)
        if training:
            self.steps_[-1] = net.n_labelled_, self.steps_[-1], net.turn_


def fitted(make, clock, X, y, hidden, epochs):
    params = {"module__hidden": hidden, "module__dropout": 0.0}
    params |= {"max_epochs": epochs, "batch_size": BATCH_SIZE}
    return make(**params, callbacks=[("clock", clock())]).fit(X, y)


def last_epoch(net):
    """Return the CPU seconds of the last epoch, and its steps."""
    clock = dict(net.callbacks_)["clock"]
    return clock.ends_[-1] - clock.ends_[-2], clock.steps_


def networks(X, hidden, n_networks):
    """Return networks, and one optimizer for each."""
    parts = [MLP(X.shape[1:], 10, hidden, dropout=0.0) for _ in range(n_networks)]
    params = {"lr": 0.02, "momentum": 0.9, "weight_decay": 2e-3, "fused": True}
    return parts, [torch.optim.SGD(part.parameters(), **params) for part in parts]


def co_teaching(**params):
    return CoTeachingClassifier(forget_rate=0.2, ramp_epochs=1, **params)


def raw_co_teaching(steps, X, hidden, with_views):
    """Run both networks over all rows; the sum of their losses."""
    peers, optimizers = networks(X, hidden, 2)
    y = torch.randint(10, (len(X),))
    start = time.process_time()
    for n_rows in steps:
        rows = torch.randint(len(X), (n_rows,))
        batch, labels = X[rows], y[rows]
        for optimizer in optimizers:
            optimizer.zero_grad()
        sum(F.cross_entropy(peer(batch), labels) for peer in peers).backward()
        for optimizer in optimizers:
            optimizer.step()
    return time.process_time() - start


def dividemix(**params):
    return DivideMixClassifier(warmup_epochs=1, **params)


def raw_dividemix(steps, X, hidden, with_views):
    """Run both evaluations, and for each step the guesses and the mixed pass."""
    peers, optimizers = networks(X, hidden, 2)
    targets = torch.softmax(torch.randn(4 * BATCH_SIZE + 4, 10), 1)
    spread = X.std(0)
    start = time.process_time()
    with torch.no_grad():
        for part in X.split(1024):
            for peer in peers:
                peer(part)
    for n_labelled, n_rows, turn in steps:
        own, partner, optimizer = peers[turn], peers[1 - turn], optimizers[turn]
        rows = torch.randint(len(X), (2 * n_rows,))
        batch = X[rows]
        if with_views:
            batch = torch.addcmul(batch, torch.randn_like(batch), spread, value=0.3)
        with torch.no_grad():
            own(batch).softmax(1)
            partner(batch[: 2 * (n_rows - n_labelled)]).softmax(1)
        wanted, n = targets[: 2 * n_rows], 2 * n_labelled
        if with_views:
            order = torch.randperm(len(batch))
            batch = torch.lerp(batch[order], batch, 0.7)
            wanted = torch.lerp(wanted[order], wanted, 0.7)
        optimizer.zero_grad()
        logits = own(batch)
        loss = F.cross_entropy(logits[:n], wanted[:n])
        loss = loss + F.mse_loss(logits[n:].softmax(1), wanted[n:])
        loss.backward()
        optimizer.step()
    return time.process_time() - start


# Method: its classifier, what is kept of its steps, and a raw epoch of such steps.
METHODS = {
    "co-teaching": (co_teaching, Clock, raw_co_teaching),
    "DivideMix": (dividemix, SplitClock, raw_dividemix),
}


def seconds(method, X, y, hidden):
    """Return CPU seconds of an epoch: cross-entropy, the method, both raw loops."""
    make, clock, raw = METHODS[method]
    plain, _ = last_epoch(fitted(NetClassifier, Clock, X, y, hidden, 2))
    ours, steps = last_epoch(fitted(make, clock, X, y, hidden, 3))
    loops = [raw(steps, torch.from_numpy(X), hidden, views) for views in (False, True)]
    return plain, ours, *loops


def masked_seconds(X, y):
    """Return CPU seconds of an epoch: plain, masked, raw loop, and views alone."""
    params = {"module__width": 16, "batch_size": BATCH_SIZE, "random_state": 0}
    found = []
    for masks in ({}, {"masking": AdversarialMasking, "masking__warmup_epochs": 0}):
        clock = [("clock", Clock())]
        net = NetClassifier(
            PreActResNet18, max_epochs=3, callbacks=clock, **params, **masks
        )
        found.append(last_epoch(net.fit(X, y))[0])
    network, masking = net.module_.train(), net.masking_.train()
    groups = [*network.parameters(), *masking.parameters()]
    optimizer = torch.optim.SGD(groups, 1e-4, 0.9, fused=True)
    views = 0.0
    images, labels = torch.from_numpy(X), torch.from_numpy(y)
    start = time.process_time()
    with torch.no_grad():
        for part in images.split(1024):
            network.eval()(part / 255)
    network.train()
    for rows in torch.randperm(len(X)).split(BATCH_SIZE):
        batch = images[rows] / 255
        batch = crop_and_flip(batch.contiguous(memory_format=torch.channels_last))
        optimizer.zero_grad()
        made = network.feature_map(batch)
        loss = F.cross_entropy(network.head(made.mean((2, 3))), labels[rows])
        # Not a part of the loop: it is measured by itself.
        before = time.process_time()
        targets, quality = F.one_hot(labels[rows], 10).float(), torch.rand(len(rows))
        masked, softened = masking.views(batch, targets, quality, made)
        views += time.process_time() - before
        copies = network.feature_map(torch.cat(masked))
        logits = network.head(copies.mean((2, 3)))
        loss = loss + F.cross_entropy(logits, softened.repeat(2, 1))
        restored = masking.decoders[0](copies)
        loss = loss + 0.02 * F.mse_loss(restored, batch.repeat(2, 1, 1, 1))
        loss.backward()
        optimizer.step()
    raw = time.process_time() - start - views
    return *found, raw, views


def print_masking(rounds):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (512, 3, 32, 32), dtype=np.uint8)
    y = rng.integers(0, 10, 512)
    times = np.array([masked_seconds(X, y) for _ in range(rounds)])
    plain, masked, raw, views = times.T
    print("\nmasking, 512 images of 32 x 32 pixels, PreActResNet-18 with 16 channels")
    print(f"over the same passes       {np.median(masked / raw):6.2f}")
    print(f"over cross-entropy         {np.median(masked / plain):6.2f}")
    print(f"views, share of the step   {np.median(views / masked):6.1%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="50,000 rows, 11 rounds")
    args = parser.parse_args()
    torch.set_num_threads(1)
    n_rows, rounds = (50_000, 11) if args.full else (20_000, 5)
    print(f"{n_rows} rows, {rounds} rounds, one thread; goal over raw torch {GOAL}")
    titles = ("over passes", "over views", "over CE", "seconds")
    print(f"{'net':16s}{'method':14s}" + "".join(f"{t:>13s}" for t in titles))
    rng = np.random.default_rng(0)
    for name, (width, hidden) in SHAPES.items():
        X = rng.standard_normal((n_rows, width), dtype=np.float32)
        y = (X[:, :10] + rng.standard_normal((n_rows, 10))).argmax(1)
        # A fifth of the labels is wrong, so that there are two sets of rows.
        y = np.where(rng.random(n_rows) < 0.2, rng.integers(0, 10, n_rows), y)
        for method in METHODS:
            seconds(method, X[:1000], y[:1000], hidden)
            times = np.array([seconds(method, X, y, hidden) for _ in range(rounds)])
            plain, ours, passes, views = times.T
            cells = [np.median(ours / other) for other in (passes, views, plain)]
            cells = "".join(f"{cell:13.2f}" for cell in [*cells, np.median(ours)])
            print(f"{name:16s}{method:14s}{cells}", flush=True)
    print_masking(rounds)


if __name__ == "__main__":
    main()
