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


def quartiles(losses, rows):
    """Return the quartiles of the losses of some rows, by epoch."""
    found = np.quantile([epoch[rows] for epoch in losses], (0.25, 0.5, 0.75), axis=1)
    return found.round(4).tolist()
