"""The one net class: scikit-learn's contract around skorch's training loop."""

import zlib
from numbers import Integral, Real
from os import PathLike

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from skorch import NeuralNetClassifier
from skorch.utils import TeeGenerator, is_dataset
from torch import nn

from sknoisy._interruption import needs_whole, tell
from sknoisy._parameters import MakerOf, check_parameters
from sknoisy._random_states import random_generator
from sknoisy._validation import Interval, Options, StrOptions
from sknoisy._weights import check_weights
from sknoisy.base import VERDICT
from sknoisy.nets._batches import Batch, TensorBatches
from sknoisy.nets._checkpoint import load_training, training_key
from sknoisy.nets._defaults import begin_momentum
from sknoisy.nets._device import isolated_rng, resolve_device, seed_torch
from sknoisy.nets._divergence import refuse_divergence, try_on_rows, undefined_states
from sknoisy.nets._input import InputMixin
from sknoisy.nets._loop import TrainingLoopMixin
from sknoisy.nets._masked_training import (
    check_masking,
    check_started,
    masked_step,
    start_masking,
)
from sknoisy.nets._modules import embed
from sknoisy.nets._outputs import check_outputs, keeps_rows, takes_proba
from sknoisy.nets._progress import ProgressLog, close_bars
from sknoisy.nets._slots import SlotsMixin
from sknoisy.nets._step import Learnt, Step, as_step
from sknoisy.nets._torch_modes import in_usual_modes

__all__ = ["NetClassifier"]


