"""Values of parameters: what the constraints allow, what they do not, and typos."""

import tempfile
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import torch
from odd_features import Kind
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneOut,
    ShuffleSplit,
    StratifiedKFold,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from torch import nn

from sknoisy import NetClassifier
from sknoisy.losses import GCELoss
from sknoisy.nets import MLP, AdversarialMasking, LoaderBatches

# Of any type, for any parameter.
ANYTHING = (
    None, True, "", "no such option", "0.5", b"auto", -1, 0, 1, 2, 3, 10**9, 2**70,
    -0.5, 0.0, 0.5, 1.0, 1.5, 1e-300, 1e300, float("nan"), float("inf"), -float("inf"),
    1 + 1j, Decimal("0.5"), np.int64(2), np.float32(0.5), np.array(0.5),
    np.array([1, 2]), [], [1], (1, 2), {}, {"a": 1}, {1}, int, object, len,
)  # fmt: skip

# Counts that may be large without costing time or memory.
CHEAP_COUNTS = {
    "warmup_epochs", "ramp_epochs", "n_neighbors", "target_start_epoch", "batch_size",
    "target_update_every", "prune_start_epoch", "prune_every", "sieve_delay",
    "average_ramp_steps", "lam_ramp_steps", "max_rows", "encoder_batch_size",
}  # fmt: skip
DEAR_REALS = {"n_rounds", "n_runs", "max_epochs", "encoder_epochs", "max_iter"}


class TwoOutputs(nn.Module):
    """Return a tuple, as some networks do."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.layer = nn.Linear(input_shape[0], n_classes)

    def forward(self, X):
        """Return logits, and something else."""
        return self.layer(X), X


class OneOutput(nn.Module):
    """Return one column, whatever the number of classes."""

    def __init__(self):
        super().__init__()
        self.layer = nn.LazyLinear(1)

    def forward(self, X):
        """Return one column."""
        return self.layer(X)


class Probabilities(nn.Module):
    """Return probabilities, as NLLLoss wants them."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.layer = nn.Linear(input_shape[0], n_classes)

    def forward(self, X):
        """Return probabilities."""
        return torch.softmax(self.layer(X), -1)


def _value(value, expect="either", weight=1.0):
    return Kind(lambda *_: value, expect, False, weight)


