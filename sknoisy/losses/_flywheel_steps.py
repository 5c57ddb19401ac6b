"""The formulas of two interlocked EM cycles: which labels are clean, what others are.

The main network g judges whether a given label ỹ is clean, the auxiliary network f
says what a corrupt one should be, after Equation 1 of the LNL-flywheel
paper: p(ỹ|x) = γ g(x)[ỹ] + (1 − γ) ε(ỹ|x).
"""

import torch
from torch import Tensor

from sknoisy.losses._bootstrap import bootstrap_targets
from sknoisy.losses._softmax import log_softmax_of, softmax_of

__all__ = [
    "accuracy",
    "clean_probability",
    "clean_in_blocks",
    "confidence_penalty",
    "corrupt_label_probability",
    "corruption_matrix",
    "refurbished_targets",
    "scaled_rows",
    "shares_of",
    "sums_by_label",
    "target_transition_matrix",
    "weight_times",
    "weighted_mean",
    "wrong_label_probability",
]

# γ and ε are clipped away from 0 and 1, which no later update could change.
_GAMMA_FLOOR = 1e-4
_EPSILON_FLOOR = 1e-8
# Least weight of a class, relative to the rows: below it nothing is known of its row.
_ROW_FLOOR = 1e-8
# Without it the regulariser has no lower bound: any probability could be driven to 0.
_LOG_OFFSET = 1e-8
# Rows per chunk, to avoid copies of all rows.
_BLOCK = 4096


@torch.no_grad()
def clean_probability(
    log_proba: Tensor, y: Tensor, gamma: float, epsilon: Tensor | float
) -> Tensor:
    """Return q = γ g[ỹ] / (γ g[ỹ] + (1 − γ) ε), the probability that labels are clean.

    Equation 4 of [1]_; its mean over all rows is the next γ, Equation 6.

    Parameters
    ----------
    log_proba : Tensor of shape (n, n_classes)
        log g, of the main network.
    y : Tensor of shape (n,), dtype int64
        Given labels.
    gamma : float in [0, 1]
        Share of clean labels.
    epsilon : Tensor of shape (n,) or float
        Probability of the given label if it is corrupt.

    Returns
    -------
    q : Tensor of shape (n,)
        Probability that each label is clean.

    References
    ----------
    .. [1] H. Kim, H. S. Chang, K. Cho, J. Lee, B. Han, "Learning with noisy labels:
       Interconnection of two expectation-maximizations" (LNL-flywheel).

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import clean_probability
    >>> uniform = torch.full((1, 4), 0.25).log()
    >>> clean_probability(uniform, torch.tensor([2]), gamma=0.6, epsilon=0.25)
    tensor([0.6000])
    """
    gamma = min(max(gamma, _GAMMA_FLOOR), 1 - _GAMMA_FLOOR)
    epsilon = torch.as_tensor(epsilon, dtype=log_proba.dtype, device=log_proba.device)
    log_given = log_proba.gather(1, y[:, None]).squeeze(1)
    odds = torch.logit(torch.tensor(gamma, dtype=torch.float64)).to(log_proba)
    return torch.sigmoid(odds + log_given - epsilon.clamp(_EPSILON_FLOOR, 1).log())


def refurbished_targets(q: Tensor, y: Tensor, proba: Tensor) -> Tensor:
    """Return Q = q e_ỹ + (1 − q) f, Equation 11: the label as far as it is clean.

    Parameters
    ----------
    q : Tensor of shape (n,)
        Probability that the given label is clean.
    y : Tensor of shape (n,), dtype int64
        Codes of the given labels.
    proba : Tensor of shape (n, n_classes)
        f, of the auxiliary network.

    Returns
    -------
    targets : Tensor of shape (n, n_classes)
        Rows sum to 1.
    """
    return bootstrap_targets(y, proba, 1 - q)


@torch.no_grad()
def corruption_matrix(
    q: Tensor, y: Tensor, proba: Tensor, sample_weight: Tensor | None = None
) -> Tensor:
    """Return T_c, how corrupt labels are spread: rows = true class, columns = given.

    T_c[y, y'] = Σ_{i: ỹ_i = y'} (1 − q_i) f_i[y] / Σ_i (1 − q_i) f_i[y]

    Parameters
    ----------
    q : Tensor of shape (n,)
        Probability that each label is clean.
    y : Tensor of shape (n,), dtype int64
        Codes of the given labels.
    proba : Tensor of shape (n, n_classes)
        f, from which the targets were made.
    sample_weight : Tensor of shape (n,), default=None
        How often each row counts.

    Returns
    -------
    T_c : Tensor of shape (n_classes, n_classes), dtype float64
        Rows sum to 1; the row of a class without corrupt labels is uniform.
    """
    return scaled_rows(
        sums_by_label(proba, y, weight_times(1 - q, sample_weight)), len(y)
    )


@torch.no_grad()
def target_transition_matrix(
    targets: Tensor, y: Tensor, sample_weight: Tensor | None = None
) -> Tensor:
    """Return T, the share of each given label among the targets of each class.

    Parameters
    ----------
    targets : Tensor of shape (n, n_classes)
        Q of Equation 11.
    y : Tensor of shape (n,), dtype int64
        Codes of the given labels.
    sample_weight : Tensor of shape (n,), default=None
        How often each row counts.

    Returns
    -------
    T : Tensor of shape (n_classes, n_classes), dtype float64
        Rows = true class, sum to 1.
    """
    weight = weight_times(targets.new_ones(len(y)), sample_weight)
    return scaled_rows(sums_by_label(targets, y, weight), len(y))


