"""Training on masked images: decoders, quality of labels, and the step.

Methods need no code for it. Each `Step` contains what was learnt, which is then masked;
all other information is read from the net.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from sknoisy.mixture._small_loss import small_loss_splitter
from sknoisy.nets._epoch_shares import resolve_epochs
from sknoisy.nets._masking import watch_maps
from sknoisy.nets._outputs import takes_proba
from sknoisy.nets._peers import networks_of
from sknoisy.nets._slots import placed
from sknoisy.nets._step import Step, as_step

__all__ = [
    "check_masking",
    "check_started",
    "is_masked",
    "estimate_label_quality",
    "masked_step",
    "masked_views",
    "start_masking",
]

# Share of the epochs before images are masked: 10 of 300 in the sources, where an
# epoch has thirty times as many updates.
_WARMUP_SHARE = 0.2


@dataclass(slots=True)
class OpenStep:
    """State of a masked step while it runs.

    Parameters
    ----------
    maps : dict of torch module to list of tuples (X, feature_map)
        Feature maps computed by the method.
    has_views : bool, default=False
        Whether the method has requested masked views and trains on them itself.
    """

    maps: dict[torch.nn.Module, list[tuple[Tensor, Tensor]]]
    has_views: bool = False


def check_masking(net):
    """Refuse nets that cannot be masked, before any training.

    Parameters
    ----------
    net : NetClassifier
        With its data; it need not be built.

    Raises
    ------
    ValueError
        If X is not images, or if parameters of masking are set without ``masking``.
    """
    given = [f"masking__{name}" for name in net.get_params_for("masking")]
    if net.masking is None:
        if given:
            raise ValueError(
                f"{', '.join(given)} would have no effect: masking is None. Set "
                "masking=AdversarialMasking."
            )
    elif len(net.input_shape_) != 3:
        raise ValueError(
            "masking is for images, X of shape (n_samples, channels, height, "
            f"width); rows of X have shape {net.input_shape_}, which have no spatial "
            "order. Set masking=None."
        )


def check_started(net):
    """Refuse masking if a subclass has built its optimizer without the decoders.

    Parameters
    ----------
    net : NetClassifier
        A net that is built.

    Raises
    ------
    ValueError
        If ``masking`` is set and there is no ``masking_``.
    """
    if net.masking is not None and net.masking_ is None:
        raise ValueError(
            "masking has decoders that the optimizer must train: initialize_optimizer "
            "of "
            f"{type(net).__name__} must call super().initialize_optimizer(), or set "
            "masking=None."
        )


def start_masking(net):
    """Build the decoders for a net's networks, which its optimizer trains too.

    Parameters
    ----------
    net : NetClassifier
        With module and criterion. ``masking_`` is set on it, to None without masking.

    Raises
    ------
    ValueError
        If the networks have no feature map, or return probabilities.
    """
    # Registered as a criterion, so that skorch trains the decoders.
    if "masking" in net._criteria:
        net._criteria = [name for name in net._criteria if name != "masking"]
    net.masking_ = None
    if net.masking is None:
        return
    if takes_proba(net.criterion_):
        raise ValueError(
            "masking needs a network that returns logits; under NLLLoss it returns "
            "probabilities. Set criterion=torch.nn.CrossEntropyLoss."
        )
    masking, networks = net.build("masking"), networks_of(net.module_)
    for network in networks:
        if not hasattr(network, "feature_map"):
            raise ValueError(
                f"masking needs a network with feature_map(X), the last map of "
                f"shape (batch, channels, h, w); {type(network).__name__} has none."
            )
    row = torch.zeros(1, *net.input_shape_, device=net.device_)
    masking.start(networks, row, net.rows_fitted_[0])
    net.masking_ = placed(net, masking)
    net._criteria = [*net._criteria, "masking"]


def estimate_label_quality(net, dataset):
    """At the start of an epoch, decide whether images are masked, and score labels.

    Parameters
    ----------
    net : NetClassifier
        With ``masking_``. ``label_quality_`` is the quality of labels set by its
        method, of shape (n_networks, n_samples). If it is None, labels are scored by
        their losses; with several networks, by the losses of another network.
    dataset : ArrayDataset or Subset of one
    """
    masking = net.masking_
    n_warmup = resolve_epochs(masking.warmup_epochs, _WARMUP_SHARE, net.max_epochs)
    masking.is_active = len(net.history) > n_warmup
    if not masking.is_active:
        return
    if net.label_quality_ is not None:
        masking.label_quality = net.label_quality_.clone()
        return
    networks = dict(enumerate(networks_of(net.module_)))
    rows, codes, logits = net.eval_pass(dataset, networks)
    found = [clean_proba(net, logits[turn], codes) for turn in networks]
    quality = torch.ones(len(found), net.rows_fitted_[0], device=net.device_)
    quality[:, rows] = torch.stack(found[1:] + found[:1])
    masking.label_quality = quality


def clean_proba(net, logits, codes):
    """Return the probability that each label is clean, by a mixture on the losses.

    Parameters
    ----------
    net : NetClassifier
        For seed and device.
    logits : Tensor of shape (n_rows, n_classes)
    codes : Tensor of shape (n_rows,), dtype int64

    Returns
    -------
    proba : Tensor of shape (n_rows,), dtype float32
    """
    losses = F.cross_entropy(logits, codes, reduction="none").cpu().numpy()
    splitter = small_loss_splitter(net.seed_ % 2**31)
    proba = splitter.fit(losses).predict_proba(losses)[:, 0]
    return torch.from_numpy(proba).to(net.device_, torch.float32)


def masked_step(net, X, y, index) -> Step:
    """Run a method's step, and add the loss of its rows with masked images.

    Parameters
    ----------
    net : NetClassifier
        With ``masking_``.
    X : Tensor of shape (batch, channels, height, width)
    y : Tensor of shape (batch,), dtype int64
    index : Tensor of shape (batch,), dtype int64

    Returns
    -------
    step : Step

    Raises
    ------
    ValueError
        If the method does not return what it learnt.
    """
    if not net.masking_.is_active:
        step = as_step(net, net.training_loss(X, y, index))
        _refuse_nothing_learnt(net, step)
        return step
    # Watching a compiled network would compile it again.
    watched = [] if net.compile else networks_of(net.module_)
    try:
        with watch_maps(watched) as maps:
            net.open_step_ = OpenStep(maps)
            step = as_step(net, net.training_loss(X, y, index))
        _refuse_nothing_learnt(net, step)
        if net.open_step_.has_views:
            return step
        losses = [_masked_loss(net, index, maps, *learnt) for learnt in step.learnt]
        return replace(step, loss=step.loss + sum(losses))
    finally:
        # An interrupted step must not keep references to the images.
        net.open_step_ = None


def is_masked(net) -> bool:
    """Return whether the current step of a net is masked.

    Parameters
    ----------
    net : NetClassifier

    Returns
    -------
    is_masked : bool
    """
    return net.masking_ is not None and net.masking_.is_active


def masked_views(net, network, X, targets, quality, index):
    """Return masked views for a method that mixes rows, and trains on the views itself.

    The learnt rows of the step are then not masked again.

    Parameters
    ----------
    net : NetClassifier
        Within a masked step.
    network : torch module
        If it had a pass in the step already, the first began with these rows.
    X : Tensor of shape (batch, channels, height, width)
    targets : Tensor of shape (batch, n_classes)
    quality : Tensor of shape (batch,)
        Probability that each label is clean.
    index : Tensor of shape (batch,), dtype int64

    Returns
    -------
    masked : tuple of two Tensors, of the shape of X
    softened : Tensor of shape (batch, n_classes)
    loss : Tensor of shape ()
        Loss of the decoder, to be added to the loss.
    """
    net.open_step_.has_views = True
    maps = net.open_step_.maps.get(network, ())
    feature_map = maps[0][1][: len(X)] if maps else None
    masked, softened, loss = net.masking_.views_and_loss(
        _turn_of(net, network), network, X, targets, quality, feature_map
    )
    return masked, softened, net.weighted_mean(loss, index)


def _masked_loss(net, index, maps, network, X, targets, rows=None) -> Tensor | float:
    """Return the mean loss of masked images for a network."""
    turn = _turn_of(net, network)
    if turn is None:
        return 0.0
    network = networks_of(net.module_)[turn]
    # Reuse the feature map if the method has computed it for the same images.
    made = (made for seen, made in maps.get(network, ()) if seen is X)
    feature_map = next(made, None)
    if targets.ndim == 1:
        targets = F.one_hot(targets, len(net.classes_)).float()
    if rows is not None:
        X, targets, index = X[rows], targets[rows], index[rows]
        feature_map = None if feature_map is None else feature_map[rows]
    if len(X) == 0:
        return 0.0
    loss = net.masking_(turn, network, X, targets, index, feature_map)
    return net.weighted_mean(loss, index)


def _turn_of(net, network):
    """Return the number of a network; None for a module that does not predict."""
    network = getattr(network, "_orig_mod", network)
    for turn, known in enumerate(networks_of(net.module_)):
        if network is known:
            return turn
    others = [getattr(net, f"{name}_") for name in net._modules if name != "module"]
    if any(getattr(other, "_orig_mod", other) is network for other in others):
        return None
    raise ValueError(
        f"{type(net).__name__} cannot be masked: its training_loss returns that a "
        f"{type(network).__name__} has learnt, which is not one of the networks "
        "of module_. Return one of them, or set masking=None."
    )


def _refuse_nothing_learnt(net, step):
    if not step.learnt:
        raise ValueError(
            f"{type(net).__name__} cannot be masked: its training_loss does not return "
            "what was learnt. Return sknoisy.nets.Step(loss, logits, "
            "[Learnt(network, X, targets)]), or set masking=None."
        )
