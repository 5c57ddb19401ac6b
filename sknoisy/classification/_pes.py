"""PES: training stops early, part by part; labels that are then predicted are kept."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import Subset

from sknoisy.classification import _divided_peers
from sknoisy.classification._progressive import class_weights, parts_of, stage_of
from sknoisy.classification._row_groups import Reserve, RowGroup, joined
from sknoisy.extending import (
    WEAK_VIEW,
    Interval,
    Learnt,
    NetClassifier,
    RobustNetMixin,
    Step,
    StrOptions,
    check_views,
    epoch_generator,
    resolve_epochs,
    share_of_epochs,
    weak_pair_of,
)
from sknoisy.losses import guessed_targets

if TYPE_CHECKING:
    from sknoisy.extending import Device, MakerOfModules, RandomState, View

__all__ = ["PESClassifier"]

_WARMUP_SHARE = 0.1
# Of the parts that are trained anew, by the published 7 and 5 of 200 epochs.
_REFINE_SHARES = (7 / 200, 5 / 200)
# Steps that a new layer needs, and the largest share of the epochs for them.
_FEWEST_STEPS, _MOST_SHARE = 30, 0.25
_RAMP_SHARE = 16 / 300
# Largest weight of a class among the kept labels.
_MOST_WEIGHT = 3.0
# Fewer kept labels, or of one class, leave nothing to learn.
_FEWEST = 2


class PESClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier that stops training early, part by part.

    The last layers of a network learn wrong labels first. After a few epochs its last
    parts are renewed and trained for a short time, while the others stand still. From
    then on the labels are learnt that the network predicts itself: progressive early
    stopping [1]_. For image features: it is ahead of a tuned network by 0.014 on the
    mean of eight kinds of noise, in less time than plain training. Where labels are
    clean or rows are learnt slowly, such as digits, it stops too early.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`. Its parts are its named children that have weights, in
        the order in which they are defined: two or more. A module with a single child
        has the parts of that child; a Sequential called ``body``, as networks here
        have it, counts layer by layer; what only normalises belongs to the part before
        it. So `nets.MLP` has its hidden layers and ``head``, `nets.PreActResNet18` a
        convolution, eight blocks and ``head``. Parts are renewed as the class makes
        them, those of an instance to the weights that it was given with.
    warmup_epochs : int >= 1 or "auto", default="auto"
        Epochs in which the whole network learns the given labels. "auto" is 10 % of
        ``max_epochs``; [1]_ has 25 of 200 for CIFAR-10, and 30 for CIFAR-100. ``fit``
        refuses numbers of this and the next parameter that leave no epoch after them.
    refine_epochs : int >= 1, tuple of int or "auto", default="auto"
        Epochs of each refinement. Of k numbers the first trains the last k parts anew,
        the next the last k - 1, and so on to the last part; there must be fewer than
        parts, and 0 leaves out a refinement that is not the first. "auto" is two
        refinements, or a single one for a network of two parts, of 7 and 5 in 200
        epochs as in [1]_; of more if these have fewer than 30 steps, but of a quarter
        of all epochs at most. [1]_ renews the last stage of a residual network
        and its head, ``(7, 0, 5)`` for `nets.PreActResNet18`.
    refine_lr : float > 0, default=0.001
        Constant learning rate of Adam in the refinements. [1]_ has 0.0001, with a
        hundred times as many steps.
    refit_head : bool, default=True
        Whether the renewed parts are trained together with the others after the
        refinements. In the authors' code they never change again.
    semi : bool, default=False
        Whether the labels of all other rows are then guessed, and rows mixed in pairs,
        "PES (semi)" of [1]_. False learns the kept labels only, "PES (cs)".
    unlabeled_weight : float >= 0, default=5.0
        Weight of guessed labels, with ``semi``. [1]_ has 5 to 150.
    temperature : float > 0, default=0.5, the value of [1]_
        Of the sharpening of guessed labels, with ``semi``.
    mixup_alpha : float > 0, default=4.0, the value of [1]_
        Both parameters of the beta distribution of a batch's share, with ``semi``.
    weak_view : "auto", float or callable, default="auto"
        The change of rows with ``semi``, as in `DivideMixClassifier`.
    lr : float >= 0, default=0.05
        Learning rate at the first epoch.
    max_epochs : int >= 1, default=20
        Epochs that one call of ``fit`` or ``partial_fit`` runs, with the refinements.
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
        As in `NetClassifier`; ``history_[:, "kept"]`` is the share of the labels that
        are kept, NaN before.

    See Also
    --------
    SSRClassifier : Keeps labels by votes of neighbours.
    DivideMixClassifier : Keeps labels by a mixture of losses, with two networks.

    Notes
    -----
    In a refinement all else is in evaluation mode, so that statistics of batches stand
    still too, which move in the authors' code. Renewed weights take the
    place of the old ones in the same tensors: the optimizer, whose memory of earlier
    gradients is emptied after the refinements, trains them. In the authors' code it
    holds the old tensors, and the new ones stay as they are for the rest of the
    training; ``refit_head=False`` does the same.

    Labels are judged at the start of each later epoch, in evaluation mode, on the rows
    as they are; in that code on changed ones. Kept labels are weighted by the mean
    number of kept labels of a class over that of their own; with ``semi`` by 3 at most.
    If fewer than two classes are kept, all labels are learnt for an epoch.

    With ``semi``, a step has ``batch_size`` rows, of either kind in proportion. Sample
    weights count in all losses. Recorders see the mean logits of a row's two views.

    References
    ----------
    .. [1] Y. Bai, E. Yang, B. Han, Y. Yang, J. Li, Y. Mao, G. Niu, T. Liu,
       "Understanding and improving early stopping for learning with noisy labels",
       NeurIPS 2021. arXiv:2106.15853

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import PESClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = PESClassifier(batch_size=32, random_state=0).fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.8)
    True
    """

    cuda_dependent_attributes_ = [
        *NetClassifier.cuda_dependent_attributes_,
        *("spread_", "refiner_", "resting_"),
    ]
    fit_only_attributes_ = [
        *NetClassifier.fit_only_attributes_,
        *("rows_", "split_", "weight_", "stage_", "n_labelled_", "progress_"),
    ]
    # The optimizer of a refinement, and the other one while it rests.
    refiner_: Any = None
    resting_: Any = None
    # Positions of rows whose labels are kept, and of the others; None keeps all.
    split_: tuple[Any, Any] | None
    # No term of the loss.
    prior_weight = 0.0

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "warmup_epochs": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "refine_epochs": [
            Interval(Integral, 1, None, closed="left"),
            tuple,
            list,
            StrOptions({"auto"}),
        ],
        "refine_lr": [Interval(Real, 0, None, closed="neither")],
        "refit_head": ["boolean"],
        "semi": ["boolean"],
        "unlabeled_weight": [Interval(Real, 0, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "mixup_alpha": [Interval(Real, 0, None, closed="neither")],
        "weak_view": WEAK_VIEW,
    }

    # Of a batch, the rows whose labels are kept; None takes all labels as given.
    n_labelled_: int | None = None

    mixed_loss = _divided_peers.mixed_loss
    _ramp = _divided_peers.ramp

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        warmup_epochs: Literal["auto"] | int = "auto",
        refine_epochs: Literal["auto"] | int | tuple[int, ...] = "auto",
        refine_lr: float = 1e-3,
        refit_head: bool = True,
        semi: bool = False,
        unlabeled_weight: float = 5.0,
        temperature: float = 0.5,
        mixup_alpha: float = 4.0,
        weak_view: View = "auto",
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
        self.refine_epochs = refine_epochs
        self.refine_lr = refine_lr
        self.refit_head = refit_head
        self.semi = semi
        self.unlabeled_weight = unlabeled_weight
        self.temperature = temperature
        self.mixup_alpha = mixup_alpha
        self.weak_view = weak_view

    def start_fit(self, dataset: Any) -> None:
        """Set the length of the first phase, and the views."""
        super().start_fit(dataset)
        self.n_early_ = int(
            resolve_epochs(self.warmup_epochs, _WARMUP_SHARE, self.max_epochs)
        )
        # For images, a missing network is reported before missing views.
        self.component_of("module")
        self.spread_ = check_views(self, dataset, ["weak_view"] * self.semi)
        self.n_ramp_ = _RAMP_SHARE * self.max_epochs

    def initialize_module(self) -> Self:
        """Build the network, and plan its refinements."""
        super().initialize_module()
        self.refiner_ = self.resting_ = None
        names = [name for name, _ in parts_of(self.module_)]
        if len(names) < 2:
            raise ValueError(
                "PESClassifier trains the last parts of a network anew while the "
                "others stand still: the module needs two named children with weights "
                f"or more; {type(self.module_).__name__} has the parts {names}."
            )
        self.refine_epochs_ = self._planned(len(names))
        self.n_warmup_ = self.n_early_ + sum(self.refine_epochs_)
        is_given = "auto" not in (self.warmup_epochs, self.refine_epochs)
        if is_given and self.n_warmup_ >= self.max_epochs and not self.goes_on_:
            raise ValueError(
                f"warmup_epochs={self.n_early_} and refine_epochs={self.refine_epochs_}"
                " leave no epoch in which labels are kept: their sum must be less than "
                f"max_epochs={self.max_epochs}."
            )
        return self

    def _planned(self, n_parts):
        """Return the epochs of each refinement."""
        given = self.refine_epochs
        if isinstance(given, str):
            shares = _REFINE_SHARES[-(n_parts - 1) :]
            n_rows = self.rows_fitted_[0]
            size = n_rows if self.batch_size == -1 else self.batch_size
            least = ceil(_FEWEST_STEPS / ceil(n_rows / size))
            most = share_of_epochs(_MOST_SHARE, self.max_epochs)
            return tuple(
                min(max(share_of_epochs(share, self.max_epochs), least), most)
                for share in shares
            )
        given = (given,) if isinstance(given, Integral) else tuple(given)
        is_valid = all(isinstance(n, Integral) and n >= 0 for n in given)
        if not given or not is_valid or given[0] < 1:
            raise ValueError(
                "refine_epochs must be 'auto', or integers of at least 0, the first of "
                f"at least 1; got {self.refine_epochs!r}."
            )
        if len(given) >= n_parts:
            raise ValueError(
                f"refine_epochs={given} would renew {len(given)} of {n_parts} parts of "
                "the module: at least one must stand still."
            )
        return given

    def augmented(self, X: torch.Tensor) -> torch.Tensor:
        """Return the rows unchanged where two views are made of them."""
        return super().augmented(X) if self.n_labelled_ is None else X

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the loss of a batch, its logits, and what was learnt."""
        if self.n_labelled_ is not None:
            return self._mixed_step(X, y, index)
        if self.refiner_ is self.optimizer_:
            self._set_modes()
        logits = self.module_(X).float()
        loss = F.cross_entropy(logits, y, reduction="none")
        learnt = [Learnt(self.module_, X, y)]
        if self.split_ is None:
            return Step(self.weighted_mean(loss, index), logits, learnt)
        weight = self._weight_of(y, index)
        loss = (weight * loss).sum() / weight.sum().clamp_min(1e-12)
        return Step(loss, logits, learnt)

    def _set_modes(self):
        """Set all but the renewed parts to evaluation mode."""
        self.module_.eval()
        # Else the net would set all of it to training mode.
        self.module_.training = True
        for layer in self._renewed():
            layer.train()

    def _renewed(self, module=None):
        """Return the layers of the parts that the stage of the training renews."""
        module = self.module_ if module is None else module
        parts = parts_of(module)[-self.stage_.n_renewed :]
        return [layer for _, layers in parts for layer in layers]

    def _weight_of(self, y, index):
        """Return the weights of kept labels, by class and by row."""
        weight = cast("Any", self.weight_)[y]
        if self.sample_weight_ is not None:
            weight = weight * self.sample_weight_[index]
        return weight

    def _mixed_step(self, X, y, index):
        """Learn kept labels and guessed ones, mixed in pairs."""
        n = cast("int", self.n_labelled_)
        views = weak_pair_of(X, self.weak_view, self.spread_)
        with torch.no_grad():
            logits = self.module_(torch.cat(views)).float().chunk(2)
            guessed = guessed_targets([out[n:] for out in logits], self.temperature)
        given = F.one_hot(y[:n], len(self.classes_)).float()
        labelled = RowGroup([view[:n] for view in views], [given] * 2)
        unlabelled = RowGroup([view[n:] for view in views], [guessed] * 2)
        loss = self.mixed_loss(labelled, unlabelled, index)
        targets = torch.cat([given, guessed])
        learnt = [Learnt(self.module_, views[0], targets)]
        return Step(loss, (logits[0] + logits[1]) / 2, learnt)

    def _networks(self):
        """Return the network; it has no partner."""
        return self.module_, None

    def _weights(self, labelled, unlabelled, index):
        """Return the weights of all views: of kept labels also by class."""
        own = cast("Any", self.weight_).clamp_max(_MOST_WEIGHT)
        kept = own[labelled.targets[0].argmax(1)]
        rest = torch.ones(len(unlabelled.targets[0]), device=kept.device)
        if self.sample_weight_ is not None:
            kept = kept * self.sample_weight_[index[: len(kept)]]
            rest = self.sample_weight_[index[len(kept) :]]
        return torch.cat([kept, kept, rest, rest])

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Renew the parts of a refinement, or judge the labels after the last one."""
        self._end_refinement()
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        self.rng_ = epoch_generator(self)
        self.rows_, self.split_, self.n_labelled_ = dataset_train, None, None
        self.stage_ = stage_of(len(self.history), self.n_early_, self.refine_epochs_)
        # All parts are set to training mode again before the first step.
        self.module_.eval()
        kept = np.nan
        if self.stage_.kind == "refine":
            self._begin_refinement()
        elif self.stage_.kind == "kept":
            if self.stage_.is_first:
                # What it knows of the gradients is of other weights.
                self.optimizer_.state.clear()
            kept = self._judge(dataset_train)
        self.history.record("kept", kept)

    def _begin_refinement(self):
        """Let Adam train the last parts for an epoch, new ones if it is the first."""
        if self.stage_.is_first:
            layers, fresh = self._renewed(), self._renewed(self.build("module"))
            for layer, new in zip(layers, fresh, strict=True):
                layer.load_state_dict(new.state_dict())
            weights = [weight for layer in layers for weight in layer.parameters()]
            self._use(refiner_=torch.optim.Adam(weights, lr=self.refine_lr))
        self._use(resting_=self.optimizer_, optimizer_=self.refiner_)

    def _use(self, **optimizers):
        # skorch refuses optimizers that are not set by an initialize method.
        vars(self).update(optimizers)

    def _end_refinement(self):
        """Put the optimizer of the net back, also after an interruption."""
        if self.resting_ is not None:
            self._use(optimizer_=self.resting_, resting_=None)

    def _judge(self, dataset):
        """Find the labels that the network predicts; return their share."""
        _, codes, logits = self.eval_pass(dataset, ["module"])
        found = torch.stack([codes, logits["module"].argmax(1)]).cpu()
        is_kept = found[0] == found[1]
        counts = torch.bincount(found[0, is_kept], minlength=len(self.classes_))
        self.weight_ = class_weights(counts).to(self.device_)
        if int((counts > 0).sum()) >= _FEWEST:
            kept = is_kept.numpy()
            self.split_ = np.flatnonzero(kept), np.flatnonzero(~kept)
        return float(is_kept.float().mean())

    def passes(self, batches: Iterable[Any]) -> Iterable[tuple[Any, Iterable[Any]]]:
        """Train on all rows, or on kept labels, with ``semi`` beside the others."""
        if self.split_ is None:
            yield self.stage_.kind, batches
            return
        kept, others = self.split_
        if self.semi and len(others) >= _FEWEST:
            yield "kept", self._proportional(kept, others, len(cast("Any", batches)))
        else:
            subset = Subset(self.rows_, kept)
            yield "kept", self.get_iterator(subset, training=True)

    def _proportional(self, kept, others, n_steps):
        """Yield batches of kept rows, followed by as many of the others in each."""
        groups = [
            Reserve(self.get_iterator(Subset(self.rows_, rows), training=True))
            for rows in (kept, others)
        ]
        for step in range(n_steps):
            sizes = [
                max(1, len(rows) * (step + 1) // n_steps - len(rows) * step // n_steps)
                for rows in (kept, others)
            ]
            parts = [group.take(n) for group, n in zip(groups, sizes, strict=True)]
            self.n_labelled_, self.progress_ = sizes[0], step / n_steps
            yield joined(*parts)

    def on_grad_computed(
        self,
        net: Any,
        named_parameters: Any,
        batch: Any = None,
        training: bool = False,
        **kwargs: Any,
    ) -> None:
        """Leave out the renewed parts, unless they are trained on."""
        super().on_grad_computed(
            net, named_parameters, batch=batch, training=training, **kwargs
        )
        if self.refit_head or self.stage_.kind != "kept":
            return
        for layer in self._renewed():
            for weight in layer.parameters():
                # The optimizer passes over a weight without gradient.
                weight.grad = None

    def on_epoch_end(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Put the optimizer of the net back in its place."""
        super().on_epoch_end(net, dataset_train, dataset_valid, **kwargs)
        self._end_refinement()

    def finish_fit(self, dataset: Any) -> None:
        """Score the given labels with the trained network."""
        self._end_refinement()
        super().finish_fit(dataset)
