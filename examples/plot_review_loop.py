"""
==================================
Review labels in rounds, and learn
==================================

A detector suggests, people decide. They look at the most suspicious rows first, and
what they decide says something of other rows, too: whoever labelled one heavy 3 as a 5
has done so before. Here digits are reviewed in rounds of fifty, and after each round
the report learns from all decisions so far. The true labels stand in for a person.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from sknoisy import ConfidentLearningDetector, label_report

# %%
# Labels with two kinds of mistakes
# ---------------------------------
# Half of the threes, those with more ink in their upper half, were labelled 5. Besides,
# 90 labels were drawn at random; some of these are right by chance.

images, y_true = load_digits(return_X_y=True)
X = images / 16  # pixels to [0, 1]
rng = np.random.default_rng(0)
ink = X[:, :32].sum(axis=1)
y = y_true.copy()
y[(y_true == 3) & (ink > np.median(ink[y_true == 3]))] = 5
y[rng.choice(len(y), 90, replace=False)] = rng.integers(0, 10, 90)
print(f"{len(y)} labels, {(y != y_true).sum()} of them wrong")

# %%
# One audit
# ---------
# The rule has misled the classifier: it calls many heavy threes a 5 as well.

model = LogisticRegression(C=0.1)
detector = ConfidentLearningDetector(model, random_state=0).fit(X, y)
report = label_report(detector, X, y)
print(report)

# %%
# A person decides
# ----------------
# ``report.review()`` opens a page on which people decide by mouse or keyboard, and from
# which they download the decisions. This function returns what such a file holds.


def decide(rows):
    """Return the decisions of somebody who knows the truth."""
    index = rows["row"].to_numpy()
    wrong = y[index] != y_true[index]
    return rows.assign(
        row_sha256=report.row_checksums(index),
        decision=np.where(wrong, "relabel", "keep"),
        new_label=np.where(wrong, y_true[index].astype(str), ""),
    )


# %%
# Five rounds
# -----------
# ``teach`` fits nothing again: it ranks the open rows anew by what the decisions have
# shown. ``share_random=0`` takes all rows from the top of the ranking.

taught, rounds = report, []
for number in range(1, 6):
    rounds.append(decide(taught.sample_for_review(50, share_random=0)))
    decisions = pd.concat(rounds)
    taught = report.teach(decisions)
    n_wrong = (rounds[-1]["decision"] == "relabel").sum()
    print(f"round {number}: {n_wrong} of 50 labels were wrong")

as_ranked = decide(report.sample_for_review(250, share_random=0))

# %%
# What was found
# --------------
# The same 250 looks, with the ranking of the audit and with one that learns.

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for name, rows in (("learns from decisions", decisions), ("as audited", as_ranked)):
    found = np.cumsum(rows["decision"] == "relabel")
    ax.plot(np.arange(1, 251), found, label=f"{name}: {found.iloc[-1]}")
ax.axhline((y != y_true).sum(), color="0.4", linestyle=":", label="all wrong labels")
ax.set(xlabel="rows reviewed", ylabel="wrong labels found", xlim=(0, 250))
ax.legend(loc="lower right")
plt.show()

# %%
# The table with the decisions
# ----------------------------

fixed = report.apply(decisions=decisions)
print(f"wrong before: {(y != y_true).sum()}, after: {(fixed['label'] != y_true).sum()}")

# %%
# Where next
# ----------
# - :doc:`/user_guide/review`: the page, other annotation tools, how many labels are
#   wrong in all, and when to stop.
# - :doc:`/user_guide/review_walk`: three reviews in pictures.
# - :doc:`plot_audit_frame`: where the mistakes of a table come from.
