"""Time the beta mixture and the loss splitter against the published procedure.

The published procedure is EM by weighted moments, ten iterations, with scipy's beta
density on every value, after a scaling by numpy's percentiles; it is written out below.
Three comparisons, on float32 input:

1. The fit alone, on values in (0, 1), also against scikit-learn's ``GaussianMixture``
   and one pass of ``np.sum``.
2. From losses to posteriors (percentiles, scaling, fit, posterior) on three hard sets:
   clipped losses, log-normal ones, and those late in training, which are near zero
   where the label is right. ``difference`` is the largest between two posteriors of a
   loss. Both ``monotone_*`` are off, as they are no part of the procedure.
3. With ``--full``: 100,000,000 losses in a process of their own. Its peak memory, from
   ``getrusage``, is given in multiples of the losses; the posteriors of both classes
   alone are four.

One process and one thread, in turns; ratios are medians of the paired ratios of
processor time. Memory is the peak of what is allocated beyond the losses, from
tracemalloc, in a run of its own. Sizes: 50,000, one epoch of CIFAR, and 1,000,000;
``--full`` adds 10,000,000 in one turn.

    OMP_NUM_THREADS=1 python benchmarks/speed/mixture.py [--full]

Claims: at 1,000,000 the fit is 300 times as fast as the published one, the whole 50
times, and posteriors differ by less than 1e-4; 100,000,000 losses need less than 6
times their own memory. Up to 65,536 every loss enters EM, and the ratio is near 10.
"""

import argparse
import resource
import subprocess
import sys
import time
import tracemalloc

import numpy as np
from scipy import stats
from sklearn.mixture import GaussianMixture

from sknoisy import BetaMixture, BMMLossSplitter

AS_IS = {"monotone_right": False, "monotone_left": False}


def published_fit(x):
    """Return alphas, betas and weights of two components after ten iterations."""
    x = np.clip(x.astype(np.float64), 1e-4, 1 - 1e-4)
    parameters = np.array([1.0, 2.0]), np.array([2.0, 1.0]), np.array([0.5, 0.5])
    alphas, betas, weights = parameters
    for _ in range(10):
        joint = np.maximum(joint_density(x, *parameters), 1e-12)
        responsibilities = joint / joint.sum(axis=0)
        for k, r in enumerate(responsibilities):
            mean = np.average(x, weights=r)
            variance = np.average((x - mean) ** 2, weights=r)
            alphas[k] = mean * (mean * (1 - mean) / variance - 1)
            betas[k] = alphas[k] * (1 - mean) / mean
            weights[k] = r.mean()
    return parameters


def joint_density(x, alphas, betas, weights):
    return np.array(
        [weights[k] * stats.beta.pdf(x, alphas[k], betas[k]) for k in (0, 1)]
    )


def published_split(losses):
    """Return the posterior of a wrong label for each loss."""
    losses = losses.astype(np.float64)
    low, high = np.percentile(losses, 5), np.percentile(losses, 95)
    is_inside = (losses >= low) & (losses <= high)
    x = (losses - low - 1e-5) / (high - low - 1e-5 + 1e-6)
    x[x >= 1] = 1 - 1e-3
    x[x <= 0] = 1e-3
    joint = joint_density(np.clip(x, 1e-4, 1 - 1e-4), *published_fit(x[is_inside]))
    return joint[1] / (joint.sum(axis=0) + 1e-12)


def split(losses):
    return BMMLossSplitter(**AS_IS).fit(losses).predict_proba(losses)[:, 1]


def unit_values(n_samples):
    rng = np.random.default_rng(0)
    n_right = 7 * n_samples // 10
    x = np.r_[rng.beta(1, 8, n_right), rng.beta(6, 3, n_samples - n_right)]
    return rng.permutation(np.clip(x, 1e-3, 1 - 1e-3)).astype(np.float32)


def hard_losses(kind, n_samples):
    rng = np.random.default_rng(0)
    n_right = 7 * n_samples // 10
    n_wrong = n_samples - n_right
    if kind == "clipped":
        losses = np.r_[rng.gamma(0.7, 0.3, n_right), rng.normal(4, 1, n_wrong)]
        losses = np.clip(losses, -np.log(0.99), -np.log(0.01))
    elif kind == "log-normal":
        losses = np.r_[rng.lognormal(-3, 1.5, n_right), rng.lognormal(1, 0.5, n_wrong)]
    else:
        losses = np.r_[rng.gamma(0.3, 0.1, n_right), rng.normal(6, 2, n_wrong)]
    return rng.permutation(np.abs(losses)).astype(np.float32)


