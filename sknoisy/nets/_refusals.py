"""Features of skorch that a net refuses, because parts of its own would be skipped."""

__all__ = [
    "has_own_criterion",
    "has_own_step",
    "learns_from_rows",
    "refuse_unaccelerated",
    "refuse_without_rows",
]


def refuse_without_rows(net, slot="iterator_train"):
    """Refuse batches without row numbers if something needs them.

    Parameters
    ----------
    net : NetClassifier
    slot : {"iterator_train", "iterator_valid"}
        The iterator of the batches.

    Raises
    ------
    TypeError
        If the method, its criterion, weights, soft targets or masking need row numbers.
    """
    reasons = {
        f"the training of {type(net).__name__}": has_own_step(net),
        "its criterion": net.criterion_takes_index_,
        "sample_weight": net.sample_weight_ is not None,
        "soft_targets": net.soft_targets_ is not None,
        "masking": net.masking_ is not None,
    }
    readers = [name for name, reads in reasons.items() if reads]
    if readers or slot == "iterator_valid":
        who = readers[0] if readers else type(net).__name__
        raise TypeError(
            f"{who} reads which rows a batch holds, and {slot}="
            f"{_name_of(getattr(net, slot))} does not say it: set "
            f"{slot}=sknoisy.nets.LoaderBatches, which drives a torch DataLoader and "
            "takes its parameters."
        )


def refuse_unaccelerated(net):
    """Refuse features that the step of skorch's AccelerateMixin would skip.

    Parameters
    ----------
    net : NetClassifier
        A net before its epochs.

    Raises
    ------
    ValueError
        If its step does more than skorch's, or there are several processes, or
        gradients are accumulated.
    """
    if type(net).train_step_single.__module__ != "skorch.hf":
        return
    left_out = {
        f"the training_loss of {type(net).__name__}": has_own_step(net),
        "augment": net.augmentation_ is not None,
        "masking": net.masking_ is not None,
        "sample_weight": net.sample_weight_ is not None,
        "soft_targets": net.soft_targets_ is not None,
        "a criterion that takes an index": net.criterion_takes_index_,
    }
    left_out = [name for name, is_set in left_out.items() if is_set]
    if left_out:
        raise ValueError(
            f"AccelerateMixin takes skorch's own step, which leaves out "
            f"{', '.join(left_out)}. Take {_bases_without_mixin(net)} without it: "
            "amp=True trains in mixed precision, device= on any one device."
        )
    if getattr(net.accelerator, "num_processes", 1) > 1:
        raise ValueError(
            f"the accelerator has {net.accelerator.num_processes} processes, of which "
            f"each would train on all rows. Launch one, or take "
            f"{_bases_without_mixin(net)}(distributed=True) without AccelerateMixin."
        )
    n_steps = getattr(net.accelerator, "gradient_accumulation_steps", 1)
    if n_steps > 1:
        # Only the loaders of accelerate signal the end of an epoch.
        raise ValueError(
            f"the accelerator accumulates gradients over {n_steps} batches, and would "
            "carry some from one epoch to the next. Override train_step instead."
        )


def _bases_without_mixin(net):
    ours = (base for base in type(net).__mro__ if base.__module__[:8] == "sknoisy.")
    return next(ours).__name__


def _name_of(maker):
    return getattr(maker, "__name__", type(maker).__name__)


def learns_from_rows(net):
    """Return whether a method needs the rows to build its parts.

    Parameters
    ----------
    net : NetClassifier

    Returns
    -------
    learns : bool
        Whether it overrides ``start_fit``.
    """
    return _overrides(net, "start_fit")


def has_own_step(net):
    """Whether a method computes the loss of a batch by itself.

    Parameters
    ----------
    net : NetClassifier

    Returns
    -------
    has : bool
        Whether it overrides ``training_loss``.
    """
    return _overrides(net, "training_loss")


def has_own_criterion(net):
    """Whether a method builds its criterion by itself.

    Parameters
    ----------
    net : NetClassifier

    Returns
    -------
    has : bool
        Whether it overrides ``initialize_criterion``.
    """
    return _overrides(net, "initialize_criterion")


def _overrides(net, seam):
    home = getattr(type(net), seam).__module__
    return home not in ("sknoisy.nets._net", "sknoisy.nets._loop")
