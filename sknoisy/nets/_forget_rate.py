"""The share of rows that a method leaves out, its ramp, and its estimate."""

from __future__ import annotations

import math
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
from scipy.special import logsumexp
from torch import Tensor
from torch.utils.data import Subset

from sknoisy._interruption import interruptions
from sknoisy._planting._jobs import Jobs, result_of
from sknoisy.nets._epoch_shares import resolve_epochs
from sknoisy.nets._net import NetClassifier

__all__ = [
    "current_forget_rate",
    "estimate_noise_rate",
    "forget_rate_at",
    "number_kept",
    "resolve_forget_rate",
    "select_small_losses",
    "stratified_halves",
]

# Share of the epochs over which the rate rises by default.
_RAMP_SHARE = 0.25

# Share of the rows predicted as a class that are used: the most confident ones.
_ANCHOR_SHARE = 0.05
_MIN_ANCHORS = 5
# Above this, small classes would have no rows left.
_MAX_RATE = 0.9
# Short trainings that rank rows without memorising wrong labels.
_MIN_EPOCHS, _MAX_EPOCHS = 5, 25
_MIN_ROWS = 4
# (1 - 0.9) * 10 is 0.9999999999999998 in floats, but must give 1 of 10.
_ROUNDING = 1e-9


def number_kept(n: int, forget_rate: float) -> int:
    """Return ⌊(1 − τ) n⌋, but at least 1: the number of n that is kept.

    Parameters
    ----------
    n : int
        Total number, for example of rows.
    forget_rate : float in [0, 1)
        τ.

    Returns
    -------
    n_kept : int
        Number that is kept.
    """
    return max(1, math.floor((1 - forget_rate) * n + _ROUNDING))


def select_small_losses(loss: Tensor, forget_rate: float) -> Tensor:
    """Return the rows of a batch with the smallest losses.

    Parameters
    ----------
    loss : Tensor of shape (..., batch)
        One loss for each row, of one network or of several.
    forget_rate : float in [0, 1)
        R. Of a batch of B rows ⌊(1 − R) B⌋ are selected, at least one.

    Returns
    -------
    selected : Tensor of shape (..., n_selected), dtype int64
        Positions in the batch, unordered. Losses that are not finite come last.
    """
    n_selected = number_kept(loss.shape[-1], forget_rate)
    return loss.detach().topk(n_selected, largest=False, sorted=False).indices


def forget_rate_at(
    epoch: int, forget_rate: float, ramp_epochs: float, exponent: float = 1.0
) -> float:
    """Return the share of rows R(T) that is left out in an epoch.

    Parameters
    ----------
    epoch : int >= 1
        T, the first one is 1.
    forget_rate : float in [0, 1)
        τ.
    ramp_epochs : float >= 1
        T_k: over these R rises in equal steps, from 0 to τ^c.
    exponent : float > 0, default=1.0
        c.

    Returns
    -------
    rate : float
        Share of the rows of a batch.
    """
    if epoch > ramp_epochs:
        return forget_rate
    return forget_rate**exponent * (epoch - 1) / max(ramp_epochs - 1, 1)


def current_forget_rate(net: Any) -> float:
    """Return the share of rows that a net leaves out in the current epoch.

    Parameters
    ----------
    net : NetClassifier
        With ``forget_rate_`` as returned by `resolve_forget_rate`, and the parameters
        ``ramp_epochs``, "auto" or a number, and ``exponent``.

    Returns
    -------
    rate : float
        Share of the rows of a batch.
    """
    ramp = resolve_epochs(net.ramp_epochs, _RAMP_SHARE, net.max_epochs)
    return forget_rate_at(len(net.history), net.forget_rate_, ramp, net.exponent)


