"""PENCIL: labels are learnt beside the network, in the second of three stages."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from scipy.special import softmax
from torch.nn import functional as F

from sknoisy.extending import (
    Interval,
    Learnt,
    NetClassifier,
    RobustNetMixin,
    Step,
    StrOptions,
    resolve_epochs,
)
from sknoisy.losses import PENCILLoss

if TYPE_CHECKING:
    from sknoisy.extending import Array, Device, IntArray, MakerOfModules, RandomState

__all__ = ["PENCILClassifier"]

# Shares of all epochs. The authors have 70 and 130 of 320.
_WARMUP_SHARE, _LABEL_SHARE = 0.05, 0.4


class PENCILClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier that learns a label for each row beside the network.

    First the network learns the given labels. Then it learns labels of its own, one
    distribution for each row, that start at the given ones and follow the predictions;
    last it learns these labels as they are then [1]_. For many labels that are wrong at
    random.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`.
    warmup_epochs : int >= 0 or "auto", default="auto"
        Epochs at the start in which the given labels are learnt. "auto" is a
        twentieth of all; [1]_ has 70 of 320. ``fit`` refuses a number that leaves no
        other epoch.
    label_epochs : int >= 1 or "auto", default="auto"
        Epochs after these in which the labels are learnt, too. "auto" is 0.4 of all, as
        in [1]_: 130 of 320.
    label_lr : float >= 0, default=1.0
        Step of the logits of a row's label, whenever the row is learnt. [1]_ has λ =
        600, which is 0.47 here: it is divided by the rows of a batch and the classes.
        The default is larger, for a fifteenth of the epochs.
    alpha : float >= 0, default=0.2
        Weight of the compatibility with the given label: α of [1]_ times the number of
        classes. From about 1 on no label is replaced, however sure the network is. The
        authors' code has 0.4 for ten classes, which is 4 here.
    beta : float >= 0, default=0.1, the value of the authors' code
        Weight of the entropy of the predictions, which is minimised, β.
    initial_logit : float > 0, default=10.0, the value of [1]_
        Logit of the given label at the start, K. The larger, the later the label
        changes.
    compatibility : {"softmax", "logits"}, default="softmax"
        The compatibility is the cross-entropy of the given label with the learnt one.
        "softmax" takes the softmax twice, as the authors' code does, and then pulls
        only at labels that have moved already. "logits" is the formula of [1]_: a
        given label that the network is sure is wrong keeps α / (1 + α).
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
    estimated_targets_ : ndarray of shape (n_samples, n_classes), dtype float64
        The learnt labels; predictions for rows whose label was not learnt. Rows sum to
        1.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 minus the learnt label at the given one. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Share of rows in the upper of two groups of margins: the logarithm of the
        largest other entry of the learnt label over that of the given one. Where no
        group is against its labels, the mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The largest other entry of the learnt label where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    module_, criterion_, optimizer_, history_, settings_, device_, n_features_in_
        As in `NetClassifier`.

    See Also
    --------
    ELRClassifier : Averages of predictions hold the network back.
    DynamicBootstrapClassifier : Mixes label and prediction by the loss.
    sknoisy.losses.PENCILLoss : The loss alone.

    Notes
    -----
    The loss is that of [1]_ times the number of classes C, as large as the
    cross-entropy of the first stage. The learning rate follows ``lr_schedule`` through
    all stages. That of [1]_ is constant for two stages, 0.06 and then 0.06 / C, and
    starts the third at 0.2 / C, to fall in steps: a callable ``lr_schedule`` does that.
    In the authors' code it is 0 for the last quarter of the epochs, by a division of
    integers.

    Steps of labels do not depend on ``batch_size``, nor on sample weights, which count
    in the loss. Labels are a buffer of ``criterion_``: checkpoints, pickles and
    ``partial_fit`` keep them.

    References
    ----------
    .. [1] K. Yi, J. Wu, "Probabilistic end-to-end noise correction for learning with
       noisy labels", CVPR 2019. arXiv:1903.07788

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import PENCILClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = PENCILClassifier(random_state=0).fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.85)
    True
    """

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "warmup_epochs": [
            Interval(Integral, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "label_epochs": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "label_lr": [Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "initial_logit": [Interval(Real, 0, None, closed="neither")],
        "compatibility": [StrOptions({"softmax", "logits"})],
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        warmup_epochs: Literal["auto"] | int = "auto",
        label_epochs: Literal["auto"] | int = "auto",
        label_lr: float = 1.0,
        alpha: float = 0.2,
        beta: float = 0.1,
        initial_logit: float = 10.0,
        compatibility: Literal["softmax", "logits"] = "softmax",
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
        self.warmup_epochs = warmup_epochs
        self.label_epochs = label_epochs
        self.label_lr = label_lr
        self.alpha = alpha
        self.beta = beta
        self.initial_logit = initial_logit
        self.compatibility = compatibility

    def start_fit(self, dataset: Any) -> None:
        """Refuse a first stage that is the whole training."""
        super().start_fit(dataset)
        n_warmup = self.warmup_epochs
        if n_warmup != "auto" and n_warmup >= self.max_epochs and not self.goes_on_:
            raise ValueError(
                f"warmup_epochs={n_warmup} leaves no epoch in which labels are learnt: "
                f"it must be less than max_epochs={self.max_epochs}."
            )

    def initialize_criterion(self) -> Self:
        """Allocate the labels that are learnt."""
        self.criterion_ = self.own_criterion(
            PENCILLoss,
            alpha=self.alpha,
            beta=self.beta,
            label_lr=self.label_lr,
            initial_logit=self.initial_logit,
            compatibility=self.compatibility,
        )
        return self

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Settle the stage."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        epoch = len(self.history)
        n_warmup = resolve_epochs(self.warmup_epochs, _WARMUP_SHARE, self.max_epochs)
        n_label = resolve_epochs(self.label_epochs, _LABEL_SHARE, self.max_epochs)
        self.is_warmup_ = epoch <= n_warmup
        self.moves_labels_ = n_warmup < epoch <= n_warmup + n_label

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the loss of a batch, its logits, and the labels that it learns."""
        logits = self.module_(X).float()
        if self.is_warmup_:
            loss, learnt = F.cross_entropy(logits, y, reduction="none"), y
        else:
            learnt = self.criterion_.targets(y, index)
            loss = self.criterion_(logits, y, index, update=self.moves_labels_)
        loss = self.weighted_mean(loss, index)
        return Step(loss, logits, [Learnt(self.module_, X, learnt)])

    def label_evidence(self, proba: Array, codes: IntArray) -> Array:
        """Return the learnt labels; the predictions for rows without one."""
        shifts = self.criterion_.shifts.cpu().numpy()
        # In double precision, so that sure labels are not all alike.
        label_logits = shifts.astype(np.float64)
        label_logits[np.arange(len(codes)), codes] += self.criterion_.initial_logit
        is_learnt = shifts.any(1)[:, None]
        targets = np.where(is_learnt, softmax(label_logits, axis=1), proba)
        self.estimated_targets_ = targets
        return targets
