"""CDR: only critical weights are updated by their gradient."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from sknoisy.extending import (
    Interval,
    NetClassifier,
    RobustNetMixin,
    StrOptions,
    number_kept,
    resolve_forget_rate,
)
from sknoisy.nets._many_tensors import multiplied_each, multiply_each_

if TYPE_CHECKING:
    from sknoisy.extending import Device, MakerOfModules, RandomState

__all__ = ["CDRClassifier", "keep_critical_gradients"]


@torch.no_grad()
def keep_critical_gradients(parameters, forget_rate):
    """Set the gradients of all but the critical weights to 0, in place.

    A weight w with the gradient g is the more critical, the larger g w is in absolute
    value. Of all P weights the ⌊(1 − τ) P⌋ most critical keep (1 − τ) g [1]_. A weight
    is an entry of a parameter with two or more dimensions; biases and the scales of
    normalisation keep their gradients.

    Parameters
    ----------
    parameters : iterable of torch parameters
        Those without a gradient are ignored.
    forget_rate : float in [0, 1)
        The share of weights that is not critical, τ. 0 changes nothing.

    References
    ----------
    .. [1] X. Xia, T. Liu, B. Han, C. Gong, N. Wang, Z. Ge, Y. Chang, "Robust
       early-learning: Hindering the memorization of noisy labels", ICLR 2021.
    """
    weights = [p for p in parameters if p.ndim >= 2 and p.grad is not None]
    if not weights or forget_rate == 0:
        return
    grads = [weight.grad for weight in weights]
    products = multiplied_each(grads, weights)
    critical = torch.cat([product.flatten() for product in products]).abs_()
    # A tensor: its value never leaves the device.
    threshold = _nth_largest(critical, number_kept(len(critical), forget_rate))
    factors = (critical >= threshold).to(critical.dtype).mul_(1 - forget_rate)
    parts = factors.split([grad.numel() for grad in grads])
    parts = [part.view(grad.shape) for part, grad in zip(parts, grads, strict=True)]
    # A product, not a selection, so that non-finite gradients stay non-finite.
    multiply_each_(grads, parts)


class CDRClassifier(RobustNetMixin, NetClassifier):
    """Robust classifier that updates critical weights only.

    A weight matters for the right labels if its product with its gradient is large. At
    each step of cross-entropy only these critical weights follow their gradient; the
    others only decay, which leaves less capacity to memorise wrong labels [1]_.

    Parameters
    ----------
    module : torch module class or instance, default=None
        As in `NetClassifier`.
    forget_rate : float in [0, 1) or "auto", default="auto"
        Share of weights that is not critical, τ: [1]_ uses the noise rate. The larger,
        the fewer weights are updated, and by smaller steps. 0 is cross-entropy. "auto"
        estimates the noise rate before training, see `CoTeachingClassifier`.
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
        Further parameters of `NetClassifier`, such as ``settings``.

    Attributes
    ----------
    forget_rate_ : float
        The rate in use, set when a training starts; ``partial_fit`` keeps it.
    noise_scores_ : ndarray of shape (n_samples,), dtype float64
        1 minus the predicted probability of the given label, as the method defines no
        score. Larger = more suspicious.
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
    CoTeachingClassifier : Leaves out rows instead of weights.
    ELRClassifier : Early-learning regularisation.

    Notes
    -----
    The optimizer's weight decay applies to every weight; it shrinks those that are
    not critical. [1]_ decays by 1e-3; the default here is 2e-3.

    Early stopping is part of the method: [1]_ holds out a tenth of the noisy rows and
    takes the network of the epoch that predicts them best. That is
    ``train_split=ValidSplit(0.1, stratified=True)`` with skorch's
    ``EarlyStopping("valid_acc", lower_is_better=False, load_best=True)`` among the
    callbacks; otherwise the network is that of the last epoch.

    The authors' code computes a gradual rate and then overwrites it: τ is constant
    there, and here. It uses only parameters with two or four dimensions; here those
    with three, of 1-D convolutions, are included.

    References
    ----------
    .. [1] X. Xia, T. Liu, B. Han, C. Gong, N. Wang, Z. Ge, Y. Chang, "Robust
       early-learning: Hindering the memorization of noisy labels", ICLR 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import CDRClassifier, SymmetricNoiseInjector
    >>> X, y = load_digits(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.4, random_state=0)
    >>> X, y_noisy = injector.fit_resample(X / X.std(), y)
    >>> clf = CDRClassifier(forget_rate=0.4, random_state=0)
    >>> clf = clf.fit(X[:1000], y_noisy[:1000])
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.8)
    True
    """

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "forget_rate": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        forget_rate: Literal["auto"] | float = "auto",
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
        self.forget_rate = forget_rate

    def start_fit(self, dataset: Any) -> None:
        """Set the forget rate before the network is built."""
        super().start_fit(dataset)
        self.forget_rate_ = resolve_forget_rate(self, dataset)

    def on_grad_computed(
        self,
        net: Any,
        named_parameters: Any,
        batch: Any = None,
        training: bool = False,
        **kwargs: Any,
    ) -> None:
        """Keep the gradients of critical weights only, before a step."""
        super().on_grad_computed(
            net, named_parameters, batch=batch, training=training, **kwargs
        )
        keep_critical_gradients(self.module_.parameters(), self.forget_rate_)


def _nth_largest(values, n):
    """Return the n-th largest of the entries, as a tensor that broadcasts."""
    if values.device.type == "cpu" and values.dtype != torch.bfloat16:
        # Here torch is several times slower than numpy, which has no bfloat16.
        place = len(values) - n
        return torch.from_numpy(np.partition(values.numpy(), place)[place, None])
    # kthvalue uses only a single block of a GPU.
    return values.topk(n, sorted=False).values.min()
