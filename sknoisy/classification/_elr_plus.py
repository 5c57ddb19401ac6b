"""ELR+: early-learning regularisation with two networks."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from sknoisy.extending import (
    Interval,
    Learnt,
    NetClassifier,
    Peers,
    RobustNetMixin,
    Step,
    StrOptions,
    draw_mixing,
    epoch_generator,
    mixup,
    refuse_instance,
    soft_cross_entropy,
)
from sknoisy.losses import ELRLoss, early_learning_penalty
from sknoisy.nets._many_tensors import lerp_each_
from sknoisy.nets._masked_training import is_masked, masked_views

if TYPE_CHECKING:
    from sknoisy.extending import Array, Device, IntArray, MakerOfModules, RandomState

__all__ = ["ELRPlusClassifier"]

# The ramp of the weight averages takes 40,000 of the published 200 epochs of 391 steps.
_RAMP_SHARE = 40_000 / (200 * 391)


class ELRPlusClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier of two networks with early-learning regularisation.

    Each network has a moving average of its weights. The average of the other network
    predicts the rows, and these predictions, averaged over the epochs, are the targets
    t of the regulariser λ log(1 − ⟨t, p⟩); inputs are mixed in pairs [1]_. For long
    trainings and few wrong labels: in short ones the targets follow the given labels
    where half of them are wrong. Under symmetric noise ``noise_rate_`` is within 0.1 of
    the truth on digits and two tables, 0.16 too large on letters, and 0.07 to 0.30 too
    small on image features. On sixteen small sets it is 0.029 behind the better of a
    tuned logistic regression and a tuned network, on the mean, and ahead on 2.

    Parameters
    ----------
    module : torch module class, default=None
        As in `NetClassifier`, but not an instance: two networks with the same weights
        would learn the same.
    lam : float >= 0, default=3.0, the value of [1]_ for CIFAR-10
        Weight of the regulariser, λ; 1 for asymmetric noise, 7 for CIFAR-100.
    beta : float in [0, 1), default=0.7, the value of [1]_ for symmetric noise
        Momentum of the targets, β; 0.9 for asymmetric noise and CIFAR-100.
    mixup_alpha : float > 0, default=1.0, the value of [1]_
        Both parameters of the beta distribution of a batch's share.
    average_momentum : float in [0, 1), default=0.997, the value of [1]_
        Final momentum of the weight averages.
    average_ramp_steps : int >= 0 or "auto", default="auto"
        Steps over which that momentum is reached. "auto" is half of all steps, as the
        40,000 of 78,200 in [1]_.
    lam_ramp_steps : int >= 0, default=0, the value of [1]_ for CIFAR-10
        Steps over which ``lam`` is reached; 40,000 for CIFAR-100.
    mix_masked : bool, default=False
        Whether the masked copies of ``masking`` are mixed with the rows of the batch
        and with each other, and learn the mixed labels. By default they are learnt
        beside the batch, with the given labels.
    label_target_product : bool, default=False
        Whether labels are multiplied by the targets and scaled to a sum of 1. The
        authors' code does that for 100 classes only.
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
        Further parameters of `NetClassifier`, such as ``settings``, for both networks.

    Attributes
    ----------
    estimated_targets_ : ndarray of shape (n_samples, n_classes), dtype float32
        Targets t, averaged over both networks.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 minus the target at the given label, as a share of the row's sum. Larger =
        more suspicious.
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
        As in `NetClassifier`; ``module_.peers`` are the two networks.

    See Also
    --------
    ELRClassifier : One network, in less than half the time.

    Notes
    -----
    In each epoch the first network passes over all rows, then the second one. Both
    logits are averaged for a prediction. The weight averages start as copies of their
    networks; in the authors' code they are initialised independently.

    With ``mix_masked``, the loss of [1]_ is that of the rows as they are mixed, with
    the regulariser; to it comes that of the masked copies as they are mixed, half of
    ``masking__masking_weight`` each, with the softened labels of `AdversarialMasking`
    and without the regulariser. A row may be mixed with a masked copy.

    References
    ----------
    .. [1] S. Liu, J. Niles-Weed, N. Razavian, C. Fernandez-Granda, "Early-learning
       regularization prevents memorization of noisy labels", NeurIPS 2020.
       arXiv:2007.00151

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import ELRPlusClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = ELRPlusClassifier(random_state=0).fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.85)
    True
    """

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "lam": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, 1, closed="left")],
        "mixup_alpha": [Interval(Real, 0, None, closed="neither")],
        "average_momentum": [Interval(Real, 0, 1, closed="left")],
        "average_ramp_steps": [
            Interval(Integral, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "lam_ramp_steps": [Interval(Integral, 0, None, closed="left")],
        "label_target_product": ["boolean"],
        "mix_masked": ["boolean"],
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        lam: float = 3.0,
        beta: float = 0.7,
        mixup_alpha: float = 1.0,
        average_momentum: float = 0.997,
        average_ramp_steps: Literal["auto"] | int = "auto",
        lam_ramp_steps: int = 0,
        label_target_product: bool = False,
        mix_masked: bool = False,
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
        self.lam = lam
        self.beta = beta
        self.mixup_alpha = mixup_alpha
        self.average_momentum = average_momentum
        self.average_ramp_steps = average_ramp_steps
        self.lam_ramp_steps = lam_ramp_steps
        self.label_target_product = label_target_product
        self.mix_masked = mix_masked

    def start_fit(self, dataset: Any) -> None:
        """Count the steps of this training."""
        super().start_fit(dataset)
        if self.mix_masked and self.masking is None:
            raise ValueError(
                "mix_masked=True would have no effect: masking is None. Set "
                "masking=AdversarialMasking."
            )
        self.steps_ = [0, 0]
        self.ramp_steps_ = self.average_ramp_steps
        if self.ramp_steps_ == "auto":
            n_steps = self.max_epochs * len(self.get_iterator(dataset, training=True))
            self.ramp_steps_ = round(_RAMP_SHARE * n_steps)

    def initialize_module(self) -> Self:
        """Build two networks and their averages."""
        refuse_instance(self.module)
        self.module_ = _AveragedPeers(lambda: self.build("module"))
        return self

    def initialize_criterion(self) -> Self:
        """Allocate the targets of both networks."""
        self.criterion_ = nn.ModuleList(
            [self.own_criterion(ELRLoss, lam=self.lam, beta=self.beta) for _ in "AB"]
        )
        return self

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the loss of a batch for the network whose turn it is, and logits."""
        own, table = self.module_.peers[self.turn_], self.criterion_[self.turn_]
        teacher = self.module_.averages[1 - self.turn_]
        n, rows, labels = len(X), X, F.one_hot(y, len(self.classes_)).float()
        weight, more = 1.0, 0.0
        if self.mix_masked and is_masked(self):
            rows, labels, more = self._with_masked(own, X, labels, index)
            weight = cast("Any", self.masking_).masking_weight / 2
        partner, share = draw_mixing(self, rows)
        with torch.no_grad():
            targets = table.update(teacher(X).float(), index)
            targets = mixup(targets.repeat(len(rows) // n, 1), partner, share)
        logits = own(mixup(rows, partner, share)).float()
        labels = mixup(labels, partner, share)
        if self.label_target_product:
            labels = F.normalize(labels * targets, p=1, dim=1)
        losses = soft_cross_entropy(logits, labels)
        ramp = _ramp(self.steps_[self.turn_] + 1, self.lam_ramp_steps)
        penalty = early_learning_penalty(logits[:n], targets[:n])
        first = losses[:n] + ramp * self.lam * penalty
        losses = torch.cat([first, weight * losses[n:]])
        loss = self._mean(losses, index, partner, share) + more
        return Step(loss, logits[:n], [Learnt(own, X, y)])

    def _with_masked(self, own, X, labels, index):
        """Return the rows and their masked copies, the labels of all, and a loss."""
        quality = self.masking_.label_quality[self.turn_, index]
        masked, softened, loss = masked_views(self, own, X, labels, quality, index)
        return torch.cat([X, *masked]), torch.cat([labels, softened, softened]), loss

    def _mean(self, losses, index, partner, share):
        """Return the mean over the batch of the summed losses of a row's views."""
        n_views = len(losses) // len(index)
        if self.sample_weight_ is None:
            return losses.mean() * n_views
        weight = self.sample_weight_[index]
        losses = mixup(weight.repeat(n_views), partner, share) * losses
        return losses.sum() / weight.sum().clamp_min(1e-12)

    def passes(self, batches: Iterable[Any]) -> Iterable[tuple[Any, Iterable[Any]]]:
        """Train each network on all rows, one after the other."""
        for turn in (0, 1):
            yield turn, self._averaged(batches, turn)

    def _averaged(self, batches, turn):
        """Yield batches; move the weight average of a network after each step."""
        for batch in batches:
            yield batch
            self.steps_[turn] += 1
            ramp = _ramp(self.steps_[turn] + 1, self.ramp_steps_)
            self.module_.move_average(turn, self.average_momentum * ramp)

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Seed the shares."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        self.rng_ = epoch_generator(self)

    def label_evidence(self, proba: Array, codes: IntArray) -> Array:
        """Return the mean targets; predictions for rows that were not trained on."""
        targets = torch.stack([table.targets for table in self.criterion_]).mean(0)
        self.estimated_targets_ = targets.cpu().numpy()
        # After n epochs the targets sum to 1 − β^n.
        total = self.estimated_targets_.sum(1, keepdims=True)
        shares = proba.copy()
        return np.divide(self.estimated_targets_, total, out=shares, where=total > 0)


class _AveragedPeers(Peers):
    """Two networks, each with a moving average of its weights."""

    def __init__(self, build):
        super().__init__(build, n_peers=2, mean_of="logits")
        self.averages = copy.deepcopy(self.peers).requires_grad_(False)

    @property
    def compiled_parts(self):
        """The networks that training and prediction call, and their teachers."""
        return [*self.peers, *self.averages]

    @torch.no_grad()
    def move_average(self, turn, momentum):
        """Move the average of a network towards its weights, not its buffers."""
        average = list(self.averages[turn].parameters())
        weights = list(self.peers[turn].parameters())
        lerp_each_(average, weights, 1 - momentum)


def _ramp(step, n_steps):
    """Return exp(−5 (1 − s / S)²), which rises to 1 over n_steps."""
    if not n_steps:
        return 1.0
    return math.exp(-5 * (1 - min(step, n_steps) / n_steps) ** 2)
