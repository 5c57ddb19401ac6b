"""GCE (q = 0.7) and SCE (a = 0.1, b = 1, A = -4) of single rows, with their gradients.

Zhang and Sabuncu, "Generalized cross entropy loss", NeurIPS 2018; Wang et al.,
"Symmetric cross entropy", ICCV 2019. Gradients are those of the mean over the rows: a
loss f(p_y) has f'(p_y) p_y (e_y - p).
"""

from pathlib import Path

import numpy as np

Q, A, B, LOG_0 = 0.7, 0.1, 1.0, -4.0


def make():
    """Return the arrays of the file."""
    rng = np.random.RandomState(0)
    logits, labels = 3 * rng.randn(30, 6), rng.randint(0, 6, 30)
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    proba = shifted / shifted.sum(1, keepdims=True)
    p_y, one_hot = proba[np.arange(30), labels], np.eye(6)[labels]
    direction = p_y[:, None] * (one_hot - proba)

    # The reverse term is minus the sum of p_k log q_k, where log 0 is LOG_0.
    reverse = -(proba * np.where(one_hot == 1, 0, LOG_0)).sum(1)
    slope_gce, slope_sce = -(p_y ** (Q - 1)), -A / p_y + B * LOG_0
    return {
        **{"logits": logits, "labels": labels},
        "gce_q0.7": (1 - p_y**Q) / Q,
        "gce_q0.7_grad": slope_gce[:, None] * direction / 30,
        "sce_a0.1_b1_A-4": -A * np.log(p_y) + B * reverse,
        "sce_a0.1_b1_A-4_grad": slope_sce[:, None] * direction / 30,
    }


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("robust_losses.npz"), **make())
