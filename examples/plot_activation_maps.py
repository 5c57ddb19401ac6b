"""
=====================
Where a network looks
=====================

A network that memorises wrong labels recognises images by whatever tells them
apart, often by a speck in the background. :class:`~sknoisy.nets.AdversarialMasking`
hides the patch that activates the network most, softens the label accordingly, and has
the network restore the image. :class:`~sknoisy.ActivationMapDisplay` shows the effect.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sknoisy import ActivationMapDisplay, NetClassifier, SymmetricNoiseInjector
from sknoisy.nets import AdversarialMasking, PreActResNet

# %%
# Digits at random places before a speckled ground
# ------------------------------------------------
# Four in ten labels of the training images are wrong.

digits = load_digits()
rng = np.random.default_rng(0)
X = 0.5 * rng.random((1500, 1, 12, 12), dtype=np.float32) ** 3
for image, digit in zip(X, digits.images[:1500], strict=True):
    row, column = rng.integers(0, 5, 2)
    place = image[0, row : row + 8, column : column + 8]
    np.maximum(place, digit / 16, out=place)
X_train, X_test = X[:1000], X[1000:]
y_true, y_test = digits.target[:1000], digits.target[1000:1500]
injector = SymmetricNoiseInjector(noise_rate=0.4, random_state=0)
_, y = injector.fit_resample(X_train.reshape(1000, -1), y_true)

# %%
# The same network with and without masking
# -----------------------------------------
# The published share of an image to hide is 2 to 7 %, 10 % where the label is doubtful.
# Of 12 x 12 pixels that is hardly anything: we hide more.

params = {
    "module": PreActResNet,
    "module__blocks": (1, 1),
    "module__width": 8,
    "augment": None,
    "batch_size": 32,
    "max_epochs": 20,
    "random_state": 0,
}
plain = NetClassifier(**params).fit(X_train, y)
masked = NetClassifier(
    masking=AdversarialMasking,
    masking__mask_ratio=(0.05, 0.2),
    masking__quality_ratio=0.3,
    **params,
).fit(X_train, y)
for name, clf in (("plain", plain), ("masked", masked)):
    print(
        f"{name:6s} fits {clf.score(X_train, y):.2f} of the given labels, "
        f"test accuracy {clf.score(X_test, y_test):.2f}"
    )

# %%
# Four images with right labels, four with wrong ones
# ---------------------------------------------------
# Upper row: without masking. Lower row: with it. Titles are predictions.

is_wrong = injector.noise_mask_
shown = np.r_[np.flatnonzero(~is_wrong)[:4], np.flatnonzero(is_wrong)[:4]]
_, axes = plt.subplots(2, 8, figsize=(12, 3.6), layout="constrained")
for row, (name, clf) in zip(axes, (("plain", plain), ("masked", masked)), strict=True):
    ActivationMapDisplay.from_estimator(clf, X_train[shown], ax=row)
    row[0].set_ylabel(name)
plt.show()

# %%
# How much of the activation lies on the digit
# --------------------------------------------

for name, clf in (("plain", plain), ("masked", masked)):
    maps = ActivationMapDisplay.from_estimator(clf, X_train[:200], titles=None)
    plt.close(maps.figure_)
    ink = X_train[:200, 0] > 0.5
    weight = maps.activation_maps / maps.activation_maps.sum((1, 2), keepdims=True)
    print(f"{name:6s} {(weight * ink).sum((1, 2)).mean():.2f}")

# %%
# Where next
# ----------
# - :doc:`/user_guide/masking`: settings, and which classifiers can be masked.
# - :doc:`/user_guide/images`: networks for images.
