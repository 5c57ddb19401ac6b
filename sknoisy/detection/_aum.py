"""Area under the margin, with a threshold learnt from an extra class."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator

from sknoisy._interruption import interruptions, tell
from sknoisy._parameters import check_parameters
from sknoisy._planting._gaps import fill_gaps
from sknoisy._progress import progress
from sknoisy._random_states import random_generator
from sknoisy._unjudged import Along
from sknoisy._validation import Interval, check_rows_and_labels
from sknoisy._verdicts import defined_scores, suggest_labels
from sknoisy.base import NoiseDetectorMixin, TrainingInterrupted
from sknoisy.detection._dynamics._recording import record_dynamics
from sknoisy.detection._order import keep_order
from sknoisy.nets import NetParamsMixin

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

__all__ = ["AUMDetector"]


class AUMDetector(NetParamsMixin, NoiseDetectorMixin, BaseEstimator):
    """Wrong-label detector by the area under the margin (AUM).

    The margin of a row is the logit of its given label minus the largest other logit;
    its mean over the epochs is low where the rest of the data contradicts the label.
    The threshold is learnt: some rows are moved to an extra class, so that their label
    is wrong, and their margins are a sample of those of wrong labels [1]_.

    Parameters
    ----------
    estimator : skorch net, default=None
        Classifier whose training is watched; its module must return one logit more
        than there are classes. It is cloned. None builds a `NetClassifier` with the
        parameters named below.
    percentile : float in [0, 100], default=99
        Percentile of the extra class's margins below which a label is flagged. More
        rows are flagged as it grows.
    n_runs : int >= 2, default=2
        Trainings, each with another set of rows in the extra class. Two are enough for
        each row to keep its own label once.
    module : torch module class, default=None
        Network to train; None takes an `nets.MLP` with one hidden layer of 512.
    max_epochs : int >= 1, default=30
        [1]_ trains ResNets for 150.
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
        of the extra class's AUM; the smallest over the runs in which the row had its
        own label. Larger = more suspicious.
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
    trajectories_ : ndarray of shape (n_samples, n_epochs), dtype float32
        Margins by epoch, averaged over those runs.
    net_ : skorch net
        The classifier of the last run.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    DynaCorDetector : Compares with planted labels, and can cluster whole trajectories.

    Notes
    -----
    The extra class gets ⌊N / (C + 1)⌋ rows, as [1]_ writes; the authors' code takes
    ⌊N / C⌋. The first epoch is left out of the mean, as in the authors' code. With few
    classes the extra class is a large part of the rows, the network learns it, and
    most rows are flagged: look at ``noise_rate_``, and lower ``percentile`` if it is
    implausible. The order of the scores suffers less.

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
        **NetParamsMixin._parameter_constraints,
        "percentile": [Interval(Real, 0, 100, closed="both")],
        "n_runs": [Interval(Integral, 2, None, closed="left")],
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
        percentile: float = 99,
        n_runs: int = 2,
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
        """Train with an extra class, and score every given label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            Rows of a table, or images.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.

        Returns
        -------
        self : AUMDetector
            The fitted estimator.

        Raises
        ------
        RuntimeError
            If it is interrupted before every row has been scored once.
        ValueError
            If a parameter, X or y is not as described, if fewer than two labels
            occur more than once, or if there are too few
            rows for the extra class.
        """
        check_parameters(self)
        X, self.classes_, codes = check_rows_and_labels(self, X, y, min_per_class=2)
        rng = random_generator(self.random_state)
        n_samples, n_classes = len(X), len(self.classes_)
        extra = self._extra_rows(n_samples, n_classes, rng)
        runs = self._run_all(X, codes, extra, n_classes, rng)
        extra = extra[: len(runs)]
        self.thresholds_ = np.array([run["threshold"] for run in runs])
        ordinary = _ordinary_runs(extra, n_samples)
        lacks = np.stack([run["lack"] for run in runs])
        lack = np.where(ordinary, lacks, np.inf).min(0)
        self.noise_scores_ = defined_scores(self, keep_order(expit(lack), lack))
        self.noise_mask_ = self.noise_scores_ > 0.5
        self.noise_rate_ = float(self.noise_mask_.mean())
        self.margins_ = _mean_over(ordinary, [run["margins"] for run in runs])
        trajectories = _of_one_length([run["trajectories"] for run in runs])
        self.trajectories_ = _mean_over(ordinary, trajectories).astype(np.float32)
        mean_proba = _mean_over(ordinary, [run["mean_proba"] for run in runs])
        suggested = suggest_labels(mean_proba, codes, self.noise_mask_)
        self.suggested_labels_ = self.classes_[suggested]
        return self

    def _extra_rows(self, n_samples, n_classes, rng):
        """Draw the rows of the extra class of each run, disjoint as far as possible."""
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
        try:
            with (
                progress(
                    len(extra), "AUMDetector", self.verbose, unit="training"
                ) as bar,
                interruptions("keep"),
            ):
                for rows in extra:
                    runs.append(self._run(X, codes, rows, n_classes, rng))
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

    def _run(self, X, codes, extra, n_classes, rng):
        """Train once with some rows in the extra class."""
        given = codes.copy()
        given[extra] = n_classes
        self.net_ = self._make_net(lr_schedule=None, optimizer__weight_decay=1e-4)
        trajectories, mean_proba = record_dynamics(
            self.net_, X, given, n_classes + 1, seed=int(rng.integers(2**31))
        )
        margins = trajectories[:, 1:] if trajectories.shape[1] > 1 else trajectories
        margins = margins.mean(1, dtype=np.float64)
        low, high, threshold = np.percentile(margins[extra], [25, 75, self.percentile])
        # The scale only shapes the score; equal margins must not divide by zero.
        scale = max(high - low, np.finfo(np.float64).tiny)
        with np.errstate(over="ignore"):
            lack = (threshold - margins) / scale
        return {
            "threshold": threshold,
            "lack": lack,
            "margins": margins,
            "trajectories": trajectories,
            "mean_proba": mean_proba[:, :n_classes],
        }


def _ordinary_runs(extra, n_samples):
    """Return in which runs each row had its own label, shape (n_runs, n_samples)."""
    ordinary = np.ones((len(extra), n_samples), dtype=bool)
    for run, rows in enumerate(extra):
        ordinary[run, rows] = False
    return ordinary


def _of_one_length(trajectories):
    """Fill missing epochs of shorter runs with the mean of each row."""
    n_epochs = max(t.shape[1] for t in trajectories)
    missing = [((0, 0), (0, n_epochs - t.shape[1])) for t in trajectories]
    return [
        fill_gaps(np.pad(t, width, constant_values=np.nan))
        for t, width in zip(trajectories, missing, strict=True)
    ]


def _mean_over(ordinary, arrays):
    """Average arrays of shape (n_samples, ...) over each row's ordinary runs."""
    total = sum(
        np.where(mask.reshape(-1, *[1] * (array.ndim - 1)), array, 0.0)
        for mask, array in zip(ordinary, arrays, strict=True)
    )
    counts = ordinary.sum(0).reshape(-1, *[1] * (total.ndim - 1))
    return total / counts