# For every net, and for detectors that build one.
NET = [
    ("module", _value(5, "refused")),
    ("module", _value("MLP", "refused")),
    ("module", _value(MLP, "fits")),
    ("module", _value(nn.Linear)),
    ("module", _value(nn.ReLU)),
    ("module", _value(nn.ReLU())),
    ("module", _value(TwoOutputs, "refused")),
    ("module", _value(OneOutput)),
    ("module", _value(Probabilities)),
    ("module", _value(partial(MLP, hidden=4))),
    ("module", _value(lambda X: X)),
    ("max_epoch", _value(3, "refused")),
    ("module__hiden", _value(3, "refused")),
    ("nonsense__hidden", _value(3, "refused")),
    ("module__", _value(3)),
    ("module__hidden", _value(0)),
    ("module__hidden", _value(-3, "refused")),
    ("module__hidden", _value("many", "refused")),
    ("module__hidden", _value((4, 4), "fits")),
    ("module__dropout", _value(7, "refused")),
    ("module__dropout", _value(0.0, "fits")),
    ("optimizer", _value({"lr": 1}, "refused")),
    ("optimizer", _value("adam", "refused")),
    ("optimizer", _value(torch.optim.Adam)),
    ("optimizer", _value(torch.optim.LBFGS)),
    ("optimizer", _value(torch.optim.Optimizer)),
    ("optimizer__momentum", _value(-1, "refused")),
    ("optimizer__weight_decay", _value(0.1, "fits")),
    ("optimizer__nosuch", _value(1, "refused")),
    ("optimizer__lr", _value(0.01)),
    ("criterion", _value(5, "refused")),
    ("criterion", _value("ce", "refused")),
    ("criterion", _value(nn.CrossEntropyLoss)),
    ("criterion", _value(nn.NLLLoss)),
    ("criterion", _value(nn.MSELoss)),
    ("criterion", _value(nn.BCEWithLogitsLoss)),
    ("criterion", _value(GCELoss)),
    ("criterion", _value(torch.nn.functional.cross_entropy)),
    ("criterion__label_smoothing", _value(0.1)),
    ("train_split", _value(0.2, "refused")),
    ("train_split", _value(5)),
    ("train_split", _value("auto", "refused")),
    ("device", _value("gpu", "refused")),
    ("device", _value(["cpu"], "refused")),
    ("device", _value("cpu", "fits")),
    ("device", _value(torch.device("cpu"), "fits")),
    ("device", _value("cuda", "either" if torch.cuda.is_available() else "refused")),
    ("device", _value("meta", "refused")),
    ("iterator_train", _value(LoaderBatches)),
    ("iterator_train", _value(torch.utils.data.DataLoader)),
    ("iterator_train", _value(5, "refused")),
    ("iterator_train__drop_last", _value(True)),
    ("callbacks", _value([5], "refused")),
    ("callbacks", _value([("a", None)])),
    ("callbacks", _value([], "fits")),
    ("callbacks", _value("disable", "fits")),
    ("masking", _value(5, "refused")),
    ("masking", _value(AdversarialMasking)),
    ("augment", _value(lambda X: X[:1])),
    ("augment", _value(lambda X: X + 0)),
    ("augment", _value(lambda X: None, "refused")),
    ("lr", _value(1e30)),
    ("lr", _value(1e5)),
    ("lr_schedule", _value(lambda epoch, n: float("nan"))),
    ("lr_schedule", _value(lambda epoch, n: "fast")),
    ("batch_size", _value(-1, "fits")),
    ("batch_size", _value(1)),
    ("batch_size", _value(2)),
    ("memory_format", _value("contiguous")),
    ("predict_nonlinearity", _value(5, "refused")),
    ("compile", _value("yes", "refused")),
    ("classes", _value([0, 1])),
    ("classes", _value(["x", "y"])),
    ("dataset", _value(5, "refused")),
]  # fmt: skip

CV = [
    KFold(2), StratifiedKFold(2, shuffle=True, random_state=0), GroupKFold(2),
    ShuffleSplit(2, random_state=0), LeaveOneOut(), [], "3", 2.5, 10**6, 2, 3,
    np.int64(2), [([0, 1, 2], [3, 4])], KFold,
]  # fmt: skip

CLASSIFIERS = [
    LogisticRegression(), GaussianNB(), KNeighborsClassifier(2),
    LinearSVC(random_state=0), LogisticRegression(C=-1), LogisticRegression,
    StandardScaler(), 5, "logistic",
    KNeighborsClassifier(10**6), NetClassifier(max_epochs=1, module__hidden=4), [],
]  # fmt: skip

