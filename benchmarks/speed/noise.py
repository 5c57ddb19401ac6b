"""Time instance-dependent noise against the loop over rows that Algorithm 1 spells out.

All run in one process, in turns; ratios are medians of the paired ratios of processor
time. The loop is measured in numpy, and with torch's products and softmax as published
scripts for this noise have it. Memory is the peak that is allocated beyond X and y,
from tracemalloc, in a run of its own. The loops do not look for NaN in X, so the
like-for-like row is "unchecked": the injector under
``sklearn.config_context(assume_finite=True)``.

    OMP_NUM_THREADS=1 python benchmarks/speed/noise.py [--full]
"""

import argparse
import time
import tracemalloc

import numpy as np
import torch
from sklearn import config_context

from sknoisy.noise import InstanceNoiseInjector


def row_loop(X, y, noise_rate):
    """Return noisy labels, one row after the other, all projections in memory."""
    rng = np.random.default_rng(0)
    n_classes = y.max() + 1
    shape = (n_classes, X.shape[1], n_classes)
    projections = rng.standard_normal(shape, dtype=np.float32)
    noisy = np.empty_like(y)
    for n, (x, c) in enumerate(zip(X, y, strict=True)):
        q = -1.0
        while not 0 <= q <= 1:
            q = rng.normal(noise_rate, 0.1)
        p = x @ projections[c]
        p[c] = -np.inf
        p = np.exp(p - p.max(), dtype=np.float64)
        p *= q / p.sum()
        p[c] = 1 - q
        noisy[n] = rng.choice(n_classes, p=p)
    return noisy


def torch_row_loop(X, y, noise_rate):
    """Return noisy labels from the same loop on torch tensors."""
    rng = np.random.default_rng(0)
    n_classes = int(y.max()) + 1
    projections = torch.randn(n_classes, X.shape[1], n_classes)
    rates = np.clip(rng.normal(noise_rate, 0.1, len(y)), 0, 1)
    rows, labels = torch.from_numpy(X), torch.from_numpy(y)
    noisy = np.empty_like(y)
    for n in range(len(y)):
        p = rows[n].view(1, -1).mm(projections[labels[n]]).squeeze(0)
        p[labels[n]] = -torch.inf
        p = rates[n] * torch.softmax(p, dim=0)
        p[labels[n]] += 1 - rates[n]
        p = p.double().numpy()
        noisy[n] = rng.choice(n_classes, p=p / p.sum())
    return noisy


def injector(X, y, noise_rate):
    return InstanceNoiseInjector(noise_rate, random_state=0).fit_resample(X, y)[1]


def unchecked(X, y, noise_rate):
    with config_context(assume_finite=True):
        return injector(X, y, noise_rate)


METHODS = {
    "numpy loop over rows": row_loop,
    "torch loop over rows": torch_row_loop,
    "injector": injector,
    "injector, unchecked": unchecked,
}


def processor_time(method, *args):
    start = time.process_time()
    method(*args)
    return time.process_time() - start


def peak_memory(method, *args):
    """Return the noisy labels and the peak of extra memory in MiB."""
    tracemalloc.start()
    noisy = method(*args)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return noisy, peak / 2**20


def compare(n_samples, n_features, n_classes, repeats):
    rng = np.random.default_rng(0)
    X = rng.random((n_samples, n_features), dtype=np.float32)
    y = rng.integers(n_classes, size=n_samples)
    args = (X, y, 0.4)
    injector(*args)  # warm up: imports, first touch of X
    turns = range(repeats)
    times = np.array(
        [[processor_time(method, *args) for method in METHODS.values()] for _ in turns]
    )
    ratios = np.median(times[:, :1] / times, axis=0)
    torch_ratios = np.median(times[:, 1:2] / times, axis=0)
    print(f"\n{n_samples} x {n_features} float32, {n_classes} classes, {repeats} turns")
    print(
        f"{'':21}{'seconds':>9}{'numpy loop /':>14}{'torch loop /':>14}"
        f"{'MiB extra':>11}{'noise rate':>12}"
    )
    medians = np.median(times, axis=0)
    rows = zip(METHODS.items(), medians, ratios, torch_ratios, strict=True)
    for (name, method), seconds, ratio, torch_ratio in rows:
        noisy, memory = peak_memory(method, *args)
        share = (noisy != y).mean()
        print(
            f"{name:21}{seconds:9.3f}{ratio:13.1f}x{torch_ratio:13.1f}x"
            f"{memory:11.1f}{share:12.4f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    torch.set_num_threads(1)
    parser.add_argument("--full", action="store_true", help="100 classes as well")
    options = parser.parse_args()
    compare(50_000, 3_072, 10, options.repeats)
    if options.full:
        compare(50_000, 3_072, 100, options.repeats)


if __name__ == "__main__":
    main()
