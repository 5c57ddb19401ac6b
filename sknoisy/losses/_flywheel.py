"""The steps of two interlocked EM cycles: which labels are clean, and what others are.

The main network g judges whether a given label ỹ is clean, the auxiliary network f
says what a corrupt one should be, after Equation 1 of the LNL-flywheel
paper: p(ỹ|x) = γ g(x)[ỹ] + (1 − γ) ε(ỹ|x).
"""

import torch
from torch import Tensor

from sknoisy.losses._bootstrap import bootstrap_targets

__all__ = [
    "clean_probability",
    "confidence_penalty",
    "corrupt_label_probability",
    "corruption_matrix",
    "refurbished_targets",
    "target_transition_matrix",
]

# γ and ε are kept from 0 and 1, where a label would be clean or corrupt for ever.
_GAMMA_FLOOR = 1e-4
_EPSILON_FLOOR = 1e-8
# Least weight of a class, relative to the rows: below it nothing is known of its row.
_ROW_FLOOR = 1e-8
# Without it the regulariser has no lower bound: any probability could be driven to 0.
_LOG_OFFSET = 1e-8


@torch.no_grad()
def clean_probability(
    log_proba: Tensor, y: Tensor, gamma: float, epsilon: Tensor | float
) -> Tensor:
    """Return q = γ g[ỹ] / (γ g[ỹ] + (1 − γ) ε), the chance that labels are clean.

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
        Chance that the given label is clean.
    y : Tensor of shape (n,), dtype int64
    proba : Tensor of shape (n, n_classes)
        f, of the auxiliary network.

    Returns
    -------
    targets : Tensor of shape (n, n_classes)
        Rows sum to 1.
    """
    return bootstrap_targets(y, proba, 1 - q)


@torch.no_grad()
def corruption_matrix(q: Tensor, y: Tensor, proba: Tensor) -> Tensor:
    """Return T_c, how corrupt labels are spread: rows = true class, columns = given.

    T_c[y, y'] = Σ_{i: ỹ_i = y'} (1 − q_i) f_i[y] / Σ_i (1 − q_i) f_i[y]

    Parameters
    ----------
    q : Tensor of shape (n,)
    y : Tensor of shape (n,), dtype int64
    proba : Tensor of shape (n, n_classes)
        f, from which the targets were made.

    Returns
    -------
    T_c : Tensor of shape (n_classes, n_classes), dtype float64
        Rows sum to 1; the row of a class without corrupt labels is uniform.
    """
    return _spread((1 - q.double())[:, None] * proba.double(), y)


@torch.no_grad()
def target_transition_matrix(targets: Tensor, y: Tensor) -> Tensor:
    """Return T, the share of each given label among the targets of each class.

    Parameters
    ----------
    targets : Tensor of shape (n, n_classes)
        Q of Equation 11.
    y : Tensor of shape (n,), dtype int64

    Returns
    -------
    T : Tensor of shape (n_classes, n_classes), dtype float64
        Rows = true class, sum to 1.
    """
    return _spread(targets.double(), y)


@torch.no_grad()
def corrupt_label_probability(proba: Tensor, y: Tensor, T_c: Tensor) -> Tensor:
    """Return ε_i = Σ_y f_i[y] T_c[y, ỹ_i], Equation 14.

    Parameters
    ----------
    proba : Tensor of shape (n, n_classes)
        f, after its update.
    y : Tensor of shape (n,), dtype int64
    T_c : Tensor of shape (n_classes, n_classes)

    Returns
    -------
    epsilon : Tensor of shape (n,)
        In [1e-8, 1].
    """
    spread = proba @ T_c.to(proba.dtype)
    return spread.gather(1, y[:, None]).squeeze(1).clamp(_EPSILON_FLOOR, 1)


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
    """
    return (logits.softmax(1) + _LOG_OFFSET).log() @ prior


def _spread(weights: Tensor, y: Tensor) -> Tensor:
    """Sum rows by given label, and scale each class's sums to 1."""
    n_rows, n_classes = weights.shape
    by_label = weights.new_zeros(n_classes, n_classes).index_add_(0, y, weights)
    counts = by_label.T
    total = counts.sum(1, keepdim=True)
    known = total > _ROW_FLOOR * n_rows
    return torch.where(known, counts / total.clamp_min(1e-300), 1 / n_classes)
