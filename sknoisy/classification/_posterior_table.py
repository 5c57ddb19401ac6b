"""The posterior of a mixture of losses, as a table on the device."""

import numpy as np
import torch

__all__ = ["PosteriorTable"]

# Steps of the table between the losses that are scaled to 0 and to 1.
_TABLE_SIZE = 2**14


class PosteriorTable:
    """A splitter's posterior as a table on the device, to avoid transfers.

    Parameters
    ----------
    splitter : BMMLossSplitter
        Fitted.
    device : torch.device or str
    """

    def __init__(self, splitter, device):
        width = splitter.hi_ - splitter.lo_
        # With a fallback, every entry is the same.
        self.low, self.width = splitter.lo_, width if width > 0 else 1.0
        # The posterior may jump at both ends: values beyond have separate entries.
        inside = np.linspace(1e-9, 1, _TABLE_SIZE + 1)
        losses = self.low + self.width * np.concatenate([[0.0], inside, [1.001]])
        table = splitter.predict_proba(losses)[:, 1].astype(np.float32)
        self.table = torch.from_numpy(table).to(device)

    def __call__(self, losses):
        """Return the probability that each label is wrong, shape (batch,)."""
        place = (losses - self.low) * (_TABLE_SIZE / self.width) + 1
        place = place.clamp(0, _TABLE_SIZE + 2)
        # The place of a NaN is NaN, and so will be the loss, which ends the training.
        left = place.long().clamp(0, _TABLE_SIZE + 1)
        # A narrow Gaussian rises by a tenth within a few entries.
        return torch.lerp(self.table[left], self.table[left + 1], place - left)
