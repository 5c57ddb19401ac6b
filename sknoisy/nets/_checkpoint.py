"""The state of an unfinished training, in a file."""

import hashlib
import json
import os
import pickle
import re
import zlib
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Number

import numpy as np
import torch
from skorch.callbacks import EarlyStopping, LRScheduler
from torch import nn

from sknoisy._regular_files import (
    check_replaceable,
    open_regular,
    written_in_one_step,
)
from sknoisy._versions import differing_versions, installed_versions
from sknoisy._warning import warn_user

__all__ = [
    "as_before",
    "load_training",
    "save_training",
    "training_facts",
    "training_key",
]

# A file begins with this line and a line with the SHA-256 of the rest.
_FIRST_LINE = b"sknoisy training, format 2\n"
_DIGEST_SIZE = 2 * hashlib.sha256().digest_size
# The first byte of a pickle, and of the files of 0.1.0.
_PICKLE = b"\x80"
_CHUNK = 1 << 20
_OLD = (
    "was written by sknoisy 0.1.0 without a checksum: damage to it would go unnoticed"
)
_OTHER = (
    "was written with {}: the weights may differ from those of a training without a "
    "break"
)
# Parameters that may differ between the stopped run and the resumed one.
_FREE = {"checkpoint", "verbose", "device", "warm_start", "random_state", "classes"}
_FREE |= {"distributed"}
# Determined by the current data.
_OF_DATA = {
    "classes_inferred_",
    "feature_names_in_",
    "input_shape_",
    "n_features_in_",
    "rows_fitted_",
}


def training_key(net, dataset, weights, targets):
    """Return what must be the same for resuming: data, method, parameters.

    Parameters
    ----------
    net : NetClassifier
        Knows its data.
    dataset : ArrayDataset
        The rows of a torch Dataset are not compared, since it may draw them at random;
        of a row source its ``fingerprint`` is.
    weights : ndarray of shape (n_samples,) or None
    targets : ndarray of shape (n_samples, n_classes) or None

    Returns
    -------
    key : dict of str to plain values

    Raises
    ------
    ValueError
        If the checkpoint cannot be a file.
    """
    check_replaceable(net.checkpoint, "checkpoint")
    return training_facts(net, dataset, weights, targets)


def training_facts(net, dataset, weights, targets):
    """Return what determines a training, see `training_key`."""
    n_rows, labels = net.rows_fitted_
    rows = dataset.features
    facts = {
        "class": type(net).__name__,
        "number of rows": n_rows,
        "shape of a row": net.input_shape_,
        "classes": net.classes_.tolist(),
        "checksum of y": labels,
        "checksum of X": None if dataset.on_disk else _checksum(rows),
        "rows on disk": _plain(getattr(rows, "fingerprint", None)),
        "checksum of sample_weight": None if weights is None else _checksum(weights),
        "random_state": _seed(net.random_state),
        "learning-rate schedulers": _schedulers(net),
    }
    if targets is not None:
        # Files written before there were any do not have it.
        facts["checksum of soft_targets"] = _checksum(targets)
    params = {
        name: _plain(value)
        for name, value in net.get_params(deep=False).items()
        if name not in _FREE and not name.startswith("callbacks")
    }
    return {**facts, **params}


def save_training(net, path):
    """Store a net in the middle of its training.

    The file is replaced atomically: a run that is killed while writing leaves the
    previous file.

    Parameters
    ----------
    net : NetClassifier
    path : str or path-like

    Raises
    ------
    ValueError
        If a part of the net or a callback cannot be pickled.
    """
    try:
        with written_in_one_step(path) as draft, open(draft, "wb") as file:
            _write(_content(net), file)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"checkpoint {os.fspath(path)!r} cannot be written ({error}): modules, "
            "criteria and what callbacks learn must be picklable. Define classes at "
            "the top level of a file, and use no lambda."
        ) from error


