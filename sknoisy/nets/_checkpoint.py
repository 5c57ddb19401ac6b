"""The state of an unfinished training, in a file."""

import os
import pickle
import tempfile
from numbers import Number
from pathlib import Path

__all__ = ["load_training", "save_training"]

# What may differ between the run that was stopped and the one that goes on.
_FREE = {"checkpoint", "verbose", "device", "warm_start", "random_state"}


def save_training(net, path):
    """Store a net in the middle of its training.

    The file is replaced in one step: a run that is killed while it writes leaves the
    one before.

    Parameters
    ----------
    net : NetClassifier
    path : str or path-like
    """
    path = Path(path)
    params = net.get_params(deep=False)
    state = {
        key: value for key, value in net.__getstate__().items() if key not in params
    }
    content = {"key": _key(net), "state": state}
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            pickle.dump(content, file)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load_training(net, path):
    """Put a net where another one of the same kind was when it was stored.

    Parameters
    ----------
    net : NetClassifier
        Knows its data, but has not been built. Changed in place.
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
        key, state = content["key"], content["state"]
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise ValueError(
            f"checkpoint {os.fspath(path)!r} cannot be read ({error}); delete it to "
            "start anew."
        ) from error
    ours = _key(net)
    other = sorted(name for name in {*key, *ours} if key.get(name) != ours.get(name))
    if other:
        name = other[0]
        raise ValueError(
            f"checkpoint {os.fspath(path)!r} is of another training: {name} was "
            f"{key.get(name)!r}, is {ours.get(name)!r}. Delete the file to start anew, "
            "or give another."
        )
    before = dict(state.pop("callbacks_"))
    net.__setstate__({**net.__getstate__(), **state})
    _restore_callbacks(net, before)
    return True


def _restore_callbacks(net, before):
    """Make callbacks anew, and let them go on from what those before had learnt."""
    net._initialize_callbacks()
    for name, callback in net.callbacks_:
        old = before.get(name)
        if type(old) is type(callback):
            learnt = {k: v for k, v in vars(old).items() if k.endswith("_")}
            vars(callback).update(learnt)


def _key(net):
    """Return what must be the same: data, method and all plain parameters."""
    params = net.get_params(deep=False)
    plain = {
        name: value
        for name, value in params.items()
        if isinstance(value, Number | str | None) and name not in _FREE
    }
    facts = {
        "class": type(net).__name__,
        "rows and labels": net.rows_fitted_,
        "shape of a row": net.input_shape_,
        "classes": net.classes_.tolist(),
    }
    return {**facts, **plain}
