"""Mixup of a batch with itself: who is mixed with whom, and in which shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = ["draw_mixing", "epoch_generator"]


def epoch_generator(net: Any) -> np.random.Generator:
    """Return the generator of the epoch that a net is in, for its ``rng_``.

    It is one of numpy, which draws a number for a whole batch without a device, and
    depends on the seed and the epoch alone, so that a training can go on from any.

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
    """Draw with which other row each row is mixed, and the share that it keeps.

    Parameters
    ----------
    net : NetClassifier
        With ``mixup_alpha``, and ``rng_`` as `epoch_generator` returns it.
    X : Tensor of shape (batch, ...)
        The rows to be mixed with each other.
    keeps_most : bool, default=True
        Whether the share is that of the larger part, as rows are mixed whose partners
        stand in other groups.

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
