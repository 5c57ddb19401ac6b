"""Losses, and what the published procedure makes of them: EM of two beta densities.

Arazo et al., "Unsupervised label noise modeling and loss correction", ICML 2019, with
the constants of the authors' code: losses between the 5th and 95th percentile are
scaled to [0, 1], ten iterations, and a table of 100 posteriors that never falls to the
right of its peak.
"""

from pathlib import Path

import numpy as np
from scipy.special import gammaln

ALPHAS, BETAS = (1.0, 2.0), (2.0, 1.0)


def losses_of(case):
    """Return losses, and which of them belong to wrong labels."""
    rng = np.random.RandomState(case)
    n_right, n_wrong = ((560, 240), (420, 180), (340, 460))[case]
    if case == 0:
        right, wrong = rng.gamma(0.9, 0.35, n_right), 4 + 1.2 * rng.randn(n_wrong)
    elif case == 1:
        right, wrong = rng.gamma(0.3, 0.5, n_right), 5 + 1.5 * rng.randn(n_wrong)
    else:
        # Some right labels have the largest losses of all.
        right, wrong = 8 * rng.beta(0.45, 0.65, n_right), 8 * rng.beta(6, 4, n_wrong)
    losses = np.abs(np.concatenate([right, wrong]))
    order = rng.permutation(n_right + n_wrong)
    return losses[order], (np.arange(n_right + n_wrong) >= n_right)[order]


def density(x, alpha, beta):
    """Return the beta density, written with logarithms of the gamma function."""
    constant = gammaln(alpha + beta) - gammaln(alpha) - gammaln(beta)
    return np.exp(constant + (alpha - 1) * np.log(x) + (beta - 1) * np.log(1 - x))


def em(x):
    """Return alphas, betas and weights after ten iterations."""
    alphas, betas, weights = list(ALPHAS), list(BETAS), [0.5, 0.5]
    for _ in range(10):
        joint = [
            np.maximum(weights[k] * density(x, alphas[k], betas[k]), 1e-12)
            for k in (0, 1)
        ]
        for k in (0, 1):
            r = joint[k] / (joint[0] + joint[1])
            mean = (r * x).sum() / r.sum()
            variance = (r * (x - mean) ** 2).sum() / r.sum()
            alphas[k] = mean * (mean * (1 - mean) / variance - 1)
            betas[k] = alphas[k] * (1 - mean) / mean
            weights[k] = r.sum() / len(x)
    return np.array(alphas), np.array(betas), np.array(weights)


def posterior(x, alphas, betas, weights):
    """Return the posterior of component 1."""
    first, second = (weights[k] * density(x, alphas[k], betas[k]) for k in (0, 1))
    return second / (first + second + 1e-12)


def make():
    """Return the arrays of the file."""
    arrays = {}
    for case in range(3):
        losses, is_noisy = losses_of(case)
        least, most = np.percentile(losses, 5), np.percentile(losses, 95)
        lo, hi = least + 1e-5, most
        x = (losses - lo) / (hi - lo + 1e-6)
        bounded = np.where(x >= 1, 1 - 1e-3, np.where(x <= 0, 1e-3, x))
        bounded = np.minimum(np.maximum(bounded, 1e-4), 1 - 1e-4)
        found = em(bounded[(losses >= least) & (losses <= most)])
        means = found[0] / (found[0] + found[1])
        if means[0] >= means[1]:
            raise ValueError("component 1 should be the noisy one")
        table = posterior(np.linspace(1e-12, 1 - 1e-12, 100), *found)
        peak = table.argmax()
        table[peak:] = table[peak]
        entries = [min(max(int(np.floor(100 * value)), 0), 99) for value in bounded]
        arrays |= {
            f"case{case}_{name}": value
            for name, value in (
                *(("losses", losses), ("is_noisy", is_noisy), ("lo", lo), ("hi", hi)),
                *zip(("alphas", "betas", "weights"), found, strict=True),
                ("posterior_noisy", posterior(bounded, *found)),
                *(("lookup_table", table), ("lookup_noisy", table[entries])),
            )
        }
    return arrays


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("beta_mixture.npz"), **make())
