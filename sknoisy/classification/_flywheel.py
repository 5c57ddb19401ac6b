"""LNL-flywheel: one network judges the labels, another one refurbishes them."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import torch
from torch import nn
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
    embed_and_classify,
    epoch_generator,
    learning_features,
    mixup,
    resolve_epochs,
    strong_view_of,
    warn_user,
    weak_pair_of,
    weak_view_of,
)
from sknoisy.losses import (
    ContrastiveLoss,
    FlywheelLoss,
    prior_penalty,
)
from sknoisy.losses._softmax import softmax_of
from sknoisy.nets._outputs import check_outputs

if TYPE_CHECKING:
    from sknoisy._types import Estimator
    from sknoisy.extending import Device, MakerOfModules, RandomState, View

__all__ = ["FlywheelClassifier"]

# The value of the paper for ten or more classes; with fewer it would outweigh the
# label.
_LAM, _LAM_PER_CLASS = 3.0, 0.3
_WARMUP_SHARE = 0.2
# If a class has a larger share of the refurbished labels, they have collapsed.
_COLLAPSED = 0.9


def _same_class(targets):
    """Return how probably two rows have the same class; 1 for the views of one row."""
    return (targets @ targets.T).fill_diagonal_(1)


class FlywheelClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier of two networks, one judging labels, one refurbishing them.

    The main network g estimates the probability that each label is clean. The auxiliary
    network f is trained on the labels weighted by it, and predicts what the others
    should be; the main network is then trained on these predictions. Each cycle is a
    step of two coupled EM algorithms [1]_. Only f is used for prediction. For images
    and embeddings with many wrong labels; not for tables with many classes of few rows
    each. On sixteen small sets it is 0.015 behind the better of a tuned logistic
    regression and a tuned network, on the mean, and ahead on 8.

    Parameters
    ----------
    module : torch module class or instance, default=None
        The auxiliary network f, which predicts; as in `NetClassifier`.
    judge : torch module class or instance, default=None
        The main network g. None takes the class and the parameters of ``module``, with
        its own initial weights; ``judge__…`` replaces some of the parameters.
    lam : float in [0, n_classes) or "auto", default="auto"
        Weight of the confidence regulariser of g, λ. "auto" is 3, the value of [1]_,
        or 0.3 for each class if that is less: see Notes. 0 removes it.
    contrastive_weight : float >= 0, default=0.025, the value of [1]_
        Weight of the contrastive term of f, α. 0 removes it.
    contrast : {"views", "classes"}, default="views"
        Which views the contrastive term pulls together: those of the same row, or also
        those of rows that probably have the same class, as far as the targets of both
        rows say so, Q_i · Q_j. [1]_ cites both, [4]_ and [5]_, and states no formula.
    temperature : float > 0, default=0.05
        Of the contrastive term; [1]_ does not state it; this is the value of [2]_.
    warmup_epochs : int >= 1 or "auto", default="auto"
        Epochs in which both networks learn the given labels. "auto" is 20 % of
        ``max_epochs``. [1]_ has 10 of 300. ``fit`` refuses a number that leaves no
        epoch for a cycle.
    mixup_alpha : float > 0, default=4.0
        Both parameters of the beta distribution of a batch's share. [1]_ does not state
        it; this is the value of [3]_.
    prior_weight : float >= 0, default=1.0
        Weight of a penalty on the mean prediction of f in a batch for its distance from
        the shares of the given labels. [1]_ has none, [2]_ and [3]_ have 1, with
        uniform shares.
    weak_view, strong_view : "auto", float or callable, default="auto"
        A callable maps a batch of X to a batch that is slightly or strongly changed.
        For tables, a float sets the strength of the standard views: noise with
        ``weak_view`` standard deviations of each feature, "auto" is 0.3; and
        replacement of the share ``strong_view`` of the entries by those of other rows,
        "auto" is 0.6. For images "auto" is `nets.crop_and_flip`, then
        `nets.rand_augment` for the strong view.
    epsilon : {"estimated", "uniform"}, default="estimated"
        Probability of a corrupt label, ε: Equation 14, or 1 / n_classes.
    resample : bool, default=True
        Whether g learns the labels that f refurbished. False has it learn the given
        ones, weighted by how likely they are clean, Equation 7.
    auxiliary : bool, default=True
        Whether there is an auxiliary network f. False trains g alone, as with
        ``resample=False`` and ``epsilon="uniform"``, and predicts by it: an ablation of
        [1]_, see Notes. ``judge`` and what is said of f above then have no effect.
    lr : float >= 0, default=0.02, the value of [1]_
        Learning rate of both networks at the first epoch.
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
    clean_proba_ : ndarray of shape (n_samples,), dtype float32
        Probability q that each given label is clean, by the trained networks.
    refurbished_labels_ : ndarray of shape (n_samples,)
        Prediction ŷ of f for each row.
    transition_matrix_ : ndarray of shape (n_classes, n_classes), dtype float64
        T[a, b] = P(given label b | true class a).
    corruption_matrix_ : ndarray of shape (n_classes, n_classes), dtype float64
        T_c[a, b] = P(given label b | true class a, label corrupt).
    gamma_ : ndarray of shape (n_epochs,), dtype float64
        Share of clean labels in each epoch, γ; NaN in the warm-up.
    lam_ : float
        The λ in use.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        Probability under the model that the label is wrong: corrupt, and not the true
        one by chance. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label by f where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    module_, judge_ : torch modules
        f and g; both are g without an auxiliary network.
    criterion_, optimizer_, history_, settings_, device_, n_features_in_
        As in `NetClassifier`; ``history_[:, "gamma"]`` is γ.

    Warns
    -----
    UserWarning
        If the refurbished labels have collapsed onto a class.

    See Also
    --------
    DynamicBootstrapClassifier : One network, which trusts a label by its loss.
    sknoisy.losses.FlywheelLoss : The steps of a cycle alone.

    Notes
    -----
    A cycle is an epoch, and trains f on all rows before g is trained on its
    predictions. Two trainings and three predictions of all rows are 2.9 times the cost
    of plain training for a network of 512-512-512 units, with the contrastive term
    five times; with views, targets and mixing it is 3.3 and 6.1 times, and for a small
    network, 512-64, 5 and 11 times.

    The regulariser pushes a label's own logit down where g gives the label less than
    (λ / n_classes − 1) / (λ − 1), and λ must stay below the number of classes so
    that the label has any influence.

    Without an auxiliary network, λ is at most γ. [1]_ does not say so, but with λ = 3
    g predicts a single class after a few cycles: the labels weigh q, γ on the mean, the
    regulariser λ. If λ is larger, the class that is predicted more often than its share
    of the labels is predicted ever more often; the labels of the other classes then
    have q = 0 and weigh nothing.

    Sample weights say how often each row counts: in the losses, and in γ, π and both
    matrices.

    References
    ----------
    .. [1] H. Kim, H. S. Chang, K. Cho, J. Lee, B. Han, "Learning with noisy labels:
       Interconnection of two expectation-maximizations" (LNL-flywheel).
    .. [2] N. Karim, M. N. Rizve, N. Rahnavard, A. Mian, M. Shah, "UNICON: Combating
       label noise through uniform selection and contrastive learning", CVPR 2022.
    .. [3] J. Li, R. Socher, S. C. H. Hoi, "DivideMix: Learning with noisy labels as
       semi-supervised learning", ICLR 2020. arXiv:2002.07394
    .. [4] T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A simple framework for
       contrastive learning of visual representations", ICML 2020. arXiv:2002.05709
    .. [5] P. Khosla, P. Teterwak, C. Wang, A. Sarna, Y. Tian, P. Isola, A. Maschinot,
       C. Liu, D. Krishnan, "Supervised contrastive learning", NeurIPS 2020.
       arXiv:2004.11362

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import FlywheelClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = FlywheelClassifier(batch_size=32, random_state=0)
    >>> clf = clf.fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.85)
    True
    """

    prefixes_ = [*NetClassifier.prefixes_, "judge"]
    cuda_dependent_attributes_ = [
        *NetClassifier.cuda_dependent_attributes_,
        "judge_",
        "spread_",
    ]
    fit_only_attributes_ = [*NetClassifier.fit_only_attributes_, "rows_"]
    _modules = ["module", "judge"]

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "judge": NetClassifier._parameter_constraints["module"],
        "lam": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "contrastive_weight": [Interval(Real, 0, None, closed="left")],
        "contrast": [StrOptions({"views", "classes"})],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "warmup_epochs": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "mixup_alpha": [Interval(Real, 0, None, closed="neither")],
        "prior_weight": [Interval(Real, 0, None, closed="left")],
        "weak_view": WEAK_VIEW,
        "strong_view": STRONG_VIEW,
        "epsilon": [StrOptions({"estimated", "uniform"})],
        "resample": ["boolean"],
        "auxiliary": ["boolean"],
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        judge: Estimator = None,
        lam: Literal["auto"] | float = "auto",
        contrastive_weight: float = 0.025,
        contrast: Literal["views", "classes"] = "views",
        temperature: float = 0.05,
        warmup_epochs: Literal["auto"] | int = "auto",
        mixup_alpha: float = 4.0,
        prior_weight: float = 1.0,
        weak_view: View = "auto",
        strong_view: View = "auto",
        epsilon: Literal["estimated", "uniform"] = "estimated",
        resample: bool = True,
        auxiliary: bool = True,
        lr: float = 0.02,
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
        self.judge = judge
        self.lam = lam
        self.contrastive_weight = contrastive_weight
        self.contrast = contrast
        self.temperature = temperature
        self.warmup_epochs = warmup_epochs
        self.mixup_alpha = mixup_alpha
        self.prior_weight = prior_weight
        self.weak_view = weak_view
        self.strong_view = strong_view
        self.epsilon = epsilon
        self.resample = resample
        self.auxiliary = auxiliary

    def start_fit(self, dataset: Any) -> None:
        """Settle λ, the warm-up and the views."""
        super().start_fit(dataset)
        n_classes = len(self.classes_)
        self.lam_ = cast("float", self.lam)
        if self.lam == "auto":
            self.lam_ = min(_LAM, _LAM_PER_CLASS * n_classes)
        elif self.lam >= n_classes:
            raise ValueError(
                f"lam={self.lam} must be less than the number of classes, {n_classes}: "
                "the regulariser would outweigh the label, even where a network is "
                "sure of it. lam='auto' takes "
                f"{min(_LAM, _LAM_PER_CLASS * n_classes):g}."
            )
        self.n_warmup_ = resolve_epochs(
            self.warmup_epochs, _WARMUP_SHARE, self.max_epochs
        )
        is_given = self.warmup_epochs != "auto"
        if is_given and self.n_warmup_ >= self.max_epochs and not self.goes_on_:
            raise ValueError(
                f"warmup_epochs={self.n_warmup_} leaves no epoch for a cycle: it must "
                f"be less than max_epochs={self.max_epochs}."
            )
        # For images, a missing network is reported before missing views.
        self.component_of("module")
        strong = ["strong_view"] * bool(self.contrastive_weight and self.auxiliary)
        self.spread_ = check_views(
            self, dataset, ["weak_view", *strong], without="contrastive_weight=0"
        )

    def initialize_module(self) -> Self:
        """Build both networks, or the one that is both."""
        if not self.auxiliary:
            self.module_ = self.judge_ = self.build("module")
            return self
        same = self.judge is None or self.judge is self.module
        if same and isinstance(self.module, nn.Module):
            raise ValueError(
                "module is an instance, from which no second network with weights of "
                f"its own can be made: pass its class {type(self.module).__name__}, or "
                "another instance as judge."
            )
        self.module_ = self.build("module")
        self.judge_ = self.build("judge", like="module")
        row = torch.zeros(1, *self.input_shape_, device=self.device_)
        check_outputs(self.judge_, row, len(self.classes_))
        return self

    def initialize_criterion(self) -> Self:
        """Make room for what the cycles know of the rows, and the contrastive head."""
        cycles = FlywheelLoss(
            self.rows_fitted_[0],
            len(self.classes_),
            lam=self.lam_,
            epsilon=self.epsilon,
            resample=self.resample,
            auxiliary=self.auxiliary,
        )
        parts: dict[str, nn.Module] = {"cycles": cycles}
        if self.contrastive_weight and self.auxiliary:
            row = torch.zeros(1, *self.input_shape_, device=self.device_)
            with torch.no_grad():
                features, _ = embed_and_classify(self.module_.eval(), row)
            parts["contrast"] = ContrastiveLoss(
                features.shape[1], temperature=self.temperature
            )
        self.criterion_ = nn.ModuleDict(parts).to(self.device_)
        return self

    def augmented(self, X: torch.Tensor) -> torch.Tensor:
        """Return the rows of a batch: the passes take views of their own."""
        return super().augmented(X) if self.turn_ == "warm-up" else X

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the loss of a batch for the network whose turn it is, and logits."""
        if self.turn_ == "warm-up":
            return self._warm_up_loss(X, y, index)
        if self.turn_ == "auxiliary":
            return self._auxiliary_loss(X, y, index)
        weak = self._weak(X)
        judge = self._networks()[-1]
        logits = judge(weak).float()
        loss = self._cycles.main_loss(logits, y, index)
        labels = self._cycles.labels[index] if self._cycles.resample else y
        learnt = [Learnt(judge, weak, labels)]
        return Step(self.weighted_mean(loss, index), logits, learnt)

    def _weak(self, X):
        return weak_view_of(X, self.weak_view, self.spread_)

    def _warm_up_loss(self, X, y, index):
        """Train the networks on the given labels; neither sees the other."""
        logits = [network(X).float() for network in self._networks()]
        loss = sum(F.cross_entropy(some, y, reduction="none") for some in logits)
        learnt = [Learnt(network, X, y) for network in self._networks()]
        return Step(self.weighted_mean(loss, index), logits[0], learnt)

    def _auxiliary_loss(self, X, y, index):
        """Equation 13 on mixed weak views, and the contrastive term on strong ones."""
        partner, share = draw_mixing(self, X)
        weak, own = self._weak(X), self._cycles.targets(y, index)
        logits = self.module_(mixup(weak, partner, share)).float()
        targets = mixup(own, partner, share)
        loss = self._cycles.auxiliary_loss(logits, targets)
        weight = self.sample_weight_
        if weight is None:
            loss = loss.mean()
        else:
            weight = mixup(weight[index], partner, share)
            loss = (weight * loss).sum() / weight.sum().clamp_min(1e-12)
        if self.prior_weight:
            penalty = prior_penalty(logits, weight, self._cycles.given_prior)
            loss = loss + self.prior_weight * penalty
        # The head is made at the start of a fit, and a later weight waits for the next.
        if self.contrastive_weight and "contrast" in self.criterion_:
            views = torch.cat([strong_view_of(X, self.strong_view) for _ in range(2)])
            features = learning_features(self, views).float()
            alike = _same_class(own) if self.contrast == "classes" else None
            contrast = self.criterion_["contrast"](*features.chunk(2), alike)
            contrast = self.weighted_mean(contrast, index)
            loss = loss + self.contrastive_weight * contrast
        return Step(loss, logits, [Learnt(self.module_, weak, own)])

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Judge the labels, once the warm-up is over."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        epoch = len(self.history)
        self.rng_ = epoch_generator(self)
        self.rows_ = dataset_train
        if epoch > self.n_warmup_:
            if self._cycles.gamma.isnan():
                self._take_in(self._cycles.start, *self._predict_rows(self.rows_))
            rows, codes, logits = self._judged(self.rows_)
            q = self._cycles.judge(logits, codes, rows)
            self._take_in(self._cycles.start_cycle, q, codes, rows)
            self.label_quality_ = self._cycles.q[None]
        self.history.record("gamma", float(self._cycles.gamma))

    def passes(self, batches: Iterable[Any]) -> Iterable[tuple[Any, Iterable[Any]]]:
        """Train the auxiliary network, refurbish the labels, train the main network."""
        if len(self.history) <= self.n_warmup_:
            yield "warm-up", batches
            return
        if self._cycles.auxiliary:
            yield "auxiliary", batches
            self._take_in(self._cycles.refurbish, *self._predict_rows(self.rows_))
        yield "main", batches

    def finish_fit(self, dataset: Any) -> None:
        """Judge all labels by both networks as they are after the last epoch."""
        proba, codes, rows = self._predict_rows(dataset)
        _, _, logits = self._judged(dataset)
        found = self._cycles.conclude(proba, logits, codes, rows, self.sample_weight_)
        q, wrong, T, T_c = (part.cpu().numpy() for part in found)
        self.clean_proba_, self.transition_matrix_, self.corruption_matrix_ = q, T, T_c
        # An epoch that was interrupted while the labels were judged has none.
        self.gamma_ = np.array([row.get("gamma", np.nan) for row in self.history])
        proba, codes = proba.cpu().numpy(), codes.cpu().numpy()
        self.refurbished_labels_ = self.classes_[proba.argmax(1)]
        self.record_scores(wrong, proba, codes)
        self._warn_of_collapse(codes)

    def _networks(self):
        """Return f and g; g alone without an auxiliary network."""
        # A loaded net has two copies of it, of which only module_ is trained further.
        return [self.module_, self.judge_] if self._cycles.auxiliary else [self.module_]

    def _judged(self, dataset):
        """Return row numbers, codes, and what g says of the rows."""
        rows, codes, logits = self.eval_pass(dataset, {"g": self._networks()[-1]})
        return rows, codes, logits["g"]

    def _predict_rows(self, dataset):
        """Return the mean prediction of two weak views, codes and row numbers."""

        def mean_proba_of(X):
            pair = weak_pair_of(X, self.weak_view, self.spread_)
            one, other = (softmax_of(self.module_(view).float()) for view in pair)
            return (one + other) / 2

        rows, codes, proba = self.eval_pass(dataset, {"pair": mean_proba_of})
        return proba["pair"], codes, rows

    def _take_in(self, step, values, codes, rows):
        """Hand what a network says of some rows to a step of the cycles."""
        weight = None if self.sample_weight_ is None else self.sample_weight_[rows]
        step(values, codes, rows, weight)

    def _warn_of_collapse(self, codes):
        shares = np.bincount(
            np.searchsorted(self.classes_, self.refurbished_labels_),
            minlength=len(self.classes_),
        ) / len(codes)
        largest = shares.argmax()
        others, given = 1 - shares[largest], (codes != largest).mean()
        # Where a class has most of the given labels, it may have most of the others.
        if others < 1 - _COLLAPSED and others < given / 2:
            warn_user(
                f"the refurbished labels have collapsed: {shares[largest]:.0%} are "
                f"{self.classes_[largest]}, of the given labels {1 - given:.0%}. "
                "Lower lr, lam or weak_view, or raise warmup_epochs.",
            )

    @property
    def _cycles(self):
        return self.criterion_["cycles"]
