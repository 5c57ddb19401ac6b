"""Settings of a net: a race of its clones, and the winner's setting in its own fit.

A *setting* is a dict of parameters. It never varies what the user has set, and nothing
is written: it is in force only in the calls that train, where parts, batches and
schedule are made by it.
"""

import inspect
from contextlib import closing, contextmanager
from numbers import Integral

import numpy as np
import torch
from sklearn.base import clone
from skorch.callbacks import (
    EarlyStopping,
    GradientNormClipping,
    InputShapeSetter,
    LRScheduler,
    ParamMapper,
)
from torch.utils.data import Dataset, Subset

from sknoisy._parameters import check_parameters
from sknoisy._planting._fits import as_one_of_several, in_a_line
from sknoisy._planting._jobs import Jobs
from sknoisy._planting._rounds import tell_fit
from sknoisy._planting._settings_race import deal_parts, places, winner
from sknoisy._progress import progress
from sknoisy._random_states import random_generator
from sknoisy.base import TrainingInterrupted
from sknoisy.nets._batches import ArrayDataset
from sknoisy.nets._processes import is_first_process
from sknoisy.nets._slots import check_slots

__all__ = ["OF_CROSS_ENTROPY", "OF_ROBUST_METHODS", "settings_in_force"]

# Weak regularisation wins on tables with many classes, strong on embeddings of images.
_WEAK = {"module__dropout": 0.0, "optimizer__weight_decay": 5e-4, "lr": 0.1}
OF_CROSS_ENTROPY = (
    {
        "module__dropout": 0.5,
        "optimizer__weight_decay": 0.06,
        "lr": 0.02,
        "max_epochs": 10,
    },
    _WEAK,
)
# Robust losses and selections need networks that become confident.
OF_ROBUST_METHODS = (
    {"module__dropout": 0.5, "optimizer__weight_decay": 0.01, "lr": 0.02},
    _WEAK,
)

# Callbacks that change what a net learns: the candidates have them, too.
_LEARNING = (
    *(EarlyStopping, GradientNormClipping, InputShapeSetter, LRScheduler),
    ParamMapper,
)
# The share of the rows that a candidate learns, at most, and how many judge it.
_LARGEST_SHARE, _MOST_JUDGED = 0.5, 10_000
# What settings="auto" varies for the default optimizer alone; what none can vary.
_OF_SGD = {"lr", "optimizer__weight_decay"}
_FIXED = {"settings", "random_state", "classes", "callbacks", "checkpoint", "device"}
_FIXED |= {"distributed"}


@contextmanager
def settings_in_force(net, dataset, classes, weights, targets, fresh, fit_params):
    """Choose the setting for a new training, and use it while the net trains.

    Parameters
    ----------
    net : NetClassifier
        Gets ``settings_`` and ``candidates_`` where a new training chooses.
    dataset : ArrayDataset
        The checked rows and label codes.
    classes : ndarray of shape (n_classes,)
    weights : ndarray of shape (n_samples,) or None
        Checked weights of the rows.
    targets : ndarray of shape (n_samples, n_classes) or None
        Checked soft targets.
    fresh : bool
        Whether a new training starts; otherwise the last choice is used.
    fit_params : dict
        Further arguments of ``fit``.

    Yields
    ------
    None

    Raises
    ------
    KeyboardInterrupt
        If the race is interrupted.
    ValueError
        If ``settings`` is not a list of dicts of parameters, or does not go with
        another argument.
    """
    if fresh:
        for name in ("settings_", "candidates_"):
            vars(net).pop(name, None)
        if net.settings is not None:
            _check_settings(net, fit_params)
            found = _race(net, dataset, classes, weights, targets)
            net.settings_, net.candidates_ = found
    setting = {k: v for k, v in net.settings_.items() if _is_left(net, k)}
    own = vars(net)
    before = {name: own[name] for name in setting if name in own}
    added = setting.keys() - before.keys()
    # skorch refuses to build with names that it was not given.
    own.update(setting)
    net._params_to_validate |= added
    try:
        if setting:
            # No candidate has, if there was nothing to choose.
            check_parameters(net)
            check_slots(net)
        yield
    finally:
        own.update(before)
        for name in added:
            del own[name]
        net._params_to_validate -= added


def _check_settings(net, fit_params):
    if fit_params:
        raise ValueError(
            f"settings chooses on a part of the rows, which {', '.join(fit_params)} "
            "may not fit. Leave it out, or set settings=None."
        )
    chooses_again = net.checkpoint is not None or net.processes_ is not None
    if chooses_again and not isinstance(net.random_state, Integral):
        raise ValueError(
            "a training with settings can only be resumed, or shared by processes, if "
            "it chooses the same each time: set random_state to an int; got "
            f"{net.random_state!r}."
        )
    if net.settings == "auto":
        return
    if not all(isinstance(s, dict) for s in net.settings or [None]):
        raise ValueError(
            "settings must be None, 'auto' or a list of at least one dict of "
            f"parameters; got {net.settings!r}."
        )
    fixed = sorted({name for s in net.settings for name in s} & _FIXED)
    if fixed:
        raise ValueError(f"settings cannot vary {', '.join(fixed)}.")


def _is_left(net, name):
    """Return whether the user has left a parameter at its default."""
    if name == "max_epochs" and net.epochs_given_:
        return False
    if "__" in name:
        return name not in net._params_to_validate
    if name == "lr" and "optimizer__lr" in net._params_to_validate:
        return False
    default = inspect.signature(type(net).__init__).parameters.get(name)
    return default is None or vars(net)[name] == default.default


