"""Confident learning in loops: thresholds, counts, what to prune, quality of labels.

Northcutt, Jiang and Chuang, "Confident learning", JAIR 70, 2021, with the constants and
the rounding of cleanlab. The probabilities are those of the nearest class mean, out of
five folds of 600 handwritten digits, a quarter of which have another label.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

N_ROWS, N_CLASSES = 600, 10
ROWS = range(N_ROWS)
CLASSES = range(N_CLASSES)
# The first with which no rounding is a matter of taste.
SEED = 10


def predictions(seed):
    """Return probabilities out of fold, noisy labels and true labels."""
    rng = np.random.RandomState(seed)
    X, y = load_digits(return_X_y=True)
    rows = rng.permutation(len(y))[:N_ROWS]
    X, y = X[rows], y[rows]
    labels = y.copy()
    for i in rng.permutation(N_ROWS)[: N_ROWS // 4]:
        labels[i] = (y[i] + rng.randint(1, N_CLASSES)) % N_CLASSES
    proba = np.empty((N_ROWS, N_CLASSES))
    for fold in range(5):
        is_test = np.arange(N_ROWS) % 5 == fold
        means = [X[~is_test & (labels == k)].mean(0) for k in CLASSES]
        distances = np.stack([((X[is_test] - m) ** 2).sum(1) for m in means], axis=1)
        kernel = np.exp(-(distances - distances.min(1, keepdims=True)) / 60)
        proba[is_test] = kernel / kernel.sum(1, keepdims=True)
    # A little of everything, so that no probability is 0.
    return 0.98 * proba + 0.02 / N_CLASSES, labels, y


def rounded(row):
    """Round numbers so that their sum, a whole number, stays."""
    whole = np.round(row)
    missing = round(row.sum() - whole.sum())
    for _ in range(abs(missing)):
        rest = np.sign(missing) * (row - whole)
        if np.isclose(rest, rest.max()).sum() > 1:
            raise ValueError("of equal remainders any could be taken")
        whole[rest.argmax()] += np.sign(missing)
    return whole.astype(int)


def counts_of(proba, labels, thresholds):
    """Return how often rows of a given label are confidently of a class."""
    counts = np.zeros((N_CLASSES, N_CLASSES), dtype=int)
    for i in ROWS:
        sure = [j for j in CLASSES if proba[i, j] >= thresholds[j] - 1e-6]
        if len(sure) > 1:
            counts[labels[i], proba[i].argmax()] += 1
        elif sure:
            counts[labels[i], sure[0]] += 1
    for k in CLASSES:
        counts[k, k] = max(counts[k, k], 1)
    return counts


def issues(proba, labels, thresholds, joint):
    """Return the rows that each rule flags."""
    of_label = [[i for i in ROWS if labels[i] == k] for k in CLASSES]
    by_class, by_noise_rate = np.zeros((2, N_ROWS), dtype=bool)
    for a in CLASSES:
        lowest = sorted(of_label[a], key=lambda i: proba[i, a])
        by_class[lowest[: len(of_label[a]) - joint[a, a]]] = True
        for b in CLASSES:
            if b != a:
                margin = sorted(of_label[a], key=lambda i: proba[i, a] - proba[i, b])
                by_noise_rate[margin[: joint[a, b]]] = True
    sure_of_other = np.zeros(N_ROWS, dtype=bool)
    for i in ROWS:
        sure = [j for j in CLASSES if proba[i, j] >= thresholds[j] - 1e-6]
        best = max(sure, key=lambda j: proba[i, j]) if sure else labels[i]
        sure_of_other[i] = best != labels[i]
    differs = proba.argmax(1) != labels
    masks = {
        "prune_by_class": by_class,
        "prune_by_noise_rate": by_noise_rate,
        "both": by_class & by_noise_rate,
        "confident_learning": sure_of_other,
        "predicted_neq_given": differs,
    }
    return {f"issues_{name}": mask & differs for name, mask in masks.items()}


def qualities(proba, labels):
    """Return the quality of each label by each method; high = good label."""
    own, margin, entropy = np.empty((3, N_ROWS))
    for i in ROWS:
        p = proba[i, labels[i]]
        own[i] = p
        margin[i] = (p - np.delete(proba[i], labels[i]).max() + 1) / 2
        doubt = -(proba[i] * np.log(proba[i])).sum() / np.log(N_CLASSES)
        doubt /= max(p, 1e-6)
        entropy[i] = np.log(1 + doubt) / max(doubt, 1e-6)
    return {
        "quality_self_confidence": own,
        "quality_normalized_margin": margin,
        "quality_confidence_weighted_entropy": entropy,
    }


def make():
    """Return the arrays of the file."""
    proba, labels, true_labels = predictions(SEED)
    thresholds = np.array([proba[labels == k, k].mean() for k in CLASSES])
    counts = counts_of(proba, labels, thresholds)
    joint = np.empty_like(counts)
    for k in CLASSES:
        joint[k] = rounded(counts[k] / counts[k].sum() * (labels == k).sum())
    # The matrices are of shape (given, true) and (true, given).
    return {
        **{"labels": labels, "true_labels": true_labels, "pred_probs": proba},
        **{"thresholds": thresholds, "confident_joint": counts},
        "confident_joint_calibrated": joint,
        "py": joint.sum(0) / N_ROWS,
        "noise_matrix_columns": joint / joint.sum(0),
        "inverse_noise_matrix": (joint / joint.sum(1, keepdims=True)).T,
        **issues(proba, labels, thresholds, joint),
        **qualities(proba, labels),
    }


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("confident_learning.npz"), **make())
