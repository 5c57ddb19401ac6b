"""SSR: rows whose label wins the vote of their neighbours are learnt, others wait."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Subset

from sknoisy.classification._row_groups import endless, joined
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
    soft_cross_entropy,
    strong_view_of,
    warn_user,
    weak_view_of,
)
from sknoisy.losses import (
    FeatureConsistencyLoss,
    neighbor_label_counts,
    vote_shares,
)
from sknoisy.nets._masked_training import is_masked, masked_views

if TYPE_CHECKING:
    from sknoisy.extending import Device, IntArray, MakerOfModules, RandomState, View

__all__ = ["SSRClassifier", "balanced_rows"]

# The default number of neighbours is this share of the mean size of a class, which is
# the published 200 for 500 rows, within these bounds.
_NEIGHBOR_SHARE, _FEWEST, _MOST = 0.4, 10, 200
# Share of the entries of a table that a strong view replaces.
_SWAP_RATE = 0.05
# Votes that are equal but for rounding are ties.
_TIE = 1e-9
# With more rows, neighbours are searched among so many, drawn in each epoch.
_BANK_SIZE = 50_000
# Epochs without any row of a class after which a warning is given.
_MANY_EPOCHS = 3


def balanced_rows(
    labels: IntArray, rows: IntArray, rng: np.random.Generator
) -> IntArray:
    """Return rows, repeated so that each class has as many as the largest one.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), dtype int64
        Label codes of the rows.
    rows : ndarray of shape (n_rows,), dtype int64
        Row numbers.
    rng : numpy.random.Generator
        Draws which rows are repeated once more than others.

    Returns
    -------
    balanced : ndarray of shape (n_present * n_largest,), dtype int64
        Classes one after the other.
    """
    present, sizes = np.unique(labels, return_counts=True)
    parts = [
        # It is filled up by whole permutations, and the beginning of one.
        np.resize(rng.permutation(rows[labels == label]), sizes.max())
        for label in present
    ]
    return np.concatenate(parts)


class SSRClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier of one network that learns what neighbours agree on.

    At the start of each epoch a label is replaced where the network is sure of another
    one, and a row is selected if its label has the most votes among the nearest rows,
    by the features of the network. The network is then trained on the selected rows,
    all classes equally often, in mixed pairs of strong views: SSR [1]_. With
    ``consistency_weight`` above 0 the features of two views of every row should also
    agree: SSR+. Neither a noise rate nor a second network is needed. For labels of
    which many are wrong, also in a systematic way: pair flips, human labels of strong
    features. Not for one frequent class, or few wrong labels. On sixteen small sets it
    is 0.011 ahead of the better of a tuned logistic regression and a tuned network, on
    the mean, and ahead on 8.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`.
    relabel_threshold : float in (0, 1], default=0.9, the value of [1]_ for CIFAR-10
        A label is replaced by the prediction in an epoch if its probability is larger.
        1 never replaces any. [1]_ has 0.8 to 0.99 elsewhere: the fewer wrong labels,
        the larger.
    selection_threshold : float in (0, 1], default=1.0, the value of [1]_
        A row is selected if its label has at least this share of the votes for the
        class with the most votes. 1 asks for the most votes. The smaller, the more
        rows are learnt.
    n_neighbors : int >= 1 or "auto", default="auto"
        Rows that vote. "auto" is 0.4 times the mean number of rows of a class, from 10
        to 200; [1]_ has 200 of 500 rows or more of a class. Half as many are better
        where less than half of the labels are wrong, and far worse under more.
    include_self : bool, default=True
        Whether a row votes for itself, as in the authors' code.
    balance_votes : bool, default=True
        Whether votes are divided by the shares of their classes, as in [1]_.
    consistency_weight : float >= 0 or "auto", default="auto"
        Weight of the consistency of features, λ_fc. "auto" is 1 for images, as in [1]_,
        and 0 for tables, where it brought nothing for half as much time again.
    warmup_epochs : int >= 0 or "auto", default="auto"
        Epochs in which the given labels are learnt. "auto" is 0 for images, as in
        [1]_, and 1 for other rows. ``fit`` refuses a number that leaves no epoch for
        a selection.
    mixup_alpha : float > 0, default=4.0, the value of [1]_ for CIFAR
        Both parameters of the beta distribution of a batch's share.
    weak_view, strong_view : "auto", float or callable, default="auto"
        A callable maps a batch of X to a batch that is slightly or strongly changed.
        For tables, a float sets the strength of the standard views: noise with
        ``weak_view`` standard deviations of each feature, "auto" is 0.3; and
        replacement of the share ``strong_view`` of the entries by those of other rows,
        "auto" is 0.05. For images "auto" is `nets.crop_and_flip`, then
        `nets.rand_augment` for the strong view. The weak view is of the consistency
        only.
    lr : float >= 0, default=0.05
        Learning rate at the first epoch; 0.02 in [1]_.
    max_epochs : int >= 1, default=20
        Epochs that one call of ``fit`` or ``partial_fit`` runs.
    batch_size : int >= 1 or -1, default=128, the value of [1]_ for CIFAR
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
    label_proba_ : ndarray of shape (n_samples, n_classes), dtype float32
        Shares of the classes in the vote of each row's neighbours, by the trained
        network.
    selected_mask_ : ndarray of shape (n_samples,), dtype bool
        Which rows the trained network would select.
    epochs_absent_ : ndarray of shape (n_classes,), dtype int64
        Epochs up to the last one in which no row was selected as one of the class.
    n_neighbors_ : int
        Rows that vote.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 - g_y / (g_y + g_o), with the shares of the given label y and of the other
        class o that has the most. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``: another class has more votes.
    noise_rate_ : float
        Mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        Where the given label is flagged: the prediction if its probability is above
        ``relabel_threshold``, else the other class with the most votes.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    module_, criterion_, optimizer_, history_, settings_, device_, n_features_in_
        As in `NetClassifier`; ``history_[:, "kept"]`` is the share of rows that are
        selected, ``history_[:, "relabelled"]`` that of replaced labels.

    Warns
    -----
    UserWarning
        If no row of a class has been selected in the last three epochs or more.

    See Also
    --------
    DivideMixClassifier : Two networks select rows by their losses, and guess the rest.
    NeighborVoteDetector : Votes of neighbours on fixed features.
    sknoisy.losses.neighbor_label_counts : The search for neighbours alone.

    Notes
    -----
    Labels are judged anew in each epoch from the given ones and the current network.
    An epoch has as many steps as all rows fill. A step learns two views of its rows:
    twice the time of plain training, half as much again with consistency, and the
    search, which grows with the square of the number of rows. With more than 50,000
    rows, neighbours are searched among so many, drawn in each epoch.

    If fewer than two classes have a selected row, all given labels are learnt for an
    epoch. Sample weights count in the losses; the votes ignore them.

    The rows are judged as they are, without dropout; the authors' code changes them by
    the weak view. Of the consistency term, the strong view predicts the weak one and
    not the reverse, as in that code.

    Recorders see the mean logits of a row's two views, which are mixed with others.

    With ``masking``, two masked copies of the first view join the two views in the
    mixtures, and patches are larger where neighbours disagree about the label. [1]_
    does not mask; how the authors of masking did it in SSR is not published.

    References
    ----------
    .. [1] C. Feng, G. Tzimiropoulos, I. Patras, "SSR: An efficient and robust framework
       for learning with unknown label noise", BMVC 2022. arXiv:2111.11288

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import SSRClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = SSRClassifier(batch_size=32, random_state=0)
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
        *("rows_", "labels_", "sample_", "n_selected_"),
    ]
    # The labels of an epoch by row number; None takes all labels as given.
    labels_: torch.Tensor | None
    # Positions of the selected rows among those of the training, repeated.
    sample_: IntArray | None

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "relabel_threshold": [Interval(Real, 0, 1, closed="right")],
        "selection_threshold": [Interval(Real, 0, 1, closed="right")],
        "n_neighbors": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "include_self": ["boolean"],
        "balance_votes": ["boolean"],
        "consistency_weight": [
            Interval(Real, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "warmup_epochs": [
            Interval(Integral, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "mixup_alpha": [Interval(Real, 0, None, closed="neither")],
        "weak_view": WEAK_VIEW,
        "strong_view": STRONG_VIEW,
    }

    # Its neighbours need features that strong regularisation does not leave.
    _race_settings = (
        {"module__dropout": 0.5, "optimizer__weight_decay": 5e-3},
        {"module__dropout": 0.0, "optimizer__weight_decay": 5e-4, "lr": 0.1},
    )

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        relabel_threshold: float = 0.9,
        selection_threshold: float = 1.0,
        n_neighbors: Literal["auto"] | int = "auto",
        include_self: bool = True,
        balance_votes: bool = True,
        consistency_weight: Literal["auto"] | float = "auto",
        warmup_epochs: Literal["auto"] | int = "auto",
        mixup_alpha: float = 4.0,
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
        self.relabel_threshold = relabel_threshold
        self.selection_threshold = selection_threshold
        self.n_neighbors = n_neighbors
        self.include_self = include_self
        self.balance_votes = balance_votes
        self.consistency_weight = consistency_weight
        self.warmup_epochs = warmup_epochs
        self.mixup_alpha = mixup_alpha
        self.weak_view = weak_view
        self.strong_view = strong_view

    def start_fit(self, dataset: Any) -> None:
        """Settle neighbours, warm-up, consistency and views."""
        super().start_fit(dataset)
        n_classes, is_image = len(self.classes_), len(self.input_shape_) == 3
        self.n_warmup_ = self.warmup_epochs
        if self.warmup_epochs == "auto":
            self.n_warmup_ = 0 if is_image else 1
        elif self.n_warmup_ >= self.max_epochs and not self.goes_on_:
            raise ValueError(
                f"warmup_epochs={self.n_warmup_} leaves no epoch in which rows are "
                f"selected: it must be less than max_epochs={self.max_epochs}."
            )
        self.n_neighbors_ = self.n_neighbors
        if self.n_neighbors == "auto":
            per_class = round(_NEIGHBOR_SHARE * len(dataset) / n_classes)
            self.n_neighbors_ = min(_MOST, max(_FEWEST, per_class))
        self.n_neighbors_ = min(cast("int", self.n_neighbors_), len(dataset))
        self.consistency_ = self.consistency_weight
        if self.consistency_weight == "auto":
            self.consistency_ = 1.0 if is_image else 0.0
        self.epochs_absent_ = np.zeros(n_classes, dtype=np.int64)
        # For images, a missing network is reported before missing views.
        self.component_of("module")
        weak = ["weak_view"] * bool(self.consistency_)
        self.spread_ = check_views(self, dataset, [*weak, "strong_view"])

    def initialize_criterion(self) -> Self:
        """Build the heads of the consistency term, if there is one."""
        row = torch.zeros(1, *self.input_shape_, device=self.device_)
        with torch.no_grad():
            features, _ = embed_and_classify(self.module_.eval(), row)
        self.criterion_ = nn.Identity()
        if self.consistency_:
            heads = FeatureConsistencyLoss(features.shape[1])
            self.criterion_ = heads.to(self.device_)
        return self

    def augmented(self, X: torch.Tensor) -> torch.Tensor:
        """Return the rows unchanged: the step makes its own views."""
        return super().augmented(X) if self.labels_ is None else X

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the loss of a batch and its logits."""
        if self.labels_ is None:
            logits = self.module_(X).float()
            loss = F.cross_entropy(logits, y, reduction="none")
            loss = self.weighted_mean(loss, index)
            return Step(loss, logits, [Learnt(self.module_, X, y)])
        n = self.n_selected_
        labels = self.labels_[index]
        views = [self._strong(X[:n]) for _ in range(2)]
        targets = [F.one_hot(labels[:n], len(self.classes_)).float()] * 2
        more = 0.0
        if is_masked(self):
            views, targets, more = self._masked_too(views, targets, index[:n])
        loss, logits = self._mixed_loss(views, targets, index[:n])
        loss = loss + more
        if n == len(X):
            return Step(loss, logits, [Learnt(self.module_, views[0], labels)])
        more, others = self._consistency_loss(X[n:], index[n:])
        loss = loss + self.consistency_ * more
        rows = torch.arange(n, device=X.device)
        learnt = Learnt(self.module_, torch.cat([views[0], X[n:]]), labels, rows)
        return Step(loss, torch.cat([logits, others]), [learnt])

    def _strong(self, X):
        view = self.strong_view
        is_default = isinstance(view, str) and X.ndim == 2
        return strong_view_of(X, _SWAP_RATE if is_default else view)

    def _masked_too(self, views, targets, index):
        """Return the views with two masked ones of the first, targets, and a loss."""
        # The larger its share of the votes, the likelier the label is right.
        quality = cast("torch.Tensor", self.label_quality_)[0, index]
        masked, softened, loss = masked_views(
            self, self.module_, views[0], targets[0], quality, index
        )
        return [*views, *masked], [*targets, softened, softened], loss

    def _mixed_loss(self, views, targets, index):
        """Return the loss of views, mixed in pairs, and logits of the first two."""
        X, targets = torch.cat(views), torch.cat(targets)
        partner, share = draw_mixing(self, X)
        logits = self.module_(mixup(X, partner, share)).float()
        loss = soft_cross_entropy(logits, mixup(targets, partner, share))
        mean_logits = (logits[: len(index)] + logits[len(index) : 2 * len(index)]) / 2
        if self.sample_weight_ is None:
            return loss.mean(), mean_logits
        weight = mixup(self.sample_weight_[index].repeat(len(views)), partner, share)
        loss = (weight * loss).sum() / weight.sum().clamp_min(1e-12)
        return loss, mean_logits

    def _consistency_loss(self, X, index):
        """Return how far strong views are from weak ones, and the latter's logits."""
        with torch.no_grad():
            weak = weak_view_of(X, self.weak_view, self.spread_)
            target, logits = embed_and_classify(self.module_, weak)
        features = learning_features(self, self._strong(X)).float()
        loss = self.criterion_(features, target.float())
        return self.weighted_mean(loss, index), logits.float()

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Judge the labels and select rows, once the warm-up is over."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        self.rng_ = epoch_generator(self)
        self.rows_ = dataset_train
        self.labels_ = self.sample_ = self.label_quality_ = None
        kept = relabelled = np.nan
        if len(self.history) <= cast("int", self.n_warmup_):
            self.epochs_absent_[:] = 0
        else:
            found = self._judge(dataset_train)
            kept = found.selected.mean()
            relabelled = (found.labels != found.codes).mean()
            self._select(found)
        self.history.record("kept", float(kept))
        self.history.record("relabelled", float(relabelled))

    def _judge(self, dataset):
        """Return what the network, in evaluation mode, says of labels and rows."""
        both = _FeaturesAndLogits(self.module_)
        rows, codes, outputs = self.eval_pass(dataset, {"both": both})
        features, logits = outputs["both"].split(
            [outputs["both"].shape[1] - len(self.classes_), len(self.classes_)], 1
        )
        proba, best = logits.softmax(1).max(1)
        is_sure = proba > self.relabel_threshold
        labels = torch.where(is_sure, best, codes)
        bank = None
        if len(rows) > _BANK_SIZE:
            drawn = epoch_generator(self).permutation(len(rows))[:_BANK_SIZE]
            bank = torch.from_numpy(drawn).to(rows.device)
        counts = neighbor_label_counts(
            features,
            labels,
            len(self.classes_),
            self.n_neighbors_,
            include_self=self.include_self,
            bank=bank,
        )
        on_cpu = [t.cpu().numpy() for t in (codes, labels, best, is_sure, counts)]
        codes, labels, best, is_sure, counts = on_cpu
        shares = vote_shares(counts, labels, self.balance_votes)
        own = np.take_along_axis(shares, labels[:, None], 1)[:, 0]
        ratio = own / shares.max(1)
        selected = ratio >= self.selection_threshold * (1 - _TIE)
        return _Judgement(rows, codes, labels, best, is_sure, shares, ratio, selected)

    def _select(self, found):
        """Set the rows of an epoch, unless fewer than two classes have one."""
        chosen = np.flatnonzero(found.selected)
        present = np.unique(found.labels[chosen])
        if len(present) < 2:
            self.epochs_absent_[:] = 0
            return
        self.epochs_absent_ += 1
        self.epochs_absent_[present] = 0
        self.sample_ = balanced_rows(found.labels[chosen], chosen, self.rng_)
        n_samples = self.rows_fitted_[0]
        on_device = {"device": self.device_}
        self.labels_ = torch.zeros(n_samples, dtype=torch.int64, **on_device)
        self.labels_[found.rows] = torch.from_numpy(found.labels).to(self.device_)
        self.label_quality_ = torch.ones(1, n_samples, **on_device)
        ratio = torch.from_numpy(found.ratio).to(self.label_quality_)
        self.label_quality_[0, found.rows] = ratio

    def passes(self, batches: Iterable[Any]) -> Iterable[tuple[Any, Iterable[Any]]]:
        """Train on the selected rows, for as many steps as all rows fill."""
        yield 0, batches if self.sample_ is None else self._batches(batches)

    def _batches(self, batches):
        """Yield batches of selected rows, followed by any rows with consistency."""
        subset = Subset(self.rows_, cast("Any", self.sample_))
        selected = endless(self.get_iterator(subset, training=True))
        if not self.consistency_:
            for batch in islice(selected, len(batches)):
                self.n_selected_ = len(batch.index)
                yield batch
            return
        for others, batch in zip(batches, selected, strict=False):
            self.n_selected_ = len(batch.index)
            yield joined(batch, others)

    def finish_fit(self, dataset: Any) -> None:
        """Score the given labels by the votes under the trained network."""
        found = self._judge(dataset)
        self.label_proba_ = found.shares.astype(np.float32)
        self.selected_mask_ = found.selected
        given = found.codes[:, None]
        own = np.take_along_axis(found.shares, given, 1)[:, 0]
        others = found.shares.copy()
        np.put_along_axis(others, given, 0.0, 1)
        # Rounded, so that ties are not flagged.
        scores = np.round(1 - own / (own + others.max(1)), 12)
        is_sure = found.is_sure & (found.best != found.codes)
        others[is_sure, found.best[is_sure]] = np.inf
        self.record_scores(scores, others, found.codes)
        self._warn_of_absent_classes()

    def _warn_of_absent_classes(self):
        absent = self.classes_[self.epochs_absent_ >= _MANY_EPOCHS]
        if not len(absent):
            return
        warn_user(
            f"no row was selected as one of {absent.tolist()} in the last "
            f"{self.epochs_absent_.max()} epochs, so that the network forgets them. "
            "Raise relabel_threshold or warmup_epochs, or lower selection_threshold.",
        )


class _Judgement(NamedTuple):
    """What a network says of all rows, in their order.

    Parameters
    ----------
    rows : Tensor of shape (n_rows,), dtype int64
        Numbers of the rows.
    codes, labels, best : ndarrays of shape (n_rows,), dtype int64
        The given labels, those of the epoch, and the predictions.
    is_sure : ndarray of shape (n_rows,), dtype bool
        Where the label of the epoch is the prediction.
    shares : ndarray of shape (n_rows, n_classes), dtype float64
        Votes of the neighbours.
    ratio : ndarray of shape (n_rows,), dtype float64
        Votes for the label of the epoch over those for the class with the most.
    selected : ndarray of shape (n_rows,), dtype bool
    """

    rows: torch.Tensor
    codes: IntArray
    labels: IntArray
    best: IntArray
    is_sure: Any
    shares: Any
    ratio: Any
    selected: Any


class _FeaturesAndLogits(nn.Module):
    """A network that returns its penultimate features and its logits side by side."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, X):
        """Return a Tensor of shape (batch, n_features_out + n_classes)."""
        return torch.cat(embed_and_classify(self.network, X), 1)
