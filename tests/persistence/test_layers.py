"""Layers of torch in a file: what they say of their sizes fits their weights."""

import copy

import numpy as np
import pytest
import torch
from sealed_files import same, seal, unpack
from sklearn.base import BaseEstimator
from torch import nn

from sknoisy import load, save
from sknoisy.persistence._allowed import is_allowed
from sknoisy.persistence._layers import check_layer

# Arguments of each layer that a file may name, and the shape of what it takes.
LAYERS = {
    "AdaptiveAvgPool1d": ((2,), (2, 3, 8)),
    "AdaptiveAvgPool2d": ((2,), (2, 3, 8, 8)),
    "AdaptiveAvgPool3d": ((2,), (2, 3, 4, 4, 4)),
    "AdaptiveMaxPool1d": ((2,), (2, 3, 8)),
    "AdaptiveMaxPool2d": ((2,), (2, 3, 8, 8)),
    "AlphaDropout": ((0.2,), (2, 3)),
    "AvgPool1d": ((2,), (2, 3, 8)),
    "AvgPool2d": ((2,), (2, 3, 8, 8)),
    "AvgPool3d": ((2,), (2, 3, 4, 4, 4)),
    "BCELoss": ((), None),
    "BCEWithLogitsLoss": ((), None),
    "BatchNorm1d": ((3,), (2, 3)),
    "BatchNorm2d": ((3,), (2, 3, 8, 8)),
    "BatchNorm3d": ((3,), (2, 3, 4, 4, 4)),
    "CELU": ((), (2, 3)),
    "Conv1d": ((3, 4, 3), (2, 3, 8)),
    "Conv2d": ((4, 4, 3, 1, "same", 1, 2), (2, 4, 8, 8)),
    "Conv3d": ((3, 4, 3, 1, 1), (2, 3, 4, 4, 4)),
    "ConvTranspose1d": ((3, 4, 3), (2, 3, 8)),
    "ConvTranspose2d": ((3, 4, 3, 2, 1), (2, 3, 8, 8)),
    "ConvTranspose3d": ((3, 4, 3), (2, 3, 4, 4, 4)),
    "CrossEntropyLoss": ((torch.ones(3),), None),
    "Dropout": ((0.2,), (2, 3)),
    "Dropout1d": ((0.2,), (2, 3, 8)),
    "Dropout2d": ((0.2,), (2, 3, 8, 8)),
    "Dropout3d": ((0.2,), (2, 3, 4, 4, 4)),
    "ELU": ((), (2, 3)),
    "Embedding": ((5, 2, 1), "index"),
    "Flatten": ((), (2, 3, 8)),
    "GELU": ((), (2, 3)),
    "GLU": ((), (2, 4)),
    "GroupNorm": ((2, 4), (2, 4, 8)),
    "Hardsigmoid": ((), (2, 3)),
    "Hardswish": ((), (2, 3)),
    "Hardtanh": ((), (2, 3)),
    "HuberLoss": ((), None),
    "Identity": ((), (2, 3)),
    "InstanceNorm1d": ((3, 1e-5, 0.1, True, True), (2, 3, 8)),
    "InstanceNorm2d": ((3,), (2, 3, 8, 8)),
    "KLDivLoss": ((), None),
    "L1Loss": ((), None),
    "LayerNorm": (([3, 8],), (2, 3, 8)),
    "LeakyReLU": ((0.2,), (2, 3)),
    "Linear": ((3, 4), (2, 3)),
    "LogSigmoid": ((), (2, 3)),
    "LogSoftmax": ((1,), (2, 3)),
    "MSELoss": ((), None),
    "MaxPool1d": ((2,), (2, 3, 8)),
    "MaxPool2d": ((2, 2, 1), (2, 3, 8, 8)),
    "MaxPool3d": ((2,), (2, 3, 4, 4, 4)),
    "Mish": ((), (2, 3)),
    "ModuleDict": (({"a": nn.Linear(3, 2)},), None),
    "ModuleList": (([nn.Linear(3, 2)],), None),
    "NLLLoss": ((), None),
    "PReLU": ((3,), (2, 3)),
    "RMSNorm": ((3,), (2, 3)),
    "ReLU": ((True,), (2, 3)),
    "ReLU6": ((), (2, 3)),
    "SELU": ((), (2, 3)),
    "Sequential": ((nn.Linear(3, 2), nn.ReLU()), (2, 3)),
    "SiLU": ((), (2, 3)),
    "Sigmoid": ((), (2, 3)),
    "SmoothL1Loss": ((), None),
    "Softmax": ((1,), (2, 3)),
    "Softplus": ((), (2, 3)),
    "Softsign": ((), (2, 3)),
    "Tanh": ((), (2, 3)),
    "Tanhshrink": ((), (2, 3)),
    "Unflatten": ((1, (3, 1)), (2, 3)),
    "Upsample": ((None, 2.0), (2, 3, 8, 8)),
    "ZeroPad2d": ((1,), (2, 3, 8, 8)),
}


