"""The state of an unfinished training, in a file."""

import os
import pickle
import re
import tempfile
import zlib
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Number
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import EarlyStopping, LRScheduler
from torch import nn
from torch.utils.data import Dataset

__all__ = ["as_before", "load_training", "save_training", "training_key"]

# What may differ between the run that was stopped and the one that goes on.
_FREE = {"checkpoint", "verbose", "device", "warm_start", "random_state", "classes"}
# What the data say that are given now.
_OF_DATA = {
    "classes_inferred_",
    "feature_names_in_",
    "input_shape_",
    "n_features_in_",
    "rows_fitted_",
}


def training_key(net, dataset, weights):
    """Return what must be the same for a training to go on: data, method, parameters.

    Parameters
    ----------
    net : NetClassifier
        Knows its data.
    dataset : ArrayDataset
        The rows of a torch Dataset may be drawn anew at each look: they do not count.
    weights : ndarray of shape (n_samples,) or None

    Returns
    -------
    key : dict of str to plain values

    Raises
    ------
    ValueError
        If the checkpoint cannot be a file.
    """
    path = Path(net.checkpoint)
    if path.is_dir():
        raise ValueError(f"checkpoint {str(path)!r} is a folder; give a file in it.")
    if not path.parent.is_dir():
        raise ValueError(
            f"checkpoint {str(path)!r} cannot be written: there is no folder "
            f"{str(path.parent)!r}. Make it first."
        )
    n_rows, labels = net.rows_fitted_
    in_memory = not isinstance(dataset.features, Dataset)
    facts = {
        "class": type(net).__name__,
        "number of rows": n_rows,
        "shape of a row": net.input_shape_,
        "classes": net.classes_.tolist(),
        "checksum of y": labels,
        "checksum of X": _checksum(dataset.features) if in_memory else None,
        "checksum of sample_weight": None if weights is None else _checksum(weights),
        "random_state": _seed(net.random_state),
        "learning-rate schedulers": _schedulers(net),
    }
    params = {
        name: _plain(value)
        for name, value in net.get_params(deep=False).items()
        if name not in _FREE and not name.startswith("callbacks")
    }
    return {**facts, **params}


