"""What becomes of the losses of a batch: a mean, all of them, and nothing else."""

import numpy as np
import pytest
import torch

from sknoisy.losses import (
    BackwardCorrectionLoss,
    ELRLoss,
    ForwardCorrectionLoss,
    GCELoss,
    NoiseAttentionLoss,
    SCELoss,
    TruncatedGCELoss,
)

CONFUSED = np.full((3, 3), 0.1) + 0.7 * np.eye(3)
MAKERS = {
    "forward": lambda how: ForwardCorrectionLoss(CONFUSED, how),
    "backward": lambda how: BackwardCorrectionLoss(CONFUSED, how),
    "elr": lambda how: ELRLoss(8, 3, reduction=how),
    "gce": lambda how: GCELoss(reduction=how),
    "truncated gce": lambda how: TruncatedGCELoss(8, reduction=how),
    "sce": lambda how: SCELoss(reduction=how),
    "attention": lambda how: NoiseAttentionLoss(8, 3, reduction=how),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("reduction", ["sum", None, "Mean"])
def test_a_sum_is_no_mean(name, reduction):
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'none'; got"):
        MAKERS[name](reduction)


@pytest.mark.parametrize("name", ["forward", "backward", "elr", "gce", "sce"])
def test_the_mean_is_that_of_all(name):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 3, generator=generator)
    y, index = torch.arange(8) % 3, torch.arange(8)
    given = (logits, y, index) if name == "elr" else (logits, y)
    every, mean = MAKERS[name]("none")(*given), MAKERS[name]("mean")(*given)
    assert every.shape == (8,)
    torch.testing.assert_close(every.mean(), mean)
