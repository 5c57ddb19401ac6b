"""Plot of losses and of the mixture that splits them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknoisy._verdicts import unjudged_rows
from sknoisy.mixture import BetaMixture, BMMLossSplitter

if TYPE_CHECKING:
    from sknoisy._types import ArrayLike, Axes, Estimator

__all__ = ["LossMixtureDisplay"]

_N_BINS = 60
_N_POINTS = 400
# Beyond hi_ nothing changes: so much of the axis, relative to hi_ - lo_, shows that.
_MARGIN = 0.15


class LossMixtureDisplay:
    """Losses, the two components fitted to them, and the posterior.

    Parameters
    ----------
    losses : array-like of shape (n_samples,) or (n_samples, n_epochs), or None
        Not negative. None draws no histogram.
    splitter : BMMLossSplitter
        Fitted.
    noise_mask : array-like of shape (n_samples,), dtype bool, default=None
        True = the label is known to be wrong. Right and wrong labels are then drawn in
        two colours.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Of the densities.
    posterior_ax_ : matplotlib Axes
        Of the posterior, on the right.
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        The components for right and for wrong labels, if there are any, and last the
        posterior.
    bars_ : list of matplotlib BarContainer
        The histogram: of all losses, or of right and of wrong labels; empty without
        losses.

    See Also
    --------
    BMMLossSplitter : Fits the mixture.

    Notes
    -----
    The area of a bar is a share of all losses, and that under a component is its
    weight. Losses far beyond ``hi_`` are not shown. A splitter with a fallback, and
    a mixture without ``score_samples``, have no components to draw.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> import numpy as np
    >>> from sknoisy import BMMLossSplitter, LossMixtureDisplay
    >>> rng = np.random.default_rng(0)
    >>> losses = np.concatenate([rng.gamma(2, 0.2, 700), rng.normal(4, 0.5, 300)])
    >>> splitter = BMMLossSplitter().fit(losses)
    >>> display = LossMixtureDisplay.from_estimator(splitter, losses)
    >>> [line.get_label() for line in display.lines_]
    ['right: 72 %', 'wrong: 28 %', 'suspicion']
    """

    def __init__(
        self,
        losses: ArrayLike | None,
        splitter: Estimator,
        *,
        noise_mask: ArrayLike | None = None,
    ) -> None:
        self.losses = losses
        self.splitter = splitter
        self.noise_mask = noise_mask

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        losses: ArrayLike | None = None,
        *,
        noise_mask: ArrayLike | None = None,
        epoch: int | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Plot what a splitter, or an estimator that has one, was fitted to.

        Parameters
        ----------
        estimator : BMMLossSplitter, or estimator with a splitter
            Fitted; the last step is taken of a Pipeline. An estimator has ``splitter_``
            and ``losses_``, or ``mixtures_``, a splitter for each epoch.
        losses : array-like of shape (n_samples,) or (n_samples, n_epochs), default=None
            Needed with a splitter, which keeps none. None takes ``losses_``.
        noise_mask : array-like of shape (n_samples,), dtype bool, default=None
            True = the label is known to be wrong.
        epoch : int, default=None
            Takes the splitter of this epoch, counted from 1, from ``mixtures_``. There
            is then no histogram unless ``losses`` are given.
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        display : LossMixtureDisplay

        Raises
        ------
        NotFittedError
            If the estimator lacks the attributes.
        TypeError, ValueError
            If a splitter is given without losses, there is no such epoch, or as `plot`.
        ImportError
            If matplotlib is not installed.
        """
        if hasattr(estimator, "steps"):
            estimator = estimator[-1]
        if epoch is not None:
            splitter = _splitter_of_epoch(estimator, epoch)
        elif isinstance(estimator, BMMLossSplitter):
            if losses is None:
                raise ValueError(
                    "losses must be given with a BMMLossSplitter, which keeps none: "
                    "LossMixtureDisplay.from_estimator(splitter, losses)."
                )
            splitter = estimator
        else:
            needed = ["splitter_", "losses_"] if losses is None else ["splitter_"]
            _check_has(estimator, needed, "or give epoch if it has mixtures_")
            splitter = estimator.splitter_
            if losses is None:
                losses, noise_mask = _of_scored_rows(estimator, noise_mask)
        return cls(losses, splitter, noise_mask=noise_mask).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw into an axes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        display : LossMixtureDisplay
            The display itself, with the axes it drew on.

        Raises
        ------
        TypeError, NotFittedError
            If the splitter is not a BMMLossSplitter, or not fitted.
        ValueError
            If the losses do not suit the splitter, or if ``noise_mask`` does not
            have one entry for each of them.
        ImportError
            If matplotlib is not installed.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError(
                "LossMixtureDisplay needs matplotlib: pip install 'sknoisy[plot]'."
            ) from error
        if not isinstance(self.splitter, BMMLossSplitter):
            raise TypeError(
                "splitter must be a BMMLossSplitter; got "
                f"{type(self.splitter).__name__}."
            )
        check_is_fitted(self.splitter)
        losses, noise_mask = self._check_losses()
        left, right = self._range(losses)
        if ax is None:
            _, ax = plt.subplots()
        self.ax_, self.figure_, self.posterior_ax_ = ax, ax.figure, ax.twinx()
        self.bars_ = self._draw_bars(losses, noise_mask, left, right)
        components = self._draw_components(left, right)
        grid = np.linspace(left, right, _N_POINTS)
        posterior = self.posterior_ax_.plot(
            grid, self.splitter._posterior(grid), "k--", linewidth=1, label="suspicion"
        )
        self.lines_ = components + posterior
        ax.set(xlim=(left, right), ylim=(0, self._top(components)))
        ax.set(xlabel="Loss", ylabel="Density")
        self.posterior_ax_.set(ylim=(0, 1.02), ylabel="Suspicion")
        # The axes of the posterior lies above the other one: so its legend is not
        # hidden.
        handles = [*self.bars_, *self.lines_]
        self.posterior_ax_.legend(handles=handles, loc="best")
        return self

    def _check_losses(self):
        if self.losses is None:
            if self.noise_mask is not None:
                raise ValueError("noise_mask needs losses.")
            return None, None
        losses = self.splitter._check_losses(self.losses, reset=False)
        if self.noise_mask is None:
            return losses, None
        noise_mask = np.asarray(self.noise_mask)
        if noise_mask.dtype != bool or noise_mask.shape != losses.shape:
            raise ValueError(
                f"noise_mask must be {len(losses)} booleans, one for each loss; got "
                f"shape {noise_mask.shape}, dtype {noise_mask.dtype}."
            )
        return losses, noise_mask

    def _range(self, losses):
        """Return where the horizontal axis begins and ends."""
        low, high = sorted([self.splitter.lo_, self.splitter.hi_])
        margin = _MARGIN * (high - low)
        left, right = low - margin, high + margin
        if losses is not None:
            left, right = min(low, losses.min()), max(high, losses.max())
            if self.splitter.fallback_ is None:
                right = min(right, high + margin)
        # Equal losses, too, are a bar somewhere inside.
        pad = 0.5 if right - left < 1e-4 * max(right, 1) else 0.0
        return max(float(left) - pad, 0.0), float(right) + pad

    def _draw_bars(self, losses, noise_mask, left, right):
        if losses is None:
            return []
        groups = {"losses": (np.ones(len(losses), dtype=bool), "0.6")}
        if noise_mask is not None:
            groups = {
                "right labels": (~noise_mask, "C0"),
                "wrong labels": (noise_mask, "C1"),
            }
        edges = np.linspace(left, right, _N_BINS + 1)
        scale = len(losses) * (edges[1] - edges[0])
        bars = []
        for label, (rows, color) in groups.items():
            heights = np.histogram(losses[rows], edges)[0] / scale
            style = {"color": color, "alpha": 0.4, "label": label}
            bars.append(
                self.ax_.bar(edges[:-1], heights, np.diff(edges), align="edge", **style)
            )
        return bars

    def _draw_components(self, left, right):
        splitter, mixture = self.splitter, self.splitter.mixture_
        if not hasattr(mixture, "score_samples"):
            return []
        width = splitter._width()
        # Dense at both ends, where a beta density may be steep.
        unit = np.sin(np.linspace(0, np.pi / 2, _N_POINTS)) ** 2
        if not isinstance(mixture, BetaMixture):
            ends = (np.array([left, right]) - splitter.lo_) / width
            unit = ends[0] + (ends[1] - ends[0]) * unit
        rows = unit[:, None]
        density = np.exp(mixture.score_samples(rows))[:, None] / width
        joint = mixture.predict_proba(rows) * density
        noisy = splitter.noisy_component_
        lines = []
        for name, component, color in (
            ("right", 1 - noisy, "C0"),
            ("wrong", noisy, "C1"),
        ):
            share = mixture.weights_[component]
            lines += self.ax_.plot(
                splitter.lo_ + width * unit,
                joint[:, component],
                color=color,
                label=f"{name}: {100 * share:.0f} %",
            )
        return lines

    def _top(self, components):
        """Return a height that shows the bars whole and cuts off poles of a density."""
        heights = [bar.get_height() for bars in self.bars_ for bar in bars]
        for line in components:
            # A tenth of the points at each end is a fortieth of the axis.
            inner = line.get_ydata()[_N_POINTS // 10 : -_N_POINTS // 10]
            heights.append(inner.max())
        return 1.1 * max(heights, default=1.0)


def _of_scored_rows(estimator, noise_mask):
    """Return the losses, and the mask, of the rows that were scored."""
    losses, unjudged = estimator.losses_, unjudged_rows(estimator)
    if len(unjudged):
        if noise_mask is not None and len(noise_mask) == len(losses):
            noise_mask = np.delete(np.asarray(noise_mask), unjudged)
        losses = np.delete(losses, unjudged)
    return losses, noise_mask


def _splitter_of_epoch(estimator, epoch):
    _check_has(estimator, ["mixtures_"], "one splitter for each epoch")
    n_epochs = len(estimator.mixtures_)
    if not 1 <= operator.index(epoch) <= n_epochs:
        raise ValueError(f"epoch must be from 1 to {n_epochs}; got {epoch}.")
    return estimator.mixtures_[epoch - 1]


def _check_has(estimator, attributes, hint):
    check_is_fitted(
        estimator,
        attributes,
        msg=f"This %(name)s has no {' and '.join(attributes)}: call fit; {hint}.",
    )
