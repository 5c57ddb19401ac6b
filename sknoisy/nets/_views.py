"""Weak and strong views of a batch."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sknoisy._validation import Interval, StrOptions
from sknoisy.nets._augment import check_view, jitter, jitter_pair, swap_features
from sknoisy.nets._batches import to_float
from sknoisy.nets._image_augment import crop_and_flip, rand_augment

if TYPE_CHECKING:
    import torch

    from sknoisy._types import View

__all__ = [
    "STRONG_VIEW",
    "WEAK_VIEW",
    "check_views",
    "strong_view_of",
    "weak_pair_of",
    "weak_view_of",
]

# Constraints on the parameters weak_view and strong_view.
WEAK_VIEW = [Interval(Real, 0, None, closed="left"), callable, StrOptions({"auto"})]
STRONG_VIEW = [Interval(Real, 0, 1, closed="both"), callable, StrOptions({"auto"})]

# Default strengths of views of tables.
_JITTER, _SWAP_RATE = 0.3, 0.6
# Largest number of rows from which spreads are computed.
_N_SPREAD_ROWS = 10_000


def weak_view_of(
    X: torch.Tensor,
    view: View = "auto",
    spread: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return a slightly changed batch.

    Parameters
    ----------
    X : Tensor of shape (batch, ...)
        Rows of a batch.
    view : "auto", float or callable, default="auto"
        A callable is given a copy. For tables a float is the strength of the noise, in
        standard deviations of each feature; "auto" is 0.3. Images are moved and
        mirrored.
    spread : Tensor of shape (n_features,), default=None
        Standard deviations of the features, as `check_views` returns them. Not used for
        images or by a callable.

    Returns
    -------
    view : Tensor of shape (batch, ...)
        The changed rows.
    """
    if callable(view):
        # A copy: otherwise views that work in place would change each other.
        return view(X.clone())
    if X.ndim == 4:
        return crop_and_flip(X)
    return jitter(X, cast("torch.Tensor", spread), _JITTER if view == "auto" else view)


def weak_pair_of(
    X: torch.Tensor,
    view: View = "auto",
    spread: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two slightly changed batches, whose predictions are to be averaged.

    Parameters
    ----------
    X, view, spread
        As in `weak_view_of`.

    Returns
    -------
    first, second : Tensor of shape (batch, ...)
        The changed rows; for tables by opposite noise, which takes half the draws.
    """
    if callable(view) or X.ndim == 4:
        return weak_view_of(X, view), weak_view_of(X, view)
    scale = _JITTER if view == "auto" else view
    return jitter_pair(X, cast("torch.Tensor", spread), scale)


def strong_view_of(X: torch.Tensor, view: View = "auto") -> torch.Tensor:
    """Return a strongly changed batch.

    Parameters
    ----------
    X : Tensor of shape (batch, ...)
        Rows of a batch.
    view : "auto", float or callable, default="auto"
        A callable is given a copy. For tables a float is the share of the entries that
        are replaced by those of other rows; "auto" is 0.6. Images are recoloured, too.

    Returns
    -------
    view : Tensor of shape (batch, ...)
        The changed rows.
    """
    if callable(view):
        return view(X.clone())
    if X.ndim == 4:
        return rand_augment(crop_and_flip(X))
    return swap_features(X, _SWAP_RATE if view == "auto" else view)


def check_views(
    net: Any, dataset: Any, names: list[str], without: str = ""
) -> torch.Tensor | None:
    """Check the views of a method, and return the spread of a table's features.

    A method calls it in ``start_fit``, stores the result as ``spread_``, and lists that
    name in its ``cuda_dependent_attributes_``.

    Parameters
    ----------
    net : NetClassifier
        With the views as parameters.
    dataset : ArrayDataset
        All rows given to ``fit``.
    names : list of str
        The views that the method uses: "weak_view", "strong_view".
    without : str, default=""
        What to set to do without the strong view, for an error message.

    Returns
    -------
    spread : Tensor of shape (n_features,) or None
        Standard deviation of each feature; None for images.

    Raises
    ------
    ValueError
        If a view is for tables and X is not one, or for images of another range.
    """
    # All images together could fill the memory.
    n_rows = _N_SPREAD_ROWS if len(net.input_shape_) == 1 else 100
    rows = np.unique(np.linspace(0, len(dataset) - 1, n_rows, dtype=int))
    X = to_float(dataset.fetch(rows)[0])
    spread = X.std(0, correction=0).to(net.device_) if X.ndim == 2 else None
    for name in names:
        view = getattr(net, name)
        if callable(view):
            check_view(name, view, X[:2].to(net.device_))
        elif X.ndim != 2 and (view != "auto" or X.ndim != 4):
            raise ValueError(
                f"{name}={view!r} is for tables, but X has {X.ndim} dimensions: "
                f"set {name} to a callable that maps a batch to an augmented one."
            )
    if X.ndim == 4 and "strong_view" in names and net.strong_view == "auto":
        low, high = float(X.min()), float(X.max())
        if low < 0 or high > 1:
            raise ValueError(
                "strong_view='auto' changes the colours of images in [0, 1], but X "
                f"has values from {low:.3g} to {high:.3g}: scale them, or set "
                "strong_view to a callable"
                + (f"; or set {without}." if without else ".")
            )
    return spread
