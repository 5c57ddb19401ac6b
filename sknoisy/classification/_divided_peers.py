"""What DivideMix and UNICON share: two networks that keep labels and guess others.

Functions of a net, which a method takes as its own members: a class between it and
`NetClassifier` would hide which of them it has. It also has two of its own:
``division(turn)`` returns the positions of the rows whose labels a network keeps in its
pass, and of the others; ``label_weight(index)`` the weight of labels in the targets of
the learning network, in [0, 1]. `PESClassifier` takes those that mix groups of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, cast

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


__all__ = [
    "OF_DIVIDED_PEERS",
    "before_mixing",
    "build_peers",
    "divided_passes",
    "divided_step",
    "forget_labels",
    "given_label_step",
    "loss_of_groups",
    "mixed_loss",
    "networks_of_turn",
    "others_endlessly",
    "pairs",
    "ramp",
    "row_groups",
    "settle_phases",
    "warn_of_late_start",
    "weights_of_views",
]

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
# 16 of 300 epochs in the paper of DivideMix.
RAMP_SHARE = 16 / 300
# Batch normalisation fails on one row.
_MIN_ROWS = 2


def settle_phases(net: Any, dataset: Any, ramp_share: float = RAMP_SHARE) -> None:
    """Set the phases and the views, at the start of a fit.

    Parameters
    ----------
    net : NetClassifier
        With the parameters of `OF_DIVIDED_PEERS`; a ``strong_view`` of None is none.
    dataset : ArrayDataset
        All rows given to ``fit``.
    ramp_share : float, default=16 / 300, as in the paper of DivideMix
        Share of the epochs over which λ_u rises, by default.
    """
    net.n_warmup_ = resolve_epochs(net.warmup_epochs, _WARMUP_SHARE, net.max_epochs)
    net.n_ramp_ = net.ramp_epochs
    if net.ramp_epochs == "auto":
        net.n_ramp_ = ramp_share * net.max_epochs
    # For images, a missing network is reported before missing views.
    net.component_of("module")
    strong = ["strong_view"] * (net.strong_view is not None)
    net.spread_ = check_views(net, dataset, ["weak_view", *strong])


def forget_labels(net: Any, dataset: Any) -> None:
    """Forget what the last epoch knew of the labels, as an epoch begins.

    Parameters
    ----------
    net : NetClassifier
        Of the method.
    dataset : ArrayDataset or Subset
        The rows of the training.
    """
    net.rng_ = epoch_generator(net)
    net.rows_, net.clean_ = dataset, None
    # Groups have what is known of their labels; other steps take labels as given.
    n_samples = net.rows_fitted_[0]
    net.label_quality_ = torch.ones(2, n_samples, device=net.device_)
    net.history.record("kept", np.nan)


def pairs(net, labelled, unlabelled):
    """Yield batches of rows whose labels are kept, followed by other rows."""
    kept = net.get_iterator(Subset(net.rows_, labelled), training=True)
    others = None
    if len(unlabelled) >= _MIN_ROWS:
        subset = Subset(net.rows_, unlabelled)
        others = net.others(net.get_iterator(subset, training=True))
    for step, batch in enumerate(kept):
        n = len(batch.index)
        net.n_labelled_, net.progress_ = n, step / len(kept)
        yield batch if others is None else joined(batch, others(n))


def others_endlessly(net: Any, batches: Iterable[Batch]) -> Callable[[int], Batch]:
    """Return what gives the rows whose labels are guessed in a step.

    Parameters
    ----------
    net : NetClassifier
        Of the method.
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
    net: Any, labelled: Any, unlabelled: Any, index: torch.Tensor
) -> torch.Tensor:
    """Mix all views of both groups, and return L_x + λ_u L_u + R.

    Parameters
    ----------
    net : NetClassifier
        Of the method.
    labelled, unlabelled : RowGroup
        With any number of views, of the rows of the batch in their order.
    index : Tensor of shape (batch,), dtype int64
        Row numbers in the X given to ``fit``.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over the batch.
    """
    own, _ = net._networks()
    X = torch.cat([*labelled.views, *unlabelled.views])
    targets = torch.cat([*labelled.targets, *unlabelled.targets])
    partner, share = draw_mixing(net, X)
    targets = mixup(targets, partner, share)
    logits = own(mixup(X, partner, share)).float()
    weight = net._weights(labelled, unlabelled, index)
    weight = None if weight is None else mixup(weight, partner, share)
    n = sum(len(view) for view in labelled.views)
    lam = net.unlabeled_weight * net._ramp()
    loss = semi_supervised_loss(logits, targets, n, lam, weight)
    if net.prior_weight:
        loss = loss + net.prior_weight * prior_penalty(logits, weight)
    return loss


def weights_of_views(net, labelled, unlabelled, index):
    """Return the sample weights of all views."""
    if net.sample_weight_ is None:
        return None
    weight = net.sample_weight_[index]
    n = net.n_labelled_
    kept, others = [weight[:n]] * len(labelled.views), [weight[n:]]
    return torch.cat([*kept, *others * len(unlabelled.views)])


