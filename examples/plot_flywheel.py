"""
===================
A flywheel spins up
===================

:class:`~sknoisy.FlywheelClassifier` has a network that judges labels and one that
refurbishes them. Each learns from the other. We watch how both get better from epoch to
epoch, while a network that is trained plainly stays where it was.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification
from sklearn.metrics import roc_auc_score
from skorch.callbacks import Callback
from torch.nn import functional as F

from sknoisy import (
    FlywheelClassifier,
    NetClassifier,
    TransitionMatrixDisplay,
    TransitionNoiseInjector,
    estimate_transition_matrix,
)
from sknoisy.losses import wrong_label_probability

# %%
# Plant wrong labels
# ------------------
# Half of the labels of each class become wrong; where they go depends on the class.

X, y_true = make_classification(
    3000, 20, n_informative=12, n_classes=5, n_clusters_per_class=1, random_state=0
)
X = (X / X.std(axis=0)).astype(np.float32)
T = 0.5 * np.eye(5)
T += 0.3 * np.roll(np.eye(5), 1, axis=1) + 0.2 * np.roll(np.eye(5), 2, axis=1)
injector = TransitionNoiseInjector(T, random_state=0)
X, y = injector.fit_resample(X, y_true)
is_wrong = injector.noise_mask_

# %%
# Watch both networks
# -------------------
# A callback looks after each epoch: how well is clean told from wrong, and how many of
# the labels that the network would give are right?


class Watch(Callback):
    """Keeps AUROC and the share of right labels after each epoch."""

    def initialize(self):
        """Forget earlier epochs."""
        self.aurocs_, self.right_ = [], []
        return self

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        """Ask the judge, or the losses."""
        _, codes, logits = net.eval_pass(dataset_train, ["module"])
        scores = F.cross_entropy(logits["module"], codes, reduction="none")
        if isinstance(net, FlywheelClassifier) and not np.isnan(
            net.history[-1]["gamma"]
        ):
            state = net.criterion_["cycles"]
            known = state.q, codes, state.proba, state.corruption
            scores = wrong_label_probability(*known)
        self.aurocs_.append(roc_auc_score(is_wrong, scores))
        self.right_.append((logits["module"].argmax(1).numpy() == y_true).mean())


params = {"max_epochs": 25, "lr": 0.02, "batch_size": 32, "random_state": 0}
nets = {
    "flywheel": FlywheelClassifier(**params, callbacks=[("watch", Watch())]),
    "cross-entropy": NetClassifier(**params, callbacks=[("watch", Watch())]),
}
_, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for name, net in nets.items():
    watch = dict(net.fit(X, y).callbacks_)["watch"]
    epochs = np.arange(1, 26)
    axes[0].plot(epochs, watch.aurocs_, label=name)
    axes[1].plot(epochs, watch.right_, label=name)
for ax, title in zip(
    axes, ("AUROC of the wrong labels", "Share of right labels"), strict=True
):
    ax.axvline(5.5, color="grey", linestyle=":", linewidth=1)
    ax.set(xlabel="Epoch", title=title)
axes[0].annotate("warm-up ends", (6, np.mean(axes[0].get_ylim())), color="grey")
axes[1].legend(loc="center right")
plt.show()

# %%
# How labels were changed
# -----------------------
# The transition matrix that the networks found, beside the true one.

clf = nets["flywheel"]
found = clf.transition_matrix_
true = estimate_transition_matrix(y_true, y)
_, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for ax, matrix, title in zip(axes, (true, found), ("True", "Found"), strict=True):
    TransitionMatrixDisplay(matrix).plot(ax=ax)
    ax.set_title(title)
plt.show()

print(f"right labels as given:   {(y == y_true).mean():.3f}")
print(f"right after suggestions: {(clf.suggested_labels_ == y_true).mean():.3f}")
print(f"wrong labels: {is_wrong.mean():.3f}, estimated {clf.noise_rate_:.3f}")
