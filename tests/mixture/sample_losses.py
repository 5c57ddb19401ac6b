"""Losses to split, and their posteriors from EM written out in numpy."""

import numpy as np
from scipy.special import betaln

from sknoisy import BMMLossSplitter

# The posterior as the mixture has it, on both sides.
AS_IS = {"monotone_right": False, "monotone_left": False}


def two_kinds(n_samples=1000, seed=0):
    """Losses of right labels, and of three in ten that are wrong."""
    rng = np.random.default_rng(seed)
    right = rng.gamma(2, 0.2, n_samples * 7 // 10)
    wrong = rng.normal(4, 0.8, n_samples - len(right))
    return rng.permutation(np.concatenate([right, np.abs(wrong)]))


def hard_losses(kind, n_samples, seed=0):
    rng = np.random.default_rng(seed)
    n_wrong = 3 * n_samples // 10
    if kind == "clipped":
        # Probabilities clipped to [1e-2, 1 - 1e-2], as some programs do.
        losses = np.r_[
            rng.gamma(0.7, 0.3, n_samples - n_wrong), rng.normal(4, 1, n_wrong)
        ]
        losses = np.clip(losses, -np.log(0.99), -np.log(0.01))
    elif kind == "late":
        right, wrong = (
            rng.gamma(0.3, 0.1, n_samples - n_wrong),
            rng.normal(6, 2, n_wrong),
        )
        losses = np.abs(np.r_[right, wrong])
    elif kind == "log-normal":
        right = rng.lognormal(-3, 1.5, n_samples - n_wrong)
        losses = np.r_[right, rng.lognormal(1, 0.5, n_wrong)]
    else:
        losses = np.r_[
            rng.gamma(0.5, 0.4, n_samples - n_wrong), rng.normal(5, 1, n_wrong)
        ]
        losses = np.where(rng.random(n_samples) < 0.2, 0, np.abs(losses))
    return rng.permutation(losses)


HARD = ["clipped", "late", "log-normal", "zeros"]


def scaled(losses, clip=1e-3):
    """Return losses on [0, 1] as the authors' code has them, and which it fits to."""
    least, most = np.percentile(losses, (5, 95))
    x = (losses - least - 1e-5) / (most - least - 1e-5 + 1e-6)
    x = np.where(x <= 0, clip, np.where(x >= 1, 1 - clip, x))
    return x, (losses >= least) & (losses <= most)


def em_by_hand(losses):
    """Return the posteriors of wrong labels from EM on every loss, in float64."""
    x, is_inside = scaled(losses.astype(np.float64))
    logs = np.log(np.clip(x, 1e-4, 1 - 1e-4)), np.log1p(-np.clip(x, 1e-4, 1 - 1e-4))
    inner, inner_logs = x[is_inside].clip(1e-4, 1 - 1e-4), [v[is_inside] for v in logs]
    alphas, betas, weights = (
        np.array([1.0, 2]),
        np.array([2.0, 1]),
        np.array([0.5, 0.5]),
    )

    def joint(k, log_x, log_1mx):
        exponent = (alphas[k] - 1) * log_x + (betas[k] - 1) * log_1mx
        return weights[k] * np.exp(exponent - betaln(alphas[k], betas[k]))

    for _ in range(10):
        first, second = (np.maximum(joint(k, *inner_logs), 1e-12) for k in (0, 1))
        share = second / (first + second)
        for k, r in enumerate((1 - share, share)):
            mean = np.average(inner, weights=r)
            variance = np.average((inner - mean) ** 2, weights=r)
            alphas[k] = mean * (mean * (1 - mean) / variance - 1)
            betas[k] = alphas[k] * (1 - mean) / mean
            weights[k] = r.mean()
    first, second = joint(0, *logs), joint(1, *logs)
    assert alphas[0] / betas[0] < alphas[1] / betas[1]
    return second / (first + second)


def p_noisy_of(losses, **parameters):
    return BMMLossSplitter(**parameters).fit(losses).predict_proba(losses)[:, 1]
