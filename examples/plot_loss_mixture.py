"""
=========================
Wrong labels by two humps
=========================

What a classifier loses on a wrong label is larger than on a right one. So the losses of
all rows have two humps. :class:`~sknoisy.BMMLossSplitter` fits a mixture of two
distributions to them, and says for each label how suspicious it is. All it needs is the
losses: here, of a logistic regression of scikit-learn's digits.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_score, recall_score
from sklearn.model_selection import cross_val_predict

from sknoisy import BMMLossSplitter, LossMixtureDisplay, SymmetricNoiseInjector

# %%
# Plant wrong labels
# ------------------
# We make three in ten labels wrong, so that we know the truth.

images, y_true = load_digits(return_X_y=True)
X = images / 16
injector = SymmetricNoiseInjector(noise_rate=0.3, random_state=0)
X, y = injector.fit_resample(X, y_true)
is_wrong = injector.noise_mask_

# %%
# Compute the losses
# ------------------
# Each row is predicted by a model that was not fitted on it. The loss is the
# cross-entropy of the given label.

proba = cross_val_predict(LogisticRegression(C=0.1), X, y, method="predict_proba")
losses = -np.log(proba[np.arange(len(y)), y])

# %%
# Split them
# ----------
# ``predict`` flags a label that is more likely wrong than right.

splitter = BMMLossSplitter().fit(losses)
p_noisy = splitter.predict_proba(losses)[:, 1]
flagged = splitter.predict(losses) == 1

print(f"{len(y)} images, {is_wrong.sum()} of them with a wrong label")
print(f"flagged as wrong:           {flagged.sum()}")
print(f"share of flags that hit:    {precision_score(is_wrong, flagged):.3f}")
print(f"share of wrong labels hit:  {recall_score(is_wrong, flagged):.3f}")
print(f"noise rate, estimated:      {splitter.noise_rate_:.3f}")
print(f"noise rate, true:           {injector.noise_rate_:.3f}")

# %%
# Look at them
# ------------
# On the left what one sees with real data: the losses, the two components and the
# posterior. On the right the same with the truth, in colours.

figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
LossMixtureDisplay.from_estimator(splitter, losses, ax=axes[0])
LossMixtureDisplay.from_estimator(splitter, losses, noise_mask=is_wrong, ax=axes[1])
axes[0].set_title("What is known")
axes[1].set_title("What is true")

# %%
# Choose a threshold
# ------------------
# A higher threshold of the posterior flags fewer labels, and more of them rightly.

print("threshold  flagged  precision  recall")
for threshold in (0.2, 0.5, 0.8, 0.95):
    flagged = p_noisy > threshold
    print(
        f"{threshold:9.2f}{flagged.sum():9}"
        f"{precision_score(is_wrong, flagged):11.3f}"
        f"{recall_score(is_wrong, flagged):8.3f}"
    )

# %%
# How probable are the probabilities? Of the labels with a posterior between two values,
# that share should be wrong.

for low in (0.0, 0.2, 0.4, 0.6, 0.8):
    rows = (p_noisy >= low) & (p_noisy <= low + 0.2)
    share = is_wrong[rows].mean()
    print(f"{low:.1f} to {low + 0.2:.1f}: {rows.sum():4} labels, {share:.2f} wrong")

# %%
# Where next
# ----------
# - :doc:`/user_guide/loss_mixture`: the mixtures, and a detector around any classifier.
# - :doc:`/user_guide/small_loss`: a fixed share of large losses instead.
# - :doc:`plot_find_wrong_labels`: what a network does while it learns.
