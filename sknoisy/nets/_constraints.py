"""Constraints on the parameters of a net."""

from numbers import Integral, Real
from os import PathLike
from typing import Any

import torch
from torch import nn

from sknoisy._parameters import MakerOf
from sknoisy._validation import Interval, Options, StrOptions

__all__ = ["NET_CONSTRAINTS"]

NET_CONSTRAINTS: dict[str, list[Any]] = {
    "module": [MakerOf(nn.Module, "torch.nn.Module"), None],
    "criterion": [MakerOf(nn.Module, "torch.nn.Module", callables=True)],
    "optimizer": [
        MakerOf(torch.optim.Optimizer, "torch.optim.Optimizer", instances=False)
    ],
    "masking": [MakerOf(nn.Module, "torch.nn.Module"), None],
    "iterator_train": [callable],
    "iterator_valid": [callable],
    "dataset": [callable],
    "train_split": [callable, None],
    "predict_nonlinearity": [StrOptions({"auto"}), callable, None],
    "use_caching": [StrOptions({"auto"}), "boolean"],
    "torch_load_kwargs": [dict, None],
    "classes": ["array-like", None],
    "device": [str, torch.device, None],
    "lr": [Interval(Real, 0, None, closed="left")],
    "max_epochs": [Interval(Integral, 0, None, closed="left")],
    "batch_size": [
        Interval(Integral, 1, None, closed="left"),
        Options(Integral, {-1}),
    ],
    "lr_schedule": [
        StrOptions({"cosine"}),
        Interval(Real, 0, 1, closed="right"),
        callable,
        None,
    ],
    "augment": [StrOptions({"auto"}), callable, None],
    "amp": [StrOptions({"auto"}), "boolean"],
    "memory_format": [StrOptions({"auto", "contiguous", "channels_last"})],
    "checkpoint": [str, PathLike, None],
    "settings": [StrOptions({"auto"}), list, tuple, None],
    "random_state": ["random_state"],
    "callbacks": [list, StrOptions({"disable"}), None],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "compile": ["boolean"],
    "distributed": ["boolean"],
}
