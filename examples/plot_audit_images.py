"""
============
Audit images
============

A fifth of the labels of scikit-learn's digits is replaced, always by the next digit:
systematic mistakes are harder to find than random ones. A small convolutional network
learns the images, and the report shows those that do not look like their label.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sknoisy import (
    ConfidentLearningDetector,
    NetClassifier,
    TransitionNoiseInjector,
    label_report,
    pair_flip_matrix,
)
from sknoisy.nets import PreActResNet

# %%
# Images as a network takes them
# ------------------------------
# Rows first, channels second, then height and width. Bytes stay bytes. Labels may be
# words.

digits = load_digits()
images = (digits.images[:, None] * 15.9).astype(np.uint8)
words = np.array("zero one two three four five six seven eight nine".split())
labels = words[digits.target]
X, X_test, y_true, y_test = images[:1200], images[1200:], labels[:1200], labels[1200:]

matrix = pair_flip_matrix(10, noise_rate=0.2)
injector = TransitionNoiseInjector(matrix, random_state=0)
wrong = injector.fit_resample(X.reshape(len(X), -1), digits.target[:1200])[1]
y = words[wrong]
print(f"X: {X.shape}, {X.dtype}; {np.mean(y != y_true):.2f} of the labels are wrong")

# %%
# Find them
# ---------
# The network is made for small images and trains in seconds on a CPU. ``augment=None``:
# digits must not be mirrored, as photographs are by default. Each image is scored by a
# network that was not trained on it.

network = NetClassifier(
    PreActResNet,
    module__blocks=(1, 1),
    module__width=8,
    augment=None,
    max_epochs=10,
    batch_size=32,
    random_state=0,
)
detector = ConfidentLearningDetector(network, random_state=0).fit(X, y)
report = label_report(detector, X, y)
print(report)

flagged = detector.predict_noisy()
print(f"share of flags that hit:   {np.mean(y[flagged] != y_true[flagged]):.2f}")
print(f"share of wrong ones found: {np.mean(flagged[y != y_true]):.2f}")

# %%
# Look at them
# ------------
# The most suspicious images: the given label above, the suggested one below.

worst = report.frame.sort_values("label_quality", kind="stable").head(14)
figure, axes = plt.subplots(2, 7, figsize=(9, 3.6), layout="constrained")
for ax, (row, found) in zip(axes.flat, worst.iterrows(), strict=True):
    ax.imshow(X[row, 0], cmap="gray_r")
    ax.set_title(f"not “{found.given_label}”")
    ax.set_xlabel(found.suggested_label)
    ax.set(xticks=[], yticks=[])

# %%
# Classes that have many suspects are worth a word with those who label.

print(report.by_class[["n_rows", "share_flagged", "top_suggestion"]].round(2))

# %%
# A page to pass on
# -----------------
# One file, with the images in it. Nothing is loaded from elsewhere.

with tempfile.TemporaryDirectory() as folder:
    page = report.to_html(Path(folder) / "digits.html", max_rows=40)
    print(f"{page.name}: {page.stat().st_size / 1000:.0f} kB")

# %%
# Fit the network without them
# ----------------------------
# Here by hand; :class:`~sknoisy.CleanedClassifier` finds, drops and fits in one step.

scores = {"all rows": network.fit(X, y).score(X_test, y_test)}
X_kept, y_kept = X[~flagged], y[~flagged]
scores["without flags"] = network.fit(X_kept, y_kept).score(X_test, y_test)
print({name: round(score, 3) for name, score in scores.items()})

# %%
# Where next
# ----------
# - :doc:`plot_image_folder`: images in files, without a network to train.
# - :doc:`/user_guide/images`: networks, augmentation, and who takes images.
# - :doc:`/user_guide/review`: a page on which people decide.
