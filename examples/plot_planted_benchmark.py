"""
=================================
Which detector suits your labels?
=================================

Nobody knows which labels of a table are wrong, so nobody can say which detector finds
them best. But labels that are mostly right can be made wrong on purpose, in a way that
resembles the mistakes you expect, and then it can be counted. Here three detectors and
three kinds of mistakes are compared on scikit-learn's digits.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score

from sknoisy import (
    AsymmetricNoiseInjector,
    AUMDetector,
    ConfidentLearningDetector,
    MarginNoiseInjector,
    NeighborVoteDetector,
    SymmetricNoiseInjector,
)

X, y = load_digits(return_X_y=True)
X = X[:1000] / 16  # pixels to [0, 1]
y = y[:1000]

# %%
# Mistakes of three kinds
# -----------------------
# An annotator who hits a wrong key makes mistakes at random. One who takes each 3 for a
# 4 makes the same mistake again and again. One who cannot read a digit errs where two
# classes look alike. About a fifth of the labels is wrong in each.

mistakes = {
    "wrong key": SymmetricNoiseInjector(0.2, random_state=0),
    "same mistake": AsymmetricNoiseInjector(0.2, random_state=0),
    "hard to read": MarginNoiseInjector(0.2, noise_type="II", random_state=0),
}
noisy = {name: injector.fit_resample(X, y)[1] for name, injector in mistakes.items()}
for name, given in noisy.items():
    print(f"{name:13s} {np.mean(given != y):.3f} of the labels are wrong")

# %%
# Three detectors
# ---------------
# One asks a classifier that has not seen the row, one asks the neighbours of the row,
# and one watches a network while it learns.

detectors = {
    "confident learning": ConfidentLearningDetector(LogisticRegression(C=0.1)),
    "neighbours": NeighborVoteDetector(),
    "area under the margin": AUMDetector(random_state=0),
}

# %%
# Count
# -----
# AUROC: how probable it is that a wrong label has a higher score than a right one. F1:
# how well the flags hit.

shape = len(detectors), len(mistakes)
auroc, f1 = np.zeros(shape), np.zeros(shape)
for i, detector in enumerate(detectors.values()):
    for j, given in enumerate(noisy.values()):
        detector.fit(X, given)
        auroc[i, j] = roc_auc_score(given != y, detector.noise_scores_)
        f1[i, j] = f1_score(given != y, detector.predict_noisy())

figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
for ax, title, values in zip(axes, ("AUROC", "F1"), (auroc, f1), strict=True):
    ax.imshow(values, cmap="Blues", vmin=values.min() - 0.1, vmax=1.1, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        colour = "white" if value > values.mean() else "black"
        ax.text(j, i, f"{value:.3f}", ha="center", va="center", color=colour)
    ax.set(title=title, xticks=range(3), yticks=range(3))
    ax.set_xticklabels(mistakes)
    ax.set_yticklabels(detectors)
plt.show()

# %%
# What was found
# --------------
# All three find wrong keys best. Mistakes that have a system are harder, above all for
# the flags: what an annotator takes for another class, a classifier that learns from
# these labels does too. So compare under mistakes like yours, not under the easiest
# ones. :class:`~sknoisy.AutoNoiseDetector` makes such a comparison by itself, with
# labels that it plants in your data.

best = [list(detectors)[i] for i in auroc.argmax(axis=0)]
for name, winner in zip(mistakes, best, strict=True):
    print(f"{name:13s} best by AUROC: {winner}")

# %%
# Where next
# ----------
# - :doc:`/user_guide/noise_injection`: all injectors, and rates as papers state them.
# - :doc:`/user_guide/auto`: the detector that compares the others on your data.
# - :doc:`/user_guide/benchmarks`: the same for five data sets, beside other libraries.
