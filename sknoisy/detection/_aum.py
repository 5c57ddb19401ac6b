"""Area under the margin, with a threshold learnt from an extra class."""

from __future__ import annotations

from contextlib import closing
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator
from skorch import NeuralNet

from sknoisy._interruption import interruptions, tell
from sknoisy._parameters import N_JOBS, InstanceOf, check_parameters
from sknoisy._planting._jobs import Jobs, result_of
from sknoisy._progress import progress
from sknoisy._random_states import random_generator
from sknoisy._unjudged import Along
from sknoisy._validation import Interval, StrOptions
from sknoisy._verdicts import defined_scores, suggest_labels
from sknoisy.base import NoiseDetectorMixin, TrainingInterrupted
from sknoisy.detection._dynamics._recording import record_dynamics
from sknoisy.detection._dynamics._stages import LearnsInStages, of_one_length
from sknoisy.detection._order import keep_order
from sknoisy.detection._predictions._net_or_classifier import NetOrClassifierMixin

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

__all__ = ["AUMDetector"]


class AUMDetector(NetOrClassifierMixin, NoiseDetectorMixin, BaseEstimator):
    """Wrong-label detector by the area under the margin (AUM).

    The margin of a row is the logit of its given label minus the largest other logit;
    its mean over the epochs, or over the stages of boosting, is low where the rest of
    the data contradicts the label. The threshold is learnt: some rows are moved to an
    extra class, so that their label is wrong, and their margins are a sample of those
    of wrong labels [1]_.

    Parameters
    ----------
    estimator : skorch net or classifier that learns in stages, default=None
        Classifier whose training is watched; it is cloned. The module of a net must
        return one logit more than there are classes. Of scikit-learn's classifiers:
        boosting (``staged_predict_proba``; stages are trees), those with
        ``partial_fit`` (stages are passes over the rows, ``max_epochs`` of them), or a
        Pipeline that ends in one; X is then whatever they take. None builds a
        `NetClassifier` with the parameters named below.
    percentile : float in [0, 100], None or "auto", default="auto"
        Percentile of the extra class's margins below which a label is flagged. More
        rows are flagged as it grows. None trains once on the given labels, without an
        extra class, and flags rows with a negative AUM. "auto" is 99, as in [1]_, for a
        network and None for any other classifier.
    n_runs : int >= 2, default=2
        Trainings, each with another set of rows in the extra class. Two are enough for
        each row to keep its own label once. Without an extra class there is one.
    cv : int >= 2, scikit-learn splitter, iterable of splits or None, default=None
        For a classifier that is not a network: None reads the margins of the rows that
        it is fitted on. Otherwise they are those of rows that it was not fitted on, and
        a run takes a fit for each fold. An int is a number of stratified and shuffled
        folds, at most as many as the smallest class has rows (or groups). Any other
        splitter must predict every row; repeated predictions are averaged.
    n_jobs : int or None, default=None
        Trainings of a network, or folds with ``cv``, at a time, each in a process of
        its own, by joblib's rules: None is 1 outside of a ``joblib.parallel_config``.
        The result is the same for any number.
    module : torch module class, default=None
        Network to train; None takes an `nets.MLP` with one hidden layer of 512.
    max_epochs : int >= 1, default=30
        Epochs, or passes of a classifier with ``partial_fit``. [1]_ trains ResNets for
        150.
    batch_size : int >= 1, default=64
        Rows in a batch. Larger batches train faster and take fewer steps.
    lr : float >= 0, default=0.05
        Kept constant; [1]_ warns of learning rate drops, and takes 0.1 for ResNets.
    device : str, torch.device or None, default=None
        Where to train; None takes CUDA if there is one.
    verbose : int, default=0
        1 shows a bar, 2 also prints a row for each epoch.
    callbacks : list of skorch callbacks, "disable" or None, default=None
        Callbacks of the training; "disable" leaves out skorch's own too.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same bits on the CPU.
    **net_params : dict
        Parameters of the classifier's parts, such as ``module__hidden=64``.

    Attributes
    ----------
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 / (1 + exp((AUM − t) / s)) with t the threshold and s the interquartile range
        of the extra class's AUM (without one, 0 and that of all AUM); the smallest over
        the runs in which the row had its own label. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``: below the threshold in every such run.
    noise_rate_ : float
        Share of flagged rows.
    suggested_labels_ : ndarray of shape (n_samples,)
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    margins_ : ndarray of shape (n_samples,), dtype float64
        The AUM, averaged over those runs: larger = cleaner.
    thresholds_ : ndarray of shape (n_runs,), dtype float64
        One threshold of 0 without an extra class.
    trajectories_ : ndarray of shape (n_samples, n_stages), dtype float32
        Margins by epoch or stage, averaged over those runs.
    net_ : skorch net
        The network of the last run; other classifiers are not kept.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    DynaCorDetector : Compares with planted labels, and can cluster whole trajectories.

    Notes
    -----
    The extra class gets ⌊N / (C + 1)⌋ rows, as [1]_ writes; the authors' code takes
    ⌊N / C⌋. The first epoch of a network is left out of the mean, as in the authors'
    code. If the estimator is no network, each class keeps two of its rows. With few
    classes the extra class is a large part of the rows, the network learns it, and
    most rows are flagged: look at ``noise_rate_``, and lower ``percentile`` if it is
    implausible. The order of the scores suffers less. That of boosting suffers more: it
    ranks labels better without an extra class, most of all if there are two classes.

    References
    ----------
    .. [1] G. Pleiss, T. Zhang, E. Elenberg and K. Q. Weinberger, "Identifying
       Mislabeled Data using the Area Under the Margin Ranking", NeurIPS 2020,
       arXiv:2001.10528.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import AUMDetector, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.2, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X[:500] / 16, y[:500])
    >>> detector = AUMDetector(max_epochs=10, random_state=0).fit(X, y_noisy)
    >>> bool(injector.noise_mask_[detector.ranking()[:20]].mean() > 0.8)
    True
    """

    _parameter_constraints = {
        **NetOrClassifierMixin._parameter_constraints,
        "estimator": [
            InstanceOf(NeuralNet, "a skorch net, for example NetClassifier()"),
            LearnsInStages(),
            None,
        ],
        "percentile": [
            Interval(Real, 0, 100, closed="both"),
            StrOptions({"auto"}),
            None,
        ],
        "n_runs": [Interval(Integral, 2, None, closed="left")],
        "cv": ["cv_object"],
        "n_jobs": N_JOBS,
        "random_state": ["random_state"],
    }

    _fitted_axes = {
        "margins_": Along(("rows",)),
        "trajectories_": Along(("rows",)),
    }

    def __init__(
        self,
        estimator: Estimator = None,
        *,
        percentile: Literal["auto"] | float | None = "auto",
        n_runs: int = 2,
        cv: Any = None,
        n_jobs: int | None = None,
        module: MakerOfModules | None = None,
        max_epochs: int = 30,
        batch_size: int = 64,
        lr: float = 0.05,
        device: Device = None,
        verbose: int = 0,
        callbacks: Callbacks = None,
        random_state: RandomState = None,
        **net_params: Any,
    ) -> None:
        self.estimator = estimator
        self.percentile = percentile
        self.n_runs = n_runs
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
        """Train with an extra class, and score every given label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            Rows of a table, or images. With a classifier that is not a network, any X
            that it accepts.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.
        groups : array-like of shape (n_samples,), default=None
            Groups of rows that belong together, such as a patient: no row is predicted
            by a classifier fitted on rows of its group. Only with ``cv``. With an int,
            a class whose rows all belong to one group is not scored.
        **fit_params : dict
            With metadata routing enabled, further arguments of the splitter and of the
            ``fit`` of a classifier that is not a network.

        Returns
        -------
        self : AUMDetector
            The fitted estimator.

        Raises
        ------
        RuntimeError
            If the training of a network is interrupted before every row has been
            scored once.
        ValueError
            If a parameter, X or y is not as described, if fewer than two labels
            occur more than once, or if there are too few
            rows for the extra class.
        """
        check_parameters(self)
        if self._is_net() and self.cv is not None:
            raise ValueError(
                f"cv={self.cv!r} would have no effect: a network learns all rows. "
                "Leave it out, or pass a classifier that learns in stages, for example "
                "HistGradientBoostingClassifier()."
            )
        routed = self._routed(groups, fit_params)
        X, codes = self._check_data(X, y)
        rng = random_generator(self.random_state)
        n_samples, n_classes = len(codes), len(self.classes_)
        extra = self._extra_rows(n_samples, n_classes, rng)
        if self._is_net():
            runs = self._run_all(X, codes, extra, n_classes, rng)
        else:
            extra = [_without_the_last(rows, codes) for rows in extra]
            runs = self._run_stages(X, codes, extra, n_classes, rng, routed)
        extra = extra[: len(runs)]
        self.thresholds_ = np.array([run["threshold"] for run in runs])
        ordinary = _ordinary_runs(extra, n_samples)
        lacks = np.stack([run["lack"] for run in runs])
        lack = np.where(ordinary, lacks, np.inf).min(0)
        self.noise_scores_ = defined_scores(self, keep_order(expit(lack), lack))
        self.noise_mask_ = self.noise_scores_ > 0.5
        self.noise_rate_ = float(self.noise_mask_.mean())
        self.margins_ = _mean_over(ordinary, [run["margins"] for run in runs])
        trajectories = of_one_length([run["trajectories"] for run in runs])
        self.trajectories_ = _mean_over(ordinary, trajectories).astype(np.float32)
        mean_proba = _mean_over(ordinary, [run["mean_proba"] for run in runs])
        suggested = suggest_labels(mean_proba, codes, self.noise_mask_)
        self.suggested_labels_ = self.classes_[suggested]
        return self

    def _percentile(self):
        """Return the percentile, or None if there is no extra class."""
        if self.percentile == "auto":
            return 99 if self._is_net() else None
        return self.percentile

    def _extra_rows(self, n_samples, n_classes, rng):
        """Draw the rows of the extra class of each run, disjoint as far as possible."""
        if self._percentile() is None:
            return [np.empty(0, dtype=np.int64)]
        n_extra = n_samples // (n_classes + 1)
        if n_extra < 2:
            raise ValueError(
                f"n_samples = {n_samples} rows of {n_classes} classes are too few for "
                f"the extra class; AUMDetector needs at least {2 * (n_classes + 1)}."
            )
        order = rng.permutation(n_samples)
        starts = np.arange(self.n_runs) * n_extra
        return [
            np.take(order, start + np.arange(n_extra), mode="wrap") for start in starts
        ]

    def _run_all(self, X, codes, extra, n_classes, rng):
        """Train once for each set of extra rows, or until Ctrl-C."""
        runs, n_whole = [], 0
        tasks = [self._task(X, codes, rows, n_classes, rng) for rows in extra]
        try:
            with (
                progress(
                    len(extra), "AUMDetector", self.verbose, unit="training"
                ) as bar,
                interruptions("keep"),
                Jobs(self.n_jobs) as jobs,
                closing(jobs.results(tasks)) as results,
            ):
                for rows, result in zip(extra, results, strict=True):
                    self.net_, *recorded = result_of(result)
                    runs.append(self._run(*recorded, rows, n_classes))
                    if self.net_.interrupted_:
                        raise KeyboardInterrupt
                    n_whole += 1
                    bar.advance()
        except (KeyboardInterrupt, TrainingInterrupted) as error:
            done = (
                f"AUMDetector was interrupted in training {n_whole + 1} of {len(extra)}"
            )
            seen = _ordinary_runs(extra[: len(runs)], len(codes)).any(0)
            if not seen.all():
                raise TrainingInterrupted(
                    f"{done}, before every row had kept its own label in one."
                ) from error
            epochs = [run["trajectories"].shape[1] for run in runs]
            tell(
                f"{done}: labels are scored from {len(runs)} trainings of "
                f"{', '.join(map(str, epochs))} epochs of {self.net_.max_epochs}. Fit "
                "again to use all of them.",
            )
        return runs

    def _task(self, X, codes, extra, n_classes, rng):
        """Return the task to train a network with some rows in the extra class."""
        given, n_outputs = _with_extra_class(codes, extra, n_classes)
        net = self._make_net(lr_schedule=None, optimizer__weight_decay=1e-4)
        return _train, net, X, given, n_outputs, int(rng.integers(2**31))

    def _run(self, trajectories, mean_proba, extra, n_classes):
        """Return what a training says of the labels."""
        counted = trajectories[:, 1:] if trajectories.shape[1] > 1 else trajectories
        return self._judged(trajectories, counted, extra, mean_proba[:, :n_classes])

    def _run_stages(self, X, codes, extra, n_classes, rng, routed):
        """Fit a classifier once, or fold by fold, for each set of extra rows."""
        seed = int(rng.integers(2**31))
        splits = self._splits(X, codes, seed, routed)
        n_fits = 1 if splits is None else len(splits)
        how = {"signal": "margin", "seed": seed}
        runs = []
        name, unit = type(self).__name__, "training" if splits is None else "fold"
        with progress(len(extra) * n_fits, name, self.verbose, unit=unit) as bar:
            for rows in extra:
                given, n_outputs = _with_extra_class(codes, rows, n_classes)
                stages, mean = self._record_stages(
                    X, given, splits, routed, n_classes=n_outputs, bar=bar, **how
                )
                runs.append(self._judged(stages, stages, rows, mean[:, :n_classes]))
        return runs

    def _judged(self, trajectories, counted, extra, mean_proba):
        """Return margins of a run, and how far they are below its threshold."""
        margins = counted.mean(1, dtype=np.float64)
        if len(extra):
            marks = [25, 75, self._percentile()]
            low, high, threshold = np.percentile(margins[extra], marks)
        else:
            low, high = np.percentile(margins, [25, 75])
            threshold = 0.0
        # The scale only shapes the score; equal margins must not divide by zero.
        scale = max(high - low, np.finfo(np.float64).tiny)
        with np.errstate(over="ignore"):
            lack = (threshold - margins) / scale
        return {
            "threshold": threshold,
            "lack": lack,
            "margins": margins,
            "trajectories": trajectories,
            "mean_proba": mean_proba,
        }


