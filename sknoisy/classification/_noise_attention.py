"""Noise attention learning: each row's gradient is scaled by a learnt weight."""

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
from sknoisy.losses import NoiseAttentionLoss
from sknoisy.nets._attention import AttentiveNetwork

if TYPE_CHECKING:
    from sknoisy.extending import Array, Device, IntArray, MakerOfModules, RandomState

__all__ = ["NALClassifier", "default_lam"]

# Of the epochs, the share after which targets are estimated.
_START_SHARE = 0.4
# Gradient of a row that is predicted by chance, relative to cross-entropy's: what
# the published λ = 0.5 gives for ten classes.
_GRADIENT_AT_CHANCE = 0.5 / 9
# Trainings of fewer updates need a larger one, by up to this factor. Networks on images
# learn more slowly, and rows that are not learnt yet are not attended to.
_ENOUGH_UPDATES, _MOST = 3_000, 3.0
_ENOUGH_FOR_IMAGES, _MOST_FOR_IMAGES = 10_000, 12.0


def default_lam(n_classes, n_updates, of_images=False):
    """Return λ by the number of classes and of updates.

    Parameters
    ----------
    n_classes, n_updates : int
    of_images : bool, default=False

    Returns
    -------
    lam : float
        (n_classes − 1) / 18, times 3000 / n_updates where that is from 1 to 3; of
        images, 10000 / n_updates where that is from 1 to 12.
    """
    enough, most = _ENOUGH_UPDATES, _MOST
    if of_images:
        enough, most = _ENOUGH_FOR_IMAGES, _MOST_FOR_IMAGES
    factor = min(most, max(1.0, enough / n_updates))
    return factor * _GRADIENT_AT_CHANCE * (n_classes - 1)


class NALClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier that learns how far to attend to each row.

    A branch of the network gives each row an attention τ, which scales its
    gradient; the boost term λ keeps τ from vanishing. Later, labels are replaced by
    targets that follow the predictions [1]_. For scaled features with wrong labels at
    random. Not for pair flips, nor many classes with few rows of each. Under symmetric
    noise ``noise_rate_`` is within 0.07 of the truth on six sets, and 0.11 too small on
    features of CIFAR-10 where half of the labels are wrong. On sixteen small sets it is
    0.014 behind the better of a tuned logistic regression and a tuned network, on the
    mean, and ahead on 6.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`.
    lam : float >= 0 or "auto", default="auto"
        Weight of the boost term, λ: the larger, the more rows are fitted, wrong ones
        at last. "auto" is (n_classes − 1) / 18 from 3,000 updates on, up to three times
        that for fewer; for images from 10,000 on, up to twelve times. [1]_ has 0.5 for
        CIFAR-10 and ANIMAL-10N, 10 for CIFAR-100, 50 for Clothing1M and WebVision.
    alpha : float in [0, 1), default=0.7
        Momentum of the targets, α: the larger, the slower they leave the labels. [1]_
        has 0.9 for its 500 epochs; in the dozen moves of 20 epochs the targets get
        farther with 0.7.
    target_start_epoch : int >= 1 or "auto", default="auto"
        First epoch in which targets are estimated, E_s. "auto" is 40 % of
        ``max_epochs``. [1]_ has 60 of 500 for CIFAR, 40 of 100 for ANIMAL-10N, 60 of
        250 for Clothing1M and 200 of 500 for WebVision. ``fit`` refuses a number after
        the last epoch.
    target_update_every : int >= 1, default=1
        Epochs from one move of the targets to the next. [1]_ moves them in each 10th,
        the last of its learning-rate cycles.
    attention : {"linear", "mlp"}, default="linear"
        The branch: one linear unit, or two hidden layers before it, as the authors'
        code has for ANIMAL-10N.
    attention_input : {"features", "maps"}, default="features"
        What the branch reads: the input of the last linear layer, or the pooled feature
        maps, the flattened input of the first linear layer after the convolutions, as
        the authors' code has for the VGG-19 of ANIMAL-10N. In networks with a single
        linear layer, such as residual networks, both are the same. "maps" needs
        convolutions.
    attention_threshold : float in [0, 1), default=0.0
        Only rows with a larger τ have their target moved.
    label_floor : float in [0, 1), default=0.0
        Targets are raised to this. The authors' code has 1e-4, [1]_ none.
    rce_weight : float >= 0, default=0.0
        Weight of a reverse cross-entropy; the authors' code has 0.1 for Clothing1M and
        WebVision.
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
    sample_weights_ : ndarray of shape (n_samples,), dtype float32
        Attention τ of every row after the last epoch, in evaluation mode. Larger =
        cleaner.
    estimated_targets_ : ndarray of shape (n_samples, n_classes), dtype float32
        Targets after the last epoch; the labels where none was estimated.
    lam_ : float
        The λ in use.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 minus the target at the given label, or minus its predicted probability where
        no target was estimated. Larger = more suspicious.
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
        As in `NetClassifier`; ``module_.network`` is the network, ``module_.attention``
        the branch.

    See Also
    --------
    ELRClassifier : Resists wrong labels by what was learnt early.
    sknoisy.losses.NoiseAttentionLoss : The loss alone.

    Notes
    -----
    For a label with probability p the loss is least at τ = min(1, λ / ((1 + λ)
    (1 − p))), where the gradient is min(1, λ p / (1 − p)) times that of cross-entropy.
    At the start, p = 1 / n_classes, that is λ / (n_classes − 1): too small a λ learns
    nothing, too large a one is cross-entropy. "auto" keeps this factor at 1 / 18 for
    any number of classes, which is the 0.5 of [1]_ for ten, where ``fit`` takes 3,000
    steps or more. With fewer it is 3,000 / 18 over their number, 1 / 6 for 1,000 or
    less. Networks on images learn more slowly: there it is 10,000 / 18 over their
    number, at most 2 / 3. Rows reach the full gradient at p = 1 / (1 + λ). So learning
    starts slowly: with a few hundred updates in all, take smaller batches or more
    epochs.

    The branch sees features only. It tells wrong labels where features have taken
    them in; ``1 - sample_weights_`` orders rows less well than the targets, which are
    ``noise_scores_`` here.

    ``predict`` and ``predict_proba`` ignore the branch. Targets are a buffer of
    ``criterion_``: checkpoints, pickles and ``partial_fit`` keep them.

    References
    ----------
    .. [1] Y. Lu, Y. Bo, W. He, "Noise attention learning: Enhancing noise robustness
       by gradient scaling", NeurIPS 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import NALClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = NALClassifier(batch_size=32, random_state=0)
    >>> clf = clf.fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.85)
    True
    """

    _stackable = True
    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "lam": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "alpha": [Interval(Real, 0, 1, closed="left")],
        "target_start_epoch": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "target_update_every": [Interval(Integral, 1, None, closed="left")],
        "attention": [StrOptions({"linear", "mlp"})],
        "attention_input": [StrOptions({"features", "maps"})],
        "attention_threshold": [Interval(Real, 0, 1, closed="left")],
        "label_floor": [Interval(Real, 0, 1, closed="left")],
        "rce_weight": [Interval(Real, 0, None, closed="left")],
    }

    # Stronger regularisation keeps the network from being sure enough.
    _race_settings = ({"module__dropout": 0.5, "optimizer__weight_decay": 5e-3},)

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        lam: Literal["auto"] | float = "auto",
        alpha: float = 0.7,
        target_start_epoch: Literal["auto"] | int = "auto",
        target_update_every: int = 1,
        attention: Literal["linear", "mlp"] = "linear",
        attention_input: Literal["features", "maps"] = "features",
        attention_threshold: float = 0.0,
        label_floor: float = 0.0,
        rce_weight: float = 0.0,
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
        self.alpha = alpha
        self.target_start_epoch = target_start_epoch
        self.target_update_every = target_update_every
        self.attention = attention
        self.attention_input = attention_input
        self.attention_threshold = attention_threshold
        self.label_floor = label_floor
        self.rce_weight = rce_weight

    # Nets that an earlier version has saved have no number of their own.
    n_updates_ = _ENOUGH_UPDATES

    def initialize_module(self) -> Self:
        """Build the network, and the branch on its features."""
        row = torch.zeros(1, *self.input_shape_, device=self.device_)
        branch = self.attention, self.attention_input
        network = AttentiveNetwork(self.build("module"), row, *branch)
        self.module_ = network.to(self.device_)
        return self

    def initialize_criterion(self) -> Self:
        """Make room for the targets."""
        is_auto = self.lam == "auto"
        of_images = len(self.input_shape_) == 3
        default = default_lam(len(self.classes_), self.n_updates_, of_images)
        self.lam_ = float(default if is_auto else self.lam)
        self.criterion_ = self.own_criterion(
            NoiseAttentionLoss,
            lam=self.lam_,
            alpha=self.alpha,
            label_floor=self.label_floor,
            attention_threshold=self.attention_threshold,
            rce_weight=self.rce_weight,
        )
        self.criterion_.start(self._codes.to(self.device_))
        return self

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Settle whether targets stand in for labels, and whether they move."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        epoch, given = len(self.history), self.target_start_epoch
        start = resolve_epochs(given, _START_SHARE, self.max_epochs)
        self.estimates_ = epoch >= start
        self.moves_targets_ = self.estimates_ and epoch % self.target_update_every == 0

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the noise attention loss of a batch, and logits."""
        logits, attention = self.module_.attend(X)
        loss = self.criterion_(
            logits.float(),
            attention.float(),
            y,
            index,
            estimate=self.estimates_,
            update=self.moves_targets_,
        )
        targets = self.criterion_.targets.index_select(0, index)
        learnt = Learnt(self.module_.network, X, targets)
        return Step(self.weighted_mean(loss, index), logits, [learnt])

    def start_fit(self, dataset: Any) -> None:
        """Remember the labels, from which the targets start."""
        super().start_fit(dataset)
        start = self.target_start_epoch
        if start != "auto" and start > self.max_epochs and not self.goes_on_:
            raise ValueError(
                f"target_start_epoch={start} lies after the last epoch, max_epochs="
                f"{self.max_epochs}: targets would never be used."
            )
        self._codes = torch.from_numpy(dataset.codes)
        n_batches = len(self.get_iterator(dataset, training=True))
        self.n_updates_ = max(1, self.max_epochs * n_batches)

    def score_rows(self, dataset: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return codes and logits of all rows; keep their attention."""

        def both_of(X):
            logits, attention = self.module_.attend(X)
            tau = attention.float().sigmoid()
            return torch.cat([logits.float(), tau[:, None]], 1)

        _, codes, outputs = self.eval_pass(dataset, {"both": both_of})
        logits, tau = outputs["both"].split([len(self.classes_), 1], 1)
        self.sample_weights_ = tau.squeeze(1).cpu().numpy().copy()
        return codes, logits.contiguous()

    def label_evidence(self, proba: Array, codes: IntArray) -> Array:
        """Return the targets; what is predicted where none was estimated."""
        self.estimated_targets_, evidence = evidence_of(self.criterion_, proba, codes)
        return evidence
