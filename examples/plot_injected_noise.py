"""
=========================
Four kinds of label noise
=========================

The injectors turn clean labels into noisy ones and tell which they changed. What share
of each class gets which label is a transition matrix: a row for each true class, a
column for each given label.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from sknoisy import (
    AsymmetricNoiseInjector,
    InstanceNoiseInjector,
    MarginNoiseInjector,
    SymmetricNoiseInjector,
    TransitionMatrixDisplay,
)

X, y = load_digits(return_X_y=True)

# %%
# Symmetric noise treats all classes alike. Asymmetric noise moves a class to its
# partner, here the next class. Instance noise depends on the row in a random way,
# margin noise on which other class the row is close to.

injectors = {
    "symmetric": SymmetricNoiseInjector(0.3, random_state=0),
    "asymmetric": AsymmetricNoiseInjector(0.3, random_state=0),
    "instance": InstanceNoiseInjector(0.3, random_state=0),
    "margin": MarginNoiseInjector(0.3, noise_type="II", random_state=0),
}

# %%
# All four change about the same number of labels, but not into the same ones.

figure, axes = plt.subplots(2, 2, figsize=(9, 8), layout="constrained")
for ax, (name, injector) in zip(axes.flat, injectors.items(), strict=True):
    _, y_noisy = injector.fit_resample(X, y)
    TransitionMatrixDisplay.from_predictions(
        y, y_noisy, include_values=False, colorbar=False, ax=ax
    )
    ax.set_title(f"{name}: {injector.noise_rate_:.3f} wrong")

# %%
# Margin noise takes a digit for one that looks like it: a 2 for a 3, a 9 for a 3.

display = TransitionMatrixDisplay.from_estimator(injectors["margin"])

# %%
# Where next
# ----------
# - :doc:`/user_guide/noise_injection`: rates and conventions of papers, and pipelines.
# - :doc:`plot_planted_benchmark`: detectors compared under such mistakes.
