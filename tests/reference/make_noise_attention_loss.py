"""The loss of noise attention, term by term, with gradients by central differences.

Lu, Bo and He, "Noise attention learning", 2022, Equation 1, a sum over the classes
whose target is above 0: -sum_k q_k log(tau (p_k - q_k) + q_k) - lambda log tau. The
gradients are of the mean over the rows, from eight points each; their error is about
1e-13.
"""

from pathlib import Path

import numpy as np

STEP = 2e-3
# Derivative from eight points: exact for polynomials of degree 8.
POINTS = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}


def loss_of(logits, attention, target, lam):
    """Return the loss of each row."""
    found = np.empty(len(logits))
    for i, (z, c, q) in enumerate(zip(logits, attention, target, strict=True)):
        p = np.exp(z - z.max())
        p /= p.sum()
        tau = 1 / (1 + np.exp(-c))
        some = q > 0
        inner = np.log(tau * (p[some] - q[some]) + q[some])
        found[i] = -(q[some] * inner).sum() - lam * np.log(tau)
    return found


def derivatives(logits, attention, target, lam):
    """Return the gradients of each row's loss, from differences."""

    def slope(to_logits, to_attention):
        total = 0
        for n, weight in POINTS.items():
            for step, sign in ((n * STEP, 1), (-n * STEP, -1)):
                moved = logits + step * to_logits, attention + step * to_attention
                total = total + sign * weight * loss_of(*moved, target, lam)
        return total / STEP

    units = np.eye(logits.shape[1])
    of_logits = np.stack([slope(unit, 0) for unit in units], axis=1)
    return of_logits, slope(0, 1)


def make():
    """Return the arrays of the file."""
    arrays = {}
    for case, (n_rows, n_classes, lam, is_soft) in enumerate(
        [(16, 5, 0.5, False), (16, 5, 0.5, True), (12, 20, 10.0, True)]
    ):
        rng = np.random.RandomState(case)
        logits, attention = 2 * rng.randn(n_rows, n_classes), 1.5 * rng.randn(n_rows)
        target = np.eye(n_classes)[rng.randint(0, n_classes, n_rows)]
        if is_soft:
            target = 0.7 * target + 0.3 * rng.dirichlet(np.ones(n_classes), n_rows)
        grads = derivatives(logits, attention, target, lam)
        arrays |= {
            f"case{case}_{name}": value
            for name, value in (
                *(("logits", logits), ("attention_logit", attention)),
                *(("target", target), ("lam", lam)),
                ("loss_per_sample", loss_of(logits, attention, target, lam)),
                ("grad_logits", grads[0] / n_rows),
                ("grad_attention", grads[1] / n_rows),
            )
        }
    return arrays


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("noise_attention_loss.npz"), **make())
