"""The one net class: scikit-learn's contract around skorch's training loop."""

import copy
import inspect
import math
import zlib
from contextlib import contextmanager, nullcontext
from functools import partial
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import Callback, LRScheduler
from skorch.utils import TeeGenerator, is_dataset, to_device
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset, Subset

from sknoisy._validation import (
    Interval,
    Options,
    StrOptions,
    check_parameters,
    check_rows,
    check_rows_and_labels,
    check_weights,
    encode_labels,
    random_generator,
)
from sknoisy.nets._batches import ArrayDataset, Batch, LoaderBatches, TensorBatches
from sknoisy.nets._defaults import default_module, default_optimizer_params
from sknoisy.nets._modules import embed

__all__ = [
    "NetClassifier",
    "check_outputs",
    "isolated_rng",
    "resolve_device",
    "seed_torch",
]

# Scoring needs no gradient memory, and large batches spare calls.
EVAL_BATCH_SIZE = 1024


class NetClassifier(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, NeuralNetClassifier
):
    """Cross-entropy network classifier, and transformer to its last features.

    A skorch net that keeps scikit-learn's contract. Tables should be standardised by
    a step before it. The robust classifiers derive from it; by itself it trains on
    the labels as they are.

    Parameters
    ----------
    module : torch module class or instance, default=None
        Maps a batch of X to logits of shape (batch, n_classes). A class is given
        ``input_shape`` and ``n_classes`` if its signature asks for them; an instance
        is copied at each fit and starts from its weights. None takes `nets.MLP` for
        2-D input.
    criterion : torch criterion class or instance, default=torch.nn.CrossEntropyLoss
        Called with logits and label codes.
    optimizer : torch optimizer class, default=torch.optim.SGD
        SGD runs with momentum 0.9 and weight decay 2e-3 unless
        ``optimizer__momentum`` and ``optimizer__weight_decay`` say otherwise.
    lr : float >= 0, default=0.05
        Learning rate at the first epoch.
    max_epochs : int >= 1, default=20
        Epochs that one call of ``fit`` or ``partial_fit`` runs.
    batch_size : int >= 1 or -1, default=128
        -1 takes all rows at once.
    lr_schedule : "cosine", float in (0, 1], callable or None, default="cosine"
        Factor on the learning rate, set before each epoch: "cosine" falls from 1
        towards 0 over the epochs of the call, a float is multiplied once more at each
        epoch, a callable is given (epochs done, max_epochs), None keeps it constant.
        A skorch LRScheduler among the callbacks takes its place.
    amp : "auto" or bool, default="auto"
        Mixed precision in bfloat16. "auto" uses it on CUDA devices that have it.
    random_state : int, RandomState instance or None, default=None
        Initial weights, order of rows, dropout. The same int gives the same bits on
        the CPU, and 2 + 2 epochs at a constant learning rate equal 4.
    iterator_train, iterator_valid : class, default=TensorBatches
        `nets.LoaderBatches` is for data that do not fit in memory.
    train_split : callable or None, default=None
        As in skorch; None trains on every row.
    callbacks : list of skorch callbacks, "disable" or None, default=None
    warm_start : bool, default=False
        Let ``fit`` go on from the weights of the last fit.
    verbose : int, default=0
        1 prints a row for each epoch.
    device : str, torch.device or None, default=None
        None takes CUDA if there is one.
    compile : bool, default=False
        Compile the module with ``torch.compile``.
    **kwargs : dict
        Parameters of the parts: ``module__hidden``, ``optimizer__weight_decay``,
        ``iterator_train__drop_last``, ``callbacks__print_log``; and skorch's other
        parameters.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If X had string column names.
    module_, criterion_, optimizer_ : torch objects
    history_ : skorch History
        A row for each epoch.
    device_ : torch.device
    seed_ : int
        What all of torch's randomness was derived from.

    See Also
    --------
    sknoisy.DynaCorDetector : Find the wrong labels.

    References
    ----------
    .. [1] M. Tietz et al., skorch: A scikit-learn compatible neural network library
       that wraps PyTorch, 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sknoisy import NetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = make_pipeline(StandardScaler(), NetClassifier(random_state=0)).fit(X, y)
    >>> bool(clf.score(X, y) > 0.9)
    True
    """

    # skorch sets these on the instance in __init__, where scikit-learn allows nothing
    # but parameters; __init__ drops them, and these stand in until fit.
    history_ = None
    initialized_ = False
    virtual_params_ = {}
    prefixes_ = [*NeuralNetClassifier.prefixes_, "module", "criterion", "optimizer"]
    cuda_dependent_attributes_ = ["module_", "criterion_", "optimizer_"]
    _modules = ["module"]
    _criteria = ["criterion"]
    _optimizers = ["optimizer"]
    sample_weight_ = None
    hooks_ = None
    autocast_ = None

    _parameter_constraints = {
        "lr": [Interval(Real, 0, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            Options(Integral, {-1}),
        ],
        "lr_schedule": [
            StrOptions({"cosine"}),
            Interval(Real, 0, 1, closed="right"),
            callable,
            None,
        ],
        "amp": [StrOptions({"auto"}), "boolean"],
        "random_state": ["random_state"],
        "callbacks": [list, StrOptions({"disable"}), None],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "compile": ["boolean"],
    }

    def __init__(
        self,
        module=None,
        *,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=0.05,
        max_epochs=20,
        batch_size=128,
        lr_schedule="cosine",
        amp="auto",
        random_state=None,
        iterator_train=TensorBatches,
        iterator_valid=TensorBatches,
        train_split=None,
        callbacks=None,
        warm_start=False,
        verbose=0,
        device=None,
        compile=False,
        **kwargs,
    ):
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            train_split=train_split,
            callbacks=callbacks,
            warm_start=warm_start,
            verbose=verbose,
            device=device,
            compile=compile,
            **kwargs,
        )
        self.lr_schedule = lr_schedule
        self.amp = amp
        self.random_state = random_state
        for name in ("history_", "initialized_", "virtual_params_"):
            vars(self).pop(name)

    # ------------------------------------------------------------------ the seams

    def build(self, name):
        """Make a component from its slot.

        Parameters
        ----------
        name : str
            "module", "criterion" or a slot that a method adds.

        Returns
        -------
        component : torch module
            On the net's device. Given ``input_shape``, ``n_classes`` and
            ``n_samples`` if its signature asks for them and the user did not set
            them.

        Raises
        ------
        ValueError
            If a ``name__…`` parameter is not in the signature.
        """
        component = getattr(self, name)
        params = self.get_params_for(name)
        if name == "module" and component is None:
            component = self._default_module(self._facts()["input_shape"])
        if isinstance(component, nn.Module):
            if not params:
                return copy.deepcopy(component).to(self.device_)
            component = type(component)
        known, takes_any = _signature(component)
        facts = self._facts()
        facts = {key: value for key, value in facts.items() if key in known}
        if not takes_any:
            _refuse_unknown(name, component, params, known, facts)
        return component(**{**facts, **params}).to(self.device_)

    def training_loss(self, X, y, index):
        """Return the loss of a batch and its logits.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
        y : Tensor of shape (batch,), dtype int64
            Label codes.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        loss : Tensor of shape ()
        logits : Tensor of shape (batch, n_classes)
            What recorders see.
        """
        logits = self.module_(X)
        return self.weighted_mean(self.criterion_(logits, y), index), logits

    def eval_pass(self, dataset):
        """Score a dataset with every module in evaluation mode.

        Parameters
        ----------
        dataset : ArrayDataset or Subset of one

        Returns
        -------
        rows : Tensor of shape (n_samples,), dtype int64
        codes : Tensor of shape (n_samples,), dtype int64
        logits : dict of str to Tensor of shape (n_samples, n_classes)
            One entry for each module, by name.
        """
        rows, codes = [], []
        logits = {name: [] for name in self._modules}
        self._set_training(False)
        with torch.no_grad(), self._autocast():
            for batch in self.get_iterator(dataset, training=False):
                X, y = batch
                rows.append(batch.index)
                codes.append(y)
                for name, parts in logits.items():
                    parts.append(getattr(self, name + "_")(X).float())
        logits = {name: torch.cat(parts) for name, parts in logits.items()}
        return torch.cat(rows), torch.cat(codes), logits

    def weighted_mean(self, loss, index):
        """Return Σ w l / Σ w over a batch; the mean without sample weights.

        Parameters
        ----------
        loss : Tensor of shape (batch,) or ()
            A loss that is already reduced passes through.
        index : Tensor of shape (batch,), dtype int64

        Raises
        ------
        ValueError
            If there are sample weights and the loss is already reduced.
        """
        if self.sample_weight_ is None:
            return loss.mean() if loss.ndim else loss
        if loss.ndim == 0:
            raise ValueError(
                "sample_weight needs a criterion that returns one loss per row; got "
                f"{type(self.criterion_).__name__}, which returns their mean. Give it "
                "reduction='none'."
            )
        weight = self.sample_weight_[index]
        # A batch may hold rows of weight zero only; it then teaches nothing.
        return (weight * loss).sum() / weight.sum().clamp_min(1e-12)

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Seed the epoch and set its learning rate."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        seed_torch(self.device_, self.seed_, len(self.history))
        if self.base_lrs_ is not None:
            done = len(self.history) - 1 - self.epochs_before_
            factor = _lr_factor(self.lr_schedule, done, self.max_epochs)
            for group, lr in zip(self._param_groups(), self.base_lrs_, strict=True):
                group["lr"] = lr * factor

    # -------------------------------------------------------- scikit-learn's boundary

    def fit(self, X, y=None, sample_weight=None):
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            Finite numbers, or uint8 images, which become [0, 1]. A torch Dataset that
            yields rows is taken with ``iterator_train=LoaderBatches``.
        y : array-like of shape (n_samples,)
            Labels of any kind: strings, integers, booleans.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the loss, at least 0.

        Returns
        -------
        self : NetClassifier

        Raises
        ------
        ValueError
            If a parameter, X, y or the weights are not as described.
        FloatingPointError
            If the training loss becomes infinite or NaN.
        """
        fresh = not (self.warm_start and self.initialized_)
        return self._fit(X, y, sample_weight, fresh, getattr(self, "classes", None))

    def partial_fit(self, X, y=None, classes=None, sample_weight=None):
        """Train for ``max_epochs`` more epochs.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`. The same rows in the same order as before if the criterion
            keeps a state for each row.
        classes : array-like of shape (n_classes,), default=None
            All labels there will be; read at the first call only.

        Returns
        -------
        self : NetClassifier
        """
        if classes is None:
            classes = getattr(self, "classes", None)
        return self._fit(X, y, sample_weight, not self.initialized_, classes)

    def predict(self, X):
        """Return the most probable label of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Label codes if X is a torch Dataset, and if a callback hands in the tensor
            of a batch: skorch's scoring callbacks compare them with codes.
        """
        codes = self.predict_proba(X).argmax(axis=1)
        is_training = self.autocast_ is not None
        if is_dataset(X) or (is_training and isinstance(X, torch.Tensor)):
            return codes
        return self.classes_[codes]

    def predict_proba(self, X):
        """Return the softmax of the logits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes), dtype float32
            Columns in the order of ``classes_``.
        """
        return super().predict_proba(X)

    def transform(self, X):
        """Return the penultimate features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)

        Returns
        -------
        features : ndarray of shape (n_samples, n_features_out), dtype float32
        """
        self.check_is_fitted()
        self._set_training(False)
        with torch.no_grad(), self._autocast():
            parts = [
                embed(self.module_, batch[0]).float().cpu()
                for batch in self.get_iterator(self.get_dataset(X), training=False)
            ]
        return torch.cat(parts).numpy()

    @property
    def classes_(self):
        """Labels, sorted; the columns of ``predict_proba``."""
        try:
            return self.classes_inferred_
        except AttributeError:
            raise AttributeError(
                f"{type(self).__name__} has no classes_ before fit."
            ) from None

    @property
    def _n_features_out(self):
        row = torch.zeros(1, *self.input_shape_, device=self.device_)
        self._set_training(False)
        with torch.no_grad():
            return embed(self.module_, row).shape[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def set_params(self, **params):
        """Set parameters, those of the parts included.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : NetClassifier
        """
        # Stored here, since skorch would build callbacks at once, and refuses the
        # iterators' parameters of a fitted net.
        slots = ("callbacks", "iterator_train__", "iterator_valid__", "optimizer__")
        stored = {k: v for k, v in params.items() if k.startswith(slots)}
        vars(self).update(stored)
        self._params_to_validate.update(stored)
        rest = {k: v for k, v in params.items() if k not in stored}
        if not self.initialized_:
            return super().set_params(**rest)
        live = {k: v for k, v in stored.items() if k.startswith("optimizer__")}
        if live:
            self.get_params_for_optimizer("optimizer", [])
        # As in skorch, a fitted net takes them at once: a new module__hidden starts it
        # anew, a new optimizer__momentum does not.
        with isolated_rng(self.device_):
            seed_torch(self.device_, self.seed_, 0)
            if any(name.startswith("callbacks") for name in stored):
                self._initialize_callbacks()
            return super().set_params(**rest, **live)

    def _fit(self, X, y, sample_weight, fresh, classes):
        check_parameters(self)
        dataset, classes = self._check_input(X, y, fresh, classes)
        weights = check_weights(sample_weight, dataset.codes)
        if fresh:
            self.classes_inferred_ = classes
            self.input_shape_ = tuple(dataset.fetch([0])[0].shape[1:])
            self.n_features_in_ = self.input_shape_[0]
            self.device_ = resolve_device(self.device)
            self.seed_ = int(random_generator(self.random_state).integers(2**63))
        fingerprint = len(dataset), zlib.crc32(dataset.codes.tobytes())
        if not fresh and fingerprint != self.rows_fitted_ and self._has_row_state():
            raise ValueError(
                f"{type(self.criterion_).__name__} keeps a state for each row: go on "
                "with the rows and labels of the first fit in the same order, or "
                "start anew with fit and warm_start=False."
            )
        self.rows_fitted_ = fingerprint
        if weights is not None:
            self.sample_weight_ = torch.from_numpy(weights).to(self.device_)
        try:
            with isolated_rng(self.device_):
                if fresh:
                    self.initialize()
                    row = dataset.fetch([0])[0].to(self.device_)
                    check_outputs(self.module_, row, len(classes))
                if weights is not None and self._may_set_reduction():
                    self.criterion_.reduction = "none"
                self._train(dataset)
        finally:
            self.sample_weight_ = None
        return self

    def _check_input(self, X, y, fresh, classes):
        """Return an ArrayDataset with codes, and the classes."""
        if is_dataset(X):
            return self._check_dataset(X, y, fresh, classes)
        if fresh:
            X, classes, codes = check_rows_and_labels(self, X, y, classes=classes)
        else:
            X = check_rows(self, X)
            classes, codes = encode_labels(y, self.classes_)
        return ArrayDataset(X, codes), classes

    def _check_dataset(self, X, y, fresh, classes):
        codes = getattr(X, "codes", None) if y is None else y
        if codes is None:
            raise ValueError("y is missing: give the labels of the Dataset as y.")
        if not fresh:
            classes = self.classes_
        elif y is None and classes is None:
            classes = np.arange(codes.max() + 1)
        classes, codes = encode_labels(
            codes, None if classes is None else np.unique(classes)
        )
        if len(classes) < 2:
            raise ValueError("y has one class only; at least two classes are needed.")
        rows = X.features if isinstance(X, ArrayDataset) else X
        return ArrayDataset(rows, codes), classes

    def _may_set_reduction(self):
        """Whether torch's way to ask for one loss a row is open to us."""
        by_user = isinstance(self.criterion, nn.Module)
        by_user = by_user or hasattr(self, "criterion__reduction")
        return not by_user and getattr(self.criterion_, "reduction", None) == "mean"

    def _has_row_state(self):
        criterion = self.criterion
        if isinstance(criterion, nn.Module):
            criterion = type(criterion)
        return "n_samples" in _signature(criterion)[0]

    # -------------------------------------------------------------- skorch's training

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

    def initialize_module(self):
        """Build the module."""
        self.module_ = self.build("module")
        return self

    def initialize_criterion(self):
        """Build the criterion."""
        self.criterion_ = self.build("criterion")
        return self

    def initialize_optimizer(self, triggered_directly=None):
        """Build the optimizer."""
        super().initialize_optimizer(triggered_directly)
        step = inspect.signature(self.optimizer_.step).parameters
        closure = step.get("closure")
        self.step_needs_closure_ = (
            closure is not None and closure.default is inspect.Parameter.empty
        )
        return self

    def initialize_callbacks(self):
        """Build the callbacks; refuse parameters of callbacks that do not exist."""
        known = {name for name, _ in self._uniquely_named_callbacks()}
        for key in self.get_params_for("callbacks"):
            if key.split("__")[0] not in known:
                raise ValueError(
                    f"callbacks__{key} names no callback; there are {sorted(known)}."
                )
        return super().initialize_callbacks()

    def get_params_for_optimizer(self, prefix, named_parameters):
        """Collect the optimizer's arguments, completed by our defaults."""
        args, params = super().get_params_for_optimizer(prefix, named_parameters)
        optimizer = getattr(self, prefix)
        known, takes_any = _signature(optimizer)
        if not takes_any:
            _refuse_unknown(prefix, optimizer, params, known, {"params": None})
        return args, default_optimizer_params(optimizer, params, self.device_)

    def get_dataset(self, X, y=None):
        """Wrap checked rows; a Dataset passes through."""
        base = X
        while isinstance(base, Subset):
            base = base.dataset
        if isinstance(base, ArrayDataset):
            return X
        return ArrayDataset(X if isinstance(X, Dataset) else check_rows(self, X))

    def get_split_datasets(self, X, y=None, **fit_params):
        """Split off a validation set if ``train_split`` says so."""
        if not self.train_split:
            return X, None
        return self.train_split(X, X.codes, **fit_params)

    def get_iterator(self, dataset, training=False):
        """Make the iterator over batches of a dataset."""
        slot = "iterator_train" if training else "iterator_valid"
        params = self._iterator_params(slot)
        if params["batch_size"] == -1:
            params["batch_size"] = len(dataset)
        return getattr(self, slot)(dataset, **params)

    def check_data(self, X, y):
        """Leave the checks to ``fit``, which has done them."""

    def train_step(self, batch, **fit_params):
        """Take one step of the optimizer."""
        if self.step_needs_closure_:
            return super().train_step(batch, **fit_params)
        # skorch hands every optimizer a closure; without one a step is shorter.
        self._zero_grad_optimizer()
        step = self.train_step_single(batch, **fit_params)
        if self._hooks("on_grad_computed"):
            self.notify(
                "on_grad_computed",
                named_parameters=TeeGenerator(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )
        self._step_optimizer(None)
        return step

    def train_step_single(self, batch, **fit_params):
        """Compute loss, logits and gradients of a batch."""
        if not isinstance(batch, Batch):
            raise TypeError(
                f"iterator_train yields {type(batch).__name__}, not Batch; take "
                "sknoisy.nets.TensorBatches or LoaderBatches."
            )
        if not self.module_.training:
            self._set_training(True)
        X, y = batch
        with self.autocast_:
            loss, logits = self.training_loss(X, y, batch.index)
        loss.backward()
        return {"loss": loss, "y_pred": logits.detach()}

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run an epoch as skorch does, without its look-ups at every batch."""
        if iterator is None:
            return
        batches = self.history[-1]["batches"]
        loss_key, size_key = prefix + "_loss", prefix + "_batch_size"
        before, after = self._hooks("on_batch_begin"), self._hooks("on_batch_end")
        for batch in iterator:
            row = {}
            batches.append(row)
            for hook in before:
                hook(self, batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            row[loss_key] = step["loss"].item()
            row[size_key] = len(batch[0])
            for hook in after:
                hook(self, batch=batch, training=training, **step)
            # Two live batches would take turns in the cache.
            del batch
        losses = [row[loss_key] for row in batches if loss_key in row]
        self.history.record(prefix + "_batch_count", len(losses))
        if training and not np.isfinite(losses).all():
            raise FloatingPointError(
                f"training diverged in epoch {len(self.history)}: the loss is "
                f"{losses[-1]}. Lower lr (now {self.lr}), standardise X, or clip "
                "gradients with skorch.callbacks.GradientNormClipping."
            )

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Leave the history's row to `run_single_epoch`, which has made it."""

    def notify(self, method_name, **cb_kwargs):
        """Call a hook of the net, then of the callbacks that have it."""
        for hook in self._hooks(method_name):
            hook(self, **cb_kwargs)

    def _hooks(self, method_name):
        """Return the bound hooks that do something, so that idle ones cost nothing."""
        if self.hooks_ is None:
            self.hooks_ = {}
        if method_name not in self.hooks_:
            idle = {
                getattr(Callback, method_name),
                NeuralNet.on_batch_end,
                NeuralNet.on_grad_computed,
                NetClassifier.on_batch_begin,
            }
            owners = [self, *(callback for _, callback in self.callbacks_)]
            self.hooks_[method_name] = [
                getattr(owner, method_name)
                for owner in owners
                if getattr(type(owner), method_name) not in idle
            ]
        return self.hooks_[method_name]

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Score a validation batch by plain cross-entropy."""
        return F.cross_entropy(y_pred, y_true)

    def evaluation_step(self, batch, training=False):
        """Return the logits of a batch."""
        X, _ = batch
        self._set_training(training)
        with torch.set_grad_enabled(training), self._autocast():
            return self.infer(X).float()

    def forward_iter(self, X, training=False, device="cpu"):
        """Yield the logits of each batch, in the order of the rows."""
        self.check_is_fitted()
        # The training iterator would shuffle the rows.
        for batch in self.get_iterator(self.get_dataset(X), training=False):
            yield to_device(self.evaluation_step(batch, training), device=device)

    def _train(self, dataset):
        has_scheduler = any(isinstance(cb, LRScheduler) for _, cb in self.callbacks_)
        scheduled = self.lr_schedule is not None and not has_scheduler
        groups = self._param_groups()
        self.base_lrs_ = [group["lr"] for group in groups] if scheduled else None
        self.epochs_before_ = len(self.history)
        # The callbacks may have changed since the last call.
        self.hooks_ = None
        self.autocast_ = self._autocast()
        try:
            super().partial_fit(dataset, None)
        finally:
            self.hooks_ = self.autocast_ = None
            if scheduled:
                for group, lr in zip(groups, self.base_lrs_, strict=True):
                    group["lr"] = lr

    def _iterator_params(self, slot):
        iterator = getattr(self, slot)
        size = self.batch_size
        if slot == "iterator_valid" and size != -1:
            size = max(size, EVAL_BATCH_SIZE)
        params = {"batch_size": size, **self.get_params_for(slot)}
        if iterator in (TensorBatches, LoaderBatches):
            shuffle = slot == "iterator_train"
            params = {"device": self.device_, "shuffle": shuffle, **params}
        known, takes_any = _signature(iterator)
        if not takes_any:
            _refuse_unknown(slot, iterator, params, known, {"dataset": None})
        return params

    def _validate_params(self):
        """Refuse names that skorch would leave unread."""
        super()._validate_params()
        for slot in ("iterator_train", "iterator_valid"):
            self._iterator_params(slot)
        unread = [f"dataset__{name}" for name in self.get_params_for("dataset")]
        if self.callbacks == "disable":
            unread += [f"callbacks__{key}" for key in self.get_params_for("callbacks")]
        if unread:
            raise ValueError(
                f"{', '.join(unread)} would have no effect: the net makes its own "
                "datasets, and disabled callbacks take no parameters."
            )

    def _param_groups(self):
        return [
            group
            for name in self._optimizers
            for group in getattr(self, name + "_").param_groups
        ]

    def _facts(self):
        if not hasattr(self, "input_shape_"):
            raise ValueError(
                f"{type(self).__name__} builds its network from the data: call fit or "
                "partial_fit instead of initialize."
            )
        return {
            "input_shape": self.input_shape_,
            "n_classes": len(self.classes_),
            "n_samples": self.rows_fitted_[0],
        }

    def _default_module(self, input_shape):
        return default_module(input_shape)

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
            return partial(torch.softmax, dim=-1)
        return super()._get_predict_nonlinearity()

    def _get_param_names(self):
        return [name for name in super()._get_param_names() if name[0] != "_"]

    # ------------------------------------------------------------------------ pickling

    def _check_device(self, requested_device, map_device):
        if requested_device is None:
            # skorch would warn, and write what it finds into the parameter.
            return None
        return super()._check_device(requested_device, map_device)

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


def resolve_device(device):
    """Return the torch device; None stands for CUDA if there is one."""
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


@contextmanager
def isolated_rng(device):
    """Let torch be seeded and drawn from without a trace outside the block."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def seed_torch(device, *entropy):
    """Seed torch's generators from a tuple of ints; only inside `isolated_rng`."""
    seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
    # torch's global seeding call would also touch devices that are not ours.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


@torch.no_grad()
def check_outputs(module, row, n_classes):
    """Refuse a network that has not one logit for each class.

    Parameters
    ----------
    module : torch module
    row : Tensor of shape (1, ...)
    n_classes : int

    Raises
    ------
    ValueError
        If the shape of the output is not (1, n_classes).
    """
    was_training = module.training
    logits = module.eval()(row / 255 if row.dtype == torch.uint8 else row)
    module.train(was_training)
    logits = logits[0] if isinstance(logits, tuple) else logits
    if logits.shape != (1, n_classes):
        raise ValueError(
            f"{type(module).__name__} must return logits of shape (batch, n_classes): "
            f"it has {logits[0].numel()} outputs for a row, but {n_classes} are "
            "needed."
        )


def _lr_factor(schedule, done, max_epochs):
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done / max_epochs))
    return schedule(done, max_epochs) if callable(schedule) else schedule**done


def _signature(component):
    """Return the parameter names of a callable, and whether it takes any."""
    parameters = inspect.signature(component).parameters.values()
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return [p.name for p in parameters], takes_any


def _refuse_unknown(slot, component, params, known, facts):
    unknown = [f"{slot}__{name}" for name in params if name not in known]
    if unknown:
        name = getattr(component, "__name__", component)
        takes = ", ".join(key for key in known if key not in facts)
        raise ValueError(f"{name} takes no {', '.join(unknown)}; it takes {takes}.")