def load_training(net, path):
    """Restore a net to the state of a stored one of the same kind.

    Parameters
    ----------
    net : NetClassifier
        With its data and its key, but not built yet. Changed in place.
    path : str or path-like

    Returns
    -------
    found : bool
        Whether the file exists.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is of another training, damaged, or not a regular file.

    Warns
    -----
    UserWarning
        If it was written with other versions of the packages.
    """
    try:
        with open_regular(path) as file:
            content, remark = _read(file)
        parts = [dict(content[name]) for name in ("key", "state", "callbacks")]
    except FileNotFoundError:
        return False
    except OSError:
        raise
    # Unpickling can fail in many ways, for example for another version.
    except Exception as error:
        raise ValueError(
            f"checkpoint {os.fspath(path)!r} cannot be read "
            f"({type(error).__name__}: {_short(error, text=str)}); delete it to start "
            "again."
        ) from error
    key, state, learnt = parts
    _refuse_other(key, net.training_key_, path)
    if remark:
        warn_user(f"checkpoint {os.fspath(path)!r} {remark}.")
    net.__setstate__({**net.__getstate__(), **state})
    net._initialize_callbacks()
    for name, callback in net.callbacks_:
        kind, values = learnt.get(name, (None, None))
        if kind == type(callback).__qualname__:
            vars(callback).update(values)
    return True


@contextmanager
def as_before(net):
    """Undo what the start of a training resets, because this one had begun before.

    Early stopping forgets its best value, and a scheduler takes a step.
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


def _write(content, file):
    """Write the digest of what follows, the versions in JSON, and the pickle."""
    file.write(_FIRST_LINE + b"0" * _DIGEST_SIZE + b"\n")
    sealed = _Sealed(file)
    sealed.write(json.dumps(installed_versions()).encode() + b"\n")
    pickle.dump(content, sealed)
    file.seek(len(_FIRST_LINE))
    file.write(sealed.digest.hexdigest().encode())


class _Sealed:
    """A file with a digest of the bytes written to it."""

    def __init__(self, file):
        self.file = file
        self.digest = hashlib.sha256()

    def write(self, data):
        """Write bytes, or an object with a buffer of bytes."""
        self.digest.update(data)
        return self.file.write(data)


def _read(file):
    """Return the content of a file, and a remark on it or None.

    It is unpickled only if its checksum is correct.
    """
    first = file.read(len(_FIRST_LINE))
    if first.startswith(_PICKLE):
        file.seek(0)
        return pickle.load(file), _OLD
    if first != _FIRST_LINE:
        raise ValueError("it is damaged, or this version of sknoisy did not write it")
    expected = file.read(_DIGEST_SIZE + 1)
    start, digest = file.tell(), hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    if expected != digest.hexdigest().encode() + b"\n":
        raise ValueError("it is damaged: its content does not match its checksum")
    file.seek(start)
    differ = differing_versions(json.loads(file.readline()))
    return pickle.load(file), _OTHER.format(differ) if differ else None


def _learnt(callback):
    """Return the learnt attributes of a callback, which end in an underscore."""
    values = callback.__getstate__()
    values = _fitted(values) if isinstance(values, dict) else {}
    if isinstance(callback, EarlyStopping):
        # skorch leaves them out of pickles.
        values["best_model_weights_"] = callback.best_model_weights_
    return {
        # A scheduler would include the optimizer, and with it the weights.
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
            "start again, or pass another."
        )


def _short(value, limit=120, text=repr):
    text = text(value)
    return text if len(text) <= limit else text[:limit] + "…"


def _seed(random_state):
    return int(random_state) if isinstance(random_state, Integral) else None


def _schedulers(net):
    """Return the callbacks that set learning rates."""
    given = net.callbacks if isinstance(net.callbacks, list) else []
    given = [item[1] if isinstance(item, tuple | list) else item for item in given]
    return [_plain(callback) for callback in given if isinstance(callback, LRScheduler)]


def _plain(value):
    """Return a picklable form of a parameter that is the same in another run."""
    if value is None or isinstance(value, Number | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, torch.Tensor):
        return _plain(value.detach().cpu().double().numpy())
    if isinstance(value, np.ndarray):
        return value.shape, _checksum(value)
    if isinstance(value, nn.Module):
        # Its repr may contain addresses of functions.
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
