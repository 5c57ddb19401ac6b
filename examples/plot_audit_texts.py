"""
==================
Audit a text table
==================

Messages to a help desk, each with the team that it was sent to. Some went to the wrong
team. Which ones, and how much better is a classifier once they are corrected? Any
scikit-learn pipeline can be used: here TF-IDF and a logistic regression.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sknoisy import CleanedClassifier, ConfidentLearningDetector, label_report

# %%
# A table of messages
# -------------------
# So that nothing need be downloaded, the messages are put together from parts. Some of
# the parts are said to more than one team.

OPENINGS = ["Hello,", "Hi team,", "Good morning,", "Dear all,", "Help please:", ""]
CLOSINGS = ["Thanks!", "Please call me.", "It is urgent.", "Best regards", ""]
PARTS = {
    "billing": "I was charged twice this month; the invoice shows the wrong amount; "
    "my refund has not arrived",
    "delivery": "my parcel has not arrived; can you deliver twice this month; "
    "the tracking page shows the wrong address",
    "login": "my account shows the wrong address; I forgot my password; "
    "the code for the login has not arrived",
}
rng = np.random.default_rng(0)


def write(team):
    """Return a message to a team: one or two of its parts."""
    said = rng.choice(PARTS[team].split("; "), rng.integers(1, 3), replace=False)
    order = f"order {rng.integers(1000, 9999)}" if rng.random() < 0.3 else ""
    words = [rng.choice(OPENINGS), ", and ".join(said), order, rng.choice(CLOSINGS)]
    return " ".join(word for word in words if word)


def table(n_rows):
    """Return some messages, and their teams."""
    teams = rng.choice(list(PARTS), n_rows, p=[0.45, 0.35, 0.2])
    return pd.DataFrame({"text": [write(team) for team in teams]}), pd.Series(teams)


X, y_true = table(400)
X_test, y_test = table(600)

# %%
# Who is not sure sends it to billing, and some simply press the wrong key.

y = y_true.copy()
y[rng.random(len(y)) < 0.3] = "billing"
slips = rng.random(len(y)) < 0.1
y[slips] = rng.choice(list(PARTS), slips.sum())
print(f"{len(y)} messages, {(y != y_true).mean():.2f} of them with a wrong team")

# %%
# Find them
# ---------
# The classifier reads each message without having learnt from it. Where it is sure of
# another team than the label says, the label is suspected.

reader = make_pipeline(
    make_column_transformer((TfidfVectorizer(ngram_range=(1, 2)), "text")),
    LogisticRegression(),
)
detector = ConfidentLearningDetector(reader, random_state=0).fit(X, y)
report = label_report(detector, X, y)
print(report)

# %%
# Look at the worst
# -----------------

worst = report.frame.sort_values("label_quality").head(6)
for row, found in worst.iterrows():
    print(f"{found.given_label:>8} → {found.suggested_label:8}  {X.text[row]}")

# %%
# The counts tell a story: most suspects had been sent to billing. ``report.to_html``
# writes all of this, with the texts, as a page for a colleague.

print(report.confusion.to_string())

# %%
# Fix and fit again
# -----------------
# The given labels, the rest without the suspects, and all with the suggested team. The
# test messages have the right one.

scores = {"as given": reader.fit(X, y).score(X_test, y_test)}
for action in ("drop", "relabel"):
    cleaned = CleanedClassifier(detector, reader, action=action).fit(X, y)
    scores[action] = cleaned.score(X_test, y_test)
scores["true labels"] = reader.fit(X, y_true).score(X_test, y_test)

figure, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
ax.bar_label(ax.barh(list(scores), list(scores.values())), fmt="%.3f", padding=4)
ax.set(xlabel="test accuracy", xlim=(0, 1.1))
ax.invert_yaxis()

# %%
# Where next
# ----------
# - :doc:`/user_guide/text_encoders`: texts as rows by a pretrained model.
# - :doc:`/user_guide/confident_learning`: what this detector computes.
# - :doc:`plot_review_loop`: let people decide, and learn from them.
