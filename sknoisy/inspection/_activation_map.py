"""Images with the activation maps of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from sknoisy._types import Array, ArrayLike, Axes, Estimator

__all__ = ["ActivationMapDisplay"]


class ActivationMapDisplay:
    """Images, overlaid with how strongly each pixel activates the last feature map.

    Parameters
    ----------
    images : ndarray of shape (n_images, channels, height, width)
        uint8 or floats; an image with values outside [0, 1] is rescaled.
    activation_maps : ndarray of shape (n_images, height, width)
        In [0, 1].
    titles : sequence of str of length n_images, default=None
        Titles of the images.

    Attributes
    ----------
    axes_ : ndarray of shape (n_images,) of matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    sknoisy.nets.AdversarialMasking : Hides what activates a network most.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> import numpy as np
    >>> from sknoisy import ActivationMapDisplay
    >>> rng = np.random.default_rng(0)
    >>> images, maps = rng.random((2, 3, 8, 8)), rng.random((2, 8, 8))
    >>> display = ActivationMapDisplay(images, maps, titles=["cat", "dog"]).plot()
    >>> [ax.get_title() for ax in display.axes_]
    ['cat', 'dog']
    """

    def __init__(
        self,
        images: Array,
        activation_maps: Array,
        *,
        titles: Sequence[str] | Literal["auto"] | None = None,
    ) -> None:
        self.images = images
        self.activation_maps = activation_maps
        self.titles = titles

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: ArrayLike,
        *,
        titles: Sequence[str] | Literal["auto"] | None = "auto",
        ax: Axes | None = None,
    ) -> Self:
        """Plot some images and the activation maps of a fitted network.

        Parameters
        ----------
        estimator : NetClassifier or one that derives from it
            Fitted on images; the last step is taken of a Pipeline. Of several networks
            the maps are averaged.
        X : array-like of shape (n_images, channels, height, width)
            A few images, as ``predict`` takes them.
        titles : "auto", sequence of str or None, default="auto"
            "auto" shows the predicted labels.
        ax : array-like of n_images matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        display : ActivationMapDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If its network has no ``feature_map``.
        ValueError
            If X is not images.
        """
        # Here, so that other plots need no torch.
        import torch

        from sknoisy.losses import activation_map
        from sknoisy.nets import NetClassifier
        from sknoisy.nets._batches import to_float
        from sknoisy.nets._peers import networks_of

        if hasattr(estimator, "steps"):
            estimator = estimator[-1]
        check_is_fitted(estimator)
        is_net = isinstance(estimator, NetClassifier)
        networks: list[Any] = networks_of(estimator.module_) if is_net else [None]
        for network in networks:
            if not hasattr(network, "feature_map"):
                raise TypeError(
                    "activation maps need a net for images whose network has "
                    f"feature_map(X); {type(estimator).__name__} has "
                    f"{type(network).__name__}."
                )
        predicted = estimator.predict(X)
        images = np.asarray(X)
        batch = to_float(torch.from_numpy(images.copy())).float()
        batch = batch.to(estimator.device_)
        # predict has left the networks in evaluation mode.
        with torch.no_grad():
            of_networks = [
                activation_map(network.feature_map(batch), batch.shape[2:])
                for network in networks
            ]
        maps = torch.stack(of_networks).mean(0).cpu().numpy()
        if isinstance(titles, str) and titles == "auto":
            titles = [str(label) for label in predicted]
        return cls(images, maps, titles=titles).plot(ax=ax)

    def plot(
        self, *, ax: Axes | None = None, alpha: float = 0.45, cmap: Any = "jet"
    ) -> Self:
        """Draw into axes.

        Parameters
        ----------
        ax : array-like of n_images matplotlib Axes, default=None
            Axes to draw on, one for each image; None makes a figure.
        alpha : float in [0, 1], default=0.45
            Opacity of the maps.
        cmap : str, default="jet"
            Colours of the maps.

        Returns
        -------
        display : ActivationMapDisplay
            The display itself, with the axes it drew on.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is not one map, title and axes for each image.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError(
                "ActivationMapDisplay needs matplotlib: pip install 'sknoisy[plot]'."
            ) from error
        images = np.asarray(self.images)
        n_images = len(images)
        if ax is None:
            width = 1.6 * n_images
            _, ax = plt.subplots(1, n_images, figsize=(width, 1.9), squeeze=False)
        self.axes_ = np.asarray(ax, dtype=object).ravel()
        titles = [""] * n_images if self.titles is None else self.titles
        for name, given in {
            "map": self.activation_maps,
            "title": titles,
            "axes": self.axes_,
        }.items():
            if len(given) != n_images:
                raise ValueError(
                    f"there must be one {name} for each of the {n_images} images; got "
                    f"{len(given)}."
                )
        self.figure_ = self.axes_[0].figure
        parts = zip(self.axes_, images, self.activation_maps, titles, strict=True)
        for axes, image, activation, title in parts:
            picture, is_grey = image.transpose(1, 2, 0), image.shape[0] != 3
            if is_grey:
                picture = picture.mean(2)
            elif picture.dtype != np.uint8:
                low, high = min(picture.min(), 0), max(picture.max(), 1)
                picture = (picture - low) / (high - low)
            axes.imshow(picture, cmap="gray" if is_grey else None)
            axes.imshow(activation, cmap=cmap, alpha=alpha, vmin=0, vmax=1)
            axes.set(title=title, xticks=[], yticks=[])
        return self
