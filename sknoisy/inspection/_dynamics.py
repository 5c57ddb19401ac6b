"""Plot of training dynamics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknoisy._verdicts import unjudged_rows
from sknoisy.inspection._arrays import as_mask, as_numbers

if TYPE_CHECKING:
    from sknoisy._types import Array, ArrayLike, Axes, Estimator

__all__ = ["DynamicsDisplay"]


class DynamicsDisplay:
    """Median and quartiles of the trajectories, flagged and not flagged.

    Parameters
    ----------
    trajectories : ndarray of shape (n_samples, n_epochs)
        Training signal of each sample in each epoch, or stage of boosting.
    noise_mask : ndarray of shape (n_samples,), dtype bool
        True = flagged.
    signal_name : str, default="logit_diff"
        Label of the vertical axis.
    stage_name : str, default="Epoch"
        Label of the horizontal axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        The medians: flagged, not flagged; a group without rows has none.

    See Also
    --------
    sknoisy.DynaCorDetector : Detector with trajectories.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> import numpy as np
    >>> from sknoisy import DynamicsDisplay
    >>> trajectories = np.array([[1.0, 2.0, 3.0], [-1.0, -1.0, 1.0]])
    >>> display = DynamicsDisplay(trajectories, np.array([False, True])).plot()
    >>> len(display.lines_)
    2
    """

    def __init__(
        self,
        trajectories: Array,
        noise_mask: ArrayLike,
        *,
        signal_name: str = "logit_diff",
        stage_name: str = "Epoch",
    ) -> None:
        self.trajectories = trajectories
        self.noise_mask = noise_mask
        self.signal_name = signal_name
        self.stage_name = stage_name

    @classmethod
    def from_estimator(cls, estimator: Estimator, *, ax: Axes | None = None) -> Self:
        """Plot the trajectories of a fitted detector.

        Parameters
        ----------
        estimator : detector with ``trajectories_`` and ``noise_mask_``
            Fitted; the last step is taken of a Pipeline.
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        display : DynamicsDisplay

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        """
        if hasattr(estimator, "steps"):
            estimator = estimator[-1]
        check_is_fitted(estimator, ["trajectories_", "noise_mask_"])
        signal = "loss" if hasattr(estimator, "losses_") else "logit_diff"
        names = {
            "signal_name": getattr(estimator, "signal", signal),
            "stage_name": "Epoch" if hasattr(estimator, "net_") else "Stage",
        }
        trajectories, mask = estimator.trajectories_, estimator.noise_mask_
        if len(unjudged := unjudged_rows(estimator)):
            # They were not part of the training.
            trajectories = np.delete(trajectories, unjudged, axis=0)
            mask = np.delete(mask, unjudged)
        display = cls(trajectories, mask, **names)
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw into an axes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        display : DynamicsDisplay
            The display itself, with the axes it drew on.

        Raises
        ------
        TypeError, ValueError
            If ``trajectories`` are not numbers with a row for each sample, or
            ``noise_mask`` does not have one entry for each of them.
        ImportError
            If matplotlib is not installed.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError(
                "DynamicsDisplay needs matplotlib: pip install 'sknoisy[plot]'."
            ) from error
        trajectories = as_numbers("trajectories", self.trajectories, 2)
        flagged = as_mask("noise_mask", self.noise_mask, len(trajectories))
        if ax is None:
            _, ax = plt.subplots()
        self.ax_, self.figure_ = ax, ax.figure
        groups = (("flagged", flagged), ("not flagged", ~flagged))
        epochs = np.arange(1, trajectories.shape[1] + 1)
        self.lines_: list[Any] = []
        for color, (name, rows) in zip(("C1", "C0"), groups, strict=True):
            if not rows.any():
                continue
            low, middle, high = np.nanpercentile(
                trajectories[rows], [25, 50, 75], axis=0
            )
            label = f"{name} ({rows.sum()} rows)"
            self.lines_ += ax.plot(epochs, middle, color=color, label=label)
            ax.fill_between(epochs, low, high, color=color, alpha=0.2, linewidth=0)
        ax.set(xlabel=self.stage_name, ylabel=self.signal_name)
        ax.legend(loc="best")
        return self
