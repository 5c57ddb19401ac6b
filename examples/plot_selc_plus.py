"""
======================================
Corrected labels, and a second network
======================================

:class:`~sknoisy.SELCClassifier` corrects labels while it trains, by what the network
predicted in earlier epochs. SELC+ of Lu and He (IJCAI 2022, arXiv:2205.01156) then
trains a second network from scratch, on the corrected labels and with mixup. We do
both, and compare.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sknoisy import (
    DynamicBootstrapClassifier,
    NetClassifier,
    SELCClassifier,
    SymmetricNoiseInjector,
    TransitionNoiseInjector,
    pair_flip_matrix,
)

# %%
# Two kinds of noise
# ------------------
# Of a thousand digits four in ten labels become wrong: any other class, or the next.

X, y_true = load_digits(return_X_y=True)
X = X / X.std()
X_train, y_train, X_test, y_test = X[:1000], y_true[:1000], X[1000:], y_true[1000:]
NOISES = {
    "symmetric": lambda seed: SymmetricNoiseInjector(0.4, random_state=seed),
    "pair flips": lambda seed: TransitionNoiseInjector(
        pair_flip_matrix(10, 0.4), random_state=seed
    ),
}

# %%
# Train, correct, train again
# ---------------------------
# The second network learns the most probable class of each target as its label. Mixup
# alone, without weights and corrections of its own, is
# ``DynamicBootstrapClassifier(weights=None, mixup="static")``. To see what each part
# does, a second network also learns without mixup, and mixup also the given labels.


def mixup(seed):
    """Return a network that learns mixed pairs of rows."""
    return DynamicBootstrapClassifier(
        weights=None, mixup="static", mixup_alpha=1.0, random_state=seed
    )


def accuracies(y, seed):
    """Return the test accuracies of all ways to train, and the corrected labels."""
    selc = SELCClassifier(random_state=seed).fit(X_train, y)
    corrected = selc.classes_[selc.estimated_targets_.argmax(axis=1)]
    networks = {
        "cross-entropy": NetClassifier(random_state=seed).fit(X_train, y),
        "mixup": mixup(seed).fit(X_train, y),
        "SELC": selc,
        "again, cross-entropy": NetClassifier(random_state=seed).fit(
            X_train, corrected
        ),
        "again, mixup: SELC+": mixup(seed).fit(X_train, corrected),
    }
    scores = {name: net.score(X_test, y_test) for name, net in networks.items()}
    return scores, corrected


found = {}
for noise, injector_of in NOISES.items():
    rows = []
    for seed in range(3):
        _, y = injector_of(seed).fit_resample(X_train, y_train)
        scores, corrected = accuracies(y, seed)
        rows.append(list(scores.values()))
        wrong = [(labels != y_train).mean() for labels in (y, corrected)]
        print(f"{noise}: {wrong[0]:.3f} of the labels wrong, then {wrong[1]:.3f}")
    found[noise] = np.array(rows)
    for name, values in zip(scores, found[noise].T, strict=True):
        print(f"  {name:22s} {values.mean():.3f} +- {values.std():.3f}")

# %%
# What it gains
# -------------
# Dots are single seeds, lines their means. Most of the gain is from training again:
# SELC itself is no better than cross-entropy here, although most of its labels are
# right in the end. With symmetric noise mixup adds nothing to that. With pair flips,
# where about three in ten labels are still wrong after the correction, it does.

fig, axes = plt.subplots(1, 2, figsize=(10, 3), sharey=True, layout="constrained")
for ax, (noise, rows) in zip(axes, found.items(), strict=True):
    places = np.arange(rows.shape[1])
    ax.plot(rows.T, places, ".", color="#6baed6")
    ax.plot(rows.mean(0), places, "|", color="black", markersize=18)
    ax.set(title=f"{noise}, 40 %", xlabel="Test accuracy")
    ax.grid(axis="x", alpha=0.3)
axes[0].set_yticks(places, list(scores))
axes[0].set_ylim(len(places) - 0.5, -0.5)
plt.show()

# %%
# Where next
# ----------
# - :doc:`/user_guide/robust_losses`: SELC beside all other losses.
# - :doc:`plot_robust_or_tuned`: robust methods beside tuned baselines.
