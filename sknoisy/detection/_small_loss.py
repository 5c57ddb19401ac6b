"""Small-loss selection: the largest losses are flagged, as many as labels are wrong."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator

from sknoisy._interruption import interruptions, needs_whole
from sknoisy._parameters import N_JOBS, check_parameters
from sknoisy._planting._jobs import Jobs, result_of
from sknoisy._random_states import random_generator
from sknoisy._validation import HasMethods, Interval, StrOptions
from sknoisy.base import NoiseDetectorMixin, TrainingInterrupted
from sknoisy.detection._dynamics._recording import record_dynamics
from sknoisy.detection._order import keep_order
from sknoisy.detection._predictions._losses import (
    MIN_PROBA,
    LossesMixin,
    record_losses,
)
from sknoisy.nets import ArrayDataset, NetClassifier
from sknoisy.nets._forget_rate import (
    estimate_noise_rate,
    number_kept,
    stratified_halves,
)
from sknoisy.nets._torch_modes import usual_modes

if TYPE_CHECKING:
    from sknoisy._types import (
        ArrayLike,
        Callbacks,
        Device,
        Estimator,
        Labels,
        MakerOfModules,
        RandomState,
        Rows,
    )

__all__ = ["SmallLossDetector", "largest_losses"]


def largest_losses(losses, rate):
    """Flag a share of rows, those with the largest losses, and score them all.

    Parameters
    ----------
    losses : ndarray of shape (n_samples,), dtype float64
        At least 0.
    rate : float in [0, 1)
        Share R of the rows; ⌊(1 − R) n⌋ are kept, at least one. Of equal losses the
        first is flagged.

    Returns
    -------
    mask : ndarray of shape (n_samples,), dtype bool
    scores : ndarray of shape (n_samples,), dtype float64
        ℓ / (ℓ + t), where t lies halfway between the smallest loss that is flagged and
        the largest that is not: above 0.5 where the mask is set, and nowhere else.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.detection._small_loss import largest_losses
    >>> mask, scores = largest_losses(np.array([0.0, 3.0, 1.0, 9.0]), 0.5)
    >>> mask.tolist(), scores.round(2).tolist()
    ([False, True, False, True], [0.0, 0.6, 0.33, 0.82])
    """
    n_flagged = len(losses) - number_kept(len(losses), rate)
    mask = np.zeros(len(losses), dtype=bool)
    mask[np.argsort(-losses, kind="stable")[:n_flagged]] = True
    threshold = losses[~mask].max()
    if n_flagged:
        threshold = (threshold + losses[mask].min()) / 2
    total = losses + threshold
    scores = np.divide(losses, total, out=np.full(len(losses), 0.5), where=total > 0)
    # Rounding may make the quotient decrease by an ulp where the loss increases.
    order = np.argsort(losses, kind="stable")
    scores[order] = np.maximum.accumulate(scores[order])
    # Equal losses on both sides of the threshold, and values rounded to 0.5.
    scores[mask] = np.maximum(scores[mask], np.nextafter(0.5, 1))
    scores[~mask] = np.minimum(scores[~mask], 0.5)
    return mask, scores


class SmallLossDetector(LossesMixin, NoiseDetectorMixin, BaseEstimator):
    """Wrong-label detector that flags the largest losses, as many as are wrong.

    Rows with wrong labels have larger losses. Those of a network are averaged over its
    training; any other classifier predicts rows that it was not fitted on. If a share
    R of the labels is wrong, the share R with the largest losses is flagged, as in the
    small-loss trick of [1]_. If R is not known, it is estimated.

    Parameters
    ----------
    estimator : skorch net or classifier with ``predict_proba``, default=None
        It is cloned. None builds a `NetClassifier` with the parameters named below.
    noise_rate : float in [0, 1) or "auto", default="auto"
        Share R of the rows that is flagged; at least one row is kept. "auto" estimates
        it, see Notes; it takes no more than 1 - 1 / n_classes or 0.9.
    per_class : bool, default=False
        Whether the share is flagged within each given label, so that a class that is
        hard to learn does not lose more rows than others.
    cv : int >= 2, scikit-learn splitter, iterable of splits or None, default=5
        For a classifier that is not a network: how the rows are split for fitting and
        predicting.
        An int is a number of stratified and shuffled folds, at most as many as the
        smallest class has rows (or groups); None takes 5. Any other splitter must
        predict every row; repeated predictions are averaged.
    n_jobs : int or None, default=None
        Folds fitted at a time, or with ``noise_rate="auto"`` trainings of a network,
        each in a process of its own, by joblib's rules: None is 1 outside of a
        ``joblib.parallel_config``. The result is the same for any number.
    module : torch module class, default=None
        Network to train; None takes an `nets.MLP` with one hidden layer of 512.
    max_epochs : int >= 1, default=20
        Epochs whose losses are averaged. More epochs let the network
        memorise wrong labels, which then have small losses too.
    batch_size : int >= 1, default=128
        Rows in a batch. Larger batches train faster and take fewer steps.
    lr : float >= 0, default=0.05
        Learning rate at the first epoch.
    device : str, torch.device or None, default=None
        Where to train; None takes CUDA if there is one.
    verbose : int, default=0
        1 shows a progress bar, 2 also a row for each training.
    callbacks : list of skorch callbacks, "disable" or None, default=None
        Of the network whose losses count, not of those that estimate R.
    random_state : int, RandomState instance or None, default=None
        Initial weights and order of rows, and the folds.
    **net_params : dict
        Parameters of the network's parts, such as ``module__hidden=64``.

    Attributes
    ----------
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        ℓ / (ℓ + t) of the loss ℓ and the threshold t. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        The share R with the largest losses, of equal ones the first; which is
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        R, given or estimated.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    losses_ : ndarray of shape (n_samples,), dtype float64
        Cross-entropy of the given labels, averaged over the epochs or out of fold.
    trajectories_ : ndarray of shape (n_samples, n_epochs), dtype float32
        Losses by epoch; of a network only.
    net_ : skorch net
        The trained network, if one was trained.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    LossMixtureDetector : Splits the losses by a mixture, and gives probabilities.
    CoTeachingClassifier : Trains on small losses only.
    CORESDetector : Compares the loss of a label with those of the other labels.

    Notes
    -----
    The losses of a network are those of the training batches, averaged over all epochs,
    because they order rows better than those of the trained network. AUROC on 2,000
    rows, one seed:

    ========================= ================== ====================
    labels                    mean over epochs   after the last epoch
    ========================= ================== ====================
    digits, symmetric 0.4     0.996              0.996
    CIFAR-10, human "aggre"   0.805              0.715
    CIFAR-10, human "worse"   0.774              0.632
    CIFAR-10, symmetric 0.4   0.829              0.658
    letter, symmetric 0.3     0.962              0.963
    music, one worker         0.867              0.859
    ========================= ================== ====================

    ``noise_rate="auto"`` needs predictions of rows that were not learnt. A classifier
    has made them. For a network two more of its kind are trained, each on one half of
    the rows for half of the epochs (5 at least and 25 at most), and predict the other
    half. Where predictions are surest of a class, in a twentieth of the rows, the share
    of other labels is the estimate, as `CoTeachingClassifier` has it. It is too high
    where predictions are wrong even there, and coarse for small classes, of which five
    rows are asked. The confident joint, which
    `ConfidentLearningDetector` counts, was further off on hard data.

    References
    ----------
    .. [1] B. Han, Q. Yao, X. Yu, G. Niu, M. Xu, W. Hu, I. Tsang, M. Sugiyama,
       "Co-teaching: Robust training of deep neural networks with extremely noisy
       labels", NeurIPS 2018. arXiv:1804.06872

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sknoisy import SmallLossDetector, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.2, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / 16, y)
    >>> detector = SmallLossDetector(LogisticRegression(C=0.1), noise_rate=0.2)
    >>> mask = detector.fit_predict_noisy(X, y_noisy)
    >>> bool((mask == injector.noise_mask_).mean() > 0.9)
    True
    """

    _parameter_constraints = {
        **LossesMixin._parameter_constraints,
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "noise_rate": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "per_class": ["boolean"],
        "cv": ["cv_object"],
        "n_jobs": N_JOBS,
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Estimator = None,
        *,
        noise_rate: Literal["auto"] | float = "auto",
        per_class: bool = False,
        cv: Any = 5,
        n_jobs: int | None = None,
        module: MakerOfModules | None = None,
        max_epochs: int = 20,
        batch_size: int = 128,
        lr: float = 0.05,
        device: Device = None,
        verbose: int = 0,
        callbacks: Callbacks = None,
        random_state: RandomState = None,
        **net_params: Any,
    ) -> None:
        self.estimator = estimator
        self.noise_rate = noise_rate
        self.per_class = per_class
        self.cv = cv
        self.n_jobs = n_jobs
        self.module = module
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.device = device
        self.verbose = verbose
        self.callbacks = callbacks
        self.random_state = random_state
        self._store_net_params(net_params)

    def fit(
        self, X: Rows, y: Labels, *, groups: ArrayLike | None = None, **fit_params: Any
    ) -> Self:
        """Compute losses, and flag the largest.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            With a classifier that is not a network, any X that it accepts.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.
        groups : array-like of shape (n_samples,), default=None
            Groups of rows that belong together, such as a patient: no row is predicted
            by a classifier fitted on rows of its group. Only for a classifier that is
            not a network. With an int as ``cv``, a class whose rows all belong to one
            group is not scored.
        **fit_params : dict
            With metadata routing enabled, further arguments of the splitter and of the
            estimator's ``fit``.

        Returns
        -------
        self : SmallLossDetector
            The fitted estimator.

        Raises
        ------
        RuntimeError
            If a network's training is interrupted before there is an epoch to keep, or
            before ``noise_rate="auto"`` has been estimated.
        ValueError
            If a parameter, X or y is not as described, or if fewer than two labels
            occur more than once.
        """
        check_parameters(self)
        routed = self._routed(groups, fit_params)
        X, codes = self._check_data(X, y)
        seed = int(random_generator(self.random_state).integers(2**31))
        is_unknown = self.noise_rate == "auto"
        if is_unknown and self._is_net():
            proba, rate = self._read_and_estimate(X, codes, seed)
        else:
            with self._progress() as bar:
                proba = self._read_losses(X, codes, seed, bar, routed)
            rate = _estimated_rate(proba, codes) if is_unknown else self.noise_rate
        scores = np.empty(len(codes))
        parts: Any = np.unique(codes) if self.per_class else [slice(None)]
        for part in parts:
            rows = codes == part if self.per_class else part
            _, scores[rows] = largest_losses(self.losses_[rows], rate)
        scores = keep_order(scores, self._suspicion(proba, codes))
        self.record_scores(scores, proba, codes)
        self.noise_rate_ = float(rate)
        return self

    def _read_and_estimate(self, X, codes, seed):
        """Read losses, and train two more networks to estimate the rate."""
        try:
            with (
                self._progress(3) as bar,
                interruptions("raise"),
                Jobs(self.n_jobs) as jobs,
            ):
                task = record_losses, self._make_net(), X, codes, len(self.classes_)
                halves = self._halves(X, codes, seed)
                results = jobs.results([(*task, seed), *halves])
                unseen = np.empty((len(codes), len(self.classes_)), dtype=np.float32)
                with closing(results):
                    proba = self._store(*result_of(next(results)), bar)
                    for (*_, other), of_half in zip(halves, results, strict=True):
                        unseen[other] = result_of(of_half)
                        bar.advance()
        except (KeyboardInterrupt, TrainingInterrupted) as error:
            if needs_whole():
                raise
            raise TrainingInterrupted(
                "SmallLossDetector was interrupted before it had estimated the noise "
                "rate; noise_rate= needs one training only, and keeps what it has."
            ) from error
        return proba, _estimated_rate(unseen, codes)

    def _halves(self, X, codes, seed):
        """Return two tasks: train on one half of the rows, and predict the other."""
        halves = stratified_halves(codes, np.random.default_rng([seed, 0]))
        tasks = []
        for number, (own, other) in enumerate([halves, halves[::-1]]):
            net = self._make_net()
            # Callbacks watch the fit that was asked for.
            net.callbacks = None
            net.max_epochs = int(np.clip(round(net.max_epochs / 2), 5, 25))
            if isinstance(net, NetClassifier):
                # The file is for the training that was asked for.
                net.checkpoint = None
            how = {
                "n_classes": len(self.classes_),
                "seed": (seed + 1 + number) % 2**31,
            }
            tasks.append((partial(_predict_half, net, **how), X, codes, own, other))
        return tasks


def _predict_half(net, X, codes, own, other, *, n_classes, seed):
    """Train a network on some rows; return its probabilities of others."""
    record_dynamics(net, X[own], codes[own], n_classes, seed=seed)
    with usual_modes():
        return net.predict_proba(ArrayDataset(X[other], codes[other]))


def _estimated_rate(proba, codes):
    """Return the share of wrong labels among the surest predictions of each class."""
    logits = np.log(np.clip(proba.astype(np.float64), MIN_PROBA, 1))
    return estimate_noise_rate(logits, codes)
