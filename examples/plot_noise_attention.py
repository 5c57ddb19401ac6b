"""
=========================
Attention to right labels
=========================

:class:`~sknoisy.NALClassifier` learns a weight for each row, its attention. While the
network learns, the attention to rows with right labels rises and that to rows with
wrong ones stays behind, so that these hardly pull at the network. Later, labels are
replaced by targets that follow the predictions.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from sknoisy import (
    NALClassifier,
    NetClassifier,
    SampleWeightsDisplay,
    SymmetricNoiseInjector,
)

# %%
# Plant wrong labels
# ------------------
# We make four in ten labels of the training set wrong.

X, y_true = load_digits(return_X_y=True)
X = X / X.std()
X_train, y_train, X_test, y_test = X[:1000], y_true[:1000], X[1000:], y_true[1000:]
injector = SymmetricNoiseInjector(noise_rate=0.4, random_state=0)
X_train, y = injector.fit_resample(X_train, y_train)
is_wrong = injector.noise_mask_

# %%
# Watch the attention
# -------------------
# The network has no dropout and no weight decay, which keep a network from memorising
# wrong labels. ``partial_fit`` continues where the last call stopped.

plain = {
    "module__dropout": 0.0,
    "optimizer__weight_decay": 0.0,
    "lr_schedule": None,
    "batch_size": 32,
    "lr": 0.02,
    "random_state": 0,
}
clf = NALClassifier(lam=0.5, max_epochs=2, target_start_epoch=20, **plain)
_, axes = plt.subplots(1, 3, figsize=(12, 3.5), sharey=True, layout="constrained")
for ax, n_epochs in zip(axes, (2, 8, 30), strict=True):
    clf.set_params(max_epochs=n_epochs)
    clf.partial_fit(X_train, y)
    SampleWeightsDisplay.from_estimator(clf, noise_mask=is_wrong, ax=ax)
    ax.set(xlabel="Attention", title=f"After {len(clf.history)} epochs")
plt.show()

# %%
# What is learnt
# --------------
# The same network with cross-entropy fits more of the given labels, wrong ones too.

ce = NetClassifier(max_epochs=40, **plain).fit(X_train, y)
for name, net in (("cross-entropy", ce), ("noise attention", clf)):
    print(
        f"{name:16s} fits {net.score(X_train, y):.3f} of the given labels, "
        f"test accuracy {net.score(X_test, y_test):.3f}"
    )

# %%
# The targets correct labels
# --------------------------
# The largest target of a row is the label that it should have.

corrected = clf.estimated_targets_.argmax(axis=1)
print(f"right labels as given: {(y == y_train).mean():.3f}")
print(f"right targets:         {(corrected == y_train).mean():.3f}")

# %%
# Where next
# ----------
# - :doc:`/user_guide/robust_losses`: this loss beside all others.
# - :doc:`plot_flywheel`: two networks instead of one.
# - :doc:`plot_robust_or_tuned`: robust methods beside tuned baselines.
