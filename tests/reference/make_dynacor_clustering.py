"""The encoder of trajectories, its centres, assignments and losses, in float64 numpy.

Kim et al., "Learning discriminative dynamics with label corruption for noisy label
detection", CVPR 2024. The weights of the encoder are -1, 0 or 1 times one number for
each layer, since such a file is small. The noisy cluster comes first.
"""

from pathlib import Path

import numpy as np

N_EPOCHS, N_OUT = 30, 512


def weights(rng):
    """Return weights and biases of three convolutions and a linear layer."""
    shapes = {
        **{"conv1.0": (16, 1, 3), "conv2.0": (32, 16, 3), "conv3.0": (32, 32, 3)},
        "fc": (N_OUT, 32 * N_EPOCHS),
    }
    found = {}
    for name, shape in shapes.items():
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        found[f"weight_{name}.weight"] = scale * rng.choice([-1, 0, 1], shape)
        found[f"weight_{name}.bias"] = 0.25 * scale * rng.choice([-1, 0, 1], shape[0])
    return {name: value.astype(np.float32) for name, value in found.items()}


def encode(rows, of):
    """Return the encodings of scaled trajectories."""
    maps = rows[:, None, :].astype(np.float64)
    for name in ("conv1.0", "conv2.0", "conv3.0"):
        kernel, bias = of[f"weight_{name}.weight"], of[f"weight_{name}.bias"]
        padded = np.pad(maps, ((0, 0), (0, 0), (1, 1)))
        out = np.zeros((len(rows), len(kernel), N_EPOCHS))
        for t in range(N_EPOCHS):
            window = padded[:, :, t : t + 3]
            out[:, :, t] = np.einsum("ncw,ocw->no", window, kernel.astype(float)) + bias
        maps = np.where(out > 0, out, 0)
    flat = maps.reshape(len(rows), -1)
    return flat @ of["weight_fc.weight"].astype(float).T + of["weight_fc.bias"]


def cosine(a, b):
    """Return the cosine of two vectors."""
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


def assignment(distances):
    """Return Student's t weights, normalised over the clusters."""
    kernel = 1 / (1 + distances)
    return kernel / kernel.sum(1, keepdims=True)


def clustering(z, centers, is_copy):
    """Return assignments, target and both losses, by name."""
    by_angle = np.array([[1 - cosine(row, center) for center in centers] for row in z])
    squares = np.array([[((row - c) ** 2).sum() for c in centers] for row in z])
    q = assignment(by_angle)
    target = q**2 / q.sum(0)
    target /= target.sum(1, keepdims=True)
    noisy = q[:, 0] > 0.5
    groups = {
        (of_noisy, of_copy): z[(noisy == of_noisy) & (is_copy == of_copy)]
        for of_noisy in (True, False)
        for of_copy in (True, False)
    }
    apart = {
        side: 1 - cosine(groups[side, False].mean(0), groups[side, True].mean(0))
        for side in (True, False)
        if len(groups[side, False]) and len(groups[side, True])
    }
    align = 0.0
    if len(apart) == 2:
        align = (apart[True] + apart[False]) / 2
    elif True in apart:
        align = apart[True]
    return {
        **{"q_cosine": q, "q_euclidean": assignment(squares), "target": target},
        "cluster_loss": (target * np.log(target / q)).sum() / len(z),
        "align_loss": align,
    }


def trajectories(rng, n_originals, n_copies):
    """Return logit differences that rise for right labels and fall for wrong ones."""
    is_copy = np.arange(n_originals + n_copies) >= n_originals
    is_wrong = is_copy | (rng.uniform(size=len(is_copy)) < 0.3)
    slope = np.where(is_wrong, -1, 1)[:, None]
    shape = (len(is_copy), N_EPOCHS)
    rows = slope * np.linspace(0, 2, N_EPOCHS) + rng.normal(size=shape)
    return np.round(rows, 3).astype(np.float32), is_copy


def make():
    """Return the arrays of the file."""
    rng = np.random.RandomState(0)
    rows, is_copy = trajectories(rng, 32, 8)
    arrays = {"trajectories": rows, "is_copy": is_copy, **weights(rng)}
    length = np.sqrt((rows.astype(float) ** 2).sum(1, keepdims=True))
    for how, scaled in (("sign", np.sign(rows)), ("l2_time", rows / length)):
        z = encode(scaled, arrays)
        centers = np.stack([z[is_copy].mean(0), z[~is_copy].mean(0)])
        found = {"encoding": z, "centers": centers, **clustering(z, centers, is_copy)}
        arrays |= {
            f"{how}_{name}": value.astype(np.float32) if value.ndim else value
            for name, value in ((n, np.asarray(v)) for n, v in found.items())
        }
    z, is_copy = rng.normal(size=(40, 8)), np.arange(40) >= 28
    z[:, 0] += np.where(rng.uniform(size=40) < 0.5, 1.5, -1.5)
    centers = np.stack([z[z[:, 0] > 0].mean(0), z[z[:, 0] < 0].mean(0)])
    found = {"encoding": z, "centers": centers, "is_copy": is_copy}
    found |= clustering(z, centers, is_copy)
    return arrays | {f"four_groups_{name}": value for name, value in found.items()}


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("dynacor_clustering.npz"), **make())
