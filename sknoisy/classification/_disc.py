"""DISC: each row has a threshold of its own, above which its label is learnt."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import torch
from torch.nn import functional as F

from sknoisy.extending import (
    STRONG_VIEW,
    WEAK_VIEW,
    Interval,
    Learnt,
    NetClassifier,
    RobustNetMixin,
    Step,
    StrOptions,
    check_views,
    draw_mixing,
    epoch_generator,
    mixup,
    resolve_epochs,
    soft_cross_entropy,
    strong_view_of,
    weak_view_of,
)
from sknoisy.losses import DISCLoss
from sknoisy.losses._disc import CLEAN, HARD, PURIFIED

if TYPE_CHECKING:
    from sknoisy.extending import Device, MakerOfModules, RandomState, View

__all__ = ["DISCClassifier"]

# Shares of the published 200 epochs.
_WARMUP_SHARE = 20 / 200
_PUBLISHED_EPOCHS, _PUBLISHED_MOMENTUM = 200, 0.99
# Share of the entries of a table that a strong view replaces.
_SWAP_RATE = 0.05


class DISCClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier that learns labels above a threshold of each row's own.

    Two views of each row are predicted. The threshold of a row is an average of how
    sure the network was of it in earlier epochs. A label that is more probable in both
    views is learnt by cross-entropy, in one view by a loss that resists wrong labels;
    where the network is surer still of another label, that one is learnt. All these
    rows are also learnt in mixed pairs [1]_. For digits and other rows that a network
    does not memorise in a few epochs. On features of
    CIFAR-10 it is no better than `NetClassifier`, in four times its time, and
    `SSRClassifier` is up to 0.20 ahead in the same time; see the user guide.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`.
    warmup_epochs : int >= 1 or "auto", default="auto"
        Epochs in which both views of all rows are learnt with the given labels. "auto"
        is 10 % of ``max_epochs``, as the 20 of 200 in [1]_. ``fit`` refuses a number
        that leaves no epoch for a selection.
    threshold_momentum : float in [0, 1] or "auto", default="auto"
        μ: how much of a threshold is kept from epoch to epoch. "auto" is 0.99 to the
        power of 200 / ``max_epochs``, 0.904 for 20 epochs, which moves thresholds as
        far as the 0.99 of [1]_ in 200 epochs. The smaller, the fewer rows are clean.
        [1]_ has 0.95 for many wrong labels and for asymmetric noise. 2 + 2 epochs of
        ``partial_fit`` are 4 if this and ``warmup_epochs`` are numbers.
    hard_weight : float >= 0, default=1.0, the value of [1]_
        Weight of rows that only one view confirms, λ_h; 0.2 in [1]_ for 60 and 80 % of
        wrong labels.
    q : float in (0, 1], default=0.7, the value of [1]_
        Exponent of their loss, generalised cross-entropy; see `losses.GCELoss`.
    purify_margin : float >= 0, default=0.5, the value of [1]_
        What a corrected label needs beyond the mean threshold of a row, σ. The larger,
        the fewer labels are corrected.
    purify_limit : float in (0, 1], default=0.99
        A mean probability above it corrects a label, whatever the margin.
    mixup_alpha : float > 0, default=5.0, the value of [1]_
        Both parameters of the beta distribution of a batch's share.
    weak_view, strong_view : "auto", float or callable, default="auto"
        A callable maps a batch of X to a batch that is slightly or strongly changed.
        For tables, a float sets the strength of the standard views: noise with
        ``weak_view`` standard deviations of each feature, "auto" is 0.3; and
        replacement of the share ``strong_view`` of the entries by those of other rows,
        "auto" is 0.05. For images "auto" is `nets.crop_and_flip`, then
        `nets.rand_augment` for the strong view.
    lr : float >= 0, default=0.05
        Learning rate at the first epoch.
    max_epochs : int >= 1, default=20
        Epochs that one call of ``fit`` or ``partial_fit`` runs.
    batch_size : int >= 1 or -1, default=128, the value of [1]_
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
    clean_mask_, hard_mask_, purified_mask_ : ndarray of shape (n_samples,), dtype bool
        Rows whose label both views confirm, one view confirms, and rows with a
        corrected label, by the last epoch.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 minus the predicted probability of the given label. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Share of rows in the upper of two groups of margins: the logarithm of the
        largest other probability over that of the label. Where no group is against
        its labels, the mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    module_, criterion_, optimizer_, history_, settings_, device_, n_features_in_
        As in `NetClassifier`; ``history_[:, "clean"]``, ``"hard"`` and ``"purified"``
        are the shares of rows in each part, NaN in the warm-up.

    See Also
    --------
    SSRClassifier : Selects rows by votes of their neighbours.
    sknoisy.losses.DISCLoss : Thresholds, division and loss alone.

    Notes
    -----
    The predictions that divide the rows are those of the training steps, so that an
    epoch needs no further pass. A step takes four times as long as plain training: two
    views, and a mixture of each.

    Thresholds start at 1 / n_samples, as in the authors' code, and rise by the largest
    probability, not that of the label. That code chooses μ, λ_h and the warm-up by the
    true noise rate; here the values do not depend on it. Its limit is 0.99 in one
    version and 0.9 in another.

    Rows outside of the three parts pass through the network in mixtures among
    themselves, without weight. Sample weights count in all losses, a mixed row having
    the mixed weight; the division ignores them.

    Recorders see the mean logits of both views.

    References
    ----------
    .. [1] Y. Li, H. Han, S. Shan, X. Chen, "DISC: Learning from noisy labels via
       dynamic instance-specific selection and correction", CVPR 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import DISCClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = DISCClassifier(random_state=0).fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.85)
    True
    """

    cuda_dependent_attributes_ = [
        *NetClassifier.cuda_dependent_attributes_,
        "spread_",
    ]

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "warmup_epochs": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "threshold_momentum": [
            Interval(Real, 0, 1, closed="both"),
            StrOptions({"auto"}),
        ],
        "hard_weight": [Interval(Real, 0, None, closed="left")],
        "q": [Interval(Real, 0, 1, closed="right")],
        "purify_margin": [Interval(Real, 0, None, closed="left")],
        "purify_limit": [Interval(Real, 0, 1, closed="right")],
        "mixup_alpha": [Interval(Real, 0, None, closed="neither")],
        "weak_view": WEAK_VIEW,
        "strong_view": STRONG_VIEW,
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        warmup_epochs: Literal["auto"] | int = "auto",
        threshold_momentum: Literal["auto"] | float = "auto",
        hard_weight: float = 1.0,
        q: float = 0.7,
        purify_margin: float = 0.5,
        purify_limit: float = 0.99,
        mixup_alpha: float = 5.0,
        weak_view: View = "auto",
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
        self.warmup_epochs = warmup_epochs
        self.threshold_momentum = threshold_momentum
        self.hard_weight = hard_weight
        self.q = q
        self.purify_margin = purify_margin
        self.purify_limit = purify_limit
        self.mixup_alpha = mixup_alpha
        self.weak_view = weak_view
        self.strong_view = strong_view

    def start_fit(self, dataset: Any) -> None:
        """Set the warm-up and the views."""
        super().start_fit(dataset)
        self.n_warmup_ = resolve_epochs(
            self.warmup_epochs, _WARMUP_SHARE, self.max_epochs
        )
        is_given = self.warmup_epochs != "auto"
        if is_given and self.n_warmup_ >= self.max_epochs and not self.goes_on_:
            raise ValueError(
                f"warmup_epochs={self.n_warmup_} leaves no epoch in which rows are "
                f"selected: it must be less than max_epochs={self.max_epochs}."
            )
        # For images, a missing network is reported before missing views.
        self.component_of("module")
        self.spread_ = check_views(self, dataset, ["weak_view", "strong_view"])

    def initialize_criterion(self) -> Self:
        """Allocate thresholds and predictions."""
        momentum = self.threshold_momentum
        if momentum == "auto":
            momentum = _PUBLISHED_MOMENTUM ** (_PUBLISHED_EPOCHS / self.max_epochs)
        self.criterion_ = self.own_criterion(
            DISCLoss,
            momentum=momentum,
            hard_weight=self.hard_weight,
            q=self.q,
            margin=self.purify_margin,
            limit=self.purify_limit,
        )
        return self

    def augmented(self, X: torch.Tensor) -> torch.Tensor:
        """Return the rows unchanged: the step makes its own views."""
        return X

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the loss of two views and of their mixtures, and mean logits."""
        views = [weak_view_of(X, self.weak_view, self.spread_), self._strong(X)]
        logits = self.module_(torch.cat(views)).float().unflatten(0, (2, len(X)))
        loss = self.weighted_mean(self.criterion_(logits, y, index), index)
        if len(self.history) <= cast("int", self.n_warmup_):
            return Step(loss, logits.mean(0), [Learnt(self.module_, views[0], y)])
        labels = self.criterion_.labels[index]
        is_chosen = self.criterion_.parts[index] > 0
        loss = loss + self._mixed_loss(views, labels, is_chosen, index)
        # The chosen rows, repeated to a batch: their number is not known here without
        # waiting for the device.
        order = (~is_chosen).to(torch.int8).argsort(stable=True)
        place = torch.arange(len(X), device=X.device)
        rows = order[place % is_chosen.sum().clamp_min(1)]
        return Step(
            loss, logits.mean(0), [Learnt(self.module_, views[0], labels, rows)]
        )

    def _strong(self, X):
        view = self.strong_view
        is_default = isinstance(view, str) and X.ndim == 2
        return strong_view_of(X, _SWAP_RATE if is_default else view)

    def _mixed_loss(self, views, labels, is_chosen, index):
        """Return the cross-entropies of both views, mixed in pairs of chosen rows."""
        targets = F.one_hot(labels, len(self.classes_)).float()
        weight = is_chosen.float()
        if self.sample_weight_ is not None:
            weight = weight * self.sample_weight_[index]
        X, mixed, weights = [], [], []
        for view in views:
            drawn, share = draw_mixing(self, view)
            partner = _within(is_chosen, drawn)
            X.append(mixup(view, partner, share))
            mixed.append(mixup(targets, partner, share))
            weights.append(mixup(weight, partner, share))
        logits = self.module_(torch.cat(X)).float()
        losses = soft_cross_entropy(logits, torch.cat(mixed)).view(2, -1)
        weight = torch.stack(weights)
        # No row may be chosen; the loss is then 0.
        return ((weight * losses).sum(1) / weight.sum(1).clamp_min(1e-12)).sum()

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Record how many rows are in each part."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        self.rng_ = epoch_generator(self)
        shares = [np.nan] * 3
        if len(self.history) > cast("int", self.n_warmup_):
            parts = self.criterion_.parts
            counts = [(parts == part).sum() for part in (CLEAN, HARD, PURIFIED)]
            counts = torch.stack(counts).tolist()
            shares = [count / len(dataset_train) for count in counts]
        for name, share in zip(("clean", "hard", "purified"), shares, strict=True):
            self.history.record(name, share)

    def on_epoch_end(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Divide the rows for the next epoch."""
        super().on_epoch_end(net, dataset_train, dataset_valid, **kwargs)
        self.criterion_.divide(sort=len(self.history) >= cast("int", self.n_warmup_))

    def finish_fit(self, dataset: Any) -> None:
        """Score the given labels, and keep the division by the last epoch."""
        super().finish_fit(dataset)
        parts = self.criterion_.parts.cpu().numpy()
        self.clean_mask_, self.hard_mask_ = parts == CLEAN, parts == HARD
        self.purified_mask_ = parts == PURIFIED


def _within(is_chosen, drawn):
    """Return partners such that chosen rows have chosen ones, and others have others.

    Parameters
    ----------
    is_chosen : Tensor of shape (batch,), dtype bool
    drawn : Tensor of shape (batch,), dtype int64
        A permutation of the rows.

    Returns
    -------
    partner : Tensor of shape (batch,), dtype int64
    """
    is_other = (~is_chosen).to(torch.int8)
    partner = torch.empty_like(drawn)
    partner[is_other.argsort(stable=True)] = drawn[is_other[drawn].argsort(stable=True)]
    return partner
