"""Which rows a method forgets: how many, from which epoch on, and the others."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from scipy.special import logsumexp
from torch import Tensor
from torch.utils.data import Subset

from sknoisy._interruption import interruptions
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

# Of the epochs, the share over which the rate rises if nothing is said of it.
_RAMP_SHARE = 0.25

# Of the rows predicted to be of a class, those that are asked: the surest ones.
_ANCHOR_SHARE = 0.05
_MIN_ANCHORS = 5
# Beyond this, small classes would be left with no rows to learn from.
_MAX_RATE = 0.9
# Networks that are to rank rows, not to learn wrong labels by heart.
_MIN_EPOCHS, _MAX_EPOCHS = 5, 25
_MIN_ROWS = 4
# (1 - 0.9) * 10 is 0.9999999999999998 in floats, and 1 of 10 is meant.
_ROUNDING = 1e-9


def number_kept(n: int, forget_rate: float) -> int:
    """Return ⌊(1 − τ) n⌋, but at least 1: what is left of n if a share is forgotten.

    Parameters
    ----------
    n : int
        Of how many, rows for example.
    forget_rate : float in [0, 1)
        τ.

    Returns
    -------
    n_kept : int
        How many are left.
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
        Positions in the batch, in no order. Losses that are not finite come last.
    """
    n_selected = number_kept(loss.shape[-1], forget_rate)
    return loss.detach().topk(n_selected, largest=False, sorted=False).indices


def forget_rate_at(
    epoch: int, forget_rate: float, ramp_epochs: int, exponent: float = 1.0
) -> float:
    """Return the share of rows R(T) that is forgotten in an epoch.

    Parameters
    ----------
    epoch : int >= 1
        T, the first one is 1.
    forget_rate : float in [0, 1)
        τ.
    ramp_epochs : int >= 1
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
    """Return the share of rows that a net forgets in the epoch under way.

    Parameters
    ----------
    net : NetClassifier
        With ``forget_rate_``, as `resolve_forget_rate` gives it, and the parameters
        ``ramp_epochs``, "auto" or a number, and ``exponent``.

    Returns
    -------
    rate : float
        Share of the rows of a batch.
    """
    ramp = resolve_epochs(net.ramp_epochs, _RAMP_SHARE, net.max_epochs)
    return forget_rate_at(len(net.history), net.forget_rate_, ramp, net.exponent)


def stratified_halves(codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Split rows at random into two halves with like shares of the classes.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
    rng : Generator

    Returns
    -------
    halves : list of two ndarray, dtype int64
        Row numbers in rising order. The halves differ by one row at most, in every
        class, too.
    """
    order = np.lexsort((rng.random(len(codes)), codes))
    return [np.sort(order[0::2]), np.sort(order[1::2])]


def estimate_noise_rate(logits: np.ndarray, codes: np.ndarray) -> float:
    """Return the share of wrong labels among the surest predictions of each class.

    Where a network that has not seen the row is surest, it is hardly ever wrong, even
    if it is often wrong elsewhere: there a label that differs is a wrong one. Of the
    rows predicted to be of a class, the surest twentieth is asked, at least 5 rows.
    The classes count by how often they are predicted.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
        Out-of-fold predictions.
    codes : ndarray of shape (n_samples,), dtype int64
        The given labels.

    Returns
    -------
    noise_rate : float
        At most 0.9, and at most 1 - 1 / n_classes: labels drawn by chance.
    """
    n_samples, n_classes = logits.shape
    logits = logits.astype(np.float64)
    predicted = logits.argmax(1)
    rows = np.arange(n_samples)
    others = logits.copy()
    others[rows, predicted] = -np.inf
    # The log odds: probabilities near 1 would be rounded to ties.
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
    """Return the share of rows that a net is to forget; estimate it for "auto".

    Parameters
    ----------
    net : NetClassifier
        With a parameter ``forget_rate``, "auto" or a float. It knows its data, but
        need not be built.
    dataset : ArrayDataset
        All rows given to ``fit``.

    Returns
    -------
    forget_rate : float
        Share of the rows that is to be forgotten.

    Raises
    ------
    ValueError
        If there are too few rows for an estimate.
    """
    if net.forget_rate != "auto":
        return float(net.forget_rate)
    if len(dataset) < _MIN_ROWS:
        raise ValueError(
            "forget_rate='auto' trains on one half of the rows and looks at the other, "
            f"and needs {_MIN_ROWS} of them; got n_samples = {len(dataset)}. Give "
            "forget_rate a number."
        )
    return estimate_noise_rate(_out_of_fold_logits(net, dataset), dataset.codes)


def _out_of_fold_logits(net, dataset):
    """Train a plain network on each half of the rows; let it predict the other."""
    halves = stratified_halves(dataset.codes, np.random.default_rng([net.seed_, 0]))
    classes = np.arange(len(net.classes_))
    logits = np.empty((len(dataset), len(classes)), dtype=np.float32)
    for number, (own, other) in enumerate([halves, halves[::-1]]):
        first = NetClassifier(**_plain_params(net, own, number))
        with interruptions("raise"):
            first.partial_fit(dataset, classes=classes)
        _, _, predicted = first.eval_pass(Subset(dataset, other), ["module"])
        logits[other] = predicted["module"].cpu().numpy()
    return logits


def _plain_params(net, rows, number):
    """Return parameters of a `NetClassifier` like a net, to be trained on some rows."""
    # Callbacks watch the fit that was asked for; their parameters go with them.
    # Masked images would cost three times as much, and tell nothing of labels.
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
        # The file is for the training that was asked for.
        "checkpoint": None,
    }


def _only(rows, dataset, codes):
    """Split off the rows to train on, without copying them."""
    return Subset(dataset, rows), None
