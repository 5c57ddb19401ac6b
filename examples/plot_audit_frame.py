"""
======================================
Audit a frame with strings and numbers
======================================

A raw table: numbers and categories, labels that are strings, rows that have
names. Nothing has to be encoded by hand. The index of the frame stays with every row,
so that findings can be traced back to their source.
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sknoisy import CleanedClassifier, ConfidentLearningDetector, label_report

# %%
# A table of orders
# -----------------
# What became of each order: kept, returned or exchanged. It follows from the size, the
# shop and the kind of the goods, with some chance.

rng = np.random.default_rng(0)
n_orders = 2500
orders = pd.DataFrame(
    {
        "price": rng.lognormal(3.5, 0.6, n_orders).round(2),
        "days": rng.integers(1, 15, n_orders),
        "orders_before": rng.poisson(3, n_orders),
        "kind": rng.choice(["book", "shoes", "lamp"], n_orders, p=[0.4, 0.4, 0.2]),
        "shop": rng.choice(["web", "street"], n_orders),
    },
    index=[f"order-{10_000 + 7 * i}" for i in range(n_orders)],
)
tried_on = (orders["kind"] == "shoes") & (orders["shop"] == "web")
regret = orders["days"] / 7 + np.log(orders["price"]) - orders["orders_before"] / 2
regret += rng.normal(0, 0.2, n_orders)
truth = np.where(tried_on, "exchanged", np.where(regret > 3.4, "returned", "kept"))
truth = pd.Series(truth, index=orders.index, name="outcome")

# %%
# Who typed for the web shop was careless: in two of five rows the label is any of the
# three, whatever became of the order. The rows to test on stay right.

X, X_test, y_true, y_test = train_test_split(orders, truth, random_state=0)
careless = (X["shop"] == "web") & (rng.random(len(X)) < 0.4)
y = y_true.mask(careless, rng.choice(["kept", "returned", "exchanged"], len(X)))
print(f"{len(y)} rows, {(y != y_true).mean():.3f} of the labels are wrong")

# %%
# Find them
# ---------
# A pipeline makes numbers of the columns; its last step scores the labels. Each row is
# scored by a forest that was not fitted on it.

to_numbers = make_column_transformer(
    (StandardScaler(), ["price", "days", "orders_before"]),
    (OneHotEncoder(), ["kind", "shop"]),
)
forest = RandomForestClassifier(min_samples_leaf=5, random_state=0)
detector = make_pipeline(to_numbers, ConfidentLearningDetector(forest, random_state=0))
report = label_report(detector, X, y)
print(report)
print(report.by_class.round(2).to_string())

# %%
# The rows are those of the frame, under their names: a join shows labels and columns
# side by side. The last column is what a real table does not tell: the true outcome.

suspects = report.frame.nlargest(5, "suspicion")[["given_label", "suggested_label"]]
print(suspects.join([X, y_true]).to_string())

# %%
# Ask the table where the mistakes come from: one shop types worse than the other, the
# kind of the goods hardly matters. The grey lines are the true shares.

flagged, wrong = report.frame["is_label_issue"], y != y_true
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), sharex=True, layout="constrained")
for ax, column in zip(axes, ("shop", "kind"), strict=True):
    shares = flagged.groupby(X[column]).mean()
    ax.barh(shares.index, shares, height=0.6)
    for place, share in enumerate(wrong.groupby(X[column]).mean()):
        ax.plot([share, share], [place - 0.4, place + 0.4], color="0.3", linewidth=3)
    ax.set(title=f"by {column}", xlabel="share of flagged labels")
plt.show()

# %%
# Fit in spite of them
# --------------------
# The classifier is gradient boosting on the same columns. Which action is best is
# chosen by a search. ``memory`` keeps the fitted detectors: they are fitted once for
# each fold, and not for each of the six candidates.

booster = make_pipeline(to_numbers, HistGradientBoostingClassifier(random_state=0))
grid = {
    "action": ["drop", "relabel", "reweight"],
    "classifier__histgradientboostingclassifier__max_iter": [20, 60],
}
with tempfile.TemporaryDirectory() as folder:
    cleaned = CleanedClassifier(detector, booster, memory=folder)
    search = GridSearchCV(cleaned, grid, cv=3).fit(X, y)

print(f"best action: {search.best_params_['action']}")
print(f"test accuracy, labels as given:  {booster.fit(X, y).score(X_test, y_test):.3f}")
print(f"test accuracy, cleaned:          {search.score(X_test, y_test):.3f}")

# %%
# Where next
# ----------
# - :doc:`/user_guide/frames`: which columns are read in which way, without a pipeline.
# - :doc:`/user_guide/command_line`: the same for a file, from the shell.
# - :doc:`plot_review_loop`: let people decide, and learn from them.
