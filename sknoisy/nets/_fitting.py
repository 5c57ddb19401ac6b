"""A fit from its arguments to the scored rows: what comes before and after the epochs.

Parameters and data are checked, the training begins, continues, or is resumed from a
file, and its result is checked. The epochs are run by skorch, see `_loop`.
"""

import zlib
from contextlib import contextmanager, nullcontext

import torch
from skorch import NeuralNet
from skorch.callbacks import LRScheduler
from torch import nn

from sknoisy._arguments import check_counts
from sknoisy._codes import sorted_classes
from sknoisy._interruption import is_stop, needs_whole, tell
from sknoisy._parameters import check_parameters
from sknoisy._random_states import random_generator
from sknoisy._verdicts import VERDICT
from sknoisy._weights import check_weights
from sknoisy.nets._augment import check_view
from sknoisy.nets._auxiliary import refuse_unread_auxiliary
from sknoisy.nets._batches import to_float
from sknoisy.nets._checkpoint import (
    as_before,
    load_training,
    save_training,
    training_facts,
    training_key,
)
from sknoisy.nets._defaults import default_augmentation
from sknoisy.nets._device import isolated_rng, resolve_device, seed_torch
from sknoisy.nets._divergence import refuse_divergence, undefined_states
from sknoisy.nets._fit_params import check_fit_params, for_module, refuse_untaken
from sknoisy.nets._input import check_input
from sknoisy.nets._masked_training import check_masking, check_started
from sknoisy.nets._optimizing import wants_closure
from sknoisy.nets._outputs import check_outputs, keeps_rows, takes_index, takes_proba
from sknoisy.nets._processes import STOP, is_first_process, joined
from sknoisy.nets._progress import close_bars
from sknoisy.nets._refusals import learns_from_rows, refuse_unaccelerated
from sknoisy.nets._settings import settings_in_force
from sknoisy.nets._slots import check_slots, placed
from sknoisy.nets._soft_targets import (
    check_soft_targets,
    refuse_hard_criterion,
    refuse_own_targets,
)
from sknoisy.nets._torch_modes import usual_modes

__all__ = ["begin_without_data", "epochs_of_call", "fit_net"]


def fit_net(net, X, y, sample_weight, soft_targets, fresh, classes, method, fit_params):
    """Train a net on unchecked data.

    Parameters
    ----------
    net : NetClassifier
    X, y, sample_weight, soft_targets : object
        As passed to ``fit``.
    fresh : bool
        Whether a new training starts.
    classes : array-like of shape (n_classes,) or None
        All labels of all calls.
    method : {"fit", "partial_fit"}
        The method that was called.
    fit_params : dict
        Its further arguments, for the module and the split.

    Returns
    -------
    net : NetClassifier
        The fitted net.

    Raises
    ------
    TypeError, ValueError
        If a parameter, the data or a further argument is invalid.
    FloatingPointError
        If the training diverges.
    """
    # skorch's check: a trimmed net lacks some of its parameters.
    NeuralNet.check_training_readiness(net)
    check_parameters(net)
    check_slots(net)
    _refuse_no_epochs(net)
    check_fit_params(net, fit_params, method)
    if soft_targets is not None:
        refuse_own_targets(net)
    is_first = fresh or not hasattr(net, "input_shape_")
    dataset, classes = check_input(net, X, y, is_first, classes)
    weights = check_weights(sample_weight, dataset.codes)
    targets = None
    if soft_targets is not None:
        targets = check_soft_targets(soft_targets, len(dataset), classes)
    data = dataset, classes, weights, targets
    with joined(net), settings_in_force(net, *data, fresh, fit_params):
        return _fit_checked(net, *data, fresh, is_first, method, fit_params)


def _fit_checked(
    net, dataset, classes, weights, targets, fresh, is_first, method, fit_params
):
    """Train a net on checked data."""
    if fresh:
        _settle_device(net)
    _know_data(net, dataset, classes, is_first)
    if net.processes_ is not None:
        net.processes_.device = net.device_
        net.seed_ = int(net.processes_.of_first(torch.tensor(net.seed_)))
        _refuse_other_data(net, dataset, weights, targets)
    net.on_disk_ = dataset.on_disk
    if fresh and net.checkpoint is not None:
        net.training_key_ = training_key(net, dataset, weights, targets)
    # An interrupted fit must not leave results of an earlier one.
    net.interrupted_ = False
    for name in VERDICT:
        vars(net).pop(name, None)
    try:
        with usual_modes(), isolated_rng(net.device_):
            if weights is not None:
                net.sample_weight_ = torch.from_numpy(weights).to(net.device_)
            if targets is not None:
                net.soft_targets_ = torch.from_numpy(targets).to(net.device_)
            resumes = _build_or_resume(net, dataset, fresh, is_first)
            if targets is not None:
                refuse_hard_criterion(net)
            refuse_untaken(net, fit_params, method)
            net.fit_params_ = for_module(net, fit_params)
            if weights is not None and _may_set_reduction(net):
                net.criterion_.reduction = "none"
            undefined = undefined_states(net)
            _train(net, dataset, resumes, is_first, method, fit_params)
            # Other processes would wait for this one.
            if net.interrupted_ and (needs_whole() or net.processes_ is not None):
                raise KeyboardInterrupt
            refuse_divergence(net, undefined)
            # Random numbers of the scores do not depend on whether the training was
            # resumed.
            seed_torch(net.device_, net.seed_, len(net.history), 1)
            net.finish_fit(dataset)
    finally:
        for name in net.fit_only_attributes_:
            vars(net).pop(name, None)
        close_bars(net)
    if net.interrupted_:
        _tell_interruption(net)
    return net


