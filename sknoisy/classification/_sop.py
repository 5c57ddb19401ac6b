"""SOP: what is wrong with each label is learnt, as a sparse part of its own."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch

from sknoisy.extending import (
    STRONG_VIEW,
    Interval,
    Learnt,
    NetClassifier,
    RobustNetMixin,
    Step,
    StrOptions,
    check_views,
    strong_view_of,
)
from sknoisy.losses import SOPLoss

if TYPE_CHECKING:
    from sknoisy.extending import (
        Array,
        Device,
        IntArray,
        MakerOfModules,
        RandomState,
        View,
    )

__all__ = ["SOPClassifier", "default_v_lr"]

# A label that is contradicted in each epoch is given up after this share of them.
_ESCAPE_SHARE = 0.2
# Larger steps would overshoot.
_LARGEST_STEP = 0.25


def default_v_lr(max_epochs: int, initial: float) -> float:
    """Return the step of v with which v² is 1/2 after a fifth of the epochs.

    In an epoch that contradicts the label, v grows by the factor 1 + 4 v_lr (1 − v²).

    Parameters
    ----------
    max_epochs : int
        Epochs of a training.
    initial : float in (0, 1)
        Where v starts.

    Returns
    -------
    v_lr : float
        At most 0.25, with which v doubles.
    """
    n_doublings = max(0.0, math.log(0.5**0.5 / initial))
    factor = math.exp(n_doublings / max(1.0, _ESCAPE_SHARE * max_epochs))
    return min(_LARGEST_STEP, (factor - 1) / 4)


class SOPClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier that learns the noise of each label beside the network.

    The noise is added to the prediction before it is compared with the label, so that a
    wrong label is explained by it and need not be learnt. Its parameters start near 0
    and multiply themselves: only those that are needed for long grow [1]_. With
    ``consistency_weight`` and ``balance_weight`` it is SOP+. For many wrong labels and
    long trainings; in short ones on weak features `PENCILClassifier` is better at the
    same cost.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`.
    u_lr : float >= 0 or "auto", default="auto"
        Step of the noise at the given label, u, for each row. "auto" is a third of that
        of v. [1]_ has a learning rate of 1, or 0.1 for asymmetric noise, over the rows
        of a batch: 1 / 128.
    v_lr : float >= 0 or "auto", default="auto"
        Step of the noise at the other labels, v. "auto" replaces a label that is
        contradicted in each epoch after a fifth of the epochs; it is at most 0.25. [1]_
        has 10 / 128, for asymmetric noise 100 / 128, and 300 epochs.
    initial : float in (0, 1), default=0.01
        Where u and v start, and their least value. [1]_ draws it from a normal
        distribution of spread 1e-8.
    consistency_weight : float >= 0, default=0.0
        Weight of the divergence of the prediction for a strong view from that for the
        row. SOP+ of [1]_ has 0.9. Above 0 a step takes twice the time.
    balance_weight : float >= 0, default=0.0
        Weight of the divergence of the mean prediction of a batch from equal shares of
        the classes. SOP+ of [1]_ has 0.1; for classes of equal size.
    strong_view : "auto", float or callable, default="auto"
        The strong view, if there is a consistency: as in `DivideMixClassifier`.
    lr : float >= 0, default=0.05
        Learning rate at the first epoch.
    max_epochs : int >= 1, default=20
        Epochs that one call of ``fit`` or ``partial_fit`` runs.
    batch_size : int >= 1 or -1, default=128
        Rows of a batch; -1 takes all rows at once.
    random_state : int, RandomState instance or None, default=None
        Initial weights, order of rows, dropout. The same int gives the same bits on
        the CPU.
    verbose : int, default=0
        1 shows a bar, on stderr; 2 prints a row for each epoch.
    device : str, torch.device or None, default=None
        None takes CUDA if there is one.
    **net_params : dict
        Further parameters of `NetClassifier`: ``settings``, ``optimizer``,
        ``lr_schedule``, ``callbacks``, ``module__hidden``…

    Attributes
    ----------
    estimated_targets_ : ndarray of shape (n_samples, n_classes), dtype float64
        The given labels minus their noise, scaled to a sum of 1; predictions for rows
        that were not learnt.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 minus the estimated target at the given label. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Share of rows in the upper of two groups of margins: the logarithm of the
        largest other target over that of the label. Where no group is against its
        labels, the mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The largest other target where the given label is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    u_lr_, v_lr_ : float
        The steps in use.
    classes_ : ndarray of shape (n_classes,)
    module_, criterion_, optimizer_, history_, settings_, device_, n_features_in_
        As in `NetClassifier`.

    See Also
    --------
    PENCILClassifier : Learns the labels themselves.
    sknoisy.losses.SOPLoss : The loss alone.

    Notes
    -----
    The steps of u and v are computed from the formula of their gradient, for the rows
    of the batch. They do not depend on ``batch_size``, ``lr``, ``lr_schedule`` and
    ``optimizer``, nor on sample weights, which count in the loss. u and v are buffers
    of ``criterion_``: checkpoints, pickles and ``partial_fit`` keep them.

    References
    ----------
    .. [1] S. Liu, Z. Zhu, Q. Qu, C. You, "Robust training under label noise by
       over-parameterization", ICML 2022. arXiv:2202.14026

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import SOPClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = SOPClassifier(random_state=0).fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.8)
    True
    """

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "u_lr": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "v_lr": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "initial": [Interval(Real, 0, 1, closed="neither")],
        "consistency_weight": [Interval(Real, 0, None, closed="left")],
        "balance_weight": [Interval(Real, 0, None, closed="left")],
        "strong_view": STRONG_VIEW,
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        u_lr: Literal["auto"] | float = "auto",
        v_lr: Literal["auto"] | float = "auto",
        initial: float = 0.01,
        consistency_weight: float = 0.0,
        balance_weight: float = 0.0,
        strong_view: View = "auto",
        lr: float = 0.05,
        max_epochs: int = 20,
        batch_size: int = 128,
        random_state: RandomState = None,
        verbose: int = 0,
        device: Device = None,
        **net_params: Any,
    ) -> None:
        super().__init__(
            module,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            random_state=random_state,
            verbose=verbose,
            device=device,
            **net_params,
        )
        self.u_lr = u_lr
        self.v_lr = v_lr
        self.initial = initial
        self.consistency_weight = consistency_weight
        self.balance_weight = balance_weight
        self.strong_view = strong_view

    def start_fit(self, dataset: Any) -> None:
        """Check the strong view, if there is one."""
        super().start_fit(dataset)
        if self.consistency_weight:
            check_views(self, dataset, ["strong_view"])

    def initialize_criterion(self) -> Self:
        """Allocate the noise of the labels."""
        auto = default_v_lr(self.max_epochs, self.initial)
        self.v_lr_ = float(auto if self.v_lr == "auto" else self.v_lr)
        self.u_lr_ = float(self.v_lr_ / 3 if self.u_lr == "auto" else self.u_lr)
        self.criterion_ = self.own_criterion(
            SOPLoss, u_lr=self.u_lr_, v_lr=self.v_lr_, initial=self.initial
        )
        return self

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the loss of a batch, and its logits."""
        logits = self.module_(X).float()
        more = logits.new_zeros(())
        if self.balance_weight:
            share = self.criterion_.corrected(logits, y, index).mean(0)
            more = more - self.balance_weight * share.log().mean()
        losses = self.criterion_(logits, y, index)
        if self.consistency_weight:
            strong = self.module_(strong_view_of(X, self.strong_view)).float()
            log_p = logits.detach().log_softmax(1)
            apart = (log_p.exp() * (log_p - strong.log_softmax(1))).sum(1)
            losses = losses + self.consistency_weight * apart
        loss = self.weighted_mean(losses, index) + more
        return Step(loss, logits, [Learnt(self.module_, X, y)])

    def label_evidence(self, proba: Array, codes: IntArray) -> Array:
        """Return the labels minus their noise; the predictions for other rows."""
        given = torch.from_numpy(codes).to(self.device_)
        rows = torch.arange(len(codes), device=self.device_)
        noise = self.criterion_.noise(given, rows).cpu().numpy()
        rest = np.eye(proba.shape[1])[codes] - noise
        # At u = 1 and v at its start nothing but the latter is left.
        targets = rest / rest.sum(1, keepdims=True)
        seen = self.criterion_.seen.cpu().numpy()[:, None]
        self.estimated_targets_ = np.where(seen, targets, proba)
        return self.estimated_targets_
