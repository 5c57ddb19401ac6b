"""DynaCor: compare the training dynamics of given labels and planted wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sknoisy._confident_joint import confident_joint
from sknoisy._interruption import interruptions, tell
from sknoisy._parameters import N_JOBS, check_parameters
from sknoisy._planting._corruption import (
    corrupted_copies,
    corrupted_labels,
    proportional_rows,
)
from sknoisy._planting._decision import AIMS, Evidence, flagged
from sknoisy._planting._jobs import Jobs
from sknoisy._planting._race import Candidate, choose, race, race_then_repeat
from sknoisy._planting._settings import OWN_MODULE, default_settings
from sknoisy._progress import progress
from sknoisy._random_states import random_generator
from sknoisy._unjudged import Along
from sknoisy._validation import Interval, StrOptions, check_rows_and_labels
from sknoisy._verdicts import defined_scores, suggest_labels
from sknoisy._warning import warn_user
from sknoisy.base import NoiseDetectorMixin, TrainingInterrupted
from sknoisy.detection._dynamics._encoder import (
    NORMALIZATIONS,
    DynamicsClustering,
    normalize_trajectories,
)
from sknoisy.detection._dynamics._procedures import ENCODERS, procedure
from sknoisy.detection._dynamics._recording import record_dynamics
from sknoisy.detection._dynamics._second_view import VIEWS, with_copies
from sknoisy.nets import ArrayDataset, NetParamsMixin
from sknoisy.nets._signals import SIGNALS

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

__all__ = ["DynaCorDetector"]

_AUTO = StrOptions({"auto"})

# Rounds of the chosen setting with n_runs="auto", at least and at most.
AUTO_RUNS = (2, 5)
# Rounds in which several settings are compared.
SHARED_ROUNDS = 3


class DynaCorDetector(NetParamsMixin, NoiseDetectorMixin, BaseEstimator):
    """Wrong-label detector by planted wrong labels and training dynamics.

    Labels that are almost certainly wrong are planted among the given ones, a network
    is trained on all of them, and a signal of each row is recorded in each epoch. Given
    labels with a signal like that of planted ones are suspicious [1]_.

    By default a tenth of the rows is trained on another label in each of two to five
    rounds, and a row is scored from the rounds in which it kept its label. The training
    is chosen among four settings (two for images) by how well the planted labels are
    found, in a race of three rounds. The procedure of [1]_ is
    ``DynaCorDetector(settings="paper", corruption="copy", decision="cluster")``.

    Standardise a table first, in a Pipeline. Embeddings can be taken as they are.

    Parameters
    ----------
    estimator : skorch net, default=None
        Classifier whose training is watched: `NetClassifier` or any skorch net whose
        module returns logits (or probabilities, under skorch's NLLLoss). It is cloned.
        None builds a `NetClassifier` with the parameters named below.
    settings : {"auto", "paper", "code"} or list of dict, default="auto"
        Net parameters to choose among, simplest first, like
        ``[{"lr": 0.1}, {"lr": 0.01, "max_epochs": 50}]``. "auto" tries four for tables,
        two for images, or your own ``estimator`` or ``module`` alone. "paper" is one
        network trained as Table 5 of [1]_ says: for features, or for images by an
        `nets.PreActResNet18`, or your own ``module`` if it is called ResNet34 or
        ResNet50. "code" is that of the authors' code: for features one with a single
        hidden layer, for images a `nets.ResNet34`. Both set the parameters of the
        encoder that are "auto".
    corruption : {"relabel", "copy"}, default="relabel"
        Where labels are planted: in place of given ones, or on copies of the rows, as
        in [1]_. A network with enough capacity memorises all rows except these pairs.
    corruption_rate : float in [0, 1], default=0.1
        Share γ of rows with a planted label in each round. At most 0.5 for "relabel".
        0 needs ``corruption="copy"``, ``decision="cluster"`` and a single setting: it
        clusters by 2-means, and calls the cluster with the lower signal noisy.
    n_runs : "auto" or int >= 2, default="auto"
        Rounds in which the chosen setting is trained, with other planted labels in
        each; "copy" has one. "auto" takes at least two, and more, up to five, until the
        mean signal would correlate by 0.98 with that of as many other rounds; five with
        "cluster". Several settings are compared in three of them at most, with
        "cluster" in all.
    max_rows : int >= 100 or None, default=2000
        Settings for more rows of a table are compared on a random subset of so many,
        with the classes in proportion, and the chosen one is trained on all rows. None
        compares them on all, as for images, "copy" and "cluster".
    decision : {"calibrated", "cluster"}, default="calibrated"
        "calibrated" converts the mean signal into the probability of a wrong label,
        using the signal of planted ones. "cluster" trains the 1-D
        convolutional encoder of [1]_, which clusters the trajectories.
    aim : {"recall", "f1", "precision", "rate"}, default="recall"
        What the flags are for, with "calibrated". "recall": as many labels as the
        network disagrees with, on average over its training. "f1": of these only as
        many as the planted labels give reason for, hardly any if the labels are clean.
        "precision": labels that are more probably wrong than right. "rate": as many as
        are estimated to be wrong, ``noise_rate_``.
    threshold : float in [0, 1], default=None
        With "calibrated", flags the labels with a larger score instead, whatever the
        aim.
    copy_view : {"auto", "flip", "crop_resize"}, callable or None, default="auto"
        What the copies show: a second view of their row, since a network memorises the
        labels of identical copies. "flip" mirrors images; "crop_resize" cuts off an
        eighth of each side and enlarges the rest, as in the authors' code; a callable
        is given (rows, index), index being their row numbers in X, and returns as many
        rows. "auto" takes ``X_copy`` of `fit`; without it "crop_resize" for images, and
        for other rows identical copies, with a warning. None copies the rows as they
        are.
    signal : {"logit_diff", "loss", "probability", "prob_diff", "alignment"}, \
            default="logit_diff"
        What is recorded, Table 6 of [1]_.
    when : {"online", "epoch_end"}, default="online"
        When it is recorded; see `nets.DynamicsRecorder`.
    normalize : {"auto", "l2_time", "sign", "zscore"} or None, default="auto"
        Scaling of the trajectories for the encoder. "auto" is "l2_time", and with
        ``settings="code"`` "sign", to which the authors' code is equivalent.
    alignment_weight : float >= 0 or "auto", default="auto"
        Weight α of the alignment loss. "auto" is 0.5; with ``settings="paper"`` it is
        0.05 for a ResNet34 or a PreActResNet18, as in Table 5 of [1]_.
    encoder_epochs : int >= 1 or "auto", default="auto"
        Epochs that the encoder is trained for. "auto" is 10, as in [1]_, and 15 with
        ``settings="code"``.
    encoder_weight_decay : float >= 0 or "auto", default="auto"
        Of its optimiser, Adam. "auto" is 5e-4, as in [1]_, and 1e-4 with
        ``settings="code"``.
    encoder_lr : float > 0, default=1e-5
        Learning rate of the encoder.
    encoder_batch_size : int >= 1, default=None
        None takes an eighth of the rows, at least 64 and at most the 1024 of [1]_.
    encoder_dim : int >= 1, default=512
        Width of an encoding.
    eval_distance : {"euclidean", "cosine"}, default="euclidean"
        Distance behind the cluster scores; training always uses the cosine.
    n_jobs : int or None, default=None
        Trainings at a time, each in a process of its own, by joblib's rules: None is 1
        outside of a ``joblib.parallel_config``. The result is the same for any number.
        With ``n_runs="auto"``, rounds that may not be needed run beside one that is.
    module : torch module class, default=None
        Network to train; None takes an `nets.MLP`, for images an
        `nets.PreActResNet18`.
    max_epochs : int >= 1, default=None
        None leaves it to the setting, as for ``lr``; 30 with a ``module``.
    batch_size : int >= 1, default=None
        Rows in a batch. Larger batches train faster and take fewer steps. None leaves
        it to the setting, 128 if that has none.
    lr : float >= 0, default=None
        With SGD, momentum 0.9 and a cosine schedule; 0.1 with a ``module``.
    device : str, torch.device or None, default=None
        None takes CUDA if there is one.
    verbose : int, default=0
        1 shows a bar, 2 also a row for each training, 3 also one for each epoch.
    callbacks : list of skorch callbacks, "disable" or None, default=None
        For the classifier's trainings.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same bits on the CPU.
    **net_params : dict
        Parameters of the classifier's parts: ``module__hidden=64``,
        ``optimizer__weight_decay=0``, ``iterator_train__drop_last=True``. Like
        ``max_epochs`` and ``lr``, they apply to all settings.

    Attributes
    ----------
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        In [0, 1], larger = more suspicious. "calibrated": the probability that the
        label is wrong, if wrong labels are as easy to find as planted ones; it
        is too low for systematic mistakes. "cluster": assignment to the noisy cluster,
        which is only an order.
    scores_are_probabilities_ : bool
        True with "calibrated", False with "cluster".
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        "calibrated": the labels with the largest scores, as many as suit the ``aim``.
        "cluster":
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Estimated share of wrong labels. "calibrated": the larger of two estimates, by
        the planted labels and by the confident joint; too low for systematic mistakes.
        "cluster": the share of flagged rows.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label of flagged rows, averaged over training, and the
        given label of all others.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    label_proba_ : ndarray of shape (n_samples, n_classes), dtype float32
        Probabilities of the classes by the network, mean over its training.
    trajectories_ : ndarray of shape (n_samples, n_epochs), dtype float32
        The recorded signal under the given labels, mean over the rounds.
    corrupted_indices_ : ndarray of shape (n_planted,), dtype int64
        The row behind each planted label, round after round.
    settings_ : list of dict
        The settings that were tried.
    setting_aurocs_ : ndarray of shape (n_settings, n_rounds)
        How well each training separated planted from given labels, with one column for
        each round that ``n_runs`` allows; NaN where a setting was not trained. If
        settings were compared on ``max_rows`` rows, only these trainings.
    best_setting_ : dict
        The chosen one of those that were not dropped: that with the best AUROC when the
        rows that any of them suspects do not count, or the simplest if that is as good
        within one standard error.
    net_ : skorch net
        The last classifier of the chosen setting. It was trained on the wrong labels
        too.
    encoder_ : skorch net
        "cluster": the fitted encoder; ``encoder_.best_epoch_`` is the epoch that was
        selected by the distance between planted labels and the same rows' given
        labels, 0 = before training.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    AUMDetector : Margins against a threshold learnt from an extra class.
    sknoisy.DynamicsDisplay : Plot the trajectories.

    Notes
    -----
    The network, optimiser and lengths of ``settings="paper"`` follow the supplement of
    [1]_. It does not say how trajectories are scaled, nor at which epochs "multi-step"
    schedules lower the learning rate: those of a ResNet34 are those of the authors'
    code, in the others it falls to a tenth at half time. Encoder batches below 1024,
    keeping the last batch of small data, and drawing copies from all rows instead of
    nine tenths are our choices, and so are the rounds, the settings and the
    calibration: the user guide explains them, with measurements.

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
        **NetParamsMixin._parameter_constraints,
        "settings": [StrOptions({"auto", *ENCODERS}), list, tuple],
        "corruption": [StrOptions({"relabel", "copy"})],
        "corruption_rate": [Interval(Real, 0, 1, closed="both")],
        "n_runs": [Interval(Integral, 2, None, closed="left"), StrOptions({"auto"})],
        "max_rows": [Interval(Integral, 100, None, closed="left"), None],
        "decision": [StrOptions({"calibrated", "cluster"})],
        "aim": [StrOptions(set(AIMS))],
        "threshold": [Interval(Real, 0, 1, closed="both"), None],
        "copy_view": [StrOptions({"auto", *VIEWS}), callable, None],
        "signal": [StrOptions({*SIGNALS, "alignment"})],
        "when": [StrOptions({"online", "epoch_end"})],
        "normalize": [StrOptions({"auto", *NORMALIZATIONS}), None],
        "alignment_weight": [Interval(Real, 0, None, closed="left"), _AUTO],
        "encoder_epochs": [Interval(Integral, 1, None, closed="left"), _AUTO],
        "encoder_weight_decay": [Interval(Real, 0, None, closed="left"), _AUTO],
        "encoder_lr": [Interval(Real, 0, None, closed="neither")],
        "encoder_batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "encoder_dim": [Interval(Integral, 1, None, closed="left")],
        "eval_distance": [StrOptions({"euclidean", "cosine"})],
        "n_jobs": N_JOBS,
        "random_state": ["random_state"],
    }

    _fitted_axes = {
        "label_proba_": Along(("rows", "classes")),
        "trajectories_": Along(("rows",)),
        "corrupted_indices_": Along((), numbers_of="rows"),
    }

    def __init__(
        self,
        estimator: Estimator = None,
        *,
        settings: Literal["auto", "paper", "code"] | list[dict[str, Any]] = "auto",
        corruption: Literal["relabel", "copy"] = "relabel",
        corruption_rate: float = 0.1,
        n_runs: int | Literal["auto"] = "auto",
        max_rows: int | None = 2000,
        decision: Literal["calibrated", "cluster"] = "calibrated",
        aim: Literal["recall", "f1", "precision", "rate"] = "recall",
        threshold: float | None = None,
        copy_view: Literal["auto", "flip", "crop_resize"]
        | Callable[..., Any]
        | None = "auto",
        signal: Literal[
            "logit_diff", "loss", "probability", "prob_diff", "alignment"
        ] = "logit_diff",
        when: Literal["online", "epoch_end"] = "online",
        normalize: Literal["auto", "l2_time", "sign", "zscore"] | None = "auto",
        alignment_weight: float | Literal["auto"] = "auto",
        encoder_epochs: int | Literal["auto"] = "auto",
        encoder_weight_decay: float | Literal["auto"] = "auto",
        encoder_lr: float = 1e-5,
        encoder_batch_size: int | None = None,
        encoder_dim: int = 512,
        eval_distance: Literal["euclidean", "cosine"] = "euclidean",
        n_jobs: int | None = None,
        module: MakerOfModules | None = None,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        device: Device = None,
        verbose: int = 0,
        callbacks: Callbacks = None,
        random_state: RandomState = None,
        **net_params: Any,
    ) -> None:
        self.estimator = estimator
        self.settings = settings
        self.corruption = corruption
        self.corruption_rate = corruption_rate
        self.n_runs = n_runs
        self.max_rows = max_rows
        self.decision = decision
        self.aim = aim
        self.threshold = threshold
        self.copy_view = copy_view
        self.signal = signal
        self.when = when
        self.normalize = normalize
        self.alignment_weight = alignment_weight
        self.encoder_epochs = encoder_epochs
        self.encoder_weight_decay = encoder_weight_decay
        self.encoder_lr = encoder_lr
        self.encoder_batch_size = encoder_batch_size
        self.encoder_dim = encoder_dim
        self.eval_distance = eval_distance
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

    def fit(self, X: Rows, y: Labels, X_copy: Rows | None = None) -> Self:
        """Plant wrong labels, train, and score every given label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
            Rows of a table, or images.
        y : array-like of shape (n_samples,)
            The given labels, of any kind.
        X_copy : array-like of the shape of X, default=None
            With ``corruption="copy"``, second views of all rows, such as embeddings of
            mirrored images; bytes where X has bytes. In a Pipeline, request it by
            ``set_fit_request``.

        Returns
        -------
        self : DynaCorDetector
            The fitted estimator.

        Raises
        ------
        FloatingPointError
            If the training diverges with every setting.
        RuntimeError
            If it is interrupted before every label has been scored once. Later
            interruptions keep the trainings that were complete.
        ValueError
            If a parameter, X or y is not as described, if fewer than two labels
            occur more than once, or if there are too few
            rows for a single copy.
        """
        check_parameters(self)
        self._check_plan(X_copy)
        X, self.classes_, codes = check_rows_and_labels(
            self, X, y, min_per_class=2, on_disk=True
        )
        rng = random_generator(self.random_state)
        rows, round_codes, planted, origin = self._plant(X, codes, X_copy, rng)
        train = self._trainer(rows, round_codes, rng)
        self.settings_ = self._settings(X.ndim)
        candidates = [Candidate(s, planted, len(X)) for s in self.settings_]
        is_clustered = self.decision == "cluster"
        n_trainings = len(candidates) * len(planted) + is_clustered
        name, unit = type(self).__name__, "training"
        with (
            progress(n_trainings, name, self.verbose, unit=unit) as bar,
            Jobs(self.n_jobs) as jobs,
        ):
            if is_clustered or self.corruption == "copy":
                active = race(candidates, train, len(planted), bar, jobs)
                best = choose(active, origin, len(self.classes_))
            else:
                how = bar, jobs
                candidates, best = self._race(candidates, train, X, codes, rng, *how)
            self._store(candidates, len(planted), best, origin)
            if is_clustered:
                self._cluster(best, X.ndim, rng)
                bar.advance()
            else:
                self._calibrate(best, codes)
        self.label_proba_ = best.given_proba
        suggested = suggest_labels(self.label_proba_, codes, self.noise_mask_)
        self.suggested_labels_ = self.classes_[suggested]
        return self

    def _trainer(self, rows, round_codes, rng):
        """Return the function that makes the task to train a setting in a round."""
        seeds = rng.integers(2**31, size=len(round_codes))
        how = {
            "n_classes": len(self.classes_),
            "signal": self.signal,
            "when": self.when,
            # With several trainings the complete ones are used.
            "must_be_whole": self.corruption == "relabel",
        }

        def train(setting, number):
            net, seed = self._make_setting(setting), int(seeds[number])
            return partial(_train, **how, seed=seed), net, rows, round_codes[number]

        return train

    def _race(self, candidates, train, X, codes, rng, bar, jobs):
        """Choose a setting, and train it on all rows; return what competed, and it."""
        least, most = AUTO_RUNS if self.n_runs == "auto" else 2 * (self.n_runs,)
        n_shared = min(SHARED_ROUNDS, most) if len(candidates) > 1 else 0
        finalist, n_classes = None, len(self.classes_)
        if n_shared and X.ndim == 2 and len(X) > (self.max_rows or np.inf):
            everywhere = candidates, train
            part = proportional_rows(codes, self.max_rows, rng)
            codes = codes[part]
            round_codes = corrupted_labels(
                codes, n_classes, self.corruption_rate, n_shared, rng
            )
            planted = round_codes != codes
            candidates = [Candidate(s, planted, len(part)) for s in self.settings_]
            train = self._trainer(X[part], round_codes, rng)

            def finalist(setting):
                all_rows, train = everywhere
                return all_rows[self.settings_.index(setting)], train

        bar.total = len(candidates) * n_shared + most - (0 if finalist else n_shared)
        best = race_then_repeat(
            candidates,
            train,
            partial(choose, origin=np.arange(len(codes)), n_classes=n_classes),
            (n_shared, least, most),
            bar,
            finalist,
            jobs,
        )
        return candidates, best

    def _store(self, candidates, n_rounds, best, origin):
        """Store the result of the race."""
        self.best_setting_, self.net_ = best.setting, best.net
        self.setting_aurocs_ = np.full((len(candidates), n_rounds), np.nan)
        for row, candidate in zip(self.setting_aurocs_, candidates, strict=True):
            row[: len(candidate.aurocs)] = candidate.aurocs
        self.corrupted_indices_ = origin[np.nonzero(best.planted)[1]]
        self.trajectories_ = _oriented(best.given_trajectories, self.signal)

    def _check_plan(self, X_copy):
        """Refuse combinations that make no sense."""
        relabels = self.corruption == "relabel"
        if not self.corruption_rate and (relabels or self.decision != "cluster"):
            raise ValueError(
                "corruption_rate=0 plants no label to learn from; it needs "
                "corruption='copy' and decision='cluster'."
            )
        if relabels and self.corruption_rate > 0.5:
            raise ValueError(
                f"corruption_rate={self.corruption_rate} would relabel most rows; "
                "give at most 0.5, or corruption='copy'."
            )
        is_given = {
            "copy_view": self.copy_view not in ("auto", None),
            "X_copy": X_copy is not None,
        }
        for name in is_given:
            if relabels and is_given[name]:
                raise ValueError(
                    f"{name} needs corruption='copy': there are no copies."
                )
        is_list = not isinstance(self.settings, str)
        if is_list and not all(isinstance(s, dict) for s in self.settings or [None]):
            raise ValueError(
                "settings must be 'auto', 'paper', 'code' or a list of at least one "
                f"dict of net parameters; got {self.settings!r}."
            )
        # As many for rows of any kind.
        if self.corruption_rate == 0 and len(self._settings(n_dims=2)) > 1:
            raise ValueError(
                "corruption_rate=0 leaves nothing to choose among settings by; set "
                "settings='paper' or a list of one."
            )

    def _settings(self, n_dims):
        """Return the settings to choose among, for X with so many dimensions."""
        if not isinstance(self.settings, str):
            settings = self.settings
        elif self.estimator is not None:
            settings = [{}]
        elif self.settings != "auto":
            settings = [self._procedure(n_dims).setting]
        elif self.module is not None:
            settings = [OWN_MODULE]
        else:
            settings = default_settings(n_dims)
        # They become attributes, which the user may change.
        return [dict(setting) for setting in settings]

    def _procedure(self, n_dims):
        """Return the published settings, those of features if others are chosen."""
        if not isinstance(self.settings, str) or self.settings == "auto":
            return procedure("paper", 2)
        model = self._net_params().get("module__model")
        return procedure(self.settings, n_dims, self.module, model)

    def _encoder_params(self, n_dims):
        """Return the parameters of the encoder, with values for "auto"."""
        found = self._procedure(n_dims).encoder
        given = {name: getattr(self, name) for name in found}
        return {k: found[k] if v == "auto" else v for k, v in given.items()}

    def _plant(self, X, codes, X_copy, rng):
        """Return rows, labels of each round, where these are planted, row origins."""
        n_samples, n_classes = len(X), len(self.classes_)
        samples = np.arange(n_samples)
        if self.corruption == "relabel":
            n_rounds = AUTO_RUNS[1] if self.n_runs == "auto" else self.n_runs
            round_codes = corrupted_labels(
                codes, n_classes, self.corruption_rate, n_rounds, rng
            )
            return X, round_codes, round_codes != codes, samples
        source, copy_codes = corrupted_copies(
            codes, n_classes, self.corruption_rate, rng
        )
        if self.corruption_rate and not len(source):
            raise ValueError(
                f"corruption_rate={self.corruption_rate} of n_samples = {n_samples} "
                "rows leaves no row to corrupt; raise it or give more rows."
            )
        rows = with_copies(self, X, source, self.copy_view, X_copy)
        if X.ndim < 4 and self.copy_view == "auto" and X_copy is None and len(source):
            warn_user(
                "the corrupted copies are identical to their rows, so that a network "
                "with enough capacity memorises all labels but theirs. Give fit second "
                "views of the rows as X_copy, such as embeddings of mirrored images, "
                "or a copy_view; copy_view=None does without this warning."
            )
        origin = np.concatenate([samples, source])
        round_codes = np.concatenate([codes, copy_codes])[None]
        planted = np.arange(len(origin))[None] >= n_samples
        return rows, round_codes, planted, origin

    def _make_setting(self, setting):
        """Return an unfitted net with a setting."""
        if self.estimator is not None:
            return self._make_net().set_params(**setting)
        net = self._make_net(**setting)
        return net.set_params(verbose=max(0, self.verbose - 1))

    @property
    def _mask_is_threshold(self):
        # The calibrated decision flags a number of rows; it has no threshold on scores.
        return self.decision == "cluster"

    @property
    def scores_are_probabilities_(self) -> bool:
        """Whether the scores were calibrated, bool."""
        check_is_fitted(self, "noise_scores_")
        return not hasattr(self, "encoder_")

    def _may_calibrate(self):
        return self.decision != "cluster"

    def _calibrate(self, best, codes):
        """Score by the mean signal, calibrated on that of planted labels."""
        # An earlier fit may have clustered.
        vars(self).pop("encoder_", None)
        n_classes = len(self.classes_)
        signal, proba = best.given_signal, best.given_proba
        calibration = best.calibrate(n_classes)
        confident = 1 - np.trace(confident_joint(codes, proba))
        contradicted = float((proba.argmax(1) != codes).mean())
        evidence = Evidence(calibration.noise_rate, confident, contradicted)
        if confident > calibration.noise_rate:
            calibration = best.calibrate(n_classes, confident)
        self.noise_rate_ = evidence.noise_rate = float(calibration.noise_rate)
        order = np.argsort(signal, kind="stable")
        # Ties of the calibration are broken by the signal.
        rank = np.empty(len(codes))
        rank[order] = np.linspace(1, 0, len(codes))
        scores = 0.999 * calibration(signal) + 0.001 * rank
        self.noise_scores_ = defined_scores(self, scores)
        if self.threshold is None:
            self.noise_mask_ = flagged(scores, evidence.count_flags(scores, self.aim))
        else:
            self.noise_mask_ = scores > self.threshold

    def _cluster(self, best, n_dims, rng):
        """Cluster the trajectories of given and of planted labels."""
        params = self._encoder_params(n_dims)
        given, planted = best.given_trajectories, best.planted_trajectories
        rows = np.concatenate([given, planted]).astype(np.float32)
        rows = normalize_trajectories(rows, params["normalize"])
        n_rows = len(rows)
        batch_size = self.encoder_batch_size or min(1024, max(64, n_rows // 8))
        self.encoder_ = DynamicsClustering(
            copied_rows=self.corrupted_indices_,
            module__n_out=self.encoder_dim,
            module__eval_distance=self.eval_distance,
            criterion__weight=params["alignment_weight"],
            optimizer=torch.optim.Adam,
            optimizer__weight_decay=params["encoder_weight_decay"],
            lr=self.encoder_lr,
            max_epochs=params["encoder_epochs"],
            batch_size=batch_size,
            iterator_train__drop_last=n_rows >= 2 * batch_size,
            device=self.device,
            verbose=max(0, self.verbose - 1),
            random_state=int(rng.integers(2**31)),
        )
        is_copy = (np.arange(n_rows) >= len(given)).astype(np.int64)
        try:
            with interruptions("keep"):
                self.encoder_.partial_fit(ArrayDataset(rows, is_copy), classes=[0, 1])
        except FloatingPointError as error:
            raise FloatingPointError(
                "the encoder of the trajectories diverged; lower encoder_lr (now "
                f"{self.encoder_lr})."
            ) from error
        if not self.encoder_.metrics_:
            raise TrainingInterrupted(
                "fit was interrupted before the encoder could score."
            )
        if self.encoder_.interrupted_:
            n_scored = len(self.encoder_.metrics_) - 1
            tell(
                f"the encoder was interrupted: labels are scored from the best of "
                f"{n_scored} epochs of {params['encoder_epochs']}. Fit again to use "
                "all of them.",
            )
        self.noise_scores_ = defined_scores(self, self.encoder_.scores_[: len(given)])
        self.noise_mask_ = self.noise_scores_ > 0.5
        self.noise_rate_ = float(self.noise_mask_.mean())


def _train(net, rows, codes, *, n_classes, signal, when, must_be_whole, seed):
    """Train one classifier and return what `Candidate.add` takes."""
    how = {"signal": signal, "when": when, "seed": seed}
    with interruptions("keep"):
        trajectories, mean_proba = record_dynamics(net, rows, codes, n_classes, **how)
    if net.interrupted_:
        if must_be_whole:
            raise TrainingInterrupted("fit was interrupted.")
        tell(
            "DynaCorDetector was interrupted: labels are scored from "
            f"{trajectories.shape[1]} of {net.max_epochs} epochs. Fit again to "
            "use all of them.",
        )
    return _oriented(trajectories, signal), mean_proba, net


def _oriented(trajectories, signal):
    """Negate the signal that is larger for wrong labels; its own inverse."""
    return -trajectories if signal == "loss" else trajectories