def _train(net, X, codes, n_outputs, seed):
    """Train a network; return it, and what was recorded."""
    # Of an interrupted training the epochs so far count.
    with interruptions("keep"):
        return net, *record_dynamics(net, X, codes, n_outputs, seed=seed)


def _with_extra_class(codes, rows, n_classes):
    """Return codes with some rows in an extra class, and the number of classes."""
    given = codes.copy()
    given[rows] = n_classes
    return given, n_classes + (len(rows) > 0)


def _without_the_last(rows, codes):
    """Return the rows of the extra class without the last two of each class."""
    ordinary = np.ones(len(codes), dtype=bool)
    ordinary[rows] = False
    kept = np.bincount(codes[ordinary], minlength=codes.max() + 1)
    for code in np.flatnonzero(kept < 2):
        own = rows[codes[rows] == code]
        rows = np.setdiff1d(rows, own[: 2 - kept[code]])
    return rows


def _ordinary_runs(extra, n_samples):
    """Return in which runs each row had its own label, shape (n_runs, n_samples)."""
    ordinary = np.ones((len(extra), n_samples), dtype=bool)
    for run, rows in enumerate(extra):
        ordinary[run, rows] = False
    return ordinary


def _mean_over(ordinary, arrays):
    """Average arrays of shape (n_samples, ...) over each row's ordinary runs."""
    total = sum(
        np.where(mask.reshape(-1, *[1] * (array.ndim - 1)), array, 0.0)
        for mask, array in zip(ordinary, arrays, strict=True)
    )
    counts = ordinary.sum(0).reshape(-1, *[1] * (total.ndim - 1))
    return total / counts
