"""The estimator, its parameters and its data in a case, and what to expect of them."""

import contextlib

import numpy as np
import sklearn
import torch
from odd_features import FITS as PLAIN_X
from odd_features import IMAGES, TABLES, plain_features, plain_images
from odd_labels import BINARY, LABELS, plain_labels
from odd_labels import FITS as PLAIN_Y
from odd_parameters import odd_net_parameter, odd_parameter
from public_estimators import (
    GIVEN,
    kind_of,
    public_estimators,
    required_parameters,
    taken,
    trains_a_net,
)
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from torch import nn

import sknoisy
from sknoisy.base import NoiseInjectorMixin


class SmallConvolution(nn.Module):
    """A network for images that costs nothing."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.body = nn.Conv2d(input_shape[0], 2, 3, padding=1)
        self.head = nn.Linear(2, n_classes)

    def embed(self, X):
        """Return the mean of each map."""
        return torch.relu(self.body(X)).mean((-2, -1))

    def forward(self, X):
        """Return logits."""
        return self.head(self.embed(X))


BY_LOSS = sknoisy.LossMixtureDetector(LogisticRegression(), cv=2, random_state=0)
CANDIDATES = [
    ("votes", sknoisy.NeighborVoteDetector(n_neighbors=3, n_rounds=1)),
    ("losses", BY_LOSS),
]
CLASSIFIERS = [
    ("regression", LogisticRegression()),
    ("net", sknoisy.NetClassifier(max_epochs=2, module__hidden=8)),
]
# Cheap parameters, for those that have them.
USUAL = {
    **{"max_epochs": 2, "batch_size": 16, "module__hidden": 8, "random_state": 0},
    **{"cv": 2, "n_rounds": 1, "encoder_epochs": 1, "encoder_dim": 8, "n_runs": 2},
}
# What differs from that.
PARAMS = {
    "AutoNoiseDetector": {"detectors": CANDIDATES},
    "AutoRobustClassifier": {"candidates": CLASSIFIERS},
    "CleanedClassifier": {"detector": BY_LOSS},
    "NoisyLabelFilter": {"detector": BY_LOSS},
}
# What the network of one has not, or has no use for.
UNTAKEN = {"AUMDetector": {"cv"}, "DynamicsClassifier": {"module__hidden"}}
# How often a group is drawn, and its members that take long.
GROUPS = {
    "injector": ("injectors", 6),
    "detector": ("detectors", 5),
    "detector of nets": ("detectors of nets", 3),
    "net": ("nets", 6),
    "robust classifier": ("robust classifiers", 3),
    "holder": ("cleaning", 4),
    "competition": ("competitions", 2),
}
SELDOM = {
    **{"AutoNoiseDetector": 2, "DivideMixClassifier": 2, "DynaCorDetector": 2},
    **{"FlywheelClassifier": 2},
}


def table():
    """Return group, parameters, whether it trains a net, and weight, by estimator."""
    found = {}
    for cls in public_estimators(*GROUPS):
        kind = kind_of(cls)
        if kind == "detector" and trains_a_net(cls):
            kind = "detector of nets"
        group, weight = GROUPS[kind]
        required = {name: GIVEN[name] for name in required_parameters(cls)}
        usual = {k: USUAL[k] for k in USUAL if k not in UNTAKEN.get(cls.__name__, ())}
        params = taken(cls, usual, **required | PARAMS.get(cls.__name__, {}))
        weight = SELDOM.get(cls.__name__, weight)
        found[cls.__name__] = (group, params, trains_a_net(cls), weight)
    return found


ESTIMATORS = table()

CONTEXTS = {
    "transform_output=pandas": lambda: sklearn.config_context(
        transform_output="pandas"
    ),
    "transform_output=polars": lambda: sklearn.config_context(
        transform_output="polars"
    ),
    "enable_metadata_routing": lambda: sklearn.config_context(
        enable_metadata_routing=True
    ),
    "array_api_dispatch": lambda: sklearn.config_context(array_api_dispatch=True),
    "skip_parameter_validation": lambda: sklearn.config_context(
        skip_parameter_validation=True
    ),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "default dtype float64": lambda: _default_dtype(torch.float64),
    "numpy errors raise": lambda: np.errstate(all="raise", under="ignore"),
    "deterministic algorithms": lambda: _deterministic(),
}


@contextlib.contextmanager
def _default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def _deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


class Situation:
    """The data, the estimator and what to expect of both, for one case."""

    def __init__(self, trial, name):
        self.trial, self.name = trial, name
        self.group, self.params, self.is_net, _ = ESTIMATORS[name]
        self.cls = getattr(sknoisy, name)
        # Others have networks, losses or limits of their own.
        self.takes_all = name == "NetClassifier"
        self.params = {
            key: clone(value) if hasattr(value, "get_params") else value
            for key, value in self.params.items()
        }
        self.expects, self.of_parameters = [], {}
        trial.subject = name
        self._draw_data()
        self._draw_parameters()
        text = ", ".join(f"{k}={short(v)}" for k, v in self.params.items())
        trial.note(f"{name}({text})")
        trial.note(f"X: {self.x_name}; y: {self.y_name}; {self.X_base.shape}")
        trial.written = f"{text} {name} {' '.join(_parameter_names(self.cls))}"

    @property
    def expect(self):
        """What becomes of the fit."""
        expects = [*self.expects, *self.of_parameters.values()]
        if "refused" in expects:
            return "refused"
        return "either" if "either" in expects else "fits"

    @property
    def is_quiet(self):
        """Whether nothing may be printed."""
        verbose = self.params.get("verbose", 0)
        return isinstance(verbose, int) and not verbose

    def _draw_data(self):
        trial, rng = self.trial, self.trial.rng
        n_classes = trial.pick([2, 3, 4], [3, 3, 1])
        if self.name == "DynamicsClassifier":
            n_classes = 2  # is the label wrong?
        self.codes = plain_labels(rng, int(rng.integers(18, 60)), n_classes)
        images = trial.chance(0.15 if self.is_net else 0.04)
        if images:
            self.X_base, kinds = plain_images(rng, self.codes), IMAGES
        else:
            self.X_base = plain_features(rng, self.codes, int(rng.integers(2, 6)))
            kinds = TABLES
        labels = LABELS | BINARY if n_classes == 2 else LABELS
        odd = trial.pick(["X", "y", "both", "neither"], [3, 3, 1, 3])
        easy = IMAGES if images else PLAIN_X
        self.x_name, x_kind = draw(trial, kinds if odd in ("X", "both") else easy)
        self.y_name, y_kind = draw(trial, labels if odd in ("y", "both") else PLAIN_Y)
        self.X = x_kind.make(self.X_base, rng)
        self.y = y_kind.make(self.codes, rng)
        self.is_same = x_kind.same and y_kind.same
        self.y_same, self.y_fits = y_kind.same, y_kind.expect == "fits"
        self.expects += [self._expect_of_features(x_kind, images), y_kind.expect]
        if images and self.is_net:
            self.params.pop("module__hidden", None)
            self.params["module"] = SmallConvolution

    def _expect_of_features(self, kind, images):
        if self.name == "CleanedClassifier" and kind.expect == "fits":
            return "either"  # it may drop all rows of a class, and then refuses
        ignores = issubclass(self.cls, NoiseInjectorMixin)
        if (ignores or self.name == "CleanedClassifier") and kind.expect == "refused":
            return "either"
        if images and (not self.is_net or self.name == "DynamicsClassifier"):
            return "either"
        return kind.expect

    def _draw_parameters(self):
        trial = self.trial
        for _ in range(trial.pick([0, 1, 2], [6, 3, 1])):
            if self.is_net and trial.chance(0.5):
                name, value, expect = odd_net_parameter(trial)
                expect = expect if self.takes_all or expect != "fits" else "either"
            else:
                name, value, expect = odd_parameter(trial, self.cls)
            self.params[name] = value
            self.is_same = self.is_same and name != "random_state"
            is_plain = self.x_name in PLAIN_X or self.x_name in IMAGES
            self.of_parameters[name] = expect if is_plain else "either"


def draw(trial, kinds):
    names = list(kinds)
    name = trial.pick(names, [kinds[key].weight for key in names])
    return name, kinds[name]


def short(value):
    text = " ".join(repr(value).split())
    return text if len(text) < 70 else text[:67] + "..."


def _parameter_names(cls):
    import inspect

    return [*inspect.signature(cls).parameters, *cls._parameter_constraints]
