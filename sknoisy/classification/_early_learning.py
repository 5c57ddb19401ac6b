"""Early-learning regularisation."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sknoisy.extending import Interval, NetClassifier, RobustNetMixin
from sknoisy.losses import ELRLoss

if TYPE_CHECKING:
    from sknoisy.extending import Array, Device, IntArray, MakerOfModules, RandomState

__all__ = ["ELRClassifier"]


class ELRClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier with early-learning regularisation.

    Cross-entropy plus λ log(1 − ⟨t, p⟩), where t is a moving average of what the
    network predicted for the row: rows with right labels are learnt first, and the
    average resists the wrong ones [1]_. For long trainings: in short ones the averages
    follow the given labels where half of them are wrong. Under symmetric noise
    ``noise_rate_`` is within 0.05 of the truth on digits and two tables, 0.2 too large
    on letters, and 0.2 to 0.5 too small on image features. On sixteen small sets it is
    0.032 behind the better of a tuned logistic regression and a tuned network, on the
    mean, and ahead on 4.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`.
    lam : float >= 0, default=3.0, the value of [1]_ for CIFAR-10
        Weight of the regulariser, λ. [1]_ has 1 for asymmetric noise on CIFAR-10 and 7
        for CIFAR-100.
    beta : float in [0, 1), default=0.7, the value of [1]_ for symmetric noise
        Momentum of the averages, β. [1]_ has 0.9 for asymmetric noise and CIFAR-100.
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
        The averages t; rows sum to at most 1.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 minus the average at the given label, as a share of the row's sum. Larger =
        more suspicious.
    scores_are_probabilities_ : bool
        False: the scores are an order.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        ``noise_scores_ > 0.5``.
    noise_rate_ : float
        Share of rows in the upper of two groups of margins, by the averages: the
        logarithm of the largest other over that of the label. Where no group is
        against its labels, the mean of ``noise_scores_``.
    suggested_labels_ : ndarray of shape (n_samples,)
        The largest other average where the given label is flagged.
    unjudged_ : ndarray of shape (n_unjudged,), dtype int64
        Rows whose label occurs once: they have the score 0.5 and no flag.
    classes_ : ndarray of shape (n_classes,)
    module_, criterion_, optimizer_, history_, settings_, device_, n_features_in_
        As in `NetClassifier`.

    See Also
    --------
    ELRPlusClassifier : Two networks that compute targets for each other.
    sknoisy.losses.ELRLoss : The loss alone.

    References
    ----------
    .. [1] S. Liu, J. Niles-Weed, N. Razavian, C. Fernandez-Granda, "Early-learning
       regularization prevents memorization of noisy labels", NeurIPS 2020.
       arXiv:2007.00151

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import ELRClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = ELRClassifier(random_state=0).fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.85)
    True
    """

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "lam": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        lam: float = 3.0,
        beta: float = 0.7,
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

    def initialize_criterion(self) -> Self:
        """Allocate the averages."""
        self.criterion_ = self.own_criterion(ELRLoss, lam=self.lam, beta=self.beta)
        return self

    def label_evidence(self, proba: Array, codes: IntArray) -> Array:
        """Return the averages; the predictions for rows that were not trained on."""
        # A copy: the next call of partial_fit moves the averages on.
        targets = self.criterion_.targets.cpu().numpy().copy()
        self.estimated_targets_ = targets
        # After n epochs the averages sum to 1 − β^n.
        total = targets.sum(1, keepdims=True)
        return np.divide(targets, total, out=proba.copy(), where=total > 0)
