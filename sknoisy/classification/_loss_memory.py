"""What the losses of every row were in the last epochs."""

import torch
from torch import nn

__all__ = ["LossMemory"]


class LossMemory(nn.Module):
    """The losses of every row in the last epochs, for two networks.

    Parameters
    ----------
    n_samples : int
    n_epochs : int >= 2
        Over how many epochs losses are averaged, the current one included.
    """

    def __init__(self, n_samples, n_epochs):
        super().__init__()
        past = torch.full((n_epochs - 1, 2, n_samples), torch.nan)
        self.register_buffer("past", past)

    def mean_with(self, losses, rows):
        """Return the mean of losses and those remembered, of shape (2, n_rows)."""
        # NaN where a row has taken part in fewer epochs.
        return torch.cat([self.past[:, :, rows], losses[None]]).nanmean(0)

    def remember(self, losses, rows):
        """Take in the losses of an epoch, and forget those of the earliest."""
        newest = torch.full_like(self.past[:1], torch.nan)
        newest[0, :, rows] = losses
        self.past = torch.cat([self.past[1:], newest])
