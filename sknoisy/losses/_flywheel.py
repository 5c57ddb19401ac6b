"""The steps of two interlocked EM cycles: which labels are clean, and what others are.

The main network g judges whether a given label ỹ is clean, the auxiliary network f
says what a corrupt one should be, after Equation 1 of the LNL-flywheel
paper: p(ỹ|x) = γ g(x)[ỹ] + (1 − γ) ε(ỹ|x).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals, is_one_of
from sknoisy.losses._bootstrap import bootstrap_targets, soft_cross_entropy

__all__ = [
    "FlywheelLoss",
    "clean_probability",
    "confidence_penalty",
    "corrupt_label_probability",
    "corruption_matrix",
    "refurbished_targets",
    "target_transition_matrix",
    "wrong_label_probability",
]

# γ and ε are kept from 0 and 1, where a label would be clean or corrupt for ever.
_GAMMA_FLOOR = 1e-4
_EPSILON_FLOOR = 1e-8
# Least weight of a class, relative to the rows: below it nothing is known of its row.
_ROW_FLOOR = 1e-8
# Without it the regulariser has no lower bound: any probability could be driven to 0.
_LOG_OFFSET = 1e-8
# Rows that are worked on at a time, to spare copies of all.
_BLOCK = 4096


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
        Chance that the given label is clean.
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
    return _scale_rows(_sums(proba, y, _times(1 - q, sample_weight)), len(y))


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
    weight = _times(targets.new_ones(len(y)), sample_weight)
    return _scale_rows(_sums(targets, y, weight), len(y))


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
    """Return (1 − q_i) (1 − f_i[ỹ_i] T_c[ỹ_i, ỹ_i] / ε_i), the chance of a wrong label.

    A corrupt label, drawn from T_c, may be the true one by chance; then it is not
    wrong. By Bayes' theorem the true class of a row with a corrupt label is y with
    probability f_i[y] T_c[y, ỹ_i] / ε_i.

    Parameters
    ----------
    q : Tensor of shape (n,)
        Chance that the given label is clean.
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
    return (logits.softmax(1) + _LOG_OFFSET).log() @ prior


