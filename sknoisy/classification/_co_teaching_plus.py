"""Co-teaching+: two networks select for each other among rows they disagree on."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

from sknoisy.classification._co_teaching import (
    CoTeachingClassifier,
    cross_entropies,
    select_by_peer,
)
from sknoisy.extending import Interval, StrOptions, resolve_epochs

if TYPE_CHECKING:
    import torch

    from sknoisy.extending import Device, MakerOfModules, RandomState

__all__ = ["CoTeachingPlusClassifier", "disputed_rows"]

# Of the epochs, the share of co-teaching on all rows.
_WARMUP_SHARE = 0.1


def disputed_rows(log_p):
    """Return the rows for which two networks predict different classes.

    Parameters
    ----------
    log_p : Tensor of shape (2, batch, n_classes)
        Logarithm of the probabilities that both networks predict.

    Returns
    -------
    rows : Tensor of shape (n_rows,), dtype int64
        Positions in the batch.
    """
    first, second = log_p.argmax(2)
    return (first != second).nonzero().squeeze(1)


class CoTeachingPlusClassifier(CoTeachingClassifier):
    """Co-teaching among the rows on which the two networks disagree.

    In co-teaching both networks become alike, and then select what each would select
    for itself. Here, after a warm-up of co-teaching, each batch is first cut to the
    rows for which they predict different classes, and they select rows with small
    losses for each other among these [1]_. On image features `CoTeachingClassifier` is
    better at the same cost, in all that was measured; ``loss_on="proba"`` is closer.

    Parameters
    ----------
    module : torch module class, default=None
        As in `NetClassifier`, but not an instance: two networks with the same weights
        would never disagree.
    forget_rate : float in [0, 1) or "auto", default="auto"
        Final share τ of the disputed rows of a batch that is left out: [1]_ uses the
        noise rate. The larger, the fewer wrong labels are learnt, and the fewer rows
        are left. "auto" estimates the noise rate before training, see
        `CoTeachingClassifier`.
    ramp_epochs : int >= 1 or "auto", default="auto"
        Epochs T_k over which the share rises from 0, in the first, to τ^c; [1]_ uses 10
        of 200. "auto" is a quarter of ``max_epochs``. Epochs count from the first
        call of ``partial_fit`` on.
    exponent : float > 0, default=1.0, the value of [1]_
        c. For c other than 1 the share jumps from τ^c to τ after the ramp.
    warmup_epochs : int >= 0 or "auto", default="auto"
        Epochs of co-teaching on whole batches; ``max_epochs`` or more is
        `CoTeachingClassifier`. "auto" is a tenth of ``max_epochs``, as the 20 of 200 of
        [1]_ for CIFAR-10; it has 5 for CIFAR-100, 0 for MNIST and word embeddings, 100
        for Tiny-ImageNet.
    loss_on : {"logits", "proba"}, default="logits"
        What cross-entropy is applied to after the warm-up. "logits" is that of [1]_.
        The authors' code passes it probabilities, "proba": a second softmax, which
        bounds the loss between log(e + C - 1) - 1 and log(e + C - 1) for C classes.
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
    forget_rate_ : float
        The rate in use, set when a training starts; ``partial_fit`` keeps it.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 minus the predicted probability of the given label, as the method ranks rows
        only within a batch. Larger = more suspicious.
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
        As in `NetClassifier`; ``module_.peers`` are the two networks.

    See Also
    --------
    CoTeachingClassifier : The same on whole batches.
    JoCoRClassifier : The opposite: learns the rows on which two networks agree.

    Notes
    -----
    A batch with fewer than two disputed rows is learnt by co-teaching: otherwise
    training would stop where the networks agree. The authors' code learns such batches
    by cross-entropy at first and skips them later. Where the share leaves no disputed
    row, it learns all of them; here one row is kept. Its mean is divided by the number
    of rows once more, and the first row of the data never counts; not so here.

    References
    ----------
    .. [1] X. Yu, B. Han, J. Yao, G. Niu, I. Tsang, M. Sugiyama, "How does disagreement
       help generalization against label corruption?", ICML 2019. arXiv:1901.04215

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import CoTeachingPlusClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = CoTeachingPlusClassifier(forget_rate=0.4, random_state=0)
    >>> clf = clf.fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.85)
    True
    """

    _parameter_constraints = {
        **CoTeachingClassifier._parameter_constraints,
        "warmup_epochs": [
            Interval(Integral, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "loss_on": [StrOptions({"logits", "proba"})],
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        forget_rate: Literal["auto"] | float = "auto",
        ramp_epochs: Literal["auto"] | int = "auto",
        exponent: float = 1.0,
        warmup_epochs: Literal["auto"] | int = "auto",
        loss_on: Literal["logits", "proba"] = "logits",
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
            forget_rate=forget_rate,
            ramp_epochs=ramp_epochs,
            exponent=exponent,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            random_state=random_state,
            verbose=verbose,
            device=device,
            **net_params,
        )
        self.warmup_epochs = warmup_epochs
        self.loss_on = loss_on

    def select_rows(
        self, log_p: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the losses of both networks, and the disputed rows that each learns.

        Parameters
        ----------
        log_p : Tensor of shape (2, batch, n_classes)
            Logarithm of the probabilities that both networks predict.
        y : Tensor of shape (batch,), dtype int64
            Label codes.

        Returns
        -------
        loss : Tensor of shape (2, batch)
            Of each network and row.
        selected : Tensor of shape (2, n_selected), dtype int64
            Positions in the batch.
        """
        n_warmup = resolve_epochs(self.warmup_epochs, _WARMUP_SHARE, self.max_epochs)
        if len(self.history) <= n_warmup:
            return super().select_rows(log_p, y)
        disputed = disputed_rows(log_p)
        if len(disputed) < 2:
            return super().select_rows(log_p, y)
        if self.loss_on == "proba":
            log_p = log_p.exp().log_softmax(-1)
        loss = cross_entropies(log_p, y)
        return loss, disputed[select_by_peer(loss[:, disputed], self.rate_)]
