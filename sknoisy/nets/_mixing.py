"""Mixup of a batch: partners of the rows and their shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = ["draw_mixing", "epoch_generator"]


def epoch_generator(net: Any) -> np.random.Generator:
    """Return the generator of the current epoch of a net, for its ``rng_``.

    A numpy generator draws one number for a whole batch without the device. It depends
    only on the seed and the epoch, so that a training can resume at any epoch.

    Parameters
    ----------
    net : NetClassifier
        In training.

    Returns
    -------
    generator : numpy.random.Generator
        The same for the same epoch.
    """
    return np.random.default_rng([net.seed_, len(net.history)])


def draw_mixing(
    net: Any, X: torch.Tensor, *, keeps_most: bool = True
) -> tuple[torch.Tensor, float]:
    """Draw the partner of each row, and the share that each row keeps.

    Parameters
    ----------
    net : NetClassifier
        With ``mixup_alpha``, and ``rng_`` as `epoch_generator` returns it.
    X : Tensor of shape (batch, ...)
        The rows to be mixed with each other.
    keeps_most : bool, default=True
        Whether the share is at least one half, for rows whose partners may be in
        another group.

    Returns
    -------
    partner : Tensor of shape (batch,), dtype int64
        A permutation of the rows.
    share : float in [0, 1]
        From Beta(α, α), one for the whole batch.
    """
    partner = torch.randperm(len(X), device=X.device)
    share = float(net.rng_.beta(net.mixup_alpha, net.mixup_alpha))
    return partner, max(share, 1 - share) if keeps_most else share
