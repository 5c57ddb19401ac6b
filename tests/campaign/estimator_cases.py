"""Cases that fit an estimator on odd data with odd parameters."""

import contextlib
import pickle
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import sklearn
import torch
from odd_features import IMAGES, TABLES, plain_features, plain_images
from odd_features import FITS as PLAIN_X
from odd_labels import BINARY, LABELS, WEIGHTS, WORDS, plain_labels
from odd_labels import FITS as PLAIN_Y
from odd_parameters import odd_net_parameter, odd_parameter
from result_checks import (
    as_list,
    check_injected,
    check_proba,
    check_same_outputs,
    check_same_verdict,
    check_verdict,
    outputs_of,
)
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from trial import VALID

import sknoisy
from sknoisy import load, pair_flip_matrix, save
from sknoisy.base import NoiseDetectorMixin, NoiseInjectorMixin, NoiseScoresMixin


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
NET = {"max_epochs": 2, "batch_size": 16, "random_state": 0}
SMALL = {"module__hidden": 8}
CANDIDATES = [
    ("votes", sknoisy.NeighborVoteDetector(n_neighbors=3, n_rounds=1)),
    ("losses", BY_LOSS),
]
SEED = {"random_state": 0}

# Group, cheap parameters, whether it trains a net, how often it is drawn.
ESTIMATORS = {
    "SymmetricNoiseInjector": ("injectors", SEED, False, 6),
    "AsymmetricNoiseInjector": ("injectors", SEED, False, 6),
    "InstanceNoiseInjector": ("injectors", SEED, False, 6),
    "MarginNoiseInjector": ("injectors", SEED, False, 4),
    "TransitionNoiseInjector": (
        "injectors",
        SEED | {"transition_matrix": partial(pair_flip_matrix, noise_rate=0.3)},
        False,
        6,
    ),
    "NeighborVoteDetector": ("detectors", SEED | {"n_rounds": 1}, False, 6),
    "FINEDetector": ("detectors", SEED, False, 5),
    "ConfidentLearningDetector": ("detectors", SEED | {"cv": 2}, False, 5),
    "AutoNoiseDetector": (
        "detectors",
        SEED | {"detectors": CANDIDATES, "n_rounds": 1},
        False,
        2,
    ),
    "LossMixtureDetector": ("detectors of nets", NET | SMALL | {"cv": 2}, True, 3),
    "SmallLossDetector": ("detectors of nets", NET | SMALL | {"cv": 2}, True, 3),
    "CORESDetector": ("detectors of nets", NET | SMALL, True, 3),
    "AUMDetector": ("detectors of nets", NET | SMALL, True, 3),
    "DynaCorDetector": (
        "detectors of nets",
        NET | SMALL | {"n_runs": 2, "encoder_epochs": 1, "encoder_dim": 8},
        True,
        2,
    ),
    "NetClassifier": ("nets", NET | SMALL, True, 8),
    "DynamicsClassifier": ("nets", NET, True, 3),
    "RobustLossClassifier": ("robust classifiers", NET | SMALL, True, 4),
    "ELRClassifier": ("robust classifiers", NET | SMALL, True, 3),
    "ELRPlusClassifier": ("robust classifiers", NET | SMALL, True, 3),
    "NALClassifier": ("robust classifiers", NET | SMALL, True, 3),
    "CDRClassifier": ("robust classifiers", NET | SMALL, True, 3),
    "CoTeachingClassifier": ("robust classifiers", NET | SMALL, True, 3),
    "TransitionCorrectionClassifier": ("robust classifiers", NET | SMALL, True, 3),
    "DynamicBootstrapClassifier": ("robust classifiers", NET | SMALL, True, 3),
    "FlywheelClassifier": ("robust classifiers", NET | SMALL, True, 2),
    "DivideMixClassifier": ("robust classifiers", NET | SMALL, True, 2),
    "NoisyLabelFilter": ("cleaning", {"detector": BY_LOSS}, False, 4),
    "CleanedClassifier": (
        "cleaning",
        {"detector": BY_LOSS, "classifier": LogisticRegression()},
        False,
        4,
    ),
}

