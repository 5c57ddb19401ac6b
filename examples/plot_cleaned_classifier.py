"""
==================================
Clean the labels, then fit a model
==================================

You have a model that you like, and labels that you do not trust.
:class:`~sknoisy.CleanedClassifier` looks for wrong labels, then fits your model without
them. :func:`~sknoisy.label_report` shows what was found.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.tree import DecisionTreeClassifier

from sknoisy import (
    CleanedClassifier,
    LossMixtureDetector,
    SymmetricNoiseInjector,
    label_report,
)

# %%
# Plant wrong labels
# ------------------
# Four in ten training labels are made wrong. Those of the test rows stay right, so that
# scores mean something.

digits = load_digits()
X, X_test, y_true, y_test, images, _ = train_test_split(
    digits.data / 16, digits.target, digits.images, test_size=0.3, random_state=0
)
injector = SymmetricNoiseInjector(noise_rate=0.4, random_state=0)
X, y = injector.fit_resample(X, y_true)

# %%
# Fit with and without cleaning
# -----------------------------
# Any detector can be combined with any classifier. "reweight" keeps all rows and their
# labels, and gives each a weight, the smaller the more suspicious it is. That does not
# help the tree, which is not pruned and learns every row, whatever it weighs.

detector = LossMixtureDetector(LogisticRegression(C=0.1), random_state=0)
models = {
    "logistic regression": LogisticRegression(max_iter=500),
    "decision tree": DecisionTreeClassifier(random_state=0),
    "random forest": RandomForestClassifier(100, random_state=0),
}
scores = {}
for name, model in models.items():
    row = {"noisy": model.fit(X, y).score(X_test, y_test)}
    for action in ("drop", "relabel", "reweight"):
        cleaned = CleanedClassifier(detector, model, action=action).fit(X, y)
        row[action] = cleaned.score(X_test, y_test)
    row["clean"] = model.fit(X, y_true).score(X_test, y_test)
    scores[name] = row
    print(f"{name:21}" + "".join(f"{k}: {v:.3f}  " for k, v in row.items()))

figure, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
for place, row in enumerate(scores.values()):
    ax.scatter(row.values(), [place] * len(row), c=[f"C{i}" for i in range(5)], s=70)
for i, name in enumerate(scores["decision tree"]):
    ax.scatter([], [], c=f"C{i}", label=name)
ax.set(yticks=range(len(scores)), yticklabels=scores, xlabel="test accuracy")
ax.set_title("40 % wrong labels, dropped, changed, weighed, and the true ones")
ax.legend()

# %%
# Choose by cross-validation
# --------------------------
# A grid search takes parameters of both parts. With ``memory`` the detector is fitted
# once for each set of rows, not for each candidate.

with tempfile.TemporaryDirectory() as folder:
    tree = CleanedClassifier(detector, models["decision tree"], memory=folder)
    grid = {"action": ["drop", "relabel"], "classifier__max_depth": [5, 10, None]}
    search = GridSearchCV(tree, grid, cv=3).fit(X, y)
print(search.best_params_, f"test accuracy {search.score(X_test, y_test):.3f}")

# %%
# Look at what was found
# ----------------------
# The report is a table, and a page for a colleague: one file, no network needed.

report = label_report(detector, X, y)
print(report)
print(report.by_class.round(2).to_string())

with tempfile.TemporaryDirectory() as folder:
    page = report.to_html(Path(folder) / "report.html", X=images, max_rows=20)
    print(f"{page.name}: {page.stat().st_size / 1000:.0f} kB")

# %%
# The most suspicious images of the page, with the given and the suggested label.

worst = report.frame.sort_values("label_quality", kind="stable").head(10)
figure, axes = plt.subplots(1, 10, figsize=(11, 1.6), layout="constrained")
for ax, (row, found) in zip(axes, worst.iterrows(), strict=True):
    ax.imshow(images[row], cmap="gray_r")
    ax.set_title(f"{found.given_label} → {found.suggested_label}")
    ax.axis("off")

# %%
# Where next
# ----------
# - :doc:`/user_guide/cleaning`: dropping, relabelling, weights, soft labels, measured.
# - :doc:`plot_robust_or_tuned`: a classifier that withstands wrong labels instead.
# - :doc:`plot_review_loop`: let people decide, and learn from them.