def stratified_halves(codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Split rows at random into two halves with similar shares of the classes.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
    rng : Generator

    Returns
    -------
    halves : list of two ndarray, dtype int64
        Row numbers in increasing order. The halves differ by at most one row, also in
        every class.
    """
    order = np.lexsort((rng.random(len(codes)), codes))
    return [np.sort(order[0::2]), np.sort(order[1::2])]


def estimate_noise_rate(logits: np.ndarray, codes: np.ndarray) -> float:
    """Return the share of wrong labels among the most confident predictions.

    Held-out predictions of the highest confidence are rarely wrong, even if others
    often are, so a different label there is a wrong one. Of the rows predicted as a
    class, the most confident twentieth is used, at least 5 rows. The classes are
    weighted by how often they are predicted.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
        Out-of-fold predictions.
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.

    Returns
    -------
    noise_rate : float
        At most 0.9, and at most 1 - 1 / n_classes, the rate of random labels.
    """
    n_samples, n_classes = logits.shape
    logits = logits.astype(np.float64)
    predicted = logits.argmax(1)
    rows = np.arange(n_samples)
    others = logits.copy()
    others[rows, predicted] = -np.inf
    # Log odds, since probabilities near 1 would be rounded to ties.
    sureness = logits[rows, predicted] - logsumexp(others, axis=1)
    is_other = predicted != codes
    rate = 0.0
    for of_class in np.unique(predicted):
        rows = np.flatnonzero(predicted == of_class)
        n_anchors = max(_MIN_ANCHORS, int(np.ceil(_ANCHOR_SHARE * len(rows))))
        anchors = rows[np.argsort(-sureness[rows], kind="stable")[:n_anchors]]
        rate += len(rows) / n_samples * is_other[anchors].mean()
    return float(min(rate, _MAX_RATE, 1 - 1 / n_classes))


def resolve_forget_rate(net: Any, dataset: Any) -> float:
    """Return the share of rows that a net leaves out; estimate it for "auto".

    Parameters
    ----------
    net : NetClassifier
        With a parameter ``forget_rate``, "auto" or a float. It has its data, but
        need not be built.
    dataset : ArrayDataset
        All rows given to ``fit``.

    Returns
    -------
    forget_rate : float
        Share of the rows that is left out.

    Raises
    ------
    ValueError
        If there are too few rows for an estimate.
    """
    if net.forget_rate != "auto":
        return float(net.forget_rate)
    if len(dataset) < _MIN_ROWS:
        raise ValueError(
            "forget_rate='auto' trains on one half of the rows and predicts the other, "
            f"and needs {_MIN_ROWS} of them; got n_samples = {len(dataset)}. Set "
            "forget_rate to a number."
        )
    return estimate_noise_rate(_out_of_fold_logits(net, dataset), dataset.codes)


def _out_of_fold_logits(net, dataset):
    """Train a plain network on each half of the rows, and predict the other half."""
    halves = stratified_halves(dataset.codes, np.random.default_rng([net.seed_, 0]))
    classes = np.arange(len(net.classes_))
    logits = np.empty((len(dataset), len(classes)), dtype=np.float32)
    tasks = [
        (_half_logits, _plain_params(net, own, number), dataset, classes, other)
        for number, (own, other) in enumerate([halves, halves[::-1]])
    ]
    with Jobs() as jobs, closing(jobs.results(tasks)) as results:
        for (*_, other), result in zip(tasks, results, strict=True):
            logits[other] = result_of(result)
    return logits


def _half_logits(params, dataset, classes, other):
    """Train a plain network on one half of the rows; return its logits of the other."""
    first = NetClassifier(**params)
    with interruptions("raise"):
        first.partial_fit(dataset, classes=classes)
    _, _, predicted = first.eval_pass(Subset(dataset, other), ["module"])
    return predicted["module"].cpu().numpy()


def _plain_params(net, rows, number):
    """Return the parameters of a plain `NetClassifier` like a net, for some rows."""
    # Callbacks and their parameters are only for the fit of the user.
    # Masking would cost three times as much, and does not improve the estimate.
    left_out = {"callbacks", "masking"}
    known = {*NetClassifier().get_params(deep=False)} - left_out
    parts = {*NetClassifier.prefixes_} - left_out
    params = {
        name: value
        for name, value in net.get_params(deep=False).items()
        if name in known or ("__" in name and name.split("__")[0] in parts)
    }
    n_epochs = np.clip(round(net.max_epochs / 2), _MIN_EPOCHS, _MAX_EPOCHS)
    return params | {
        "max_epochs": int(n_epochs),
        "train_split": partial(_only, rows),
        "random_state": (net.seed_ + number) % 2**31,
        "verbose": 0,
        # The file is only for the training of the user, whose setting is in force.
        "checkpoint": None,
        "settings": None,
    }


def _only(rows, dataset, codes):
    """Split off the rows to train on, without a copy."""
    return Subset(dataset, rows), None
