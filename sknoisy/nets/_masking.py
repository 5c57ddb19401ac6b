"""Self-supervised adversarial noisy masking, for any net with a feature map."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from numbers import Integral
from typing import Any, Literal, Self, cast

import torch
from torch import nn
from torch.nn import functional as F

from sknoisy.losses import (
    activation_map,
    mask_patches,
    peak_and_valley,
    soft_cross_entropy,
    soften_labels,
)
from sknoisy.nets._decoding import make_decoder, weighted_errors

__all__ = ["AdversarialMasking", "watch_maps"]


class AdversarialMasking(nn.Module):
    """Masking of the patches of images that activate the network most and least.

    Any classifier for images accepts it as ``masking``. The network is trained on two
    more copies of each image, one without the patch that activates it most, one without
    the patch that activates it least. The larger the hidden patch, the smaller the
    weight of the label, and patches are larger where the label is doubtful. A decoder
    restores the image from the last feature map [1]_.

    Parameters
    ----------
    mask_ratio : tuple of two floats in [0, 1], default=(0.02, 0.07)
        Range of the hidden share of an image, ρ, drawn for each image. The default is
        that of the authors' code.
    quality_ratio : float in [0, 1], default=0.03, as the authors' code
        Added to ρ where the label is certainly wrong.
    aspect_ratio : float in (0, 1], default=0.8, the value of [1]_
        δ, the height of a patch over its width.
    aspect : {"uniform", "fixed"}, default="uniform", the better one in [1]_
        Whether δ is drawn between ``aspect_ratio`` and its inverse for each image.
    anchor : {"center", "corner"}, default="center"
        Point of the patch that is placed at the peak. The authors' code uses the upper
        left corner.
    masking_weight : float >= 0, default=1.0
        Weight of the loss on masked images.
    reconstruction_weight : float >= 0, default=0.02, as the authors' code for CIFAR
        Weight of the decoder's squared error, on pixels of unit variance, in the
        training of the network. The authors' code has 0.3 for Clothing1M. 0 trains no
        decoder.
    keep_argmax : bool, default=False
        Whether the label stays the most probable class, whatever the hidden share.
    warmup_epochs : int >= 0 or "auto", default="auto"
        Epochs without masking. "auto" is 20 % of ``max_epochs``.

    Attributes
    ----------
    label_quality : Tensor of shape (n_networks, n_samples), dtype float32
        Probability that each label is clean, for each network.
    decoders : ModuleList
        One for each network.
    pixels : BatchNorm2d
        Mean and variance of each channel of the images.

    See Also
    --------
    sknoisy.ActivationMapDisplay : Plot what activates a network.

    Notes
    -----
    The loss is L_host(x, y) + w/2 [CE(x⁺, ỹ) + CE(x⁻, ỹ)] + v [MSE(x⁺) + MSE(x⁻)].
    The classifier defines y: the given label or its own target. `DivideMixClassifier`
    and `SSRClassifier` mix masked images with the others; ``masking_weight`` has no
    effect there. `ELRPlusClassifier` does so with ``mix_masked=True``.

    Labels are scored from a mixture of two Gaussians on their losses at the start of
    each epoch, with several networks by the losses of another one; a classifier that
    scores labels itself provides its scores.

    The decoder itself is trained with the weight 1: with that of the network, it
    restores nothing in a few thousand steps. It reads maps of unit variance. Both
    differ from the authors' code, which has images of unit variance, as here, and 300
    epochs. Decoders from 4 x 4 to 32 x 32 and from 7 x 7 to 224 x 224 are theirs;
    others double the size with each layer.

    The only sources are the supplement [1]_ and the authors' code of DivideMix; masking
    in other classifiers is our interpretation.

    References
    ----------
    .. [1] Y. Tu, B. Zhang, Y. Li, L. Liu, J. Li, Y. Wang, C. Wang, C. R. Zhao,
       "Learning with noisy labels via self-supervised adversarial noisy masking",
       CVPR 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sknoisy import NetClassifier
    >>> from sknoisy.nets import AdversarialMasking, PreActResNet
    >>> digits = load_digits()
    >>> X = (digits.images[:200, None] / 16).astype(np.float32)
    >>> clf = NetClassifier(
    ...     PreActResNet,
    ...     module__blocks=(1, 1),
    ...     module__width=4,
    ...     masking=AdversarialMasking,
    ...     masking__aspect_ratio=0.9,
    ...     max_epochs=3,
    ... )
    >>> clf.fit(X, digits.target[:200]).masking_.label_quality.shape
    torch.Size([1, 200])
    """

    # A buffer, which torch would take for a tensor or a module.
    label_quality: torch.Tensor

    def __init__(
        self,
        mask_ratio: tuple[float, float] = (0.02, 0.07),
        quality_ratio: float = 0.03,
        aspect_ratio: float = 0.8,
        aspect: Literal["uniform", "fixed"] = "uniform",
        anchor: Literal["center", "corner"] = "center",
        masking_weight: float = 1.0,
        reconstruction_weight: float = 0.02,
        keep_argmax: bool = False,
        warmup_epochs: Literal["auto"] | int = "auto",
    ) -> None:
        super().__init__()
        self.mask_ratio = mask_ratio
        self.quality_ratio = quality_ratio
        self.aspect_ratio = aspect_ratio
        self.aspect = aspect
        self.anchor = anchor
        self.masking_weight = masking_weight
        self.reconstruction_weight = reconstruction_weight
        self.keep_argmax = keep_argmax
        self.warmup_epochs = warmup_epochs
        self.is_active = False
        _check_parameters(self)

    @torch.no_grad()
    def start(self, networks: list[nn.Module], row: Any, n_samples: int) -> Self:
        """Build decoders for networks, and allocate the quality of labels.

        Parameters
        ----------
        networks : list of torch modules
            With ``feature_map(X)`` of shape (batch, channels, h, w).
        row : Tensor of shape (1, channels, height, width)
            An example row, to find the sizes of feature maps.
        n_samples : int
            Number of rows given to ``fit``.

        Returns
        -------
        self : AdversarialMasking
            The module itself.
        """
        self.decoders = nn.ModuleList()
        for network in networks:
            was_training = network.training
            shape = tuple(_map_of(network.eval(), row).shape[1:])
            network.train(was_training)
            self.decoders.append(make_decoder(shape, tuple(row.shape[1:])))
        self.pixels = _pixel_scale(row)
        self.register_buffer("label_quality", torch.ones(len(networks), n_samples))
        return self

    def views(
        self,
        X: torch.Tensor,
        targets: torch.Tensor,
        quality: torch.Tensor,
        feature_map: torch.Tensor,
    ) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Return the images without peak and without valley, and their targets.

        Parameters
        ----------
        X : Tensor of shape (batch, channels, height, width)
            Images of the batch.
        targets : Tensor of shape (batch, n_classes)
            Target distribution of each row.
        quality : Tensor of shape (batch,)
            Probability that each label is clean.
        feature_map : Tensor of shape (batch, n_channels, h, w)
            Feature map of X.

        Returns
        -------
        masked : tuple of two Tensors, of the shape of X
            Images without the most and without the least activated patches.
        softened : Tensor of shape (batch, n_classes)
            Target distributions of the masked images.
        """
        n_rows, n_channels = X.shape[:2]
        activation = activation_map(feature_map.detach(), X.shape[2:])
        # One draw for all random numbers: share, aspect, two colours.
        draw = torch.rand(n_rows, 2 + 2 * n_channels, device=X.device)
        low, high = self.mask_ratio
        ratio = low + (high - low) * draw[:, 0] + self.quality_ratio * (1 - quality)
        ratio = ratio.clamp_max(1)
        aspect = torch.full_like(ratio, self.aspect_ratio)
        if self.aspect == "uniform":
            aspect += draw[:, 1] * (1 / self.aspect_ratio - self.aspect_ratio)
        colours = draw[:, 2:].chunk(2, 1)
        places = peak_and_valley(activation)
        made = tuple(
            mask_patches(X, place, ratio / 2, aspect, colour, self.anchor)
            for place, colour in zip(places, colours, strict=True)
        )
        masked = cast("tuple[torch.Tensor, torch.Tensor]", made)
        return masked, soften_labels(targets, ratio, self.keep_argmax)

    def reconstruction_loss(
        self, turn: Any, feature_map: torch.Tensor, X: torch.Tensor
    ) -> torch.Tensor:
        """Return the squared errors with which a decoder restores images.

        In units of the variance of each channel of the pixels of the batch, so that
        they do not depend on the range of X.

        Parameters
        ----------
        turn : int
            Number of the network.
        feature_map : Tensor of shape (2 * batch, n_channels, h, w)
            Feature maps of the images without peak, then of those without valley.
        X : Tensor of shape (batch, channels, height, width)
            The images.

        Returns
        -------
        loss : Tensor of shape (batch,)
            The sum of both errors.
        """
        X = self._pixels_like(X)(X.float())
        without_peak, without_valley = self._decoded(turn, feature_map, X).chunk(2)
        errors = (without_peak - X).square() + (without_valley - X).square()
        return errors.mean((1, 2, 3))

    @torch.no_grad()
    def restore(self, turn: Any, network: nn.Module, X: torch.Tensor) -> torch.Tensor:
        """Return the images that a decoder restores from the feature maps of images.

        Parameters
        ----------
        turn : int
            Number of the network.
        network : torch module
            The network, in evaluation mode.
        X : Tensor of shape (batch, channels, height, width)
            Images, such as `views` returns them.

        Returns
        -------
        restored : Tensor of shape (batch, channels, height, width), dtype float32
            Images in the range of X.
        """
        pixels = self._pixels_like(X)
        mean, variance = pixels.running_mean, pixels.running_var + pixels.eps
        restored = self._decoded(turn, _map_of(network, X), X)
        return torch.addcmul(_by_channel(mean), restored, _by_channel(variance.sqrt()))

    def _decoded(self, turn, feature_map, X):
        restored = self.decoders[turn](feature_map).float()
        if restored.shape[2:] != X.shape[2:]:
            # Of views that have another size than the rows given to fit.
            restored = F.interpolate(restored, X.shape[2:], mode="bilinear")
        return restored

    def _pixels_like(self, X):
        """Return what standardises pixels; files of version 0.1.0 have none."""
        if "pixels" not in self._modules:
            self.pixels = _pixel_scale(X)
        return self.pixels

    def _reconstruction(self, turn, feature_map, X):
        return weighted_errors(
            partial(self.reconstruction_loss, turn, X=X),
            feature_map,
            self.reconstruction_weight,
        )

    def views_and_loss(
        self,
        turn: Any,
        network: nn.Module,
        X: torch.Tensor,
        targets: torch.Tensor,
        quality: torch.Tensor,
        feature_map: torch.Tensor | None = None,
    ) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor, torch.Tensor]:
        """Return masked views for a method that trains on them, and the decoder's loss.

        Parameters
        ----------
        turn : int
            Number of the network.
        network : torch module
            Network whose feature maps select the patches.
        X : Tensor of shape (batch, channels, height, width)
            Images of the batch.
        targets : Tensor of shape (batch, n_classes)
            Target distribution of each row.
        quality : Tensor of shape (batch,)
            Probability that each label is clean.
        feature_map : Tensor of shape (batch, n_channels, h, w), default=None
            Feature map of X. None computes it.

        Returns
        -------
        masked : tuple of two Tensors, of the shape of X
            Images without the most and without the least activated patches.
        softened : Tensor of shape (batch, n_classes)
            Target distributions of the masked images.
        loss : Tensor of shape (batch,)
            Loss of the decoder for each row, times its weight.
        """
        if feature_map is None:
            with torch.no_grad():
                feature_map = _map_of(network, X)
        masked, softened = self.views(X, targets, quality, feature_map)
        if not self.reconstruction_weight:
            return masked, softened, X.new_zeros(len(X))
        feature_map = _map_of(network, torch.cat(masked))
        return masked, softened, self._reconstruction(turn, feature_map, X)

    def forward(
        self,
        turn: Any,
        network: nn.Module,
        X: torch.Tensor,
        targets: torch.Tensor,
        index: torch.Tensor,
        feature_map: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the loss of masked images.

        Parameters
        ----------
        turn : int
            Number of the network.
        network : torch module
            Network whose feature maps select the patches.
        X : Tensor of shape (batch, channels, height, width)
            Images of the batch.
        targets : Tensor of shape (batch, n_classes)
            Target distribution of each row.
        index : Tensor of shape (batch,), dtype int64
            Row numbers.
        feature_map : Tensor of shape (batch, n_channels, h, w), default=None
            Feature map of X. None computes it.

        Returns
        -------
        loss : Tensor of shape (batch,)
            One loss for each row.
        """
        if feature_map is None:
            with torch.no_grad():
                feature_map = _map_of(network, X)
        quality = self.label_quality[turn, index]
        masked, softened = self.views(X, targets, quality, feature_map)
        both = torch.cat(masked)
        with watch_maps([network]) as maps:
            logits = network(both).float()
        losses = soft_cross_entropy(logits, softened.repeat(2, 1)).chunk(2)
        loss = self.masking_weight * (losses[0] + losses[1]) / 2
        if self.reconstruction_weight:
            seen = maps[network]
            feature_map = seen[-1][1] if seen else _map_of(network, both)
            loss = loss + self._reconstruction(turn, feature_map, X)
        return loss


def _map_of(network: Any, X: torch.Tensor) -> torch.Tensor:
    # torch takes what it does not know of a module for a tensor or a module.
    return network.feature_map(X)


def _pixel_scale(X):
    """Return a layer that standardises the pixels of each channel of a batch."""
    layer = nn.BatchNorm2d(X.shape[1], affine=False, momentum=None)
    return layer.to(X.device)


def _by_channel(values):
    return values[:, None, None]


@contextmanager
def watch_maps(networks):
    """Store the feature maps that networks compute, each with its batch.

    Parameters
    ----------
    networks : list of torch modules
        With ``feature_map(X)``. Calls of ``embed`` and ``forward`` that do not
        use it are not recorded.

    Yields
    ------
    maps : dict of torch module to list of tuples (X, feature_map)
    """
    maps = {network: [] for network in networks}

    def watch(network, feature_map):
        def watched(X):
            made = feature_map(X)
            maps[network].append((X, made))
            return made

        return watched

    for network in networks:
        # Set on the instance, where it hides the method of the class.
        network.feature_map = watch(network, network.feature_map)
    try:
        yield maps
    finally:
        for network in networks:
            del network.feature_map


def _check_parameters(masking):
    ratio = masking.mask_ratio
    is_range = isinstance(ratio, tuple | list) and len(ratio) == 2
    if not is_range or not 0 <= ratio[0] <= ratio[1] <= 1:
        raise ValueError(
            f"mask_ratio must be two shares (low, high) in [0, 1]; got {ratio!r}."
        )
    if not 0 <= masking.quality_ratio <= 1:
        raise ValueError(
            f"quality_ratio must be in [0, 1]; got {masking.quality_ratio!r}."
        )
    if not 0 < masking.aspect_ratio <= 1:
        raise ValueError(
            f"aspect_ratio must be in (0, 1]; got {masking.aspect_ratio!r}."
        )
    for name, known in {
        "aspect": ("uniform", "fixed"),
        "anchor": ("center", "corner"),
    }.items():
        if getattr(masking, name) not in known:
            raise ValueError(
                f"{name} must be one of {known}; got {getattr(masking, name)!r}."
            )
    for name in ("masking_weight", "reconstruction_weight"):
        if not getattr(masking, name) >= 0:
            raise ValueError(
                f"{name} must be at least 0; got {getattr(masking, name)!r}."
            )
    n_warmup = masking.warmup_epochs
    is_count = isinstance(n_warmup, Integral) and n_warmup >= 0
    if n_warmup != "auto" and not is_count:
        raise ValueError(
            f"warmup_epochs must be an int of at least 0 or 'auto'; got {n_warmup!r}."
        )
