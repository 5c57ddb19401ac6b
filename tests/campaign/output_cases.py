"""Cases that write files or draw plots."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from function_cases import codes_of, odd_value
from odd_features import plain_features, plain_images
from odd_parameters import ANYTHING

import sknoisy
from sknoisy.nets import PreActResNet


def files(trial):
    """``save`` and ``load`` on odd paths and odd content."""
    codes = codes_of(trial)
    X = plain_features(trial.rng, codes, 2)
    fitted = sknoisy.NeighborVoteDetector(n_rounds=1, n_neighbors=3).fit(X, codes)
    with tempfile.TemporaryDirectory() as folder:
        good = Path(folder) / "good.sknoisy"
        sknoisy.save(fitted, good)
        content = good.read_bytes()
        odd = Path(folder) / "odd.sknoisy"
        what = trial.pick(
            ["cut", "flipped", "longer", "empty", "text", "path", "object"]
        )
        trial.note(what)
        trial.written = "estimator path known"
        if what == "object":
            value = trial.pick([*ANYTHING, sknoisy.NeighborVoteDetector, X])
            trial.note(repr(value))
            trial.call("save", lambda: sknoisy.save(value, odd), expect="refused")
        elif what == "path":
            value = trial.pick([None, 5, b"x", "", folder, Path(folder) / "no" / "x"])
            trial.note(repr(value))
            act = trial.pick([sknoisy.load, lambda path: sknoisy.save(fitted, path)])
            expect = "either" if value == b"x" else "refused"
            trial.call("save or load", lambda: act(value), expect=expect)
        else:
            odd.write_bytes(_broken(trial, content, what))
            trial.call("load", lambda: sknoisy.load(odd), expect="refused")


def _broken(trial, content, what):
    place = int(trial.rng.integers(1, len(content)))
    flipped = content[: place - 1] + bytes([content[place - 1] ^ 4]) + content[place:]
    return {
        "cut": content[: place - 1],
        "flipped": flipped,
        "longer": content + b"more",
        "empty": b"",
        "text": b"{}",
    }[what]


def display(trial):
    """The displays, from estimators and from arrays."""
    import matplotlib.pyplot as plt

    try:
        _display(trial)
    finally:
        plt.close("all")


def _display(trial):
    if trial.chance(0.4):
        _of_estimator(trial)
        return
    n = 20
    mask = trial.rng.random(n) < 0.3
    values = trial.rng.random((n, 4))
    T = np.array([[0.8, 0.2], [0.3, 0.7]])
    cls, arguments, options = trial.pick([
        (sknoisy.DynamicsDisplay, (values, mask), {"signal_name": "x"}),
        (sknoisy.SampleWeightsDisplay, (values[:, 0],), {"noise_mask": mask}),
        (sknoisy.TransitionMatrixDisplay, (T,), {"display_labels": ["a", "b"]}),
    ])  # fmt: skip
    trial.subject = cls.__name__
    trial.written = "trajectories noise_mask signal_name sample_weights "
    trial.written += "transition_matrix display_labels ax"
    arguments = list(arguments)
    place = int(trial.rng.integers(len(arguments)))
    expect = "fits"
    if trial.chance(0.5):
        arguments[place] = trial.pick([
            arguments[place].tolist(), arguments[place][:1], arguments[place] * np.nan,
            arguments[place][:0], pd.DataFrame(arguments[place]), *ANYTHING,
        ])  # fmt: skip
        trial.note(f"argument {place}: {arguments[place]!r}")
        expect = "either"
    if trial.chance(0.3):
        name = trial.pick(list(options))
        options[name] = odd_value(trial, options[name], 1.0, name)
        expect = "either"
    given = [value for value in arguments if isinstance(value, np.ndarray)]
    shown = trial.call(
        "plot", lambda: cls(*arguments, **options).plot(), given=given, expect=expect
    )
    trial.check(hasattr(shown, "figure_"), "plot returns no display")
    trial.call("draw", lambda: shown.figure_.savefig(io.BytesIO()), expect="fits")


def _of_estimator(trial):
    """Plots of what was fitted: of a mixture, and of where a network looks."""
    codes = codes_of(trial)
    if trial.chance(0.5):
        name = "LossMixtureDisplay"
        losses = np.r_[trial.rng.beta(2, 8, 60), trial.rng.beta(8, 2, 20)]
        fitted = sknoisy.BMMLossSplitter(random_state=0).fit(losses)
        odd = odd_value(trial, losses, 0.4, "losses")
        arguments = (fitted, odd)
        options = {"noise_mask": odd_value(trial, None, 0.3, "noise_mask")}
        expect = "fits" if odd is losses and options["noise_mask"] is None else "either"
    else:
        name = "ActivationMapDisplay"
        images = plain_images(trial.rng, codes)
        net = {"module": PreActResNet, "module__width": 2, "module__blocks": (1, 1)}
        fitted = sknoisy.NetClassifier(**net, max_epochs=1, random_state=0)
        fitted.fit(images, codes)
        odd = odd_value(trial, images[:3], 0.4, "X")
        arguments, options = (fitted, odd), {"titles": trial.pick(["auto", None])}
        expect = "either" if not isinstance(odd, np.ndarray) else "fits"
        expect = expect if np.ndim(odd) == 4 else "either"
    trial.subject, trial.written = name, "losses noise_mask epoch ax titles"
    cls = getattr(sknoisy, name)
    shown = trial.call(
        "from_estimator",
        lambda: cls.from_estimator(*arguments, **options),
        given=arguments[1:],
        expect=expect,
    )
    trial.call("draw", lambda: shown.figure_.savefig(io.BytesIO()), expect="fits")
