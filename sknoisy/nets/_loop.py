"""skorch's training loop: seeded by epoch, no copy and no look-up too many."""

import inspect
import math
from contextlib import nullcontext
from functools import partial

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from skorch.utils import to_device
from torch import nn
from torch.nn import functional as F

from sknoisy._interruption import is_stop
from sknoisy._random_states import random_generator
from sknoisy.nets._augment import check_view
from sknoisy.nets._batches import to_float
from sknoisy.nets._callbacks import looks_at_losses
from sknoisy.nets._checkpoint import as_before, save_training
from sknoisy.nets._defaults import default_augmentation
from sknoisy.nets._device import isolated_rng, resolve_device, seed_torch
from sknoisy.nets._divergence import (
    diverged,
    refuse_undefined_outputs,
    refuse_undefined_weights,
)
from sknoisy.nets._masked_training import judge_labels
from sknoisy.nets._optimizing import lr_factor, wants_closure
from sknoisy.nets._outputs import logits_of, scores_alone, takes_proba
from sknoisy.nets._torch_modes import in_usual_modes

__all__ = ["TrainingLoopMixin"]


class TrainingLoopMixin:
    """The part of `NetClassifier` that faces skorch: epochs, evaluation, pickling.

    It expects the parameters ``lr_schedule``, ``amp`` and ``random_state``, and the
    checked names of `SlotsMixin`. skorch drives: what is overridden here does the same
    as there, sooner, or says more when it fails. The step itself is the net's.
    """

    hooks_ = None
    autocast_ = None
    augmentation_ = None
    resumes_ = False
    training_key_ = None
    # What a method knows at the start of an epoch of how likely each label is clean, as
    # each of its networks is told: a Tensor of shape (n_networks, n_samples).
    label_quality_ = None
    # Which pass of the epoch is under way, as `passes` names it.
    turn_ = None
    # Whether the last call of fit or partial_fit was interrupted; no callback's stop.
    interrupted_ = False

    def initialize(self):
        """Build callbacks, module, criterion and optimizer, seeded.

        Returns
        -------
        self : NetClassifier
        """
        if not hasattr(self, "device_"):
            self.device_ = resolve_device(self.device)
            self.seed_ = int(random_generator(self.random_state).integers(2**63))
        with isolated_rng(self.device_):
            seed_torch(self.device_, self.seed_, 0)
            return super().initialize()

    def torch_compile(self, module, name):
        """Put a module or criterion on the device; compile it, if ``compile`` says so.

        skorch hands in every part that it has built, also those of a subclass.

        A criterion with a state for each row is left as it is: it is read and written
        between the steps. A module whose parts are called one by one has them compiled.

        Parameters
        ----------
        module : torch module
            As it was built.
        name : str
            "module", "criterion"…

        Returns
        -------
        module : torch module
            Compiled, or the same.
        """
        module = module.to(self.device_)
        if not self.compile or (name in self._criteria and not scores_alone(module)):
            return module
        parts = getattr(module, "compiled_parts", None)
        if parts is None:
            return super().torch_compile(module, name)
        for part in parts:
            part.compile(**self.get_params_for("compile"))
        return module

    def forward_iter(self, X, training=False, device="cpu"):
        """Yield what the module returns for each batch, in the order of the rows."""
        self.check_is_fitted()
        # The training iterator would shuffle the rows.
        for batch in self.get_iterator(self.get_dataset(X), training=False):
            yield to_device(self.evaluation_step(batch, training), device=device)

    @in_usual_modes
    def forward(self, X, training=False, device="cpu"):
        """Return what the module returns for all rows, in their order.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            As in `fit`.
        training : bool, default=False
            Whether dropout and the like are active.
        device : str, default="cpu"
            Where the result is put.

        Returns
        -------
        outputs : Tensor of shape (n_samples, n_classes)
            Logits; probabilities under NLLLoss.
        """
        return super().forward(X, training=training, device=device)

    @in_usual_modes
    def eval_pass(self, dataset, modules=None):
        """Score a dataset with modules in evaluation mode.

        Parameters
        ----------
        dataset : ArrayDataset or Subset of one
            Rows to read.
        modules : list of str, dict of str to torch module, or None, default=None
            Names such as "module", or parts of modules by names of your own; None
            takes all modules.

        Returns
        -------
        rows : Tensor of shape (n_samples,), dtype int64
            Row numbers in the X given to ``fit``.
        codes : Tensor of shape (n_samples,), dtype int64
            Label codes, in the same order.
        logits : dict of str to Tensor of shape (n_samples, n_classes)
            One entry for each module, by name; under NLLLoss the log of what it
            returns.

        Raises
        ------
        FloatingPointError
            If the outputs for a row are infinite or NaN.
        """
        if not isinstance(modules, dict):
            names = modules or self._modules
            modules = {name: getattr(self, name + "_") for name in names}
        rows, codes, logits, n_done = [], [], {}, 0
        self._set_training(False)
        with torch.no_grad(), self._autocast():
            for batch in self.get_iterator(dataset, training=False):
                X, y = batch
                rows.append(batch.index)
                codes.append(y)
                here = slice(n_done, n_done := n_done + len(y))
                for name, module in modules.items():
                    out = logits_of(self.criterion_, module(X))
                    if name not in logits:
                        # Filled as it comes: parts and their union would be twice that.
                        size = len(dataset), out.shape[1]
                        logits[name] = out.new_empty(size, dtype=torch.float32)
                    logits[name][here] = out
        logits = {name: out[:n_done] for name, out in logits.items()}
        for out in logits.values():
            refuse_undefined_outputs(self, out)
        return torch.cat(rows), torch.cat(codes), logits

    def evaluation_step(self, batch, training=False):
        """Return what the module returns for a batch."""
        X, _ = batch
        self._set_training(training)
        with torch.set_grad_enabled(training), self._autocast():
            return self.infer(X).float()

    def infer(self, x, **fit_params):
        """Return what the module returns for the rows of a batch.

        Parameters
        ----------
        x : Tensor of shape (batch, ...)
            Rows as an iterator yields them.
        **fit_params : dict
            What the module's ``forward`` takes beside the rows.

        Returns
        -------
        outputs : Tensor of shape (batch, n_classes)
            Logits; probabilities under NLLLoss.
        """
        if isinstance(x, torch.Tensor) and not fit_params:
            # Batches are where the module is; skorch would look again.
            return self.module_(x)
        return super().infer(x, **fit_params)

    def scored(self, outputs):
        """Return what the criterion is given: under NLLLoss the log of the outputs.

        Parameters
        ----------
        outputs : Tensor of shape (batch, n_classes)
            What the module returns.

        Returns
        -------
        scored : Tensor of shape (batch, n_classes)
            The outputs themselves, or their log.
        """
        if not takes_proba(self.criterion_):
            return outputs
        # skorch's epsilon; but skorch does not see a criterion that is compiled.
        outputs = outputs.float()
        return (outputs + torch.finfo(outputs.dtype).eps).log()

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the criterion's value for the outputs of a batch.

        A criterion that needs more than outputs and labels is for training only:
        validation batches are then scored by plain cross-entropy.

        Parameters
        ----------
        y_pred : Tensor of shape (batch, n_classes)
            What the module returns.
        y_true : Tensor of shape (batch,), dtype int64
            Label codes.
        X : Tensor of shape (batch, ...), default=None
            Not used here.
        training : bool, default=False
            Whether the batch is one of the training.

        Returns
        -------
        loss : Tensor of shape () or (batch,)
            One for each row if the criterion does not average.

        Raises
        ------
        ValueError
            If a criterion of torch takes no outputs or labels of this shape.
        """
        if training or scores_alone(self.criterion_):
            try:
                return self.criterion_(self.scored(y_pred), y_true)
            except (ValueError, RuntimeError) as error:
                home = getattr(self.criterion_, "__module__", "").partition(".")[0]
                if home != "torch" or isinstance(error, torch.OutOfMemoryError):
                    raise
                name = type(self.criterion_).__name__
                raise ValueError(
                    f"criterion {name} does not take outputs of shape "
                    f"{tuple(y_pred.shape)} with label codes of shape "
                    f"{tuple(y_true.shape)}: {error}"
                ) from error
        return F.cross_entropy(self.scored(y_pred), y_true)

    def validation_step(self, batch, **fit_params):
        """Score a validation batch; a loss of each row is averaged.

        Parameters
        ----------
        batch : Batch or pair of tensors
            Rows and label codes.
        **fit_params : dict
            As in `infer`.

        Returns
        -------
        step : dict
            ``loss``, a Tensor of shape (), and ``y_pred``, what the module returns.
        """
        step = super().validation_step(batch, **fit_params)
        return {**step, "loss": step["loss"].mean()}

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Seed the epoch and set its learning rate."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        seed_torch(self.device_, self.seed_, len(self.history))
        if self.base_lrs_ is not None:
            done = len(self.history) - 1 - self.epochs_before_
            factor = lr_factor(self.lr_schedule, done, self.max_epochs)
            for group, lr in zip(self._param_groups(), self.base_lrs_, strict=True):
                group["lr"] = lr * factor

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Leave the history's row to the pass, which has made it."""

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Run the epochs; note whether the keyboard, and no callback, ends them."""
        try:
            return super().fit_loop(X, y, epochs=epochs, **fit_params)
        except KeyboardInterrupt as error:
            self.interrupted_ = not is_stop(error)
            raise

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run the passes of an epoch; one where nothing is trained."""
        if iterator is None:
            return
        if not training:
            self._run_pass(iterator, False, prefix, step_fn, **fit_params)
            return
        for turn, batches in self.passes(iterator):
            self.turn_ = turn
            self._run_pass(batches, True, prefix, step_fn, **fit_params)

    def passes(self, batches):
        """Yield the passes of a training epoch, one after another.

        What a method does between two passes stands between its two ``yield``.

        Parameters
        ----------
        batches : iterable of Batch
            All rows in batches; in a new order each time that it is iterated over.

        Yields
        ------
        turn : object
            Name or number of the pass, ``turn_`` while it runs.
        batches : iterable of Batch
            What the pass trains on.
        """
        yield 0, batches

    def _run_pass(self, iterator, training, prefix, step_fn, **fit_params):
        """Run a pass as skorch does, without its look-ups at every batch."""
        batches = self.history[-1]["batches"]
        loss_key, size_key = prefix + "_loss", prefix + "_batch_size"
        before, after = self._hooks("on_batch_begin"), self._hooks("on_batch_end")
        is_watched = any(map(looks_at_losses, after))
        unread = []
        try:
            for batch in iterator:
                row = {}
                batches.append(row)
                for hook in before:
                    hook(self, batch=batch, training=training)
                step = step_fn(batch, **fit_params)
                row[size_key] = len(batch[0])
                if is_watched:
                    row[loss_key] = step["loss"].item()
                else:
                    # Read at the end: a look at each loss would wait for the device.
                    unread.append((row, step["loss"].detach()))
                for hook in after:
                    hook(self, batch=batch, training=training, **step)
                # Two live batches would take turns in the cache.
                del batch, step
        finally:
            if unread:
                rows, values = zip(*unread, strict=True)
                for row, value in zip(rows, torch.stack(values).tolist(), strict=True):
                    row[loss_key] = value
        losses = [row[loss_key] for row in batches if loss_key in row]
        self.history.record(prefix + "_batch_count", len(losses))
        if training:
            undefined = [loss for loss in losses if not math.isfinite(loss)]
            if undefined:
                raise diverged(self, f"the loss is {undefined[0]}")
            refuse_undefined_weights(self)

    def notify(self, method_name, **cb_kwargs):
        """Call a hook of the net, then of the callbacks that have it."""
        goes_on = method_name == "on_train_begin" and self.resumes_
        with as_before(self) if goes_on else nullcontext():
            if method_name in ("on_train_begin", "on_train_end"):
                # skorch's scores without a cache take rows and labels from here.
                labels = getattr(cb_kwargs["X"], "y", None)
                cb_kwargs["y"] = labels if cb_kwargs["y"] is None else cb_kwargs["y"]
            for hook in self._hooks(method_name):
                hook(self, **cb_kwargs)
        if method_name == "on_epoch_begin" and self.masking_ is not None:
            # After the method, which may have judged the labels.
            judge_labels(self, cb_kwargs["dataset_train"])
        # Before the first epoch too: better it fails now than after an hour.
        stores = method_name in ("on_train_begin", "on_epoch_end")
        if stores and self.training_key_ is not None and not goes_on:
            save_training(self, self.checkpoint)

    def _hooks(self, method_name):
        """Return the bound hooks that do something, so that idle ones cost nothing."""
        if self.hooks_ is None:
            self.hooks_ = {}
        if method_name not in self.hooks_:
            idle = {
                getattr(Callback, method_name),
                NeuralNet.on_batch_end,
                NeuralNet.on_grad_computed,
                TrainingLoopMixin.on_batch_begin,
            }
            owners = [self, *(callback for _, callback in self.callbacks_)]
            hooks = [getattr(owner, method_name) for owner in owners]
            self.hooks_[method_name] = [
                hook for hook in hooks if getattr(hook, "__func__", hook) not in idle
            ]
        return self.hooks_[method_name]

    def _train(self, dataset, resumes=False):
        groups, self.resumes_ = self._param_groups(), resumes
        if not resumes:
            callbacks = [callback for _, callback in self.callbacks_]
            has_scheduler = any(isinstance(cb, LRScheduler) for cb in callbacks)
            scheduled = self.lr_schedule is not None and not has_scheduler
            self.base_lrs_ = [group["lr"] for group in groups] if scheduled else None
            self.epochs_before_ = len(self.history)
        done = len(self.history) - self.epochs_before_
        # The callbacks may have changed since the last call.
        self.hooks_ = None
        self.autocast_ = self._autocast()
        self.augmentation_ = self._augmentation(dataset)
        optimizers = [getattr(self, name + "_") for name in self._optimizers]
        self.step_needs_closure_ = any(map(wants_closure, optimizers))
        forward = getattr(self.criterion_, "forward", self.criterion_)
        self.criterion_takes_index_ = "index" in inspect.signature(forward).parameters
        try:
            super().partial_fit(dataset, None, epochs=max(self.max_epochs - done, 0))
        except torch.OutOfMemoryError as error:
            raise torch.OutOfMemoryError(
                f"the device has no memory left. Lower batch_size (now "
                f"{self.batch_size}), take a smaller network, or leave the data on the "
                f"host with iterator_train=LoaderBatches. {error}"
            ) from error
        finally:
            self.hooks_ = self.autocast_ = self.augmentation_ = None
            self.resumes_, self.label_quality_ = False, None
            self.turn_ = None
            if self.base_lrs_ is not None:
                for group, lr in zip(groups, self.base_lrs_, strict=True):
                    group["lr"] = lr

    def _augmentation(self, dataset):
        """Return what changes the rows of a batch, tried out on two of them."""
        if self.augment == "auto":
            return default_augmentation(self.input_shape_)
        if self.augment is not None:
            batch = to_float(dataset.fetch([0, len(dataset) - 1])[0]).to(self.device_)
            check_view("augment", self.augment, batch)
        return self.augment

    def _param_groups(self):
        return [
            group
            for name in self._optimizers
            for group in getattr(self, name + "_").param_groups
        ]

    def _autocast(self):
        is_cuda = self.device_.type == "cuda"
        if self.amp == "auto":
            enabled = is_cuda and torch.cuda.is_bf16_supported()
        else:
            enabled = self.amp
        if not enabled:
            return nullcontext()
        return torch.autocast(self.device_.type, dtype=torch.bfloat16)

    def _set_training(self, training=True):
        for name in self._modules + self._criteria:
            module = getattr(self, name + "_")
            if isinstance(module, nn.Module) and module.training != training:
                module.train(training)

    def _get_predict_nonlinearity(self):
        self.check_is_fitted()
        if self.predict_nonlinearity == "auto":
            if takes_proba(self.criterion_):
                return nn.Identity()
            return partial(torch.softmax, dim=-1)
        return super()._get_predict_nonlinearity()

    def _check_device(self, requested_device, map_device):
        if requested_device is None:
            # skorch would warn, and write what it finds into the parameter.
            return None
        return super()._check_device(requested_device, map_device)

    def __getstate__(self):
        # What lives in training only: bound hooks and contexts, the rows' weights.
        state = super().__getstate__()
        short_lived = {"hooks_", "autocast_", "augmentation_", "sample_weight_"}
        short_lived |= {"resumes_", "training_key_", "open_step_", "label_quality_"}
        short_lived |= {"turn_"}
        return {key: value for key, value in state.items() if key not in short_lived}

    def __setstate__(self, state):
        # skorch would load to the CPU.
        requested = state["device"]
        if requested is None:
            state = {**state, "device": str(resolve_device(None))}
        super().__setstate__(state)
        if "device_" in state:
            self.device_ = resolve_device(self.device)
        if requested is None:
            self.device = None
        for name in self._modules:
            module = vars(self).get(name + "_")
            if self.compile and hasattr(module, "compiled_parts"):
                # torch leaves out of a pickle what it compiled in place.
                self.torch_compile(module, name)
