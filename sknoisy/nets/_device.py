"""Where torch computes, and where its random numbers come from."""

from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["isolated_rng", "resolve_device", "seed_torch"]


def resolve_device(device):
    """Return the torch device; None stands for CUDA if there is one."""
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


@contextmanager
def isolated_rng(device):
    """Let torch be seeded and drawn from without a trace outside the block."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def seed_torch(device, *entropy):
    """Seed torch's generators from a tuple of ints; only inside `isolated_rng`."""
    seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
    # torch's global seeding call would also touch devices that are not ours.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
