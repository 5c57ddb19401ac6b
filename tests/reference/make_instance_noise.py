"""Algorithm 1 of instance-dependent noise, row by row: the distribution of each label.

Xia et al., "Part-dependent label noise", NeurIPS 2020: a row keeps its label y with
probability 1 - q; the rest is shared by a softmax of x W_y over the other classes.
"""

from pathlib import Path

import numpy as np


def make():
    """Return the arrays of the file."""
    rng = np.random.RandomState(0)
    X, y = rng.randn(60, 5), rng.randint(0, 4, 60)
    W, q = rng.randn(4, 5, 4), rng.uniform(0, 1, 60)
    P = np.zeros((60, 4))
    for n in range(60):
        others = [k for k in range(4) if k != y[n]]
        scores = [sum(X[n, j] * W[y[n], j, k] for j in range(5)) for k in others]
        total = sum(np.exp(score) for score in scores)
        for k, score in zip(others, scores, strict=True):
            P[n, k] = q[n] * np.exp(score) / total
        P[n, y[n]] = 1 - q[n]
    return {"X": X, "y": y, "W": W, "q": q, "P": P}


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("instance_noise.npz"), **make())