def processor_time(function, *args):
    start = time.process_time()
    function(*args)
    return time.process_time() - start


def turns(functions, argument, n_turns):
    """Return processor times, shape (n_turns, n_functions), after a warm-up."""
    functions[-1](argument)
    return np.array(
        [[processor_time(f, argument) for f in functions] for _ in range(n_turns)]
    )


def peak_memory(function, *args):
    """Return the peak of extra memory in MiB."""
    tracemalloc.start()
    function(*args)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def fits(n_samples, n_turns):
    methods = {
        "published EM": published_fit,
        "GaussianMixture": lambda x: GaussianMixture(2, random_state=0).fit(x[:, None]),
        "np.sum": np.sum,
        "BetaMixture": lambda x: BetaMixture(support=(0, 1)).fit(x[:, None]),
    }
    times = turns(list(methods.values()), unit_values(n_samples), n_turns)
    medians, ratios = (
        np.median(times, axis=0),
        np.median(times.T / times[:, -1], axis=1),
    )
    print(f"\nFit alone, {n_samples:,} values, {n_turns} turns")
    print(f"{'':18}{'ms':>10}{'/ BetaMixture':>15}")
    for name, seconds, ratio in zip(methods, medians, ratios, strict=True):
        print(f"{name:18}{1e3 * seconds:10.2f}{ratio:15.2f}")


def end_to_end(n_samples, n_turns):
    print(f"\nLosses to posteriors, {n_samples:,} losses, {n_turns} turns")
    print(
        f"{'':12}{'published ms':>13}{'splitter ms':>13}{'ratio':>8}{'difference':>12}"
        f"{'MiB extra':>11}{'(published)':>12}"
    )
    for kind in ("clipped", "log-normal", "late"):
        losses = hard_losses(kind, n_samples)
        times = turns([published_split, split], losses, n_turns)
        seconds, ratio = np.median(times, axis=0), np.median(times[:, 0] / times[:, 1])
        difference = np.abs(published_split(losses) - split(losses)).max()
        memory = [peak_memory(f, losses) for f in (split, published_split)]
        print(
            f"{kind:12}{1e3 * seconds[0]:13.1f}{1e3 * seconds[1]:13.2f}{ratio:7.0f}x"
            f"{difference:12.1e}{memory[0]:11.1f}{memory[1]:12.1f}"
        )


def resident_bytes():
    """Return the peak so far; Linux counts KiB, macOS bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def many(n_samples):
    """Print time and memory for very many losses; meant for a fresh process."""
    rng = np.random.default_rng(0)
    split(hard_losses("late", 100_000))
    before = resident_bytes()
    losses = np.empty(n_samples, dtype=np.float32)
    for start in range(0, n_samples, 2**20):
        part = losses[start : start + 2**20]
        scale = np.where(rng.random(len(part)) < 0.7, 0.2, 2.5)
        part[:] = scale * rng.gamma(2, size=len(part))
    start = time.process_time()
    splitter = BMMLossSplitter().fit(losses)
    fitted = time.process_time()
    p_noisy = splitter.predict_proba(losses)[:, 1]
    done = time.process_time()
    peak = (resident_bytes() - before) / losses.nbytes
    print(f"\n{n_samples:,} losses, {losses.nbytes / 2**20:.0f} MiB, in one turn")
    print(f"fit {fitted - start:.2f} s, posterior {done - fitted:.2f} s")
    print(f"peak memory, losses and posteriors included: {peak:.2f}x the losses")
    print(f"above the losses: {(peak - 1) * losses.nbytes / 2**20:.0f} MiB")
    print(f"mean posterior {p_noisy.mean():.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="10M and 100M as well")
    parser.add_argument("--many", type=int, help="only this number, for memory")
    options = parser.parse_args()
    if options.many:
        return many(options.many)
    if options.full:
        # First: a process begins with the peak of the one that starts it.
        command = [sys.executable, __file__, "--many", "100000000"]
        subprocess.run(command, check=True)
    for n_samples in (50_000, 1_000_000):
        fits(n_samples, options.turns)
        end_to_end(n_samples, options.turns)
    if options.full:
        fits(10_000_000, 1)
        end_to_end(10_000_000, 1)


if __name__ == "__main__":
    main()
