"""
==========================
Three kinds of label noise
==========================

The injectors turn clean labels into noisy ones and tell which they changed. What share
of each class gets which label is a transition matrix: a row for each true class, a
column for each given label.
"""

from functools import partial

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from sknoisy import (
    InstanceNoiseInjector,
    SymmetricNoiseInjector,
    TransitionNoiseInjector,
    pair_flip_matrix,
)
from sknoisy.noise import empirical_transition_matrix

X, y = load_digits(return_X_y=True)

# %%
# Symmetric noise treats all classes alike. Pair flips go to the next class. Instance
# noise depends on what the row looks like.

injectors = {
    "symmetric": SymmetricNoiseInjector(0.3, random_state=0),
    "pair flip": TransitionNoiseInjector(
        partial(pair_flip_matrix, noise_rate=0.3), random_state=0
    ),
    "instance": InstanceNoiseInjector(0.3, random_state=0),
}

# %%
# All three change about the same number of labels, but not into the same ones.

figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
for ax, (name, injector) in zip(axes, injectors.items(), strict=True):
    _, y_noisy = injector.fit_resample(X, y)
    matrix = empirical_transition_matrix(y, y_noisy, n_classes=10)
    image = ax.imshow(matrix, vmin=0, vmax=1, cmap="Blues")
    ax.set(title=f"{name}: {injector.noise_rate_:.3f} wrong", xlabel="given label")
    ax.set_xticks(range(10))
    ax.set_yticks(range(10))
axes[0].set_ylabel("true class")
figure.colorbar(image, ax=axes, label="share of the class")
