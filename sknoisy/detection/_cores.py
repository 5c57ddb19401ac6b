"""Sample sieve: a network that grows sure, and leaves out what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from torch import nn

from sknoisy._parameters import check_parameters
from sknoisy._progress import progress
from sknoisy._random_states import random_generator
from sknoisy._unjudged import Along
from sknoisy._validation import check_rows_and_labels
from sknoisy.base import NoiseDetectorMixin
from sknoisy.classification._cores import (
    SIEVE_CONSTRAINTS,
    CORESClassifier,
    squashed_scores,
)
from sknoisy.detection._dynamics._recording import record_dynamics
from sknoisy.detection._order import keep_order
from sknoisy.nets import NetClassifier, NetParamsMixin

if TYPE_CHECKING:
    from sknoisy._types import (
        Callbacks,
        Device,
        Estimator,
        Labels,
        MakerOfModules,
        RandomState,
        Rows,
    )

__all__ = ["CORESDetector"]


class CORESDetector(NetParamsMixin, NoiseDetectorMixin, BaseEstimator):
    """Wrong-label detector by the sample sieve of CORES².

    A network that is rewarded for being sure becomes sure of the labels that fit best,
    not of those that it was given. Labels that fit worse than the mean of all labels
    are sieved out, and the network learns from the others only [1]_.

    Parameters
    ----------
    estimator : NetClassifier, default=None
        The network to train, with this loss in place of its own. It is cloned. None
        builds one with the parameters named below.
    beta : float >= 0, default=1.0
        Weight β of the reward in the end. The larger, the more rows are flagged, and
        the sooner the network is sure of something wrong. [1]_ takes 2.
    warmup_epochs : int >= 0 or "auto", default="auto"
        Epochs of plain cross-entropy to begin with, 10 in [1]_. Too few, and the
        network is rewarded for random guesses; too many, and it memorises wrong labels.
        "auto" ends them when the network has learnt something; see Notes.
    ramp_epochs : int >= 0, default=3
        Epochs after the warm-up in which the weight rises to β in equal steps. [1]_
        takes 30.
    sieve_delay : int >= 0, default=1
        Epochs after the warm-up in which no row is left out yet. With 0 more rows are
        flagged, sometimes most of a class. [1]_ takes 21.
    module : torch module class, default=None
        Network to train; None takes an `nets.MLP` with one hidden layer of 512.
    max_epochs : int >= 1, default=30
        [1]_ trains ResNets for 100.
    batch_size : int >= 1, default=128
        Rows in a batch. Larger batches train faster and take fewer steps.
    lr : float >= 0, default=0.05
        Divided by 1 + β while there is a reward, as in the code of [1]_.
    device : str, torch.device or None, default=None
        Where to train; None takes CUDA if there is one.
    verbose : int, default=0
        1 shows a progress bar, 2 also a row for each training.
    callbacks : list of skorch callbacks, "disable" or None, default=None
        Callbacks of the training; "disable" leaves out skorch's own too.
    random_state : int, RandomState instance or None, default=None
        Initial weights and order of rows.
    **net_params : dict
        Parameters of the network's parts, such as ``module__hidden=64``.

    Attributes
    ----------
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 / (1 + exp(−s)) of ``sieve_scores_``. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``sieve_scores_`` above 0, but for a tolerance of 1e-6, or of 2e-8 for each
        class if there are more than 50; which is ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Share of flagged rows.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    sieve_scores_ : ndarray of shape (n_samples,), dtype float64
        Loss of the given label minus the mean loss of all labels, averaged over the
        epochs.
    trajectories_ : ndarray of shape (n_samples, n_epochs), dtype float32
        Losses of the given labels by epoch.
    prior_ : ndarray of shape (n_classes,), dtype float32
        Shares of the classes among the rows that passed in the last epoch.
    n_warmup_epochs_ : int
        Epochs that the warm-up took.
    net_ : CORESClassifier
        The trained network, which has learnt from the rows that passed.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    CORESClassifier : The network that is trained, as a classifier.
    sknoisy.losses.CORESLoss : The loss by itself.
    SmallLossDetector : Flags the largest losses, of a network or any classifier.
    DynaCorDetector : Finds more of the wrong labels, in more time.

    Notes
    -----
    The paper's first phase; its second, a training on what was sieved out, makes a
    classifier and detects nothing.

    The schedule of [1]_ is for 50,000 images. On tables of a few thousand rows a
    network has memorised all labels before it begins. ``warmup_epochs="auto"`` goes
    by what has been learnt: the warm-up ends when the loss is a fifth below the entropy
    of the given labels, and after a quarter of the epochs at the latest. The schedule
    of the paper is ``warmup_epochs=10, ramp_epochs=30, sieve_delay=21, beta=2,
    max_epochs=100``, but for the first step of the ramp, which is 0 there.

    [1]_ scores the rows in one epoch. Here it is the mean over all epochs, of the
    passes that train, which ranks the rows better, because in training dropout makes
    memorising harder.

    References
    ----------
    .. [1] H. Cheng, Z. Zhu, X. Li, Y. Gong, X. Sun, Y. Liu, "Learning with
       instance-dependent label noise: A sample sieve approach", ICLR 2021.
       arXiv:2010.02347

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import CORESDetector, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> detector = CORESDetector(random_state=0)
    >>> mask = detector.fit_predict_noisy(X, y_noisy)
    >>> bool((mask == injector.noise_mask_).mean() > 0.9)
    True
    """

    _parameter_constraints = {
        **NetParamsMixin._parameter_constraints,
        **SIEVE_CONSTRAINTS,
        "random_state": ["random_state"],
    }

    _fitted_axes = {
        "sieve_scores_": Along(("rows",)),
        "trajectories_": Along(("rows",)),
        "prior_": Along(("classes",)),
    }

    def __init__(
        self,
        estimator: Estimator = None,
        *,
        beta: float = 1.0,
        warmup_epochs: Literal["auto"] | int = "auto",
        ramp_epochs: int = 3,
        sieve_delay: int = 1,
        module: MakerOfModules | None = None,
        max_epochs: int = 30,
        batch_size: int = 128,
        lr: float = 0.05,
        device: Device = None,
        verbose: int = 0,
        callbacks: Callbacks = None,
        random_state: RandomState = None,
        **net_params: Any,
    ) -> None:
        self.estimator = estimator
        self.beta = beta
        self.warmup_epochs = warmup_epochs
        self.ramp_epochs = ramp_epochs
        self.sieve_delay = sieve_delay
        self.module = module
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.device = device
        self.verbose = verbose
        self.callbacks = callbacks
        self.random_state = random_state
        self._store_net_params(net_params)

    def fit(self, X: Rows, y: Labels) -> Self:
        """Train a network with the sieve, and score every given label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            Rows of a table, or images.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.

        Returns
        -------
        self : CORESDetector
            The fitted estimator.

        Raises
        ------
        RuntimeError
            If the training is interrupted before there is an epoch to keep.
        TypeError
            If ``estimator`` is not a `NetClassifier`.
        ValueError
            If a parameter, X or y is not as described, if fewer than two labels
            occur more than once, or if the network has a
            criterion or masking, which would not be used.
        """
        check_parameters(self)
        X, self.classes_, codes = check_rows_and_labels(
            self, X, y, min_per_class=2, on_disk=True
        )
        self.net_ = self._make_sieve()
        seed = int(random_generator(self.random_state).integers(2**31))
        n_classes = len(self.classes_)
        with progress(1, "CORESDetector", self.verbose, unit="training") as bar:
            self.trajectories_, proba = record_dynamics(
                self.net_, X, codes, n_classes, signal="loss", seed=seed
            )
            bar.advance()
        criterion = self.net_.criterion_
        self.prior_ = criterion.prior.cpu().numpy().copy()
        self.n_warmup_epochs_ = self.net_.n_warmup_epochs_
        self.sieve_scores_ = criterion.mean_scores.cpu().numpy().astype(np.float64)
        scores = squashed_scores(self.sieve_scores_, n_classes)
        self.record_scores(keep_order(scores, self.sieve_scores_), proba, codes)
        self.noise_rate_ = float(self.noise_mask_.mean())
        return self

    def _make_sieve(self):
        """Return an unfitted net with the sieve as its loss."""
        net = self._make_net()
        if type(net) is not NetClassifier:
            raise TypeError(
                f"estimator must be a NetClassifier; got {type(net).__name__}, which "
                "cannot be trained with the sieve."
            )
        params = net.get_params(deep=False)
        replaced = [name for name in params if name.startswith("criterion__")]
        replaced += ["criterion"] * (net.criterion is not nn.CrossEntropyLoss)
        replaced += ["masking"] * (net.masking is not None)
        if replaced:
            raise ValueError(
                f"{', '.join(replaced)} would have no effect: CORESDetector trains "
                "with a loss of its own, on the rows as they are."
            )
        own = ("beta", "warmup_epochs", "ramp_epochs", "sieve_delay")
        return CORESClassifier(**params, **{name: getattr(self, name) for name in own})
