"""What differs between kinds of devices: no other file asks for a kind.

A device of any other kind that torch knows is used as it is: without fused optimizers,
pinned memory and mixed precision that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

__all__ = [
    "KINDS_OF_AUTOCAST",
    "chosen_device",
    "forked_generator",
    "half_precision",
    "has_fused_optimizers",
    "is_missing",
    "mixed_precision",
    "pins_memory",
    "seed_generator",
    "stored_device",
    "take_device",
]

# Kinds for which a user may have switched on mixed precision around a call.
KINDS_OF_AUTOCAST = ("cpu", "cuda", "mps", "xpu")


def chosen_device() -> str:
    """Return the device that is used if the user names none."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def take_device(number: int) -> None:
    """Let "cuda" stand for one of the devices in this process, if there are any."""
    if torch.cuda.is_available():
        # A launcher may let each process see a single one, which then has number 0.
        torch.cuda.set_device(number % torch.cuda.device_count())


def is_missing(device: torch.device) -> bool:
    """Whether a CUDA device is asked for, and there is none."""
    return device.type == "cuda" and not torch.cuda.is_available()


def stored_device(device: torch.device) -> torch.device:
    """Return the device for what lay on a device as it was saved.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    device : torch.device
        The CUDA device if it was one and there is one, else the CPU.
    """
    is_cuda = device.type == "cuda" and not is_missing(device)
    return torch.device("cuda" if is_cuda else "cpu")


def has_fused_optimizers(device: torch.device) -> bool:
    """Whether torch's fused optimizers are known to work and to be faster there."""
    return device.type in ("cpu", "cuda")


def pins_memory(device: torch.device) -> bool:
    """Whether copies to the device are faster from pinned memory, and not awaited."""
    return device.type == "cuda"


def mixed_precision(device: torch.device, amp: str | bool) -> torch.dtype | None:
    """Return the dtype in which a network trains.

    Parameters
    ----------
    device : torch.device
    amp : "auto" or bool
        "auto" takes bfloat16 where the device computes in it. Older CUDA devices only
        emulate it, slower than float32.

    Returns
    -------
    dtype : torch.dtype or None
        None is float32.
    """
    if amp == "auto":
        amp = device.type == "cuda" and _computes_in_bfloat16(device)
    return torch.bfloat16 if amp else None


def _computes_in_bfloat16(device: torch.device) -> bool:
    with torch.cuda.device(device):
        return torch.cuda.is_bf16_supported(including_emulation=False)


def half_precision(device: torch.device, amp: str | bool) -> torch.dtype | None:
    """Return the dtype in which a trained network encodes rows.

    Parameters
    ----------
    device : torch.device
    amp : "auto" or bool
        "auto" takes float16 on CUDA devices.

    Returns
    -------
    dtype : torch.dtype or None
        None is float32.
    """
    is_cuda = device.type == "cuda"
    if amp is True or (amp and is_cuda):
        return torch.float16 if is_cuda else torch.bfloat16
    return None


@contextmanager
def forked_generator(device: torch.device) -> Iterator[None]:
    """Restore the generators of the CPU and of a device at the end of a block."""
    module, place = _generator_module(device)
    with torch.random.fork_rng([]):
        if module is None:
            yield
            return
        state = module.get_rng_state(*place)
        try:
            yield
        finally:
            module.set_rng_state(state, *place)


def seed_generator(device: torch.device, seed: int) -> None:
    """Seed the generators of the CPU and of a device, and no other one."""
    # torch.manual_seed would also seed other devices.
    torch.default_generator.manual_seed(seed)
    module, _ = _generator_module(device)
    if module is not None:
        with module.device(device) if hasattr(module, "device") else nullcontext():
            module.manual_seed(seed)


def _generator_module(device):
    """Return torch's module of a device with a generator, and arguments that name it.

    The CPU's generator is torch's own, not in a module.
    """
    module = getattr(torch, device.type, None)
    if not hasattr(module, "get_rng_state"):
        return None, ()
    # There is one MPS device, which its functions do not ask for.
    return module, () if device.type == "mps" else (device,)