CONTEXTS = {
    "transform_output=pandas": lambda: sklearn.config_context(transform_output="pandas"),
    "transform_output=polars": lambda: sklearn.config_context(transform_output="polars"),
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
    "numpy errors raise": lambda: np.errstate(all="raise"),
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
        self.params = {
            key: clone(value) if hasattr(value, "get_params") else value
            for key, value in self.params.items()
        }
        self.expects = []
        trial.subject = name
        self._draw_data()
        self._draw_parameters()
        text = ", ".join(f"{k}={_short(v)}" for k, v in self.params.items())
        trial.note(f"{name}({text})")
        trial.note(f"X: {self.x_name}; y: {self.y_name}; {self.X_base.shape}")
        trial.written = f"{text} {name} {' '.join(_parameter_names(self.cls))}"

    @property
    def expect(self):
        """What becomes of the fit."""
        if "refused" in self.expects:
            return "refused"
        return "either" if "either" in self.expects else "fits"

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
        self.x_name, x_kind = _draw(trial, kinds if odd in ("X", "both") else easy)
        self.y_name, y_kind = _draw(trial, labels if odd in ("y", "both") else PLAIN_Y)
        self.X = x_kind.make(self.X_base, rng)
        self.y = y_kind.make(self.codes, rng)
        self.is_same = x_kind.same and y_kind.same
        self.y_same, self.y_fits = y_kind.same, y_kind.expect == "fits"
        self.expects += [self._expect_of_features(x_kind, images), y_kind.expect]
        if images and self.is_net:
            self.params.pop("module__hidden", None)
            self.params["module"] = SmallConvolution

    def _expect_of_features(self, kind, images):
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
                expect = expect if self.group == "nets" or expect != "fits" else "either"
            else:
                name, value, expect = odd_parameter(trial, self.cls)
            self.params[name] = value
            self.is_same = self.is_same and name != "random_state"
            self.expects.append(expect if self.x_name in PLAIN_X else "either")


def _draw(trial, kinds):
    names = list(kinds)
    name = trial.pick(names, [kinds[key].weight for key in names])
    return name, kinds[name]


def _short(value):
    text = " ".join(repr(value).split())
    return text if len(text) < 70 else text[:67] + "..."


def _parameter_names(cls):
    import inspect

    return [*inspect.signature(cls).parameters, *cls._parameter_constraints]


def run(trial, name):
    """Run one case of an estimator."""
    it = Situation(trial, name)
    context = contextlib.nullcontext()
    it.uses_context = False
    if trial.chance(0.12):
        title = trial.pick(list(CONTEXTS))
        trial.note(f"within {title}")
        context = CONTEXTS[title]()
        it.expects.append("either" if title.startswith(("skip", "numpy")) else "fits")
        it.is_same, it.uses_context = False, True
    with context:
        expect = "fits" if it.expect == "fits" else "either"
        estimator = trial.call("build", lambda: it.cls(**it.params), expect=expect)
        route = trial.pick(ROUTES, ROUTE_WEIGHTS)
        trial.note(f"route: {route.__name__}")
        route(trial, it, estimator)


def _fit(trial, it, estimator, what="fit"):
    arguments = {}
    if trial.chance(0.08) and hasattr(estimator, "partial_fit"):
        title, kind = _draw(trial, WEIGHTS)
        trial.note(f"sample_weight: {title}")
        arguments["sample_weight"] = kind.make(len(it.codes), trial.rng)
        it.expects.append("either" if kind.expect == "fits" else kind.expect)
        it.is_same = False
    given = (it.X, it.y, estimator, *arguments.values())
    fitted = trial.call(
        what,
        lambda: getattr(estimator, what)(it.X, it.y, **arguments),
        given=given,
        expect=it.expect,
        quiet=not it.params.get("verbose"),
    )
    trial.check(fitted is estimator or what != "fit", "fit does not return self")
    return estimator


def plain(trial, it, estimator):
    """Fit, look at the results, and compare with plainly written data."""
    if issubclass(it.cls, NoiseInjectorMixin):
        _inject(trial, it, estimator)
        return
    _fit(trial, it, estimator)
    n_samples = len(it.codes)
    if issubclass(it.cls, NoiseScoresMixin):
        check_verdict(trial, estimator, n_samples)
    if hasattr(estimator, "predict") and hasattr(estimator, "classes_"):
        _check_predictions(trial, it, estimator, n_samples)
    if it.is_same and trial.outcome == VALID and trial.chance(0.3):
        _compare(trial, it, estimator)
    if issubclass(it.cls, NoiseDetectorMixin) and trial.chance(0.3):
        again = clone(estimator)
        trial.call(
            "fit_resample", lambda: again.fit_resample(it.X, it.y), given=(it.X, it.y)
        )


def _check_predictions(trial, it, estimator, n_samples):
    quiet = not it.params.get("verbose")
    X = it.X
    labels = trial.call(
        "predict", lambda: estimator.predict(X), given=(X,), expect="fits", quiet=quiet
    )
    known = as_list(estimator.classes_)
    trial.check(len(labels) == n_samples, "predict has another length")
    trial.check(all(v in known for v in as_list(labels)), "predict leaves classes_")
    if hasattr(estimator, "predict_proba"):
        proba = trial.call("predict_proba", lambda: estimator.predict_proba(X))
        check_proba(trial, proba, n_samples, len(known))
    if hasattr(estimator, "transform"):
        features = trial.call("transform", lambda: estimator.transform(X))
        trial.check(len(features) == n_samples, "transform has another length")
    if it.y_fits:
        score = trial.call("score", lambda: estimator.score(X, it.y), expect="fits")
        trial.check(0 <= score <= 1, f"score is {score}")


def _inject(trial, it, injector):
    X, noisy = trial.call(
        "fit_resample",
        lambda: injector.fit_resample(it.X, it.y),
        given=(it.X, it.y, injector),
        expect=it.expect,
    )
    trial.check(X is it.X, "X is not the object that was passed")
    check_injected(trial, injector, it.y, noisy, same_kind=it.y_fits)
    again = trial.call("corrupt", lambda: injector.corrupt(it.X, it.y), expect="fits")
    trial.check(as_list(again) == as_list(noisy), "corrupt draws other labels")
    if it.is_same:
        other = clone(injector)
        _, codes = other.fit_resample(it.X_base, it.codes)
        names = dict(zip(it.codes.tolist(), as_list(it.y), strict=True))
        if not isinstance(it.params.get("mapping"), dict):
            renamed = [names[code] for code in codes.tolist()]
            trial.check(renamed == as_list(noisy), "renamed classes: other labels")


def _compare(trial, it, estimator):
    names = dict(zip(it.codes.tolist(), as_list(it.y), strict=True))
    other = clone(estimator)
    trial.call("fit on plain data", lambda: other.fit(it.X_base, it.codes))
    tolerance = 0 if it.is_net and "estimator" not in it.params else 2e-3
    if issubclass(it.cls, NoiseScoresMixin):
        check_same_verdict(trial, other, estimator, names, tolerance=tolerance)
    elif hasattr(other, "predict"):
        labels = [names[code] for code in as_list(other.predict(it.X_base))]
        same = labels == as_list(estimator.predict(it.X))
        trial.check(same, "the same data written differently: other predictions")


def unfitted(trial, it, estimator):
    """Call a method before fit."""
    methods = [
        name
        for name in ("predict", "predict_proba", "predict_noisy", "ranking", "transform",
                     "corrupt", "score", "decision_function", "get_feature_names_out")
        if hasattr(estimator, name)
    ]  # fmt: skip
    if not methods:
        return
    name = trial.pick(methods)
    arguments = {"predict_noisy": (), "ranking": (), "get_feature_names_out": ()}
    arguments |= {"corrupt": (it.X, it.y), "score": (it.X, it.y)}
    given = arguments.get(name, (it.X,))
    trial.call(name, lambda: getattr(estimator, name)(*given), expect="refused")


def twice(trial, it, estimator):
    """Fit on other rows before; the second fit must forget the first."""
    other = plain_labels(trial.rng, 30, 2)
    make = plain_features if it.X_base.ndim == 2 else plain_images
    X = make(trial.rng, other, 3 if it.X_base.ndim == 2 else 6)
    trial.call("fit before", lambda: estimator.fit(X, WORDS[other]))
    plain(trial, it, estimator)


def reset(trial, it, estimator):
    """Change a parameter between two fits."""
    _fit(trial, it, estimator)
    name, value, _ = odd_parameter(trial, it.cls)
    trial.note(f"set_params({name}={_short(value)})")
    trial.call("set_params", lambda: estimator.set_params(**{name: value}))
    it.params[name] = value
    it.expects.append("either")
    trial.call(
        "fit again",
        lambda: estimator.fit(it.X, it.y),
        given=(it.X, it.y),
        quiet=not it.params.get("verbose"),
    )


def travel(trial, it, estimator):
    """Take a fitted estimator through clone, pickle, or a file."""
    _fit(trial, it, estimator)
    trial.call("repr", lambda: repr(estimator))
    X = it.X if it.x_name in PLAIN_X or it.x_name in IMAGES else None
    before = outputs_of(estimator, X)
    if trial.chance(0.3):
        try:
            text = pickle.dumps(estimator)
        except (pickle.PicklingError, AttributeError, TypeError):
            return  # a lambda, which is the user's own
        again = trial.call("unpickle", lambda: pickle.loads(text), expect="fits")
        check_same_outputs(trial, before, outputs_of(again, X), "pickle")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.sknoisy"
        trial.call("save", lambda: save(estimator, path), given=(estimator,))
        again = trial.call("load", lambda: load(path))
    after = trial.call("use what was loaded", lambda: outputs_of(again, X), expect="fits")
    check_same_outputs(trial, before, after, "save and load")


def new_rows(trial, it, estimator):
    """Fit on plain data, then ask for odd rows."""
    estimator = it.cls(**ESTIMATORS[it.name][1])
    base = plain_features(trial.rng, it.codes, 3)
    # A small class may lose all its rows, which CleanedClassifier refuses.
    expect = "either" if it.group == "cleaning" or it.uses_context else "fits"
    trial.call("fit on plain data", lambda: estimator.fit(base, it.codes), expect=expect)
    methods = [m for m in ("predict", "predict_proba", "transform") if hasattr(estimator, m)]
    if issubclass(it.cls, NoiseInjectorMixin):
        trial.call(
            "corrupt", lambda: estimator.corrupt(it.X, it.y), given=(it.X, it.y)
        )
    if not methods:
        return
    name, kind = _draw(trial, TABLES)
    X = kind.make(base, trial.rng)
    trial.note(f"new rows: {name}")
    expect = kind.expect
    if expect == "refused" and name in ("one row", "row too few"):
        expect = "fits"
    method = trial.pick(methods)
    result = trial.call(
        method, lambda: getattr(estimator, method)(X), given=(X,), expect=expect
    )
    if method == "predict_proba":
        check_proba(trial, result, len(result), len(estimator.classes_))


def in_pipeline(trial, it, estimator):
    """Fit as the last step of a pipeline, by keywords of the pipeline."""
    if issubclass(it.cls, NoiseInjectorMixin) or it.X_base.ndim != 2:
        return
    pipe = make_pipeline(StandardScaler(), estimator)
    expect = "either" if it.expect == "fits" else it.expect
    if it.x_name not in PLAIN_X:
        expect = "either"
    trial.written += " StandardScaler"
    trial.call(
        "fit of a pipeline",
        lambda: pipe.fit(it.X, it.y),
        given=(it.X, it.y),
        expect=expect,
        quiet=not it.params.get("verbose"),
    )
    if issubclass(it.cls, NoiseScoresMixin):
        check_verdict(trial, pipe[-1], len(it.codes))


def more_epochs(trial, it, estimator):
    """Go on with partial_fit."""
    if not hasattr(estimator, "partial_fit"):
        return plain(trial, it, estimator)
    _fit(trial, it, estimator, "partial_fit")
    trial.call(
        "partial_fit again",
        lambda: estimator.partial_fit(it.X, it.y),
        given=(it.X, it.y),
        quiet=not it.params.get("verbose"),
    )
    if it.expect == "fits":
        _check_predictions(trial, it, estimator, len(it.codes))


ROUTES = (plain, unfitted, twice, reset, travel, new_rows, in_pipeline, more_epochs)
ROUTE_WEIGHTS = (12, 1, 2, 2, 2, 2, 1, 1)
