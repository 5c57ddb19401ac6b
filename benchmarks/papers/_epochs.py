"""Callbacks that keep what a network thinks of its training rows after each epoch."""

import numpy as np
from skorch.callbacks import Callback
from torch.nn import functional as F


class TrainingLosses(Callback):
    """Keeps the cross-entropy of the given labels, and the share that is predicted."""

    def initialize(self):
        """Forget earlier epochs."""
        self.losses_, self.fitted_ = [], []
        return self

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        """Judge the training rows."""
        _, y, logits = net.eval_pass(dataset_train)
        logits = logits["module"]
        self.losses_.append(F.cross_entropy(logits, y, reduction="none").cpu().numpy())
        self.fitted_.append(100 * float((logits.argmax(1) == y).float().mean()))


class Attention(Callback):
    """Keeps the attention τ of each training row of noise attention learning."""

    def initialize(self):
        """Forget earlier epochs."""
        self.tau_ = []
        return self

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        """Attend to the training rows, in evaluation mode."""

        def attention(X):
            return net.module_.attend(X)[1][:, None]

        _, _, found = net.eval_pass(dataset_train, {"attention": attention})
        self.tau_.append(found["attention"].sigmoid().squeeze(1).cpu().numpy())


def quartiles(losses, rows):
    """Return the quartiles of the losses of some rows, by epoch."""
    found = np.quantile([epoch[rows] for epoch in losses], (0.25, 0.5, 0.75), axis=1)
    return found.round(4).tolist()
