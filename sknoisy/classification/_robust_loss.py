"""Training with a robust loss."""

from __future__ import annotations

from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Self

from torch import nn

from sknoisy.classification._divided_lrs import divided_lrs
from sknoisy.extending import (
    Interval,
    NetClassifier,
    RobustNetMixin,
    StrOptions,
    resolve_epochs,
)
from sknoisy.losses import (
    BootstrapLoss,
    DMILoss,
    FDivergenceLoss,
    GCELoss,
    GLSLoss,
    PeerLoss,
    SCELoss,
    TruncatedGCELoss,
)
from sknoisy.losses._peer import StagedLoss

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sknoisy.extending import Device, MakerOfModules, RandomState

__all__ = ["RobustLossClassifier"]

_LOSSES = {
    "gce": GCELoss,
    "truncated_gce": TruncatedGCELoss,
    "sce": SCELoss,
    "bootstrap": BootstrapLoss,
    "peer": PeerLoss,
    "nls": GLSLoss,
    "f_divergence": FDivergenceLoss,
    "dmi": DMILoss,
    "label_smoothing": partial(nn.CrossEntropyLoss, label_smoothing=0.1),
    "ce": nn.CrossEntropyLoss,
}
# Shares of the published 120 epochs at which rows are left out: from 40 on, every 10.
_PRUNE_START_SHARE = 40 / 120
_PRUNE_EVERY_SHARE = 10 / 120
# Share of the epochs of cross-entropy before losses that need it, and share of those
# in which the second term of peer loss grows.
_WARMUP_SHARE = 0.1
_RAMP_SHARE = 0.2
# Least number of rows of a batch for each class, so that the DMI loss sees all classes.
_LEAST_PER_CLASS = 4


class RobustLossClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier by a loss that wrong labels pull less.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`.
    loss : str, torch criterion class or instance, default="gce"
        - "gce": `losses.GCELoss`, generalised cross-entropy [1]_;
        - "truncated_gce": `losses.TruncatedGCELoss`, which also leaves out rows whose
          label is improbable [1]_;
        - "sce": `losses.SCELoss`, symmetric cross-entropy [2]_;
        - "bootstrap": `losses.BootstrapLoss`, static bootstrapping [3]_;
        - "peer": `losses.PeerLoss`, minus the loss of unrelated labels [5]_;
        - "nls": `losses.GLSLoss`, negative label smoothing [6]_;
        - "f_divergence": `losses.FDivergenceLoss`, by how unrelated labels fit [7]_;
        - "dmi": `losses.DMILoss`, a determinant for each batch [8]_;
        - "label_smoothing": cross-entropy with targets smoothed by 0.1 [4]_;
        - "ce": cross-entropy;
        - any torch criterion, called with logits and label codes, and with the row
          numbers if it takes an ``index``; NLLLoss as in `NetClassifier`.
    prune_start_epoch : int >= 1 or "auto", default="auto"
        First epoch before which "truncated_gce" leaves out rows. "auto" is a third of
        ``max_epochs``, as the 40 of 120 in [1]_.
    prune_every : int >= 1 or "auto", default="auto"
        Epochs from one choice of rows to the next; "auto" is a twelfth of
        ``max_epochs``, as the 10 of 120 in [1]_.
    warmup_epochs : int >= 0 or "auto", default="auto"
        Epochs of cross-entropy before "peer", "nls", "f_divergence" and "dmi"; the
        other losses start at once. "auto" is a tenth of ``max_epochs``.
    ramp_epochs : int >= 0 or "auto", default="auto"
        Epochs after the warm-up in which the ``alpha`` of "peer" rises from 0 in equal
        steps. "auto" is a fifth of ``max_epochs``. The code of [5]_ has 20 epochs of
        each in 300, with a jump after the ramp.
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
        Further parameters of `NetClassifier`, such as ``settings``, and those of the
        loss: ``loss__q=0.5``.

    Attributes
    ----------
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 minus the predicted probability of the given label. Larger = more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Share of rows in the upper of two groups of margins: the logarithm of the
        largest other probability over that of the label. Where no group is against
        its labels, the mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most probable other label where the given one is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    module_, criterion_, optimizer_, history_, settings_, device_, n_features_in_
        As in `NetClassifier`.

    See Also
    --------
    NALClassifier : Learns the weight of each row.
    ELRClassifier : Early-learning regularisation.

    Notes
    -----
    With "peer" the learning rate of an epoch is divided by 1 + α, as in the code of
    [5]_, and with "dmi" by 10. [6]_, [7]_ and [8]_ go on from the best network of a
    full training by cross-entropy, [6]_ and [8]_ with a learning rate of 1e-6. Here the
    warm-up is short, because a network on a table soon has memorised its labels.

    Rows are pruned by the current network. [1]_ uses the best one so far, which needs
    clean labels to be known.

    References
    ----------
    .. [1] Z. Zhang, M. R. Sabuncu, "Generalized cross entropy loss for training deep
       neural networks with noisy labels", NeurIPS 2018. arXiv:1805.07836
    .. [2] Y. Wang, X. Ma, Z. Chen, Y. Luo, J. Yi, J. Bailey, "Symmetric cross entropy
       for robust learning with noisy labels", ICCV 2019. arXiv:1908.06112
    .. [3] S. Reed, H. Lee, D. Anguelov, C. Szegedy, D. Erhan, A. Rabinovich, "Training
       deep neural networks on noisy labels with bootstrapping", ICLR 2015 workshop.
       arXiv:1412.6596
    .. [4] M. Lukasik, S. Bhojanapalli, A. Menon, S. Kumar, "Does label smoothing
       mitigate label noise?", ICML 2020. arXiv:2003.02819
    .. [5] Y. Liu, H. Guo, "Peer loss functions: Learning from noisy labels without
       knowing noise rates", ICML 2020. arXiv:1910.03231
    .. [6] J. Wei, H. Liu, T. Liu, G. Niu, M. Sugiyama, Y. Liu, "To smooth or not? When
       label smoothing meets noisy labels", ICML 2022. arXiv:2106.04149
    .. [7] J. Wei, Y. Liu, "When optimizing f-divergence is robust with label noise",
       ICLR 2021. arXiv:2011.03687
    .. [8] Y. Xu, P. Cao, Y. Kong, Y. Wang, "L_DMI: A novel information-theoretic loss
       function for training deep nets robust to label noise", NeurIPS 2019.
       arXiv:1909.03388

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import RobustLossClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = RobustLossClassifier(loss="gce", loss__q=0.5, random_state=0)
    >>> clf = clf.fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.85)
    True
    """

    prefixes_ = [*NetClassifier.prefixes_, "loss"]
    _stored_slots = ("loss",)

    _stackable = True
    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "loss": [StrOptions(set(_LOSSES)), callable],
        "prune_start_epoch": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "prune_every": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        **{
            name: [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})]
            for name in ("warmup_epochs", "ramp_epochs")
        },
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        loss: str | MakerOfModules = "gce",
        prune_start_epoch: Literal["auto"] | int = "auto",
        prune_every: Literal["auto"] | int = "auto",
        warmup_epochs: Literal["auto"] | int = "auto",
        ramp_epochs: Literal["auto"] | int = "auto",
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
        self.loss = loss
        self.prune_start_epoch = prune_start_epoch
        self.prune_every = prune_every
        self.warmup_epochs = warmup_epochs
        self.ramp_epochs = ramp_epochs

    def initialize_criterion(self) -> Self:
        """Build the loss."""
        of_name = _LOSSES[self.loss] if isinstance(self.loss, str) else None
        self.criterion_ = self.build("loss", of_name)
        if isinstance(self.criterion_, DMILoss):
            self._refuse_small_batches()
        return self

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Set what the loss is in this epoch."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        loss = self.criterion_
        if not isinstance(loss, StagedLoss):
            return
        warmup = resolve_epochs(self.warmup_epochs, _WARMUP_SHARE, self.max_epochs)
        n_since = len(self.history) - warmup
        loss.warming_up = n_since <= 0
        if isinstance(loss, PeerLoss):
            ramp = resolve_epochs(self.ramp_epochs, _RAMP_SHARE, self.max_epochs)
            loss.ramp = min(1.0, max(n_since, 0) / max(ramp, 1))

    def passes(self, batches: Iterable[Any]) -> Iterator[tuple[int, Iterable[Any]]]:
        """Yield the pass of the epoch, with a smaller learning rate for some losses."""
        divisor = getattr(self.criterion_, "lr_divisor", 1.0)
        with divided_lrs(self._param_groups() if divisor != 1 else [], divisor):
            yield 0, batches

    def on_epoch_end(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Leave out rows with an improbable label, if it is time and the loss does."""
        super().on_epoch_end(net, dataset_train, dataset_valid, **kwargs)
        if not isinstance(self.criterion_, TruncatedGCELoss):
            return
        n_epochs = self.max_epochs
        start = resolve_epochs(self.prune_start_epoch, _PRUNE_START_SHARE, n_epochs)
        every = resolve_epochs(self.prune_every, _PRUNE_EVERY_SHARE, n_epochs)
        # The choice made after this epoch counts from the next one on.
        epoch = len(self.history) + 1
        if epoch >= start and (epoch - start) % every == 0:
            rows, codes, logits = self.eval_pass(dataset_train, ["module"])
            self.criterion_.prune(logits["module"], codes, rows)

    def _refuse_small_batches(self):
        n_rows, n_classes = self.rows_fitted_[0], len(self.classes_)
        size = n_rows if self.batch_size == -1 else min(self.batch_size, n_rows)
        if size < _LEAST_PER_CLASS * n_classes:
            raise ValueError(
                f"DMILoss needs batches of at least {_LEAST_PER_CLASS} rows for each "
                f"of {n_classes} classes, or it rarely sees all of them; these have "
                f"{size}. Set batch_size to {_LEAST_PER_CLASS * n_classes} or more."
            )
