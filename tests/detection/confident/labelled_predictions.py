"""Labels with class probabilities, and what loops over their rows say of them."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def predictions(draw, ties=True, missing=True):
    """Labels, and probabilities: some of each kind of row, some tied."""
    n_classes = draw(st.integers(2, 7))
    n_samples = draw(st.integers(n_classes, 120))
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    truth = rng.integers(0, n_classes, n_samples)
    if not missing:
        truth[:n_classes] = np.arange(n_classes)
    kind = draw(st.sampled_from(["soft", "sharp", "votes"] if ties else ["soft"]))
    if kind == "votes":
        lean = 0.7 * np.eye(n_classes)[truth] + 0.3 / n_classes
        return truth, rng.multinomial(8, lean) / 8
    proba = rng.dirichlet(np.full(n_classes, 1 if kind == "soft" else 0.1), n_samples)
    proba[np.arange(n_samples), truth] += draw(st.sampled_from([0, 0.5, 3]))
    proba /= proba.sum(1, keepdims=True)
    is_wrong = rng.random(n_samples) < draw(st.sampled_from([0, 0.2, 0.6]))
    if not missing:
        is_wrong[:n_classes] = False
    labels = np.where(is_wrong, rng.integers(0, n_classes, n_samples), truth)
    return labels, proba.astype(draw(st.sampled_from([np.float32, np.float64])))


def noisy(n_samples, n_classes, seed=0, dtype=np.float32):
    """Labels of which a fifth are wrong, and probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, n_classes, n_samples)
    proba = rng.standard_exponential((n_samples, n_classes), dtype=np.float32)
    proba[np.arange(n_samples), truth] += 0.6 * n_classes * rng.random(n_samples)
    proba /= proba.sum(1, keepdims=True)
    other = (truth + rng.integers(1, n_classes, n_samples)) % n_classes
    labels = np.where(rng.random(n_samples) < 0.2, other, truth)
    return labels, proba.astype(dtype)


def counts_by_loops(labels, proba):
    """Thresholds, counts and who is counted off the diagonal, row by row."""
    n_classes = proba.shape[1]
    thresholds = np.full(n_classes, 2.0)
    for k in set(labels.tolist()):
        thresholds[k] = max(proba[labels == k, k].mean(), 2e-6)
    counts = np.zeros((n_classes, n_classes), dtype=int)
    is_other = np.zeros(len(labels), dtype=bool)
    for i, (label, row) in enumerate(zip(labels, proba, strict=True)):
        confident = [k for k in range(n_classes) if row[k] >= thresholds[k] - 1e-6]
        if confident:
            guess = confident[0] if len(confident) == 1 else int(row.argmax())
            counts[label, guess] += 1
            is_other[i] = guess != label
    for k in range(n_classes):
        counts[k, k] = max(counts[k, k], 1)
    return thresholds, counts, is_other


def is_best_by_loops(labels, proba):
    raised = proba.copy()
    raised[np.arange(len(labels)), labels] += 1e-6
    return raised.argmax(1) == labels


def first(order, number):
    mask = np.zeros(len(order), dtype=bool)
    mask[order[: max(number, 0)]] = True
    return mask


def pruned_by_loops(labels, proba, filter_by, joint):
    """Sort the rows of each class, and of each pair of classes."""
    by_class = np.zeros(len(labels), dtype=bool)
    by_rate = np.zeros(len(labels), dtype=bool)
    for a in range(proba.shape[1]):
        rows = np.flatnonzero(labels == a)
        if len(rows) < 2:
            continue
        order = np.argsort(proba[rows, a], kind="stable")
        by_class[rows] = first(order, len(rows) - joint[a, a])
        for b in range(proba.shape[1]):
            if b != a:
                margin = proba[rows, a] - proba[rows, b]
                order = np.argsort(margin, kind="stable")
                by_rate[rows[order[: joint[a, b]]]] = True
    mask = {
        "prune_by_class": by_class,
        "prune_by_noise_rate": by_rate,
        "both": by_class & by_rate,
    }[filter_by]
    return mask & ~is_best_by_loops(labels, proba)
