"""
====================================
A robust classifier, or a tuned one?
====================================

Before you take a method for noisy labels, ask what ordinary classifiers reach if they
are tuned on the same labels: regularisation alone withstands a good part of the noise.
:class:`~sknoisy.AutoRobustClassifier` lets robust methods and such baselines compete.
Here it is compared with three tuned baselines under two kinds of mistakes, and does
not win both times.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier

from sknoisy import (
    AsymmetricNoiseInjector,
    AutoRobustClassifier,
    SymmetricNoiseInjector,
)

# %%
# Two kinds of mistakes
# ---------------------
# Four in ten training labels are wrong: drawn at random, or always the next digit. The
# labels of the test rows are right, and used for nothing but the last line.

X, y = load_digits(return_X_y=True)
X = X / 16  # pixels to [0, 1]
X_train, y_train, X_test, y_test = X[:600], y[:600], X[1000:], y[1000:]
injectors = {
    "at random": SymmetricNoiseInjector(0.4, random_state=0),
    "the next digit": AsymmetricNoiseInjector(0.4, random_state=0),
}

# %%
# Baselines, tuned as one would without right labels
# --------------------------------------------------
# Cross-validation on the given labels chooses the penalty, the number of neighbours and
# the size of the leaves. Wrong labels in the validation folds lower all scores, but
# their order remains a good guide.

baselines = {
    "regression": (LogisticRegression(max_iter=500), {"C": [0.001, 0.01, 0.1, 1]}),
    "neighbours": (KNeighborsClassifier(), {"n_neighbors": [5, 10, 20, 40]}),
    "forest": (
        RandomForestClassifier(100, random_state=0),
        {"min_samples_leaf": [1, 10, 30]},
    ),
}
models = {name: GridSearchCV(*parts, cv=4) for name, parts in baselines.items()}
models["robust"] = AutoRobustClassifier(random_state=0)

# %%
# Fit and compare
# ---------------

accuracies, winners = {name: [] for name in models}, []
for kind, injector in injectors.items():
    _, given = injector.fit_resample(X_train, y_train)
    for name, model in models.items():
        model.fit(X_train, given)
        accuracies[name].append(model.score(X_test, y_test))
    print(f"{kind}: the competition was won by {models['robust'].best_name_!r}")

figure, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
places = np.arange(len(injectors))
for i, (name, values) in enumerate(accuracies.items()):
    colour = "C1" if name == "robust" else f"{0.35 + 0.15 * i:.2f}"
    bars = ax.bar(places + 0.2 * i, values, 0.18, label=name, color=colour)
    ax.bar_label(bars, fmt="%.3f", fontsize=8)
ax.set(ylabel="test accuracy", ylim=(0.4, 1), xticks=places + 0.3)
ax.set_xticklabels([f"wrong labels: {kind}" for kind in injectors])
figure.legend(loc="outside right center")
plt.show()

# %%
# What was found
# --------------
# If each wrong label is the next digit, ordinary classifiers learn the rule, and the
# robust one is ahead of all of them. If they are drawn at random, tuned neighbours are
# better: they average the mistakes away, and the images of a digit lie close together.
# So keep a tuned baseline in every comparison.
#
# Where next
# ----------
# - :doc:`/user_guide/auto_classifier`: what competes, and the same comparison on 28
#   data sets.
# - :doc:`/user_guide/benchmarks`: each robust loss beside tuned baselines.
# - :doc:`plot_cleaned_classifier`: clean the labels, and keep the model that you have.
