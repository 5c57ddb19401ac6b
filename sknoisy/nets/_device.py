"""Where torch computes, and where its random numbers come from."""

import os
import threading
from contextlib import contextmanager

import numpy as np
import torch

from sknoisy.nets._torch_modes import usual_modes

__all__ = ["isolated_rng", "resolve_device", "seed_torch"]

# torch has one generator for all threads of a process: they take turns. A thread that
# has its turn may fit further nets.
_turn = threading.RLock()


def _begin_anew():
    """Free a forked process from a turn that another thread has in its parent."""
    global _turn
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def resolve_device(device):
    """Return the torch device; None stands for CUDA if there is one.

    Raises
    ------
    ValueError
        If it is no device, or one that computes nothing; or if a CUDA device is asked
        for, and there is none.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(device)
    except RuntimeError:
        raise ValueError(
            f"device={device!r} is no device of torch: give 'cpu', 'cuda', 'cuda:1' or "
            "the like, or None, which takes CUDA if there is one."
        ) from None
    if device.type == "meta":
        raise ValueError("device='meta' computes nothing: give 'cpu' or 'cuda'.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r}, but torch finds no CUDA device: set "
            "device='cpu', or device=None, which takes what there is."
        )
    return device


@contextmanager
def isolated_rng(device):
    """Let torch be seeded and drawn from without a trace outside the block.

    Other threads that ask for the same wait until the block ends: each draws as if it
    were alone, and the generator is afterwards as it was before the first.
    """
    devices = [device] if device.type == "cuda" else []
    with _turn, usual_modes(), torch.random.fork_rng(devices):
        yield


def seed_torch(device, *entropy):
    """Seed torch's generators from a tuple of ints; only inside `isolated_rng`."""
    seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
    # torch's global seeding call would also touch devices that are not ours.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
