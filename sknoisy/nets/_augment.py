"""Augmentations of whole batches, on the device of the batch."""

import torch
from torch import Tensor

__all__ = ["check_view", "jitter", "jitter_pair", "mixup", "swap_features"]


def mixup(X: Tensor, partner: Tensor, share: Tensor | float) -> Tensor:
    """Return convex combinations of the rows of a batch with other rows of the batch.

    Parameters
    ----------
    X : Tensor of shape (batch, ...)
        Rows of the batch.
    partner : Tensor of shape (batch,), dtype int64
        The row of the batch with which each row is mixed.
    share : Tensor of shape (batch,) or float in [0, 1]
        Share of the row itself; the partner has the rest.

    Returns
    -------
    mixed : Tensor of shape (batch, ...)
        Weighted means of pairs of rows.

    References
    ----------
    .. [1] H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, "mixup: Beyond empirical
       risk minimization", ICLR 2018. arXiv:1710.09412

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import mixup
    >>> X = torch.tensor([[0.0, 0.0], [4.0, 8.0]])
    >>> mixup(X, torch.tensor([1, 0]), 0.75)
    tensor([[1., 2.],
            [3., 6.]])
    """
    if isinstance(share, Tensor):
        share = share.to(X.dtype)
        if share.ndim:
            share = share.reshape(-1, *[1] * (X.ndim - 1))
    return torch.lerp(X.index_select(0, partner), X, share)


def jitter(X: Tensor, spread: Tensor, scale: float) -> Tensor:
    """Return the rows with Gaussian noise, in proportion to each feature's spread.

    A weak view of rows of a table, which changes them little.

    Parameters
    ----------
    X : Tensor of shape (batch, n_features)
        Rows of the batch.
    spread : Tensor of shape (n_features,)
        Standard deviations of the features over all rows.
    scale : float >= 0
        Standard deviation of the noise, as a share of the spread.

    Returns
    -------
    view : Tensor of shape (batch, n_features)
        Changed copies of the rows.

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import jitter
    >>> X = torch.zeros(3, 2)
    >>> jitter(X, spread=torch.tensor([0.0, 1.0]), scale=0.1)[:, 0]
    tensor([0., 0., 0.])
    """
    return torch.addcmul(X, torch.randn_like(X), spread, value=scale)


def jitter_pair(X: Tensor, spread: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return two views as `jitter` makes them, with opposite noise.

    One draw serves both, and their mean is the row itself: predictions that are
    averaged over the two differ less from draw to draw.

    Parameters
    ----------
    X, spread, scale
        As in `jitter`.

    Returns
    -------
    first, second : Tensor of shape (batch, n_features)
        Changed copies of the rows.
    """
    noise = torch.randn_like(X)
    first = torch.addcmul(X, noise, spread, value=scale)
    return first, torch.addcmul(X, noise, spread, value=-scale)


def swap_features(X: Tensor, rate: float) -> Tensor:
    """Return the rows with some entries taken from other rows of the batch.

    A strong view of rows of a table. Each entry is replaced with probability ``rate``
    by a draw from the same column, hence from the feature's own distribution [1]_.

    Parameters
    ----------
    X : Tensor of shape (batch, n_features)
        Rows of the batch.
    rate : float in [0, 1]
        Share of the features that are replaced.

    Returns
    -------
    view : Tensor of shape (batch, n_features)
        Changed copies of the rows.

    References
    ----------
    .. [1] D. Bahri, H. Jiang, Y. Tay, D. Metzler, "SCARF: Self-supervised contrastive
       learning using random feature corruption", ICLR 2022. arXiv:2106.15147

    Examples
    --------
    >>> import torch
    >>> from sknoisy.nets import swap_features
    >>> X = torch.tensor([[1.0, 10.0], [2.0, 20.0]])
    >>> view = swap_features(X, rate=0.6)
    >>> sorted(set(view[:, 1].tolist()) - {10.0, 20.0})
    []
    """
    if rate == 0:
        return X
    draw = torch.rand_like(X)
    # Given draw < rate, draw / rate is uniform again: one draw decides both.
    donor = (draw * (len(X) / rate)).clamp_max(len(X)).long()
    own = torch.arange(len(X), device=X.device)[:, None]
    # Whole numbers, so that this is exact; torch.where takes twice the time.
    is_replaced = (donor < len(X)).to(donor.dtype)
    return X.gather(0, torch.addcmul(own, donor - own, is_replaced))


def check_view(name, view, batch, *, may_resize=False):
    """Refuse a view that does not keep shape and dtype of a batch.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    view : callable
    batch : Tensor of shape (n, ...)
    may_resize : bool, default=False
        Whether height and width of images may change.

    Returns
    -------
    made : Tensor of shape (n, ...)
        What the view makes of a copy of the batch.

    Raises
    ------
    ValueError
    """
    made = view(batch.clone())
    given, found = _kind(batch), _kind(made)
    if found == given or (may_resize and _is_resized(made, batch)):
        return made
    but = ", except for the size of images" if may_resize else ""
    raise ValueError(
        f"{name} must map a batch to a tensor of the same shape and dtype{but}; for "
        f"{given} it returned {found}."
    )


def _is_resized(made, batch):
    if not isinstance(made, Tensor) or made.dtype != batch.dtype:
        return False
    return made.ndim == batch.ndim == 4 and made.shape[:2] == batch.shape[:2]


def _kind(made):
    """Describe the result of a view: shape and dtype of a tensor, else its type."""
    if not isinstance(made, Tensor):
        return type(made).__name__
    return f"{tuple(made.shape)} {made.dtype}"
