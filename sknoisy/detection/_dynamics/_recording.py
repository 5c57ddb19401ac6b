"""Training dynamics of any skorch net: record them while it is fitted."""

from contextlib import contextmanager

import numpy as np

from sknoisy._interruption import interruptions, is_stop, needs_whole, tell
from sknoisy._planting._gaps import fill_gaps
from sknoisy.base import TrainingInterrupted
from sknoisy.nets import LoaderBatches, NetClassifier, TensorBatches
from sknoisy.nets._batches import ArrayDataset
from sknoisy.nets._callbacks import DynamicsRecorder
from sknoisy.nets._device import isolated_rng, resolve_device, seed_torch
from sknoisy.nets._divergence import diverged, refuse_undefined_weights
from sknoisy.nets._outputs import check_outputs

__all__ = ["record_dynamics"]

_OUR_ITERATORS = (TensorBatches, LoaderBatches)


def record_dynamics(
    net, X, codes, n_classes, *, signal="logit_diff", when="online", seed=0
):
    """Fit a net on all rows and record a signal of each row in each epoch.

    Parameters
    ----------
    net : skorch NeuralNet, not fitted
        Changed and fitted: hand in a clone. A net that is not a `NetClassifier` gets
        our iterators and no validation split.
    X : ndarray of shape (n_samples, ...)
    codes : ndarray of shape (n_samples,), dtype int64
    n_classes : int
        Codes there may be; a class may be without rows.
    signal, when
        Of `DynamicsRecorder`.
    seed : int

    Returns
    -------
    trajectories : ndarray of shape (n_samples, n_epochs), dtype float32
        Without gaps: see `fill_gaps`. Fewer epochs if it was interrupted, which
        ``net.interrupted_`` says, and a warning unless `interruptions` keeps it.
    mean_proba : ndarray of shape (n_samples, n_classes), dtype float32

    Raises
    ------
    FloatingPointError
        If the training diverged.
    TrainingInterrupted
        If the training was interrupted in its first epoch.
    ValueError
        If the network has not one output for each class.
    """
    recorder = DynamicsRecorder(signal, when)
    dataset = ArrayDataset(X, codes)
    is_disabled = net.callbacks == "disable"
    # Assigned, since skorch's set_params fails for a net without callbacks.
    net.callbacks = [*([] if is_disabled else net.callbacks or []), recorder]
    if is_disabled:
        # The user's choice applies to skorch's own callbacks; the recorder must run.
        names = [name for name, _ in net.get_default_callbacks()]
        net.set_params(**{f"callbacks__{name}": None for name in names})
    net.set_params(train_split=None)
    with interruptions("keep"):
        if isinstance(net, NetClassifier):
            net.set_params(random_state=seed)
            net.partial_fit(dataset, classes=np.arange(n_classes))
        else:
            iterators = _iterators(net, dataset.on_disk)
            _fit_plain(net.set_params(**iterators), dataset, n_classes, seed)
    if not recorder.n_recorded_:
        message = "training was interrupted before its first epoch ended."
        raise TrainingInterrupted(message)
    if net.interrupted_:
        tell(
            "the training was interrupted: labels are scored from "
            f"{recorder.n_recorded_} of {net.max_epochs} epochs. Fit again to "
            "use all of them.",
        )
    return fill_gaps(recorder.trajectories_), np.nan_to_num(recorder.mean_proba_)


def _fit_plain(net, dataset, n_classes, seed):
    """Fit a skorch net that is not ours, without changing global generators."""
    device = resolve_device(net.device or "cpu")
    with isolated_rng(device):
        seed_torch(device, seed)
        net.initialize()
        row = dataset.fetch([0])[0].to(device)
        check_outputs(net.module_, row, n_classes, net.criterion_, may_be_tuple=True)
        seed_torch(device, seed)
        with _noting_interruptions(net):
            net.fit(dataset, None)
    if net.interrupted_ and needs_whole():
        raise KeyboardInterrupt
    losses = [row.get("train_loss", 0.0) for row in net.history]
    undefined = [loss for loss in losses if not np.isfinite(loss)]
    if undefined:
        raise diverged(net, f"the loss is {undefined[0]}")
    refuse_undefined_weights(net)


@contextmanager
def _noting_interruptions(net):
    """Record whether Ctrl-C ends a training, which skorch does not."""
    net.interrupted_, loop = False, net.fit_loop

    def fit_loop(*args, **kwargs):
        try:
            return loop(*args, **kwargs)
        except KeyboardInterrupt as error:
            net.interrupted_ = not is_stop(error)
            raise

    net.fit_loop = fit_loop
    try:
        yield
    finally:
        del net.fit_loop


def _iterators(net, on_disk):
    """Return the parameters that make a plain skorch net yield our batches."""
    params = {}
    for slot in ("iterator_train", "iterator_valid"):
        if getattr(net, slot) not in _OUR_ITERATORS:
            params[slot] = LoaderBatches if on_disk else TensorBatches
        params[f"{slot}__device"] = net.device
    params["iterator_train__shuffle"] = True
    return params
