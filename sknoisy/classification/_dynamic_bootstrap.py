"""Dynamic bootstrapping: labels give way to predictions as far as losses doubt them."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from sklearn.base import clone
from torch.nn import functional as F

from sknoisy.classification._posterior_table import PosteriorTable
from sknoisy.extending import (
    Interval,
    Learnt,
    NetClassifier,
    RobustNetMixin,
    Step,
    StrOptions,
    draw_mixing,
    epoch_generator,
    mixup,
    resolve_epochs,
    set_random_states,
    share_of_epochs,
    soft_cross_entropy,
    warn_user,
)
from sknoisy.losses import bootstrap_targets, prior_penalty
from sknoisy.losses._bootstrap import STATIC_WEIGHTS
from sknoisy.mixture import BMMLossSplitter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sknoisy.extending import Device, MakerOfModules, RandomState

__all__ = ["DynamicBootstrapClassifier", "guided_shares"]

# Shares of the published epochs, of which there are 300 with mixup and 120 without:
# plain training lasts 105 or 30, plain labels on guided mixtures 5, the temperature
# falls over 89 of the other 190.
_WARMUP_SHARE, _WARMUP_SHARE_UNMIXED = 105 / 300, 30 / 120
_GUIDED_SHARE = 5 / 300
_COOLING_SHARE = 89 / 190
# Temperatures of soft-to-hard beliefs at both ends.
_TEMPERATURES = 1.0, 1e-3
# Posteriors are kept from 0 and 1, so that every label and every row counts a little.
_POSTERIOR_FLOOR = 1e-4
# Draws of binomial guidance.
_N_DRAWS = 10_000


def guided_shares(p_clean, partner, guidance="deterministic"):
    """Return each row's share in the mixture with its partner, by their cleanness.

    Parameters
    ----------
    p_clean : Tensor of shape (batch,)
        Probability that the label of a row is right, above 0.
    partner : Tensor of shape (batch,), dtype int64
    guidance : {"deterministic", "beta", "binomial"}, default="deterministic"
        "deterministic" is c / (c + c'), Equation 9 of [1]_. "beta" draws it from a beta
        distribution with that mean μ, Beta(μ, 1 − μ). "binomial" is a / (a + b) for
        draws a of Bin(10000, μ) and b of Bin(10000, 1 − μ): with a standard deviation
        of 0.0035 at most, all but the deterministic share.

    Returns
    -------
    shares : Tensor of shape (batch,)

    References
    ----------
    .. [1] L. Huang, L. Tang, "Label noise correction: reproduction and extensions".
    """
    share = p_clean / (p_clean + p_clean[partner])
    if guidance == "beta":
        return torch.distributions.Beta(share, 1 - share, validate_args=False).sample()
    if guidance == "binomial":
        n_draws = torch.full_like(share, _N_DRAWS)
        own = torch.binomial(n_draws, share)
        other = torch.binomial(n_draws, 1 - share)
        return torch.where(own + other > 0, own / (own + other).clamp_min(1), 0.5)
    return share


def _checked_prior(prior, classes):
    """Return given shares of the classes with the sum 1."""
    try:
        shares = np.asarray(prior, dtype=np.float64)
    except (TypeError, ValueError):
        # Not numbers, or a ragged list.
        shares = np.empty(0)
    is_fine = shares.shape == (len(classes),) and np.isfinite(shares).all()
    # Sums of single precision are off by less than this.
    if not is_fine or (shares < 0).any() or abs(shares.sum() - 1) > 1e-5:
        raise ValueError(
            f"prior must hold a share of each of the {len(classes)} classes, "
            f"{classes.tolist()}, at least 0 and with the sum 1; got {prior!r}."
        )
    return shares / shares.sum()


class DynamicBootstrapClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier that replaces doubtful labels by its own predictions.

    After each epoch a mixture of two distributions is fitted to the losses of all rows.
    In the next one, its posterior says how far the label of a row is replaced by what
    the network predicts for it, on inputs mixed in pairs [1]_ [2]_. For images and
    embeddings with many wrong labels; not for tables with many classes, nor classes of
    very different sizes. On sixteen small sets it is 0.019 behind the better of a tuned
    logistic regression and a tuned network, on the mean, and ahead on 3.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`.
    targets : {"hard", "soft", "soft_to_hard"}, default="hard"
        What replaces a label: the predicted class, the predicted probabilities, or
        these sharpened more and more, at a temperature that falls from 1 to 0.001.
    weights : {"dynamic", "static"} or None, default="dynamic"
        How far it does: by the posterior of each row, by ``static_weight``, or not at
        all.
    mixup : {"static", "guided"} or None, default="static"
        Whether inputs are mixed: with the same random share in a whole batch, or with
        larger shares for rows whose label is likelier right. Needs standardised
        features.
    guidance : {"deterministic", "beta", "binomial"}, default="deterministic"
        How guided shares are drawn; see Notes.
    mixture : {"beta", "gaussian"} or BMMLossSplitter, default="beta"
        What is fitted to the losses.
    prior_weight : float >= 0, default=1.0, the value of [1]_
        Weight of the regulariser R that keeps predictions spread over the classes, η.
        It applies where labels are being replaced.
    prior : "uniform", "labels" or array-like of shape (n_classes,), default="uniform"
        Shares of the classes from which R is the divergence of the mean prediction:
        equal ones, as published; those of the given labels, by sample weight, which
        wrong labels make more alike; or your own, in the order of ``classes_``, at
        least 0 and with the sum 1.
    warmup_epochs : int >= 0 or "auto", default="auto"
        Epochs with plain labels before any are replaced. "auto" is 35 % of
        ``max_epochs``, as the 105 of 300 in [1]_, and 25 % without mixup, as the 30 of
        120 there.
    static_weight : float in [0, 1] or None, default=None
        Weight of static bootstrapping. None takes 0.2 for hard and 0.05 for other
        targets, the values of [3]_.
    mixup_alpha : float > 0, default=32, the value of [1]_
        Both parameters of the beta distribution of a batch's share. As it grows,
        shares gather at one half.
    augment_losses : bool, default=False
        Whether the losses that mixtures are fitted to in training are those of rows
        changed by ``augment``, as in the authors' code. Labels are scored without it.
    detach_targets : bool, default=False
        Without mixup, soft targets carry a gradient. True holds it back; the loss is
        then cross-entropy with rows weighted by 1 − w.
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
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        Posterior of the component with the larger losses, after the last epoch. Larger
        = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    losses_ : ndarray of shape (n_samples,), dtype float32
        Cross-entropy of the given labels after the last epoch.
    mixtures_ : list of BMMLossSplitter
        Fitted after each epoch; after the last only where losses decide nothing.
    splitter_ : BMMLossSplitter
        The last of them.
    prior_ : ndarray of shape (n_classes,), dtype float64
        Shares of the classes in R.
    classes_ : ndarray of shape (n_classes,)
    module_, optimizer_, history_, settings_, device_, n_features_in_, feature_names_in_
        As in `NetClassifier`.

    See Also
    --------
    BMMLossSplitter : The mixture of losses alone.
    LossMixtureDetector : Detects wrong labels by the losses of any classifier.

    Notes
    -----
    The methods of [1]_ and [2]_ and the parameters that give them:

    ============= ===================================================================
    CE            ``weights=None, mixup=None``
    M             ``weights=None``
    static        ``weights="static", mixup=None, prior_weight=0``; in [3]_ with
                  ``warmup_epochs=0``
    DY-H, DY-S    ``mixup=None, prior_weight=0``, hard or soft
    DYR-H, DYR-S  ``mixup=None``, hard or soft
    M-DYR-H       the default
    M-DYR-S       ``targets="soft"``
    MD-DYR-H      ``mixup="guided"``, with any ``guidance``
    MD-DYR-SH     the same with ``targets="soft_to_hard"``
    ============= ===================================================================

    They train for 300 epochs with SGD at a learning rate of 0.1, divided by 10 after
    epochs 100 and 250, with a warm-up of 105; without mixup for 120 epochs, divided
    after 30, 80 and 110, with a warm-up of 30. The defaults here are those of
    `NetClassifier`, and the phases keep their shares of ``max_epochs``.

    With guided mixup, a sixtieth of the epochs after the warm-up, at least one, train
    on guided mixtures with plain labels; a label then counts half, whatever the share
    of its row, as in the authors' code.

    Losses are taken with dropout off, and without augmentation unless
    ``augment_losses`` is true. The posterior of a row is that of its loss, augmented as
    in training, under the current weights and the last epoch's mixture. It costs a
    forward pass, as do the predictions with mixup. Without mixup predictions
    are those of the training pass itself.

    Sample weights multiply both labels of a mixture, each with the weight of its row,
    and weigh the rows in R. Losses are split without them.

    References
    ----------
    .. [1] E. Arazo, D. Ortego, P. Albert, N. E. O'Connor, K. McGuinness, "Unsupervised
       label noise modeling and loss correction", ICML 2019. arXiv:1904.11238
    .. [2] L. Huang, L. Tang, "Label noise correction: reproduction and extensions".
    .. [3] S. Reed, H. Lee, D. Anguelov, C. Szegedy, D. Erhan, A. Rabinovich, "Training
       deep neural networks on noisy labels with bootstrapping", ICLR 2015 workshop.
       arXiv:1412.6596

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import DynamicBootstrapClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = DynamicBootstrapClassifier(random_state=0).fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.85)
    True
    """

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "targets": [StrOptions({"hard", "soft", "soft_to_hard"})],
        "weights": [StrOptions({"dynamic", "static"}), None],
        "mixup": [StrOptions({"static", "guided"}), None],
        "guidance": [StrOptions({"deterministic", "beta", "binomial"})],
        "mixture": [StrOptions({"beta", "gaussian"}), BMMLossSplitter],
        "prior_weight": [Interval(Real, 0, None, closed="left")],
        "warmup_epochs": [
            Interval(Integral, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "static_weight": [Interval(Real, 0, 1, closed="both"), None],
        "mixup_alpha": [Interval(Real, 0, None, closed="neither")],
        "prior": [StrOptions({"uniform", "labels"}), "array-like"],
        "augment_losses": ["boolean"],
        "detach_targets": ["boolean"],
    }

    # Stronger regularisation keeps the network from being sure enough.
    _race_settings = (
        {"module__dropout": 0.5, "optimizer__weight_decay": 5e-3},
        {"module__dropout": 0.0, "optimizer__weight_decay": 5e-4, "lr": 0.1},
    )

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        targets: Literal["hard", "soft", "soft_to_hard"] = "hard",
        weights: Literal["dynamic", "static"] | None = "dynamic",
        mixup: Literal["static", "guided"] | None = "static",
        guidance: Literal["deterministic", "beta", "binomial"] = "deterministic",
        mixture: Any = "beta",
        prior_weight: float = 1.0,
        prior: Literal["uniform", "labels"] | ArrayLike = "uniform",
        warmup_epochs: Literal["auto"] | int = "auto",
        static_weight: float | None = None,
        mixup_alpha: float = 32.0,
        augment_losses: bool = False,
        detach_targets: bool = False,
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
        self.targets = targets
        self.weights = weights
        self.mixup = mixup
        self.guidance = guidance
        self.mixture = mixture
        self.prior_weight = prior_weight
        self.prior = prior
        self.warmup_epochs = warmup_epochs
        self.static_weight = static_weight
        self.mixup_alpha = mixup_alpha
        self.augment_losses = augment_losses
        self.detach_targets = detach_targets

    def start_fit(self, dataset: Any) -> None:
        """Set the phases and the prior."""
        super().start_fit(dataset)
        self.prior_ = self._prior(dataset.codes)
        self.mixtures_: list[Any] = []
        self.n_warmup_ = self._n_warmup()

    def training_loss(
        self, X: torch.Tensor, y: torch.Tensor, index: torch.Tensor
    ) -> Step:
        """Return the loss of a batch and its logits."""
        if self.phase_ == "plain" and self.mixup is None:
            return super().training_loss(X, y, index)
        # w: how likely the label of each row is wrong
        p_noisy = None if self.table_ is None else self._posterior(X, y)
        if self.mixup is None:
            logits = mixed = self.module_(X).float()
            targets = self._targets(logits, y, p_noisy)
            targets = self._times_sample_weight(targets, index)
        else:
            partner, share = draw_mixing(self, X, keeps_most=False)
            share, label_share = self._shares(p_noisy, partner, share)
            logits = self._logits_of_unmixed(X)
            mixed = self.module_(mixup(X, partner, share)).float()
            logits = mixed if logits is None else logits
            targets = self._targets(logits, y, p_noisy)
            # Equation 8 of [2]: labels count by their shares.
            targets = self._times_sample_weight(targets, index)
            targets = mixup(targets, partner, label_share)
        loss = soft_cross_entropy(mixed, targets).sum() / self._total(index)
        if self.phase_ == "bootstrap" and self.prior_weight:
            # Targets of a row add up to its sample weight.
            weight = None if self.sample_weight_ is None else targets.detach().sum(1)
            penalty = prior_penalty(mixed, weight, self.uneven_prior_)
            loss = loss + self.prior_weight * penalty
        # The labels; the rest of the targets is the network's prediction.
        return Step(loss, logits, [Learnt(self.module_, X, y)])

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Find the phase of the epoch."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        epoch = len(self.history)
        self.rng_ = epoch_generator(self)
        self.phase_, n_done, n_left = self._find_phase(epoch)
        if self.phase_ == "bootstrap":
            steps = np.linspace(*_TEMPERATURES, share_of_epochs(_COOLING_SHARE, n_left))
            self.temperature_ = float(steps[min(n_done, len(steps) - 1)])
        # A net that 0.1.0 has saved has no prior.
        prior, self.uneven_prior_ = getattr(self, "prior_", np.zeros(1)), None
        if self.phase_ == "bootstrap" and np.ptp(prior):
            prior = torch.from_numpy(prior.astype(np.float32))
            self.uneven_prior_ = prior.to(self.device_)
        doubts = self.phase_ != "plain" and self._follows_losses()
        self.table_ = PosteriorTable(self.splitter_, self.device_) if doubts else None

    def on_epoch_end(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Fit the mixture that the next epoch uses."""
        super().on_epoch_end(net, dataset_train, dataset_valid, **kwargs)
        is_last = len(self.history) == self.epochs_before_ + self.max_epochs
        if self._follows_losses() and not is_last:
            module = self._module_on_changed_rows if self.augment_losses else None
            self._fit_splitter(self._losses(dataset_train, module)[0])

    def finish_fit(self, dataset: Any) -> None:
        """Score the given labels by their losses after the last epoch."""
        self.table_ = self.uneven_prior_ = None
        self.losses_, logits, codes = self._losses(dataset)
        self._fit_splitter(self.losses_)
        p_noisy = self.splitter_.predict_proba(self.losses_)[:, 1]
        self.record_scores(p_noisy, logits, codes)
        self._warn_of_late_start()

    def _warn_of_late_start(self):
        n_epochs, n_warmup = len(self.history), self.warmup_epochs
        is_plain = self.weights is None and self.mixup != "guided"
        if n_warmup == "auto" or is_plain or n_epochs > n_warmup:
            return
        warn_user(
            f"no label was replaced: the warm-up takes {n_warmup} epochs, of which "
            f"{n_epochs} were run. Lower warmup_epochs or raise max_epochs.",
        )

    def _prior(self, codes):
        """Return the shares of the classes that the regulariser pulls towards."""
        n_classes = len(self.classes_)
        if not isinstance(self.prior, str):
            return _checked_prior(self.prior, self.classes_)
        if self.prior == "uniform":
            return np.full(n_classes, 1 / n_classes)
        weight = self.sample_weight_
        weight = None if weight is None else weight.cpu().numpy().astype(np.float64)
        counts = np.bincount(codes, weight, minlength=n_classes)
        return counts / counts.sum()

    def _module_on_changed_rows(self, X, **fit_params):
        return self.module_(self.augmented(X), **fit_params)

    def _losses(self, dataset, module=None):
        """Return losses, logits and codes of all rows, in evaluation mode."""
        module = module or self.module_
        _, codes, logits = self.eval_pass(dataset, {"module": module})
        losses = F.cross_entropy(logits["module"], codes, reduction="none")
        return tuple(t.cpu().numpy() for t in (losses, logits["module"], codes))

    def _fit_splitter(self, losses):
        if isinstance(self.mixture, str):
            splitter = BMMLossSplitter(self.mixture)
        else:
            splitter = clone(self.mixture)
        set_random_states(splitter, self.seed_ % 2**31)
        self.splitter_ = splitter.fit(losses)
        # After a stop by a callback, the last losses have been split already.
        self.mixtures_[len(self.history) - 1 :] = [self.splitter_]

    def _n_warmup(self):
        if self.warmup_epochs == 0 and self._follows_losses():
            raise ValueError(
                "warmup_epochs must be at least 1 where the losses of an epoch decide "
                f"about the next one, as with weights={self.weights!r} and mixup="
                f"{self.mixup!r}; got 0."
            )
        share = _WARMUP_SHARE_UNMIXED if self.mixup is None else _WARMUP_SHARE
        return resolve_epochs(self.warmup_epochs, share, self.max_epochs)

    def _find_phase(self, epoch):
        """Return the phase of an epoch, the epochs of it done, and its length."""
        n_plain = self.n_warmup_
        if epoch <= n_plain or (self.weights is None and self.mixup != "guided"):
            return "plain", epoch - 1, n_plain
        n_guided = 0
        if self.mixup == "guided":
            n_guided = share_of_epochs(_GUIDED_SHARE, self.max_epochs)
        if self.weights is None or epoch <= n_plain + n_guided:
            return "guided", epoch - n_plain - 1, n_guided
        n_before = n_plain + n_guided
        return "bootstrap", epoch - n_before - 1, self.max_epochs - n_before

    def _follows_losses(self):
        return self.weights == "dynamic" or self.mixup == "guided"

    @torch.no_grad()
    def _posterior(self, X, y):
        """Return the probability that each label is wrong, in evaluation mode."""
        self.module_.eval()
        losses = F.cross_entropy(self.module_(X).float(), y, reduction="none")
        self.module_.train()
        return self.table_(losses).clamp(_POSTERIOR_FLOOR, 1 - _POSTERIOR_FLOOR)

    def _shares(self, p_noisy, partner, share):
        """Return each row's share in its mixture, and its label's."""
        if self.mixup == "static" or self.phase_ == "plain":
            return share, share
        guided = guided_shares(1 - p_noisy, partner, self.guidance)
        # In the authors' code the label's weight is never the guided share.
        return guided, share if self.phase_ == "guided" else 0.5

    def _logits_of_unmixed(self, X):
        """Return the logits that targets need, if any, in training mode."""
        if self.phase_ != "bootstrap":
            return None
        with torch.no_grad():
            return self.module_(X).float()

    def _targets(self, logits, y, p_noisy):
        """Return one distribution over the classes for each row."""
        n_classes = logits.shape[1]
        if self.phase_ != "bootstrap":
            return F.one_hot(y, n_classes).float()
        if self.targets == "hard":
            beliefs = F.one_hot(logits.argmax(1), n_classes).float()
        else:
            is_cooling = self.targets == "soft_to_hard"
            temperature = self.temperature_ if is_cooling else 1.0
            beliefs = (logits / temperature).softmax(1)
            beliefs = beliefs.detach() if self.detach_targets else beliefs
        return bootstrap_targets(y, beliefs, self._weight(p_noisy))

    def _weight(self, p_noisy):
        if self.weights == "dynamic":
            return p_noisy
        if self.static_weight is not None:
            return self.static_weight
        return STATIC_WEIGHTS["hard" if self.targets == "hard" else "soft"]

    def _times_sample_weight(self, targets, index):
        if self.sample_weight_ is None:
            return targets
        return targets * self.sample_weight_[index, None]

    def _total(self, index):
        if self.sample_weight_ is None:
            return len(index)
        return self.sample_weight_[index].sum().clamp_min(1e-12)
