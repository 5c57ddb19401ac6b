"""Cost of DynaCorDetector: the whole fit, and the paper's second stage by itself.

And of the search of neighbours of NeighborVoteDetector.

The whole fit, with defaults, is compared with plain training loops over the same
networks for the same epochs, as often as the detector trained them: everything beyond
1 is recording, judging and choosing. Its peak memory is given in multiples of X.

The second stage, the encoder of ``decision="cluster"``, is compared with a loop over a
DataLoader that yields single rows, with Conv1d and torch's default Adam, as published
code has it. Both cluster the same trajectories for the same epochs, judge every epoch
and keep the best.

The search of neighbours is compared with scikit-learn's by brute force for the cosine,
for tables of 4, 64 and 512 columns. The peaks of memory are in MB above the start.
``--neighbors`` measures only this.

One process, one thread, in turns; ratios are medians of paired ratios of CPU time.
Default: 10,000 x 512, 3 rounds; encoder 7 rounds of 5 epochs. ``--full``: 50,000 rows,
1 round of the whole fit, encoder 5 rounds of 10 epochs.

    OMP_NUM_THREADS=1 python benchmarks/speed/detection.py
"""

import argparse
import resource
import sys
import time
from functools import partial

import numpy as np
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import f1_score
from sklearn.neighbors import NearestNeighbors
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sknoisy import DynaCorDetector, NeighborVoteDetector, SymmetricNoiseInjector
from sknoisy.detection._dynamics._encoder import (
    DynamicsClustering,
    normalize_trajectories,
    selection_metric,
)
from sknoisy.losses import (
    ClusterAlignmentLoss,
    soft_assignment,
    squared_distances,
)
from sknoisy.nets import MLP, ArrayDataset, DynamicsRecorder


def cpu_seconds(function):
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def noisy_blobs(n_rows, n_columns=512, n_classes=10):
    rng = np.random.default_rng(0)
    y = rng.integers(n_classes, size=n_rows)
    centers = rng.standard_normal((n_classes, n_columns), dtype=np.float32)
    X = rng.standard_normal((n_rows, n_columns), dtype=np.float32)
    X += 0.1 * centers[y]
    return X, SymmetricNoiseInjector(0.3, random_state=0).fit_resample(X, y)[1]


def raw_loop(X, y, setting):
    module = MLP(
        (X.shape[1],), 10, setting["module__hidden"], setting["module__dropout"]
    )
    optimizer = torch.optim.SGD(
        module.parameters(),
        lr=setting["lr"],
        momentum=0.9,
        weight_decay=setting["optimizer__weight_decay"],
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, setting["max_epochs"]
    )
    criterion = nn.CrossEntropyLoss()
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    module.train()
    for _ in range(setting["max_epochs"]):
        total = 0.0
        for index in torch.randperm(len(X)).split(128):
            optimizer.zero_grad()
            loss = criterion(module(X[index]), y[index])
            loss.backward()
            optimizer.step()
            total += loss.item()
        schedule.step()


def whole_fit(X, y, seed):
    """Return CPU seconds of a fit, of raw loops over the same nets, and the counts."""
    fit_s, detector = cpu_seconds(lambda: DynaCorDetector(random_state=seed).fit(X, y))
    counts = np.isfinite(detector.setting_aurocs_).sum(1)
    raw_s = [cpu_seconds(partial(raw_loop, X, y, s))[0] for s in detector.settings_]
    return fit_s, float(counts @ raw_s), counts


def peak_bytes():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cosine_search(X):
    search = NearestNeighbors(n_neighbors=18, metric="cosine", algorithm="brute")
    return search.fit(X).kneighbors(X)


def neighbor_searches(n_rows, rounds):
    """Print CPU time and memory of both searches; ours come first, for the peaks."""
    tables = [noisy_blobs(n_rows, n)[0].astype(np.float64) for n in (4, 64, 512)]
    searches = {"ours": NeighborVoteDetector()._search, "cosine": cosine_search}
    for search in searches.values():
        search(tables[0][:99])
    start, peaks, seconds = peak_bytes(), [], []
    for _ in range(rounds):
        for search in searches.values():
            seconds.append([cpu_seconds(partial(search, X))[0] for X in tables])
            peaks.append((peak_bytes() - start) / 1e6)
    seconds = np.reshape(seconds, (rounds, 2, len(tables)))
    print("neighbours     columns   CPU s   ours/cosine   MB ours   MB cosine")
    for j, X in enumerate(tables):
        ratio = np.median(seconds[:, 0, j] / seconds[:, 1, j])
        ours_s = np.median(seconds[:, 0, j])
        memory = f"{peaks[0]:10.0f}{peaks[1]:12.0f}" if j == len(tables) - 1 else ""
        print(f"{'':15s}{X.shape[1]:7d}{ours_s:8.1f}{ratio:14.2f}{memory}")


