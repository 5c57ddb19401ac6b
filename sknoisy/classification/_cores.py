"""CORES²: a network that grows sure, and leaves out what does not fit."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import torch
from scipy.special import expit

from sknoisy.classification._divided_lrs import divided_lrs
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
    resolve_epochs,
    strong_view_of,
    weak_view_of,
)
from sknoisy.losses import CORESLoss
from sknoisy.losses._cores import consistency_divergences, sieve_tolerance
from sknoisy.nets._batches import resolve_subset

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sknoisy.extending import (
        Array,
        Device,
        IntArray,
        MakerOfModules,
        RandomState,
        View,
    )

__all__ = ["SIEVE_CONSTRAINTS", "CORESClassifier", "squashed_scores"]

# The network is warm once its loss is that share below the entropy of the classes: it
# has learnt something, and not yet the wrong labels. Or after that share of the epochs.
_LEARNT_SHARE = 0.2
_WARMUP_SHARE = 0.25
# The first phase takes that share of the epochs, if there is a second one.
_SIEVE_SHARE = 0.5
# Share of the entries of a table that a strong view replaces.
_SWAP_RATE = 0.05

SIEVE_CONSTRAINTS = {
    "beta": [Interval(Real, 0, None, closed="left")],
    "warmup_epochs": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
    "ramp_epochs": [Interval(Integral, 0, None, closed="left")],
    "sieve_delay": [Interval(Integral, 0, None, closed="left")],
}


class CORESClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier by the sample sieve of CORES².

    Cross-entropy with a reward for being sure, on the rows whose label fits better than
    the mean of all labels [1]_. Its scores resist memorising: they are means over the
    training, not those of the last network. A second phase, which also learns to
    predict the same for two views of what was left out, is off by default.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`.
    beta : float >= 0, default=1.0
        Weight β of the reward in the end. The larger, the more rows are left out, and
        the sooner the network is sure of something wrong, so that a whole class may be
        left out. [1]_ ends at 2. 0 is cross-entropy with a sieve.
    warmup_epochs : int >= 0 or "auto", default="auto"
        Epochs of plain cross-entropy to begin with, 10 in [1]_. "auto" ends them when
        the loss is a fifth below the entropy of the given labels, and after a quarter
        of ``max_epochs`` at the latest.
    ramp_epochs : int >= 0, default=3
        Epochs after the warm-up in which the weight rises to β in equal steps. [1]_
        takes 30 of 100.
    sieve_delay : int >= 0, default=1
        Epochs after the warm-up in which no row is left out yet. [1]_ takes 21.
    consistency_weight : float >= 0 or None, default=None
        μ: weight of the second phase's divergence between two views of what was left
        out; 0.2 to 0.9 in [1]_. None stays in the first phase. On features of CIFAR-10
        a weight of 0.2 loses 0.03 to 0.05; on digits it gains 0.05 with pair flips,
        and with symmetric noise nothing.
    sieve_epochs : int >= 1 or "auto", default="auto"
        Epochs of the first phase if there is a second one, after which the rows that
        are left out do not change; 40 in [1]_. "auto" is half of ``max_epochs``.
    weak_view, strong_view : "auto", float or callable, default="auto"
        Of the second phase. A callable maps a batch of X to a batch that is slightly
        or strongly changed. For tables, a float sets the strength of the standard
        views: noise with ``weak_view`` standard deviations of each feature, "auto" is
        0.3; and replacement of the share ``strong_view`` of the entries by those of
        other rows, "auto" is 0.05. For images "auto" is `nets.crop_and_flip`, then
        `nets.rand_augment` for the strong view.
    lr : float >= 0, default=0.05
        Learning rate at the first epoch; divided by 1 + β while there is a reward, as
        in the code of [1]_.
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
        Further parameters of `NetClassifier`, such as ``settings``.

    Attributes
    ----------
    sieve_scores_ : ndarray of shape (n_samples,), dtype float64
        Loss of the given label minus the mean loss of all labels, averaged over the
        epochs. 0 for rows that were not trained on.
    kept_ : ndarray of shape (n_samples,), dtype bool
        The rows that passed when they were last seen, in the first phase.
    n_warmup_epochs_ : int
        Epochs that the warm-up took.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 / (1 + exp(−s)) of ``sieve_scores_``. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Share of rows in the upper of two groups of margins: the logarithm of the
        largest evidence for another label over that for the given one. Where no group
        is against its labels, the mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    module_, criterion_, optimizer_, history_, settings_, device_, n_features_in_
        As in `NetClassifier`.

    See Also
    --------
    CORESDetector : The same network, to find wrong labels.
    RobustLossClassifier : ``loss="peer"`` is this loss without a sieve.
    sknoisy.losses.CORESLoss : The loss alone.

    Notes
    -----
    The second phase of [1]_ trains a new network from scratch, for 1,600 epochs; here
    the same network goes on, with β = 0, for the epochs that are left. Scores are those
    of the first phase.

    The schedule of the paper is ``warmup_epochs=10, ramp_epochs=30, sieve_delay=21,
    beta=2, max_epochs=100``, but for the first step of the ramp, which is 0 there. It
    is for 50,000 images: a network on a table of a few thousand rows has memorised all
    labels before it begins. The authors' code takes the epoch with the best accuracy on
    the test set; here it is the last.

    References
    ----------
    .. [1] H. Cheng, Z. Zhu, X. Li, Y. Gong, X. Sun, Y. Liu, "Learning with
       instance-dependent label noise: A sample sieve approach", ICLR 2021.
       arXiv:2010.02347

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import CORESClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = CORESClassifier(random_state=0).fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.85)
    True
    """

    cuda_dependent_attributes_ = [
        *NetClassifier.cuda_dependent_attributes_,
        "spread_",
    ]
    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        **SIEVE_CONSTRAINTS,
        "consistency_weight": [Interval(Real, 0, None, closed="left"), None],
        "sieve_epochs": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "weak_view": WEAK_VIEW,
        "strong_view": STRONG_VIEW,
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        beta: float = 1.0,
        warmup_epochs: Literal["auto"] | int = "auto",
        ramp_epochs: int = 3,
        sieve_delay: int = 1,
        consistency_weight: float | None = None,
        sieve_epochs: Literal["auto"] | int = "auto",
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
        self.beta = beta
        self.warmup_epochs = warmup_epochs
        self.ramp_epochs = ramp_epochs
        self.sieve_delay = sieve_delay
        self.consistency_weight = consistency_weight
        self.sieve_epochs = sieve_epochs
        self.weak_view = weak_view
        self.strong_view = strong_view

    def start_fit(self, dataset: Any) -> None:
        """Count the classes and check the views, before the criterion is built."""
        super().start_fit(dataset)
        self.spread_ = None
        if self.consistency_weight is not None:
            self._check_second_phase(dataset)
        counts = np.bincount(dataset.codes, minlength=len(self.classes_))
        self.class_shares_ = counts / counts.sum()
        self.n_warmup_epochs_ = 0
        self.is_warm_ = self.warmup_epochs == 0

    def _check_second_phase(self, dataset):
        n_first = self._n_first_epochs()
        is_given = self.sieve_epochs != "auto"
        if is_given and n_first >= self.max_epochs and not self.goes_on_:
            raise ValueError(
                f"sieve_epochs={n_first} leaves no epoch for the second phase: it must "
                f"be less than max_epochs={self.max_epochs}."
            )
        # For images, a missing network is reported before missing views.
        self.component_of("module")
        self.spread_ = check_views(self, dataset, ["weak_view", "strong_view"])

    def _n_first_epochs(self):
        return resolve_epochs(self.sieve_epochs, _SIEVE_SHARE, self.max_epochs)

    def initialize_criterion(self) -> Self:
        """Allocate the state of the rows."""
        prior = torch.from_numpy(self.class_shares_)
        params = {"beta": 0.0, "sieving": False, "prior": prior}
        self.criterion_ = self.own_criterion(CORESLoss, **params)
        return self

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Set β and whether rows are left out in this epoch."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        n_since = len(self.history) - self.n_warmup_epochs_ if self.is_warm_ else 0
        ramp = min(1.0, n_since / max(self.ramp_epochs, 1))
        has_second = self.consistency_weight is not None
        is_second = has_second and len(self.history) > self._n_first_epochs()
        self.criterion_.frozen = is_second
        self.criterion_.beta = 0.0 if is_second else self.beta * ramp
        self.criterion_.sieving = n_since > self.sieve_delay

    def passes(self, batches: Iterable[Any]) -> Iterator[tuple[int, Iterable[Any]]]:
        """Yield the pass of the epoch, with a learning rate divided by 1 + β."""
        with divided_lrs(self._param_groups(), 1 + self.criterion_.beta):
            yield 0, batches

    def augmented(self, X: torch.Tensor) -> torch.Tensor:
        """Return the rows of a batch; unchanged in the second phase, with its views."""
        return X if self.criterion_.frozen else super().augmented(X)

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the loss of what passes the sieve, later with that of the rest."""
        if not self.criterion_.frozen:
            return self._sieved_step(self.infer(X), X, y, index)
        swaps = self.strong_view == "auto" and X.ndim == 2
        strong = strong_view_of(X, _SWAP_RATE if swaps else self.strong_view)
        X = weak_view_of(X, self.weak_view, self.spread_)
        # Of all rows: which are left out is not known here without waiting for the
        # device.
        weak, strong = self.infer(torch.cat([X, strong])).float().chunk(2)
        step = self._sieved_step(weak, X, y, index)
        divergences = consistency_divergences(weak, strong)
        left_out = (~self.criterion_.kept[index]).to(divergences.dtype)
        share = self.weighted_mean(left_out, index).clamp_min(1e-12)
        more = self.weighted_mean(left_out * divergences, index) / share
        weight = cast("float", self.consistency_weight)
        return replace(step, loss=step.loss + weight * more)

    def _sieved_step(self, logits, X, y, index):
        # 0 for the others; if no row passes, so are loss and gradient.
        losses = self.criterion_(logits, y, index)
        kept = self.criterion_.kept[index]
        share = self.weighted_mean(kept.to(losses.dtype), index)
        loss = self.weighted_mean(losses, index) / share.clamp_min(1e-12)
        # Without masking nobody waits for the device to count them.
        rows = None if self.masking_ is None else kept.nonzero().squeeze(1)
        return Step(loss, logits, [Learnt(self.module_, X, y, rows)])

    def on_epoch_end(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Set π to what passed, and see whether the network is warm."""
        super().on_epoch_end(net, dataset_train, dataset_valid, **kwargs)
        if self.criterion_.frozen:
            return
        dataset, rows = resolve_subset(dataset_train)
        index = None if rows is None else torch.from_numpy(rows).to(self.device_)
        codes = torch.from_numpy(dataset.codes).to(self.device_)
        self.criterion_.update_prior(codes if index is None else codes[index], index)
        if not self.is_warm_:
            self.n_warmup_epochs_ += 1
            self.is_warm_ = self._has_warmed_up()

    def label_evidence(self, proba: Array, codes: IntArray) -> Array:
        """Return what the sieve says of the labels, the rest as predicted."""
        self.kept_ = self.criterion_.kept.cpu().numpy().copy()
        self.sieve_scores_ = self.criterion_.mean_scores.cpu().numpy().astype(float)
        scores = squashed_scores(self.sieve_scores_, proba.shape[1])
        evidence = proba.astype(float)
        evidence[np.arange(len(codes)), codes] = 0
        total = evidence.sum(1, keepdims=True)
        evidence *= scores[:, None] / np.where(total > 0, total, 1)
        evidence[np.arange(len(codes)), codes] = 1 - scores
        return evidence

    def _has_warmed_up(self):
        if self.warmup_epochs != "auto":
            return self.n_warmup_epochs_ >= self.warmup_epochs
        batches = self.history[-1]["batches"]
        sizes = [batch["train_batch_size"] for batch in batches]
        loss = np.average([batch["train_loss"] for batch in batches], weights=sizes)
        shares = self.class_shares_[self.class_shares_ > 0]
        entropy = -(shares * np.log(shares)).sum()
        has_learnt = loss <= (1 - _LEARNT_SHARE) * entropy
        return has_learnt or self.n_warmup_epochs_ >= _WARMUP_SHARE * self.max_epochs


def squashed_scores(scores: Array, n_classes: int) -> Array:
    """Return scores in [0, 1] that are above 0.5 where a label is sieved out.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        By `sieve_scores`.
    n_classes : int

    Returns
    -------
    squashed : ndarray of shape (n_samples,)
        Their logistic function.
    """
    is_out = scores > sieve_tolerance(n_classes)
    squashed = expit(scores)
    # Scores within the tolerance, or rounded to 0.5, must fall on the right side.
    squashed[~is_out] = np.minimum(squashed[~is_out], 0.5)
    squashed[is_out] = np.maximum(squashed[is_out], np.nextafter(0.5, 1))
    return squashed
