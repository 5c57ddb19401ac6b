"""Cases that call functions, mixtures and displays on odd arguments."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import torch
from odd_features import FITS as PLAIN_X
from odd_features import TABLES, plain_features
from odd_labels import BINARY, FITS, LABELS, plain_labels
from odd_parameters import ANYTHING, odd_parameter
from result_checks import as_list
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

import sknoisy
from sknoisy import classification, noise


def _labels(trial, codes):
    kinds = LABELS if trial.chance(0.5) else FITS
    kinds = kinds | BINARY if codes.max() == 1 else kinds
    name = trial.pick(list(kinds), [kind.weight for kind in kinds.values()])
    trial.note(f"labels: {name}")
    return kinds[name], kinds[name].make(codes, trial.rng)


def codes_of(trial):
    n_classes = trial.pick([2, 3, 4])
    return plain_labels(trial.rng, int(trial.rng.integers(12, 60)), n_classes)


def odd_value(trial, plain, share=0.3, name="argument"):
    """Return a plain value, or one of any type."""
    if not trial.chance(share):
        return plain
    value = trial.pick(ANYTHING)
    trial.note(f"{name}: {value!r}")
    return value


def _proba(trial, codes, n_classes):
    logits = trial.rng.normal(size=(len(codes), n_classes))
    logits[np.arange(len(codes)), codes] += 2
    proba = np.exp(logits)
    return proba / proba.sum(1, keepdims=True)


def _break_proba(trial, proba):
    """Return probabilities of some container, or broken ones, and what to expect."""
    with_nan = proba.copy()
    with_nan[0, 0] = np.nan
    negative = proba.copy()
    negative[0, :2] = [-0.5, 1.5]
    kinds = {
        "plain": (proba, "fits"),
        "float32": (proba.astype(np.float32), "fits"),
        "Fortran order": (np.asfortranarray(proba), "fits"),
        "lists": (proba.tolist(), "fits"),
        "DataFrame": (pd.DataFrame(proba), "fits"),
        "tensor": (torch.tensor(proba), "fits"),
        "polars": (pl.DataFrame(proba), "either"),
        "float16": (proba.astype(np.float16), "either"),
        "one-hot": (np.eye(proba.shape[1])[proba.argmax(1)], "fits"),
        "uniform": (np.full_like(proba, 1 / proba.shape[1]), "fits"),
        "NaN": (with_nan, "refused"),
        "negative": (negative, "refused"),
        "sums of 2": (proba * 2, "refused"),
        "logits": (np.log(proba), "refused"),
        "one column": (proba[:, 0], "refused"),
        "row too few": (proba[:-1], "refused"),
        "column too few": (proba[:, :1], "refused"),
        "None": (None, "refused"),
        "words": (proba.astype(str), "either"),
        "object": (proba.astype(object), "either"),
        "empty": (proba[:0], "refused"),
    }
    name = trial.pick(list(kinds), [6] + [1] * (len(kinds) - 1))
    trial.note(f"pred_probs: {name}")
    return kinds[name]


def find_label_issues(trial):
    """``find_label_issues``."""
    codes = codes_of(trial)
    proba, expect = _break_proba(trial, _proba(trial, codes, codes.max() + 1))
    labels = trial.pick(
        [codes, codes.tolist(), codes.astype(np.int8), pd.Series(codes)]
    )
    if trial.chance(0.3):
        kind, labels = _labels(trial, codes)
        expect = "refused" if "refused" in (kind.expect, expect) else "either"
        if kind.expect == "refused" and np.size(labels) == len(codes):
            expect = "either"  # one class, or an unused column, is no fault here
    rules = [
        "prune_by_noise_rate", "prune_by_class", "both", "confident_learning",
        "predicted_neq_given", "low_normalized_margin", "low_self_confidence",
    ]  # fmt: skip
    qualities = ["self_confidence", "normalized_margin", "confidence_weighted_entropy"]
    options = {"filter_by": trial.pick(rules)}
    if trial.chance(0.5):
        options["return_indices_ranked_by"] = trial.pick(qualities)
    if trial.chance(0.3):
        name = trial.pick([
            "frac_noise", "min_examples_per_class", "confident_joint", "filter_by",
            "return_indices_ranked_by",
        ])  # fmt: skip
        options[name] = odd_value(trial, 1, 1.0, name)
        expect = "refused" if expect == "refused" else "either"
    trial.note(str(options))
    trial.written = "labels pred_probs " + " ".join(options)
    found = trial.call(
        "find_label_issues",
        lambda: sknoisy.find_label_issues(labels, proba, **options),
        given=(labels, proba),
        expect=expect,
    )
    if options.get("return_indices_ranked_by") is None:
        trial.check(found.dtype == bool and found.shape == (len(codes),), "mask")
    else:
        trial.check(len(set(found.tolist())) == len(found) <= len(codes), "indices")


def compare_labels(trial):
    """``noise_report``, ``estimate_transition_matrix``, their display."""
    codes = codes_of(trial)
    other = trial.rng.permutation(codes)
    kind, y_true = _labels(trial, codes)
    y_noisy = kind.make(other, trial.rng)
    if trial.chance(0.2):
        kind2, y_noisy = _labels(trial, other)
        expect = "refused" if "refused" in (kind.expect, kind2.expect) else "either"
    else:
        expect = kind.expect
    trial.written = "y_true y_noisy labels"
    name = trial.pick(["noise_report", "estimate_transition_matrix"])
    if expect == "refused":
        expect = "either"  # one class is no fault here
    arguments = {}
    if name == "estimate_transition_matrix" and trial.chance(0.3):
        arguments["labels"] = odd_value(
            trial, sorted(set(codes.tolist())), 0.5, "labels"
        )
        expect = "either"
    result = trial.call(
        name,
        lambda: getattr(sknoisy, name)(y_true, y_noisy, **arguments),
        given=(y_true, y_noisy),
        expect=expect,
    )
    if name == "estimate_transition_matrix":
        trial.check(np.allclose(result.sum(1), 1) and (result >= 0).all(), "rows of T")
        if kind.same and not arguments:
            plain = sknoisy.estimate_transition_matrix(codes, other)
            same = y_noisy is not None and np.array_equal(plain, result)
            trial.check(same or expect == "either", "renamed classes: another matrix")


def matrices(trial):
    """Functions that make transition matrices."""
    n_classes = odd_value(trial, trial.pick([2, 3, 5]), name="n_classes")
    rate = odd_value(trial, trial.pick([0, 0.2, 0.5, 1.0]), name="noise_rate")
    if isinstance(n_classes, int | float) and 5 < n_classes:
        n_classes = 5
    name = trial.pick(["pair_flip_matrix", "symmetric_matrix"])
    function = getattr(noise, name)
    trial.written = "n_classes noise_rate convention"
    extra = {}
    if name == "symmetric_matrix" and trial.chance(0.4):
        extra["convention"] = odd_value(trial, "include", 0.4, "convention")
    T = trial.call(name, lambda: function(n_classes, rate, **extra))
    T = np.asarray(T, dtype=np.float64)
    good = T.ndim == 2 and np.allclose(T.sum(1), 1) and (T >= 0).all()
    trial.check(good and len(T) == n_classes, "T is no transition matrix")


def array_functions(trial):
    """``empirical_transition_matrix``, ``anchor_transition_matrix``, and the like."""
    codes = codes_of(trial)
    n_classes = int(codes.max() + 1)
    proba, _ = _break_proba(trial, _proba(trial, codes, n_classes))
    trial.written = "proba percentile true_codes noisy_codes n_classes X projections"
    if trial.chance(0.5):
        percentile = odd_value(trial, 97, name="percentile")
        T = trial.call(
            "anchor_transition_matrix",
            lambda: classification.anchor_transition_matrix(proba, percentile),
            given=(proba,),
        )
        trial.check(np.allclose(T.sum(1), 1, atol=1e-3), "rows of T")
        return
    noisy = trial.rng.permutation(codes)
    if trial.chance(0.3):
        noisy = trial.pick([noisy - 1, noisy + 1, noisy[:-1], noisy * 0.5, noisy * 1j])
    size = odd_value(trial, n_classes, 0.2, "n_classes")
    if isinstance(size, int) and size > 5:
        size = 5
    T = trial.call(
        "empirical_transition_matrix",
        lambda: noise.empirical_transition_matrix(codes, noisy, size),
        given=(codes, noisy),
    )
    trial.check(np.allclose(T.sum(1), 1), "rows of T")


def mixture(trial, name):
    """A mixture of losses."""
    cls = getattr(sknoisy, name)
    trial.subject = name
    params = {"random_state": 0}
    expects = []
    for _ in range(trial.pick([0, 1, 2], [5, 4, 1])):
        key, value, expected = odd_parameter(trial, cls)
        params[key] = value
        expects.append(expected)
    losses = np.r_[trial.rng.beta(2, 8, 40), trial.rng.beta(8, 2, 12)]
    X, expect = _losses(trial, losses, name)
    trial.note(f"{name}({params})")
    trial.written = f"{params} {name} losses"
    if expects:
        expect = "refused" if "refused" in (expect, *expects) else "either"
    model = trial.call("build", lambda: cls(**params))
    trial.call("fit", lambda: model.fit(X), given=(X, model), expect=expect)
    proba = trial.call("predict_proba", lambda: model.predict_proba(X), given=(X,))
    trial.check(np.isfinite(proba).all() and (proba >= 0).all(), "predict_proba")
    trial.check(np.allclose(proba.sum(1), 1), "rows of predict_proba")
    labels = trial.call("predict", lambda: model.predict(X), given=(X,))
    trial.check(set(as_list(labels)) <= {0, 1}, "predict")
    if name == "BetaMixture":
        trial.call("aic", lambda: (model.aic(X), model.bic(X), model.sample(3)))
    else:
        p = trial.call("transform", lambda: model.transform(X))
        trial.check(np.allclose(np.asarray(p)[:, 0], proba[:, 1]), "transform")
    again = clone(model).fit(X).predict_proba(X)
    trial.check(np.array_equal(again, proba), "the same seed, other bits")


def _losses(trial, losses, name):
    column = losses[:, None] if name == "BetaMixture" else losses
    kinds = {
        "plain": (column, "fits"),
        "float32": (column.astype(np.float32), "fits"),
        "column": (losses[:, None], "fits"),
        "frame": (pd.DataFrame({"a": losses}), "fits"),
        "read-only": (_locked(column), "fits"),
        "reversed": (column[::-1], "fits"),
        "lists": (column.tolist(), "fits"),
        "polars": (pl.DataFrame({"a": losses}), "either"),
        "Series": (pd.Series(losses), "either"),
        "tensor": (torch.tensor(column), "either"),
        "constant": (np.full_like(column, 0.3), "either"),
        "zeros": (np.zeros_like(column), "either"),
        "two values": (np.round(column), "either"),
        "one outlier": (np.r_[column, column[:1] + 1e6], "either"),
        "1e30": (column * 1e30, "either"),
        "1e-300": (column * 1e-300, "either"),
        "few": (column[:3], "either"),
        "one": (column[:1], "either"),
        "two columns": (np.c_[losses, losses], "either"),
        "negative": (-column, "refused" if name != "BetaMixture" else "either"),
        "NaN": (np.where(column == column.max(), np.nan, column), "refused"),
        "infinite": (np.where(column == column.max(), np.inf, column), "refused"),
        "words": (column.astype(str).tolist(), "either"),
        "empty": (column[:0], "refused"),
        "None": (None, "refused"),
        "dict": ({"a": 1}, "refused"),
        "complex": (column + 1j, "refused"),
        "3-D": (losses[:, None, None], "refused"),
    }
    key = trial.pick(list(kinds), [8] + [1] * (len(kinds) - 1))
    trial.note(f"losses: {key}")
    return kinds[key]


def _locked(values):
    values = values.copy()
    values.flags.writeable = False
    return values


def _detector(trial):
    return trial.pick([
        sknoisy.LossMixtureDetector(LogisticRegression(), cv=2, random_state=0),
        sknoisy.NeighborVoteDetector(n_rounds=1, n_neighbors=3, random_state=0),
        sknoisy.NoisyLabelFilter(
            sknoisy.NeighborVoteDetector(n_rounds=1, n_neighbors=3, random_state=0)
        ),
    ])  # fmt: skip


def label_report(trial):
    """``label_report`` and its page."""
    codes = codes_of(trial)
    base = plain_features(trial.rng, codes, 3)
    kind, y = _labels(trial, codes)
    x_kind = TABLES[trial.pick(list(PLAIN_X) if trial.chance(0.7) else list(TABLES))]
    X = x_kind.make(base, trial.rng)
    detector = odd_value(trial, _detector(trial), 0.1, "detector")
    options = {}
    if trial.chance(0.15):
        options["confidence"] = trial.pick([0.5, 0, 1, -1, "x", None, np.nan])
    trial.note(f"{detector!r}, {options}")
    trial.written = f"{detector!r} detector confidence"
    expects = {kind.expect, x_kind.expect, "either" if options else "fits"}
    expect = "refused" if "refused" in expects else "either"
    report = trial.call(
        "label_report",
        lambda: sknoisy.label_report(detector, X, y, **options),
        given=(X, y),
        expect=expect if not options else "either",
    )
    trial.check(isinstance(report, sknoisy.LabelReport), "no LabelReport")
    trial.check(len(report.frame) == len(codes), "the frame has another length")
    trial.call("parts", lambda: (repr(report), report.by_class, report.confusion,
                                 report._repr_html_()), expect="fits")  # fmt: skip
    _page(trial, report, X)


def _page(trial, report, X):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        options = {"max_rows": odd_value(trial, 5, 0.2, "max_rows")}
        if trial.chance(0.5):
            options["X"] = X
        trial.written += " path X max_rows overwrite"
        trial.call("to_html", lambda: report.to_html(path, **options), given=(X,))
        text = path.read_text(encoding="utf-8")
        trial.check("<html" in text and "</html>" in text, "the page is not whole")
        if trial.chance(0.3):
            trial.call("to_html again", lambda: report.to_html(path), expect="refused")
