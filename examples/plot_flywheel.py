"""
============================
Two networks and their turns
============================

In :class:`~sknoisy.FlywheelClassifier` one network judges which labels are clean, and
another predicts what the others should be. Here we watch them, beside small losses.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from skorch.callbacks import Callback

from sknoisy import (
    AsymmetricNoiseInjector,
    FlywheelClassifier,
    NetClassifier,
    TransitionMatrixDisplay,
)

# %%
# Plant wrong labels
# ------------------
# Four in ten digits get the next number as label, a rule that a network can learn.

X, y_true = load_digits(return_X_y=True)
X = X / X.std()
X_train, right, X_test, y_test = X[:1000], y_true[:1000], X[1000:], y_true[1000:]
injector = AsymmetricNoiseInjector(0.4, random_state=0)
_, y = injector.fit_resample(X_train, right)
is_wrong = injector.noise_mask_

# %%
# Watch the cycles
# ----------------
# A callback looks, and changes nothing. ``net.criterion_["cycles"]`` holds ``q``, how
# likely each label is clean, and ``labels``, what the second network says it should be.
# In the warm-up both just learn the given labels. Of the other net we keep losses.


class Watch(Callback):
    """Keeps, for each epoch, how clean labels look and what they should be."""

    def on_train_begin(self, net, **kwargs):
        """Start with nothing."""
        self.epochs, self.clean, self.labels = [], [], []

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        """Look at the cycles, or at the losses."""
        if isinstance(net, FlywheelClassifier):
            cycles = net.criterion_["cycles"]
            clean, labels = cycles.q.numpy().copy(), cycles.labels.numpy().copy()
        else:
            _, given, logits = net.eval_pass(dataset_train)
            log_proba = logits["module"].log_softmax(1).numpy()
            clean = log_proba[range(len(given)), given]  # minus the loss
            labels = log_proba.argmax(1)
        if not np.isnan(net.history[-1].get("gamma", 0)):  # after the warm-up
            self.epochs.append(len(net.history))
            self.clean.append(clean)
            self.labels.append(labels)


nets = {"flywheel": FlywheelClassifier(), "cross-entropy": NetClassifier()}
for name, net in nets.items():
    net.set_params(batch_size=32, lr=0.02, max_epochs=30, random_state=0)
    net.set_params(callbacks=[("watch", Watch())]).fit(X_train, y)
    print(f"{name:13s} test accuracy {net.score(X_test, y_test):.3f}")

# %%
# Clean labels, and right ones
# ----------------------------
# AUROC: how probable it is that a right label looks cleaner than a wrong one. Right
# labels: among the refurbished or, for cross-entropy, the predicted ones.

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, net in nets.items():
    watch = dict(net.callbacks_)["watch"]
    aurocs = [roc_auc_score(~is_wrong, clean) for clean in watch.clean]
    shares = [np.mean(labels == right) for labels in watch.labels]
    axes[0].plot(watch.epochs, aurocs, marker=".")
    axes[1].plot(watch.epochs, shares, marker=".", label=name)
axes[1].axhline(np.mean(~is_wrong), color="0.4", linestyle=":", label="given labels")
end = np.isnan(nets["flywheel"].gamma_).sum() + 0.5
for ax in axes:
    ax.axvspan(0.5, end, color="0.92", label="warm-up of flywheel")
    ax.set(xlabel="epoch", xlim=(0.5, 30.5), ylim=(None, 1))
axes[0].set(title="Which labels are clean", ylabel="AUROC")
axes[1].set(title="What the labels should be", ylabel="share of right labels")
figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=4)

# %%
# Who is taken for whom
# ---------------------
# What can be compared with the truth: of the wrong labels of a class, which are which?


def spread_of_wrong(matrix):
    """Return the shares of the wrong labels of each class."""
    matrix = matrix * (1 - np.eye(len(matrix)))
    return matrix / matrix.sum(axis=1, keepdims=True)


matrices = injector.transition_matrix_, nets["flywheel"].corruption_matrix_
figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
for ax, title, matrix in zip(axes, ("True", "Estimated"), matrices, strict=True):
    display = TransitionMatrixDisplay(spread_of_wrong(matrix))
    display.plot(include_values=False, colorbar=False, ax=ax)
    ax.set_title(title)
figure.colorbar(display.im_, ax=axes, label="share of the wrong labels of a class")
plt.show()

# %%
# Where next
# ----------
# - :doc:`/user_guide/flywheel`: the two cycles, settings, and what reproduces.
# - :doc:`plot_robust_or_tuned`: robust methods beside tuned baselines.
