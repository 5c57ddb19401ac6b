"""The losses of LNL-flywheel's networks, and what its cycles know of every row."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknoisy._arguments import check_counts, check_reals, is_one_of
from sknoisy.losses._bootstrap import soft_cross_entropy
from sknoisy.losses._flywheel_steps import (
    accuracy,
    clean_in_blocks,
    confidence_penalty,
    corrupt_label_probability,
    corruption_matrix,
    refurbished_targets,
    scaled_rows,
    shares_of,
    sums_by_label,
    weight_times,
    weighted_mean,
    wrong_label_probability,
)

__all__ = ["FlywheelLoss"]


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
    auxiliary : bool, default=True
        Whether there is an auxiliary network. Without it a cycle is `judge`,
        `start_cycle` and training by `main_loss`, with Equation 7 and a uniform ε, and
        λ is at most γ, since with a larger one the predictions collapse onto a class.

    Attributes
    ----------
    gamma : Tensor of shape ()
        Share γ of clean labels; NaN before the first cycle.
    q : Tensor of shape (n_samples,)
        Probability that the given label is clean.
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
        auxiliary: bool = True,
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
        self.auxiliary = auxiliary
        self.estimates_epsilon = epsilon == "estimated" and auxiliary
        self.resample = resample and auxiliary
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
        self.gamma.copy_(accuracy(proba, y, sample_weight))
        self.given_prior.copy_(shares_of(y, sample_weight, len(self.given_prior)))

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
        return clean_in_blocks(logits, y, float(self.gamma), self.epsilon[rows])

    @torch.no_grad()
    def start_cycle(
        self,
        q: Tensor,
        y: Tensor,
        rows: Tensor,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Store q of the main network, and update γ and T_c.

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
        self.gamma.copy_(weighted_mean(q, sample_weight))
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
        """Update ŷ, π and ε from the predictions of the trained auxiliary network.

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
            loss = loss + self._weight_of_regulariser() * confidence_penalty(
                logits, self.prior
            )
        return loss

    def _weight_of_regulariser(self) -> float | Tensor:
        """Return λ; alone, a network whose λ exceeds γ leaves the shares of the labels.

        Where it predicts the same g for all rows, the mean loss has the gradient
        (γ − λ) (g_c − π_c) by the logit of class c: above γ, the class that is ahead
        gets further ahead, and then q of all other labels is 0.
        """
        return self.lam if self.auxiliary else self.gamma.clamp(max=self.lam)

    @torch.no_grad()
    def conclude(
        self,
        proba: Tensor,
        logits: Tensor,
        y: Tensor,
        rows: Tensor,
        sample_weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what one more cycle would find for any rows; the state is not changed.

        Parameters
        ----------
        proba : Tensor of shape (n, n_classes)
            Of the auxiliary network.
        logits : Tensor of shape (n, n_classes)
            Of the main network.
        y, rows : Tensor of shape (n,), dtype int64
            Codes of the given labels, and row numbers.
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
            gamma = accuracy(proba, y, sample_weight)
        epsilon = self.epsilon[rows]
        if self.estimates_epsilon:
            epsilon = corrupt_label_probability(proba, y, self.corruption)
        q = clean_in_blocks(logits, y, float(gamma), epsilon)
        corrupt = sums_by_label(proba, y, weight_times(1 - q, sample_weight))
        # Σ Q: the clean share stays with its label.
        weight = weight_times(q, sample_weight).to(corrupt)
        clean = torch.bincount(y, weight, minlength=len(corrupt))
        T_c = scaled_rows(corrupt, len(y))
        T = scaled_rows(corrupt + clean.diag(), len(y))
        return q, wrong_label_probability(q, y, proba, T_c), T, T_c

    def _keep(
        self, proba: Tensor, y: Tensor, rows: Tensor, sample_weight: Tensor | None
    ) -> None:
        self.proba[rows] = proba
        self.labels[rows] = proba.argmax(1)
        learnt = self.labels[rows] if self.resample else y
        self.prior.copy_(shares_of(learnt, sample_weight, len(self.prior)))