@torch.no_grad()
def corrupt_label_probability(proba: Tensor, y: Tensor, T_c: Tensor) -> Tensor:
    """Return ε_i = Σ_y f_i[y] T_c[y, ỹ_i], Equation 14.

    Parameters
    ----------
    proba : Tensor of shape (n, n_classes)
        f, after its update.
    y : Tensor of shape (n,), dtype int64
        Codes of the given labels.
    T_c : Tensor of shape (n_classes, n_classes)
        Probabilities of the given label (columns) for each target (rows) among corrupt
        labels.

    Returns
    -------
    epsilon : Tensor of shape (n,)
        In [1e-8, 1].
    """
    T_c = T_c.to(proba.dtype)
    parts = zip(proba.split(_BLOCK), y.split(_BLOCK), strict=True)
    spread = [(part @ T_c).gather(1, of[:, None]).squeeze(1) for part, of in parts]
    return torch.cat(spread).clamp(_EPSILON_FLOOR, 1)


@torch.no_grad()
def wrong_label_probability(q: Tensor, y: Tensor, proba: Tensor, T_c: Tensor) -> Tensor:
    """Return (1 − q_i) (1 − f_i[ỹ_i] T_c[ỹ_i, ỹ_i] / ε_i), P(label wrong).

    A corrupt label, drawn from T_c, may be the true one by chance; then it is not
    wrong. By Bayes' theorem the true class of a row with a corrupt label is y with
    probability f_i[y] T_c[y, ỹ_i] / ε_i.

    Parameters
    ----------
    q : Tensor of shape (n,)
        Probability that the given label is clean.
    y : Tensor of shape (n,), dtype int64
        Codes of the given labels.
    proba : Tensor of shape (n, n_classes)
        f.
    T_c : Tensor of shape (n_classes, n_classes)
        Probabilities of the given label (columns) for each target (rows) among corrupt
        labels.

    Returns
    -------
    wrong : Tensor of shape (n,)
        Probability that each label is wrong.
    """
    epsilon = corrupt_label_probability(proba, y, T_c)
    own = T_c.diagonal().to(proba)[y]
    by_chance = proba.gather(1, y[:, None]).squeeze(1) * own / epsilon
    return (1 - q) * (1 - by_chance).clamp_min(0)


def confidence_penalty(logits: Tensor, prior: Tensor) -> Tensor:
    """Return η = Σ_c π_c log(g_c + 1e-8) of each row, Equation 9: low where g is sure.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
        Of the main network g.
    prior : Tensor of shape (n_classes,)
        Shares π of the classes among the refurbished labels.

    Returns
    -------
    penalty : Tensor of shape (batch,)
        Penalty to add to the loss.
    """
    return (softmax_of(logits) + _LOG_OFFSET).log() @ prior


def weight_times(weight: Tensor, sample_weight: Tensor | None) -> Tensor:
    """Return a weight of each row, times how often each row counts."""
    return weight if sample_weight is None else weight * sample_weight


def weighted_mean(values: Tensor, sample_weight: Tensor | None) -> Tensor:
    """Return the mean over the rows, as often as each counts."""
    if sample_weight is None:
        return values.mean()
    return (values * sample_weight).sum() / sample_weight.sum()


def accuracy(proba: Tensor, y: Tensor, sample_weight: Tensor | None) -> Tensor:
    """Return the share of rows whose label is the most probable class."""
    return weighted_mean((proba.argmax(1) == y).float(), sample_weight)


def shares_of(y: Tensor, sample_weight: Tensor | None, n_classes: int) -> Tensor:
    """Return the share of each class among labels, shape (n_classes,)."""
    # In single precision a sum of weights stops growing at 16 million.
    weight = sample_weight
    if weight is not None:
        weight = weight.to(widest_float(weight.device))
    counts = torch.bincount(y, weight, minlength=n_classes)
    return counts / counts.sum()


def widest_float(device: torch.device) -> torch.dtype:
    """Return float64; float32 on a device that has no float64, such as MPS."""
    try:
        return torch.empty(0, dtype=torch.float64, device=device).dtype
    except TypeError:
        return torch.float32


def clean_in_blocks(logits: Tensor, y: Tensor, gamma: float, epsilon: Tensor) -> Tensor:
    """Return `clean_probability`, a block of rows at a time."""
    parts = zip(
        logits.split(_BLOCK), y.split(_BLOCK), epsilon.split(_BLOCK), strict=True
    )
    return torch.cat(
        [clean_probability(log_softmax_of(part), of, gamma, e) for part, of, e in parts]
    )


def sums_by_label(proba: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return Σ w_i f_i[y] over the rows with label y', rows = y, columns = y'."""
    n_classes = proba.shape[1]
    wide = widest_float(proba.device)
    by_label = proba.new_zeros(n_classes, n_classes, dtype=wide)
    parts = zip(proba.split(_BLOCK), y.split(_BLOCK), weight.split(_BLOCK), strict=True)
    for part, labels, counts in parts:
        by_label.index_add_(0, labels, part.to(wide) * counts.to(wide)[:, None])
    return by_label.T


def scaled_rows(sums: Tensor, n_rows: int) -> Tensor:
    """Scale each class's sums to 1; uniform where they are 0."""
    total = sums.sum(1, keepdim=True)
    known = total > _ROW_FLOOR * n_rows
    return torch.where(known, sums / total.clamp_min(1e-300), 1 / len(sums))