def save_training(net, path):
    """Store a net in the middle of its training.

    The file is replaced in one step: a run that is killed while it writes leaves the
    one before.

    Parameters
    ----------
    net : NetClassifier
    path : str or path-like

    Raises
    ------
    ValueError
        If a part of the net or a callback cannot be pickled.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            pickle.dump(_content(net), file)
        os.replace(name, path)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        Path(name).unlink(missing_ok=True)
        raise ValueError(
            f"checkpoint {str(path)!r} cannot be written ({error}): modules, criteria "
            "and what callbacks learn must be picklable. Define classes at the top "
            "level of a file, and use no lambda."
        ) from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load_training(net, path):
    """Put a net where another one of the same kind was when it was stored.

    Parameters
    ----------
    net : NetClassifier
        Knows its data and its key, but has not been built. Changed in place.
    path : str or path-like

    Returns
    -------
    found : bool
        Whether there is such a file.

    Raises
    ------
    ValueError
        If it is of another training, or cannot be read.
    """
    if not Path(path).exists():
        return False
    try:
        with open(path, "rb") as file:
            content = pickle.load(file)
        parts = [dict(content[name]) for name in ("key", "state", "callbacks")]
    except OSError:
        raise
    # Bytes that are no pickle fail in many ways.
    except Exception as error:
        raise ValueError(
            f"checkpoint {os.fspath(path)!r} cannot be read "
            f"({type(error).__name__}: {error}); delete it to start anew."
        ) from error
    key, state, learnt = parts
    _refuse_other(key, net.training_key_, path)
    net.__setstate__({**net.__getstate__(), **state})
    net._initialize_callbacks()
    for name, callback in net.callbacks_:
        kind, values = learnt.get(name, (None, None))
        if kind == type(callback).__qualname__:
            vars(callback).update(values)
    return True


@contextmanager
def as_before(net):
    """Undo what the start of a training sets anew: this one has begun before.

    Early stopping forgets what it waits for, a scheduler takes a step.
    """
    groups = [dict(group) for group in net._param_groups()]
    owners = [net, *(callback for _, callback in net.callbacks_)]
    before = [_fitted(vars(owner)) for owner in owners]
    yield
    for owner, values in zip(owners, before, strict=True):
        for name, value in values.items():
            new = vars(owner).get(name)
            if isinstance(new, torch.optim.lr_scheduler.LRScheduler):
                new.load_state_dict(value)
            else:
                vars(owner)[name] = value
    for group, values in zip(net._param_groups(), groups, strict=True):
        group.update(values)


def _content(net):
    params = net.get_params(deep=False)
    left_out = {*params, *_OF_DATA, "callbacks_"}
    state = {k: v for k, v in net.__getstate__().items() if k not in left_out}
    learnt = {
        name: (type(callback).__qualname__, _learnt(callback))
        for name, callback in net.callbacks_
    }
    return {"key": net.training_key_, "state": state, "callbacks": learnt}


def _learnt(callback):
    """Return what a callback has found out: attributes with a trailing underscore."""
    values = callback.__getstate__()
    values = _fitted(values) if isinstance(values, dict) else {}
    if isinstance(callback, EarlyStopping):
        # skorch leaves them out, for nets that are stored when trained.
        values["best_model_weights_"] = callback.best_model_weights_
    return {
        # A scheduler would take the optimizer along, and with it the weights.
        name: value.state_dict()
        if isinstance(value, torch.optim.lr_scheduler.LRScheduler)
        else value
        for name, value in values.items()
    }


def _fitted(values):
    return {name: value for name, value in values.items() if name.endswith("_")}


def _refuse_other(key, ours, path):
    for name in {**ours, **key}:
        if key.get(name) == ours.get(name):
            continue
        if name == "random_state" and ours[name] is None:
            # Any seed will do.
            continue
        raise ValueError(
            f"checkpoint {os.fspath(path)!r} is of another training: {name} was "
            f"{_short(key.get(name))}, is {_short(ours.get(name))}. Delete the file to "
            "start anew, or give another."
        )


def _short(value, limit=120):
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "…"


def _seed(random_state):
    return int(random_state) if isinstance(random_state, Integral) else None


def _schedulers(net):
    """Return the callbacks that set learning rates, which others may watch freely."""
    given = net.callbacks if isinstance(net.callbacks, list) else []
    given = [item[1] if isinstance(item, tuple | list) else item for item in given]
    return [_plain(callback) for callback in given if isinstance(callback, LRScheduler)]


def _plain(value):
    """Return what stands for a parameter, is the same in another run, and pickles."""
    if value is None or isinstance(value, Number | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, torch.Tensor):
        return _plain(value.detach().double().cpu().numpy())
    if isinstance(value, np.ndarray):
        return value.shape, _checksum(value)
    if isinstance(value, nn.Module):
        # Its text may show functions with their place in memory.
        text = re.sub(" at 0x[0-9a-f]+", "", repr(value))
        return text, _plain(list(value.state_dict().values()))
    if isinstance(value, partial):
        return tuple(map(_plain, (value.func, value.args, value.keywords)))
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if hasattr(value, "get_params"):
        return type(value).__qualname__, _plain(value.get_params(deep=False))
    plain = {
        name: entry
        for name, entry in getattr(value, "__dict__", {}).items()
        if entry is None or isinstance(entry, Number | str)
    }
    return type(value).__qualname__, plain


def _checksum(array):
    if array.dtype.hasobject:
        return zlib.crc32(repr(array.tolist()).encode())
    return zlib.crc32(np.ascontiguousarray(array))