def _settle_device(net):
    """Set the device and the seed of a net."""
    net.device_ = resolve_device(net.device)
    net.seed_ = int(random_generator(net.random_state).integers(2**63))


def begin_without_data(net):
    """Set what a net needs that is built before its first data.

    Parameters
    ----------
    net : NetClassifier
        ``device_`` and ``seed_`` are set, and the classes if ``classes`` is given.

    Raises
    ------
    ValueError
        If a parameter is invalid, or the method needs the rows to build its parts.
    """
    if hasattr(net, "device_"):
        return
    check_parameters(net)
    if net.masking is not None or learns_from_rows(net):
        raise ValueError(
            f"{type(net).__name__} needs the rows to build its parts: call "
            "fit or partial_fit instead of initialize."
        )
    _settle_device(net)
    if net.classes is not None:
        net.classes_inferred_ = sorted_classes(net.classes)


@contextmanager
def epochs_of_call(net, epochs):
    """Use ``epochs`` as ``max_epochs`` in one call.

    Parameters
    ----------
    net : NetClassifier
    epochs : int >= 0 or None
        None keeps ``max_epochs``.

    Yields
    ------
    None

    Raises
    ------
    TypeError, ValueError
        If ``epochs`` is not such a number.
    """
    if epochs is None:
        yield
        return
    check_counts(least=0, epochs=epochs)
    before = net.max_epochs
    # Methods, schedules and the bar read this parameter.
    net.max_epochs, net.epochs_given_ = epochs, True
    try:
        yield
    finally:
        net.max_epochs = before
        vars(net).pop("epochs_given_", None)


def _refuse_no_epochs(net):
    if net.max_epochs == 0 and learns_from_rows(net):
        raise ValueError(
            f"max_epochs must be 1 or more; got 0. {type(net).__name__} derives its "
            "results for the rows from the training."
        )


def _know_data(net, dataset, classes, is_first):
    """Store facts about the rows, which must not change for some criteria."""
    if is_first:
        net.classes_inferred_ = classes
        net.input_shape_ = tuple(dataset.fetch([0])[0].shape[1:])
        net.n_features_in_ = net.input_shape_[0]
    fingerprint = len(dataset), zlib.crc32(dataset.codes.tobytes())
    row_state = None if is_first else keeps_rows(net.criterion_)
    if row_state and fingerprint != net.rows_fitted_:
        raise ValueError(
            f"{row_state} keeps a state for each row: continue with the rows and "
            "labels of the first fit in the same order, or start again with fit and "
            "warm_start=False."
        )
    net.rows_fitted_ = fingerprint


def _build_or_resume(net, dataset, fresh, is_first):
    """Build the parts, or load them from the checkpoint; return whether loaded."""
    resumes = net.training_key_ is not None and load_training(net, net.checkpoint)
    if fresh and not resumes:
        check_masking(net)
        net.start_fit(dataset)
        # initialize does so too, but AccelerateMixin overrides it.
        seed_torch(net.device_, net.seed_, 0)
        net.initialize()
        refuse_unread_auxiliary(net)
        check_started(net)
    elif is_first and not resumes:
        # Built before its first data, when it was not known whether these are images.
        for name in net._modules:
            placed(net, getattr(net, name + "_"))
    if net.processes_ is not None:
        net.processes_.check_alike(
            {"the epochs of the checkpoint": len(net.history) if resumes else None},
            "It must be on a file system that all of them see.",
        )
        net.processes_.same_weights(net)
    return resumes


def _refuse_other_data(net, dataset, weights, targets):
    """Refuse processes that were given other rows or other parameters."""
    facts = training_facts(net, dataset, weights, targets)
    # The weights of an instance are those of the first process.
    params = net.get_params(deep=False).items()
    networks = {name for name, value in params if isinstance(value, nn.Module)}
    net.processes_.check_alike(
        {name: fact for name, fact in facts.items() if name not in networks},
        "With distributed=True all of them call fit with the same rows in the same "
        "order, and the same parameters: set random_state of what draws or splits rows "
        "before.",
    )


