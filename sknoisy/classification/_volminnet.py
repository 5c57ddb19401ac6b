"""VolMinNet: the transition matrix is learnt with the network."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sknoisy.extending import Interval, NetClassifier, RobustNetMixin
from sknoisy.losses import VolMinLoss

if TYPE_CHECKING:
    from sknoisy.extending import Device, MakerOfModules, RandomState

__all__ = ["VolMinNetClassifier"]


class VolMinNetClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier that learns which classes are confused.

    The network predicts true classes, and a transition matrix turns them into given
    labels; both are learnt together, without anchors or a first network. Of the
    matrices that explain the labels, the one of the least volume is preferred, which
    leaves the most to noise [1]_.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`.
    lam : float >= 0, default=1e-4, the value of [1]_
        Weight of the volume, ``λ log |det T|``. The larger, the more wrong labels the
        matrix accounts for; towards 1 it becomes singular, and training diverges.
    transition_lr : float > 0, default=1.0
        Learning rate of the matrix, multiplied by ``lr_schedule`` as ``lr`` is. [1]_
        has 0.01, in trainings of 30,000 steps; those of 20 epochs have a few hundred.
    lr : float >= 0, default=0.05
        Learning rate of the network at the first epoch.
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
        Further parameters of `NetClassifier`, such as ``settings``.

    Attributes
    ----------
    transition_matrix_ : ndarray of shape (n_classes, n_classes), dtype float64
        Learnt. T[a, b] = P(given label b | true class a); rows sum to 1.
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
    TransitionCorrectionClassifier : By a matrix that is given, or shown by anchors.
    sknoisy.losses.VolMinLoss : The loss alone.

    Notes
    -----
    No entry of a row is larger than that on the diagonal, so that a class most of whose
    labels have become one other is not found.

    The matrix is learnt by the optimizer of the network, with the learning rate
    ``transition_lr`` where it is SGD; others, such as Adam, scale its steps with the
    square root of ``transition_lr / lr``. Weight decay draws it towards its initial
    value; in the authors' code it has none.

    References
    ----------
    .. [1] X. Li, T. Liu, B. Han, G. Niu, M. Sugiyama, "Provably end-to-end label-noise
       learning without anchor points", ICML 2021. arXiv:2102.02400

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import TransitionNoiseInjector, VolMinNetClassifier
    >>> from sknoisy import pair_flip_matrix
    >>> X, y = load_digits(return_X_y=True)
    >>> T = pair_flip_matrix(10, 0.3)
    >>> X, y_noisy = TransitionNoiseInjector(T, random_state=0).fit_resample(X, y)
    >>> X = X / X.std()
    >>> clf = VolMinNetClassifier(random_state=0).fit(X[:1000], y_noisy[:1000])
    >>> bool(abs(clf.transition_matrix_ - T).mean() < 0.05)
    True
    """

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "lam": [Interval(Real, 0, None, closed="left")],
        "transition_lr": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        lam: float = 1e-4,
        transition_lr: float = 1.0,
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
        self.transition_lr = transition_lr

    def initialize_criterion(self) -> Self:
        """Build the loss, whose matrix is learnt at a rate of its own."""
        # Nothing is learnt with lr=0.
        speed = math.sqrt(self.transition_lr / self.lr) if self.lr else 1.0
        self.criterion_ = self.own_criterion(VolMinLoss, lam=self.lam, speed=speed)
        return self

    def finish_fit(self, dataset: Any) -> None:
        """Keep the learnt matrix, and score the labels."""
        T = self.criterion_.transition_matrix().detach().cpu().numpy()
        T = T.astype(np.float64)
        self.transition_matrix_ = T / T.sum(axis=1, keepdims=True)
        super().finish_fit(dataset)
