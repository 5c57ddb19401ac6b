"""Wrong labels by a mixture of the losses of any classifier."""

from numbers import Integral

from sklearn.base import BaseEstimator, clone

from sknoisy._validation import (
    HasMethods,
    Interval,
    check_parameters,
    random_generator,
    set_random_states,
)
from sknoisy.base import NoiseDetectorMixin
from sknoisy.detection._losses import LossesMixin
from sknoisy.mixture import BMMLossSplitter

__all__ = ["LossMixtureDetector"]


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
    cv : int >= 2, default=5
        Folds, for a classifier that is no network; at most as many as the smallest
        class has rows.
    n_jobs : int or None, default=None
        Folds at a time, for a classifier that is no network.
    module : torch module class, default=None
        Network to train; None takes an `nets.MLP` with one hidden layer of 512.
    max_epochs : int >= 1, default=20
        Epochs whose losses are averaged. More epochs let the network learn wrong
        labels by heart, after which they have small losses, too.
    batch_size : int >= 1, default=128
    lr : float >= 0, default=0.05
    device : str, torch.device or None, default=None
    verbose : int, default=0
        1 shows a bar; of a network, 2 also prints a row for each epoch.
    callbacks : list of skorch callbacks, "disable" or None, default=None
    random_state : int, RandomState instance or None, default=None
        Initial weights and order of rows, or the folds; start of the mixture.
    **net_params : dict
        Parameters of the network's parts, such as ``module__hidden=64``.

    Attributes
    ----------
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        Posterior of the component with the larger losses. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label where the given one is judged wrong.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    losses_ : ndarray of shape (n_samples,), dtype float64
        Cross-entropy of the given labels, averaged over the epochs or out of fold.
    trajectories_ : ndarray of shape (n_samples, n_epochs), dtype float32
        Losses by epoch; of a network only.
    splitter_ : BMMLossSplitter
        Fitted to ``losses_``.
    net_ : skorch net
        The trained network, if one was trained.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    BMMLossSplitter : The mixture, for losses of your own.
    LossMixtureDisplay : Plot of losses and mixture.
    DynamicBootstrapClassifier : Uses the mixture while it trains.
    DynaCorDetector : Finds more of the wrong labels, in more time.

    Notes
    -----
    The losses of a network are those of the training batches: they cost no pass, and
    rows keep the dropout that makes it hard to learn them by heart. Their mean over
    the epochs orders rows better than the losses of any single epoch.

    Classes that are hard to learn have larger losses, whatever their labels. Look at
    the flagged rows by class. And a mixture always has two components: 18 % of
    scikit-learn's digits are flagged, with no wrong label among them.

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
        "cv": [Interval(Integral, 2, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        splitter=None,
        cv=5,
        n_jobs=None,
        module=None,
        max_epochs=20,
        batch_size=128,
        lr=0.05,
        device=None,
        verbose=0,
        callbacks=None,
        random_state=None,
        **net_params,
    ):
        self.estimator = estimator
        self.splitter = splitter
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

    def fit(self, X, y):
        """Compute losses, split them, and judge every given label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            With a classifier that is no network, whatever that takes.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.

        Returns
        -------
        self : LossMixtureDetector

        Raises
        ------
        RuntimeError
            If a network's training is interrupted before there is an epoch to keep.
        ValueError
            If a parameter, X or y is not as described, or if fewer than two labels
            occur more than once.
        """
        check_parameters(self)
        seed = int(random_generator(self.random_state).integers(2**31))
        with self._progress() as bar:
            _, codes, proba = self._read_losses(X, y, seed, bar)
        splitter = BMMLossSplitter() if self.splitter is None else clone(self.splitter)
        set_random_states(splitter, seed)
        self.splitter_ = splitter.fit(self.losses_[:, None])
        p_noisy = self.splitter_.transform(self.losses_[:, None])[:, 0]
        self._judge(p_noisy, proba, codes)
        return self
