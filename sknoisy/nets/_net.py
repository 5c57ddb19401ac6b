"""The one net class: scikit-learn's contract around skorch's training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from skorch import NeuralNetClassifier
from skorch.utils import TeeGenerator
from torch import nn

from sknoisy._documentation import DOC_LINK_MODULE, DOC_LINK_TEMPLATE
from sknoisy.nets._auxiliary import auxiliary_loss
from sknoisy.nets._batches import Batch, TensorBatches
from sknoisy.nets._constraints import NET_CONSTRAINTS
from sknoisy.nets._defaults import begin_momentum
from sknoisy.nets._divergence import try_on_rows
from sknoisy.nets._fitting import epochs_of_call, fit_net
from sknoisy.nets._loop import TrainingLoopMixin
from sknoisy.nets._masked_training import masked_step
from sknoisy.nets._outputs import check_batch_outputs, scored
from sknoisy.nets._predicting import features_of
from sknoisy.nets._refusals import refuse_without_rows
from sknoisy.nets._running import hooks_of
from sknoisy.nets._settings import OF_CROSS_ENTROPY
from sknoisy.nets._signature import name_what_is_handed_on
from sknoisy.nets._step import Learnt, Step, as_step, refuse_loss_without_gradient
from sknoisy.nets._torch_modes import in_usual_modes

if TYPE_CHECKING:
    from sknoisy._types import (
        Array,
        ArrayLike,
        Augment,
        Callbacks,
        ClassOf,
        Device,
        Fitted,
        Labels,
        LrSchedule,
        MakerOfModules,
        Path,
        RandomState,
        Rows,
    )

__all__ = ["NetClassifier"]


class NetClassifier(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    TrainingLoopMixin,
    NeuralNetClassifier,
):
    """Cross-entropy network classifier, and transformer to its last features.

    A skorch net that follows scikit-learn's contract. Tables should be standardised by
    a step before it. The robust classifiers derive from it; this class itself trains
    on the given labels.

    Parameters
    ----------
    module : torch module class or instance, default=None
        Maps a batch of X to logits of shape (batch, n_classes). A class is given
        ``input_shape`` and ``n_classes`` if its signature has them; an instance
        is copied at each fit and starts from its weights. None uses `nets.MLP` for
        2-D input, `nets.PreActResNet18` for images.
    criterion : torch criterion class or instance, default=torch.nn.CrossEntropyLoss
        Or another class whose instances can be called. Called with logits and label
        codes; and with the row numbers if it takes an ``index``, as do criteria with a
        state for each row. Under ``torch.nn.NLLLoss`` the module returns probabilities,
        as in skorch, and the criterion is given their log. With a ``train_split``,
        ``valid_loss`` is its value on the held-out rows, or plain cross-entropy if it
        keeps a state for each row or needs more than outputs and codes.
    optimizer : torch optimizer class, default=torch.optim.SGD
        SGD runs with momentum 0.9 and weight decay 2e-3 unless
        ``optimizer__momentum`` and ``optimizer__weight_decay`` are set.
    lr : float >= 0, default=0.05
        Learning rate at the first epoch.
    max_epochs : int >= 0, default=20
        Epochs that one call of ``fit`` or ``partial_fit`` runs. 0 builds the network
        and trains nothing; methods that score labels need 1 or more.
    batch_size : int >= 1 or -1, default=128
        -1 uses all rows at once.
    lr_schedule : "cosine", float in (0, 1], callable or None, default="cosine"
        Factor on the learning rate, set before each epoch: "cosine" falls from 1
        towards 0 over the epochs of the call, a float is applied once more at each
        epoch, a callable is given (epochs done, max_epochs), None keeps it constant.
        A skorch LRScheduler among the callbacks takes its place.
    augment : "auto", callable or None, default="auto"
        Changes the rows of each training batch: a callable maps a batch to a tensor of
        the same shape, but for height and width of images. "auto" moves and mirrors
        images at random, unless a `datasets.RowSource` changes them, and does not
        change tables.
    amp : "auto" or bool, default="auto"
        Mixed precision in bfloat16. "auto" uses it on CUDA devices that support it.
    masking : class or None, default=None
        `nets.AdversarialMasking` adds two copies of each image, without the patches
        that activate the network most and least; its parameters are ``masking__…``.
    random_state : int, RandomState instance or None, default=None
        Initial weights, order of rows, dropout. The same int gives the same bits on
        the CPU, and 2 + 2 epochs at a constant learning rate equal 4.
    iterator_train, iterator_valid : class, default=TensorBatches
        Rows that are not in memory are read by `nets.LoaderBatches` instead, whose
        parameters can then be set, such as ``iterator_train__num_workers``. An iterator
        of plain pairs (X, y), such as torch's DataLoader, can be used if no row numbers
        are needed.
    train_split : callable or None, default=None
        As in skorch; None trains on every row.
    callbacks : list of skorch callbacks, "disable" or None, default=None
        Callbacks of the training; "disable" leaves out skorch's own too.
    warm_start : bool, default=False
        Whether ``fit`` continues from the weights of the last fit.
    verbose : int, default=0
        1 shows a bar with epoch, loss and time left, on stderr; 2 prints a row for each
        epoch.
    device : str, torch.device or None, default=None
        None uses CUDA if available.
    compile : bool, default=False
        Whether to compile the networks with ``torch.compile``, each of several
        separately; criteria are not compiled. ``compile__backend`` and other options
        are passed to the compiler.
    memory_format : {"auto", "contiguous", "channels_last"}, default="auto"
        Memory format of images. "auto" is "channels_last", with which convolutions are
        fastest, except on processors without AVX-512, where a fault of torch may then
        end the process.
    settings : "auto", list of dict or None, default=None
        Parameters to choose among before the training, the default first, such as
        ``[{}, {"lr": 0.02, "max_epochs": 10}]``: clones learn from a part of the rows,
        and the first is used unless another tells the given labels of other rows from
        all other labels better, by two standard errors. "auto" tries stronger and
        weaker regularisation beside the defaults. What you set yourself is not varied.
        It costs about as much as another training. In a ``joblib.parallel_config`` the
        clones learn at once, with the same result.
    distributed : bool, default=False
        Whether the processes that ``torchrun`` or ``accelerate launch`` has started
        train this net together: each takes its share of the rows of every batch, and
        all have the same weights. Without a launcher it has no effect.
    checkpoint : str, path-like or None, default=None
        File that holds the state of the training after each epoch. If it exists,
        ``fit`` on the same data with the same parameters resumes where it stopped, with
        the same weights on the CPU. Callbacks may differ; their attributes with a
        trailing underscore are restored. Each training needs a separate file; a second
        call of ``partial_fit`` and a warm start are not stored. It is a pickle: load
        only files that you trust.
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
    settings_ : dict
        The chosen one of ``settings``, empty without. It is used in ``fit`` and
        ``partial_fit``; the parameters are not changed.
    candidates_ : list of dict
        With ``settings``, a row for each: "setting"; "accuracy" and "auroc" on held-out
        given labels, NaN if there is nothing to choose; "error", why it failed, or "".
    device_ : torch.device
    interrupted_ : bool
        Whether Ctrl-C ended the last call of ``fit`` or ``partial_fit``; stops by
        callbacks do not count.
    seed_ : int
        Seed from which all of torch's random numbers are derived.

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

    # skorch sets these on the instance in __init__, where scikit-learn allows only
    # parameters; __init__ removes them, and these are used until fit.
    history_ = None
    initialized_ = False
    virtual_params_: dict[str, Any] = {}
    prefixes_ = [
        *NeuralNetClassifier.prefixes_,
        *("module", "criterion", "masking", "optimizer"),
    ]
    cuda_dependent_attributes_ = [*("module_", "criterion_", "masking_", "optimizer_")]
    _modules = ["module"]
    _criteria = ["criterion"]
    _optimizers = ["optimizer"]
    # A subclass may give its criterion another name, and override get_loss.
    criterion_: Any = None
    masking_ = None
    # Whether Ctrl-C interrupted the last call of fit or partial_fit.
    interrupted_ = False
    # Attributes that exist only during a fit: dropped when it ends or fails, and left
    # out of pickles, files and checkpoints. A method adds its own.
    fit_only_attributes_ = [
        *("augmentation_", "autocast_", "epochs_given_", "fit_params_", "goes_on_"),
        *("hooks_", "label_quality_", "on_disk_", "open_step_", "sample_weight_"),
        *("processes_", "soft_targets_", "some_may_be_late_", "training_key_"),
        "turn_",
    ]
    augmentation_ = hooks_ = open_step_ = training_key_ = None
    autocast_: Any = None
    # The processes that train together; None in a single one.
    processes_: Any = None
    # Arguments of `fit` that are passed to the module in each step.
    fit_params_: dict[str, Any] = {}
    # Whether the rows given to fit are read one batch at a time.
    on_disk_ = False
    # The weight of each row, by row number.
    sample_weight_ = None
    # The distribution over the classes that each row is trained on, by row number.
    soft_targets_ = None
    # Probability that each label is clean at the start of an epoch, for each network of
    # a method: a Tensor of shape (n_networks, n_samples).
    label_quality_: torch.Tensor | None = None
    # The current pass of the epoch, as named by `passes`.
    turn_: Any = None
    # Whether a weight may get its first gradient later than others: checked in each
    # batch of a pass until none can.
    some_may_be_late_ = True
    # Whether partial_fit trains, after which more epochs may follow.
    goes_on_ = False
    # Whether ``epochs`` of partial_fit stands in for max_epochs.
    epochs_given_ = False
    # The setting that the last race chose; without one, none.
    settings_: dict[str, Any] = {}
    # What settings="auto" tries beside the defaults.
    _race_settings: tuple[dict[str, Any], ...] = OF_CROSS_ENTROPY
    # Whether the step treats each row alone, so that StackedSearchCV can train several
    # networks as one. Not inherited: each method says so itself.
    _stackable = True
    # Slots of a method whose parameters take effect at the next fit only.
    _stored_slots: tuple[str, ...] = ()

    _parameter_constraints = NET_CONSTRAINTS

    # skorch's repr shows only the module. The printer recognises estimators by this.
    __repr__ = BaseEstimator.__repr__
    _doc_link_module = DOC_LINK_MODULE
    _doc_link_template = DOC_LINK_TEMPLATE

    def _get_params_html(self, deep=True, *args, **kwargs):
        # Deep, skorch adds every parameter of its own callbacks to the diagram.
        return super()._get_params_html(False, *args, **kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name_what_is_handed_on(cls)

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        criterion: ClassOf = nn.CrossEntropyLoss,
        optimizer: ClassOf = torch.optim.SGD,
        lr: float = 0.05,
        max_epochs: int = 20,
        batch_size: int = 128,
        lr_schedule: LrSchedule = "cosine",
        augment: Augment = "auto",
        amp: Literal["auto"] | bool = "auto",
        masking: type[nn.Module] | None = None,
        random_state: RandomState = None,
        iterator_train: ClassOf = TensorBatches,
        iterator_valid: ClassOf = TensorBatches,
        train_split: Callable[..., Any] | None = None,
        callbacks: Callbacks = None,
        warm_start: bool = False,
        verbose: int = 0,
        device: Device = None,
        compile: bool = False,
        memory_format: Literal["auto", "contiguous", "channels_last"] = "auto",
        checkpoint: Path | None = None,
        settings: Literal["auto"] | list[dict[str, Any]] | None = None,
        distributed: bool = False,
        **kwargs: Any,
    ) -> None:
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
        self.augment = augment
        self.amp = amp
        self.masking = masking
        self.random_state = random_state
        self.memory_format = memory_format
        self.checkpoint = checkpoint
        self.settings = settings
        self.distributed = distributed
        for name in ("history_", "initialized_", "virtual_params_"):
            # As in skorch, a ``history=`` of the user is kept.
            if kwargs.get(name.removesuffix("_"), kwargs.get(name)) is None:
                self.__dict__.pop(name)

    def __setattr__(self, name, attr):
        if "module" not in vars(self):
            # As in skorch, a subclass may store attributes before it calls __init__.
            object.__setattr__(self, name, attr)
        else:
            super().__setattr__(name, attr)

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the loss of a batch, its logits, and what was learnt.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of the batch.
        y : Tensor of shape (batch,), dtype int64
            Label codes.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        step : Step
            ``loss``, a Tensor of shape (); ``logits`` of shape (batch, n_classes),
            which recorders read, probabilities under NLLLoss; and ``learnt``.
        """
        outputs = self.infer(X, **self.fit_params_)
        if self.fit_params_:
            check_batch_outputs(self, outputs, len(y))
        targets = y if self.soft_targets_ is None else self.soft_targets_[index]

        def loss_of(logits):
            if self.criterion_takes_index_:
                return self.criterion_(scored(self.criterion_, logits), targets, index)
            return self.get_loss(logits, targets, X=X, training=True)

        loss = loss_of(outputs) + auxiliary_loss(self.module_, loss_of)
        loss = self.weighted_mean(loss, index)
        return Step(loss, outputs, [Learnt(self.module_, X, targets)])

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Return the module's outputs for a batch.

        Parameters
        ----------
        x : Tensor of shape (batch, ...)
            Rows of the batch; anything else is converted as by skorch.
        **fit_params : dict
            Passed to the module.

        Returns
        -------
        outputs : Tensor of shape (batch, n_classes)
            Logits, or probabilities under NLLLoss.
        """
        if isinstance(x, torch.Tensor) and x.device == self.device_:
            # As skorch's, without its checks of what kind of data a batch is.
            return self.module_(x, **fit_params)
        return super().infer(x, **fit_params)

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Compute loss, logits and gradients of a batch.

        Parameters
        ----------
        batch : Batch
        **fit_params : dict
            Not used: `training_loss` reads ``fit_params_``.

        Returns
        -------
        step : dict
            ``loss``, ``y_pred``, the logits, and ``learnt``, as in `Step`.

        Raises
        ------
        TypeError
            If ``iterator_train`` does not yield a Batch, or ``training_loss`` does not
            return a Step.
        ValueError
            If the loss of the step is not one number with a gradient.
        """
        if not isinstance(batch, Batch):
            raise TypeError(
                f"iterator_train yields {type(batch).__name__}, not Batch; use "
                "sknoisy.nets.TensorBatches or LoaderBatches."
            )
        if batch.index is None:
            refuse_without_rows(self)
        if not self.module_.training:
            self._set_training(True)
        X, y = batch
        index: Any = batch.index
        X = self.augmented(X)
        with self.autocast_:
            if self.masking_ is not None:
                step = masked_step(self, X, y, index)
            else:
                step = as_step(self, self.training_loss(X, y, index))
        try:
            step.loss.backward()
        except (AttributeError, RuntimeError):
            refuse_loss_without_gradient(self, step.loss)
            raise
        if self.some_may_be_late_:
            names = [name + "_" for name in self._optimizers]
            late = [begin_momentum(getattr(self, name)) for name in names]
            self.some_may_be_late_ = any(late)
        loss, y_pred = step.loss, step.logits.detach()
        if self.processes_ is not None:
            loss = self.processes_.average_gradients(self, step, index)
        return {"loss": loss, "y_pred": y_pred, "learnt": step.learnt}

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        """Take one step of the optimizer."""
        if self.step_needs_closure_:
            return super().train_step(batch, **fit_params)
        # skorch passes a closure to every optimizer; without one a step is faster.
        self._zero_grad_optimizer()
        step = self.train_step_single(batch, **fit_params)
        if hooks_of(self, "on_grad_computed"):
            self.notify(
                "on_grad_computed",
                named_parameters=TeeGenerator(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )
        self._step_optimizer(None)
        return step

    def augmented(self, X: torch.Tensor) -> torch.Tensor:
        """Return the rows of a training batch, changed by ``augment``.

        Methods with their own views return the rows unchanged.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of the batch.

        Returns
        -------
        X : Tensor of shape (batch, ...)
            The changed rows.
        """
        return X if self.augmentation_ is None else self.augmentation_(X)

    def passes(self, batches: Iterable[Any]) -> Iterable[tuple[Any, Iterable[Any]]]:
        """Yield the passes of a training epoch, one after another.

        Code between two passes belongs between their ``yield`` statements.

        Parameters
        ----------
        batches : iterable of Batch
            All rows in batches, in a new order at each iteration.

        Yields
        ------
        turn : object
            Name or number of the pass, which is ``turn_`` during the pass.
        batches : iterable of Batch
            Batches of the pass.
        """
        yield 0, batches

    def start_fit(self, dataset: Any) -> None:
        """Compute from the rows what a method needs to build its parts.

        Called before they are built, when a new training starts. Does nothing here.

        Parameters
        ----------
        dataset : ArrayDataset
            All rows given to ``fit``.
        """

    def finish_fit(self, dataset: Any) -> None:
        """Compute the results for the rows from the trained network.

        Called once after training, also after an interrupted one. Here the network is
        only tested on a few rows, unless ``fit`` passes it further arguments.

        Parameters
        ----------
        dataset : ArrayDataset
            All rows given to ``fit``, including those of a validation split.

        Raises
        ------
        FloatingPointError
            If the outputs are infinite or NaN.
        """
        if not self.fit_params_:
            try_on_rows(self, dataset)

    def weighted_mean(self, loss: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Return Σ w l / Σ w over rows of a batch; the mean without sample weights.

        Parameters
        ----------
        loss : Tensor of shape (n_rows,) or ()
            Loss of each row. A loss that is already reduced is returned unchanged.
        index : Tensor of shape (n_rows,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        loss : Tensor of shape ()
            The weighted mean; without any row 0, with a gradient of 0.

        Raises
        ------
        ValueError
            If there are sample weights and the loss is already reduced.
        """
        if self.sample_weight_ is None:
            if loss.ndim == 0:
                return loss
            # The sum over no rows is 0; their mean would be NaN.
            return loss.mean() if loss.numel() else loss.sum()
        if loss.ndim == 0:
            raise ValueError(
                "sample_weight needs a criterion that returns one loss per row; got "
                f"{type(self.criterion_).__name__}, which returns their mean. Give it "
                "reduction='none'."
            )
        weight = self.sample_weight_[index]
        # All rows of a batch may have weight zero; its loss is then 0.
        return (weight * loss).sum() / weight.sum().clamp_min(1e-12)

    def fit(
        self: Fitted,
        X: Rows,
        y: Labels | None = None,
        sample_weight: ArrayLike | None = None,
        soft_targets: ArrayLike | None = None,
        **fit_params: Any,
    ) -> Fitted:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            Finite numbers, or uint8 images, which become [0, 1]. A large memmap, zarr
            or dask array, a Dataset of torch or Hugging Face, or a
            `datasets.RowSource`, such as a folder of images, is read batch by batch.
        y : array-like of shape (n_samples,)
            Labels of any kind: strings, integers, booleans.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the loss, at least 0.
        soft_targets : array-like of shape (n_samples, n_classes), default=None
            Trains on these probabilities of the labels, with the sum 1 for each row, by
            the cross-entropy −Σ_k t_k log p_k; y then only says which classes there
            are. Columns are in the order of ``classes_``; those of a frame may be named
            by the classes instead. It needs CrossEntropyLoss or NLLLoss as criterion,
            and is refused with ``masking`` and by methods that override
            ``training_loss``. ``valid_loss`` and scores compare with y.
        **fit_params : dict
            Passed unchanged, as in skorch, to ``train_split`` and to the module's
            ``forward`` in each step, if these have a parameter of that name. With
            metadata routing, request those of the module with `set_fit_request`,
            which scikit-learn before 1.9 refuses. Methods that override
            ``training_loss`` pass only rows to the module.

        Returns
        -------
        self : NetClassifier

        Raises
        ------
        ValueError
            If a parameter, X, y, the weights or the soft targets are not as described.
        TypeError
            If neither module nor ``train_split`` takes one of ``fit_params``, or soft
            targets are not numbers.
        FloatingPointError
            If the training loss, a weight or a prediction becomes infinite or NaN.

        Warns
        -----
        TrainingInterruptedWarning
            If Ctrl-C interrupts an epoch: the net keeps its current weights. Stops by
            callbacks do not warn.
        """
        # Values that are not bools are refused below.
        fresh = not (self.initialized_ and np.all(self.warm_start))
        classes = getattr(self, "classes", None)
        rest = fresh, classes, "fit", fit_params
        return fit_net(self, X, y, sample_weight, soft_targets, *rest)

    def partial_fit(
        self: Fitted,
        X: Rows,
        y: Labels | None = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        epochs: int | None = None,
        soft_targets: ArrayLike | None = None,
        **fit_params: Any,
    ) -> Fitted:
        """Train for more epochs, by default ``max_epochs``.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`. The same rows in the same order as before if the criterion
            keeps a state for each row.
        classes : array-like of shape (n_classes,), default=None
            All labels of all calls; read only at the first call.
        epochs : int >= 0, default=None
            Used instead of ``max_epochs`` in this call, also in schedules.
        soft_targets : array-like of shape (n_samples, n_classes), default=None
            As in `fit`; other rows and targets may follow.
        **fit_params : dict
            As in `fit`; with metadata routing, requested by `set_partial_fit_request`.

        Returns
        -------
        self : NetClassifier
        """
        if classes is None:
            classes = getattr(self, "classes", None)
        self.goes_on_ = True
        try:
            with epochs_of_call(self, epochs):
                rest = not self.initialized_, classes, "partial_fit", fit_params
                return fit_net(self, X, y, sample_weight, soft_targets, *rest)
        finally:
            # A fit that raises an error early does not drop it.
            vars(self).pop("goes_on_", None)

    @in_usual_modes
    def transform(self, X: Rows) -> Array:
        """Return the penultimate features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            Rows of a table, or images.

        Returns
        -------
        features : ndarray of shape (n_samples, n_features_out), dtype float32
            Penultimate features of each row.
        """
        return features_of(self, X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


name_what_is_handed_on(NetClassifier)
