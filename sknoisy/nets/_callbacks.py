"""Callbacks that observe a training and never change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, cast

import torch
from skorch.callbacks import Callback, EpochScoring, LRScheduler
from torch.utils.data import Subset

from sknoisy._arguments import is_one_of
from sknoisy.losses._softmax import softmax_of
from sknoisy.nets._batches import Batch
from sknoisy.nets._modules import embed
from sknoisy.nets._outputs import logits_of
from sknoisy.nets._signals import SIGNALS, alignment

if TYPE_CHECKING:
    from sknoisy._types import FloatArray

__all__ = ["DynamicsRecorder", "looks_at_losses"]


class DynamicsRecorder(Callback):
    """Record a training signal of every sample in every epoch.

    Works on any skorch classifier whose iterators yield `nets.Batch`. The logits of
    each epoch are stored in one table by row number, and the signal is computed from
    the whole table, so that a batch costs a single copy.

    Parameters
    ----------
    signal : {"logit_diff", "loss", "probability", "prob_diff", "alignment"}, \
            default="logit_diff"
        Table 6 of [1]_. "alignment" always reads the features at the end of the epoch.
    when : {"online", "epoch_end"}, default="online"
        "online" uses the logits of the training, computed in training mode before the
        step of their batch. "epoch_end" scores all samples in evaluation
        mode after each epoch, which costs a pass over all rows.

    Attributes
    ----------
    trajectories_ : ndarray of shape (n_samples, n_epochs), dtype float32
        One column for each completed epoch; NaN where a sample was not used.
    mean_proba_ : ndarray of shape (n_samples, n_classes), dtype float32
        Softmax of the recorded logits, averaged over the epochs.

    References
    ----------
    .. [1] S. Kim et al., "Learning Discriminative Dynamics with Label Corruption for
       Noisy Label Detection", CVPR 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknoisy.nets import DynamicsRecorder, NetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> recorder = DynamicsRecorder()
    >>> net = NetClassifier(max_epochs=5, callbacks=[recorder], random_state=0)
    >>> net.fit(X, y).callbacks_[-1][0]
    'print_log'
    >>> recorder.trajectories_.shape, recorder.mean_proba_.shape
    ((150, 5), (150, 3))
    """

    # None before the first epoch.
    signals_: torch.Tensor | None
    proba_sum_: torch.Tensor | None

    def __init__(
        self,
        signal: Literal[
            "logit_diff", "loss", "probability", "prob_diff", "alignment"
        ] = "logit_diff",
        when: Literal["online", "epoch_end"] = "online",
    ) -> None:
        self.signal = signal
        self.when = when

    def initialize(self) -> Self:
        """Reset all records."""
        if self.signal not in {*SIGNALS, "alignment"}:
            raise ValueError(
                f"signal must be one of {[*SIGNALS, 'alignment']}; got {self.signal!r}."
            )
        if not is_one_of(self.when, ("online", "epoch_end")):
            raise ValueError(
                f"when must be 'online' or 'epoch_end'; got {self.when!r}."
            )
        self.signals_ = None
        self.logits_ = None
        self.proba_sum_ = None
        self.n_recorded_ = 0
        return self

    def on_train_begin(
        self, net: Any, X: Any = None, y: Any = None, **kwargs: Any
    ) -> None:
        """Allocate the records of the coming epochs."""
        n_samples = len(_base(X))
        room = torch.full((net.max_epochs, n_samples), torch.nan)
        if self.signals_ is None:
            self.signals_ = room
        elif self.signals_.shape[1] != n_samples:
            raise ValueError(
                f"the recorder has records of {self.signals_.shape[1]} samples and was "
                "given "
                f"{n_samples}; continue with the same rows, or call fit."
            )
        else:
            self.signals_ = torch.cat([self.signals_[: self.n_recorded_], room])

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Mark all samples as not yet seen in this epoch."""
        if self.logits_ is not None:
            self.logits_.fill_(torch.nan)

    def on_batch_end(
        self,
        net: Any,
        batch: Any = None,
        training: bool = False,
        y_pred: Any = None,
        **kwargs: Any,
    ) -> None:
        """Store the logits of a training batch."""
        if training and self.when == "online" and isinstance(batch, Batch):
            self._keep(batch.index, y_pred)

    def on_epoch_end(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        """Compute the epoch's column of signals from its logits."""
        if self.when == "epoch_end" or self.signal == "alignment":
            features = self._score(net, dataset_train)
        if self.logits_ is None:
            raise TypeError(
                "DynamicsRecorder was given no batch with row numbers; set "
                "iterator_train=sknoisy.nets.TensorBatches."
            )
        processes = getattr(net, "processes_", None)
        if processes is not None and self.when == "online":
            self.logits_ = processes.of_rows(self.logits_)
        # skorch's convention: under NLLLoss the module returns probabilities.
        logits = logits_of(getattr(net, "criterion_", None), self.logits_)
        codes = torch.from_numpy(_base(dataset_train).codes).to(logits.device)
        table = features if self.signal == "alignment" else logits
        signal = alignment if self.signal == "alignment" else SIGNALS[self.signal]
        # Rows that were not used in this epoch are NaN, and add no probability.
        unseen = table[:, 0].isnan()
        if unseen.any():
            values = torch.full_like(table[:, 0], torch.nan)
            values[~unseen] = signal(table[~unseen], codes[~unseen])
        else:
            values = signal(table, codes)
        self.signals_[self.n_recorded_] = values.cpu()
        proba = softmax_of(logits).nan_to_num_(0.0)
        if self.proba_sum_ is None:
            # In the order of rows, in which files restore it.
            self.proba_sum_ = proba.new_zeros(proba.shape)
        self.proba_sum_ += proba
        self.n_recorded_ += 1

    @property
    def trajectories_(self) -> FloatArray:
        """Signals of the completed epochs, shape (n_samples, n_epochs)."""
        signals = cast("torch.Tensor", self.signals_)
        return signals[: self.n_recorded_].numpy().T

    @property
    def mean_proba_(self) -> FloatArray:
        """Mean softmax of the completed epochs, shape (n_samples, n_classes)."""
        # Each epoch that used the row added a distribution, so the sum is their number.
        proba_sum = cast("torch.Tensor", self.proba_sum_)
        total = proba_sum / proba_sum.sum(1, keepdim=True)
        return total.cpu().numpy()

    def _keep(self, index, y_pred):
        logits = y_pred[0] if isinstance(y_pred, tuple) else y_pred
        if self.logits_ is None:
            shape = self.signals_.shape[1], logits.shape[1]
            self.logits_ = torch.full(shape, torch.nan, device=logits.device)
        self.logits_.index_copy_(0, index, logits.detach().float())

    def _score(self, net, dataset):
        """Compute all logits in evaluation mode; return the features."""
        features = None
        training = net.module_.training
        net.module_.eval()
        with torch.no_grad():
            for batch in net.get_iterator(dataset, training=False):
                if self.when == "epoch_end":
                    fit_params = getattr(net, "fit_params_", {})
                    self._keep(batch.index, net.infer(batch[0], **fit_params))
                if self.signal == "alignment":
                    v = embed(net.module_, batch[0]).float()
                    if features is None:
                        shape = self.signals_.shape[1], v.shape[1]
                        features = v.new_full(shape, torch.nan)
                    features[batch.index] = v
        net.module_.train(training)
        return features


def looks_at_losses(hook):
    """Return whether a hook on batches may read their losses in the history."""
    function, owner = getattr(hook, "__func__", hook), getattr(hook, "__self__", None)
    if function is LRScheduler.on_batch_end:
        return owner.step_every != "epoch"
    return function not in (EpochScoring.on_batch_end, DynamicsRecorder.on_batch_end)


def _base(dataset):
    """Return the dataset inside nested Subsets, to which row numbers refer."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return dataset