def _candidates(net, n_dims):
    """Return the settings to choose among, each without what it cannot vary."""
    is_auto = net.settings == "auto"
    settings = [{}, *net._race_settings] if is_auto else net.settings
    found = []
    for setting in settings:
        setting = {
            name: value
            for name, value in setting.items()
            if _is_left(net, name) and not (is_auto and _is_foreign(net, name, n_dims))
        }
        if setting not in found:
            found.append(setting)
    return found


def _is_foreign(net, name, n_dims):
    """Return whether a parameter is meant for another module or optimizer."""
    if name.startswith("module__"):
        return net.module is not None or n_dims != 2
    return name in _OF_SGD and net.optimizer is not torch.optim.SGD


def _race(net, dataset, classes, weights, targets):
    """Return the setting that tells held-out labels best, and a row for each."""
    settings = _candidates(net, dataset.fetch([0])[0].ndim)
    unknown = {"accuracy": np.nan, "auroc": np.nan, "error": ""}
    table = [{"setting": setting, **unknown} for setting in settings]
    rng = random_generator(net.random_state)
    codes = dataset.codes if targets is None else targets.argmax(1)
    learnt, rest = deal_parts(codes, _share(net, settings), rng)
    rest = np.sort(rest[:_MOST_JUDGED])
    if len(settings) == 1 or not net.max_epochs or not len(rest):
        return dict(settings[0]), table
    given = [None if part is None else part[learnt] for part in (weights, targets)]
    args = _part(dataset, learnt), classes[dataset.codes[learnt]], *given
    X, codes, seed = _part(dataset, rest), codes[rest], int(rng.integers(2**31))
    counts = None if weights is None or not weights[rest].any() else weights[rest]
    values, errors = np.full((len(table), len(rest)), np.nan), []
    verbose = net.verbose * is_first_process(net)
    share = len(learnt) / len(dataset)
    tasks = [
        (_fit, type(net), _params(net, setting, classes, seed), share, args, X)
        for setting in settings
    ]
    with (
        progress(len(table), f"{type(net).__name__}: settings", verbose) as bar,
        Jobs() as jobs,
        # One that fails is left out: the others may do better.
        closing(jobs.results(tasks, kept=Exception)) as results,
    ):
        for i, (row, proba) in enumerate(zip(table, results, strict=True)):
            if isinstance(proba, TrainingInterrupted):
                raise proba
            if isinstance(proba, Exception):
                errors.append(proba)
                row["error"] = in_a_line(proba)
            else:
                values[i] = places(proba, codes, counts)
                row["auroc"] = float(np.average(values[i], weights=counts))
                right = proba.argmax(1) == codes
                row["accuracy"] = float(np.average(right, weights=counts))
            tell_fit(bar, "held out", row["setting"], row["auroc"])
    _raise_if_needed(net, errors, len(table))
    return dict(settings[winner(values, counts)]), table


def _share(net, settings):
    """Return the share of rows with which all candidates cost as much as a fit."""
    n_epochs = sum(setting.get("max_epochs", net.max_epochs) for setting in settings)
    return min(_LARGEST_SHARE, net.max_epochs / max(n_epochs, 1))


def _fit(kind, params, share, args, X):
    """Return a candidate's probabilities of held-out rows."""
    candidate = kind(**{k: clone(v, safe=False) for k, v in params.items()})
    _shorten_epochs(candidate, share)
    with as_one_of_several():
        return candidate.fit(*args).predict_proba(X)


def _raise_if_needed(net, errors, n_settings):
    """Raise the first error if all settings fail, or one of the user's is wrong."""
    is_own = net.settings != "auto"
    wrong = [e for e in errors if is_own and not isinstance(e, FloatingPointError)]
    if wrong or len(errors) == n_settings:
        raise (wrong or errors)[0]


def _part(dataset, rows):
    """Return some rows, as ``fit`` takes them."""
    features = dataset.features
    if isinstance(features, Dataset):
        return ArrayDataset(Subset(features, rows.tolist()), dataset.codes[rows])
    return features[rows]


def _params(net, setting, classes, seed):
    """Return a net's parameters, a setting, and of the callbacks those that learn."""
    params = net.get_params(deep=False) | setting
    callbacks = "disable"
    if net.callbacks != "disable":
        named = [pair for pair in net._uniquely_named_callbacks() if _learns(pair[1])]
        callbacks = named
        known = {name for name, _ in [*named, *net.get_default_callbacks()]}
        for name in [name for name in params if name.startswith("callbacks__")]:
            if name.split("__")[1] not in known:
                del params[name]
    params |= {"callbacks": callbacks, "classes": classes, "random_state": seed}
    params |= {"settings": None, "checkpoint": None, "warm_start": False}
    return params | {"compile": False, "verbose": 0}


def _shorten_epochs(net, share):
    """Let epochs that end after a number of batches cost no more than their share."""
    name = "iterator_train__batches_per_epoch"
    n_batches = net.get_params_for("iterator_train").get("batches_per_epoch")
    if n_batches is not None:
        net.set_params(**{name: max(1, round(share * n_batches))})


def _learns(callback):
    kind = callback if isinstance(callback, type) else type(callback)
    return issubclass(kind, _LEARNING)
