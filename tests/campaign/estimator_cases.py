"""Cases that fit an estimator on odd data with odd parameters."""

import contextlib
import pickle
import tempfile
from pathlib import Path

from odd_features import FITS as PLAIN_X
from odd_features import IMAGES, TABLES, plain_features, plain_images
from odd_labels import WEIGHTS, WORDS, plain_labels
from odd_parameters import odd_parameter
from result_checks import (
    as_list,
    check_injected,
    check_proba,
    check_same_outputs,
    check_same_verdict,
    check_verdict,
    outputs_of,
)
from situations import CONTEXTS, ESTIMATORS, Situation, draw, short
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from trial import VALID

from sknoisy import load, save
from sknoisy.base import NoiseDetectorMixin, NoiseInjectorMixin, NoiseScoresMixin


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
        title, kind = draw(trial, WEIGHTS)
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
        quiet=it.is_quiet,
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
    quiet = it.is_quiet
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
    if it.is_same and not isinstance(it.params.get("mapping"), dict):
        other = clone(injector)
        _, codes = other.fit_resample(it.X_base, it.codes)
        names = dict(zip(it.codes.tolist(), as_list(it.y), strict=True))
        renamed = [names[code] for code in codes.tolist()]
        trial.check(renamed == as_list(noisy), "renamed classes: other labels")


def _compare(trial, it, estimator):
    names = dict(zip(it.codes.tolist(), as_list(it.y), strict=True))
    other = clone(estimator)
    trial.call(
        "fit on plain data",
        lambda: other.fit(it.X_base, it.codes),
        quiet=it.is_quiet,
    )
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
        for name in ("predict", "predict_proba", "predict_noisy", "ranking", "corrupt",
                     "transform", "score", "get_feature_names_out")
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
    trial.call("fit before", lambda: estimator.fit(X, WORDS[other]), quiet=it.is_quiet)
    plain(trial, it, estimator)


def reset(trial, it, estimator):
    """Change a parameter between two fits."""
    _fit(trial, it, estimator)
    name, value, _ = odd_parameter(trial, it.cls)
    trial.note(f"set_params({name}={short(value)})")
    trial.call("set_params", lambda: estimator.set_params(**{name: value}))
    it.params[name] = value
    it.of_parameters[name] = "either"
    trial.written += f" {short(value)}"
    trial.call(
        "fit again",
        lambda: estimator.fit(it.X, it.y),
        given=(it.X, it.y),
        quiet=it.is_quiet,
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
    after = trial.call(
        "use what was loaded", lambda: outputs_of(again, X), expect="fits"
    )
    check_same_outputs(trial, before, after, "save and load")


def new_rows(trial, it, estimator):
    """Fit on plain data, then ask for odd rows."""
    estimator = it.cls(**ESTIMATORS[it.name][1])
    base = plain_features(trial.rng, it.codes, 3)
    # A small class may lose all its rows, which CleanedClassifier refuses.
    expect = "either" if it.group == "cleaning" or it.uses_context else "fits"
    trial.call(
        "fit on plain data", lambda: estimator.fit(base, it.codes), expect=expect
    )
    methods = [
        m for m in ("predict", "predict_proba", "transform") if hasattr(estimator, m)
    ]
    if issubclass(it.cls, NoiseInjectorMixin):
        trial.call("corrupt", lambda: estimator.corrupt(it.X, it.y), given=(it.X, it.y))
    if not methods:
        return
    name, kind = draw(trial, TABLES)
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
    if issubclass(it.cls, NoiseInjectorMixin) or it.x_name not in PLAIN_X:
        # What StandardScaler says of odd rows is its own.
        plain(trial, it, estimator)
        return
    pipe = make_pipeline(StandardScaler(), estimator)
    expect = "either" if it.expect == "fits" else it.expect
    trial.written += " StandardScaler"
    trial.call(
        "fit of a pipeline",
        lambda: pipe.fit(it.X, it.y),
        given=(it.X, it.y),
        expect=expect,
        quiet=it.is_quiet,
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
        quiet=it.is_quiet,
    )
    if it.expect == "fits":
        _check_predictions(trial, it, estimator, len(it.codes))


ROUTES = (plain, unfitted, twice, reset, travel, new_rows, in_pipeline, more_epochs)
ROUTE_WEIGHTS = (12, 1, 2, 2, 2, 2, 1, 1)
