"""Weak and strong views of a batch: what a network is asked about, beside the rows."""

from numbers import Real

import numpy as np

from sknoisy._validation import Interval, StrOptions
from sknoisy.nets._augment import check_view, jitter, swap_features
from sknoisy.nets._batches import to_float
from sknoisy.nets._image_augment import crop_and_flip, rand_augment

__all__ = ["STRONG_VIEW", "WEAK_VIEW", "ViewsMixin"]

# What the parameters weak_view and strong_view may be.
WEAK_VIEW = [Interval(Real, 0, None, closed="left"), callable, StrOptions({"auto"})]
STRONG_VIEW = [Interval(Real, 0, 1, closed="both"), callable, StrOptions({"auto"})]

# Views of tables, where the user says nothing.
_JITTER, _SWAP_RATE = 0.3, 0.6
# Rows that a feature's spread is taken from, at most.
_N_SPREAD_ROWS = 10_000


class ViewsMixin:
    """Views of a batch, on a `NetClassifier` with ``weak_view`` and ``strong_view``.

    A method with weak views only has no ``strong_view``. It calls `check_views` in
    ``start_fit``, and names ``spread_`` among its ``cuda_dependent_attributes_``.
    """

    def weak(self, X):
        """Return a slightly changed batch.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of a batch.

        Returns
        -------
        view : Tensor of shape (batch, ...)
            As ``weak_view`` changes them.
        """
        if callable(self.weak_view):
            # A copy: views that work in place would else be views of each other.
            return self.weak_view(X.clone())
        if X.ndim == 4:
            return crop_and_flip(X)
        scale = _JITTER if self.weak_view == "auto" else self.weak_view
        return jitter(X, self.spread_, scale)

    def strong(self, X):
        """Return a strongly changed batch.

        Parameters
        ----------
        X : Tensor of shape (batch, ...)
            Rows of a batch.

        Returns
        -------
        view : Tensor of shape (batch, ...)
            As ``strong_view`` changes them.
        """
        if callable(self.strong_view):
            return self.strong_view(X.clone())
        if X.ndim == 4:
            return rand_augment(crop_and_flip(X))
        rate = _SWAP_RATE if self.strong_view == "auto" else self.strong_view
        return swap_features(X, rate)

    def check_views(self, dataset, names):
        """Find the spread of a table's features; refuse views that cannot be made.

        Parameters
        ----------
        dataset : ArrayDataset
            All rows given to ``fit``.
        names : list of str
            The views that the method takes: "weak_view", "strong_view".
        """
        # Many images would fill the memory.
        n_rows = _N_SPREAD_ROWS if len(self.input_shape_) == 1 else 100
        rows = np.unique(np.linspace(0, len(dataset) - 1, n_rows, dtype=int))
        X = to_float(dataset.fetch(rows)[0])
        self.spread_ = X.std(0, correction=0).to(self.device_) if X.ndim == 2 else None
        for name in names:
            view = getattr(self, name)
            if callable(view):
                check_view(name, view, X[:2].to(self.device_))
            elif X.ndim != 2 and (view != "auto" or X.ndim != 4):
                raise ValueError(
                    f"{name}={view!r} is for tables, but X has {X.ndim} dimensions: "
                    f"give {name} a callable that maps a batch to an augmented one."
                )
        changes_colours = X.ndim == 4 and "strong_view" in names
        if changes_colours and self.strong_view == "auto":
            low, high = float(X.min()), float(X.max())
            if low < 0 or high > 1:
                raise ValueError(
                    "strong_view='auto' changes the colours of images in [0, 1], but X "
                    f"has values from {low:.3g} to {high:.3g}: scale them, give "
                    "strong_view a callable, or set contrastive_weight=0."
                )