def ramp(net):
    """Return the share of λ_u that has been reached, step by step."""
    n_done = len(net.history) - 1 - net.n_warmup_ + net.progress_
    return min(n_done / net.n_ramp_, 1.0) if net.n_ramp_ else 1.0


def build_peers(net: Any) -> Any:
    """Build two networks."""
    refuse_instance(net.module)
    net.module_ = Peers(lambda: net.build("module"), mean_of="logits")
    return net


def divided_step(
    net: Any, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
) -> Step:
    """Return the loss of a batch for the network whose turn it is, and logits."""
    if net.n_labelled_ is None:
        return net._given_label_loss(X, y, index)
    labelled, unlabelled, logits = net.row_groups(X, y, index)
    own, _ = net._networks()
    targets = torch.cat([labelled.targets[0], unlabelled.targets[0]])
    groups = net.before_mixing(labelled, unlabelled, index)
    labelled, unlabelled, more = groups
    loss = net.group_loss(X, labelled, unlabelled, index) + more
    return Step(loss, logits, [Learnt(own, X, targets)])


def row_groups(net: Any, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor) -> Any:
    """Return the rows whose labels are kept and the others, before they are mixed.

    Parameters
    ----------
    net : NetClassifier
        Of the method.
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
    n = cast("int", net.n_labelled_)
    own, partner = net._networks()
    views = weak_pair_of(X, net.weak_view, net.spread_)
    w = net.label_weight(index[:n])
    with torch.no_grad():
        logits = own(torch.cat(views)).float().chunk(2)
        refined = refined_targets(
            y[:n], [out[:n] for out in logits], w, net.temperature
        )
        guessed = refined[:0]
        if n < len(X):
            others = partner(torch.cat([view[n:] for view in views])).float()
            guesses = [out[n:] for out in logits] + list(others.chunk(2))
            guessed = guessed_targets(guesses, net.temperature)
    labelled = RowGroup([view[:n] for view in views], [refined] * 2)
    unlabelled = RowGroup([view[n:] for view in views], [guessed] * 2)
    return labelled, unlabelled, (logits[0] + logits[1]) / 2


def before_mixing(net: Any, labelled: Any, unlabelled: Any, index: torch.Tensor) -> Any:
    """Return both groups as they are mixed: in a masked step with masked views.

    Parameters
    ----------
    net : NetClassifier
        Of the method.
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
    if not is_masked(net):
        return labelled, unlabelled, 0.0
    own, _ = net._networks()
    n = net.n_labelled_
    # The guesses were made of all first views, then of all second ones.
    X = torch.cat([labelled.views[0], unlabelled.views[0]])
    targets = torch.cat([labelled.targets[0], unlabelled.targets[0]])
    quality = net.label_weight(index)
    masked, softened, loss = masked_views(net, own, X, targets, quality, index)
    groups = [
        with_views(labelled, masked, softened, slice(None, n)),
        with_views(unlabelled, masked, softened, slice(n, None)),
    ]
    return *groups, loss


def loss_of_groups(
    net: Any, X: torch.Tensor, labelled: Any, unlabelled: Any, index: torch.Tensor
) -> torch.Tensor:
    """Return the loss of both groups.

    Parameters
    ----------
    net : NetClassifier
        Of the method.
    X : Tensor of shape (batch, ...)
        The rows of the batch, unchanged.
    labelled, unlabelled, index
        As in `mixed_loss`.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over the batch.
    """
    return net.mixed_loss(labelled, unlabelled, index)


def given_label_step(net, X, y, index):
    """Train a network on the given labels."""
    own, _ = net._networks()
    logits = own(X).float()
    loss = F.cross_entropy(logits, y, reduction="none")
    if net.confidence_penalty:
        loss = loss + negative_entropy(logits)
    loss = net.weighted_mean(loss, index)
    return Step(loss, logits, [Learnt(own, X, y)])


def networks_of_turn(net):
    """Return the network whose turn it is, training, and its partner, scoring."""
    own, partner = (
        net.module_.peers[net.turn_],
        net.module_.peers[1 - net.turn_],
    )
    for network, training in ((own, True), (partner, False)):
        if network.training != training:
            network.train(training)
    return own, partner


def divided_passes(
    net: Any, batches: Iterable[Any]
) -> Iterable[tuple[Any, Iterable[Any]]]:
    """Train each network on its rows, one after the other."""
    for turn in (0, 1):
        net.n_labelled_ = None
        labelled, unlabelled = (), ()
        if len(net.history) > net.n_warmup_:
            labelled, unlabelled = net.division(turn)
        if len(labelled) >= _MIN_ROWS:
            yield turn, net._pairs(labelled, unlabelled)
        else:
            yield turn, batches


def warn_of_late_start(net):
    n_epochs = len(net.history)
    if net.warmup_epochs == "auto" or n_epochs > net.n_warmup_:
        return
    warn_user(
        f"no label was replaced: the warm-up takes {net.n_warmup_} epochs, of "
        f"which {n_epochs} were run. Lower warmup_epochs or raise max_epochs.",
    )
