"""Kinds of devices: what is asked of each, with stand-ins for those that are absent."""

import ast
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import sknoisy
from sknoisy import NetClassifier
from sknoisy.nets import ArrayDataset, LoaderBatches
from sknoisy.nets._device import isolated_rng, resolve_device, seed_torch
from sknoisy.nets._device_kinds import (
    KINDS_OF_AUTOCAST,
    half_precision,
    has_fused_optimizers,
    is_missing,
    mixed_precision,
    pins_memory,
    stored_device,
)

CPU, CUDA, MPS, XPU = map(torch.device, ("cpu", "cuda:1", "mps", "xpu:0"))
FILES = Path(sknoisy.__file__).parent


def names_kinds(path):
    """Return the lines of a file that name a kind of device other than the CPU."""
    kinds = {"cuda", "mps", "xpu", "hpu"}
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Constant) and node.value in kinds)
        or (isinstance(node, ast.Attribute) and node.attr in kinds)
    ]


def test_one_file_asks_for_kinds():
    found = {path.name for path in FILES.rglob("*.py") if names_kinds(path)}
    assert found == {"_device_kinds.py"}


@pytest.fixture
def cuda(monkeypatch):
    """Stand in for a card of CUDA: new, old (it emulates bfloat16) or absent."""
    asked = []

    def install(kind):
        @contextmanager
        def device(place):
            asked.append(place)
            yield

        def is_bf16_supported(including_emulation=True):
            return kind == "new" or including_emulation

        monkeypatch.setattr(torch.cuda, "is_available", lambda: kind != "absent")
        monkeypatch.setattr(torch.cuda, "device", device)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
        return asked

    return install


class TestPrecision:
    def test_auto_is_bfloat16_only_where_the_card_computes_in_it(self, cuda):
        asked = cuda("new")
        assert mixed_precision(CUDA, "auto") is torch.bfloat16
        assert asked == [CUDA]
        cuda("old")
        assert mixed_precision(CUDA, "auto") is None
        assert mixed_precision(CUDA, True) is torch.bfloat16
        assert mixed_precision(CUDA, False) is None

    @pytest.mark.parametrize("device", [CPU, MPS, XPU])
    def test_auto_is_float32_on_other_kinds(self, device):
        assert mixed_precision(device, "auto") is None
        assert half_precision(device, "auto") is None
        assert mixed_precision(device, True) is torch.bfloat16
        assert half_precision(device, True) is torch.bfloat16

    def test_a_net_asks_for_its_own_device(self, cuda):
        asked = cuda("new")
        net = NetClassifier(device="cuda:1")
        net.device_ = resolve_device(net.device)
        with net._autocast() as entered:
            assert torch.get_autocast_dtype("cuda") is torch.bfloat16
            assert torch.is_autocast_enabled("cuda"), entered
        assert asked == [CUDA]

    def test_encoders_take_float16_on_a_card(self):
        assert half_precision(CUDA, "auto") is half_precision(CUDA, True)
        assert half_precision(CUDA, True) is torch.float16
        assert half_precision(CUDA, False) is None


class TestPlaces:
    def test_none_is_a_card_if_there_is_one(self, cuda):
        cuda("new")
        assert resolve_device(None) == torch.device("cuda")
        cuda("absent")
        assert resolve_device(None) == CPU

    def test_a_card_that_is_absent_is_missing(self, cuda):
        cuda("absent")
        assert is_missing(CUDA) and not is_missing(CPU)
        with pytest.raises(ValueError, match="torch finds no CUDA device"):
            resolve_device("cuda:1")
        cuda("new")
        assert not is_missing(CUDA)

    def test_what_was_stored_goes_to_the_card_or_to_the_cpu(self, cuda):
        cuda("new")
        assert stored_device(CUDA) == torch.device("cuda")
        assert stored_device(MPS) == stored_device(CPU) == CPU
        cuda("absent")
        assert stored_device(CUDA) == CPU


def test_fused_optimizers_and_pinned_memory():
    assert [has_fused_optimizers(d) for d in (CPU, CUDA, MPS)] == [True, True, False]
    assert [pins_memory(d) for d in (CPU, CUDA, MPS)] == [False, True, False]
    data = ArrayDataset(np.zeros((4, 2), np.float32), np.zeros(4, np.int64))
    for device in ("cpu", "cuda"):
        loader = LoaderBatches(data, device=device).loader
        assert loader.pin_memory == (device == "cuda")
    assert not LoaderBatches(data, device="cuda", pin_memory=False).loader.pin_memory


class Module(SimpleNamespace):
    """The functions of ``torch.xpu`` for random numbers, and which device they got."""

    def __init__(self):
        super().__init__(state=torch.tensor([7]), seeds=[], asked=[], current=None)

    def get_rng_state(self, device):
        self.asked.append(device)
        return self.state.clone()

    def set_rng_state(self, state, device):
        self.asked.append(device)
        self.state = state

    def manual_seed(self, seed):
        self.seeds.append((seed, self.current))
        self.state = torch.tensor([seed % 1000])

    @contextmanager
    def device(self, device):
        self.current = device
        yield
        self.current = None


class OnlyOne:
    """The functions of ``torch.mps``: they take no device, and none is entered."""

    def __init__(self):
        self.state, self.seeds = torch.tensor([7]), []

    def get_rng_state(self):
        return self.state.clone()

    def set_rng_state(self, state):
        self.state = state

    def manual_seed(self, seed):
        self.seeds.append((seed, None))
        self.state = torch.tensor([seed % 1000])


class TestGenerators:
    @pytest.mark.parametrize(
        ("device", "module"), [(CUDA, Module), (XPU, Module), (MPS, OnlyOne)]
    )
    def test_that_of_the_device_is_seeded_and_restored(
        self, monkeypatch, device, module
    ):
        module = module()
        before = torch.random.get_rng_state()
        monkeypatch.setattr(torch, device.type, module)
        with pytest.raises(ZeroDivisionError):
            with isolated_rng(device):
                seed_torch(device, 0, 1)
                drawn = torch.rand(1)
                assert module.state != 7
                raise ZeroDivisionError
        assert module.state == 7
        assert torch.equal(torch.random.get_rng_state(), before)
        ((seed, place),) = module.seeds
        assert place == (device if isinstance(module, Module) else None)
        assert set(getattr(module, "asked", [device])) == {device}
        assert torch.rand(1, generator=torch.Generator().manual_seed(seed)) == drawn

    def test_a_kind_without_one_is_left_alone(self):
        with isolated_rng(torch.device("hpu")):
            seed_torch(torch.device("hpu"), 0)


@pytest.mark.parametrize("kind", KINDS_OF_AUTOCAST)
def test_mixed_precision_of_the_user_is_off_in_a_net(kind):
    before = torch.is_autocast_enabled(kind)
    torch.set_autocast_enabled(kind, True)
    try:
        with isolated_rng(CPU):
            assert not torch.is_autocast_enabled(kind)
        assert torch.is_autocast_enabled(kind)
    finally:
        torch.set_autocast_enabled(kind, before)
