"""Histogram of the row weights that a training learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknoisy.inspection._arrays import as_mask, as_numbers

if TYPE_CHECKING:
    from sknoisy._types import ArrayLike, Axes, Estimator

__all__ = ["SampleWeightsDisplay"]

_N_BINS = 40


class SampleWeightsDisplay:
    """Weights of the rows, of right and of wrong labels if they are known.

    Parameters
    ----------
    sample_weights : array-like of shape (n_samples,)
        In [0, 1], larger = cleaner.
    noise_mask : array-like of shape (n_samples,), dtype bool, default=None
        True = the label is known to be wrong.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : list of matplotlib BarContainer
        The histogram: of all rows, or of right and of wrong labels.

    See Also
    --------
    NALClassifier : Learns such weights.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from sknoisy import SampleWeightsDisplay
    >>> display = SampleWeightsDisplay([0.9, 1.0, 0.4], noise_mask=[0, 0, 1]).plot()
    >>> [bars.get_label() for bars in display.bars_]
    ['right (2 rows)', 'wrong (1 rows)']
    """

    def __init__(
        self, sample_weights: ArrayLike, *, noise_mask: ArrayLike | None = None
    ) -> None:
        self.sample_weights = sample_weights
        self.noise_mask = noise_mask

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        *,
        noise_mask: ArrayLike | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Plot the weights that a fitted estimator gave to its training rows.

        Parameters
        ----------
        estimator : classifier with ``sample_weights_``
            Fitted; the last step is taken of a Pipeline.
        noise_mask : array-like of shape (n_samples,), dtype bool, default=None
            True = the label is known to be wrong.
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        display : SampleWeightsDisplay

        Raises
        ------
        NotFittedError
            If the estimator has no ``sample_weights_``.
        """
        if hasattr(estimator, "steps"):
            estimator = estimator[-1]
        check_is_fitted(estimator, "sample_weights_")
        return cls(estimator.sample_weights_, noise_mask=noise_mask).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw into an axes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        display : SampleWeightsDisplay
            The display itself, with the axes it drew on.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError, ValueError
            If ``sample_weights`` are not numbers, one for each row, or ``noise_mask``
            does not have one entry for each of them.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError(
                "SampleWeightsDisplay needs matplotlib: pip install 'sknoisy[plot]'."
            ) from error
        weights = as_numbers("sample_weights", self.sample_weights, 1)
        groups = [("all", np.ones(len(weights), dtype=bool))]
        if self.noise_mask is not None:
            is_noisy = as_mask("noise_mask", self.noise_mask, len(weights), "weights")
            groups = [("right", ~is_noisy), ("wrong", is_noisy)]
        if ax is None:
            _, ax = plt.subplots()
        self.ax_, self.figure_ = ax, ax.figure
        edges: Any = np.linspace(0, 1, _N_BINS + 1)
        self.bars_ = []
        for name, rows in groups:
            # Their type depends on the histogram: bars, as there is one data set.
            bars: Any = ax.hist(weights[rows], edges, alpha=0.6)[2]
            bars.set_label(f"{name} ({rows.sum()} rows)")
            self.bars_.append(bars)
        ax.set(xlabel="Weight", ylabel="Rows", xlim=(0, 1))
        ax.legend(loc="best")
        return self