class NetClassifier(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    SlotsMixin,
    InputMixin,
    TrainingLoopMixin,
    NeuralNetClassifier,
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
        2-D input, `nets.PreActResNet18` for images.
    criterion : torch criterion class or instance, default=torch.nn.CrossEntropyLoss
        Called with logits and label codes; and with the row numbers if it takes an
        ``index``, as criteria do that keep a state for each row. Under
        ``torch.nn.NLLLoss`` the module returns probabilities, as in skorch, and the
        criterion is given their log. With a ``train_split``, ``valid_loss`` is its
        value on the rows held out; plain cross-entropy if it keeps a state for each
        row, or takes more than outputs and codes.
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
    augment : "auto", callable or None, default="auto"
        Changes the rows of each training batch: a callable maps a batch to a tensor of
        the same shape. "auto" moves and mirrors images at random and leaves tables
        alone.
    amp : "auto" or bool, default="auto"
        Mixed precision in bfloat16. "auto" uses it on CUDA devices that have it.
    masking : class or None, default=None
        `nets.AdversarialMasking` shows each image twice more, without the patches that
        activate the network most and least; its parameters are ``masking__…``.
    random_state : int, RandomState instance or None, default=None
        Initial weights, order of rows, dropout. The same int gives the same bits on
        the CPU, and 2 + 2 epochs at a constant learning rate equal 4.
    iterator_train, iterator_valid : class, default=TensorBatches
        `nets.LoaderBatches` is for data that do not fit in memory.
    train_split : callable or None, default=None
        As in skorch; None trains on every row.
    callbacks : list of skorch callbacks, "disable" or None, default=None
        Callbacks of the training; "disable" leaves out skorch's own too.
    warm_start : bool, default=False
        Let ``fit`` go on from the weights of the last fit.
    verbose : int, default=0
        1 shows a bar with epoch, loss and time left, on stderr; 2 prints a row for each
        epoch.
    device : str, torch.device or None, default=None
        None takes CUDA if there is one.
    compile : bool, default=False
        Compile the module with ``torch.compile``, each of several networks by itself,
        and the criterion unless it keeps a state for each row. ``compile__backend``
        and the like reach the compiler.
    memory_format : {"auto", "contiguous", "channels_last"}, default="auto"
        How images lie in memory. "auto" is "channels_last", which convolutions are
        fastest with.
    checkpoint : str, path-like or None, default=None
        File that holds the state of the training after each epoch. If it exists,
        ``fit`` on the same data with the same parameters goes on where it stopped, to
        the same weights on the CPU. Callbacks may differ, and go on from their
        attributes with a trailing underscore. Each training needs a file of its own;
        a second call of ``partial_fit`` and a warm start are not stored. It is a
        pickle: open files that you trust only.
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
    interrupted_ : bool
        Whether Ctrl-C ended the last call of ``fit`` or ``partial_fit``; stops by
        callbacks are none.
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
    prefixes_ = [
        *NeuralNetClassifier.prefixes_,
        *("module", "criterion", "masking", "optimizer"),
    ]
    cuda_dependent_attributes_ = [*("module_", "criterion_", "masking_", "optimizer_")]
    _modules = ["module"]
    _criteria = ["criterion"]
    _optimizers = ["optimizer"]
    sample_weight_ = None
    masking_ = None
    open_step_ = None

    _parameter_constraints = {
        "module": [MakerOf(nn.Module, "torch.nn.Module"), None],
        "criterion": [MakerOf(nn.Module, "torch.nn.Module")],
        "optimizer": [
            MakerOf(torch.optim.Optimizer, "torch.optim.Optimizer", instances=False)
        ],
        "masking": [MakerOf(nn.Module, "torch.nn.Module"), None],
        "iterator_train": [callable],
        "iterator_valid": [callable],
        "dataset": [callable],
        "train_split": [callable, None],
        "predict_nonlinearity": [StrOptions({"auto"}), callable, None],
        "use_caching": [StrOptions({"auto"}), "boolean"],
        "torch_load_kwargs": [dict, None],
        "classes": ["array-like", None],
        "device": [str, torch.device, None],
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
        "augment": [StrOptions({"auto"}), callable, None],
        "amp": [StrOptions({"auto"}), "boolean"],
        "memory_format": [StrOptions({"auto", "contiguous", "channels_last"})],
        "checkpoint": [str, PathLike, None],
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
        augment="auto",
        amp="auto",
        masking=None,
        random_state=None,
        iterator_train=TensorBatches,
        iterator_valid=TensorBatches,
        train_split=None,
        callbacks=None,
        warm_start=False,
        verbose=0,
        device=None,
        compile=False,
        memory_format="auto",
        checkpoint=None,
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
        self.augment = augment
        self.amp = amp
        self.masking = masking
        self.random_state = random_state
        self.memory_format = memory_format
        self.checkpoint = checkpoint
        for name in ("history_", "initialized_", "virtual_params_"):
            # What the user gave, as ``history=``, stays, as in skorch.
            if kwargs.get(name.removesuffix("_"), kwargs.get(name)) is None:
                vars(self).pop(name)

    def __setattr__(self, name, attr):
        if "module" not in vars(self):
            # skorch lets a subclass store anything before it calls __init__.
            object.__setattr__(self, name, attr)
        else:
            super().__setattr__(name, attr)

    def training_loss(self, X, y, index):
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
            which recorders see, probabilities under NLLLoss; and ``learnt``.
        """
        outputs = self.infer(X)
        if self.criterion_takes_index_:
            loss = self.criterion_(self.scored(outputs), y, index)
        else:
            loss = self.get_loss(outputs, y, X=X, training=True)
        loss = self.weighted_mean(loss, index)
        return Step(loss, outputs, [Learnt(self.module_, X, y)])

    def train_step_single(self, batch, **fit_params):
        """Compute loss, logits and gradients of a batch.

        Parameters
        ----------
        batch : Batch
        **fit_params : dict
            Not used.

        Returns
        -------
        step : dict
            ``loss``, ``y_pred``, the logits, and ``learnt``, as in `Step`.

        Raises
        ------
        TypeError
            If ``iterator_train`` yields anything but a Batch, or ``training_loss``
            returns anything but a Step.
        """
        if not isinstance(batch, Batch):
            raise TypeError(
                f"iterator_train yields {type(batch).__name__}, not Batch; take "
                "sknoisy.nets.TensorBatches or LoaderBatches."
            )
        if not self.module_.training:
            self._set_training(True)
        X, y = batch
        X = self.augmented(X)
        with self.autocast_:
            if self.masking_ is not None:
                step = masked_step(self, X, y, batch.index)
            else:
                step = as_step(self, self.training_loss(X, y, batch.index))
        step.loss.backward()
        for name in self._optimizers:
            begin_momentum(getattr(self, name + "_"))
        y_pred = step.logits.detach()
        return {"loss": step.loss, "y_pred": y_pred, "learnt": step.learnt}

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

    def initialize_optimizer(self):
        """Build the decoders of masked images, if any, and the optimizer."""
        start_masking(self)
        return super().initialize_optimizer()

    def augmented(self, X):
        """Return the rows of a training batch as ``augment`` changes them.

        Methods that make views of their own return the rows as they are.

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

    def start_fit(self, dataset):
        """Learn from the rows what a method needs to build its parts.

        Called before they are built, at a fit that starts anew. Does nothing here.

        Parameters
        ----------
        dataset : ArrayDataset
            All rows given to ``fit``.
        """

    def finish_fit(self, dataset):
        """Read off the trained network what a method says about the rows.

        Called once after training, also after an interrupted one. Here the network is
        tried on a few rows.

        Parameters
        ----------
        dataset : ArrayDataset
            All rows given to ``fit``, those of a validation split included.

        Raises
        ------
        FloatingPointError
            If the outputs are infinite or NaN.
        """
        try_on_rows(self, dataset)

    def weighted_mean(self, loss, index):
        """Return Σ w l / Σ w over a batch; the mean without sample weights.

        Parameters
        ----------
        loss : Tensor of shape (batch,) or ()
            A loss that is already reduced passes through.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        loss : Tensor of shape ()
            The weighted mean.

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
            If the training loss, a weight or what is predicted becomes infinite or NaN.

        Warns
        -----
        TrainingInterruptedWarning
            If it is interrupted by Ctrl-C within an epoch: the net keeps the weights
            that it has. Stops by callbacks are none.
        """
        # What is no bool is refused below.
        fresh = not (self.initialized_ and np.all(self.warm_start))
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

    @in_usual_modes
    def predict_proba(self, X):
        """Return the softmax of the logits; under NLLLoss what the module returns.

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
            If the outputs for a row are too large to tell a probability.
        """
        proba = super().predict_proba(X)
        undefined = np.isnan(proba).any(axis=tuple(range(1, proba.ndim)))
        if undefined.any():
            raise FloatingPointError(
                f"the outputs for {undefined.sum()} of {len(proba)} rows are infinite "
                f"or NaN, first for row {undefined.argmax()}. Scale X as in fit, where "
                "rows were smaller; or fit with a lower lr."
            )
        return proba

    @in_usual_modes
    def transform(self, X):
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
    @in_usual_modes
    def _n_features_out(self):
        row = torch.zeros(1, *self.input_shape_, device=self.device_)
        self._set_training(False)
        with torch.no_grad():
            return embed(self.module_, row).shape[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    @in_usual_modes
    def _fit(self, X, y, sample_weight, fresh, classes):
        check_parameters(self)
        self.check_slots()
        dataset, classes = self._check_input(X, y, fresh, classes)
        weights = check_weights(sample_weight, dataset.codes)
        if fresh:
            self.classes_inferred_ = classes
            self.input_shape_ = tuple(dataset.fetch([0])[0].shape[1:])
            self.n_features_in_ = self.input_shape_[0]
            self.device_ = resolve_device(self.device)
            self.seed_ = int(random_generator(self.random_state).integers(2**63))
        fingerprint = len(dataset), zlib.crc32(dataset.codes.tobytes())
        row_state = None if fresh else keeps_rows(self.criterion_)
        if row_state and fingerprint != self.rows_fitted_:
            raise ValueError(
                f"{row_state} keeps a state for each row: go on "
                "with the rows and labels of the first fit in the same order, or "
                "start anew with fit and warm_start=False."
            )
        self.rows_fitted_ = fingerprint
        if fresh and self.checkpoint is not None:
            self.training_key_ = training_key(self, dataset, weights)
        if weights is not None:
            self.sample_weight_ = torch.from_numpy(weights).to(self.device_)
        self._forget_verdict()
        try:
            with isolated_rng(self.device_):
                resumes = self.training_key_ is not None
                resumes = resumes and load_training(self, self.checkpoint)
                if fresh and not resumes:
                    check_masking(self)
                    self.start_fit(dataset)
                    self.initialize()
                    check_started(self)
                if not resumes and (fresh or takes_proba(self.criterion_)):
                    row = dataset.fetch([0])[0].to(self.device_)
                    check_outputs(self.module_, row, len(classes), self.criterion_)
                if weights is not None and self._may_set_reduction():
                    self.criterion_.reduction = "none"
                undefined = undefined_states(self)
                self._train(dataset, resumes)
                if self.interrupted_ and needs_whole():
                    raise KeyboardInterrupt
                refuse_divergence(self, undefined)
                # Judgements that draw are those of a run without a break.
                seed_torch(self.device_, self.seed_, len(self.history), 1)
                self.finish_fit(dataset)
        finally:
            self.sample_weight_ = self.training_key_ = None
            close_bars(self)
        if self.interrupted_:
            self._tell_interruption()
        return self

    def _forget_verdict(self):
        """Leave nothing that an interrupted fit would seem to have found out."""
        self.interrupted_ = False
        for name in VERDICT:
            vars(self).pop(name, None)

    def _tell_interruption(self):
        begun = len(self.history) - self.epochs_before_
        whole = max(begun - 1, 0)
        more = "Fit again for a whole training, or call partial_fit for more epochs."
        if self.checkpoint is not None:
            more = "A fit with the same checkpoint goes on from the last whole epoch."
        tell(
            f"the training of {type(self).__name__} was interrupted in epoch "
            f"{whole + 1}: it has {whole} of {self.max_epochs} epochs, and the weights "
            f"of that moment. {more}",
        )

    @property
    def _default_callbacks(self):
        return [
            (name, ProgressLog() if name == "print_log" else callback)
            for name, callback in super()._default_callbacks
        ]

    def _may_set_reduction(self):
        """Whether torch's way to ask for one loss a row is open to us."""
        by_user = isinstance(self.criterion, nn.Module)
        by_user = by_user or hasattr(self, "criterion__reduction")
        return not by_user and getattr(self.criterion_, "reduction", None) == "mean"
