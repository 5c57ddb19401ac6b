"""What a call must leave as it was: the data it was given, and everything global."""

import os
import random
import signal
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
import sklearn
import torch
from sklearn.base import BaseEstimator


def fingerprint(value):
    """Return something that differs if the value was changed in place."""
    if isinstance(value, torch.Tensor):
        flags = (value.requires_grad, value.grad is None, str(value.dtype))
        if value.layout != torch.strided:
            return flags, str(value)
        return flags, tuple(value.shape), value.detach().double().numpy().tobytes()
    if isinstance(value, np.ndarray):
        return _of_array(value)
    if isinstance(value, pd.DataFrame):
        columns = [fingerprint(value.iloc[:, i]) for i in range(value.shape[1])]
        return list(map(repr, value.columns)), columns
    if isinstance(value, pd.Series | pd.Index):
        index = repr(list(value.index)) if isinstance(value, pd.Series) else ""
        return str(value.dtype), repr(value.name), index, repr(value.tolist())
    if isinstance(value, pl.DataFrame | pl.Series):
        return repr(value.to_dict() if isinstance(value, pl.DataFrame) else None), (
            str(getattr(value, "dtype", "")),
            value.hash_rows().to_list()
            if isinstance(value, pl.DataFrame)
            else value.to_list(),
        )
    if sp.issparse(value):
        return value.format, str(value.dtype), value.toarray().tobytes()
    if isinstance(value, BaseEstimator):
        return _of_estimator(value)
    if isinstance(value, list | tuple | dict):
        return repr(value)
    return id(value)


def _of_array(array):
    facts = (str(array.dtype), array.shape, array.strides, array.flags.writeable)
    if array.dtype.hasobject:
        return facts, repr(array.tolist())
    return facts, array.tobytes()


def _of_estimator(estimator):
    """Return the parameters, and whether what the user handed in was fitted."""
    parameters = estimator.get_params(deep=False)
    return [
        (name, repr(value), sorted(vars(value)) if _is_part(value) else None)
        for name, value in sorted(parameters.items())
    ]


def _is_part(value):
    return isinstance(value, BaseEstimator)


def _numpy_state():
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    return kind, keys.tobytes(), position, has_gauss, gauss


def _files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def snapshot():
    """Return everything global that a call must not move, by name."""
    cwd = Path.cwd()
    return {
        "numpy's global generator": _numpy_state(),
        "torch's global generator": torch.get_rng_state().numpy().tobytes(),
        "random's global generator": random.getstate(),
        "warnings.filters": tuple(map(repr, warnings.filters)),
        "warnings.showwarning": warnings.showwarning,
        "torch threads": torch.get_num_threads(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's grad mode": torch.is_grad_enabled(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "torch's default device": str(torch.empty(0).device),
        "scikit-learn's configuration": sklearn.get_config(),
        "os.environ": dict(os.environ),
        "the working folder": str(cwd),
        "files in the working folder": _files(cwd),
        "numpy's error state": np.geterr(),
        "handler of Ctrl-C": signal.getsignal(signal.SIGINT),
        "number of threads": threading.active_count(),
    }


def moved(before, after):
    """Name what differs between two snapshots."""
    return [name for name in before if before[name] != after[name]]
