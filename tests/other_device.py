"""A second device for machines that have none: torch's private-use backend on a CPU.

Its tensors hold a tensor of the CPU. Every operation on them is computed by the CPU, so
results can be compared with it; but it fails, as on a GPU, if it mixes devices, and
what passes between host and device is counted.

torch starts the threads of its devices at the first backward pass, and never again.
So the device is in a process of its own, which begins with it: `other_device` in
``tests/conftest.py`` calls functions there. It needs a function of torch that is not
public; without it the tests are skipped.

What it does not show:

- How long anything takes, and what waits for a kernel: nothing runs beside the host.
- Errors in kernels of real devices, and mixed precision, compiled code or fused
  optimizers on them. torch's optimizers take their slow path.
- ``.data = ...``, ``resize_`` and ``set_``, which change a tensor under its wrapper:
  the first is not seen, the others are refused.
- Files: tensors of a subclass are refused by `sknoisy.persistence`.
- Tied weights, which ``Module.to`` of torch separates for such a backend.
- A number on the host (a tensor of no dimensions) may be used with any operation; CUDA
  refuses it in some, such as a matrix product.
"""

import concurrent.futures
import linecache
import multiprocessing
import os
import sys
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils._pytree import tree_leaves, tree_map_only

import sknoisy

try:
    from torch.utils.backend_registration import (
        _setup_privateuseone_for_python_backend as set_up,
    )
except ImportError:  # pragma: no cover
    set_up = None

NAME = "other"
MISSING = (
    "torch has no _setup_privateuseone_for_python_backend here: the device path was "
    "NOT tested"
)
PACKAGE = str(Path(sknoisy.__file__).parent) + os.sep
aten = torch.ops.aten
# What makes a tensor from none; torch builds all others from these.
_FACTORIES = (
    aten.empty.memory_format,
    aten.empty_strided.default,
    aten.arange.default,
    aten.arange.start,
    aten.arange.start_step,
    aten.linspace.default,
    aten.randperm.default,
    aten.eye.default,
    aten.eye.m,
    aten.scalar_tensor.default,
)
# The size of the result, or a check, depends on values.
_WAITING = (aten.bincount.default, aten.repeat_interleave.Tensor)
_INDEXING = (
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
)


class Crossing(NamedTuple):
    """What passed between host and device, or made the host wait."""

    # "up" or "down"; "wait" if only a size came down; "unpinned" for a copy up that the
    # host does not wait for, although its memory may change meanwhile.
    kind: str
    # The innermost line of the package.
    line: str
    in_step: bool


crossings: list[Crossing] = []


def note(kind):
    """Count that something crosses now."""
    if threading.current_thread() is not threading.main_thread():
        crossings.append(Crossing(kind, "a backward pass", True))
        return
    frame, place, in_step = sys._getframe(1), None, False
    while frame is not None:
        code = frame.f_code
        if place is None and code.co_filename.startswith(PACKAGE):
            place = code.co_filename, frame.f_lineno
        in_step = in_step or code.co_name == "train_step"
        frame = frame.f_back
    line = "outside of the package"
    if place is not None:
        path, number = place
        text = linecache.getline(path, number).strip()
        line = f"{path.removeprefix(PACKAGE)}:{number} {text}"
    crossings.append(Crossing(kind, line, in_step))


# The state of the device's generator; None while it shares the one of the CPU.
generator = {"state": None}
lacks_float64: list[bool] = []


class OtherTensor(torch.Tensor):
    """A tensor of the other device, around one of the CPU."""

    @staticmethod
    def __new__(cls, inside):
        """Wrap a tensor of the CPU."""
        if inside.dtype == torch.float64 and lacks_float64:
            raise TypeError(f"{NAME} has no float64")
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            inside.shape,
            strides=inside.stride(),
            storage_offset=inside.storage_offset(),
            dtype=inside.dtype,
            device=f"{NAME}:0",
        )
        tensor.inside = inside
        return tensor

    def __repr__(self, **kwargs):
        """Tell the values, uncounted."""
        return f"OtherTensor({self.inside})"

    def tolist(self):
        """Copy to the host, as the method of torch does for other devices."""
        return self.cpu().tolist()

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        """Compute an operation on the CPU, as the device would."""
        kwargs = dict(kwargs or {})
        if operation is aten.copy_.default:
            return _copied(*args, **kwargs)
        goal = kwargs.pop("device", None)
        to_host = goal is not None and torch.device(goal).type == "cpu"
        if operation is aten._to_copy.default:
            if to_host:
                note("down")
        else:
            _refuse_mixes(operation, args, kwargs)
            _note_crossings(operation, args)
        on_cpu, named = _inside((args, kwargs))
        with _own_generator(operation):
            outputs = operation(*on_cpu, **named)
        if operation._schema.is_mutable:
            return _changed(operation, args, kwargs, outputs)
        return outputs if to_host else _wrapped(outputs)


def _inside(tree):
    return tree_map_only(OtherTensor, lambda tensor: tensor.inside, tree)


def _wrapped(tree):
    return tree_map_only(torch.Tensor, OtherTensor, tree)


def _changed(operation, args, kwargs, outputs):
    """Return the arguments that an operation has changed and returns."""
    given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, OtherTensor)]
    if any(tensor.inside.shape != tensor.shape for tensor in given):
        raise NotImplementedError(f"{operation} on the other device")
    by_inside = {id(tensor.inside): tensor for tensor in given}

    def outside(tensor):
        return by_inside[id(tensor)] if id(tensor) in by_inside else OtherTensor(tensor)

    return tree_map_only(torch.Tensor, outside, outputs)


