"""SELC: labels are corrected by an average of predictions of earlier epochs."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self

import torch

from sknoisy.classification._label_targets import evidence_of
from sknoisy.extending import (
    Interval,
    Learnt,
    NetClassifier,
    RobustNetMixin,
    Step,
    StrOptions,
    resolve_epochs,
)
from sknoisy.losses import SELCLoss

if TYPE_CHECKING:
    from sknoisy.extending import Array, Device, IntArray, MakerOfModules, RandomState

__all__ = ["SELCClassifier"]

# Of the epochs, the share that is trained on the given labels.
_WARMUP_SHARE = 0.1


class SELCClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier that corrects labels by its earlier predictions.

    A network learns right labels before it memorises wrong ones. After a warm-up, the
    target of a row is an average of its label and of what the network has predicted for
    it in each epoch since; the label counts less and less [1]_.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`.
    alpha : float in [0, 1), default=0.7
        Momentum of the targets, α: the larger, the longer the given label counts.
        After n epochs of correction it counts α^n. [1]_ has 0.9 for its 200 epochs and
        0.8 for 40 on Clothing1M.
    warmup_epochs : int >= 0 or "auto", default="auto"
        Epochs of cross-entropy on the given labels, E_s. "auto" is a tenth of
        ``max_epochs``. [1]_ has 20 to 40 of 200 for CIFAR, 40 of 100 for ANIMAL-10N and
        WebVision, 5 of 40 for Clothing1M. ``fit`` refuses a number that leaves no
        epoch.
    lr : float >= 0, default=0.05
        Learning rate at the first epoch.
    max_epochs : int >= 1, default=20
        Epochs that one call of ``fit`` or ``partial_fit`` runs.
    batch_size : int >= 1 or -1, default=128
        Rows of a batch; -1 takes all rows at once.
    random_state : int, RandomState instance or None, default=None
        Initial weights, order of rows, dropout. The same int gives the same bits on
        the CPU.
    verbose : int, default=0
        1 shows a bar, on stderr; 2 prints a row for each epoch.
    device : str, torch.device or None, default=None
        None takes CUDA if there is one.
    **net_params : dict
        Further parameters of `NetClassifier`: ``settings``, ``optimizer``,
        ``lr_schedule``, ``callbacks``, ``module__hidden``…

    Attributes
    ----------
    estimated_targets_ : ndarray of shape (n_samples, n_classes), dtype float32
        The targets t; rows sum to 1.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 minus the target at the given label; of rows whose target never moved, 1
        minus its predicted probability. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Share of rows in the upper of two groups of margins, by the targets: the
        logarithm of the largest other over that of the label. Where no group is
        against its labels, the mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The largest other target where the given label is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    module_, criterion_, optimizer_, history_, settings_, device_, n_features_in_
        As in `NetClassifier`.

    See Also
    --------
    NALClassifier : Also learns how far to attend to each row.
    ELRClassifier : The averages resist wrong labels, but do not replace them.
    sknoisy.losses.SELCLoss : The loss alone.

    Notes
    -----
    [1]_ finds E_s from the epoch in which the losses of right and wrong labels begin to
    come together; the authors' code has a number for each data set, and so has this.

    SELC+ of [1]_ is a second training from scratch, with mixup, on the corrected labels
    ``classes_[estimated_targets_.argmax(1)]``; it is left to you.

    References
    ----------
    .. [1] Y. Lu, W. He, "SELC: Self-ensemble label correction improves learning with
       noisy labels", IJCAI 2022. arXiv:2205.01156

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import SELCClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = SELCClassifier(random_state=0).fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.85)
    True
    """

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "alpha": [Interval(Real, 0, 1, closed="left")],
        "warmup_epochs": [
            Interval(Integral, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        alpha: float = 0.7,
        warmup_epochs: Literal["auto"] | int = "auto",
        lr: float = 0.05,
        max_epochs: int = 20,
        batch_size: int = 128,
        random_state: RandomState = None,
        verbose: int = 0,
        device: Device = None,
        **net_params: Any,
    ) -> None:
        super().__init__(
            module,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            random_state=random_state,
            verbose=verbose,
            device=device,
            **net_params,
        )
        self.alpha = alpha
        self.warmup_epochs = warmup_epochs

    def start_fit(self, dataset: Any) -> None:
        """Remember the labels, from which the targets start."""
        super().start_fit(dataset)
        given = self.warmup_epochs
        if given != "auto" and given >= self.max_epochs and not self.goes_on_:
            raise ValueError(
                f"warmup_epochs={given} leaves no epoch in which labels are corrected: "
                f"it must be below max_epochs={self.max_epochs}."
            )
        self._codes = torch.from_numpy(dataset.codes)

    def initialize_criterion(self) -> Self:
        """Set the targets to the labels."""
        self.criterion_ = self.own_criterion(SELCLoss, alpha=self.alpha)
        self.criterion_.start(self._codes.to(self.device_))
        return self

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Settle whether labels are corrected."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        given = self.warmup_epochs
        n_warmup = resolve_epochs(given, _WARMUP_SHARE, self.max_epochs)
        self.corrects_ = len(self.history) > n_warmup

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the cross-entropy of a batch with its targets, and logits."""
        logits = self.module_(X)
        loss = self.criterion_(logits.float(), y, index, correct=self.corrects_)
        learnt = Learnt(self.module_, X, self.criterion_.targets[index])
        return Step(self.weighted_mean(loss, index), logits, [learnt])

    def label_evidence(self, proba: Array, codes: IntArray) -> Array:
        """Return the targets; what is predicted where none was estimated."""
        self.estimated_targets_, evidence = evidence_of(self.criterion_, proba, codes)
        return evidence
