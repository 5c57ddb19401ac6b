"""What a fitted estimator must say, whatever it was fitted on."""

import numpy as np
import pandas as pd
import polars as pl
import torch


def as_list(y):
    """Return labels of any container as a list."""
    if isinstance(y, pd.DataFrame):
        y = y.iloc[:, 0]
    if isinstance(y, pl.DataFrame):
        y = y.to_series()
    if isinstance(y, pl.Series):
        return y.to_list()
    if isinstance(y, torch.Tensor):
        return y.detach().reshape(-1).tolist()
    if isinstance(y, pd.Series | pd.Index | pd.Categorical):
        return list(y)
    if isinstance(y, np.ndarray):
        return y.reshape(-1).tolist()
    return list(y)


def check_verdict(trial, judge, n_samples):
    """Check what a detector or a robust classifier says about the labels."""
    scores = np.asarray(judge.noise_scores_)
    trial.check(scores.shape == (n_samples,), "noise_scores_ has another length")
    trial.check(scores.dtype == np.float64, f"noise_scores_ is {scores.dtype}")
    trial.check(np.isfinite(scores).all(), "noise_scores_ is not finite")
    trial.check(((scores >= 0) & (scores <= 1)).all(), "noise_scores_ leaves [0, 1]")
    mask = np.asarray(judge.noise_mask_)
    trial.check(mask.dtype == bool and mask.shape == (n_samples,), "noise_mask_")
    rate = judge.noise_rate_
    trial.check(isinstance(rate, float) and 0 <= rate <= 1, f"noise_rate_ is {rate!r}")
    suggested = as_list(judge.suggested_labels_)
    known = as_list(judge.classes_)
    trial.check(len(suggested) == n_samples, "suggested_labels_ has another length")
    strange = [label for label in suggested if label not in known]
    trial.check(not strange, f"suggested_labels_ has {strange[:1]}, not in classes_")
    ranking = trial.call("ranking", judge.ranking, expect="fits")
    if trial.outcome == "valid fit":
        trial.check(sorted(ranking) == list(range(n_samples)), "ranking is none")
        trial.check((np.diff(scores[ranking]) <= 0).all(), "ranking leaves the scores")
        for row in np.atleast_1d(getattr(judge, "unjudged_", [])).astype(int):
            trial.check(scores[row] == 0.5 and not mask[row], "unjudged row is judged")
    proba = getattr(judge, "label_proba_", None)
    if proba is not None:
        check_proba(trial, proba, n_samples, len(known), "label_proba_")


def check_proba(trial, proba, n_samples, n_classes, name="predict_proba"):
    """Check that rows are probabilities."""
    proba = np.asarray(proba, dtype=np.float64)
    trial.check(proba.shape == (n_samples, n_classes), f"{name} is {proba.shape}")
    trial.check(np.isfinite(proba).all(), f"{name} is not finite")
    trial.check((proba >= 0).all(), f"{name} is negative")
    trial.check(
        np.allclose(proba.sum(1), 1, atol=1e-4), f"rows of {name} do not sum to 1"
    )


def check_injected(trial, injector, y, y_noisy, *, same_kind):
    """Check noisy labels against the clean ones."""
    before, after = as_list(y), as_list(y_noisy)
    trial.check(len(before) == len(after), "the noisy labels have another length")
    known = as_list(injector.classes_)
    strange = [label for label in after if label not in known]
    trial.check(not strange, f"the noisy labels have {strange[:1]}, not in classes_")
    changed = [bool(a != b) for a, b in zip(before, after, strict=False)]
    trial.check(
        changed == injector.noise_mask_.tolist(), "noise_mask_ is not y != y_noisy"
    )
    trial.check(np.isclose(injector.noise_rate_, np.mean(changed)), "noise_rate_")
    matrix = np.asarray(injector.transition_matrix_)
    trial.check(matrix.shape == (len(known), len(known)), f"matrix is {matrix.shape}")
    trial.check(np.allclose(matrix.sum(1), 1) and (matrix >= 0).all(), "matrix rows")
    if same_kind:
        trial.check(
            type(y) is type(y_noisy), f"y came back as {type(y_noisy).__name__}"
        )
        dtypes = [str(getattr(labels, "dtype", "")) for labels in (y, y_noisy)]
        trial.check(
            dtypes[0] == dtypes[1], f"y came back as {dtypes[1]}, was {dtypes[0]}"
        )


def check_same_verdict(trial, one, other, label_of, *, tolerance):
    """Check that two fits on the same rows, written differently, agree.

    Parameters
    ----------
    trial : Trial
    one : estimator
        Fitted on the codes.
    other : estimator
        Fitted on the labels that ``label_of`` gives for the codes.
    label_of : dict
    tolerance : float
        For the scores; 0 asks for the same bits.
    """
    gap = np.abs(one.noise_scores_ - other.noise_scores_).max()
    trial.check(
        gap <= tolerance, f"the same data written differently: scores {gap:.2g}"
    )
    if gap <= tolerance:
        expected = [label_of[code] for code in as_list(one.suggested_labels_)]
        trial.check(
            tolerance > 0 or expected == as_list(other.suggested_labels_),
            "the same data written differently: other suggested_labels_",
        )


def outputs_of(estimator, X):
    """Return what a fitted estimator says of X, to compare it after a journey."""
    outputs = {}
    for name in ("predict_proba", "predict", "transform"):
        method = getattr(estimator, name, None)
        if method is not None and X is not None:
            outputs[name] = np.asarray(method(X))
    for name in ("noise_scores_", "noise_mask_", "transition_matrix_"):
        if hasattr(estimator, name):
            outputs[name] = np.asarray(getattr(estimator, name))
    return outputs


def check_same_outputs(trial, before, after, what):
    """Check that two results of `outputs_of` are the same bits."""
    trial.check(before.keys() == after.keys(), f"{what}: other attributes")
    for name in before.keys() & after.keys():
        same = np.array_equal(before[name], after[name])
        trial.check(same, f"{what}: another {name}")