class FlywheelLoss(nn.Module):
    """The losses of both networks, and what the cycles know of every row.

    A cycle is `judge` for all rows, `start_cycle`, training of the auxiliary network
    by `auxiliary_loss`, `refurbish`, and training of the main one by `main_loss`.

    Parameters
    ----------
    n_samples, n_classes : int
        Number of classes.
        Number of rows given to ``fit``.
    lam : float >= 0, default=3.0, the value of [1]_
        Weight λ of the confidence regulariser.
    epsilon : {"estimated", "uniform"}, default="estimated"
        Probability ε of the given label if it is corrupt: Equation 14, or
        1 / n_classes.
    resample : bool, default=True
        Whether the main network learns refurbished labels, Equation 8, or the given
        ones as far as they are clean, Equation 7.

    Attributes
    ----------
    gamma : Tensor of shape ()
        Share γ of clean labels; NaN before the first cycle.
    q : Tensor of shape (n_samples,)
        Chance that the given label is clean.
    epsilon : Tensor of shape (n_samples,)
    proba : Tensor of shape (n_samples, n_classes)
        Last predictions f of the auxiliary network.
    labels : Tensor of shape (n_samples,), dtype int64
        Refurbished labels ŷ.
    prior : Tensor of shape (n_classes,)
        Shares π of the labels that the main network learns.
    corruption : Tensor of shape (n_classes, n_classes)
        T_c.
    given_prior : Tensor of shape (n_classes,)
        Shares of the given labels.

    References
    ----------
    .. [1] H. Kim, H. S. Chang, K. Cho, J. Lee, B. Han, "Learning with noisy labels:
       Interconnection of two expectation-maximizations" (LNL-flywheel).

    Examples
    --------
    >>> import torch
    >>> from sknoisy.losses import FlywheelLoss
    >>> state = FlywheelLoss(n_samples=3, n_classes=2, lam=0.5)
    >>> rows, y = torch.arange(3), torch.tensor([0, 1, 1])
    >>> f = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    >>> state.start(f, y, rows)  # two of three labels are predicted
    >>> state.start_cycle(state.judge(f.log(), y, rows), y, rows)
    >>> state.q
    tensor([0.7826, 0.7826, 0.2857])
    >>> state.refurbish(f, y, rows)
    >>> state.labels
    tensor([0, 1, 0])
    """

    gamma: Tensor
    q: Tensor
    epsilon: Tensor
    proba: Tensor
    labels: Tensor
    prior: Tensor
    corruption: Tensor
    given_prior: Tensor

    def __init__(
        self,
        n_samples: int,
        n_classes: int,
        lam: float = 3.0,
        epsilon: str = "estimated",
        resample: bool = True,
    ) -> None:
        super().__init__()
        check_counts(0, n_samples=n_samples)
        check_counts(n_classes=n_classes)
        check_reals(lam=lam)
        if not is_one_of(epsilon, ("estimated", "uniform")):
            raise ValueError(
                f"epsilon must be 'estimated' or 'uniform'; got {epsilon!r}."
            )
        self.lam = lam
        self.estimates_epsilon = epsilon == "estimated"
        self.resample = resample
        uniform = 1 / n_classes
        self.register_buffer("gamma", torch.tensor(torch.nan))
        self.register_buffer("q", torch.ones(n_samples))
        self.register_buffer("epsilon", torch.full((n_samples,), uniform))
        self.register_buffer("proba", torch.full((n_samples, n_classes), uniform))
        self.register_buffer("labels", torch.zeros(n_samples, dtype=torch.int64))
        self.register_buffer("prior", torch.full((n_classes,), uniform))
        self.register_buffer("given_prior", torch.full((n_classes,), uniform))
        square = torch.full((n_classes, n_classes), uniform)
        self.register_buffer("corruption", square)

    @torch.no_grad()
    def start(
        self,
        proba: Tensor,
        y: Tensor,
        rows: Tensor,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Begin after the warm-up: γ is the training accuracy of the auxiliary network.

        Parameters
        ----------
        proba : Tensor of shape (n, n_classes)
            What the auxiliary network predicts.
        y : Tensor of shape (n,), dtype int64
            Given labels.
        rows : Tensor of shape (n,), dtype int64
            Row numbers.
        sample_weight : Tensor of shape (n,), default=None
            Weight of each row; None weighs all rows equally.
        """
        self._keep(proba, y, rows, sample_weight)
        self.gamma.copy_(_accuracy(proba, y, sample_weight))
        self.given_prior.copy_(_shares(y, sample_weight, len(self.given_prior)))

    @torch.no_grad()
    def judge(self, logits: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        """Return how likely the labels of some rows are clean, Equation 4.

        Parameters
        ----------
        logits : Tensor of shape (n, n_classes)
            Of the main network.
        y : Tensor of shape (n,), dtype int64
            Codes of the given labels.
        rows : Tensor of shape (n,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        q : Tensor of shape (n,)
            Probability that each label is clean.
        """
        return _judge(logits, y, float(self.gamma), self.epsilon[rows])

    @torch.no_grad()
    def start_cycle(
        self,
        q: Tensor,
        y: Tensor,
        rows: Tensor,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in what the main network says of the rows: q, γ and T_c.

        Parameters
        ----------
        q : Tensor of shape (n,)
            Probability that each label is clean.
        y : Tensor of shape (n,), dtype int64
            Codes of the given labels.
        rows : Tensor of shape (n,), dtype int64
            Row numbers in the X given to ``fit``.
        sample_weight : Tensor of shape (n,), default=None
            Weight of each row; None weighs all rows equally.
        """
        self.q[rows] = q
        self.gamma.copy_(_mean(q, sample_weight))
        spread = corruption_matrix(q, y, self.proba[rows], sample_weight)
        self.corruption.copy_(spread)

    @torch.no_grad()
    def refurbish(
        self,
        proba: Tensor,
        y: Tensor,
        rows: Tensor,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in what the auxiliary network, once trained, says: ŷ, π and ε.

        Parameters
        ----------
        proba : Tensor of shape (n, n_classes)
            Class probabilities of the rows.
        y : Tensor of shape (n,), dtype int64
            Codes of the given labels.
        rows : Tensor of shape (n,), dtype int64
            Row numbers in the X given to ``fit``.
        sample_weight : Tensor of shape (n,), default=None
            Weight of each row; None weighs all rows equally.
        """
        self._keep(proba, y, rows, sample_weight)
        if self.estimates_epsilon:
            self.epsilon[rows] = corrupt_label_probability(proba, y, self.corruption)

    def targets(self, y: Tensor, rows: Tensor) -> Tensor:
        """Return Q of Equation 11 for some rows, shape (n, n_classes).

        Parameters
        ----------
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.
        rows : Tensor of shape (n,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        targets : Tensor of shape (n, n_classes)
            Target distribution of each row.
        """
        return refurbished_targets(self.q[rows], y, self.proba[rows])

    def auxiliary_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each row for the auxiliary network, Equation 13.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        targets : Tensor of shape (batch, n_classes)
            Q, mixed as the rows were.

        Returns
        -------
        loss : Tensor of shape (batch,)
            One loss for each row.
        """
        return soft_cross_entropy(logits, targets)

    def main_loss(self, logits: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        """Return the loss of each row for the main network, Equation 8 or 7.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Outputs of the network.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.
        rows : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        loss : Tensor of shape (batch,)
            One loss for each row.
        """
        learnt = self.labels[rows] if self.resample else y
        loss = F.cross_entropy(logits, learnt, reduction="none")
        if not self.resample:
            loss = self.q[rows] * loss
        if self.lam:
            loss = loss + self.lam * confidence_penalty(logits, self.prior)
        return loss

    @torch.no_grad()
    def conclude(
        self,
        proba: Tensor,
        logits: Tensor,
        y: Tensor,
        rows: Tensor,
        sample_weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Say of any rows what one more cycle would find; the state stays as it is.

        Parameters
        ----------
        proba : Tensor of shape (n, n_classes)
            Of the auxiliary network.
        logits : Tensor of shape (n, n_classes)
            Of the main network.
        y, rows : Tensor of shape (n,), dtype int64
            Row numbers in the X given to ``fit``.
            Codes of the given labels.
        sample_weight : Tensor of shape (n,), default=None
            Weight of each row; None weighs all rows equally.

        Returns
        -------
        q : Tensor of shape (n,)
            Probability that each label is clean.
        wrong : Tensor of shape (n,)
            As `wrong_label_probability`.
        T, T_c : Tensor of shape (n_classes, n_classes), dtype float64
            Transition matrices of all labels and of the corrupt ones.
        """
        gamma = self.gamma
        if gamma.isnan():
            gamma = _accuracy(proba, y, sample_weight)
        epsilon = self.epsilon[rows]
        if self.estimates_epsilon:
            epsilon = corrupt_label_probability(proba, y, self.corruption)
        q = _judge(logits, y, float(gamma), epsilon)
        corrupt = _sums(proba, y, _times(1 - q, sample_weight))
        # Σ Q: what is clean stays with its label.
        weight = _times(q, sample_weight).double()
        clean = torch.bincount(y, weight, minlength=len(corrupt))
        T_c = _scale_rows(corrupt, len(y))
        T = _scale_rows(corrupt + clean.diag(), len(y))
        return q, wrong_label_probability(q, y, proba, T_c), T, T_c

    def _keep(
        self, proba: Tensor, y: Tensor, rows: Tensor, sample_weight: Tensor | None
    ) -> None:
        self.proba[rows] = proba
        self.labels[rows] = proba.argmax(1)
        learnt = self.labels[rows] if self.resample else y
        self.prior.copy_(_shares(learnt, sample_weight, len(self.prior)))


def _times(weight: Tensor, sample_weight: Tensor | None) -> Tensor:
    return weight if sample_weight is None else weight * sample_weight


def _mean(values: Tensor, sample_weight: Tensor | None) -> Tensor:
    if sample_weight is None:
        return values.mean()
    return (values * sample_weight).sum() / sample_weight.sum()


def _accuracy(proba: Tensor, y: Tensor, sample_weight: Tensor | None) -> Tensor:
    return _mean((proba.argmax(1) == y).float(), sample_weight)


def _shares(y: Tensor, sample_weight: Tensor | None, n_classes: int) -> Tensor:
    # In single precision a sum of weights ends at 16 million.
    weight = None if sample_weight is None else sample_weight.double()
    counts = torch.bincount(y, weight, minlength=n_classes)
    return counts / counts.sum()


def _judge(logits: Tensor, y: Tensor, gamma: float, epsilon: Tensor) -> Tensor:
    """Return `clean_probability`, a block of rows at a time."""
    parts = zip(
        logits.split(_BLOCK), y.split(_BLOCK), epsilon.split(_BLOCK), strict=True
    )
    return torch.cat(
        [clean_probability(part.log_softmax(1), of, gamma, e) for part, of, e in parts]
    )


def _sums(proba: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return Σ w_i f_i[y] over the rows with label y', rows = y, columns = y'."""
    n_classes = proba.shape[1]
    by_label = proba.new_zeros(n_classes, n_classes, dtype=torch.float64)
    parts = zip(proba.split(_BLOCK), y.split(_BLOCK), weight.split(_BLOCK), strict=True)
    for part, labels, counts in parts:
        by_label.index_add_(0, labels, part.double() * counts.double()[:, None])
    return by_label.T


def _scale_rows(sums: Tensor, n_rows: int) -> Tensor:
    """Scale each class's sums to 1; uniform where there is nothing."""
    total = sums.sum(1, keepdim=True)
    known = total > _ROW_FLOOR * n_rows
    return torch.where(known, sums / total.clamp_min(1e-300), 1 / len(sums))
