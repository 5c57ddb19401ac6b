"""Wrong labels by a mixture of the losses of any classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, clone

from sknoisy._parameters import N_JOBS, check_parameters
from sknoisy._planting._fits import competes
from sknoisy._random_states import random_generator, set_random_states
from sknoisy._validation import HasMethods, StrOptions
from sknoisy._warning import warn_user
from sknoisy.base import NoiseDetectorMixin
from sknoisy.detection._dynamics._stages import LearnsInStages, learns_in_stages
from sknoisy.detection._order import keep_order
from sknoisy.detection._predictions._losses import LossesMixin
from sknoisy.mixture import BMMLossSplitter

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

__all__ = ["LossMixtureDetector"]

# Share of the flagged labels that the classifier contradicts: from the first value on,
# the component represents wrong labels; below the second it does not.
_SURE, _UNSURE = 0.9, 0.5
# Between them it does not either if the classifier contradicts more labels in total
# than the percentiles cut off, and few enough for the wrong ones to be among them.
_CUT_OFF, _FEW = 0.1, 0.2
# A network has memorised labels if it contradicted half of the flagged ones in some
# epoch after the first, and less than this share in the last.
_BY_HEART = 0.3
# Probabilities below a thousandth all mean a wrong label.
_LARGEST = -np.log(1e-3)


class LossMixtureDetector(LossesMixin, NoiseDetectorMixin, BaseEstimator):
    """Wrong-label detector by a two-component mixture of the losses of a classifier.

    Rows with wrong labels have larger losses. Those of a network are recorded while it
    trains and averaged over the epochs; any other classifier predicts rows that it was
    not fitted on. A mixture of two distributions turns losses into probabilities [1]_.

    Parameters
    ----------
    estimator : skorch net or classifier with ``predict_proba``, default=None
        It is cloned. None builds a `NetClassifier` with the parameters named below.
    splitter : BMMLossSplitter or similar, default=None
        Turns losses into probabilities; cloned. None takes ``BMMLossSplitter()``.
    stages : {"last", "mean"}, default="last"
        Losses of a classifier that is not a network: those of its predictions once it
        is fitted, or their mean over the stages in which it learns. "mean" needs a
        classifier with ``staged_predict_proba`` (boosting: stages are trees) or with
        ``partial_fit`` (stages are passes over the rows, ``max_epochs`` of them), or a
        Pipeline that ends in one. A network's losses are always averaged.
    cv : int >= 2, scikit-learn splitter, iterable of splits or None, default=5
        For a classifier that is not a network: how the rows are split for fitting and
        predicting.
        An int is a number of stratified and shuffled folds, at most as many as the
        smallest class has rows (or groups); None takes 5. Any other splitter must
        predict every row; repeated predictions are averaged. With ``stages="mean"``,
        None fits all rows and reads the losses of the same rows, in one fit.
    n_jobs : int or None, default=None
        Folds fitted at a time, for a classifier that is not a network.
    module : torch module class, default=None
        Network to train; None takes an `nets.MLP` with one hidden layer of 512.
    max_epochs : int >= 1, default=20
        Epochs whose losses are averaged, or passes over the rows, see ``stages``. More
        of them let the model memorise wrong labels, which then have small losses too.
    batch_size : int >= 1, default=128
        Rows in a batch. Larger batches train faster and take fewer steps.
    lr : float >= 0, default=0.05
        Learning rate at the first epoch.
    device : str, torch.device or None, default=None
        Where to train; None takes CUDA if there is one.
    verbose : int, default=0
        1 shows a bar; of a network, 2 also prints a row for each epoch.
    callbacks : list of skorch callbacks, "disable" or None, default=None
        Callbacks of the training; "disable" leaves out skorch's own too.
    random_state : int, RandomState instance or None, default=None
        Initial weights and order of rows, or the folds; start of the mixture.
    **net_params : dict
        Parameters of the network's parts, such as ``module__hidden=64``.

    Attributes
    ----------
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        Posterior of the component with the larger losses. Larger = more suspicious; of
        equal posteriors the larger loss has the larger score, in the last digits.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Mean of ``noise_scores_``; after the warning that there is no second component,
        the share of flagged rows.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    losses_ : ndarray of shape (n_samples,), dtype float64
        Cross-entropy of the given labels, averaged over the epochs or out of fold.
    trajectories_ : ndarray of shape (n_samples, n_stages), dtype float32
        Losses by epoch of a network, or by stage with ``stages="mean"``.
    splitter_ : BMMLossSplitter
        Fitted to ``losses_``, or without percentiles if these show no wrong labels.
    net_ : skorch net
        The trained network, if one was trained.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    BMMLossSplitter : The mixture, for your own losses.
    LossMixtureDisplay : Plot of losses and mixture.
    DynamicBootstrapClassifier : Uses the mixture during training.
    DynaCorDetector : Finds more wrong labels, but takes longer.

    Notes
    -----
    The losses of a network are those of the training batches: they cost no pass, and
    dropout makes it harder to memorise rows. Their mean over the epochs ranks rows
    better than the losses of any single epoch.

    Classes that are hard to learn have larger losses, whatever their labels. Look at
    the flagged rows by class.

    A mixture always has two components, and the percentiles between which it is fitted
    leave out a twentieth of the largest losses: if fewer labels are wrong, the second
    component holds the harder half of the right ones. So the flagged labels are
    compared with the predictions of the classifier (out of fold, or on average over a
    network's training). If it agrees with most of them, or with more than a tenth while
    it contradicts between 10 and 20 % of all labels, a warning is given, and the
    mixture is refitted to all losses, clipped at 6.9. Labels that the classifier agrees
    with are then not flagged, nor are they if it agrees with more than a tenth. This
    check is skipped with a ``splitter`` that is not a `BMMLossSplitter`, and for a
    network that has memorised the labels, which agrees with all of them.

    References
    ----------
    .. [1] E. Arazo, D. Ortego, P. Albert, N. E. O'Connor, K. McGuinness, "Unsupervised
       label noise modeling and loss correction", ICML 2019. arXiv:1904.11238

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sknoisy import LossMixtureDetector, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.2, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / 16, y)
    >>> detector = LossMixtureDetector(LogisticRegression(C=0.1), random_state=0)
    >>> mask = detector.fit_predict_noisy(X, y_noisy)
    >>> bool((mask == injector.noise_mask_).mean() > 0.9)
    True
    """

    _parameter_constraints = {
        **LossesMixin._parameter_constraints,
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "splitter": [HasMethods(["fit", "transform"]), None],
        "stages": [StrOptions({"last", "mean"})],
        "cv": ["cv_object"],
        "n_jobs": N_JOBS,
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Estimator = None,
        *,
        splitter: Estimator = None,
        stages: Literal["last", "mean"] = "last",
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
        self.splitter = splitter
        self.stages = stages
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
        """Compute losses, split them, and score every given label.

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
        self : LossMixtureDetector
            The fitted estimator.

        Raises
        ------
        RuntimeError
            If a network's training is interrupted before there is an epoch to keep.
        ValueError
            If a parameter, X or y is not as described, or if fewer than two labels
            occur more than once.
        TypeError
            With ``stages="mean"``, if the classifier does not learn in stages.
        """
        check_parameters(self)
        self._check_stages()
        routed = self._routed(groups, fit_params)
        X, codes = self._check_data(X, y)
        seed = int(random_generator(self.random_state).integers(2**31))
        with self._progress() as bar:
            proba = self._read_losses(X, codes, seed, bar, routed)
        splitter = BMMLossSplitter() if self.splitter is None else clone(self.splitter)
        set_random_states(splitter, seed)
        self.splitter_ = splitter.fit(self.losses_[:, None])
        # The user may have set the output of transformers to frames.
        p_noisy = np.asarray(self.splitter_.transform(self.losses_[:, None]))[:, 0]
        doubted, first = proba.argmax(axis=1) != codes, self.splitter_
        if self._needs_a_check(p_noisy, doubted):
            p_noisy = self._check_component(p_noisy, doubted)
        scores = keep_order(p_noisy, self._suspicion(proba, codes))
        self.record_scores(scores, proba, codes)
        if self.splitter_ is not first:
            # The posteriors of labels that the classifier agrees with mean little.
            self.noise_rate_ = float(self.noise_mask_.mean())
        return self

    def _check_stages(self):
        if self._by_stages() and not learns_in_stages(self.estimator):
            raise TypeError(
                f'stages="mean" needs {LearnsInStages()}; got '
                f"{type(self.estimator).__name__}."
            )

    def _needs_a_check(self, p_noisy, doubted):
        """Whether the classifier agrees with many of the labels that are flagged."""
        flagged = p_noisy > 0.5
        splitter = self.splitter_
        if not isinstance(splitter, BMMLossSplitter) or splitter.fallback_ is not None:
            return False
        if not flagged.any() or doubted[flagged].mean() >= _SURE:
            return False
        if not self._is_net():
            return True
        # Larger losses say that another label is more probable. In the first epoch all
        # may be large.
        losses = self.trajectories_[flagged]
        doubts = (losses[:, losses.shape[1] > 1 :] > np.log(2)).mean(axis=0)
        return doubts.max() < 0.5 or doubts[-1] >= _BY_HEART

    def _check_component(self, p_noisy, doubted):
        """Return posteriors that do not flag what the classifier agrees with."""
        share = doubted[p_noisy > 0.5].mean()
        if share < _UNSURE or _CUT_OFF < doubted.mean() < _FEW:
            if not competes():
                warn_user(
                    "the mixture finds no second component of wrong labels: the "
                    f"classifier agrees with {1 - share:.0%} of the labels in it. Only "
                    "the largest losses are taken for those of wrong labels.",
                )
            losses = np.minimum(self.losses_, _LARGEST)[:, None]
            self.splitter_ = clone(self.splitter_).set_params(trim=None).fit(losses)
            p_noisy = np.asarray(self.splitter_.transform(losses))[:, 0]
        return np.where(doubted, p_noisy, np.minimum(p_noisy, 0.5))