def watched_training(n_rows):
    """Return the trajectories of originals and copies, and what is really wrong."""
    X, y = make_classification(
        n_rows,
        64,
        n_informative=32,
        n_classes=10,
        n_clusters_per_class=1,
        class_sep=2.0,
        random_state=0,
    )
    injector = SymmetricNoiseInjector(0.3, random_state=0)
    _, y_noisy = injector.fit_resample(X, y)
    X = (X - X.mean(0)) / X.std(0)
    detector = DynaCorDetector(
        settings="paper",
        corruption="copy",
        copy_view=None,
        decision="cluster",
        module__hidden=64,
        encoder_epochs=1,
        random_state=0,
    ).fit(X, y_noisy)
    recorder = next(
        callback
        for _, callback in detector.net_.callbacks_
        if isinstance(callback, DynamicsRecorder)
    )
    rows = normalize_trajectories(recorder.trajectories_, "l2_time")
    return rows, detector.corrupted_indices_, injector.noise_mask_


def ours(rows, is_copy, copied, epochs):
    net = DynamicsClustering(
        copied_rows=copied,
        optimizer=torch.optim.Adam,
        optimizer__weight_decay=5e-4,
        lr=1e-5,
        batch_size=1024,
        max_epochs=epochs,
        iterator_train__drop_last=True,
        random_state=0,
    )
    net.partial_fit(ArrayDataset(rows, is_copy), classes=[0, 1])
    return net.scores_


def with_dataloader(rows, is_copy, copied, epochs):
    n_epochs = rows.shape[1]
    encoder = nn.Sequential(
        nn.Unflatten(1, (1, n_epochs)),
        nn.Conv1d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv1d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv1d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * n_epochs, 512),
    )
    data = TensorDataset(torch.from_numpy(rows), torch.from_numpy(is_copy == 1))
    train = DataLoader(data, 1024, shuffle=True, drop_last=True)
    test = DataLoader(data, 1024)
    with torch.no_grad():
        z = torch.cat([encoder(X) for X, _ in test])
        copy_flags = data.tensors[1]
        means = torch.stack([z[~copy_flags].mean(0), z[copy_flags].mean(0)])
    centers = nn.Parameter(means)
    parameters = [*encoder.parameters(), centers]
    optimizer = torch.optim.Adam(parameters, lr=1e-5, weight_decay=5e-4)
    criterion = ClusterAlignmentLoss()

    def judge():
        with torch.no_grad():
            parts = [
                soft_assignment(squared_distances(encoder(X), centers)) for X, _ in test
            ]
        q_noisy = torch.cat(parts)[:, 1]
        return selection_metric(q_noisy, copy_flags, copied), q_noisy

    judged = [judge()]
    for _ in range(epochs):
        for X, y in train:
            optimizer.zero_grad()
            loss, _ = criterion(encoder(X), centers, y)
            loss.backward()
            optimizer.step()
            loss.item()
        judged.append(judge())
    return max(judged, key=lambda pair: pair[0])[1].numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="50,000 rows, 10 epochs")
    parser.add_argument("--neighbors", action="store_true", help="their search only")
    args = parser.parse_args()
    torch.set_num_threads(1)
    n_rows, n_fits = (50_000, 1) if args.full else (10_000, 3)
    neighbor_searches(n_rows, n_fits)
    if args.neighbors:
        return
    X, y = noisy_blobs(n_rows)
    DynaCorDetector(max_epochs=1).fit(X[:500], y[:500])
    print(f"{n_rows} x 512, 30 % of the labels wrong")
    print("whole fit   CPU s   trainings   fit/raw loops   memory/X")
    before = peak_bytes()
    fits = [whole_fit(X, y, seed) for seed in range(n_fits)]
    memory = (peak_bytes() - before) / X.nbytes
    fit_s, raw_s, counts = zip(*fits, strict=True)
    ratio = np.median(np.divide(fit_s, raw_s))
    print(
        f"{'':9s}{np.median(fit_s):8.1f}{sum(counts[0]):12d}{ratio:16.2f}{memory:11.2f}"
    )
    del X, y
    rounds, epochs = (5, 10) if args.full else (7, 5)
    rows, copied, is_wrong = watched_training(n_rows)
    is_copy = (np.arange(len(rows)) >= n_rows).astype(np.int64)
    data = rows, is_copy, copied, epochs
    ratios, f1 = [], []
    for seed in range(rounds):
        torch.manual_seed(seed)
        ours_s, ours_q = cpu_seconds(lambda: ours(*data))
        plain_s, plain_q = cpu_seconds(lambda: with_dataloader(*data))
        ratios.append(ours_s / plain_s)
        f1.append([f1_score(is_wrong, q[:n_rows] > 0.5) for q in (ours_q, plain_q)])
    f1_ours, f1_plain = np.mean(f1, axis=0)
    print(
        f"{len(rows)} trajectories of {rows.shape[1]} epochs, {epochs} encoder epochs"
    )
    print("encoder stage   ours/DataLoader   F1 ours   F1 DataLoader")
    print(f"{'':16s}{np.median(ratios):15.2f}{f1_ours:10.4f}{f1_plain:16.4f}")


if __name__ == "__main__":
    main()
