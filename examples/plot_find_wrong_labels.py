"""
=====================
Find the wrong labels
=====================

A fifth of the labels of scikit-learn's digits is replaced by wrong ones.
:class:`~sknoisy.DynaCorDetector` is given nothing but the images and these labels. As
we know which labels are wrong, we can count how many of them it finds.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import precision_score, recall_score

from sknoisy import DynaCorDetector, DynamicsDisplay, SymmetricNoiseInjector

# %%
# Plant wrong labels
# ------------------
# The injector keeps a record of what it changed. The images are scaled to [0, 1]: a
# network trains badly on numbers up to 16.

images, y_true = load_digits(return_X_y=True)
X = images / 16
injector = SymmetricNoiseInjector(noise_rate=0.2, random_state=0)
X, y = injector.fit_resample(X, y_true)
is_wrong = injector.noise_mask_

# %%
# Find them
# ---------
# The detector plants some wrong labels itself, trains four kinds of network, and takes
# the one that finds the planted ones best. ``predict_noisy`` then says which labels are
# flagged, ``noise_scores_`` how probable that is, and ``suggested_labels_`` what
# they should be.

detector = DynaCorDetector(random_state=0).fit(X, y)
flagged = detector.predict_noisy()
repaired = detector.suggested_labels_ == y_true

print(f"{len(X)} images, {is_wrong.sum()} of them with a wrong label")
print(f"flagged as wrong:           {flagged.sum()}")
print(f"share of flags that hit:    {precision_score(is_wrong, flagged):.3f}")
print(f"share of wrong labels hit:  {recall_score(is_wrong, flagged):.3f}")
print(f"noise rate, estimated:      {detector.noise_rate_:.3f}")
print(f"noise rate, true:           {injector.noise_rate_:.3f}")
print(f"right labels before:        {np.mean(y == y_true):.3f}")
print(f"right labels if suggested:  {np.mean(repaired):.3f}")

# %%
# Look at them
# ------------
# The 20 most suspicious images. Each title shows the given label, then the suggested
# one, in red if it is not the true one.

suspects = detector.ranking()[:20]
figure, axes = plt.subplots(2, 10, figsize=(10, 2.8), layout="constrained")
for ax, row in zip(axes.flat, suspects, strict=True):
    ax.imshow(X[row].reshape(8, 8), cmap="gray_r")
    ax.set_title(
        f"{y[row]} → {detector.suggested_labels_[row]}",
        color="black" if repaired[row] else "red",
    )
    ax.set_axis_off()
figure.suptitle("Given label → suggested label")

if "sphinx_gallery" not in sys.modules:  # in the gallery, the figure is on the page
    shown = {"Rows": suspects, "Suggested": detector.suggested_labels_[suspects]}
    kept = {name: " ".join(map(str, values)) for name, values in shown.items()}
    figure.savefig("wrong_labels.png", dpi=150, metadata=kept)
    print("The 20 most suspicious images are in wrong_labels.png")

# %%
# What the detector saw
# ---------------------
# The margin of the given label over the largest other logit, in each epoch of the
# chosen network: the median and the quartiles of the flagged rows and of the others. A
# network learns first what many rows agree on, so it soon contradicts a wrong label.
# Almost all of those found here it still contradicts after the last epoch.

DynamicsDisplay.from_estimator(detector)

# %%
# Where next
# ----------
# - :doc:`/user_guide/find_wrong_labels`: the detector, its parameters and its limits.
# - :doc:`plot_planted_benchmark`: which detector suits which mistakes.
# - :doc:`plot_review_loop`: let people decide, and learn from them.