def _try_outputs(net, dataset, changed):
    row = dataset.fetch([0])[0].to(net.device_)
    check_outputs(net.module_, row, len(net.classes_), net.criterion_)
    if changed is not None and changed.shape[1:] != row.shape[1:]:
        # Images of one size are learnt, of another one judged and predicted.
        check_outputs(net.module_, changed[:1], len(net.classes_), net.criterion_)


def _train(net, dataset, resumes, is_first, method, fit_params):
    """Run the remaining epochs."""
    groups = net._param_groups()
    if not resumes:
        callbacks = [callback for _, callback in net.callbacks_]
        has_scheduler = any(isinstance(cb, LRScheduler) for cb in callbacks)
        scheduled = net.lr_schedule is not None and not has_scheduler
        net.base_lrs_ = [group["lr"] for group in groups] if scheduled else None
        net.epochs_before_ = len(net.history)
    done = len(net.history) - net.epochs_before_
    # The callbacks may have changed since the last call.
    net.hooks_ = None
    net.autocast_ = net._autocast()
    net.augmentation_, changed = _augmentation(net, dataset)
    optimizers = [getattr(net, name + "_") for name in net._optimizers]
    # AccelerateMixin calls the closure itself, and does not pass it to the optimizer.
    is_own = type(net)._step_optimizer is not NeuralNet._step_optimizer
    net.step_needs_closure_ = is_own or any(map(wants_closure, optimizers))
    net.criterion_takes_index_ = takes_index(net.criterion_)
    refuse_unaccelerated(net)
    try:
        _begin_epochs(net, dataset, resumes, is_first, changed)
        n_epochs = max(net.max_epochs - done, 0)
        _run_epochs(net, dataset, n_epochs, method, fit_params)
    except torch.OutOfMemoryError as error:
        raise torch.OutOfMemoryError(
            f"the device has no memory left. Lower batch_size (now "
            f"{net.batch_size}), use a smaller network, or keep the data on the "
            f"host with iterator_train=LoaderBatches. {error}"
        ) from error
    finally:
        # Outside of epochs rows are checked, and predictions are labels.
        net.autocast_ = None
        if net.base_lrs_ is not None:
            # A callback may have built another optimizer.
            for group, lr in zip(net._param_groups(), net.base_lrs_, strict=True):
                group["lr"] = lr


def _begin_epochs(net, dataset, resumes, is_first, changed):
    """Call the hooks at the start of a training; then test the network."""
    # skorch's scores without a cache read rows and labels here.
    labels = getattr(dataset, "y", None)
    with as_before(net) if resumes else nullcontext():
        net.notify("on_train_begin", X=dataset, y=labels)
    is_new = is_first or takes_proba(net.criterion_)
    # What fit hands to the module may fit a whole batch only: the first one is tried.
    if not resumes and is_new and not net.fit_params_:
        # After the callbacks, of which skorch's InputShapeSetter fits a module to X.
        _try_outputs(net, dataset, changed)
    if net.training_key_ is not None and not resumes and is_first_process(net):
        # To fail now, not after an hour.
        save_training(net, net.checkpoint)


def _run_epochs(net, dataset, n_epochs, method, fit_params):
    """Run epochs as skorch's ``partial_fit``; record whether Ctrl-C ends them."""
    try:
        net.fit_loop(dataset, epochs=n_epochs, _routing_method=method, **fit_params)
    except KeyboardInterrupt as error:
        # A callback stops a training in the same way.
        net.interrupted_ = not is_stop(error)
    if net.processes_ is not None and not net.interrupted_:
        net.processes_.check_alike(
            {"the epoch": f"none after {len(net.history)}"}, STOP
        )
    net.notify("on_train_end", X=dataset, y=getattr(dataset, "y", None))


def _augmentation(net, dataset):
    """Return the augmentation of batches, and what it makes of two rows, or None."""
    if net.augment == "auto":
        if getattr(dataset.features, "changes_rows", False):
            return None, None
        return default_augmentation(net.input_shape_), None
    if net.augment is None:
        return None, None
    batch = to_float(dataset.fetch([0, len(dataset) - 1])[0]).to(net.device_)
    return net.augment, check_view("augment", net.augment, batch, may_resize=True)


def _may_set_reduction(net):
    """Return whether ``reduction="none"`` can be set on the criterion."""
    by_user = isinstance(net.criterion, nn.Module)
    by_user = by_user or hasattr(net, "criterion__reduction")
    return not by_user and getattr(net.criterion_, "reduction", None) == "mean"


def _tell_interruption(net):
    begun = len(net.history) - net.epochs_before_
    whole = max(begun - 1, 0)
    more = "Fit again for a whole training, or call partial_fit for more epochs."
    if net.checkpoint is not None:
        more = "A fit with the same checkpoint goes on from the last whole epoch."
    tell(
        f"the training of {type(net).__name__} was interrupted in epoch "
        f"{whole + 1}: it has {whole} of {net.max_epochs} epochs, and the weights "
        f"of that moment. {more}",
    )