# By name, for those whose constraint is a kind of object.
BY_NAME = {
    "cv": CV,
    "estimator": CLASSIFIERS,
    "classifier": CLASSIFIERS,
    "detector": CLASSIFIERS,
    "detectors": [[], [("a", 5)], [("a", LogisticRegression())], "all", {"a": 1}, [5]],
    "transition_matrix": [
        np.eye(2), np.eye(3), [[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.2], [0.2, 0.8]],
        [[1, 0]], [[0.5, 0.5], [0.5, 0.5]], "anchor", "eye", [[np.nan, 1], [0, 1]],
        np.eye(2) * -1, [], 5, lambda k: np.eye(k), lambda k: None, {"a": 1}, [["a"]],
    ],
    "mapping": [{0: 1}, {"ant": "bee"}, {0: 99}, {}, {0: None}, {0: 0}, "cifar10"],
    "trim": [(5, 95), (95, 5), (0, 100), (-1, 101), (5,), ("a", "b"), [np.nan, 5], ()],
    "support": [(0, 1), (1, 0), (0, 0), (np.nan, 1), ("a", 1), (0,), (-1e300, 1e300)],
    "alphas_init": [(1.0, 2.0), (0, 1), (-1, 1), (1,), ("a", "b"), (np.inf, 1)],
    "betas_init": [(2.0, 1.0), (0, 1), (1, 2, 3), np.eye(2), (np.nan, 1)],
    "splitter": [StandardScaler(), 5, LogisticRegression()],
    "settings": ["paper", "auto", [], [{}], [{"lr": -1}], [{"nosuch": 1}], [5]],
    "loss": ["ce", "sce", "bootstrap", lambda a, b: a.sum(), lambda a, b: None, len],
    "judge": [MLP, 5, nn.ReLU, TwoOutputs],
    "weak_view": [0.0, 1e9, lambda X: X, lambda X: None, len],
    "strong_view": [0.0, 1.0, lambda X: X, lambda X: None, len],
    "copy_view": [lambda X: X, lambda X: None, len],
    "random_state": [0, None, 2**32 - 1, 2**32, -1, 0.5, "seed", np.int64(1)],
    # Not what starts processes, or a compiler.
    "n_jobs": [1, None, 0, "all", 1.5],
    "compile": [False, None, 0, "yes", []],
}  # fmt: skip


def odd_parameter(trial, cls):
    """Draw a parameter of an estimator: its name, a value, and what to expect.

    Parameters
    ----------
    trial : Trial
    cls : class with ``_parameter_constraints``

    Returns
    -------
    name : str
    value : object
    expect : {"fits", "refused", "either"}
    """
    constraints = cls._parameter_constraints
    name = trial.pick(
        sorted({*constraints, *_signature(cls) - {"kwargs", "net_params"}})
    )
    if trial.chance(0.08):
        return name[:-1] + "_", 1, "refused"
    values = [*ANYTHING, *BY_NAME.get(name, ()), *BY_NAME.get(name, ())]
    own = constraints.get(name)
    for constraint in own or ():
        values += _near(constraint)
    if name in ("checkpoint", "memory"):
        values = [5, b"x", [], _fresh_path(), Path(_fresh_path()) / "no" / "folder"]
    if name in ("n_jobs", "compile"):
        values = BY_NAME[name]
    value = trial.pick(values)
    if not own:
        return name, value, "either"
    return (name, *_judged(name, value, own, cls))


def odd_net_parameter(trial):
    """Draw a parameter of the network, or of its training."""
    name, kind = trial.pick(NET)
    return name, kind.make(), kind.expect


def _signature(cls):
    import inspect

    return set(inspect.signature(cls).parameters)


def _near(constraint):
    """Return values on both sides of what a constraint allows, often the inside."""
    if isinstance(constraint, StrOptions):
        return [*sorted(constraint.options) * 4, sorted(constraint.options)[0].upper()]
    if isinstance(constraint, Interval):
        ends = [end for end in (constraint.left, constraint.right) if end is not None]
        step = 1 if "Integral" in str(constraint.type) else 0.01
        near = [end + shift for end in ends for shift in (-step, 0, step, 2 * step)]
        return [v for v in near if abs(v) < 1e9] * 2
    return []


def _judged(name, value, constraints, cls):
    try:
        validate_parameter_constraints({name: constraints}, {name: value}, cls.__name__)
    except InvalidParameterError:
        return value, "refused"
    except Exception:
        return value, "either"
    is_number = isinstance(value, int | float | np.number)
    if is_number and value > 5 and name not in CHEAP_COUNTS and _is_count(constraints):
        return 3, "either"
    return value, "either"


def _is_count(constraints):
    return any(
        isinstance(c, Interval) and "Integral" in str(c.type) for c in constraints
    )


def _fresh_path():
    return str(Path(tempfile.mkdtemp(prefix="campaign")) / "state")
