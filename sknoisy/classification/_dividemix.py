"""DivideMix: two networks divide the labels for each other and replace noisy ones."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from sknoisy.classification import _divided_peers
from sknoisy.classification._divided_peers import OF_DIVIDED_PEERS
from sknoisy.classification._loss_memory import LossMemory
from sknoisy.classification._row_groups import on_unit_range, with_other_views
from sknoisy.extending import (
    STRONG_VIEW,
    Interval,
    NetClassifier,
    RobustNetMixin,
    strong_view_of,
    weak_pair_of,
)
from sknoisy.mixture._small_loss import small_loss_splitter

if TYPE_CHECKING:
    from sknoisy.extending import Device, IntArray, MakerOfModules, RandomState, View

__all__ = ["DivideMixClassifier"]


class DivideMixClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier of two networks that divide the labels for each other.

    After a warm-up, the losses of each network are split into small and large ones. The
    other network keeps the labels with small losses, mixed with its predictions, and
    replaces the others by the mean prediction of both networks: semi-supervised
    learning with inputs that are mixed in pairs [1]_. The noise rate is not needed. For
    balanced classes with many wrong labels, not for two classes, nor for labels that
    may all be right: on six sets of clean ones it is 0.11 behind the better of a tuned
    logistic regression and a tuned network, on the mean. On sixteen small sets with
    noise it is 0.008 behind, and ahead on 7.

    Parameters
    ----------
    module : torch module class, default=None
        As in `NetClassifier`, but not an instance: two networks with the same weights
        would learn the same.
    warmup_epochs : int >= 1 or "auto", default="auto"
        Epochs in which both networks learn the given labels. "auto" is 10 % of
        ``max_epochs``, as the 30 of 300 in [1]_ for CIFAR-100; for CIFAR-10 it has 10.
    unlabeled_weight : float >= 0, default=5.0
        Weight λ_u of the loss on rows whose labels are guessed. [1]_ has 25, and tunes
        it among 0, 25, 50 and 150: the more wrong labels, the larger. With few steps
        large weights make classes vanish.
    ramp_epochs : float >= 0 or "auto", default="auto"
        Epochs after the warm-up over which that weight is reached. "auto" is 16 / 300
        of ``max_epochs``, as in [1]_.
    temperature : float > 0, default=0.5, the value of [1]_
        Of the sharpening of all targets. 1 leaves them as they are.
    clean_threshold : float in [0, 1), default=0.5, the value of [1]_
        A label is kept if it is clean with a larger probability.
    mixup_alpha : float > 0, default=4.0, the value of [1]_
        Both parameters of the beta distribution of a batch's share.
    prior_weight : float >= 0, default=1.0, the value of [1]_
        Weight of a penalty on the mean prediction in a batch for its distance from
        equal shares of all classes, R. 0 for classes of very different sizes.
    confidence_penalty : bool, default=False
        Whether the entropy of predictions is rewarded in the warm-up, as in [1]_ for
        asymmetric noise, where networks become confident of wrong labels early.
    loss_memory : int >= 1, default=1
        Epochs over which the losses of a row are averaged before they are split. 5 for
        90 % of wrong labels in [1]_.
    weak_view : "auto", float or callable, default="auto"
        A callable maps a batch of X to a batch that is slightly changed. For tables, a
        float sets the standard deviation of noise on each feature, as a share of its
        own; "auto" is 0.3. For images "auto" is `nets.crop_and_flip`.
    strong_view : "auto", float, callable or None, default=None
        With strong views, two weak and two strong ones of each row are mixed, none of
        them those of which the labels are guessed. "auto" is `nets.rand_augment` of
        moved images; for tables a float is the share of entries that are swapped with
        other rows, "auto" 0.6. None mixes the two weak views, as [1]_.
    lr : float >= 0, default=0.05
        Learning rate of both networks at the first epoch. [1]_ has 0.02 for 300 epochs,
        which is better for weak features with half of the labels wrong, here too.
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
        Further parameters of `NetClassifier`, such as ``settings``, for both networks.
        After the warm-up a step takes ``batch_size`` rows whose labels are kept and as
        many others.

    Attributes
    ----------
    clean_proba_ : ndarray of shape (n_samples,), dtype float32
        Probability that each given label is clean, by the losses after the last epoch,
        mean of both networks.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 - ``clean_proba_``. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label by both networks where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    module_, optimizer_, history_, settings_, device_, n_features_in_
        As in `NetClassifier`; ``module_.peers`` are the two networks, and
        ``history_[:, "kept"]`` is the share of the labels that were kept.

    Warns
    -----
    UserWarning
        If no epoch was run after a warm-up of given length; if there are fewer than 50
        rows, too few for a mixture.

    See Also
    --------
    ELRPlusClassifier : Two networks that learn all labels, with a regulariser.
    FlywheelClassifier : One network judges labels, another one refurbishes them.
    sknoisy.losses.semi_supervised_loss : The loss alone.

    Notes
    -----
    Both networks divide all labels before either is trained in an epoch. Then the first
    one is trained for a whole epoch, then the second one, whose partner has been
    updated by then. An epoch is as long as the labels that are kept last; the other
    rows are reshuffled whenever all have been seen. After the warm-up an epoch takes
    three to ten times that of plain training: the more labels are kept, the longer.

    Averaged losses are scaled to [0, 1] once more, which the authors' code leaves out.
    Both networks take a step of ``batch_size`` rows in the warm-up, in [1]_ of twice
    as many as they take of either kind later.

    A network for which fewer than two labels are kept learns all given labels for an
    epoch, as in the warm-up. If all labels are kept but one, there is nothing to guess.

    Sample weights count in all losses, a mixed row having the mixed weight. The
    division of labels ignores them.

    Recorders see the mean logits of a row's two views, before they are mixed.

    With ``strong_view="auto"`` and ``masking`` six views of each row are mixed, as in
    the authors' code of `nets.AdversarialMasking` [2]_: two weak, two strong, two
    masked. Their weak views also have the colours changed: pass such a ``weak_view``.

    References
    ----------
    .. [1] J. Li, R. Socher, S. C. H. Hoi, "DivideMix: Learning with noisy labels as
       semi-supervised learning", ICLR 2020. arXiv:2002.07394
    .. [2] Y. Tu, B. Zhang, Y. Li, L. Liu, J. Li, Y. Wang, C. Wang, C. R. Zhao,
       "Learning with noisy labels via self-supervised adversarial noisy masking",
       CVPR 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import DivideMixClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = DivideMixClassifier(batch_size=32, random_state=0)
    >>> clf = clf.fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.85)
    True
    """

    cuda_dependent_attributes_ = [
        *NetClassifier.cuda_dependent_attributes_,
        "spread_",
    ]
    fit_only_attributes_ = [
        *NetClassifier.fit_only_attributes_,
        *("rows_", "clean_", "splits_", "n_labelled_", "progress_"),
    ]
    # The rows of each network after the warm-up.
    splits_: list[tuple[IntArray, IntArray]] | None

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        **OF_DIVIDED_PEERS,
        "clean_threshold": [Interval(Real, 0, 1, closed="left")],
        "loss_memory": [Interval(Integral, 1, None, closed="left")],
        "strong_view": [*STRONG_VIEW, None],
    }

    # Of a batch, the rows whose labels are kept; None takes all labels as given.
    n_labelled_: int | None = None
    # What is known of the labels after the warm-up.
    clean_: torch.Tensor | None
    label_quality_: torch.Tensor | None

    initialize_module = _divided_peers.build_peers
    passes = _divided_peers.divided_passes
    training_loss = _divided_peers.divided_step
    row_groups = _divided_peers.row_groups
    before_mixing = _divided_peers.before_mixing
    mixed_loss = _divided_peers.mixed_loss
    _pairs = _divided_peers.pairs
    _weights = _divided_peers.weights_of_views
    _ramp = _divided_peers.ramp
    _networks = _divided_peers.networks_of_turn
    _given_label_loss = _divided_peers.given_label_step
    _warn_of_late_start = _divided_peers.warn_of_late_start
    others = _divided_peers.others_endlessly

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        warmup_epochs: Literal["auto"] | int = "auto",
        unlabeled_weight: float = 5.0,
        ramp_epochs: Literal["auto"] | float = "auto",
        temperature: float = 0.5,
        clean_threshold: float = 0.5,
        mixup_alpha: float = 4.0,
        prior_weight: float = 1.0,
        confidence_penalty: bool = False,
        loss_memory: int = 1,
        weak_view: View = "auto",
        strong_view: View | None = None,
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
        self.unlabeled_weight = unlabeled_weight
        self.ramp_epochs = ramp_epochs
        self.temperature = temperature
        self.clean_threshold = clean_threshold
        self.mixup_alpha = mixup_alpha
        self.prior_weight = prior_weight
        self.confidence_penalty = confidence_penalty
        self.loss_memory = loss_memory
        self.weak_view = weak_view
        self.strong_view = strong_view

    def start_fit(self, dataset: Any) -> None:
        """Set the phases and the views."""
        super().start_fit(dataset)
        _divided_peers.settle_phases(self, dataset)

    def initialize_criterion(self) -> Self:
        """Allocate the losses of earlier epochs, if they are averaged."""
        self.criterion_ = nn.Identity()
        if self.loss_memory > 1:
            memory = LossMemory(self.rows_fitted_[0], self.loss_memory)
            self.criterion_ = memory.to(self.device_)
        return self

    def augmented(self, X: torch.Tensor) -> torch.Tensor:
        """Return the rows unchanged: groups make their own views."""
        return super().augmented(X) if self.n_labelled_ is None else X

    def group_loss(
        self, X: torch.Tensor, labelled: Any, unlabelled: Any, index: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss of both groups, with ``strong_view`` in four new views.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            The rows of the batch, unchanged.
        labelled, unlabelled, index
            As in `mixed_loss`.

        Returns
        -------
        loss : Tensor of shape ()
            Mean over the batch.
        """
        if self.strong_view is not None:
            labelled, unlabelled = self._learnt_views(X, labelled, unlabelled)
        return self.mixed_loss(labelled, unlabelled, index)

    def _learnt_views(self, X, labelled, unlabelled):
        """Return both groups with new views for those of which labels are guessed."""
        views = [
            *weak_pair_of(X, self.weak_view, self.spread_),
            strong_view_of(X, self.strong_view),
            strong_view_of(X, self.strong_view),
        ]
        n = self.n_labelled_
        return (
            with_other_views(labelled, views, slice(None, n)),
            with_other_views(unlabelled, views, slice(n, None)),
        )

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Let both networks sort the labels, once the warm-up is over."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        _divided_peers.forget_labels(self, dataset_train)
        self.splits_ = None
        if len(self.history) > self.n_warmup_:
            self._split(dataset_train)
            kept = [len(rows) for rows, _ in cast("Any", self.splits_)]
            self.history.record("kept", float(np.mean(kept) / len(dataset_train)))

    def division(self, turn: int) -> tuple[IntArray, IntArray]:
        """Return the rows by the partner of a network: both sorted them beforehand.

        Parameters
        ----------
        turn : int
            Number of the network that learns.

        Returns
        -------
        kept, others : ndarray of shape (n_rows,), dtype int64
            Positions among the rows of the training.
        """
        return cast("Any", self.splits_)[1 - turn]

    def label_weight(self, index: torch.Tensor) -> torch.Tensor:
        """Return how likely labels are clean, by the partner.

        Parameters
        ----------
        index : Tensor of shape (n_rows,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        weight : Tensor of shape (n_rows,)
            In [0, 1].
        """
        return cast("torch.Tensor", self.clean_)[1 - self.turn_, index]

    def _split(self, dataset):
        """Find which labels each network takes for clean, and remember the losses."""
        clean, losses, rows, _, _ = self._scored(dataset)
        if isinstance(self.criterion_, LossMemory):
            self.criterion_.remember(losses, rows)
        self.clean_ = torch.ones(2, self.rows_fitted_[0], device=self.device_)
        self.clean_[:, rows] = torch.from_numpy(clean).to(self.clean_)
        is_kept = clean > self.clean_threshold
        self.splits_ = [(np.flatnonzero(k), np.flatnonzero(~k)) for k in is_kept]

    def _scored(self, dataset):
        """Return what both networks say of all rows, in evaluation mode.

        Returns
        -------
        clean : ndarray of shape (2, n_rows), dtype float64
            How likely each label is clean.
        losses : Tensor of shape (2, n_rows)
            From 0 to 1.
        rows, codes : Tensors of shape (n_rows,), dtype int64
        logits : Tensor of shape (n_rows, n_classes)
            Mean of both networks.
        """
        peers = dict(enumerate(self.module_.peers))
        rows, codes, logits = self.eval_pass(dataset, peers)
        losses = [
            F.cross_entropy(logits[peer], codes, reduction="none") for peer in peers
        ]
        losses = mean = on_unit_range(torch.stack(losses))
        if isinstance(self.criterion_, LossMemory):
            mean = self.criterion_.mean_with(losses, rows)
        clean = np.stack([self._clean_proba_of(peer) for peer in mean.cpu().numpy()])
        return clean, losses, rows, codes, (logits[0] + logits[1]) / 2

    def _clean_proba_of(self, losses):
        """Return the posterior of the smaller component of a Gaussian mixture."""
        splitter = small_loss_splitter(self.seed_ % 2**31)
        return splitter.fit(losses).predict_proba(losses)[:, 0]

    def finish_fit(self, dataset: Any) -> None:
        """Score the given labels by both networks as they are after the last epoch."""
        clean, _, _, codes, logits = self._scored(dataset)
        clean = clean.mean(0)
        self.clean_proba_ = clean.astype(np.float32)
        self.record_scores(
            1 - clean, logits.softmax(1).cpu().numpy(), codes.cpu().numpy()
        )
        self._warn_of_late_start()
