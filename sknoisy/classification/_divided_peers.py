"""What DivideMix and UNICON share: two networks that keep labels and guess others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import Subset

from sknoisy.classification._row_groups import RowGroup, endless, joined, with_views
from sknoisy.extending import (
    WEAK_VIEW,
    Interval,
    Learnt,
    Peers,
    Step,
    StrOptions,
    check_views,
    draw_mixing,
    epoch_generator,
    mixup,
    refuse_instance,
    resolve_epochs,
    warn_user,
    weak_pair_of,
)
from sknoisy.losses import (
    guessed_targets,
    negative_entropy,
    prior_penalty,
    refined_targets,
    semi_supervised_loss,
)
from sknoisy.nets._masked_training import is_masked, masked_views

if TYPE_CHECKING:
    from sknoisy.extending import Batch

    # The base class is from skorch, which has no types.
    _Host = Any
else:
    _Host = object

__all__ = ["OF_DIVIDED_PEERS", "DividedPeersMixin", "MixedGroupsMixin"]

OF_DIVIDED_PEERS = {
    "warmup_epochs": [
        Interval(Integral, 1, None, closed="left"),
        StrOptions({"auto"}),
    ],
    "unlabeled_weight": [Interval(Real, 0, None, closed="left")],
    "ramp_epochs": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
    "temperature": [Interval(Real, 0, None, closed="neither")],
    "mixup_alpha": [Interval(Real, 0, None, closed="neither")],
    "prior_weight": [Interval(Real, 0, None, closed="left")],
    "confidence_penalty": ["boolean"],
    "weak_view": WEAK_VIEW,
}
_WARMUP_SHARE = 0.1
# Batch normalisation fails on one row.
_MIN_ROWS = 2


class MixedGroupsMixin(_Host):
    """Batches of rows whose labels are kept and of others, learnt in mixed pairs.

    A method has the parameters ``unlabeled_weight``, ``mixup_alpha`` and
    ``prior_weight``, a method ``_networks`` whose first result is the network that
    learns, and sets ``rows_``, ``rng_``, ``n_warmup_`` and ``n_ramp_``.
    """

    # Of a batch, the rows whose labels are kept; None takes all labels as given.
    n_labelled_: int | None = None

    def _pairs(self, labelled, unlabelled):
        """Yield batches of rows whose labels are kept, followed by other rows."""
        kept = self.get_iterator(Subset(self.rows_, labelled), training=True)
        others = None
        if len(unlabelled) >= _MIN_ROWS:
            subset = Subset(self.rows_, unlabelled)
            others = self.others(self.get_iterator(subset, training=True))
        for step, batch in enumerate(kept):
            n = len(batch.index)
            self.n_labelled_, self.progress_ = n, step / len(kept)
            yield batch if others is None else joined(batch, others(n))

    def others(self, batches: Iterable[Batch]) -> Callable[[int], Batch]:
        """Return what gives the rows whose labels are guessed in a step.

        Parameters
        ----------
        batches : iterable of Batch
            All of these rows, in a new order each time.

        Returns
        -------
        take : callable
            Given the number of rows whose labels are kept in the step.
        """
        rest = endless(batches)
        return lambda n_labelled: next(rest)

    def mixed_loss(
        self, labelled: Any, unlabelled: Any, index: torch.Tensor
    ) -> torch.Tensor:
        """Mix all views of both groups, and return L_x + λ_u L_u + R.

        Parameters
        ----------
        labelled, unlabelled : RowGroup
            With any number of views, of the rows of the batch in their order.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        loss : Tensor of shape ()
            Mean over the batch.
        """
        own, _ = self._networks()
        X = torch.cat([*labelled.views, *unlabelled.views])
        targets = torch.cat([*labelled.targets, *unlabelled.targets])
        partner, share = draw_mixing(self, X)
        targets = mixup(targets, partner, share)
        logits = own(mixup(X, partner, share)).float()
        weight = self._weights(labelled, unlabelled, index)
        weight = None if weight is None else mixup(weight, partner, share)
        n = sum(len(view) for view in labelled.views)
        lam = self.unlabeled_weight * self._ramp()
        loss = semi_supervised_loss(logits, targets, n, lam, weight)
        if self.prior_weight:
            loss = loss + self.prior_weight * prior_penalty(logits, weight)
        return loss

    def _weights(self, labelled, unlabelled, index):
        """Return the sample weights of all views."""
        if self.sample_weight_ is None:
            return None
        weight = self.sample_weight_[index]
        n = self.n_labelled_
        kept, others = [weight[:n]] * len(labelled.views), [weight[n:]]
        return torch.cat([*kept, *others * len(unlabelled.views)])

    def _ramp(self):
        """Return the share of λ_u that has been reached, step by step."""
        n_done = len(self.history) - 1 - self.n_warmup_ + self.progress_
        return min(n_done / self.n_ramp_, 1.0) if self.n_ramp_ else 1.0


class DividedPeersMixin(MixedGroupsMixin):
    """Two networks that learn in turns from kept labels and guessed ones.

    It comes before `RobustNetMixin` among the bases of a method, which has the
    parameters of `OF_DIVIDED_PEERS` and two members: ``division(turn)`` returns the
    positions of the rows whose labels a network keeps in its pass, and of the others;
    ``label_weight(index)`` returns the weight of labels in the targets of the learning
    network, in [0, 1]. A ``strong_view`` of None is not used.
    """

    # What is known of the labels after the warm-up.
    clean_: torch.Tensor | None
    label_quality_: torch.Tensor | None
    # 16 of 300 epochs in the paper of DivideMix.
    _ramp_share = 16 / 300

    def start_fit(self, dataset: Any) -> None:
        """Set the phases and the views."""
        super().start_fit(dataset)
        self.n_warmup_ = resolve_epochs(
            self.warmup_epochs, _WARMUP_SHARE, self.max_epochs
        )
        self.n_ramp_ = self.ramp_epochs
        if self.ramp_epochs == "auto":
            self.n_ramp_ = self._ramp_share * self.max_epochs
        # For images, a missing network is reported before missing views.
        self.component_of("module")
        strong = ["strong_view"] * (self.strong_view is not None)
        self.spread_ = check_views(self, dataset, ["weak_view", *strong])

    def initialize_module(self) -> Self:
        """Build two networks."""
        refuse_instance(self.module)
        self.module_ = Peers(lambda: self.build("module"), mean_of="logits")
        return self

    def augmented(self, X: torch.Tensor) -> torch.Tensor:
        """Return the rows unchanged: groups make their own views."""
        return super().augmented(X) if self.n_labelled_ is None else X

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the loss of a batch for the network whose turn it is, and logits."""
        if self.n_labelled_ is None:
            return self._given_label_loss(X, y, index)
        labelled, unlabelled, logits = self.row_groups(X, y, index)
        own, _ = self._networks()
        targets = torch.cat([labelled.targets[0], unlabelled.targets[0]])
        groups = self.before_mixing(labelled, unlabelled, index)
        labelled, unlabelled, more = groups
        loss = self.group_loss(X, labelled, unlabelled, index) + more
        return Step(loss, logits, [Learnt(own, X, targets)])

    def row_groups(self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor) -> Any:
        """Return the rows whose labels are kept and the others, before they are mixed.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            The first ``n_labelled_`` rows are those whose labels are kept.
        y, index : Tensors of shape (batch,), dtype int64
            Codes of the given labels, and row numbers.

        Returns
        -------
        labelled, unlabelled : RowGroup
            With two views.
        logits : Tensor of shape (batch, n_classes)
            Mean of both views.
        """
        n = cast("int", self.n_labelled_)
        own, partner = self._networks()
        views = weak_pair_of(X, self.weak_view, self.spread_)
        w = self.label_weight(index[:n])
        with torch.no_grad():
            logits = own(torch.cat(views)).float().chunk(2)
            refined = refined_targets(
                y[:n], [out[:n] for out in logits], w, self.temperature
            )
            guessed = refined[:0]
            if n < len(X):
                others = partner(torch.cat([view[n:] for view in views])).float()
                guesses = [out[n:] for out in logits] + list(others.chunk(2))
                guessed = guessed_targets(guesses, self.temperature)
        labelled = RowGroup([view[:n] for view in views], [refined] * 2)
        unlabelled = RowGroup([view[n:] for view in views], [guessed] * 2)
        return labelled, unlabelled, (logits[0] + logits[1]) / 2

    def before_mixing(self, labelled: Any, unlabelled: Any, index: torch.Tensor) -> Any:
        """Return both groups as they are mixed: in a masked step with masked views.

        Parameters
        ----------
        labelled, unlabelled : RowGroup
            With two views.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        labelled, unlabelled : RowGroup
            With two or four views.
        loss : Tensor of shape () or float
            What is to be added to the loss.
        """
        if not is_masked(self):
            return labelled, unlabelled, 0.0
        own, _ = self._networks()
        n = self.n_labelled_
        # The guesses were made of all first views, then of all second ones.
        X = torch.cat([labelled.views[0], unlabelled.views[0]])
        targets = torch.cat([labelled.targets[0], unlabelled.targets[0]])
        quality = self.label_weight(index)
        masked, softened, loss = masked_views(self, own, X, targets, quality, index)
        groups = [
            with_views(labelled, masked, softened, slice(None, n)),
            with_views(unlabelled, masked, softened, slice(n, None)),
        ]
        return *groups, loss

    def group_loss(
        self, X: torch.Tensor, labelled: Any, unlabelled: Any, index: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss of both groups.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            The rows of the batch, unchanged.
        labelled, unlabelled, index
            As in `mixed_loss`.

        Returns
        -------
        loss : Tensor of shape ()
        """
        return self.mixed_loss(labelled, unlabelled, index)

    def _given_label_loss(self, X, y, index):
        """Train a network on the given labels."""
        own, _ = self._networks()
        logits = own(X).float()
        loss = F.cross_entropy(logits, y, reduction="none")
        if self.confidence_penalty:
            loss = loss + negative_entropy(logits)
        loss = self.weighted_mean(loss, index)
        return Step(loss, logits, [Learnt(own, X, y)])

    def _networks(self):
        """Return the network whose turn it is, training, and its partner, scoring."""
        own, partner = (
            self.module_.peers[self.turn_],
            self.module_.peers[1 - self.turn_],
        )
        for network, training in ((own, True), (partner, False)):
            if network.training != training:
                network.train(training)
        return own, partner

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Forget what the last epoch knew of the labels."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        self.rng_ = epoch_generator(self)
        self.rows_, self.clean_ = dataset_train, None
        # Groups have what is known of their labels; other steps take labels as given.
        n_samples = self.rows_fitted_[0]
        self.label_quality_ = torch.ones(2, n_samples, device=self.device_)
        self.history.record("kept", np.nan)

    def passes(self, batches: Iterable[Any]) -> Iterable[tuple[Any, Iterable[Any]]]:
        """Train each network on its rows, one after the other."""
        for turn in (0, 1):
            self.n_labelled_ = None
            labelled, unlabelled = (), ()
            if len(self.history) > self.n_warmup_:
                labelled, unlabelled = self.division(turn)
            if len(labelled) >= _MIN_ROWS:
                yield turn, self._pairs(labelled, unlabelled)
            else:
                yield turn, batches

    def _warn_of_late_start(self):
        n_epochs = len(self.history)
        if self.warmup_epochs == "auto" or n_epochs > self.n_warmup_:
            return
        warn_user(
            f"no label was replaced: the warm-up takes {self.n_warmup_} epochs, of "
            f"which {n_epochs} were run. Lower warmup_epochs or raise max_epochs.",
        )
