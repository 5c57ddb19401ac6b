"""DynaCor: tell wrong labels by how much their training looks like planted ones."""

from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator

from sknoisy._validation import (
    Interval,
    StrOptions,
    check_parameters,
    check_rows_and_labels,
    random_generator,
)
from sknoisy.base import NoiseDetectorMixin
from sknoisy.detection._corruption import corrupted_copies
from sknoisy.detection._dynamics import (
    NORMALIZATIONS,
    normalize_trajectories,
    record_dynamics,
    suggest_labels,
)
from sknoisy.detection._encoder import DynamicsClustering
from sknoisy.nets import ArrayDataset, NetParamsMixin
from sknoisy.nets._signals import SIGNALS

__all__ = ["DynaCorDetector"]


class DynaCorDetector(NetParamsMixin, NoiseDetectorMixin, BaseEstimator):
    """Wrong-label detector by label corruption and clustered training dynamics.

    A tenth of the rows is added a second time with a label that is surely or almost
    surely wrong. A network trains on all of them, and a signal of each row is recorded
    in each epoch. A 1-D convolutional encoder then clusters these trajectories into
    clean and noisy, and the planted copies say which is which [1]_.

    Standardise a table first, in a Pipeline. Embeddings can be taken as they are.

    Parameters
    ----------
    estimator : skorch net, default=None
        Classifier whose training is watched: `NetClassifier` or any skorch net whose
        module returns logits (or probabilities, under skorch's NLLLoss). It is cloned.
        None builds a `NetClassifier` with the parameters named below.
    corruption_rate : float in [0, 1], default=0.1
        Share γ of rows that get a corrupted copy. 0 clusters without copies, by
        2-means, and calls the cluster with the lower signal noisy.
    copy_view : callable, default=None
        Maps the copied rows, an ndarray, to what the network sees of the copies, for
        example flipped images. None copies the rows as they are.
    signal : {"logit_diff", "loss", "probability", "prob_diff", "alignment"}, \
            default="logit_diff"
        What is recorded, Table 6 of [1]_.
    when : {"online", "epoch_end"}, default="online"
        When it is recorded; see `nets.DynamicsRecorder`.
    normalize : {"l2_time", "sign", "zscore"} or None, default="l2_time"
        Scaling of the trajectories. "sign" is what the authors' code does in effect.
    alignment_weight : float >= 0, default=0.5
        Weight α of the alignment loss; [1]_ takes 0.05 when whole ResNets are trained.
    encoder_epochs : int >= 1, default=10
    encoder_lr : float > 0, default=1e-5
    encoder_batch_size : int >= 1, default=None
        None takes an eighth of the rows, at least 64 and at most the 1024 of [1]_.
    encoder_dim : int >= 1, default=512
        Width of an encoding.
    eval_distance : {"euclidean", "cosine"}, default="euclidean"
        Distance behind the scores; training of the encoder always uses the cosine.
    module : torch module class, default=None
        Network to train; None takes an `nets.MLP` with two hidden layers of 512.
    max_epochs : int >= 1, default=30
    batch_size : int >= 1, default=128
    lr : float >= 0, default=0.1
        With SGD, momentum 0.9, weight decay 5e-4 and a cosine schedule: the setting of
        [1]_ for CLIP features.
    device : str, torch.device or None, default=None
        None takes CUDA if there is one.
    verbose : int, default=0
        1 prints a row for each epoch of both networks.
    callbacks : list of skorch callbacks, "disable" or None, default=None
        For the classifier's training.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same bits on the CPU.
    **net_params : dict
        Parameters of the classifier's parts: ``module__hidden=64``,
        ``optimizer__weight_decay=0``, ``iterator_train__drop_last=True``.

    Attributes
    ----------
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        Assignment to the noisy cluster, in [0, 1]: larger = more suspicious. Read it
        as an order; issue a probability only after checking it on your data.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Share of flagged rows.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label of flagged rows, averaged over training, and the
        given label of all others.
    classes_ : ndarray of shape (n_classes,)
    trajectories_ : ndarray of shape (n_samples, n_epochs), dtype float32
        The recorded signal of the rows given to ``fit``.
    copy_indices_ : ndarray of shape (n_copies,), dtype int64
        Rows that got a copy.
    net_ : skorch net
        The fitted classifier. It has learnt the wrong labels too.
    encoder_ : skorch net
        The fitted encoder; ``encoder_.best_epoch_`` is the epoch that was selected by
        the distance between copies and their originals, 0 = before training.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    AUMDetector : Margins against a threshold learnt from an extra class.
    sknoisy.DynamicsDisplay : Plot the trajectories.

    Notes
    -----
    The network, optimiser and lengths follow the supplement of [1]_; the authors' code
    has weight decay 1e-4, 15 encoder epochs, learning rate 0.02 and 20 epochs instead.
    Batch sizes below 1024 and keeping the last batch of small data are ours.
    On a table, a row and its identical copy carry different labels, and a network that
    can memorise ends with flagging such pairs. A lower ``lr``, fewer ``max_epochs`` or
    ``module__dropout`` help on some tables and cost on others; the user guide has
    figures.

    References
    ----------
    .. [1] S. Kim, D. Lee, S. Kang, S. Chae, S. Jang and H. Yu, "Learning
       Discriminative Dynamics with Label Corruption for Noisy Label Detection", CVPR
       2024.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import DynaCorDetector, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.2, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X[:500] / 16, y[:500])
    >>> detector = DynaCorDetector(max_epochs=10, random_state=0).fit(X, y_noisy)
    >>> worst = detector.ranking()[:20]
    >>> bool(injector.noise_mask_[worst].mean() > 0.8)
    True
    """

    _parameter_constraints = {
        "corruption_rate": [Interval(Real, 0, 1, closed="both")],
        "copy_view": [callable, None],
        "signal": [StrOptions({*SIGNALS, "alignment"})],
        "when": [StrOptions({"online", "epoch_end"})],
        "normalize": [StrOptions(set(NORMALIZATIONS)), None],
        "alignment_weight": [Interval(Real, 0, None, closed="left")],
        "encoder_epochs": [Interval(Integral, 1, None, closed="left")],
        "encoder_lr": [Interval(Real, 0, None, closed="neither")],
        "encoder_batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "encoder_dim": [Interval(Integral, 1, None, closed="left")],
        "eval_distance": [StrOptions({"euclidean", "cosine"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        corruption_rate=0.1,
        copy_view=None,
        signal="logit_diff",
        when="online",
        normalize="l2_time",
        alignment_weight=0.5,
        encoder_epochs=10,
        encoder_lr=1e-5,
        encoder_batch_size=None,
        encoder_dim=512,
        eval_distance="euclidean",
        module=None,
        max_epochs=30,
        batch_size=128,
        lr=0.1,
        device=None,
        verbose=0,
        callbacks=None,
        random_state=None,
        **net_params,
    ):
        self.estimator = estimator
        self.corruption_rate = corruption_rate
        self.copy_view = copy_view
        self.signal = signal
        self.when = when
        self.normalize = normalize
        self.alignment_weight = alignment_weight
        self.encoder_epochs = encoder_epochs
        self.encoder_lr = encoder_lr
        self.encoder_batch_size = encoder_batch_size
        self.encoder_dim = encoder_dim
        self.eval_distance = eval_distance
        self.module = module
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.device = device
        self.verbose = verbose
        self.callbacks = callbacks
        self.random_state = random_state
        self._store_net_params(net_params)

    def fit(self, X, y):
        """Train on the rows and corrupted copies, and judge every given label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
        y : array-like of shape (n_samples,)
            The given labels, of any kind.

        Returns
        -------
        self : DynaCorDetector

        Raises
        ------
        RuntimeError
            If it is interrupted before there is an epoch to keep.
        ValueError
            If a parameter, X or y is not as described, if a class has one row only
            (nothing could speak for or against its label), or if there are too few
            rows for a single copy.
        """
        check_parameters(self)
        X, self.classes_, codes = check_rows_and_labels(self, X, y, min_per_class=2)
        rng = random_generator(self.random_state)
        source, copy_codes = corrupted_copies(
            codes, len(self.classes_), self.corruption_rate, rng
        )
        if self.corruption_rate and not len(source):
            raise ValueError(
                f"corruption_rate={self.corruption_rate} of n_samples = {len(X)} rows "
                "leaves no row to corrupt; raise it or give more rows."
            )
        n_samples = len(X)
        trajectories, mean_proba = self._record(X, codes, source, copy_codes, rng)
        self.encoder_ = self._encode(trajectories, n_samples, source, rng)
        self.copy_indices_ = source
        self.trajectories_ = trajectories[:n_samples]
        self.noise_scores_ = self.encoder_.scores_[:n_samples]
        self.noise_mask_ = self.noise_scores_ > 0.5
        self.noise_rate_ = float(self.noise_mask_.mean())
        suggested = suggest_labels(mean_proba[:n_samples], codes, self.noise_mask_)
        self.suggested_labels_ = self.classes_[suggested]
        return self

    def _record(self, X, codes, source, copy_codes, rng):
        """Train the classifier on originals and copies, and watch it."""
        copies = X[source]
        if self.copy_view is not None:
            copies = np.asarray(self.copy_view(copies), dtype=X.dtype)
        self.net_ = self._make_net(**self._net_defaults())
        return record_dynamics(
            self.net_,
            np.concatenate([X, copies]),
            np.concatenate([codes, copy_codes]),
            signal=self.signal,
            when=self.when,
            seed=int(rng.integers(2**31)),
        )

    def _net_defaults(self):
        defaults = {"optimizer__weight_decay": 5e-4}
        if self.module is None:
            defaults.update(module__hidden=(512, 512), module__dropout=0.0)
        return defaults

    def _encode(self, trajectories, n_samples, source, rng):
        """Cluster the trajectories of originals and copies."""
        # The loss is the one signal that is larger for wrong labels.
        oriented = -trajectories if self.signal == "loss" else trajectories
        rows = normalize_trajectories(oriented, self.normalize)
        n_rows = len(rows)
        batch_size = self.encoder_batch_size or min(1024, max(64, n_rows // 8))
        encoder = DynamicsClustering(
            copied_rows=source,
            module__n_out=self.encoder_dim,
            module__eval_distance=self.eval_distance,
            criterion__weight=self.alignment_weight,
            optimizer=torch.optim.Adam,
            optimizer__weight_decay=5e-4,
            lr=self.encoder_lr,
            max_epochs=self.encoder_epochs,
            batch_size=batch_size,
            iterator_train__drop_last=n_rows >= 2 * batch_size,
            device=self.device,
            verbose=self.verbose,
            random_state=int(rng.integers(2**31)),
        )
        is_copy = (np.arange(n_rows) >= n_samples).astype(np.int64)
        encoder.partial_fit(ArrayDataset(rows, is_copy), classes=[0, 1])
        if not encoder.metrics_:
            raise RuntimeError("fit was interrupted before the encoder could judge.")
        return encoder
