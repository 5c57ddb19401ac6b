"""The device of torch, and its random numbers."""

import os
import threading
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from joblib import parallel_config
from joblib.parallel import (
    LokyBackend,
    MultiprocessingBackend,
    SequentialBackend,
    get_active_backend,
)

from sknoisy.nets._device_kinds import (
    chosen_device,
    forked_generator,
    is_missing,
    seed_generator,
)
from sknoisy.nets._torch_modes import usual_modes

__all__ = ["isolated_rng", "resolve_device", "seed_of", "seed_torch"]

# Others may run tasks in threads of this process, also dask's and ray's.
_NO_THREADS = LokyBackend, MultiprocessingBackend, SequentialBackend

# torch has one generator for all threads of a process, so only one thread uses it at a
# time. That thread may fit further nets.
_turn = threading.RLock()


def _begin_anew():
    """Replace the lock in a forked process, in case a thread of the parent holds it."""
    global _turn
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def resolve_device(device):
    """Return the torch device; None selects CUDA if available, else the CPU.

    Raises
    ------
    ValueError
        If it is not a device, or "meta"; or if a CUDA device is requested and there is
        none.
    """
    if device is None:
        device = chosen_device()
    try:
        device = torch.device(device)
    except RuntimeError:
        raise ValueError(
            f"device={device!r} is not a torch device: pass 'cpu', 'cuda', 'cuda:1' or "
            "similar, or None, which selects CUDA if available."
        ) from None
    if device.type == "meta":
        raise ValueError("device='meta' cannot compute: pass 'cpu' or 'cuda'.")
    if is_missing(device):
        raise ValueError(
            f"device={str(device)!r}, but torch finds no CUDA device: set "
            "device='cpu', or device=None, which uses an available device."
        )
    return device


@contextmanager
def isolated_rng(device):
    """Seed and use torch's generators without an effect outside the block.

    Other threads that enter it wait until the block ends: each draws as if it were
    alone, and the generator is restored afterwards.
    """
    with _turn, _without_threads(), usual_modes(), forked_generator(device):
        yield


def _without_threads():
    """Let joblib run one task after the other if it might use threads in a block.

    They would wait for the turn of this thread, and it for them.
    """
    if isinstance(get_active_backend()[0], _NO_THREADS):
        return nullcontext()
    return parallel_config("sequential")


def seed_of(*entropy):
    """Return a seed for torch's generators, from a tuple of ints."""
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])


def seed_torch(device, *entropy):
    """Seed torch's generators from a tuple of ints; only inside `isolated_rng`."""
    seed_generator(device, seed_of(*entropy))