class Holder(BaseEstimator):
    def __init__(self, value=None):
        self.value = value


def make(name):
    return getattr(nn, name)(*LAYERS[name][0])


def test_each_layer_that_a_file_may_name_is_here():
    allowed = {n for n in dir(nn) if is_allowed(f"torch.nn.{n}")}
    assert allowed == set(LAYERS)


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_comes_back_and_others_do_not(name, tmp_path):
    layer = make(name)
    before = torch.random.get_rng_state()
    save(Holder(layer), tmp_path / "file")
    again = load(tmp_path / "file", known=[Holder]).value
    assert torch.equal(torch.random.get_rng_state(), before)
    assert same(again, layer)
    assert check_layer(layer.eval()) == {}
    for attribute in set(vars(layer)) - set(vars(nn.Module())):
        lie = copy.deepcopy(layer)
        vars(lie)[attribute] = torch.ones(2)
        with pytest.raises(
            ValueError, match=f"{name} cannot be built|differs from what|do not match"
        ):
            check_layer(lie)
    for weight, tensor in [*layer.named_parameters(), *layer.named_buffers()]:
        if "." in weight or tensor.ndim == 0 or name.endswith("Loss"):
            continue
        lie = copy.deepcopy(layer)
        setattr(
            lie,
            weight,
            type(tensor)(tensor.detach().repeat(2, *[1] * (tensor.ndim - 1))),
        )
        with pytest.raises(
            ValueError, match=f"sizes of {name} do not|Shape of weight does"
        ):
            check_layer(lie)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Linear", {"in_features": 4}),
        ("Linear", {"out_features": -1}),
        ("Conv2d", {"groups": 1}),
        ("Conv2d", {"groups": 0}),
        ("Conv2d", {"kernel_size": (5, 5)}),
        ("Conv2d", {"padding_mode": "none"}),
        ("Conv2d", {"transposed": True}),
        ("Conv2d", {"_reversed_padding_repeated_twice": [10**6] * 4}),
        ("BatchNorm2d", {"num_features": 4}),
        ("BatchNorm2d", {"affine": False}),
        ("BatchNorm2d", {"track_running_stats": False}),
        ("Embedding", {"num_embeddings": 10**6}),
        ("Embedding", {"padding_idx": 99}),
        ("LayerNorm", {"normalized_shape": (24,)}),
        ("GroupNorm", {"num_groups": 3}),
        ("PReLU", {"num_parameters": 1}),
    ],
)
def test_sizes_are_compared_with_the_weights(name, values):
    layer = make(name)
    vars(layer).update(values)
    with pytest.raises(
        ValueError, match=f"{name} cannot be built|{name}.* not match|differs|names"
    ):
        check_layer(layer)


