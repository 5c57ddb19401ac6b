"""The methods of a net that skorch calls: parts, batches, epochs, outputs, pickles."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Self

import torch
from skorch.utils import is_dataset, to_device, to_tensor

from sknoisy._codes import label_accuracy
from sknoisy.nets._batches import (
    LoaderBatches,
    PairBatches,
    TensorBatches,
    is_on_disk,
)
from sknoisy.nets._checkpoint import save_training
from sknoisy.nets._defaults import default_module, default_optimizer_params
from sknoisy.nets._device import isolated_rng, resolve_device, seed_torch
from sknoisy.nets._device_kinds import mixed_precision
from sknoisy.nets._fitting import begin_without_data
from sknoisy.nets._input import check_input, rows_as_dataset, split_rows, with_codes
from sknoisy.nets._masked_training import estimate_label_quality, start_masking
from sknoisy.nets._modules import embed
from sknoisy.nets._optimizing import lr_factor
from sknoisy.nets._outputs import criterion_value, validation_loss
from sknoisy.nets._parameter_names import signature_of
from sknoisy.nets._predicting import outputs_of, proba_of
from sknoisy.nets._processes import STOP, is_first_process
from sknoisy.nets._progress import ProgressLog
from sknoisy.nets._running import run_pass
from sknoisy.nets._slots import (
    asks_for_loader,
    build_part,
    check_part_names,
    iterator_of,
    moved,
    refuse_unknown,
    shape_of,
    store_params,
)
from sknoisy.nets._soft_targets import soft_loss
from sknoisy.nets._torch_modes import in_usual_modes

if TYPE_CHECKING:
    from torch import nn

    from sknoisy._types import Array, ArrayLike, Device, Rows

__all__ = ["TrainingLoopMixin"]

if TYPE_CHECKING:
    # The base class is from skorch, which has no types.
    _Host = Any
else:
    _Host = object


class TrainingLoopMixin(_Host):
    """The part of `NetClassifier` that skorch calls.

    The overridden methods do the same as in skorch, but faster or with clearer errors.
    Longer code is in the files beside this one. The step and the passes of an epoch are
    in `NetClassifier`.
    """

    @in_usual_modes
    def initialize(self) -> Self:
        """Build callbacks, module, criterion and optimizer, seeded.

        Before the first data a part can be built if it needs no facts about them, or if
        the user sets them: ``classes`` and ``module__input_shape``. ``load_params`` or
        ``partial_fit`` may follow; ``fit`` starts a new training.

        Returns
        -------
        self : NetClassifier

        Raises
        ------
        ValueError
            If a part needs facts about data.
        """
        self.check_training_readiness()
        with isolated_rng(self.device_):
            seed_torch(self.device_, self.seed_, 0)
            return super().initialize()

    def build(self, name: str, component: Any = None, like: str | None = None) -> Any:
        """Build a component from its slot.

        Parameters
        ----------
        name : str
            "module", "criterion" or a slot that a method adds.
        component : class, callable or torch module, default=None
            The component to use instead of the user's value: the one for a string, or a
            default of the method. None uses the user's value.
        like : str, default=None
            Another slot whose component is used if the user left this one empty, with
            the parameters of this slot where the user sets some.

        Returns
        -------
        component : torch module
            On the net's device. Given ``input_shape``, ``n_classes`` and
            ``n_samples`` if its signature has them and the user did not set
            them.

        Raises
        ------
        ValueError
            If a ``name__…`` parameter is not in the signature.
        TypeError
            If the component is a function that does not accept them, or if it is or
            returns anything other than a torch module or a criterion.
        """
        if not hasattr(self, "device_"):
            begin_without_data(self)
        return build_part(self, name, component, like)

    def component_of(self, name: str) -> Any:
        """Return the component of a slot: the user's class or instance, or the default.

        Parameters
        ----------
        name : str
            Name of the slot, for example "module".

        Returns
        -------
        component : class, callable or torch module
            The component of the slot.
        """
        component = getattr(self, name)
        if name == "module" and component is None:
            shape = shape_of(self)
            if shape is None:
                raise ValueError(
                    f"{type(self).__name__} chooses its network by the data: set "
                    "module__input_shape and classes, or call fit or partial_fit "
                    "instead of initialize."
                )
            return default_module(shape)
        return component

    def initialize_module(self) -> Self:
        """Build the module."""
        self.module_ = self.build("module")
        return self

    def initialize_criterion(self) -> Self:
        """Build the criterion."""
        self.criterion_ = self.build("criterion")
        return self

    def initialize_optimizer(self) -> Self:
        """Build the optimizer, and the decoders of masked images if there are any."""
        start_masking(self)
        return super().initialize_optimizer()

    def get_params_for_optimizer(
        self, prefix: str, named_parameters: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Return the optimizer's arguments, completed by the defaults of the net."""
        args, params = super().get_params_for_optimizer(prefix, named_parameters)
        optimizer = getattr(self, prefix)
        known, takes_any = signature_of(optimizer)
        if not takes_any:
            refuse_unknown(prefix, optimizer, params, known, {"params": None})
        return args, default_optimizer_params(optimizer, params, self.device_)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, including those of the parts.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : NetClassifier
        """
        if not self.initialized_:
            return super().set_params(**store_params(self, params))
        with isolated_rng(self.device_):
            seed_torch(self.device_, self.seed_, 0)
            return super().set_params(**store_params(self, params))

    def _get_param_names(self):
        return [name for name in super()._get_param_names() if name[0] != "_"]

    def _validate_params(self):
        """Refuse names that skorch would ignore."""
        check_part_names(self)
        super()._validate_params()

    def torch_compile(self, module: nn.Module, name: str) -> Any:
        """Put a part on the device, and compile a network if ``compile`` is set.

        skorch calls it for every part that it has built, also those of a subclass.

        If parts of a module are called separately, each is compiled. Criteria are not:
        most have a state of the rows, which is read and written between the steps, and
        the others are too small to gain.

        Parameters
        ----------
        module : torch module
            The built part.
        name : str
            "module", "criterion"…

        Returns
        -------
        module : torch module
            The module, compiled or not.
        """
        module = moved(module, self.device_)
        if not self.compile or name not in self._modules:
            return module
        parts = getattr(module, "compiled_parts", None)
        if parts is None:
            return super().torch_compile(module, name)
        for part in parts:
            part.compile(**self.get_params_for("compile"))
        return module

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Wrap checked rows, and labels if given; return a Dataset unchanged."""
        if y is None or is_dataset(X):
            return rows_as_dataset(self, X)
        return check_input(self, X, y, False, None)[0]

    def get_split_datasets(
        self, X: Any, y: Any = None, **fit_params: Any
    ) -> tuple[Any, Any]:
        """Split off a validation set if ``train_split`` says so."""
        return split_rows(self, X, **fit_params)

    def check_data(self, X: Any, y: Any = None) -> None:
        """Do nothing: ``fit`` has checked the data."""

    def check_training_readiness(self) -> Any:
        """Refuse a trimmed net; set what can be set before the first data."""
        super().check_training_readiness()
        if not hasattr(self, "input_shape_"):
            begin_without_data(self)

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return the iterator over batches of a dataset."""
        slot = "iterator_train" if training else "iterator_valid"
        dataset = with_codes(self, dataset)
        # Set for a training on rows on disk; arrays may be predicted after it.
        on_disk = is_on_disk(dataset) or asks_for_loader(self, slot)
        iterator, params = iterator_of(self, slot, on_disk)
        if params["batch_size"] == -1:
            params["batch_size"] = len(dataset)
        iterator = iterator(dataset, **params)
        if isinstance(iterator, TensorBatches | LoaderBatches):
            return iterator
        return PairBatches(iterator, self.device_)

    def forward_iter(
        self, X: Rows, training: bool = False, device: Device = "cpu"
    ) -> Any:
        """Yield the outputs of the module for each batch, in the order of the rows."""
        self.check_is_fitted()
        # The training iterator would shuffle the rows.
        for batch in self.get_iterator(self.get_dataset(X), training=False):
            yield to_device(self.evaluation_step(batch, training), device=device)

    @in_usual_modes
    def forward(
        self, X: torch.Tensor, training: bool = False, device: Device = "cpu"
    ) -> torch.Tensor:
        """Return the outputs of the module for all rows, in their order.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            As in `fit`.
        training : bool, default=False
            Whether modules are in training mode, for example with dropout.
        device : str, default="cpu"
            Device of the result.

        Returns
        -------
        outputs : Tensor of shape (n_samples, n_classes)
            Logits; probabilities under NLLLoss.
        """
        return super().forward(X, training=training, device=device)

    @in_usual_modes
    def eval_pass(
        self,
        dataset: Any,
        modules: list[str] | dict[Any, Callable[..., Any]] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """Score a dataset with modules in evaluation mode.

        Parameters
        ----------
        dataset : ArrayDataset or Subset of one
            Rows to read.
        modules : list of str, dict of str to callable, or None, default=None
            Names such as "module"; or parts of modules, and functions of a batch X, by
            your own names. None uses all modules.

        Returns
        -------
        rows : Tensor of shape (n_samples,), dtype int64
            Row numbers in the X given to ``fit``.
        codes : Tensor of shape (n_samples,), dtype int64
            Label codes, in the same order.
        logits : dict of str to Tensor of shape (n_samples, n_classes)
            One entry for each module, by name; under NLLLoss the log of its
            outputs.

        Raises
        ------
        FloatingPointError
            If the outputs for a row are infinite or NaN.
        """
        if not isinstance(modules, dict):
            names = modules or self._modules
            modules = {name: getattr(self, name + "_") for name in names}
        return outputs_of(self, dataset, modules)

    def evaluation_step(self, batch: Any, training: bool = False) -> Any:
        """Return the outputs of the module for a batch."""
        X, _ = batch
        self._set_training(training)
        with torch.set_grad_enabled(training), self._autocast():
            outputs = self.infer(X)
        # Outside of a training a module may return more than logits.
        if isinstance(outputs, tuple):
            return tuple(part.float() for part in outputs)
        return outputs.float()

    def get_loss(
        self,
        y_pred: Any,
        y_true: Any,
        X: torch.Tensor | None = None,
        training: bool = False,
    ) -> torch.Tensor:
        """Return the criterion's value for the outputs of a batch.

        A criterion that needs more than outputs and labels is for training only:
        validation batches are then scored by plain cross-entropy. Losses of single rows
        are averaged by the caller.

        Parameters
        ----------
        y_pred : Tensor of shape (batch, n_classes)
            Outputs of the module.
        y_true : Tensor of shape (batch,), dtype int64
            Label codes; of shape (batch, n_classes) in a training with soft targets.
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
            If a criterion of torch does not accept outputs or labels of this shape.
        AttributeError
            If a subclass has no ``criterion_``, and does not override this either.
        """
        if self.criterion_ is None:
            raise AttributeError(
                f"{type(self).__name__} has no criterion_: set it in "
                "initialize_criterion, or override get_loss too."
            )
        if not isinstance(y_true, torch.Tensor):
            y_true = to_tensor(y_true, device=self.device_)
        if training and self.soft_targets_ is not None:
            return soft_loss(self.criterion_, y_pred, y_true)
        if training:
            return criterion_value(self.criterion_, y_pred, y_true)
        return validation_loss(self.criterion_, y_pred, y_true)

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Seed the epoch and set its learning rate."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        of_process: tuple[int, ...] = ()
        if self.processes_ is not None:
            self.processes_.check_alike({"the epoch": len(self.history)}, STOP)
            self.processes_.begin_epoch(self.rows_fitted_[0])
            if self.processes_.number:
                # The first draws the rows of one process; each drops its own units.
                of_process = (2, self.processes_.number)
        seed_torch(self.device_, self.seed_, len(self.history), *of_process)
        if self.base_lrs_ is not None:
            done = len(self.history) - 1 - self.epochs_before_
            factor = lr_factor(self.lr_schedule, done, self.max_epochs)
            for group, lr in zip(self._param_groups(), self.base_lrs_, strict=True):
                group["lr"] = lr * factor

    def run_single_epoch(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Callable[..., Any],
        **fit_params: Any,
    ) -> None:
        """Run the passes of an epoch; a single one for validation."""
        if iterator is None:
            return
        if fit_params:
            # What only train_split takes stays out of the steps.
            fit_params = self.fit_params_
        if not training:
            run_pass(self, iterator, False, prefix, step_fn, **fit_params)
            return
        processes = self.processes_
        for turn, batches in self.passes(iterator):
            self.turn_, self.some_may_be_late_ = turn, True
            if processes is not None:
                batches = processes.noted(batches)
            run_pass(self, batches, True, prefix, step_fn, **fit_params)
            if processes is not None:
                processes.exchange(self)
        if processes is not None:
            processes.add_batch_sizes(self.history[-1]["batches"])

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call a hook of the net, then of the callbacks; then store the training."""
        super().notify(method_name, **cb_kwargs)
        if method_name == "on_epoch_begin" and self.masking_ is not None:
            # After the method, which may have scored the labels.
            estimate_label_quality(self, cb_kwargs["dataset_train"])
        stores = self.training_key_ is not None and is_first_process(self)
        if method_name == "on_epoch_end" and stores:
            save_training(self, self.checkpoint)

    @property
    def _default_callbacks(self):
        return [
            (name, ProgressLog() if name == "print_log" else callback)
            for name, callback in super()._default_callbacks
        ]

    def _param_groups(self):
        return [
            group
            for name in self._optimizers
            if isinstance(optimizer := getattr(self, name + "_"), torch.optim.Optimizer)
            for group in optimizer.param_groups
        ]

    def _autocast(self):
        dtype = mixed_precision(self.device_, self.amp)
        if dtype is None:
            return nullcontext()
        return torch.autocast(self.device_.type, dtype=dtype)

    def predict(self, X: Rows) -> Array:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Label codes if X is a torch Dataset, and if a callback passes the tensor of
            a batch, because skorch's scoring callbacks compare them with codes. Also
            label codes, as in skorch, if the net was initialized without data and
            ``classes``.
        """
        codes = self.predict_proba(X).argmax(axis=1)
        is_training = self.autocast_ is not None
        if not hasattr(self, "classes_inferred_") or is_dataset(X):
            return codes
        if is_training and isinstance(X, torch.Tensor):
            return codes
        return self.classes_[codes]

    @in_usual_modes
    def predict_proba(self, X: Rows) -> Array:
        """Return the softmax of the logits; under NLLLoss the outputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes), dtype float32
            Columns in the order of ``classes_``.

        Raises
        ------
        FloatingPointError
            If the outputs for a row are too large to compute probabilities.
        """
        return proba_of(self, X)

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the share of rows whose label is predicted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
        y : array-like of shape (n_samples,)
            Labels of any kind that ``fit`` accepts.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        accuracy : float
        """
        return label_accuracy(y, self.predict(X), sample_weight)

    @property
    def classes_(self) -> Array:
        """The sorted labels, in the order of the columns of ``predict_proba``."""
        try:
            return self.classes_inferred_
        except AttributeError:
            raise AttributeError(
                f"{type(self).__name__} has no classes_ before fit."
            ) from None

    @property
    @in_usual_modes
    def _n_features_out(self):
        row = torch.zeros(1, *self.input_shape_, device=self.device_)
        self._set_training(False)
        with torch.no_grad():
            return embed(self.module_, row).shape[1]

    def _check_device(self, requested_device, map_device):
        if requested_device is None:
            # skorch would warn, and change the parameter.
            return None
        return super()._check_device(requested_device, map_device)

    def __getstate__(self):
        # A callback may pickle a net during training.
        state, left_out = super().__getstate__(), self.fit_only_attributes_
        return {key: value for key, value in state.items() if key not in left_out}

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
                # torch leaves out of a pickle what is compiled in place.
                self.torch_compile(module, name)
