"""Cost of the training engine: NetClassifier, a raw torch loop and stock skorch.

One process, one thread, in turns; each figure is the median of paired ratios of CPU
time. Default: 20,000 rows, 11 rounds of 4 epochs; ``--full``: 50,000 rows, 11 rounds;
``--rows`` and ``--rounds`` set them. ``--results FILE`` keeps the ratios, and a run
goes on with the file.

    python benchmarks/speed/engine.py
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn

from sknoisy import NetClassifier
from sknoisy.nets import MLP, DynamicsRecorder

sys.path.append(str(Path(__file__).resolve().parents[1] / "accuracy"))

from _results import Results, command_of, origin

SHAPES = {
    "512-512-512-10": (512, (512, 512)),
    "512-64-10": (512, (64,)),
    "32-32-10": (32, (32,)),
}
SGD = {"momentum": 0.9, "weight_decay": 2e-3, "fused": True}


def cpu_seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def raw_loop(X, y, hidden, epochs):
    module = MLP((X.shape[1],), 10, hidden, dropout=0.0)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, **SGD)
    criterion = nn.CrossEntropyLoss()
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    module.train()
    for _ in range(epochs):
        order = torch.randperm(len(X))
        total = 0.0
        for index in order.split(128):
            optimizer.zero_grad()
            loss = criterion(module(X[index]), y[index])
            loss.backward()
            optimizer.step()
            total += loss.item()


def ours(X, y, hidden, epochs, **params):
    net = NetClassifier(
        module__hidden=hidden, module__dropout=0.0, max_epochs=epochs, **params
    )
    return net.fit(X, y)


def stock(X, y, hidden, epochs):
    net = NeuralNetClassifier(
        MLP,
        module__input_shape=(X.shape[1],),
        module__n_classes=10,
        module__hidden=hidden,
        module__dropout=0.0,
        criterion=nn.CrossEntropyLoss,
        lr=0.05,
        optimizer__momentum=0.9,
        optimizer__weight_decay=2e-3,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        max_epochs=epochs,
    )
    return net.fit(X, y)


def one_round(X, y, hidden, epochs, fitted):
    """Return CPU seconds of each side, taken one after the other."""
    data = X, y, hidden, epochs
    return {
        "raw": cpu_seconds(lambda: raw_loop(*data)),
        "ours": cpu_seconds(lambda: ours(*data)),
        "recorder": cpu_seconds(lambda: ours(*data, callbacks=[DynamicsRecorder()])),
        "stock": cpu_seconds(lambda: stock(*data)),
        "predict": cpu_seconds(lambda: fitted[0].predict_proba(X)),
        "stock predict": cpu_seconds(lambda: fitted[1].predict_proba(X)),
    }


COLUMNS = (
    ("ours", "raw"),
    ("stock", "raw"),
    ("stock", "ours"),
    ("recorder", "ours"),
    ("stock predict", "predict"),
)


def measured(width, hidden, n_rows, rounds, epochs):
    """Return the ratios of a network, as in COLUMNS."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, width), dtype=np.float32)
    y = rng.integers(0, 10, n_rows)
    few = X[:1000], y[:1000], hidden, 1
    fitted = ours(*few), stock(*few)
    raw_loop(*few)
    times = [one_round(X, y, hidden, epochs, fitted) for _ in range(rounds)]
    return [float(np.median([t[a] / t[b] for t in times])) for a, b in COLUMNS]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="50,000 rows")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--results", type=Path, help="JSON-lines file, gone on with")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results, command = Results(args.results), command_of("benchmarks/speed/engine.py")
    n_rows, epochs = args.rows or (50_000 if args.full else 20_000), 4
    print(f"{n_rows} rows, {args.rounds} rounds of {epochs} epochs, one thread")
    titles = [f"{top}/{bottom}" for top, bottom in COLUMNS]
    print(f"{'net':15s}" + "".join(f"{title:>23s}" for title in titles))
    for name, (width, hidden) in SHAPES.items():
        size = {"row": name, "rows": n_rows, "rounds": args.rounds}
        found = [results.find(size | {"column": title}) for title in titles]
        if all(found):
            ratios = [record["values"]["ratio"] for record in found]
        else:
            ratios = measured(width, hidden, n_rows, args.rounds, epochs)
            for title, ratio in zip(titles, ratios, strict=True):
                record = size | {"column": title, "values": {"ratio": round(ratio, 3)}}
                results.add(record | origin(command))
        print(f"{name:15s}" + "".join(f"{ratio:23.2f}" for ratio in ratios), flush=True)


if __name__ == "__main__":
    main()