def test_parts_and_attributes_that_a_layer_has_not():
    layer = nn.Linear(2, 2)
    layer.more = 1
    with pytest.raises(ValueError, match="Linear has no attribute 'more'"):
        check_layer(layer)
    layer = nn.Linear(2, 2)
    layer.part = nn.ReLU()
    with pytest.raises(ValueError, match="Linear must not have submodules"):
        check_layer(layer)
    layer = nn.Linear(2, 2)
    layer.register_buffer("more", torch.ones(1))
    with pytest.raises(ValueError, match="weights of Linear have other names"):
        check_layer(layer)


def test_an_attribute_of_a_later_torch_is_added():
    layer = nn.Conv2d(2, 2, 1)
    del layer.padding_mode
    assert check_layer(layer) == {"padding_mode": "zeros"}


def test_what_save_cannot_check_it_refuses(tmp_path):
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.ones(2, 5))
    with pytest.raises(
        ValueError, match=r"could not be checked on loading.*sizes of Linear do not"
    ):
        save(Holder(layer), tmp_path / "file")


def test_other_layers_are_for_the_caller_to_name(tmp_path):
    layer = nn.Bilinear(2, 3, 4)
    save(Holder(layer), tmp_path / "file")
    with pytest.raises(
        ValueError, match=r"names torch.nn.Bilinear; .*known=\[Bilinear"
    ):
        load(tmp_path / "file", known=[Holder])
    assert same(load(tmp_path / "file", known=[Holder, nn.Bilinear]).value, layer)
    for name in (
        "nn.LSTM",
        "nn.MultiheadAttention",
        "optim.SparseAdam",
        "nn.functional",
    ):
        assert not is_allowed(f"torch.{name}")
    for name in ("numpy.void", "numpy.load", "torchvision.ops.DeformConv2d"):
        assert not is_allowed(name)


@pytest.mark.parametrize(
    "name",
    [
        *("_compiled_call_impl", "_forward_hooks", "_backward_hooks", "_modules"),
        *("_forward_pre_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks"),
        *("call_super_init", "dump_patches", "_version", "_is_full_backward_hook"),
    ],
)
def test_what_torch_calls_or_keeps_cannot_be_set(name, tmp_path):
    save(Holder(nn.Sequential(nn.ReLU())), tmp_path / "file")
    manifest, arrays = unpack((tmp_path / "file").read_bytes())
    manifest["names"].append("builtins.print")
    for place, value in (
        ("attributes", {"type": "name", "name": "builtins.print"}),
        ("buffers", None),
    ):
        lie = copy.deepcopy(manifest)
        lie["objects"][0][place][name] = value
        (tmp_path / "file").write_bytes(seal(lie, arrays))
        with pytest.raises(ValueError, match=r"reserved by torch|an invalid name"):
            load(tmp_path / "file", known=[Holder])


def test_training_is_a_bool_and_so_are_bools(tmp_path):
    save(Holder([nn.ReLU(), torch.tensor([True])]), tmp_path / "file")
    manifest, arrays = unpack((tmp_path / "file").read_bytes())
    lie = {name: np.array([7], np.uint8).view(bool) for name in arrays}
    (tmp_path / "file").write_bytes(seal(manifest, lie))
    with pytest.raises(ValueError, match="a byte of a bool array is neither 0 nor 1"):
        load(tmp_path / "file", known=[Holder])
    manifest["objects"][0]["attributes"]["training"] = 3
    (tmp_path / "file").write_bytes(seal(manifest, arrays))
    with pytest.raises(ValueError, match="training must be a bool"):
        load(tmp_path / "file", known=[Holder])


def test_a_module_that_compiles_itself_is_stored_as_it_was(tmp_path):
    layer = nn.Sequential(nn.Linear(2, 2))
    layer._compiled_call_impl = layer._call_impl
    save(Holder(layer), tmp_path / "file")
    again = load(tmp_path / "file", known=[Holder]).value
    assert "_compiled_call_impl" not in vars(again)
