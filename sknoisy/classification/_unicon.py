"""UNICON: labels near the predictions are kept, equally many of each class."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import torch
from scipy.special import xlogy
from torch import nn

from sknoisy.classification import _divided_peers
from sknoisy.classification._divided_peers import OF_DIVIDED_PEERS
from sknoisy.classification._row_groups import Reserve, with_other_views
from sknoisy.extending import (
    STRONG_VIEW,
    Interval,
    NetClassifier,
    Options,
    RobustNetMixin,
    StrOptions,
    embed_and_classify,
    learning_features,
    strong_view_of,
)
from sknoisy.losses import ContrastiveLoss

if TYPE_CHECKING:
    from sknoisy._types import FloatArray
    from sknoisy.extending import (
        Array,
        Batch,
        Device,
        IntArray,
        MakerOfModules,
        RandomState,
        View,
    )

__all__ = ["UNICONClassifier"]

# Of the epochs, over which λ_u rises.
_RAMP_SHARE = 16 / 350
# A step guesses the labels of at most so many times the rows whose labels are kept.
_MOST_GUESSED = 4
# Labels of a smaller divergence have weight 1.
_DOUBT = 0.5
# Share of the entries that a strong view of a table replaces: of few columns a small
# share would often be none.
_SWAP_RATE, _SWAP_RATE_OF_FEW, _FEW = 0.1, 0.3, 30


def label_nearness(proba: Any) -> FloatArray:
    """Return how near a prediction is to a label, 1 - the divergence in bits.

    Parameters
    ----------
    proba : array-like of any shape
        Predicted probability of the label, p.

    Returns
    -------
    nearness : ndarray of the same shape, dtype float64
        ((1 + p) log2(1 + p) - p log2(p)) / 2: from 0 to 1, as p.
    """
    p = np.asarray(proba, dtype=np.float64).clip(0, 1)
    return (xlogy(1 + p, 1 + p) - xlogy(p, p)) / (2 * np.log(2))


def label_divergence(proba: Any, log_base: Literal[2, "e"] = 2) -> FloatArray:
    """Return the Jensen-Shannon divergence of a label from a prediction.

    It depends only on the predicted probability of the label.

    Parameters
    ----------
    proba : array-like of any shape
        Predicted probability of the label.
    log_base : 2 or "e", default=2
        Base of the logarithm.

    Returns
    -------
    divergence : ndarray of the same shape, dtype float64
        From 0, for a probability of 1, to 1 for base 2 or 0.693 for base e.
    """
    bits = 1 - label_nearness(proba)
    return bits * np.log(2) if log_base == "e" else bits


def selection_cut(divergence: FloatArray, limit: float, coefficient: float) -> float:
    """Return the divergence below which a label counts as clean.

    Parameters
    ----------
    divergence : ndarray of shape (n_rows,)
    limit : float
        A mean divergence above it is lowered.
    coefficient : float
        By its distance from the smallest divergence over this.

    Returns
    -------
    cut : float
    """
    cut = divergence.mean()
    if cut > limit:
        cut -= (cut - divergence.min()) / coefficient
    return float(cut)


def uniform_selection(
    divergence: FloatArray, codes: IntArray, n_classes: int, n_clean: int
) -> Array:
    """Return which rows are kept: those of each class with the smallest divergences.

    Parameters
    ----------
    divergence : ndarray of shape (n_rows,)
    codes : ndarray of shape (n_rows,), dtype int64
        Given labels.
    n_classes : int
    n_clean : int
        Of each class, ``n_clean // n_classes`` rows are kept; all if it has fewer.

    Returns
    -------
    is_kept : ndarray of shape (n_rows,), dtype bool
    """
    order = np.lexsort((divergence, codes))
    counts = np.bincount(codes, minlength=n_classes)
    first = np.repeat(counts.cumsum() - counts, counts)
    is_kept = np.zeros(len(codes), dtype=bool)
    is_kept[order] = np.arange(len(codes)) - first < n_clean // n_classes
    return is_kept


class UNICONClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier that keeps equally many labels of each class.

    As `DivideMixClassifier`, two networks learn from kept labels and guessed ones, in
    inputs that are mixed in pairs. But labels are kept by the divergence of the label
    from what both networks predict, of each class as many; inputs are strong views; and
    two views of the same row are pulled together [1]_. For weak features: on those of
    CIFAR-10 it is 0.015 ahead of a tuned network on the mean of eight kinds of noise,
    most with pair flips; without those `PESClassifier` is level with it in a sixth of
    the time. On features of ImageNet it is a little ahead of both.

    Parameters
    ----------
    module : torch module class, default=None
        As in `NetClassifier`, but not an instance: two networks with the same weights
        would learn the same.
    warmup_epochs : int >= 1 or "auto", default="auto"
        Epochs in which both networks learn the given labels. "auto" is 10 % of
        ``max_epochs``; [1]_ has 10 of 350 for CIFAR-10, and 30 for CIFAR-100.
    unlabeled_weight : float >= 0, default=5.0
        Weight λ_u of the loss on rows whose labels are guessed. [1]_ has 30. With few
        steps large weights make classes vanish.
    ramp_epochs : float >= 0 or "auto", default="auto"
        Epochs after the warm-up over which that weight is reached. "auto" is 16 / 350
        of ``max_epochs``, as in [1]_.
    contrastive_weight : float >= 0, default=0.025, the value of [1]_
        Weight of the contrastive term. 0 removes it.
    contrastive_temperature : float > 0, default=0.05, the value of [1]_
        Divides the similarities of that term. A lower one separates near neighbours
        more.
    temperature : float > 0, default=0.5, the value of [1]_
        Of the sharpening of all targets. 1 leaves them as they are.
    log_base : 2 or "e", default=2, that of [1]_
        Base of the logarithm of the divergence, which is then at most 1, or 0.693. The
        authors' code has the latter, so that no mean is above ``adjustment_threshold``
        and a given label always has a weight of 0.307 in its target.
    adjustment_threshold : float >= 0, default=0.7, the value of [1]_
        A mean divergence above it is lowered: where labels disagree with the networks,
        fewer are kept.
    filter_coefficient : float >= 1, default=5.0, the value of [1]_
        By its distance from the smallest divergence over this. The smaller, the fewer
        labels are kept.
    mixup_alpha : float > 0, default=4.0, the value of [1]_
        Both parameters of the beta distribution of a batch's share.
    prior_weight : float >= 0, default=1.0, the value of [1]_
        Weight of a penalty on the mean prediction in a batch for its distance from
        equal shares of all classes.
    confidence_penalty : bool, default=False
        Whether the entropy of predictions is rewarded in the warm-up, as in [1]_ for
        asymmetric noise.
    weak_view, strong_view : "auto", float or callable, default="auto"
        A callable maps a batch of X to a batch that is slightly or strongly changed.
        For tables, a float sets the strength of the standard views: noise with
        ``weak_view`` standard deviations of each feature, "auto" is 0.3; and
        replacement of the share ``strong_view`` of the entries by those of other rows,
        "auto" is 0.1, or 0.3 of fewer than 30 columns. For images "auto" is
        `nets.crop_and_flip`, then `nets.rand_augment` for the strong view.
    lr : float >= 0, default=0.05
        Learning rate of both networks at the first epoch. [1]_ has 0.02 for 350 epochs.
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
        After the warm-up a step takes ``batch_size`` rows whose labels are kept, and
        more others the fewer labels count as clean, four times as many at most.

    Attributes
    ----------
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        Jensen-Shannon divergence of the given label from the mean prediction of both
        networks, base 2. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``, a predicted probability of the label below 0.29.
    noise_rate_ : float
        Share of rows in the upper of two groups of margins: the logarithm of how near
        the prediction is to the best other label over how near it is to the given one.
        Where no group is against its labels, the mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    module_, criterion_, optimizer_, history_, settings_, device_, n_features_in_
        As in `NetClassifier`; ``module_.peers`` are the two networks, and
        ``history_[:, "kept"]`` is the share of the labels that were kept, NaN in the
        warm-up.

    Warns
    -----
    UserWarning
        If no epoch was run after a warm-up of given length.

    See Also
    --------
    DivideMixClassifier : Keeps labels by a mixture of losses; faster.
    SSRClassifier : Keeps labels by votes of neighbours, with one network.
    sknoisy.losses.ContrastiveLoss : The contrastive term alone.

    Notes
    -----
    Labels are judged anew before each of both networks is trained, by both. Of n rows
    with C classes and a share R whose divergence is below the mean, each class keeps
    the R n / C labels with the smallest. Where fewer than two are kept, a network
    learns all given labels for an epoch, as in the warm-up.

    The weight of a kept label in its target is 1 - d where its divergence d is at least
    one half, else 1. Targets are predicted from weak views, and learnt in strong ones.
    A step guesses 1 / (2 R) times as many labels as it keeps; the limit of four times
    is ours, for small R.

    In the authors' code empty places among the kept rows are filled with the first row,
    and the second judgement of an epoch is made with one network in training mode. Here
    neither is so.

    With ``masking``, two masked copies of the weak view join the two strong views in
    the mixtures; [1]_ does not mask. Sample weights count in all losses, a mixed row
    having the mixed weight. The selection ignores them.

    Recorders see the mean logits of a row's two weak views, before they are mixed.

    References
    ----------
    .. [1] N. Karim, M. N. Rizve, N. Rahnavard, A. Mian, M. Shah, "UNICON: Combating
       label noise through uniform selection and contrastive learning", CVPR 2022.
       arXiv:2203.14542

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import SymmetricNoiseInjector, UNICONClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = UNICONClassifier(batch_size=32, max_epochs=10, random_state=0)
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
        *("rows_", "clean_", "clean_rate_", "n_labelled_", "progress_"),
    ]
    # Share of the labels that count as clean, at the last judgement.
    clean_rate_: float

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        **OF_DIVIDED_PEERS,
        "contrastive_weight": [Interval(Real, 0, None, closed="left")],
        "contrastive_temperature": [Interval(Real, 0, None, closed="neither")],
        "log_base": [Options(Integral, {2}), StrOptions({"e"})],
        "adjustment_threshold": [Interval(Real, 0, None, closed="left")],
        "filter_coefficient": [Interval(Real, 1, None, closed="left")],
        "strong_view": STRONG_VIEW,
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

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        warmup_epochs: Literal["auto"] | int = "auto",
        unlabeled_weight: float = 5.0,
        ramp_epochs: Literal["auto"] | float = "auto",
        contrastive_weight: float = 0.025,
        contrastive_temperature: float = 0.05,
        temperature: float = 0.5,
        log_base: Literal[2, "e"] = 2,
        adjustment_threshold: float = 0.7,
        filter_coefficient: float = 5.0,
        mixup_alpha: float = 4.0,
        prior_weight: float = 1.0,
        confidence_penalty: bool = False,
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
        self.unlabeled_weight = unlabeled_weight
        self.ramp_epochs = ramp_epochs
        self.contrastive_weight = contrastive_weight
        self.contrastive_temperature = contrastive_temperature
        self.temperature = temperature
        self.log_base = log_base
        self.adjustment_threshold = adjustment_threshold
        self.filter_coefficient = filter_coefficient
        self.mixup_alpha = mixup_alpha
        self.prior_weight = prior_weight
        self.confidence_penalty = confidence_penalty
        self.weak_view = weak_view
        self.strong_view = strong_view

    def start_fit(self, dataset: Any) -> None:
        """Set the phases and the views."""
        super().start_fit(dataset)
        _divided_peers.settle_phases(self, dataset, _RAMP_SHARE)

    def initialize_criterion(self) -> Self:
        """Build the head of the contrastive term for each network, if there is one."""
        self.criterion_ = nn.Identity()
        if self.contrastive_weight:
            row = torch.zeros(1, *self.input_shape_, device=self.device_)
            with torch.no_grad():
                features, _ = embed_and_classify(self.module_.peers[0].eval(), row)
            heads = [
                ContrastiveLoss(
                    features.shape[1], temperature=self.contrastive_temperature
                )
                for _ in self.module_.peers
            ]
            self.criterion_ = nn.ModuleList(heads).to(self.device_)
        return self

    def augmented(self, X: torch.Tensor) -> torch.Tensor:
        """Return the rows unchanged: groups make their own views."""
        return super().augmented(X) if self.n_labelled_ is None else X

    def group_loss(
        self, X: torch.Tensor, labelled: Any, unlabelled: Any, index: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss of both groups in two strong views, and the contrastive term.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            The rows of the batch, unchanged.
        labelled, unlabelled : RowGroup
            With two weak views, which the strong ones replace; masked ones may follow.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        loss : Tensor of shape ()
            Mean over the batch.
        """
        n = cast("int", self.n_labelled_)
        strong = [self._strong(X) for _ in range(2)]
        labelled = with_other_views(labelled, strong, slice(n))
        unlabelled = with_other_views(unlabelled, strong, slice(n, None))
        loss = self.mixed_loss(labelled, unlabelled, index)
        # The heads are made at the start of a fit, and a later weight waits for the
        # next.
        is_made = isinstance(self.criterion_, nn.ModuleList)
        if not self.contrastive_weight or not is_made or n == len(X):
            return loss
        own, _ = self._networks()
        views = torch.cat([view[n:] for view in strong])
        features = learning_features(self, views, own).float()
        contrast = self.criterion_[self.turn_](*features.chunk(2))
        contrast = self.weighted_mean(contrast, index[n:])
        return loss + self.contrastive_weight * contrast

    def _strong(self, X):
        view = self.strong_view
        if isinstance(view, str) and X.ndim == 2:
            view = _SWAP_RATE_OF_FEW if X.shape[1] < _FEW else _SWAP_RATE
        return strong_view_of(X, view)

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Forget what the last epoch knew of the labels."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        _divided_peers.forget_labels(self, dataset_train)

    def division(self, turn: int) -> tuple[IntArray, IntArray]:
        """Judge the labels as the networks are now, and return the rows of a pass.

        Parameters
        ----------
        turn : int
            Number of the network that learns.

        Returns
        -------
        kept, others : ndarray of shape (n_rows,), dtype int64
            Positions among the rows of the training.
        """
        rows, codes, log_proba = self._judged(self.rows_)
        own = log_proba.gather(1, codes[:, None]).squeeze(1).exp()
        given = codes.cpu().numpy()
        divergence = label_divergence(own.cpu().numpy(), self.log_base)
        cut = selection_cut(
            divergence, self.adjustment_threshold, self.filter_coefficient
        )
        n_clean = int((divergence < cut).sum())
        is_kept = uniform_selection(divergence, given, len(self.classes_), n_clean)
        self.clean_rate_ = n_clean / len(given)
        weight = 1 - np.where(divergence < _DOUBT, 0, divergence)
        self.clean_ = torch.ones(self.rows_fitted_[0], device=self.device_)
        self.clean_[rows] = torch.from_numpy(weight).to(self.clean_)
        share = float(is_kept.mean())
        if turn:
            share = (self.history[-1, "kept"] + share) / 2
        self.history.record("kept", share)
        return np.flatnonzero(is_kept), np.flatnonzero(~is_kept)

    def label_weight(self, index: torch.Tensor) -> torch.Tensor:
        """Return 1, or less where the prediction is far from the label.

        Parameters
        ----------
        index : Tensor of shape (n_rows,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        weight : Tensor of shape (n_rows,)
            In [0, 1].
        """
        return cast("torch.Tensor", self.clean_)[index]

    def others(self, batches: Iterable[Batch]) -> Callable[[int], Batch]:
        """Return what gives more rows to be guessed the fewer labels are clean.

        Parameters
        ----------
        batches : iterable of Batch
            All of these rows, in a new order each time.

        Returns
        -------
        take : callable
            Given the number of rows whose labels are kept in the step.
        """
        reserve = Reserve(batches)
        per_label = min(1 / (2 * self.clean_rate_), _MOST_GUESSED)
        return lambda n_labelled: reserve.take(max(1, int(n_labelled * per_label)))

    def _judged(self, dataset):
        """Return rows, codes, and logarithms of the mean probabilities of both."""
        peers = dict(enumerate(self.module_.peers))
        rows, codes, logits = self.eval_pass(dataset, peers)
        log_proba = torch.stack(list(logits.values())).log_softmax(-1)
        return rows, codes, log_proba.logsumexp(0) - np.log(len(peers))

    def score_rows(self, dataset: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return codes, and logits of the mean probability of both networks.

        Parameters
        ----------
        dataset : ArrayDataset
            All rows given to ``fit``.

        Returns
        -------
        codes : Tensor of shape (n_samples,), dtype int64
        logits : Tensor of shape (n_samples, n_classes)
        """
        _, codes, log_proba = self._judged(dataset)
        return codes, log_proba

    def label_evidence(self, proba: Array, codes: IntArray) -> Array:
        """Return how near each label is to the prediction, 1 - divergence.

        Parameters
        ----------
        proba : ndarray of shape (n_samples, n_classes)
            Mean of both networks.
        codes : ndarray of shape (n_samples,), dtype int64
            The given labels.

        Returns
        -------
        evidence : ndarray of shape (n_samples, n_classes)
        """
        return label_nearness(proba)

    def finish_fit(self, dataset: Any) -> None:
        """Score the given labels by both networks as they are after the last epoch."""
        super().finish_fit(dataset)
        self._warn_of_late_start()