def _refuse_mixes(operation, args, kwargs):
    """Raise if an operation takes tensors of both devices, or the host's generator."""
    if operation in _INDEXING:  # the host's indices are copied to the device
        args = args[0], args[2:]
    for leaf in tree_leaves((args, kwargs)):
        if isinstance(leaf, torch.Generator):
            raise RuntimeError(f"{operation} got a generator of cpu on {NAME}")
        is_tensor = isinstance(leaf, torch.Tensor) and leaf.ndim
        if is_tensor and not isinstance(leaf, OtherTensor):
            raise RuntimeError(
                f"Expected all tensors to be on the same device: {operation} got "
                f"tensors of {NAME} and of cpu"
            )


def _note_crossings(operation, args):
    """Count what an operation copies from the host, and what the host waits for."""
    if operation in _INDEXING:
        for index in args[1]:
            if isinstance(index, OtherTensor):
                if index.dtype in (torch.bool, torch.uint8):
                    note("wait")
            elif index is not None:
                note("up")
    elif torch.Tag.data_dependent_output in operation.tags:
        note("down")
    elif torch.Tag.dynamic_output_shape in operation.tags:
        note("wait")
    elif operation in _WAITING:
        note("wait")


def _copied(goal, source, non_blocking=False):
    """Copy values into a tensor, where one of both is on the other device."""
    if not isinstance(goal, OtherTensor):
        note("down")
        return goal.copy_(source.inside)
    if isinstance(source, OtherTensor):
        source = source.inside
    else:
        note("unpinned" if non_blocking and not source.is_pinned() else "up")
    goal.inside.copy_(source)
    return goal


@contextmanager
def _own_generator(operation):
    """Draw from the device's generator, if it does not share the CPU's."""
    draws = torch.Tag.nondeterministic_seeded in operation.tags
    if generator["state"] is None or not draws:
        yield
        return
    before = torch.default_generator.get_state()
    torch.default_generator.set_state(generator["state"])
    try:
        yield
    finally:
        generator["state"] = torch.default_generator.get_state()
        torch.default_generator.set_state(before)


class DeviceModule:
    """``torch.other``, as far as torch and this package call it."""

    @staticmethod
    def is_available():
        """Tell that there is the device."""
        return True

    is_initialized = is_available

    @staticmethod
    def device_count():
        """Tell that it is one."""
        return 1

    @staticmethod
    def current_device():
        """Return its number."""
        return 0

    @staticmethod
    def get_amp_supported_dtype():
        """Return the types of mixed precision, which computes as without it here."""
        return [torch.bfloat16, torch.float16]

    @staticmethod
    def _is_in_bad_fork():
        return False

    @staticmethod
    def get_rng_state(device=None):
        """Return the state of the device's generator."""
        if generator["state"] is None:
            return torch.empty(0, dtype=torch.uint8)
        return generator["state"].clone()

    @staticmethod
    def set_rng_state(state, device=None):
        """Restore the device's generator; one that is shared stays so."""
        if generator["state"] is not None:
            generator["state"] = state.clone()

    @staticmethod
    def manual_seed(seed):
        """Seed the device's generator."""
        if generator["state"] is not None:
            # Other numbers than the CPU's of the same seed.
            generator["state"] = torch.Generator().manual_seed(seed ^ 1).get_state()

    manual_seed_all = manual_seed


_libraries = []


def register():
    """Register the device; once in a process, before its first backward pass."""
    set_up(NAME, backend_module=DeviceModule())
    library = torch.library.Library("aten", "IMPL")
    for factory in _FACTORIES:
        library.impl(factory, _maker(factory), "PrivateUse1")
    library.impl(aten._copy_from.default, _copied_from, "PrivateUse1")
    _libraries.append(library)  # what is registered goes with it


def _copied_from(source, goal, non_blocking=False):
    return _copied(goal, source, non_blocking)


def _maker(factory):
    def make(*args, device=None, pin_memory=None, generator=None, **kwargs):
        if generator is not None:
            raise RuntimeError(f"{factory} needs a generator of {NAME}")
        with _own_generator(factory):
            return OtherTensor(factory(*args, **kwargs, device="cpu"))

    return make


@contextmanager
def own_generator(seed=0):
    """Give the device a generator of its own, as real devices have."""
    generator["state"] = torch.Generator().manual_seed(seed).get_state()
    try:
        yield
    finally:
        generator["state"] = None


@contextmanager
def without_float64():
    """Make the device one that has no float64, as MPS."""
    lacks_float64.append(True)
    try:
        yield
    finally:
        lacks_float64.pop()


@contextmanager
def counted():
    """Yield a list, which has what crossed in this block at its end."""
    found, before = [], len(crossings)
    try:
        yield found
    finally:
        found += crossings[before:]


def _begin():
    torch.set_num_threads(1)
    register()


def _call(function, args, kwargs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(*args, **kwargs)
    return result, [warning.message for warning in caught]


class OtherProcess:
    """A process with the device, which calls functions of modules."""

    def __init__(self):
        context = multiprocessing.get_context("spawn")
        self.pool = concurrent.futures.ProcessPoolExecutor(
            1, mp_context=context, initializer=_begin
        )

    def __call__(self, function, *args, **kwargs):
        """Return what the function returns there; raise and warn as it does."""
        result, warned = self.pool.submit(_call, function, args, kwargs).result()
        for message in warned:
            warnings.warn(message, stacklevel=2)
        return result

    def close(self):
        """End the process."""
        self.pool.shutdown()
